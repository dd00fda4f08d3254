// A way to reach peers, and to be reached.
//
// Model
//  1. A transport makes finished connections: secured, multiplexed, the peer proved. How is its own matter. TCP hands
//     the raw stream to an Upgrader; a transport with built-in security and streams needs none.
//  2. Accepting has two steps, so that one slow or hostile handshake holds up nobody: accept() returns as soon as
//     somebody knocks, complete() does the handshake and runs in a task of its own.
//
// Cancellation: every waiting call can be cancelled and takes its deadline from its caller (with_timeout).
#pragma once

#include "libp2p/transports/connection.hpp"

namespace dms::libp2p {

/// Turns a raw stream into a connection. Given to the transports that need it.
class Upgrader {
 public:
  virtual ~Upgrader() = default;
  /// With `expected`, fails with Errc::permission_denied unless the other side proves to be that peer.
  virtual Task<Result<Connection>> upgrade(std::unique_ptr<ByteStream> raw, Side side,
                                           std::optional<crypto::PeerId> expected) = 0;
};

/// Somebody who has knocked but not yet said who they are.
class Incoming {
 public:
  virtual ~Incoming() = default;
  [[nodiscard]] virtual const Multiaddr& remote() const = 0;
  virtual Task<Result<Connection>> complete() = 0;
};

class TransportListener {
 public:
  virtual ~TransportListener() = default;
  /// Errc::closed once close() was called.
  virtual Task<Result<std::unique_ptr<Incoming>>> accept() = 0;
  /// Where it listens, with the port that was really taken; may be unspecified (0.0.0.0).
  [[nodiscard]] virtual const Multiaddr& address() const = 0;
  virtual void close() = 0;
};

/// What a dial ends with if it was this node that did not want the connection, or had no room for it: its cause says why.
/// The address is not to be blamed.
enum class DialErrc { refused_here };

constexpr ErrorCode describe(DialErrc code) {
  return {"libp2p", static_cast<int>(code), "this node did not let it happen"};
}
inline Error refused_here(const Error& why) { return why.context(DialErrc::refused_here, ""); }

class Transport {
 public:
  virtual ~Transport() = default;
  /// True if `address` (without the peer) is one this transport can dial and listen on.
  [[nodiscard]] virtual bool handles(const Multiaddr& address) const = 0;
  /// DialErrc::refused_here around whatever is not the address's failure.
  virtual Task<Result<Connection>> dial(Multiaddr address, crypto::PeerId peer) = 0;
  virtual Result<std::unique_ptr<TransportListener>> listen(const Multiaddr& address) = 0;
};

}  // namespace dms::libp2p
