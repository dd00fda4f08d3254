// What every connection to a peer offers once it is secured and multiplexed, whatever its transport.
//
// Model
//  1. A Muxer carries many streams over one connection. TCP gets one from an upgrade (security, then yamux); a
//     transport with its own security and streams, such as QUIC, implements Muxer itself.
//  2. A muxed stream is a ByteStream. close_write() ends its writing half. abort() ends both halves at once; the peer
//     sees a reset, after it has read what arrived if the writing half had ended before. Destroying a stream after
//     close_write() lets what was written arrive and drops what still arrives; destroying it before that is an abort().
//  3. Streams may outlive their muxer; their operations then fail with Errc::closed. A read that fails since the
//     connection has ended is EndedErrc::connection too: whether the peer has read what was written is not known.
//  4. close() announces the end, gives what is already written a short time to leave, ends all streams and tasks, and
//     returns when nothing is left. It is called exactly once, before the muxer is destroyed.
//  5. The number of open streams is limited per direction: a side waits before it opens more, and may refuse what the
//     peer opens above the limit. Two sides with the same limit never refuse a stream of each other, because a stream
//     counts at the side that opens it at least as long as at the other. A side that has released a stream does not
//     wait for ever for the peer to end it: it resets the stream after a while, so that it no longer counts. The limit
//     is kMaxStreams unless both sides are configured otherwise; no other limit of a single connection is lower
//     (swarm/resource_limits.hpp).
//
// Threads: one lane.
#pragma once

#include <memory>

#include "crypto/peer_id.hpp"
#include "libp2p/multiaddr/multiaddr.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p {

inline constexpr std::size_t kMaxStreams = 1024;

/// What has ended a stream, where that is not its peer.
enum class EndedErrc { connection };
constexpr ErrorCode describe(EndedErrc code) {
  return {"libp2p stream", static_cast<int>(code), "the connection of the stream has ended"};
}

/// Which end of a connection: the dialer opened it. The dialer sends first in every negotiation.
enum class Side { dialer, listener };

/// Where a connection reserves memory before it buffers more than it was admitted with (swarm/resource_limits.hpp).
class MemoryScope {
 public:
  /// Heavy users are capped: buffers take a share of each limit only, so that new connections and light users are
  /// served.
  enum class Use {
    guaranteed,  ///< granted to every connection: counted, never refused
    required,    ///< a stream is lost without it: up to three quarters of each limit
    optional,    ///< the connection is slower without it: up to half of each limit
  };

  virtual ~MemoryScope() = default;
  /// Errc::limit_exceeded.
  virtual Result<void> reserve_memory(std::uint64_t bytes, Use use) = 0;
  virtual void release_memory(std::uint64_t bytes) = 0;
};

class Muxer {
 public:
  virtual ~Muxer() = default;

  /// Waits while kMaxStreams opened here are open, or too many of them are not yet accepted. Errc::limit_exceeded,
  /// Errc::closed.
  virtual Task<Result<std::unique_ptr<ByteStream>>> open_stream() = 0;
  /// The next stream that the peer has opened. Errc::closed when the connection has ended.
  virtual Task<Result<std::unique_ptr<ByteStream>>> accept_stream() = 0;
  /// Open streams, of both sides.
  [[nodiscard]] virtual std::size_t streams() const = 0;
  /// True once the connection has ended or one side has announced its end.
  [[nodiscard]] virtual bool closing() const = 0;
  /// Called when the connection has ended and no stream will be accepted any more; at once if it has. The callback must
  /// only record it.
  virtual void on_end(Callback callback) = 0;
  /// From now on buffered bytes and grown windows are reserved in `scope`. Refusals there do not end the connection.
  /// Called at most once.
  virtual void count_memory_in(std::shared_ptr<MemoryScope> scope) = 0;
  /// Ends at once, without announcing it; close() is still needed.
  virtual void abort() = 0;
  /// Ends the connection unless something arrives within `limit`; the peer is asked for a sign of life. Nothing more
  /// while that is under way already.
  virtual void prove_alive(Duration limit) = 0;
  virtual Task<void> close() = 0;
};

/// The resources that the connection holds (swarm/resource_limits.hpp); opaque here.
class ConnectionReservation;

/// A connection whose remote end has proved its peer id.
struct Connection {
  Side side = Side::dialer;
  crypto::PeerId peer;
  std::optional<crypto::PublicKey> key;  ///< set once the connection is established
  Multiaddr local;
  Multiaddr remote;
  std::string security;        ///< agreed protocol name; empty if the transport does not report it
  std::string muxer_protocol;  ///< likewise
  std::unique_ptr<Muxer> muxer;
  std::shared_ptr<ConnectionReservation> reservation;  ///< released with the connection; may be null
};

}  // namespace dms::libp2p
