// A security protocol: turns a raw stream into an encrypted one and authenticates the remote peer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/keys.hpp"
#include "crypto/peer_id.hpp"
#include "libp2p/transports/connection.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p {

struct Secured {
  std::unique_ptr<ByteStream> stream;
  crypto::PublicKey key;  ///< proved by the handshake
  crypto::PeerId peer;    ///< of that key
  std::string muxer;      ///< agreed within the handshake; empty if not
};

class Security {
 public:
  virtual ~Security() = default;
  [[nodiscard]] virtual std::string_view protocol() const = 0;
  /// `muxers` are the local muxers, the preferred one first, offered within the handshake if the protocol supports
  /// that. Errc::permission_denied if the peer is not `expected`.
  virtual Task<Result<Secured>> secure(std::unique_ptr<ByteStream> raw, Side side,
                                       std::optional<crypto::PeerId> expected, std::vector<std::string> muxers) = 0;
};

}  // namespace dms::libp2p
