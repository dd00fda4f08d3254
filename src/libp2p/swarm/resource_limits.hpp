// Who may hold how much: connections, streams, memory and file descriptors, counted by scope and refused above a limit.
//
// Model
//  1. Whatever is held is counted in every scope it belongs to, and only if all of them have room:
//       a connection whose peer is not yet proved     transient, system
//       a connection of a peer                        peer, system
//       a stream whose protocol is not yet agreed     connection, peer, transient, system
//       a stream with a protocol                      connection, peer, protocol, system
//     Memory that a stream or a connection reserves counts where it does, a stream's also in the stream itself. What
//     muxers buffer may have a share of each limit only; what is promised to each connection is counted but never
//     refused (MemoryScope, transport/connection.hpp), so a usage may exceed its limit by that.
//  2. A reservation is a value that gives back what it holds when it ends, and may outlive the manager. The usage of a
//     scope is the sum of the reservations alive.
//  3. A scope of a peer or a protocol exists as long as something is counted in it.
//  4. Inbound connections get nine tenths of the connections and descriptors of the system, so that strangers cannot
//     keep this node from dialling.
//
// A refusal is Errc::limit_exceeded and names the scope, what there is too much of, how much is held, the limit, and
// the setting that changes it. Refusals are counted by scope.
//
// Threads: one lane. Cost: a reservation is one allocation and at most five comparisons of eight numbers.
//
// Streams of one connection: how many of each direction there may be is said once, in kMaxStreams, by which a
// sender waits and its receiver refuses. The limits below are no narrower: a connection has kMaxStreams inbound places,
// a peer as many twice, because two that dial each other at once have two connections for a while. Outbound places are
// more than that, for our own streams wait for their turn in them. What narrows it further are the scopes that all
// peers share (transient, protocol, system) and memory.
//
// Attacks: this is the defence against all that knock, open and hold; kConnectionMemory and kStreamMemory are charged
// at once, so that `memory` bounds their number too. What a muxer buffers, and what it lets its peer send beyond the
// windows that streams start with, is reserved by the connection. Those who fill streams that nobody reads take three
// quarters of a limit at most, and yamux::Memory::kPromised for each of their connections.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "crypto/peer_id.hpp"
#include "libp2p/transports/connection.hpp"

namespace dms::libp2p {

/// As many of each. Of a limit, the most that may be held; of a usage, what is.
struct Amounts {
  std::uint64_t connections_inbound = 0;
  std::uint64_t connections_outbound = 0;
  std::uint64_t connections = 0;
  std::uint64_t streams_inbound = 0;
  std::uint64_t streams_outbound = 0;
  std::uint64_t streams = 0;
  std::uint64_t memory = 0;  ///< bytes
  std::uint64_t fds = 0;

  friend bool operator==(const Amounts&, const Amounts&) = default;
};

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
inline constexpr std::uint64_t kConnectionMemory = 64 * 1024;
inline constexpr std::uint64_t kStreamMemory = 4 * 1024;

/// The defaults of NuNet's existing nodes for the system; what go-libp2p allows or more below it.
struct ResourceLimits {
  Amounts system{512, 512, 1024, 8192, 8192, 16384, 1ULL << 30, 512};
  Amounts transient{128, 128, 256, 1024, 8192, 9216, 256ULL << 20, 256};  ///< our own streams may queue here
  Amounts protocol{kNoLimit, kNoLimit, kNoLimit,     4096,
                   8192,     8192,     512ULL << 20, kNoLimit};  ///< each, unless in `protocols`
  Amounts peer{8, 8, 16, 2 * kMaxStreams, 8192, 8192, 256ULL << 20, 16};
  Amounts connection{1, 1, 1, kMaxStreams, 8192, 8192, 48ULL << 20, 1};
  Amounts stream{kNoLimit, kNoLimit, kNoLimit, 1, 1, 1, 16ULL << 20, kNoLimit};
  std::map<std::string, Amounts> protocols;
  /// What users call a limit where it can be set, e.g. {"system.memory", "p2p.memory"}; else it is called `limits.<limit>`.
  std::map<std::string, std::string> settings;

  /// The defaults for a node that may use so many bytes and descriptors; 0 keeps the default. Memory below the system is
  /// cut to a share of it.
  static ResourceLimits scaled(std::uint64_t memory, std::uint64_t fds);
};

enum class Direction { inbound, outbound };
enum class Scope { system, transient, protocol, peer, connection, stream };
[[nodiscard]] std::string_view to_string(Scope scope);

class ResourceManager;

/// A connection's place. Shared by the connection and its streams; gives everything back with the last of them.
class ConnectionReservation final : public MemoryScope {
 public:
  ~ConnectionReservation() override;
  ConnectionReservation(const ConnectionReservation&) = delete;
  ConnectionReservation& operator=(const ConnectionReservation&) = delete;

  /// The peer has been proved: the place moves from transient to it.
  Result<void> set_peer(const crypto::PeerId& peer);
  /// For what the connection's muxer buffers. Whoever has reserved releases.
  Result<void> reserve_memory(std::uint64_t bytes, Use use) override;
  void release_memory(std::uint64_t bytes) override;

 private:
  friend class ResourceManager;
  friend class StreamReservation;
  struct Impl;
  explicit ConnectionReservation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A stream's place; the empty one holds nothing.
class StreamReservation {
 public:
  StreamReservation();
  ~StreamReservation();
  StreamReservation(StreamReservation&&) noexcept;
  StreamReservation& operator=(StreamReservation&&) noexcept;

  /// The protocol has been agreed: the place moves from transient to it.
  Result<void> set_protocol(const std::string& protocol);
  /// So many bytes more, until the stream ends.
  Result<void> reserve_memory(std::uint64_t bytes);

 private:
  friend class ResourceManager;
  struct Impl;
  explicit StreamReservation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class ResourceManager {
 public:
  explicit ResourceManager(ResourceLimits limits = {});

  /// `fds`: what the connection takes of them, 1 for TCP, 0 for one that shares a socket.
  Result<std::shared_ptr<ConnectionReservation>> open_connection(Direction direction, std::uint64_t fds = 1);
  /// On a connection without a place nothing is counted.
  Result<StreamReservation> open_stream(const std::shared_ptr<ConnectionReservation>& connection, Direction direction);

  [[nodiscard]] const ResourceLimits& limits() const;
  [[nodiscard]] Amounts system() const;
  [[nodiscard]] Amounts transient() const;
  [[nodiscard]] Amounts peer(const crypto::PeerId& peer) const;
  [[nodiscard]] Amounts protocol(const std::string& protocol) const;
  /// Peers and protocols in which something is counted.
  [[nodiscard]] std::size_t scopes() const;
  [[nodiscard]] std::uint64_t refused(Scope scope) const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace dms::libp2p
