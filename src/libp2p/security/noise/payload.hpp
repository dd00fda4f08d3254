// The libp2p payload of a Noise handshake message: the identity key that owns the static key, proved by a signature.
//
// Attacks: read from an unauthenticated peer. The number of muxers and the size of each field are limited; unknown
// fields and extensions are skipped.
//
// Specification: libp2p noise, "The libp2p Handshake Payload".
#pragma once

#include <string>
#include <vector>

#include "crypto/keys.hpp"

namespace dms::libp2p::noise {

inline constexpr std::string_view kSignaturePrefix = "noise-libp2p-static-key:";

struct Payload {
  static constexpr std::size_t kMaxMuxers = 32;
  static constexpr std::size_t kMaxSignature = 1024;

  Bytes identity_key;  ///< marshalled public key
  Bytes signature;     ///< by it, over kSignaturePrefix and the static key
  std::vector<std::string> muxers;

  [[nodiscard]] Bytes encode() const;
  static Result<Payload> decode(BytesView message);

  /// Signs `static_key` with `identity`; offers no muxers.
  static Result<Payload> create(const crypto::PrivateKey& identity, BytesView static_key);
  /// The identity key, if its signature covers `static_key`. Errc::permission_denied otherwise.
  [[nodiscard]] Result<crypto::PublicKey> verify(BytesView static_key) const;
};

}  // namespace dms::libp2p::noise
