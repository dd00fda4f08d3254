// Finds machines for the nodes of a running deployment that have none, or not for all of their allocations: after a
// loss, after an update, after a start that failed. While a deployment is provisioned, too, once something has begun.
//
// Model
//  1. One node after another: an auction for that node, then commit and allocate (provisioner.hpp). What is deployed
//     already is not touched. Repeated with growing pauses until it succeeds; the status of the deployment and of the
//     allocations without a machine says why it does not. What is lost is placed anew at once, what is lost again soon
//     after that with the pauses of pauses.hpp in between, whichever machines have lost it. They concern runs that were
//     lost while their machine answered; the loss of a machine takes long enough to be seen. An update ends all of
//     these pauses, and auctions for what was wanted before.
//  2. Excluded from the auction are the machines of the other nodes, those that hold something superseded, which
//     includes a lost machine until it is known to hold nothing, those whose owner has ended work of this deployment,
//     and those that failed lately (ProviderBackoff). A node that would move also excludes the machine that it is on.
//     As soon as something is released, an auction or a pause that it was excluded from is ended, and bids are
//     requested anew: for the first node first, whichever node was waited for, since one that has found no machine may
//     find this one.
//  3. A node that is placed in part asks its own machine for the rest; where that does not bid, or is not asked any
//     more, and the ensemble does not insist on it, an auction for the whole node follows. The node moves to the
//     machine that wins it, as soon as the output of what has ended there is here; without one, what runs of it goes on
//     where it is. That what runs moves with it is no failure for its supervisor. What is exclusive is released before
//     it runs elsewhere; the machine is then asked anew.
//  4. changing(): a change of the ensemble waits for requests that are under way, and they for it; so does a deployment
//     that starts over or has failed to deploy. It ends then; idle() waits for that.
//  5. find_places(): a node that an update would move is left where it is unless a machine bids for it that is not that
//     of another node which stays. What it would take with it is released only then: two nodes exchange their machines
//     if each machine has room for both, and else the refusal says so. A node that stays and asks for
//     more (growing_nodes()) is asked of its own machine first, whose bid counts what the node uses there as free; if
//     that does not bid and the ensemble does not insist on it, another machine must bid, as for a node that moves.
//     So there are two rounds of bids at most.
//  6. A node with `on_loss: fast` whose machine is lost, and grants leases, keeps its place until another machine has
//     bid for all of it; then it is superseded and placed there, also while output is being collected: see (5) of
//     placement.hpp. If the lost machine answers before, the node goes on there. One that is pinned to its machine
//     waits for that, until its lease has ended. What is stored is the same as before the loss, but for the status and
//     its reason: after a restart of this daemon the machine answers, or is found to be lost again.
//  7. A node with a standby (standby.hpp) leaves its lost machine for that of the standby, without an auction. One that
//     supervision starts again gets it if no other machine takes the node.
//  8. Edges of a node that is sought hold to the machines of the nodes that have one, and of standbys (auction.hpp, 4);
//     those to a lost machine are measured when that is replaced. Its anti_affinity holds to all of them: what runs on
//     a lost machine may go on there.
//  9. A node that its failure_recovery starts again (trees.hpp, 7) has a round of bids before that of (1): with
//     restart, the machine that it was on is asked alone; with redeploy, all others. Only if none of these bids, any
//     machine may take it, for redeploy the one that it has failed on as well: work that waits for a machine that does
//     not exist would help nobody. With `peer` there is one machine, and one round.
//
// Threads: the deployment's lane.
#pragma once

#include <functional>
#include <optional>
#include <set>

#include "orchestrator/auction/auction.hpp"
#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/deployment/provisioner.hpp"
#include "orchestrator/supervision/pauses.hpp"
#include "orchestrator/supervision/provider_backoff.hpp"
#include "runtime/mutex.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kReplacePause = 5s;
inline constexpr Duration kMaxReplacePause = 1min;

class Replacer {
 public:
  /// Whether the machine of a node is lost now.
  using IsLost = std::function<bool(const std::string& node)>;
  /// `work` ends before this does.
  Replacer(Parts parts, ProviderGrants& grants, Nursery& work, IsLost is_lost)
      : parts_(parts),
        work_(work),
        is_lost_(std::move(is_lost)),
        provisioner_(parts.actor, parts.record, parts.providers, grants) {}

  /// Begins with what needs a machine, if anything does, unless it is under way.
  void begin();
  Task<Mutex::Lock> changing() { return changing_.lock(); }
  /// Until nothing is under way.
  Task<Result<void>> idle();

  /// Whether a machine bids now for each node that the update would move or that asks for more; nothing is reserved.
  /// Errc::deadline_exceeded says why there is none.
  Task<Result<void>> find_places(jobs::Ensemble wanted);

  /// Machines for all of the deployment at once: what is done before it runs.
  Task<Result<void>> deploy(Unplaced wanted, SteadyTime deadline);
  /// Why deploy() has found no machine so far; empty if nothing is known.
  [[nodiscard]] const std::string& shortage() const { return shortage_; }
  /// Why machines were chosen, in the last auctions of each node; none before the first round has ended.
  [[nodiscard]] const std::optional<protocol::Choice>& choice() const {
    return choice_ ? choice_ : parts_.record->choice;
  }
  [[nodiscard]] const std::string& failed_provider() const { return provisioner_.failed_provider(); }
  ProviderBackoff& backoff() { return backoff_; }

  /// A machine for the only node of `part`, a standby (standby.hpp), in one round of bids.
  Task<Result<Candidate>> find_standby(jobs::Ensemble part);
  /// Whether a node has no machine, or another one is sought for it.
  [[nodiscard]] bool seeks() const { return !all_wanted().empty(); }

  /// The run is lost: the next one waits if that was the case shortly before. `reason` is shown meanwhile.
  void on_run_lost(const std::string& allocation, const std::string& run, const std::string& reason);
  /// Called when it is stored: what waits is placed at once, as it is wanted now.
  void on_update();

 private:
  struct Wait {
    std::string run;  ///< that was lost
    SteadyTime until;
    std::string reason;
  };
  Task<void> run();
  Task<Result<void>> place_node(std::string node);
  Task<Result<void>> commit(std::string node, Unplaced wanted, Candidate candidate, SteadyTime deadline);
  Task<Result<void>> move_node(std::string node, Unplaced wanted);
  /// On the machine of a standby; nothing if there is none, see (7).
  Task<Result<void>> use_standby(std::string node, bool lost);
  /// Of these another machine is sought while they are on a lost one, see (6).
  [[nodiscard]] std::set<std::string> sought() const;
  /// What has no machine, and all of what is sought.
  [[nodiscard]] Unplaced all_wanted() const;
  [[nodiscard]] Result<std::unique_ptr<Auction>> open_auction();
  /// What the auction says of these nodes is kept as the reasons of their choice.
  void keep_choice(Auction& auction, std::set<std::string> nodes);
  /// As if the nodes of `moving` had no machine, and with those that they have excluded. Without a deadline: one round.
  /// `only`: the machine that is asked; `avoided`: one that is not; or empty.
  Task<Result<Candidate>> auction(Unplaced wanted, std::optional<SteadyTime> deadline, std::set<std::string> moving,
                                  std::string only, std::string avoided);
  /// For one node, see (9).
  Task<Result<Candidate>> find_machine(std::string node, Unplaced wanted);
  /// What is superseded on machines that have not failed lately, by its number, and whether it is over.
  using Releases = std::set<std::pair<std::uint64_t, bool>>;
  [[nodiscard]] Releases awaited() const;
  [[nodiscard]] bool has_released(const Releases& before) const;
  /// Whether the attempts of run() that are under way, or have just failed, could end otherwise now.
  [[nodiscard]] bool is_outdated() const;
  /// Of `before` and of what is superseded meanwhile, without `own`; or until the deployment starts over or is updated.
  /// With `lost` also until others than these are sought.
  Task<Result<void>> wait_for_release(Releases before, Releases own, std::optional<std::set<std::string>> lost);
  Task<Result<Candidate>> until_released(Releases before, Task<Result<Candidate>> bidding);
  Task<void> end_when_released(Releases before, CancelScope& bidding);
  /// Whether parts are placed one after another; else all at once, or nothing.
  [[nodiscard]] bool replaces() const;
  /// Without the nodes of the part.
  [[nodiscard]] Placed neighbours(const DeploymentRecord& record, const jobs::Ensemble& part) const;
  [[nodiscard]] DeploymentRecord record_without(const std::set<std::string>& moving) const;
  [[nodiscard]] bool is_wanted_still(const std::string& node, const Unplaced& wanted) const;
  /// Why nodes have no machine, by their names.
  Task<void> report(std::map<std::string, std::string> troubles);

  Parts parts_;
  Nursery& work_;
  IsLost is_lost_;
  Provisioner provisioner_;
  ProviderBackoff backoff_;
  Pauses pauses_;
  std::map<std::string, Wait> waits_;  ///< of the allocations that were lost
  std::string shortage_;
  MeasuredLinks measured_;                  ///< by its auctions
  std::optional<protocol::Choice> choice_;  ///< since the start of the daemon, with what was stored before
  bool running_ = false;
  Releases tried_;        ///< those awaited when run() last began with the first node
  bool updated_ = false;  ///< since then
  Mutex changing_;
  Mutex bidding_;  ///< held during an auction: the actor takes bids of one
};

}  // namespace dms::orchestrator
