// A transport that asks before it acts: the gater whether a connection is wanted, the resource manager whether there is
// room.
//
// Model
//  1. Every connection it makes carries its place (Connection::place); the place is taken before a dial is begun or a
//     knock is answered, and moves to the peer when that is proved. From then on its muxer reserves there what it buffers.
//  2. A dial that is refused, before or after the other side has answered, ends with DialErrc::refused_here around the
//     reason.
//  3. An inbound connection that is refused is closed at once, before anything is read, and accept() goes on to the
//     next.
//
// Cost to an attacker's victim: an accept, a few comparisons, a close. Refusals of strangers are logged at debug and
// counted.
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
    std::uint64_t fds = 1;             ///< what a connection takes
  };

  /// What `guard` names outlives the transport and what it makes.
  GuardedTransport(std::unique_ptr<Transport> inner, Guard guard) : inner_(std::move(inner)), guard_(guard) {}

  [[nodiscard]] bool handles(const Multiaddr& address) const override { return inner_->handles(address); }
  Task<Result<Connection>> dial(Multiaddr address, crypto::PeerId peer) override;
  Result<std::unique_ptr<TransportListener>> listen(const Multiaddr& address) override;

 private:
  std::unique_ptr<Transport> inner_;
  Guard guard_;
};

}  // namespace dms::libp2p
