// A libp2p peer as applications use it: connections and streams (a Swarm), and the protocols identify and ping on them.
//
// Model
//  1. Connections, streams and handlers behave as swarm/swarm.hpp specifies. On every new connection both sides
//     identify themselves; identify() returns what was learned.
//  2. connection_manager() keeps the number of peers between its watermarks.
//  3. close() ends everything and must be awaited before the Host is destroyed. A PubSub or PerfServer on this host is
//     closed before it.
#pragma once

#include "libp2p/protocols/identify/identify.hpp"
#include "libp2p/protocols/ping/ping.hpp"
#include "libp2p/swarm/connection_manager.hpp"
#include "libp2p/swarm/swarm.hpp"

namespace dms::libp2p {

class Host final : public ProtocolHost {
 public:
  struct Options {
    SwarmOptions swarm;
    IdentifyOptions identify;
    ConnectionManagerOptions connections;
  };

  Host(Runtime runtime, crypto::PrivateKey key) : Host(runtime, std::move(key), Options{}) {}
  Host(Runtime runtime, crypto::PrivateKey key, Options options)
      : swarm_(runtime, std::move(key), std::move(options.swarm)),
        identify_(swarm_, std::move(options.identify)),
        ping_(swarm_),
        connections_(swarm_, options.connections) {}

  [[nodiscard]] const crypto::PeerId& self() const override { return swarm_.self(); }
  [[nodiscard]] const crypto::PrivateKey& key() const override { return swarm_.key(); }
  [[nodiscard]] Runtime runtime() const override { return swarm_.runtime(); }

  Result<void> listen(const Multiaddr& address) { return swarm_.listen(address); }
  [[nodiscard]] std::vector<Multiaddr> addresses() const { return swarm_.addresses(); }
  Task<Result<void>> connect(crypto::PeerId peer, std::vector<Multiaddr> addresses = std::vector<Multiaddr>()) {
    return swarm_.connect(peer, std::move(addresses));
  }
  Task<Result<void>> connect(PeerAddress to) { return swarm_.connect(std::move(to)); }
  void disconnect(const crypto::PeerId& peer) { swarm_.disconnect(peer); }

  using ProtocolHost::new_stream;
  Task<Result<std::unique_ptr<Stream>>> new_stream(crypto::PeerId peer, std::vector<std::string> protocols) override {
    return swarm_.new_stream(peer, std::move(protocols));
  }
  Task<Result<std::unique_ptr<Stream>>> new_stream_if_connected(crypto::PeerId peer,
                                                                std::vector<std::string> protocols) override {
    return swarm_.new_stream_if_connected(peer, std::move(protocols));
  }
  void set_stream_handler(std::string protocol, StreamHandler handler) override {
    swarm_.set_stream_handler(std::move(protocol), std::move(handler));
  }
  void remove_stream_handler(const std::string& protocol) override { swarm_.remove_stream_handler(protocol); }

  [[nodiscard]] std::vector<crypto::PeerId> peers() const override { return swarm_.peers(); }
  [[nodiscard]] bool connected(const crypto::PeerId& peer) const { return swarm_.connected(peer); }
  /// The oldest connection to `peer`.
  [[nodiscard]] std::optional<ConnectionInfo> connection(const crypto::PeerId& peer) const {
    return swarm_.connection(peer);
  }
  [[nodiscard]] std::optional<Multiaddr> remote_address(const crypto::PeerId& peer) const {
    return swarm_.remote_address(peer);
  }
  [[nodiscard]] std::size_t connections() const { return swarm_.connections(); }
  NotificationId on_peer_connected(PeerCallback callback) override {
    return swarm_.on_peer_connected(std::move(callback));
  }
  NotificationId on_peer_disconnected(PeerCallback callback) override {
    return swarm_.on_peer_disconnected(std::move(callback));
  }
  void remove_notification(NotificationId id) override { swarm_.remove_notification(id); }

  /// The round trip time, measured over a stream of its own.
  Task<Result<Duration>> ping(crypto::PeerId peer) { return ping_.ping(peer); }
  [[nodiscard]] Identify& identify() { return identify_; }
  [[nodiscard]] ConnectionManager& connection_manager() { return connections_; }
  [[nodiscard]] PeerStore& peer_store() { return swarm_.peer_store(); }
  [[nodiscard]] const ResourceManager& resources() const { return swarm_.resources(); }
  [[nodiscard]] const SwarmMetrics& metrics() const { return swarm_.metrics(); }
  [[nodiscard]] const DialCounters& dials() const { return swarm_.dials(); }
  /// Lists the metrics of this host in `registry`.
  void register_metrics(metrics::Registry& registry) {
    swarm_.register_metrics(registry);
    identify_.metrics().register_with(registry);
  }

  Task<void> close() {
    co_await connections_.close();
    co_await identify_.close();
    co_await swarm_.close();
  }

 private:
  Swarm swarm_;
  Identify identify_;
  Ping ping_;
  ConnectionManager connections_;
};

}  // namespace dms::libp2p
