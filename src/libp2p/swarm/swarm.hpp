// The connections of one peer: listens, dials, keeps one connection per peer in use, opens and hands out streams.
//
// Model
//  1. A peer is connected from its first connection to the end of its last. on_peer_connected and on_peer_disconnected
//     tell of exactly these two moments, in turn.
//  2. connect() to a connected peer does nothing; two connect() to the same peer at once share one dial (dialer.hpp).
//     If both sides dial at the same moment there are two connections; both sides use the one whose dialer has the
//     smaller id, the other ends when it has been idle for a minute.
//  3. Where a peer can be dialled is known by peer_store() alone. Whatever is dialled comes from there, while it is alive,
//     or from the call. What a call has named is kept there once the peer is connected, and so is the address that a
//     dial has reached, both while the peer is connected and for PeerStore::kRecentlyConnected after.
//  4. new_stream() proposes protocols in the given order. A single protocol that the peer is known to speak (from
//     identify) is proposed and used without waiting for the answer; if the peer refuses after all, the first read
//     fails.
//  5. An inbound stream runs its protocol's handler as a task of this swarm; the stream ends when the handler lets it
//     go.
//  6. After close() nothing runs: listeners, dials, handshakes, connections and handlers have ended. Later calls fail
//     with Errc::closed. The destructor insists that close() was called (Nursery).
//
// Threads: everything belongs to the runtime's lane. Cancellation: a shared dial ends when the last connect() that
// waits for it is cancelled. Notifications run from the lane's loop, not inside a caller, and must not block.
//
// Attacks. A stranger may connect at will: handshakes are limited in number (limits.transient), in time
// (handshake_timeout) and in memory (a few KiB before the peer has proved its key, in TLS up to 160); sockets above
// that, or that the gater refuses, are dropped at once. A peer that has authenticated may open streams: their number is
// limited by scope (resource_limits.hpp) and by the muxer, their negotiation in time and size; a slow reader holds only
// its own windows. One tenth of the connections stays reserved for our own dials, so that strangers cannot cut a node
// off. Lost peers are noticed by keep-alive.
//
// Specification: libp2p connections.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/nursery.hpp"
#include "runtime/stream.hpp"
#include "crypto/keys.hpp"
#include "crypto/peer_id.hpp"
#include "libp2p/swarm/connection_gater.hpp"
#include "libp2p/swarm/dialer.hpp"
#include "libp2p/swarm/peer_store.hpp"
#include "libp2p/swarm/resource_limits.hpp"
#include "libp2p/swarm/stream.hpp"
#include "libp2p/multiaddr/multiaddr.hpp"
#include "libp2p/transports/transport.hpp"

namespace dms::libp2p {

enum class NotificationId : std::uint64_t {};

struct SwarmOptions {
  std::size_t max_streams = kMaxStreams;  ///< per connection and direction (transport/connection.hpp)
  DialOptions dial;
  Duration handshake_timeout = 10s;
  Duration negotiation_timeout = 10s;  ///< of a stream's protocol
  Duration keep_alive = 30s;           ///< a silent connection is asked; it has as long again to answer
  Duration idle_timeout = 0s;          ///< closes connections without streams; 0: only superfluous ones, after a minute
  /// Security protocols that a dialer proposes, in this order, out of "/tls/1.0.0" and "/noise"; a listener accepts both.
  /// Several proposals cost one round trip more than a single one (upgrader.hpp). The default is that of the existing NuNet
  /// nodes (go-libp2p) and reaches listeners that speak only one of the two.
  std::vector<std::string> security = {"/tls/1.0.0", "/noise"};
  ResourceLimits limits;
  PeerStoreOptions peer_store;
  std::shared_ptr<ConnectionGater> gater;  ///< null: everybody is wanted
};

struct ConnectionInfo {
  Side side = Side::dialer;
  Multiaddr local;
  Multiaddr remote;
  std::string security;  ///< "/noise"; empty if unknown
  std::string muxer;     ///< "/yamux/1.0.0"; empty if unknown
};

class Swarm {
 public:
  using StreamHandler = std::function<Task<void>(std::unique_ptr<Stream>)>;
  using PeerCallback = std::function<void(const crypto::PeerId&)>;

  Swarm(Runtime runtime, crypto::PrivateKey key, SwarmOptions options = {});
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;
  ~Swarm();

  [[nodiscard]] const crypto::PeerId& self() const;
  [[nodiscard]] const crypto::PrivateKey& key() const;
  [[nodiscard]] Runtime runtime() const;

  /// Errc::unsupported if no transport handles the address, Errc::already_exists if the port is taken.
  Result<void> listen(const Multiaddr& address);
  /// Where this peer can be reached, each with /p2p/<self>; 0.0.0.0 and :: stand for all interface addresses of their family.
  [[nodiscard]] std::vector<Multiaddr> addresses() const;

  /// Tries `addresses` and those that the peer store has alive (dialer.hpp says how). Errc::not_found if there is none.
  Task<Result<void>> connect(crypto::PeerId peer, std::vector<Multiaddr> addresses = {});
  Task<Result<void>> connect(PeerAddress to);
  /// Ends all connections to `peer`. Nothing happens if there is none.
  void disconnect(const crypto::PeerId& peer);

  /// Connects first if need be. Errc::unsupported if the peer speaks none of the protocols.
  Task<Result<std::unique_ptr<Stream>>> new_stream(crypto::PeerId peer, std::vector<std::string> protocols);
  Task<Result<std::unique_ptr<Stream>>> new_stream(crypto::PeerId peer, std::string protocol);
  /// The same over a connection that is there; never dials. Errc::closed if there is none.
  Task<Result<std::unique_ptr<Stream>>> new_stream_if_connected(crypto::PeerId peer,
                                                                std::vector<std::string> protocols);
  /// Replaces a handler of the same name. Any text of 1 to 256 printable characters is a protocol name.
  void set_stream_handler(std::string protocol, StreamHandler handler);
  /// New streams are refused; handlers that run go on.
  void remove_stream_handler(const std::string& protocol);
  [[nodiscard]] std::vector<std::string> protocols() const;

  [[nodiscard]] std::vector<crypto::PeerId> peers() const;
  [[nodiscard]] bool connected(const crypto::PeerId& peer) const;
  [[nodiscard]] std::size_t connections() const;
  /// The remote address of the connection in use.
  [[nodiscard]] std::optional<Multiaddr> remote_address(const crypto::PeerId& peer) const;
  [[nodiscard]] std::optional<crypto::PublicKey> remote_key(const crypto::PeerId& peer) const;
  /// The oldest connection to `peer`, described.
  [[nodiscard]] std::optional<ConnectionInfo> connection(const crypto::PeerId& peer) const;

  [[nodiscard]] ResourceManager& resources();
  /// What is known of others: dials ask it, identify and whoever else learns of addresses fill it.
  [[nodiscard]] PeerStore& peer_store();

  NotificationId on_peer_connected(PeerCallback callback);
  NotificationId on_peer_disconnected(PeerCallback callback);
  /// Called at once when a listener or a protocol comes or goes; the callback only takes note.
  NotificationId on_local_change(std::function<void()> callback);
  /// The callback is not called once this returns. Unknown ids are fine.
  void remove_notification(NotificationId id);

  /// What identify has learned: the protocols that `peer` speaks. Forgotten when the peer disconnects.
  void set_protocols(const crypto::PeerId& peer, std::vector<std::string> protocols);
  [[nodiscard]] std::vector<std::string> protocols(const crypto::PeerId& peer) const;

  Task<void> close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dms::libp2p
