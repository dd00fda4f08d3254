// The supervision that an ensemble asks for, as a tree of `supervision`. The orchestrator acts on it:
// orchestrator/supervision/trees.hpp.
//
// Model
//  1. The root restarts each of its children alone. They are `supervisor`, the tree that is written, and for each node
//     with allocations that this tree does not name, in the order of the names, `node:<name>`; see (7).
//  2. Of the written tree, a supervisor has its allocations in their order, then its children, whose ids are their
//     places: `[0]`, `[1]`. No strategy is OneForOne.
//  3. A node's allocations follow those of the node that they depend on. Their failure_recovery is the strategy; those
//     of one node agree on it, apart from stay_down: such an allocation is temporary. It is stopped with others that are
//     restarted, and stays down then, too.
//  4. A service is permanent, a task transient: it is done once it has ended with 0. `restart` says otherwise.
//  5. A supervisor gives up after more than 10 restarts in an hour, or as its max_restarts and period say. Between them
//     pauses grow: kPauses; a long run makes them short again. That is the failure of its parent's child.
//     escalation_strategy is what the root does: with redeploy it starts the child anew, by the same rules; else the
//     tree fails at once (teardown).
//  6. What is asked to end has no time limit here: its provider has one, and ends with its lease at the latest.
//  7. A node with `redundancy` has a supervisor of its own above `node:<name>`, `standbys:<name>`, which starts that
//     anew as often as there are standbys, within an hour. If all allocations of the node stay down, `node:<name>`
//     gives up at the first failure of one of them.
//  8. A node with failure_recovery has `recovery:<name>` above `node:<name>`, by the rules of (5). What `node:<name>`
//     gives up on is the failure of the node, and so is the failure of an allocation that stays down, which is no
//     temporary child then: it is started again with the node, and with others by their strategy. With `redundancy` as
//     well, `standbys:<name>` is above `recovery:<name>` for restart, so that a standby takes over what restarts do not
//     mend; for redeploy it is between the two, so that the first failures do not wait, and its restarts within the
//     hour count on when `recovery:<name>` starts it anew: the failures after them wait.
//  9. A supervisor with auto_shutdown is transient: once it has ended with its significant allocations it stays down,
//     and its parent is not affected. It is started again if it gives up, or with others by the strategy of its parent.
//
// Failure: Errc::invalid_argument, naming the member: `restart` or `significant` without an effect, or against another
// member; auto_shutdown without significant allocations; an allocation that the tree names twice, or whose
// failure_recovery disagrees with its supervisor or its node; one that the tree names before another one of the tree
// that it depends on; one that the tree names of a node with failure_recovery.
//
// Threads: pure. Cost: linear in the ensemble, quadratic in the allocations of a node.
#pragma once

#include "jobs/ensemble/ensemble.hpp"
#include "supervision/spec.hpp"

namespace dms::jobs {

/// Between the restarts of what fails again and again.
inline constexpr supervision::Pauses kPauses{.first = 10s, .most = 5min, .healthy = 10min};

/// Before the name of a node: the id of the supervisor that its failure_recovery asks for.
inline constexpr std::string_view kRecovery = "recovery:";

/// Whether it asks for any: a tree, a failure_recovery other than stay_down, or redundancy.
bool is_supervised(const Ensemble& ensemble);

/// Of a valid ensemble.
Result<supervision::Spec> supervision_of(const Ensemble& ensemble);

/// The path of each allocation in the tree.
std::map<std::string, std::string> supervised_paths(const supervision::Spec& tree);

}  // namespace dms::jobs
