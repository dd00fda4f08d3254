// Under which address others see this peer: one opinion is a rumour, several from different places are worth telling.
//
// Model
//  1. Each connected peer has one opinion, its latest. Those who come from one IPv4 address, or one IPv6 /56, count as
//     one.
//  2. An address is confirmed when `needed` of them agree, and stays so until nobody sees it any more: one who leaves
//     does not take it back.
//
// Cost: O(peers) a report. Bounds: one opinion a peer; kMaxConfirmed addresses.
//
// Attacks: a liar has to come from `needed` places to make us announce what is not ours, and then has us announce an
// address that leads nowhere or to somebody who is not us, which a dialler notices in the handshake.
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

  /// `observer`, who comes from `from`, sees us at `seen`. True if confirmed() is now another.
  bool report(const crypto::PeerId& observer, const IpAddress& from, const Multiaddr& seen);
  /// The observer has gone. True if confirmed() is now another.
  bool forget(const crypto::PeerId& observer);

  [[nodiscard]] std::vector<Multiaddr> confirmed() const { return {confirmed_.begin(), confirmed_.end()}; }
  /// From how many places `address` is seen.
  [[nodiscard]] std::size_t places(const Multiaddr& address) const;

 private:
  struct Opinion {
    Bytes place;
    Multiaddr seen;
  };
  bool reconsider(const Multiaddr& address);

  std::size_t needed_;
  std::map<crypto::PeerId, Opinion> opinions_;
  std::set<Multiaddr> confirmed_;
};

}  // namespace dms::libp2p
