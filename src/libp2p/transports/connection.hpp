// What every connection to a peer offers once it is secured and multiplexed, however that came about.
//
// Model
//  1. A Muxer carries many streams over one connection. TCP gets one from an upgrade (security, then yamux); a
//     transport that brings security and streams of its own, as QUIC does, implements Muxer itself.
//  2. A muxed stream is a ByteStream with three ends: close_write() ends our half; abort() ends both at once, the other
//     side sees a reset, once it has read what came if our half had ended before; destroying it after close_write() lets
//     what was written arrive and drops what may still come, destroying it before that is an abort().
//  3. Streams may outlive their muxer; their operations then fail with Errc::closed.
//  4. close() says goodbye, gives what is already written a short time to leave, ends all streams and tasks, and
//     returns when nothing is left. It is called exactly once, before the muxer is destroyed.
//  5. Of each direction a connection has at most so many streams at once: a side waits before it opens more, and may
//     refuse what the other opens above it. Two sides with the same number agree, and then no stream is refused: a
//     stream counts at the side that opens it at least as long as at the other. A side that has let a stream go does not
//     wait for the other to end it for ever, but resets it at some time, so that its place comes back. The number is kMaxStreams unless both
//     sides are told another; no narrower bound of one connection stands beside it (host/resource_limits.hpp).
//
// Threads: one lane.
#pragma once

#include <memory>

#include "runtime/stream.hpp"
#include "crypto/peer_id.hpp"
#include "libp2p/multiaddr/multiaddr.hpp"

namespace dms::libp2p {

inline constexpr std::size_t kMaxStreams = 1024;

/// Who began: the dialer or the listener. The dialer speaks first in every negotiation.
enum class Side { dialer, listener };

/// Where a connection asks before it buffers more than it was admitted with (host/resource_limits.hpp).
class MemoryScope {
 public:
  /// Buffers take no more than a share of what there is, so that hoarders leave room for those who come, and for those who
  /// hold little.
  enum class Use {
    promised,  ///< every connection may have so much: counted, never refused
    needed,    ///< without it a stream is lost: up to three quarters of each limit
    faster,    ///< without it things go on, slower: up to half of each limit
  };

  virtual ~MemoryScope() = default;
  /// Errc::limit_exceeded.
  virtual Result<void> reserve_memory(std::uint64_t bytes, Use use) = 0;
  virtual void release_memory(std::uint64_t bytes) = 0;
};

class Muxer {
 public:
  virtual ~Muxer() = default;

  /// Waits while there are kMaxStreams of ours, or too many that are not yet accepted. Errc::limit_exceeded, Errc::closed.
  virtual Task<Result<std::unique_ptr<ByteStream>>> open_stream() = 0;
  /// The next stream that the other side has opened. Errc::closed when the connection has ended.
  virtual Task<Result<std::unique_ptr<ByteStream>>> accept_stream() = 0;
  /// Streams open now, of both sides.
  [[nodiscard]] virtual std::size_t streams() const = 0;
  /// True once the other side has gone or has said that it will.
  [[nodiscard]] virtual bool closing() const = 0;
  /// Called when the connection has ended and no stream will be accepted any more; at once if it has. Only takes note.
  virtual void on_end(Callback callback) = 0;
  /// From now on what is buffered, and may be, is reserved in `scope`. A connection goes on whatever is refused there. Called
  /// once at most.
  virtual void count_memory_in(std::shared_ptr<MemoryScope> scope) = 0;
  /// Ends at once, without goodbye; close() is still needed.
  virtual void abort() = 0;
  virtual Task<void> close() = 0;
};

/// What the connection is accounted for (host/resource_limits.hpp); nothing is known of it here.
class ConnectionReservation;

/// A connection whose remote end has proved who it is.
struct Connection {
  Side side = Side::dialer;
  crypto::PeerId peer;
  std::optional<crypto::PublicKey> key;  ///< always there once the connection is up
  Multiaddr local;
  Multiaddr remote;
  std::string security;        ///< what was agreed, by protocol name; empty if the transport does not tell
  std::string muxer_protocol;  ///< likewise
  std::unique_ptr<Muxer> muxer;
  std::shared_ptr<ConnectionReservation> place;  ///< given back with the connection; may be null
};

}  // namespace dms::libp2p
