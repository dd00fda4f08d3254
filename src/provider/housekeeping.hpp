// Background work of a provider: clean-up after an earlier run, removal of what has expired, reconnection to
// orchestrators.
//
// Model
//  1. clean_up() removes what an earlier run of the daemon left, whether it stopped or was killed: containers,
//     sandboxes, output and reservations. It ends before the first behaviour is registered.
//  2. Every kSweepInterval expired bids and reservations are removed, and allocations that were never started.
//  3. While this node has allocations of an orchestrator to which it has no connection, it tries to connect: the
//     orchestrator's daemon may have been restarted and does not know the addresses of its providers.
//
// Threads: the node's lane; folders are removed by a worker. Cancellation: sweep_expired() and reconnect() run until
// they are cancelled. Failure: logged; what could not be removed is tried again at the next start.
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

  Task<Result<void>> clean_up();
  Task<void> sweep_expired();
  Task<void> reconnect();

 private:
  Task<void> contact(std::string host);

  const Services& services_;
  Bids& bids_;
  Reservations& reservations_;
  Allocations& allocations_;
};

}  // namespace dms::provider
