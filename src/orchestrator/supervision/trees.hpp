// Restarts as the ensemble's supervisors and failure_recovery ask for: the supervision tree of a deployment, driven.
//
// Model
//  1. An ensemble that asks for supervision (jobs/ensemble/supervision.hpp) has its tree in the record, from
//     Provisioning on; start_over() begins anew without one. Any other deployment has none, and goes as if this did not
//     exist.
//  2. supervise() is a pure change of a record, made in each change before it is stored: it compares each allocation of
//     the manifest with the tree's child, tells the tree what has happened, and brings the manifest to what the tree
//     decides. So what happens and what follows from it are stored at once, and a daemon that is killed in between
//     finds both or neither. The time between two changes is that of the boot; that of a machine that is off does not
//     count.
//  3. What the tree is told: that a run has begun; its end, which is normal if it has completed, else abnormal, also of
//     a start that has failed for good; while the deployment runs, the loss of a run that on_loss places anew, which
//     has no pause if no failure precedes it; and a run that is unhealthy after kRestartsInPlace restarts in its place.
//     Work that stays down, temporary or on a node with failure_recovery, is not told as lost: on_loss alone decides
//     about it, as without a tree. Nor is a node with `redundancy` that loses its machine (standby.hpp), nor what runs
//     of a node that the orchestrator itself moves (replacer.hpp, 3). Before the deployment runs, a loss is part of the
//     attempt to deploy.
//  4. What the tree decides. `waiting`: what has ended is placed anew, once its pause is over. `starting`: the starter
//     may start it, if its dependencies allow; while they do not, it counts as up, so that a dependency across the
//     order of the tree holds up nobody. `stopping`: its run is superseded, so the cleaner ends and releases it, with
//     its output; it has ended when that is done or it cannot run any more. `idle` and gone: it stays down, as stopped
//     if it had not ended. What is below a supervisor that is to be started waits with it.
//  5. A tree that has ended has escalated to its root: all is stopped, and the deployment fails with the reasons.
//     A supervisor with auto_shutdown that has ended with its significant allocations stays down without an escalation:
//     what it has stopped is stopped, and does not make the deployment a failed one.
//  6. An update goes on with the counts: what it changes is not told as lost, what it adds is started. One that moves
//     what runs to another supervisor begins a new tree, whose children are taken as they are: what runs is up, what
//     has failed is restarted.
//  7. A node with failure_recovery that is started again (restart_of()) is placed as that says, from the moment that
//     all of it is stopped until all of it is up: replacer.hpp, (9). The tree's state has the machine.
//  8. The machine on which a run stayed unhealthy gets no work of the deployment for a while, unless the node is pinned
//     to it, has other work there or a failure_recovery: what it says of health may be wrong, or its own fault
//     (ProviderBackoff).
//
// Threads: supervise() and the questions: none; Trees: the deployment's lane. Cost: linear in the ensemble for each
// change, and for each start in order.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/deployment/record.hpp"
#include "orchestrator/deployment/replacer.hpp"

namespace dms::orchestrator {

/// Of an unhealthy run, before that counts as its failure.
inline constexpr std::uint32_t kRestartsInPlace = 3;

/// In the reason of an allocation that waits to be started again.
inline constexpr std::string_view kStartedAgain = "it is started again";

/// Since the instant from which those of the tree count. `boot`: the one that `now` is an instant of; between two of
/// them no time counts.
[[nodiscard]] Duration age_of_tree(const DeploymentRecord& record, const std::string& boot, SteadyTime now);
/// `boot` and `now`: see age_of_tree().
void supervise(DeploymentRecord& record, const std::string& boot, SteadyTime now);
/// The work of the allocation is another one now, which is no loss of what ran.
void note_change(DeploymentRecord& record, const std::string& allocation);
/// A restart in its place is requested.
void note_restart_in_place(DeploymentRecord& record, const std::string& allocation);

/// It has lost its machine, which is no failure of it.
void excuse_loss(DeploymentRecord& record, const std::string& allocation);
/// The node leaves its machine by a decision of the orchestrator, which is no failure of what runs there.
void excuse_move(DeploymentRecord& record, const std::string& node);

/// Of a node that its failure_recovery starts again.
struct NodeRestart {
  std::string machine;     ///< on which its work has last begun; empty if none is known
  bool elsewhere = false;  ///< on another one: redeploy
};
/// Nothing of a node that is not started again now.
[[nodiscard]] std::optional<NodeRestart> restart_of(const DeploymentRecord& record, const std::string& node);

/// Whether what has ended may be started again: a supervisor above it is being stopped, and what follows is decided
/// after that.
[[nodiscard]] bool is_undecided(const DeploymentRecord& record, const std::string& allocation);

/// Whether the tree lets it have no machine now.
[[nodiscard]] bool is_held_back(const DeploymentRecord& record, const std::string& allocation);
/// Whether the tree lets it start now.
[[nodiscard]] bool may_start(const DeploymentRecord& record, const std::string& allocation);
/// Whether it has been up before: the deployment does not wait for it to run.
[[nodiscard]] bool is_started_again(const DeploymentRecord& record, const std::string& allocation);
/// Whether it has no machine because the tree starts it again, or is stopping it.
[[nodiscard]] bool is_being_restarted(const DeploymentRecord& record, const std::string& allocation);
/// Why an allocation waits for the end of a pause, its own or that of a supervisor above it.
struct RestartPause {
  Duration left{};
  std::string why;  ///< it has last ended, one printable line; empty if it never has
};
/// Of the allocations that wait so. `boot` and `now`: see age_of_tree().
[[nodiscard]] std::map<std::string, RestartPause> pauses_of(const DeploymentRecord& record, const std::string& boot,
                                                            SteadyTime now);
/// How often the tree has started it.
[[nodiscard]] std::uint64_t starts_of(const DeploymentRecord& record, const std::string& allocation);
/// What supervisors have stopped that have ended by their auto_shutdown.
[[nodiscard]] std::set<std::string> ended_with_supervisor(const DeploymentRecord& record);
/// Why the tree has ended; empty if it has not.
[[nodiscard]] std::string escalation_of(const DeploymentRecord& record);
/// By which each allocation of the ensemble is restarted, alone or with its node; without those that stay down.
[[nodiscard]] json::StringMap strategies_of(const jobs::Ensemble& ensemble);

/// What time and providers have to do with it: pauses, and stops.
class Trees {
 public:
  Trees(Parts parts, Replacer& replacer) : parts_(parts), replacer_(replacer) {}
  /// Until it is cancelled.
  Task<void> run();

 private:
  /// See (8).
  void leave_out_machines();

  Parts parts_;
  Replacer& replacer_;
  std::map<std::string, std::uint64_t> left_out_;  ///< allocation -> the last start after which it stayed unhealthy
};

}  // namespace dms::orchestrator
