// Phase two of a deployment: the allocations of this node, from their reservation to their removal.
//
// Model
//  1. allocate() turns reservations into allocations, all that a request names or none. The orchestrator gets a handle
//     and a grant for each, and a grant for its ensemble, before the reply.
//  2. Only the owner, the orchestrator that committed, reaches an allocation: it is found by the owner's DID and the
//     id.
//  3. When the work ends its resources are free; when the notification was acknowledged or given up, the rest is kept
//     for kRetention and then removed.
//  4. release() removes an allocation: when it returns, nothing of it is left. Concurrent calls wait for the first.
//
// Threads: the node's lane, which is free while disk and executor work. Cost: logarithmic in the number of allocations,
// linear for list() and sums. Failure: reported in the reply's `error`. Attacks: a request without the owner's token is
// refused by the actor; with a token of another orchestrator it finds no allocation.
#pragma once

#include "protocol/node.hpp"
#include "provider/allocation.hpp"
#include "provider/grants.hpp"
#include "provider/reservations.hpp"
#include "provider/services.hpp"

namespace dms::provider {

inline constexpr Duration kRetention = 30min;

class Allocations {
 public:
  struct Parts {
    const Services& services;
    actor::Actor& root;
    Reservations& reservations;
    Grants& grants;
    Metrics& metrics;
  };
  explicit Allocations(Parts parts) : parts_(parts), work_(parts.services.lane, "allocations") {}

  /// Behaviours protocol::kAllocate, kAllocationsList, kAllocationLogs and kAllocationShutdown.
  Task<protocol::AllocateResponse> allocate(protocol::AllocateRequest request, const actor::Envelope& envelope);
  Task<protocol::AllocationsReply> list(protocol::Nothing request, const actor::Envelope& envelope);
  Task<protocol::AllocationLogsResponse> logs(protocol::AllocationLogsRequest request, const actor::Envelope& envelope);
  Task<protocol::Ack> shutdown(protocol::AllocationShutdownRequest request, const actor::Envelope& envelope);

  /// Succeeds if there is no such allocation.
  Task<void> release(AllocationKey key);
  /// Releases what was allocated kRetention ago and has not been started.
  Task<void> sweep();
  /// Releases everything.
  Task<void> close();

  /// What the allocations of an ensemble hold together.
  [[nodiscard]] Result<capability::Resources> resources_of(const EnsembleKey& ensemble) const;
  /// Also while it is being removed.
  [[nodiscard]] bool exists(const AllocationKey& key) const {
    return allocations_.contains(key) || releasing_.contains(key);
  }
  /// The hosts of the orchestrators that own allocations here.
  [[nodiscard]] std::set<std::string> orchestrators() const;
  [[nodiscard]] std::size_t size() const { return allocations_.size(); }

 private:
  using AllocationPtr = std::shared_ptr<Allocation>;  // shared with handlers that wait on one

  Task<Result<actor::Handle>> allocate_one(AllocationKey key, protocol::AllocationConfig config, actor::Handle owner);
  Result<actor::Handle> create(const AllocationKey& key, protocol::AllocationConfig config, const actor::Handle& owner,
                               executor::Executor& engine, Reservations::Reservation& reservation);
  Result<void> open_ensemble(const EnsembleKey& ensemble);
  void close_ensemble_if_empty(const EnsembleKey& ensemble);
  [[nodiscard]] Result<AllocationPtr> find(const AllocationKey& key) const;
  Task<void> free_resources(std::string name);
  Task<void> release_later(AllocationKey key, std::weak_ptr<Allocation> ended);
  void count();

  Parts parts_;
  std::map<AllocationKey, AllocationPtr> allocations_;
  std::set<AllocationKey> releasing_;
  Notify released_;
  Nursery work_;
};

}  // namespace dms::provider
