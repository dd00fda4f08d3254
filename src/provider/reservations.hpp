// Phase one of a deployment: a commit turns an open bid into reserved resources for one allocation.
//
// Model
//  1. A commit needs an open bid to the same orchestrator. The reservations and allocations of an ensemble together
//     hold at most what was bid for the node that the commit names. Repeated, it answers as the first time.
//  2. A reservation expires with its bid. claim() turns it into an allocation; cancel() and expiry free its resources.
//  3. Each step is on disk when it returns (resources/manager.hpp). Steps are taken one at a time.
//  4. close() cancels all reservations; from then on none is made or claimed.
//
// Threads: the node's lane, which is free while the disk writes. A step that has begun is not cancelled. Cost: linear
// in the reservations of the node. Failure: Errc::not_found without an open bid or a reservation, already_exists,
// limit_exceeded for more than was bid or reserved. Attacks: one orchestrator does not see the reservations of another
// (keys.hpp); how much is reserved is bounded by the machine's own resources, for how long by kBidTime, and how many of
// one orchestrator by kMaxAllocations, a quarter of what the manager keeps.
#pragma once

#include "provider/bids.hpp"
#include "provider/local_names.hpp"
#include "resources/manager.hpp"
#include "runtime/mutex.hpp"

namespace dms::provider {

class Reservations {
 public:
  struct Reservation {
    LocalName name;
    capability::Resources resources;
    SteadyTime expires;
  };
  /// What is known of the node's allocations.
  struct Allocated {
    std::function<Result<capability::Resources>(const EnsembleKey&)> resources;
    std::function<bool(const AllocationKey&)> exists;  ///< also while it is being removed
  };
  struct Parts {
    actor::Actor& root;
    const Bids& bids;
    LocalNames& names;
    resources::Manager& resources;
    Metrics& metrics;
  };

  Reservations(Parts parts, Allocated allocated) : parts_(parts), allocated_(std::move(allocated)) {}

  /// Behaviour protocol::kCommit.
  Task<protocol::Ack> commit(protocol::CommitRequest request, const actor::Envelope& envelope);
  Task<Result<void>> reserve(protocol::CommitRequest request, did::Did owner);
  /// Takes the reservation for an allocation that wants `wanted`; its resources are allocated from now on.
  Task<Result<Reservation>> claim(AllocationKey key, capability::Resources wanted);
  /// Succeeds if there is no reservation. What cannot be freed stays reserved, and can be cancelled again.
  Task<Result<void>> cancel(AllocationKey key);
  /// Cancels expired reservations.
  Task<void> sweep();
  Task<void> close();

  [[nodiscard]] std::size_t size() const { return reservations_.size(); }

 private:
  [[nodiscard]] Result<void> check(const AllocationKey& key, const protocol::CommitRequest& request,
                                   const Bids::Open& bid) const;
  Task<Result<void>> remove(std::map<AllocationKey, Reservation>::iterator reservation);
  void count() { parts_.metrics.open_reservations.set(static_cast<std::int64_t>(reservations_.size())); }
  [[nodiscard]] SteadyTime now() const { return parts_.root.lane().now(); }

  Parts parts_;
  Allocated allocated_;
  Mutex stepping_;
  bool closed_ = false;
  std::map<AllocationKey, Reservation> reservations_;
};

}  // namespace dms::provider
