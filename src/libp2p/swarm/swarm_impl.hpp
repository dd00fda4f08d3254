// Internal to Swarm: its state and its tasks.
#pragma once

#include "libp2p/swarm/dialer.hpp"
#include "libp2p/swarm/guarded_transport.hpp"
#include "libp2p/swarm/swarm.hpp"
#include "libp2p/swarm/upgrader.hpp"
#include "libp2p/transports/tcp/tcp.hpp"

namespace dms::libp2p {

struct Swarm::Impl final : Dialer::Owner {
  /// One connection, from the end of its handshake to its own end.
  struct Link {
    std::uint64_t id = 0;
    Connection connection;
    std::size_t handlers = 0;  ///< running on its inbound streams
    Notify handler_done;       ///< or the connection has ended
    bool ended = false;        ///< reported by its muxer
    bool ending = false;       ///< the muxer's close() was called
    SteadyTime busy{};         ///< when it last had a stream
  };
  using LinkPtr = std::shared_ptr<Link>;

  struct Notification {
    bool on_connected = false;
    PeerCallback callback;
  };

  Impl(Runtime runtime, crypto::PrivateKey private_key, SwarmOptions opts);

  // Listening.
  Result<void> listen(const Multiaddr& address);
  Task<void> accept_loop(TransportListener& listener);
  Task<void> admit(std::unique_ptr<Incoming> incoming);
  [[nodiscard]] std::vector<Multiaddr> addresses() const;

  // Dialing.
  Task<Result<void>> connect(crypto::PeerId peer, std::vector<Multiaddr> addresses);
  [[nodiscard]] Transport* transport_for(const Multiaddr& address) const override;
  [[nodiscard]] bool usable_connection(const crypto::PeerId& peer) const override { return usable(peer) != nullptr; }

  // Connections.
  Result<void> add_connection(Connection connection) override;
  void drop(const LinkPtr& link);
  Task<void> serve(LinkPtr link);
  Task<Result<void>> wait_for_handler_slot(LinkPtr link);
  Task<void> end(LinkPtr link);
  Task<void> close_unused(Connection connection);
  Task<void> maintain();
  [[nodiscard]] LinkPtr usable(const crypto::PeerId& peer) const;
  [[nodiscard]] LinkPtr preferred(const std::vector<LinkPtr>& of_peer) const;

  // Streams.
  Task<Result<std::unique_ptr<Stream>>> new_stream(crypto::PeerId peer, std::vector<std::string> protocols);
  Task<Result<std::unique_ptr<Stream>>> new_stream_if_connected(crypto::PeerId peer,
                                                                std::vector<std::string> protocols);
  Task<Result<std::unique_ptr<Stream>>> open(LinkPtr link, std::vector<std::string> protocols);
  Task<void> handle(LinkPtr link, std::unique_ptr<ByteStream> stream, StreamReservation reservation);

  void announce(const crypto::PeerId& peer, bool connected);
  Task<void> notify(crypto::PeerId peer, bool connected);
  void changed() const;

  Runtime runtime;
  crypto::PrivateKey key;
  crypto::PeerId self;
  SwarmOptions options;
  ResourceManager resources;
  SwarmMetrics metrics;
  PeerStore peer_store;
  StandardUpgrader upgrader;
  std::vector<std::unique_ptr<Transport>> transports;
  std::vector<std::unique_ptr<TransportListener>> listeners;

  std::map<crypto::PeerId, std::vector<LinkPtr>> links;  ///< oldest first, never empty
  std::size_t link_count = 0;
  std::uint64_t last_id = 0;
  std::map<crypto::PeerId, std::vector<std::string>> peer_protocols;
  std::map<std::string, StreamHandler, std::less<>> handlers;
  std::map<NotificationId, Notification> notifications;
  std::map<NotificationId, std::function<void()>> watchers;  ///< of local changes
  std::uint64_t last_notification = 0;
  bool closed = false;
  Nursery nursery;
  Dialer dialer;
};

}  // namespace dms::libp2p
