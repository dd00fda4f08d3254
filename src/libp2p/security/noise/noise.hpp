// libp2p's Noise: mutual authentication with Noise XX, then every byte encrypted.
//
// Model
//  1. On the wire each message is a length of two bytes, big endian, and at most 65,535 bytes of Noise message.
//  2. The handshake carries each side's identity key and its signature over the Noise static key; the static key is
//     made and signed once per Noise object, as the specification allows: the secrecy of a session depends on its
//     ephemeral keys. If both sides offer muxers, the first of the dialer's that both speak is agreed within the
//     handshake.
//  3. Then a stream (noise_stream.hpp). A close of the raw stream between two messages is an end, within one an error.
//
// Time: the handshake takes its deadline from its caller.
//
// Attacks: before the peer is authenticated a handshake message is limited to kMaxHandshakeMessage bytes and is held
// once. Replayed, reordered, altered or injected bytes fail to decrypt, and that ends the stream for good. A dialer
// that finds another peer than expected closes the connection before it has sent its own identity.
//
// Memory of a stream: noise_stream.hpp.
//
// Specification: libp2p noise; connections, inlined muxer negotiation.
#pragma once

#include "crypto/x25519.hpp"
#include "libp2p/security/noise/payload.hpp"
#include "libp2p/security/security.hpp"

namespace dms::libp2p::noise {

class Noise final : public Security {
 public:
  static constexpr std::string_view kProtocol = "/noise";
  static constexpr std::size_t kMaxHandshakeMessage = 8192;

  /// `random` outlives this.
  Noise(const crypto::PrivateKey& identity, Random& random);

  [[nodiscard]] std::string_view protocol() const override { return kProtocol; }
  Task<Result<Secured>> secure(std::unique_ptr<ByteStream> raw, Side side, std::optional<crypto::PeerId> expected,
                               std::vector<std::string> muxers) override;

 private:
  Random& random_;
  crypto::X25519Key static_key_;
  Result<Payload> proof_;  ///< the signature over the static key; without muxers
};

}  // namespace dms::libp2p::noise
