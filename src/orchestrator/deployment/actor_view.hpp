// What users see of a deployment's actor and of whom it supervises: pure functions.
//
// An ensemble with supervision is shown as the tree of supervision/trees.hpp, by the names of its ensemble, children
// that the tree has no more included. Of any other, the root has no strategy, and all allocations below it. What the
// supervision says of phases and pauses counts from Provisioning until the end.
#pragma once

#include "orchestrator/deployment/record.hpp"
#include "protocol/actor_tree.hpp"

namespace dms::orchestrator {

/// `status`: status_of(record), with what else is known. `boot`: the one that `now` is an instant of.
[[nodiscard]] protocol::DeploymentActor actor_of(const DeploymentRecord& record, protocol::DeploymentStatusReply status,
                                                 const std::string& boot, SteadyTime now);
/// Cuts the longest reasons, so that it has at most protocol::kMaxView bytes of JSON.
void fit_message(protocol::DeploymentActor& actor);

}  // namespace dms::orchestrator
