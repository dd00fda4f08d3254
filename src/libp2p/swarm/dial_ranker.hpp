// Orders the addresses of a peer for dialing: those that are likely to succeed come first, the others a little
// later.
//
// Model
//  1. Addresses fall into groups: private (loopback, link-local and local networks), public, relayed, and others (no IP
//     address). Private and public ones start at once, in parallel; relayed ones half a second later if there is a
//     public one; the others after all of these.
//  2. Within a group QUIC comes before TCP, and TCP starts one step after the last QUIC address. Of each of the two:
//     IPv6 before IPv4 and lower ports first; the first starts at once, the first of the other family a step later
//     (happy eyeballs), the rest a step after that.
//  3. A step is 250 ms for public addresses, 30 ms for private ones: about a round trip.
//
// The delays are upper bounds: the dialer does not wait while no attempt is under way.
//
// Specification: RFC 8305 for the idea; the groups and the delays are those of go-libp2p's default dial ranker.
#pragma once

#include <vector>

#include "libp2p/multiaddr/multiaddr.hpp"

namespace dms::libp2p {

struct RankOptions {
  Duration public_step = 250ms;
  Duration private_step = 30ms;
  Duration relay_delay = 500ms;
  Duration public_other_delay = 1s;  ///< for what is neither QUIC nor TCP
  Duration private_other_delay = 100ms;
};

struct RankedAddress {
  Multiaddr address;
  Duration delay{};
  friend bool operator==(const RankedAddress&, const RankedAddress&) = default;
};

/// All of `addresses`, by delay.
std::vector<RankedAddress> rank_addresses(std::vector<Multiaddr> addresses, const RankOptions& options = {});

}  // namespace dms::libp2p
