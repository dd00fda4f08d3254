// Which part of an ensemble has which machine: pure changes of a record.
//
// Model
//  1. An allocation is placed when its provider has made it: the manifest has its handle. unplaced() is what still
//     needs a machine: allocations that have not ended and are not placed, by node, unless supervision holds them back
//     (supervision/trees.hpp).
//  2. place() assigns nodes to the machines of an auction, before any request is sent to them.
//  3. What a provider may hold and the deployment no longer wants there is superseded: it leaves the manifest's nodes
//     and enters DeploymentRecord::superseded in one change, so that every provider that has received a request is
//     known at any time. An allocation that has ended stays as it is; one that has not is unplaced again.
//  4. A machine serves one node of an ensemble, or stands by for one (standby.hpp), and neither while something of the
//     ensemble there is superseded: a request to release what was there cannot reach what comes next. It names the
//     incarnation besides, where that is known.
//  5. Output that is not all here is not given up with the machine: the entry of superseded names the allocation as
//     unfetched, and the output is fetched before the release (cleaner.hpp). An allocation that has ended is collected
//     once it is; one whose machine is lost counts as collected at once, and its output is fetched all the same should
//     the machine return. Of several runs that were superseded, that of the last one that had started is fetched.
//     A start that was requested (DeploymentRecord::starts) may have begun a run that is pending here: it is named as
//     unstarted besides, and that of earlier runs is awaited until it is known to have begun.
//     A restart that was requested (DeploymentRecord::restarting) may have begun the next run: the entry names the run
//     that was to end, as restarting besides, until its provider has said which one there is.
//  6. What a run writes at its end, once its restart is requested, is a rest (DeploymentRecord::rests) from the change
//     by which the next run counts: it is fetched (endings.hpp, 5), or the rest says why it is missing. What is still
//     to be fetched of a run whose allocation is superseded belongs to that entry (Rest::number): it is fetched before
//     the release (cleaner.hpp, 4), unless the work runs again or is awaited anew before. The kMaxRests last ones of an
//     allocation are known.
//
// Threads: none. Attacks: what a provider names beyond the ensemble is bounded (kMaxUnknown), so no provider makes the
// record grow until it cannot be stored.
#pragma once

#include <set>

#include "orchestrator/auction/auction.hpp"
#include "orchestrator/deployment/record.hpp"

namespace dms::orchestrator {

/// Requested where the ensemble requests none: on the wire none means an orchestrator that does not renew.
inline constexpr Duration kDefaultLease = 5min;
/// Beyond the lifetime of a renewal: how much later a provider's lease may end than is computed here.
inline constexpr Duration kLeaseMargin = 5s;
/// Longer than a provider without leases keeps a reservation.
inline constexpr Duration kReservationHold = 10min;

/// Allocations of one peer that the ensemble does not have and that are superseded at once; others wait for their turn.
inline constexpr std::size_t kMaxUnknown = 64;

inline constexpr std::ptrdiff_t kMaxRests = 4;

using Unplaced = std::map<std::string, std::vector<std::string>>;  // node -> allocations

inline bool is_placed(const protocol::AllocationManifest& allocation) {
  return !allocation.handle.address.inbox.empty();
}
/// Null if the manifest does not have the allocation.
protocol::AllocationManifest* find_entry(DeploymentRecord& record, const std::string& allocation);
/// Whether the manifest has the allocation, and it has ended.
bool is_over(const DeploymentRecord& record, const std::string& allocation);
Unplaced unplaced(const DeploymentRecord& record);
/// The same, with what supervision holds back (supervision/trees.hpp).
Unplaced without_machine(const DeploymentRecord& record);
/// Of the restarts of an allocation, those that have begun: that of one which is pending is still to come.
[[nodiscard]] std::uint32_t begun_restarts(const protocol::AllocationManifest& entry);
/// Whether the output of this run is to be fetched before it is released, see (5).
bool is_awaited(const DeploymentRecord& record, const std::string& allocation, const std::string& run);
/// The entry that has the last run of the allocation which is known to have begun and whose output is to be fetched;
/// null if there is none.
const Superseded* find_awaited(const DeploymentRecord& record, const std::string& allocation);
/// That of earlier runs of the allocation is not fetched any more.
void forget_earlier_output(DeploymentRecord& record, const std::string& allocation);
/// What entry `number` of superseded has of the allocation had begun, see (5).
void note_begun(DeploymentRecord& record, std::uint64_t number, const std::string& allocation);
/// The restart of what entry `number` of superseded has of the allocation is decided: `run` is the last one. What the
/// one before has written last is to be fetched.
void settle_restart(DeploymentRecord& record, std::uint64_t number, const std::string& allocation,
                    const std::string& run);
/// What that run has written last is not here, see (6); `missing`: and why it does not come.
void note_rest(DeploymentRecord& record, const std::string& allocation, const std::string& run,
               const std::string& missing = "");
/// Null if nothing is missing of that run.
const Rest* find_rest(const DeploymentRecord& record, const std::string& allocation, const std::string& run);
/// Something of a run of the allocation is still to be fetched, other than before a release.
[[nodiscard]] bool has_open_rest(const DeploymentRecord& record, const std::string& allocation);
/// What is still to be fetched of that run, or if it is empty of each other than before a release, is here, or
/// `missing` says why it does not come.
void settle_rests(DeploymentRecord& record, const std::string& allocation, const std::string& run,
                  const std::string& missing);
/// What is still to be fetched before the release of entry `number` of superseded, null if there is nothing.
const Rest* find_left_rest(const DeploymentRecord& record, std::uint64_t number, const std::string& allocation);
/// That does not come.
void give_up_left_rest(DeploymentRecord& record, std::uint64_t number, const std::string& allocation,
                       const std::string& missing);
/// The allocation was requested to restart, and its provider reports `run`: that counts. False if it cannot be that.
bool take_over_restart(DeploymentRecord& record, const std::string& allocation, const std::string& run);
/// What entry `number` of superseded has of the allocation is fetched, or given up for the reason `given_up`.
void end_awaiting(DeploymentRecord& record, std::uint64_t number, const std::string& allocation,
                  const std::string& given_up);

/// True if every allocation of the ensemble has ended and its output is here, or its machine is lost.
bool all_ended(const DeploymentRecord& record);

/// The part of the ensemble to find machines for. A node of which something is placed is pinned to its machine and
/// requires what all of it needs; its edges were measured before. The edges and the anti_affinity of the others name
/// also nodes outside of the part, and standbys.
jobs::Ensemble part_of(const DeploymentRecord& record, const Unplaced& wanted);
/// The machines that edges and anti_affinity may hold to: of nodes of which something is placed, and of standbys,
/// without these. Those of `lost` and of standbys that are not ready do not answer: their work may go on, or begin.
Placed neighbours_of(const DeploymentRecord& record, const std::set<std::string>& nodes,
                     const std::set<std::string>& lost = {});
/// An allocation of the ensemble that has no machine, as the status shows it.
protocol::AllocationManifest unplaced_entry(const DeploymentRecord& record, const std::string& node,
                                            const std::string& allocation);
/// The machine that has bid is that of the node.
void set_machine(protocol::NodeManifest& node, const protocol::Bid& bid);
void place(DeploymentRecord& record, const Unplaced& wanted, const Candidate& candidate);
/// What its provider has made of it: its actors, its lease and its run.
void note_allocated(protocol::AllocationManifest& entry, const std::string& allocation,
                    const protocol::AllocateResponse& made);

/// Machines that a new bid is not accepted from, see (4); without those that `wanted` is pinned to.
std::set<std::string> occupied(const DeploymentRecord& record, const Unplaced& wanted);
/// Why it is one of occupied(), and what helps; empty if the record does not say.
[[nodiscard]] std::string why_occupied(const DeploymentRecord& record, const std::string& peer);
/// Whether the owner of that machine has ended work of this deployment, which therefore does not ask it again.
bool is_barred(const DeploymentRecord& record, const std::string& peer);

/// Whether nothing else is placed on the allocation's node, or only what has ended and whose output is here.
bool is_alone(const DeploymentRecord& record, const std::string& allocation);
/// Whether the output of a run that has ended is still to be collected from the node's machine. Lost machines excepted.
bool is_collecting(const DeploymentRecord& record, const std::string& node);

/// The whole node; `exclusive`: its replacement waits until what may run of this is released or cannot run any more.
void supersede_node(DeploymentRecord& record, const std::string& node, bool exclusive);
void supersede(DeploymentRecord& record, const std::string& node, std::vector<std::string> allocations,
               bool exclusive = false);
/// One run, whose node keeps its machine for the others; without others the node moves.
void supersede_run(DeploymentRecord& record, const std::string& allocation, bool exclusive);
/// What a provider holds without being known here: see kMaxUnknown. Of an allocation, one run at a time. `exclusive`:
/// what replaces them waits until they are released or cannot run any more.
void supersede_unknown(DeploymentRecord& record, const actor::Handle& provider, json::StringMap incarnations,
                       bool exclusive = false);
/// Nothing of what was superseded after entry `number` can run: its run is known to have ended.
void mark_over_since(DeploymentRecord& record, std::uint64_t number);
/// An allocation that has ended and whose output is here.
void supersede_ended(DeploymentRecord& record, const std::string& allocation);
/// Whether another allocation has begun, or may have: a start was requested.
bool others_have_begun(const DeploymentRecord& record, const std::string& allocation);
/// Everything; no node has a machine then. What has completed stays so, unless results of it are still to be collected.
/// Of other allocations that have run the manifest says that they wait for a machine.
void unplace_all(DeploymentRecord& record, bool may_run);
/// The allocations of a node that have not ended end so; the manifest keeps the node, to be shown. All output is here
/// of those in `complete`; that of the others is fetched before they are released, see (5).
void end_node(DeploymentRecord& record, const std::string& node, protocol::AllocationStatus status,
              const std::string& reason, const std::set<std::string>& complete = {});
/// What has run and waits for a machine ends so; what has never run and has not ended leaves the manifest.
void end_unplaced(DeploymentRecord& record, protocol::AllocationStatus status, const std::string& reason);
/// An attempt to deploy has failed for good: `late`, allocation -> reason, have failed, what has run is terminated.
void end_attempt(DeploymentRecord& record, const json::StringMap& late, const std::string& reason);
/// The allocations of a node whose machine is lost have failed. Should the machine return, the output of what has begun
/// is collected, and the rest is released.
void fail_lost_node(DeploymentRecord& record, const std::string& node, const std::string& reason);
/// One that has not ended. What a start that was not answered has begun is fetched before its release, see (5).
void fail_allocation(DeploymentRecord& record, const std::string& allocation, const std::string& reason);

/// What has ended is to run again: it is released, its output first, and has no machine any more. `begun`: that run had
/// begun, which counts as a restart.
void run_again(DeploymentRecord& record, const std::string& allocation, bool begun);
/// What has not ended is stopped, and stays so.
void stop_for_good(DeploymentRecord& record, const std::string& allocation, const std::string& reason);

/// The exit code of what never ran, or was lost (executor::ExecutionResult).
inline constexpr int kNeverRanOrLost = -1;
/// What is kept of the report of a run that has ended, beside its status.
void record_end(protocol::AllocationManifest& entry, const protocol::AllocationReport& report);

/// Whether nothing may be placed on a node now: an exclusive run of one of its allocations is not released, wherever
/// that was, or its only machine holds something that is superseded.
bool is_blocked(const DeploymentRecord& record, const std::string& node);

/// What the ensemble says, with its default.
jobs::OnLoss on_loss(const jobs::Ensemble& ensemble, const std::string& node);
/// Whether the ensemble names the machine of a node.
bool is_pinned(const DeploymentRecord& record, const std::string& node);
/// Whether a node whose machine is lost, and may still run its work, is sought on another one meanwhile.
bool is_sought_elsewhere(const DeploymentRecord& record, const std::string& node);
Duration requested_lease(const jobs::Node& node);
/// The lease that the provider has granted for the placed allocations of a node; 0 if it grants none.
Duration granted_lease(const DeploymentRecord& record, const std::string& node);
/// What the allocation leaves, within the limit that the bid of its machine has granted; nothing if it leaves none.
std::optional<jobs::Results> granted_results(const DeploymentRecord& record, const std::string& allocation);
/// The features that a bid for the node must have.
std::set<protocol::Feature> needed_features(const jobs::Ensemble& ensemble, const std::string& node);

}  // namespace dms::orchestrator
