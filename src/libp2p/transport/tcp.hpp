// libp2p over TCP: /ip4|ip6/<address>/tcp/<port>.
//
// Names (/dns4/...) are not resolved here: Net has no resolver. They are refused with Errc::unsupported.
#pragma once

#include "libp2p/transport/transport.hpp"

namespace dms::libp2p {

class TcpTransport final : public Transport {
 public:
  /// Both outlive the transport and what it makes.
  TcpTransport(Net& net, Upgrader& upgrader) : net_(net), upgrader_(upgrader) {}

  [[nodiscard]] bool handles(const Multiaddr& address) const override { return address.tcp_endpoint().has_value(); }
  Task<Result<Connection>> dial(Multiaddr address, crypto::PeerId peer) override;
  Result<std::unique_ptr<TransportListener>> listen(const Multiaddr& address) override;

 private:
  Net& net_;
  Upgrader& upgrader_;
};

}  // namespace dms::libp2p
