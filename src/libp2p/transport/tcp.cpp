#include "libp2p/transport/tcp.hpp"

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

class TcpTransportListener final : public TransportListener {
 public:
  TcpTransportListener(std::unique_ptr<Listener> listener, Upgrader& upgrader)
      : listener_(std::move(listener)), address_(Multiaddr::tcp(listener_->local())), upgrader_(upgrader) {}

  Task<Result<std::unique_ptr<Incoming>>> accept() override {
    CO_TRY(Accepted accepted, co_await listener_->accept());
    std::unique_ptr<Incoming> incoming = std::make_unique<TcpIncoming>(std::move(accepted), upgrader_);
    co_return std::move(incoming);
  }
  [[nodiscard]] const Multiaddr& address() const override { return address_; }
  void close() override { listener_->close(); }

 private:
  std::unique_ptr<Listener> listener_;
  Multiaddr address_;
  Upgrader& upgrader_;
};

}  // namespace

Task<Result<Connection>> TcpTransport::dial(Multiaddr address, crypto::PeerId peer) {
  const auto endpoint = address.tcp_endpoint();
  if (!endpoint) co_return fail(Errc::unsupported, "{}: not an IP address and a TCP port", address.to_string());
  CO_TRY(Accepted raw, co_await net_.connect_tcp(*endpoint));
  CO_TRY(Connection connection, co_await upgrader_.upgrade(std::move(raw.stream), Side::dialer, peer));
  connection.local = Multiaddr::tcp(raw.local);
  connection.remote = Multiaddr::tcp(raw.remote);
  co_return std::move(connection);
}

Result<std::unique_ptr<TransportListener>> TcpTransport::listen(const Multiaddr& address) {
  const auto endpoint = address.tcp_endpoint();
  if (!endpoint) return fail(Errc::unsupported, "{}: not an IP address and a TCP port", address.to_string());
  TRY(auto listener, net_.listen_tcp(*endpoint));
  return std::make_unique<TcpTransportListener>(std::move(listener), upgrader_);
}

}  // namespace dms::libp2p
