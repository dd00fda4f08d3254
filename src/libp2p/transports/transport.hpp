// A transport: dials and listens on one kind of address.
//
// Model
//  1. A transport makes finished connections: secured, multiplexed, with a proved peer. TCP passes the raw stream to an
//     Upgrader; a transport with built-in security and streams needs none.
//  2. Accepting has two steps, so that one slow or hostile handshake delays no other: accept() returns with the raw
//     connection, complete() performs the handshake and runs in a task of its own.
//
// Cancellation: every waiting call can be cancelled and takes its deadline from its caller (with_timeout).
#pragma once

#include "libp2p/transports/connection.hpp"

namespace dms::libp2p {

/// Turns a raw stream into a connection, for transports that need it.
class Upgrader {
 public:
  virtual ~Upgrader() = default;
  /// With `expected`, fails with Errc::permission_denied unless the remote end proves to be that peer.
  virtual Task<Result<Connection>> upgrade(std::unique_ptr<ByteStream> raw, Side side,
                                           std::optional<crypto::PeerId> expected) = 0;
};

/// An unauthenticated inbound connection.
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
  /// The address it listens on, with the actual port; may be unspecified (0.0.0.0).
  [[nodiscard]] virtual const Multiaddr& address() const = 0;
  virtual void close() = 0;
};

/// The error of a dial that this node's own gater or limits refused; its cause says why. It is not a failure of the
/// address. `unreachable`: the error of a peer of which every address has failed; its cause names them.
enum class DialErrc { refused_here, unreachable };

constexpr ErrorCode describe(DialErrc code) {
  return {"libp2p", static_cast<int>(code),
          code == DialErrc::unreachable ? "no address of the peer can be reached" : "refused by this node"};
}
inline Error refused_here(const Error& why) { return why.context(DialErrc::refused_here, ""); }

class Transport {
 public:
  virtual ~Transport() = default;
  /// True if this transport can dial and listen on `address` (without the peer).
  [[nodiscard]] virtual bool handles(const Multiaddr& address) const = 0;
  /// DialErrc::refused_here around errors that are not a failure of the address.
  virtual Task<Result<Connection>> dial(Multiaddr address, crypto::PeerId peer) = 0;
  virtual Result<std::unique_ptr<TransportListener>> listen(const Multiaddr& address) = 0;
};

}  // namespace dms::libp2p
