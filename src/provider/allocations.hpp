// Phase two of a deployment: the allocations of this node, from their reservation to their removal, over restarts of
// the daemon.
//
// Model
//  1. allocate() turns reservations into allocations, all that a request names or none. The orchestrator gets a handle
//     and a grant for each, and a grant for its ensemble, before the reply. Repeated, it answers with what there is.
//  2. Only the owner, the orchestrator that committed, reaches an allocation: it is found by the owner's DID and the
//     id.
//  3. The record of an allocation (record.hpp) is written first and erased last: what is on this machine without a
//     record (work, resources, folders) is removed by recover(), folders in the background. So nothing is lost or left
//     when the daemon is killed. The allocations of an engine that does not answer, and their resources, stay as they
//     are until it is recovered.
//  4. Each has a lease (leases.hpp): at its end the work is stopped (allocation.hpp). When the work has ended its
//     resources are free, but the disk: the folder is kept until the orchestrator has it removed, or for
//     Services::retention.
//  5. renew() renews leases and reports all that is held for an ensemble: from then on the orchestrator and this node
//     agree.
//  6. A shutdown that keeps only ends the run (Allocation::stop()): its end, output and results stay.
//  7. release() removes an allocation; when it has succeeded nothing of it is left. What fails, or is cut by close(),
//     is tried again by sweep(), which waits for none, and at the next start. Concurrent calls wait for the first; so
//     do those of (6). A request waits while its reply can still be read, for kLongestAnswer at most: what it began
//     goes on, and the reply says so (Ack::in_progress). Each request that waits takes a place of its sender
//     (actor/rate_limiter.hpp), which repeats it and renews leases meanwhile.
//  8. The owner of this machine, whose DID is a root of the node's capability context or its own, reads the output of
//     each allocation and ends its run (owner_logs(), owner_stop(), in allocations_owner.cpp), by its local name or how
//     that begins. No grant lets anybody else do so. A request to end a run waits for the grace, too.
//  9. close() lets go: the work continues, the records stay.
//
// Threads: the node's lane, which is free while disk and executor work. Cost: logarithmic in the number of allocations,
// linear for list() and sums; a renewal is linear in what is held for the ensemble. Failure: reported in the reply's
// `error`; a full disk refuses what has to be stored and leaves what runs alone. Attacks: a request without the owner's
// token is refused by the actor; with a token of another orchestrator it finds no allocation. What cannot be honoured
// is refused by name (admission.hpp). How much is held, also of what has ended, is bounded in all and for each owner,
// in number and in bytes (Services::max_held, max_held_bytes), and so is its disk, by the share. What was never started
// is kept for Services::unstarted_retention only.
#pragma once

#include <stop_token>
#include "protocol/actor_tree.hpp"
#include "provider/allocation.hpp"
#include "provider/grants.hpp"
#include "provider/own_folder.hpp"
#include "provider/reservations.hpp"
#include "provider/results.hpp"
#include "provider/services.hpp"

namespace dms::provider {

/// Bytes of the allocations of one reply, about: a message has more, and at least one is in each.
inline constexpr std::size_t kListedBytes = 512 * 1024;

/// No request of an orchestrator lives longer.
inline constexpr Duration kLongestAnswer = protocol::kRevert.timeout;
/// What is kept of a request's lifetime for its reply to arrive; of a short one, a quarter.
inline constexpr Duration kReplyTravels = 1s;

class Allocations {
 public:
  struct Parts {
    const Services& services;
    actor::Actor& root;
    LocalNames& names;
    Reservations& reservations;
    Grants& grants;
    Metrics& metrics;
  };
  explicit Allocations(Parts parts);

  /// Takes up what an earlier run of the daemon left. Before any request; reads the store and blocks.
  Task<Result<void>> recover();

  /// Behaviours protocol::kAllocate, kRenew, kAllocationLogs and kAllocationShutdown.
  Task<protocol::AllocateResponse> allocate(protocol::AllocateRequest request, const actor::Envelope& envelope);
  Task<protocol::RenewReply> renew(protocol::RenewRequest request, const actor::Envelope& envelope);
  Task<protocol::AllocationLogsResponse> logs(protocol::AllocationLogsRequest request, const actor::Envelope& envelope);
  Task<protocol::Ack> shutdown(protocol::AllocationShutdownRequest request, const actor::Envelope& envelope);
  /// Behaviour protocol::kAllocationsList. In pages: of at most kListedBytes, and by the orchestrators' DIDs, which is
  /// stable.
  Task<protocol::AllocationsReply> list(protocol::AllocationsRequest request, const actor::Envelope& envelope);
  /// Adds what list() says of an allocation, without what it uses, if the actor is that of one.
  void describe(protocol::ActorInfo& actor) const;
  /// Behaviours protocol::kAllocationsLogs and kAllocationsStop.
  Task<protocol::AllocationLogsResponse> owner_logs(protocol::OwnerLogsRequest request,
                                                    const actor::Envelope& envelope);
  Task<protocol::OwnerStopReply> owner_stop(protocol::OwnerStopRequest request, const actor::Envelope& envelope);
  /// protocol::kAllocationResults, where files can be sent; in allocations_results.cpp.
  Task<protocol::AllocationResultsReply> results(protocol::AllocationResultsRequest request,
                                                 const actor::Envelope& envelope);

  /// Succeeds if there is no such allocation. Errc::deadline_exceeded: it goes on.
  Task<Result<void>> release(AllocationKey key);
  Task<Result<void>> release(AllocationKey key, SteadyTime until);
  /// Releases what ended Services::retention ago, and what could not be released before.
  Task<void> sweep();
  /// Until when a reply can be read, in `longest` at most.
  [[nodiscard]] SteadyTime answer_until(const actor::Envelope& request, Duration longest = kLongestAnswer) const;
  /// `done` is the outcome of what was requested; Errc::deadline_exceeded: it goes on.
  [[nodiscard]] static protocol::Ack ack_of(const Result<void>& done);
  /// An orchestrator has sent an accepted request, or its host has answered.
  Task<void> heard_from(did::Did owner);
  Task<void> close();
  /// What others than the owner of this machine are told is without its folder, see OwnFolder.
  template <class Reply>
  void before_reply(Reply& reply, const actor::Envelope& request) const {
    if (!is_for_owner(request)) own_folder_.leave_out(reply, request.from.did);
  }

  /// What the allocations of an ensemble need together, and what of that is reserved, by its nodes: a restart reserves
  /// it anew first.
  [[nodiscard]] Result<capability::Resources> resources_of(const EnsembleKey& ensemble) const;
  [[nodiscard]] Result<std::map<std::string, capability::Resources>> reserved_by(const EnsembleKey& ensemble) const;
  /// Whether another allocation of this orchestrator, of so many bytes, can be held.
  [[nodiscard]] Result<void> check_room(const did::Did& owner, std::size_t bytes) const;
  /// Whether it is the run of that incarnation, or the one that has replaced it.
  [[nodiscard]] bool is_current(const AllocationKey& key, const std::string& incarnation) const;
  /// Also while it is being made or removed.
  [[nodiscard]] bool exists(const AllocationKey& key) const {
    return allocations_.contains(key) || creating_.contains(key);
  }
  /// The hosts of the orchestrators that own allocations here, with their DIDs.
  [[nodiscard]] std::map<std::string, std::set<did::Did>> orchestrators() const;
  [[nodiscard]] const Leases& leases() const { return leases_; }
  [[nodiscard]] std::size_t size() const { return allocations_.size(); }

 private:
  using AllocationPtr = std::shared_ptr<Allocation>;  // shared with handlers that wait on one

  Task<Result<void>> allocate_all(protocol::AllocateRequest request, actor::Handle owner,
                                  std::vector<AllocationKey>& made);
  /// Whether so many bytes more can be kept of this orchestrator.
  [[nodiscard]] Result<void> check_growth(const did::Did& owner, std::size_t bytes) const;
  /// What is kept of an allocation becomes so many bytes, if there is room.
  Result<void> resize(const AllocationKey& key, std::size_t bytes);
  Task<Result<void>> allocate_one(AllocationKey key, protocol::AllocationConfig config, actor::Handle owner,
                                  std::string node, std::int64_t lease_ns);
  Task<Result<void>> create(AllocationKey key, protocol::AllocationConfig config, actor::Handle owner, std::string node,
                            std::int64_t lease_ns);
  Result<AllocationPtr> take_up(AllocationRecord record, LocalName name, Lease lease);
  [[nodiscard]] Allocation::Hooks hooks_of(const AllocationRecord& record);
  [[nodiscard]] executor::Executor* engine_of(const AllocationRecord& record) const;
  /// Registers the behaviours and grants of the allocation and of its ensemble.
  Result<void> open(Allocation& allocation);
  void close_ensemble_if_empty(const EnsembleKey& ensemble);
  [[nodiscard]] Result<AllocationPtr> find(const AllocationKey& key) const;
  [[nodiscard]] std::vector<AllocationPtr> of_ensemble(const EnsembleKey& ensemble) const;
  [[nodiscard]] std::vector<AllocationPtr> renewable(const protocol::RenewRequest& request,
                                                     const std::vector<AllocationPtr>& held) const;
  using Outcome = std::shared_ptr<std::optional<Result<void>>>;
  Task<Result<void>> stop(AllocationKey key, std::string incarnation, SteadyTime until);
  /// `owner_grace`: for the owner of this machine; else for the orchestrator.
  Task<Result<void>> stop_run(AllocationPtr allocation, std::optional<Duration> owner_grace, SteadyTime until);
  Task<void> stop_into(AllocationPtr allocation, std::optional<Duration> owner_grace, Outcome outcome);
  Task<protocol::AllocationLogsResponse> logs_of(AllocationPtr held, protocol::AllocationLogsRequest request);
  [[nodiscard]] protocol::AllocationInfo info_of(const AllocationKey& key, const Allocation& allocation) const;
  [[nodiscard]] Result<void> check_owner(const actor::Envelope& envelope) const;
  /// Of a behaviour that refuses everybody else.
  [[nodiscard]] static bool is_for_owner(const actor::Envelope& envelope);
  /// The allocation with this local name, or the only one whose name begins so.
  [[nodiscard]] Result<AllocationPtr> find_named(const std::string& name) const;
  Task<Result<void>> release_now(AllocationKey key, AllocationPtr allocation);
  Task<void> release_into(AllocationKey key, AllocationPtr allocation, Outcome outcome);
  Task<void> release_logged(AllocationKey key);
  Task<void> end_packing(std::filesystem::path run);
  Task<Result<void>> free_resources(std::string name);
  Task<void> free_after_end(std::string name);
  Task<Result<void>> take_resources(std::string name, capability::Resources resources);
  void lease_over(const std::string& name);
  /// For a later renewal; not 0, which is no clock.
  [[nodiscard]] std::int64_t clock() const;
  void count();

  // Recovery
  Task<std::set<executor::ExecutionId>> recover_executors();
  Task<void> recover_later(std::string type, executor::Executor* engine);
  [[nodiscard]] std::vector<executor::Request> requests_of(const std::string& type) const;
  Task<Result<void>> keep_only_recorded();
  Task<void> empty_quarantine();
  Task<void> empty_quarantine_with(std::vector<executor::Executor*> engines);

  Parts parts_;
  OwnFolder own_folder_;
  AllocationStore store_;
  Leases leases_;
  std::map<AllocationKey, AllocationPtr> allocations_;
  std::map<std::string, AllocationKey> keys_;  ///< by local name
  std::set<AllocationKey> creating_;
  std::map<AllocationKey, std::size_t> bytes_;  ///< of the requests of both, as they are kept
  std::set<AllocationKey> releasing_;
  std::map<AllocationPtr, Outcome> stopping_;  ///< what requests to end a run wait for
  std::set<EnsembleKey> ensembles_;            ///< whose behaviours are registered
  Notify released_;                            ///< or made: what was under way with an allocation is over
  Notify stopped_;
  Mutex counting_;       ///< held by the allocation whose disk is counted
  Mutex counting_many_;  ///< the same, of one with many entries
  std::stop_source closing_;
  bool closed_ = false;
  std::optional<Results> results_;
  Nursery work_;
};

}  // namespace dms::provider
