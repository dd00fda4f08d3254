// Decides which connections are allowed: called at each step of a connection, refuses with a reason.
//
// Model
//  1. A dial is checked before anything is sent (dial), an inbound connection before anything is read (accept); both
//     again when the peer is proved (secured) and when streams could begin (upgraded). The first refusal ends it. Each
//     step of each connection is checked once, by GuardedTransport; in a dial with several addresses each address that
//     is tried is a step of its own, and a name is checked as the addresses it resolves to.
//  2. A refusal is an error whose text gives the reason; the local dialer sees it, a remote peer sees a closed
//     connection.
//  3. DenyList refuses peers and subnets. Changes apply to connections that begin or end their handshake later;
//     connected peers stay until disconnect().
//
// Threads: one lane; the calls return at once. Cost of DenyList: O(log peers + subnets).
#pragma once

#include <set>
#include <string_view>
#include <vector>

#include "libp2p/transports/connection.hpp"

namespace dms::libp2p {

class ConnectionGater {
 public:
  virtual ~ConnectionGater() = default;
  virtual Result<void> dial(const crypto::PeerId& /*peer*/, const Multiaddr& /*address*/) { return {}; }
  virtual Result<void> accept(const Multiaddr& /*remote*/) { return {}; }
  virtual Result<void> secured(Side /*side*/, const crypto::PeerId& /*peer*/, const Multiaddr& /*remote*/) {
    return {};
  }
  virtual Result<void> upgraded(const Connection& /*connection*/) { return {}; }
};

/// Addresses with a common prefix.
struct Subnet {
  IpAddress address;
  unsigned bits = 0;

  /// "10.0.0.0/8", "2001:db8::/32", or one address. Bits below the mask must be zero.
  static Result<Subnet> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& ip) const;
  [[nodiscard]] std::string to_string() const;
  friend auto operator<=>(const Subnet&, const Subnet&) = default;
};

class DenyList final : public ConnectionGater {
 public:
  void deny(const crypto::PeerId& peer) { peers_.insert(peer); }
  void deny(const Subnet& subnet) { subnets_.insert(subnet); }
  void allow(const crypto::PeerId& peer) { peers_.erase(peer); }
  void allow(const Subnet& subnet) { subnets_.erase(subnet); }
  [[nodiscard]] const std::set<crypto::PeerId>& peers() const { return peers_; }
  [[nodiscard]] const std::set<Subnet>& subnets() const { return subnets_; }

  Result<void> dial(const crypto::PeerId& peer, const Multiaddr& address) override;
  Result<void> accept(const Multiaddr& remote) override { return check(remote); }
  Result<void> secured(Side side, const crypto::PeerId& peer, const Multiaddr& remote) override;

 private:
  [[nodiscard]] Result<void> check(const crypto::PeerId& peer) const;
  [[nodiscard]] Result<void> check(const Multiaddr& address) const;

  std::set<crypto::PeerId> peers_;
  std::set<Subnet> subnets_;
};

}  // namespace dms::libp2p
