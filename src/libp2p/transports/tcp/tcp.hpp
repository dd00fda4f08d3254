// libp2p over TCP: /ip4|ip6/<address>/tcp/<port>, and /ip6zone/<interface>/ip6/... for link-local addresses.
//
// Model
//  1. IPv4 and IPv6 are separate: a listener on /ip6/:: does not accept IPv4, and both families can listen on one port
//     number.
//  2. A dial leaves from the port of a listener of the same family where possible, so that the peer observes an address
//     at which this node can be reached. Otherwise it leaves from any port.
//  3. Two peers that dial each other from these ports at the same moment may share one TCP connection that both think
//     they have dialed (simultaneous open). Their handshake fails; then each tries once more, from any port.
//
// Failures: Errc::unsupported for addresses of another form, names included (multiaddr/resolve.hpp resolves those
// first); Errc::not_found if the zone names no interface; otherwise those of Net and of the upgrade.
//
// Specification: libp2p addressing; connections, "Simultaneous open" in simopen.md for 3.
#pragma once

#include <vector>

#include "libp2p/transports/transport.hpp"

namespace dms::libp2p {

class TcpTransport final : public Transport {
 public:
  /// Both outlive the transport, and the transport what it makes.
  TcpTransport(Net& net, Upgrader& upgrader) : net_(net), upgrader_(upgrader) {}

  [[nodiscard]] bool handles(const Multiaddr& address) const override { return address.tcp_endpoint().has_value(); }
  Task<Result<Connection>> dial(Multiaddr address, crypto::PeerId peer) override;
  Result<std::unique_ptr<TransportListener>> listen(const Multiaddr& address) override;

 private:
  class ListenerOfTcp;
  Task<Result<Connection>> upgrade(Accepted raw, crypto::PeerId peer);
  [[nodiscard]] std::optional<IpEndpoint> source_for(const IpEndpoint& to) const;

  Net& net_;
  Upgrader& upgrader_;
  std::vector<IpEndpoint> listening_;
};

}  // namespace dms::libp2p
