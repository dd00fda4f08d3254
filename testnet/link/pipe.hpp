// One direction between two hosts: when a packet arrives, and whether it does.
//
// Model
//  1. A packet waits until those before it have been sent at the bandwidth, is sent, and arrives after the delay and a
//     part of the jitter, which is drawn uniformly. Packets do not overtake each other.
//  2. A packet that finds more than `queue` bytes waiting is dropped (drop tail). Without a bandwidth nothing waits.
//  3. Of those that are sent, each is lost with probability `loss`; a lost one has used its bandwidth.
//  4. A Pipe does not hold packets: it computes the instant of arrival, and the Switch keeps the packet until then.
#pragma once

#include <cstdint>

#include "base/random.hpp"
#include "base/time.hpp"

namespace dms::testnet {

struct Quality {
  Duration delay{0};
  Duration jitter{0};
  double loss = 0;                    // 0 to 1
  std::uint64_t bits_per_second = 0;  // 0: unlimited
  std::uint64_t queue = 262'144;      // bytes
};

class Pipe {
 public:
  enum class Fate { arrives, lost, overflows };
  struct Passage {
    Fate fate;
    SteadyTime arrival;  // if it arrives
  };

  Passage send(const Quality& quality, std::size_t size, SteadyTime now, Random& random);

 private:
  SteadyTime free_{};  // when all that was admitted has been sent
  SteadyTime last_arrival_{};
};

}  // namespace dms::testnet
