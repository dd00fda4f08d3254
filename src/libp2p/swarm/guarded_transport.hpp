// A transport that makes only connections that the gater allows and the resource manager admits.
//
// Model
//  1. Every connection it makes carries its reservation (Connection::reservation), which is made before a dial begins
//     or an inbound connection is handled, and moves to the peer when that is proved. From then on the muxer reserves
//     its buffers there.
//  2. A dial that is refused, before or after the remote end has answered, ends with DialErrc::refused_here around the
//     reason.
//  3. An inbound connection that is refused is closed at once, before anything is read, and accept() continues with the
//     next.
//
// Attacks: a refused inbound connection costs an accept, a few comparisons and a close. Refusals are logged at debug
// and counted.
#pragma once

#include "libp2p/swarm/connection_gater.hpp"
#include "libp2p/swarm/resource_limits.hpp"
#include "libp2p/transports/transport.hpp"

namespace dms::libp2p {

class GuardedTransport final : public Transport {
 public:
  struct Guard {
    ResourceManager& resources;
    ConnectionGater* gater = nullptr;  ///< may be null
    std::uint64_t fds = 1;             ///< of one connection
  };

  /// What `guard` refers to outlives the transport and its connections.
  GuardedTransport(std::unique_ptr<Transport> inner, Guard guard) : inner_(std::move(inner)), guard_(guard) {}

  [[nodiscard]] bool handles(const Multiaddr& address) const override { return inner_->handles(address); }
  Task<Result<Connection>> dial(Multiaddr address, crypto::PeerId peer) override;
  Result<std::unique_ptr<TransportListener>> listen(const Multiaddr& address) override;

 private:
  std::unique_ptr<Transport> inner_;
  Guard guard_;
};

}  // namespace dms::libp2p
