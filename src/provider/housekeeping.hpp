// Background work of a provider: removal of what has expired, contact with orchestrators.
//
// Model
//  1. Every kSweepInterval expired bids and reservations are removed, allocations whose retention has passed, and what
//     could not be removed before.
//  2. While this node has allocations of an orchestrator to which it has no connection, it tries to connect: the
//     orchestrator's daemon may have been restarted. Its addresses are the network's to know (daemon/address_book.hpp).
//  3. An orchestrator that does not renew its leases is pinged when nothing has been heard from it for a step of its
//     silence (leases.hpp); an answer of its host counts as contact.
//
// Threads: the node's lane. Cancellation: both run until they are cancelled. Failure: logged.
#pragma once

#include "provider/allocations.hpp"

namespace dms::provider {

inline constexpr Duration kSweepInterval = 60s;
inline constexpr Duration kReconnectInterval = 10s;
inline constexpr Duration kReconnectTimeout = 5s;

class Housekeeping {
 public:
  Housekeeping(const Services& services, Bids& bids, Reservations& reservations, Allocations& allocations)
      : services_(services), bids_(bids), reservations_(reservations), allocations_(allocations) {}

  Task<void> sweep_expired();
  Task<void> reconnect();

 private:
  Task<void> contact(crypto::PeerId peer, std::set<did::Did> owners, bool was_lost);

  const Services& services_;
  Bids& bids_;
  Reservations& reservations_;
  Allocations& allocations_;
};

}  // namespace dms::provider
