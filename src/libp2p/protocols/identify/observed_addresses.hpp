// The addresses under which other peers see this one; an address counts once several independent observers agree.
//
// Model
//  1. Each connected peer has one observation, its latest. Observers at one IPv4 address, or in one IPv6 /56, count as
//     one.
//  2. An address is confirmed when `needed` observers agree, and stays so until no observer sees it any more: a single
//     observer that disconnects does not revoke it.
//
// Cost: O(peers) per report. Bounds: one observation per peer; kMaxConfirmed addresses.
//
// Attacks: an attacker needs `needed` network locations to make this node announce a wrong address. Dialers of that
// address notice the wrong peer in the handshake.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "libp2p/multiaddr/multiaddr.hpp"

namespace dms::libp2p {

class ObservedAddresses {
 public:
  static constexpr std::size_t kMaxConfirmed = 8;

  explicit ObservedAddresses(std::size_t needed) : needed_(needed) {}

  /// `observer`, at the address `from`, sees this peer at `seen`. True if confirmed() has changed.
  bool report(const crypto::PeerId& observer, const IpAddress& from, const Multiaddr& seen);
  /// The observer has disconnected. True if confirmed() has changed.
  bool forget(const crypto::PeerId& observer);

  [[nodiscard]] std::vector<Multiaddr> confirmed() const { return {confirmed_.begin(), confirmed_.end()}; }
  /// The number of independent observers of `address`.
  [[nodiscard]] std::size_t observers(const Multiaddr& address) const;

 private:
  struct Observation {
    Bytes location;
    Multiaddr seen;
  };
  bool update(const Multiaddr& address);

  std::size_t needed_;
  std::map<crypto::PeerId, Observation> observations_;
  std::set<Multiaddr> confirmed_;
};

}  // namespace dms::libp2p
