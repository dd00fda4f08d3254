// The connections of one peer: listens, dials, uses one connection per remote peer, opens and dispatches streams.
//
// Model
//  1. A peer is connected from its first connection to the end of its last. on_peer_connected and on_peer_disconnected
//     report exactly these two events, in turn.
//  2. connect() to a connected peer does nothing; concurrent connect() calls to one peer share one dial (dialer.hpp).
//     If both sides dial at the same moment there are two connections; both sides use the one whose dialer has the
//     smaller id, the other ends when it has been idle for a minute. A peer that connects again may have lost the
//     connections that it had (it was restarted while the network was cut): each of these ends unless something arrives
//     on it within kSignOfLife.
//  3. peer_store() alone knows the addresses of peers. Dials use its valid addresses and those named in the call. Named
//     addresses are kept there once the peer is connected, and so is the address that a dial has reached, both while
//     the peer is connected and for PeerStore::kRecentlyConnected after.
//  4. new_stream() proposes protocols in the given order. A single protocol that the peer is known to speak (from
//     identify) is proposed and used without waiting for the answer; if the peer refuses it after all, the first read
//     fails.
//  5. An inbound stream runs its protocol's handler as a task of this swarm; the stream ends when the handler destroys
//     it.
//  6. After close() nothing runs: listeners, dials, handshakes, connections and handlers have ended. Later calls fail
//     with Errc::closed. The destructor requires that close() was called (Nursery).
//
// Threads: everything belongs to the runtime's lane. Cancellation: a shared dial ends when the last connect() that
// waits for it is cancelled. Notifications run from the lane's loop, not inside a caller, and must not block.
//
// Attacks. Anyone may connect: handshakes are limited in number (limits.transient), in time (handshake_timeout) and in
// memory (a few KiB before the peer has proved its key, in TLS up to 160); sockets above that, or refused by the gater,
// are closed at once. Authenticated peers may open streams: their number is limited by scope (resource_limits.hpp) and
// by the muxer, their negotiation in time and size; a slow reader blocks only its own windows. One tenth of the
// connections is reserved for outbound dials, so that inbound connections cannot isolate a node. Lost peers are noticed
// by keep-alive.
//
// Specification: libp2p connections.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "crypto/keys.hpp"
#include "crypto/peer_id.hpp"
#include "libp2p/multiaddr/multiaddr.hpp"
#include "libp2p/swarm/connection_gater.hpp"
#include "libp2p/swarm/dialer.hpp"
#include "libp2p/swarm/metrics.hpp"
#include "libp2p/swarm/peer_store.hpp"
#include "libp2p/swarm/protocol_host.hpp"
#include "libp2p/swarm/resource_limits.hpp"
#include "libp2p/transports/transport.hpp"
#include "runtime/nursery.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p {

inline constexpr Duration kSignOfLife = 10s;

struct SwarmOptions {
  std::size_t max_streams = kMaxStreams;  ///< per connection and direction (transports/connection.hpp)
  DialOptions dial;
  Duration handshake_timeout = 10s;
  Duration negotiation_timeout = 10s;  ///< for a stream's protocol
  Duration keep_alive = 30s;           ///< a silent connection gets a ping and has as long again to answer
  Duration idle_timeout = 0s;          ///< closes connections without streams; 0: only duplicates, after a minute
  /// Security protocols that a dialer proposes, in this order, out of "/tls/1.0.0" and "/noise"; a listener accepts
  /// both. Several proposals cost one round trip more than a single one (upgrader.hpp). The default is that of the
  /// existing NuNet nodes (go-libp2p) and reaches listeners that speak only one of the two.
  std::vector<std::string> security = {"/tls/1.0.0", "/noise"};
  ResourceLimits limits;
  PeerStoreOptions peer_store;
  std::shared_ptr<ConnectionGater> gater;  ///< null: nothing is refused
};

struct ConnectionInfo {
  Side side = Side::dialer;
  Multiaddr local;
  Multiaddr remote;
  std::string security;  ///< "/noise"; empty if unknown
  std::string muxer;     ///< "/yamux/1.0.0"; empty if unknown
};

class Swarm final : public ProtocolHost {
 public:
  Swarm(Runtime runtime, crypto::PrivateKey key, SwarmOptions options = {});
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;
  ~Swarm() override;

  [[nodiscard]] const crypto::PeerId& self() const override;
  [[nodiscard]] const crypto::PrivateKey& key() const override;
  [[nodiscard]] Runtime runtime() const override;

  /// Errc::unsupported if no transport handles the address, Errc::already_exists if the port is taken.
  Result<void> listen(const Multiaddr& address);
  /// The addresses at which this peer listens, each with /p2p/<self>; 0.0.0.0 and :: stand for all interface addresses
  /// of their family.
  [[nodiscard]] std::vector<Multiaddr> addresses() const;

  /// Tries `addresses` and those that the peer store has (dialer.hpp). Errc::not_found if there is none.
  Task<Result<void>> connect(crypto::PeerId peer, std::vector<Multiaddr> addresses = std::vector<Multiaddr>());
  Task<Result<void>> connect(PeerAddress to);
  /// Ends all connections to `peer`, if any.
  void disconnect(const crypto::PeerId& peer);

  using ProtocolHost::new_stream;
  Task<Result<std::unique_ptr<Stream>>> new_stream(crypto::PeerId peer, std::vector<std::string> protocols) override;
  Task<Result<std::unique_ptr<Stream>>> new_stream_if_connected(crypto::PeerId peer,
                                                                std::vector<std::string> protocols) override;
  void set_stream_handler(std::string protocol, StreamHandler handler) override;
  void remove_stream_handler(const std::string& protocol) override;
  [[nodiscard]] std::vector<std::string> protocols() const;

  [[nodiscard]] std::vector<crypto::PeerId> peers() const override;
  [[nodiscard]] bool connected(const crypto::PeerId& peer) const;
  [[nodiscard]] std::size_t connections() const;
  /// The remote address of the oldest connection.
  [[nodiscard]] std::optional<Multiaddr> remote_address(const crypto::PeerId& peer) const;
  [[nodiscard]] std::optional<crypto::PublicKey> remote_key(const crypto::PeerId& peer) const;
  /// The oldest connection to `peer`.
  [[nodiscard]] std::optional<ConnectionInfo> connection(const crypto::PeerId& peer) const;

  [[nodiscard]] const ResourceManager& resources() const;
  /// What is known of other peers: dials read it; identify and other sources of addresses fill it.
  [[nodiscard]] PeerStore& peer_store();

  [[nodiscard]] const SwarmMetrics& metrics() const;
  [[nodiscard]] const DialCounters& dials() const;
  void register_metrics(metrics::Registry& registry);

  NotificationId on_peer_connected(PeerCallback callback) override;
  NotificationId on_peer_disconnected(PeerCallback callback) override;
  /// Called at once when a listener or a protocol is added or removed; the callback must only record it.
  NotificationId on_local_change(std::function<void()> callback);
  void remove_notification(NotificationId id) override;

  /// The protocols that `peer` speaks, as identify has learned. Forgotten when the peer disconnects.
  void set_protocols(const crypto::PeerId& peer, std::vector<std::string> protocols);
  [[nodiscard]] std::vector<std::string> protocols(const crypto::PeerId& peer) const;

  Task<void> close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dms::libp2p
