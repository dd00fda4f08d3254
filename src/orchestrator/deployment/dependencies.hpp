// When an allocation may start: pure rules over a record.
//
// Model
//  1. A condition of depends_on is met, waits, or can never be met any more: `started` once the other runs or has
//     completed, `healthy` once it runs and passes its health check, `completed` once it has ended with 0 and, where
//     its results are inputs, its output has been collected. What has ended otherwise never meets any of them, unless
//     its supervisor is being stopped and may start it again (supervision/trees.hpp). Nor does one that has completed
//     without a result that is an input.
//  2. `started` and `healthy` are expected before the deployment is Running; what waits for `completed` starts later.
//
// Threads: none.
#pragma once

#include "orchestrator/deployment/record.hpp"

namespace dms::orchestrator {

enum class Readiness { ready, waits, waits_for_completion, never };

struct Dependency {
  Readiness readiness = Readiness::ready;
  std::string reason;  ///< of never: names the allocation that it depends on
  std::string needed;  ///< the allocation that it waits for
  jobs::Condition condition = jobs::Condition::started;
};

/// Of a placed allocation that has not started.
Dependency dependency(const DeploymentRecord& record, const std::string& allocation);

}  // namespace dms::orchestrator
