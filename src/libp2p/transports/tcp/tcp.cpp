#include "libp2p/transports/tcp/tcp.hpp"

#include <algorithm>
#include <utility>

namespace dms::libp2p {
namespace {

class TcpIncoming final : public Incoming {
 public:
  TcpIncoming(Accepted accepted, Upgrader& upgrader)
      : accepted_(std::move(accepted)), remote_(Multiaddr::tcp(accepted_.remote)), upgrader_(upgrader) {}

  [[nodiscard]] const Multiaddr& remote() const override { return remote_; }
  Task<Result<Connection>> complete() override {
    CO_TRY(Connection connection,
           co_await upgrader_.upgrade(std::move(accepted_.stream), Side::listener, std::nullopt));
    connection.local = Multiaddr::tcp(accepted_.local);
    connection.remote = remote_;
    co_return std::move(connection);
  }

 private:
  Accepted accepted_;
  Multiaddr remote_;
  Upgrader& upgrader_;
};

}  // namespace

class TcpTransport::ListenerOfTcp final : public TransportListener {
 public:
  ListenerOfTcp(TcpTransport& transport, std::unique_ptr<Listener> listener)
      : transport_(transport), listener_(std::move(listener)), address_(Multiaddr::tcp(listener_->local())) {
    transport_.listening_.push_back(listener_->local());
  }
  ~ListenerOfTcp() override { close(); }

  Task<Result<std::unique_ptr<Incoming>>> accept() override {
    CO_TRY(Accepted accepted, co_await listener_->accept());
    std::unique_ptr<Incoming> incoming = std::make_unique<TcpIncoming>(std::move(accepted), transport_.upgrader_);
    co_return std::move(incoming);
  }
  [[nodiscard]] const Multiaddr& address() const override { return address_; }
  void close() override {
    listener_->close();
    if (!std::exchange(closed_, true)) std::erase(transport_.listening_, listener_->local());
  }

 private:
  TcpTransport& transport_;
  std::unique_ptr<Listener> listener_;
  Multiaddr address_;
  bool closed_ = false;
};

/// The local end of a dial. A listener on all addresses serves every destination of its family; one on the loopback
/// only the loopback, one on an address of the network only the network.
std::optional<IpEndpoint> TcpTransport::source_for(const IpEndpoint& to) const {
  const IpEndpoint* best = nullptr;
  for (const IpEndpoint& at : listening_) {
    if (at.address.is_v6() != to.address.is_v6()) continue;
    if (at.address.is_unspecified()) {
      best = &at;
      break;
    }
    if (best == nullptr && at.address.is_loopback() == to.address.is_loopback() && at.zone == to.zone) best = &at;
  }
  if (best == nullptr) return std::nullopt;
  if (best->port != to.port) return *best;
  // The same port at the remote end may be the local one. A socket that dials itself connects to itself.
  if (to.address.is_loopback() || to.address.is_unspecified()) return std::nullopt;
  const auto interfaces = net_.interface_addresses();
  if (!interfaces || std::ranges::find(*interfaces, to.address) != interfaces->end()) return std::nullopt;
  return *best;
}

Task<Result<Connection>> TcpTransport::upgrade(Accepted raw, crypto::PeerId peer) {
  const Multiaddr local = Multiaddr::tcp(raw.local), remote = Multiaddr::tcp(raw.remote);
  CO_TRY(Connection connection, co_await upgrader_.upgrade(std::move(raw.stream), Side::dialer, peer));
  connection.local = local;
  connection.remote = remote;
  co_return std::move(connection);
}

Task<Result<Connection>> TcpTransport::dial(Multiaddr address, crypto::PeerId peer) {
  const auto endpoint = address.tcp_endpoint();
  if (!endpoint) co_return fail(Errc::unsupported, "{}: not an IP address and a TCP port", address.to_string());
  const auto source = source_for(*endpoint);
  Task<Result<Accepted>> connecting = source ? net_.connect_tcp_from(*source, *endpoint) : net_.connect_tcp(*endpoint);
  CO_TRY(Accepted raw, co_await std::move(connecting));
  const bool from_listener = source && raw.local.port == source->port;
  Result<Connection> connection = co_await upgrade(std::move(raw), peer);
  if (connection || !from_listener) co_return std::move(connection);
  // A malformed handshake may be a simultaneous open. One that was refused or cut off would fail again.
  for (Errc final : {Errc::permission_denied, Errc::closed, Errc::cancelled, Errc::deadline_exceeded})
    if (connection.error().is(final)) co_return std::move(connection);
  CO_TRY(Accepted again, co_await net_.connect_tcp(*endpoint));
  co_return co_await upgrade(std::move(again), peer);
}

Result<std::unique_ptr<TransportListener>> TcpTransport::listen(const Multiaddr& address) {
  const auto endpoint = address.tcp_endpoint();
  if (!endpoint) return fail(Errc::unsupported, "{}: not an IP address and a TCP port", address.to_string());
  TRY(auto listener, net_.listen_tcp(*endpoint));
  listener->share_port();
  return std::make_unique<ListenerOfTcp>(*this, std::move(listener));
}

}  // namespace dms::libp2p
