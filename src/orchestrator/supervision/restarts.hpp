// Restarts services and tasks that fail their health check.
//
// Model
//  1. A running allocation that its provider reports unhealthy is restarted there: that it will be is stored first,
//     with the run that ends; the new run counts once it is stored. Requests that get no reply, or one that does not
//     say what became of the new run, are repeated; what no reply has said is made up for by the provider's report
//     (reconcile.hpp). A run that ends before the request arrives is not restarted: the end counts, so that a task that
//     is done is not run again.
//     The reason says meanwhile which check failed (reconcile.hpp).
//     Before the request, what the run has written is fetched, for kRestartOutput at most: it remains readable. What it
//     writes then is fetched once the next run counts (endings.hpp, 5).
//  2. If the provider has ended the run and cannot start the new one, the allocation has failed with its reason
//     (endings.hpp, 2), whether the reply, a report or a notice tells.
//  3. Restarts of one allocation are apart as pauses.hpp says. After some of them, supervision takes what stays
//     unhealthy for failed (trees.hpp, 3).
//
// Threads: the deployment's lane.
#pragma once

#include <set>

#include "orchestrator/deployment/endings.hpp"
#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/output/collector.hpp"
#include "orchestrator/supervision/pauses.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kRestartOutput = 10s;

class Restarts {
 public:
  /// `work` ends before this does.
  Restarts(Parts parts, Collector& collector, Endings& endings, Nursery& work)
      : parts_(parts), collector_(collector), endings_(endings), work_(work) {}

  Task<void> run();

 private:
  Task<void> restart(std::string allocation, std::string run);
  Task<void> fetch_output(std::string allocation);
  static protocol::AllocationReport end_of(const protocol::RestartReply& reply);
  [[nodiscard]] bool needed(const std::string& name, const protocol::AllocationManifest& entry) const;

  Parts parts_;
  Collector& collector_;
  Endings& endings_;
  Nursery& work_;
  Pauses pauses_;
  std::set<std::string> under_way_;
};

}  // namespace dms::orchestrator
