// What a provider does by itself: removes what an earlier run left, what has expired, and keeps in touch with orchestrators.
//
// Model
//  1. clean_up() removes what an earlier run of the daemon left, whether it stopped or was killed: containers, sandboxes,
//     output and reservations. It ends before the first behaviour is registered.
//  2. Every kSweepInterval expired bids and reservations go, and allocations that were never started.
//  3. While this node has allocations of an orchestrator that it has lost sight of, it tries to reach it again: the daemon of
//     the orchestrator may have been restarted and does not know where its providers are.
//
// Threads: the node's lane; folders are removed by a worker. Cancellation: keep_clean() and keep_in_touch() run until they are
// cancelled. Failure: logged; what could not be removed is tried again at the next start.
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
  Task<void> keep_clean();
  Task<void> keep_in_touch();

 private:
  Task<void> reach(std::string host);

  const Services& services_;
  Bids& bids_;
  Reservations& reservations_;
  Allocations& allocations_;
};

}  // namespace dms::provider
