// Resource limits: connections, streams, memory and file descriptors, counted by scope and refused above a limit.
//
// Model
//  1. Everything held is counted in each scope it belongs to, and admitted only if all of them are below their limits:
//       a connection whose peer is not yet proved     transient, system
//       a connection of a peer                        peer, system
//       a stream whose protocol is not yet agreed     connection, peer, transient, system
//       a stream with a protocol                      connection, peer, protocol, system
//     Memory that a stream or a connection reserves counts in the same scopes, a stream's also in the stream itself.
//     What muxers buffer may take a share of each limit only; guaranteed memory is counted but never refused
//     (MemoryScope, transports/connection.hpp), so a usage may exceed its limit by that.
//  2. A reservation is a value that releases what it holds when it is destroyed, and may outlive the manager. The usage
//     of a scope is the sum of the existing reservations.
//  3. A scope of a peer or a protocol exists as long as something is counted in it.
//  4. Inbound connections may use nine tenths of the system's connections and descriptors, so that they cannot prevent
//     outbound dials.
//
// A refusal is Errc::limit_exceeded and names the scope, the resource, how much is held, the limit, and the setting
// that changes it. Refusals are counted by scope.
//
// Threads: one lane. Cost: a reservation is one allocation and at most five comparisons of eight numbers.
//
// Streams of one connection: kMaxStreams limits each direction; a sender waits at it and its receiver refuses above it.
// The limits below are no lower: a connection admits kMaxStreams inbound streams, a peer twice as many, because two
// peers that dial each other at once have two connections for a while. Outbound limits are higher, because local
// streams queue there. Only the scopes that all peers share (transient, protocol, system) and memory are lower.
//
// Attacks: this is the defence against floods of inbound connections and streams and against unread data;
// kConnectionMemory and kStreamMemory are charged at once, so that `memory` bounds their number too. What a muxer
// buffers, and what it lets its peer send beyond the initial windows, is reserved by the connection. Heavy users are
// capped: streams that are not read take at most three quarters of a limit, and yamux::Memory::kGuaranteed for each
// connection.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "base/metrics.hpp"
#include "base/result.hpp"
#include "crypto/peer_id.hpp"
#include "libp2p/transports/connection.hpp"

namespace dms::libp2p {

/// An amount of each resource: a limit or a usage.
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

/// The system limits are those of NuNet's existing nodes; the others are go-libp2p's or higher.
struct ResourceLimits {
  Amounts system{512, 512, 1024, 8192, 8192, 16384, 1ULL << 30, 512};
  Amounts transient{128, 128, 256, 1024, 8192, 9216, 256ULL << 20, 256};  ///< outbound streams may queue here
  Amounts protocol{kNoLimit, kNoLimit, kNoLimit,     4096,
                   8192,     8192,     512ULL << 20, kNoLimit};  ///< each, unless in `protocols`
  Amounts peer{8, 8, 16, 2 * kMaxStreams, 8192, 8192, 256ULL << 20, 16};
  Amounts connection{1, 1, 1, kMaxStreams, 8192, 8192, 48ULL << 20, 1};
  Amounts stream{kNoLimit, kNoLimit, kNoLimit, 1, 1, 1, 16ULL << 20, kNoLimit};
  std::map<std::string, Amounts> protocols;
  /// The names of settings for limits in errors, e.g. {"system.memory", "p2p.memory"}; `limits.<limit>` otherwise.
  std::map<std::string, std::string> settings;

  /// The defaults for a node with so much memory and so many descriptors; 0 keeps the default. Memory limits below the
  /// system are cut to a share of it.
  static ResourceLimits scaled(std::uint64_t memory, std::uint64_t fds);
};

enum class Direction { inbound, outbound };
[[nodiscard]] constexpr std::string_view to_string(Direction direction) {
  return direction == Direction::inbound ? "inbound" : "outbound";
}
enum class Scope { system, transient, protocol, peer, connection, stream };
[[nodiscard]] std::string_view to_string(Scope scope);
using RefusalCounters = metrics::CounterArray<Scope, 6>;

class ResourceManager;

/// The resources of a connection. Shared by the connection and its streams; released with the last of them.
class ConnectionReservation final : public MemoryScope {
 public:
  ~ConnectionReservation() override;
  ConnectionReservation(const ConnectionReservation&) = delete;
  ConnectionReservation& operator=(const ConnectionReservation&) = delete;

  /// The peer is proved: the reservation moves from transient to its scope.
  Result<void> set_peer(const crypto::PeerId& peer);
  /// Memory that the connection's muxer buffers; the caller releases it.
  Result<void> reserve_memory(std::uint64_t bytes, Use use) override;
  void release_memory(std::uint64_t bytes) override;

 private:
  friend class ResourceManager;
  friend class StreamReservation;
  struct Impl;
  explicit ConnectionReservation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The resources of a stream; a default-constructed one holds nothing.
class StreamReservation {
 public:
  StreamReservation();
  ~StreamReservation();
  StreamReservation(StreamReservation&&) noexcept;
  StreamReservation& operator=(StreamReservation&&) noexcept;

  /// The protocol is agreed: the reservation moves from transient to its scope.
  Result<void> set_protocol(const std::string& protocol);
  /// `bytes` more, until the stream ends.
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

  /// `fds`: the file descriptors of the connection, 1 for TCP, 0 for one that shares a socket.
  Result<std::shared_ptr<ConnectionReservation>> open_connection(Direction direction, std::uint64_t fds = 1);
  /// Without a connection nothing is counted.
  Result<StreamReservation> open_stream(const std::shared_ptr<ConnectionReservation>& connection, Direction direction);

  [[nodiscard]] const ResourceLimits& limits() const;
  [[nodiscard]] Amounts system() const;
  [[nodiscard]] Amounts transient() const;
  [[nodiscard]] Amounts peer(const crypto::PeerId& peer) const;
  [[nodiscard]] Amounts protocol(const std::string& protocol) const;
  /// The number of peer and protocol scopes.
  [[nodiscard]] std::size_t scopes() const;
  [[nodiscard]] const RefusalCounters& refusals() const;
  [[nodiscard]] std::uint64_t refused(Scope scope) const { return refusals()[scope].value(); }

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace dms::libp2p
