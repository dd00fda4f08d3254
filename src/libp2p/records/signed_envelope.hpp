// A payload with the signature of the peer that made it, so that other peers can pass it on.
//
// Model
//  1. The signature covers the domain, the payload's type and the payload, each length-prefixed: a signature made for
//     one purpose is invalid for another.
//  2. An envelope that exists is verified: open() returns nothing else.
//
// Cost: a signature or a verification (crypto/keys.hpp). Failures: Errc::invalid_argument if malformed,
// Errc::permission_denied for a wrong signature or type.
//
// Attacks: envelopes come from untrusted peers. They have at most kMaxSize bytes; the key is parsed before the
// signature is verified, and the payload is not used before. Of a repeated field the last one counts, for the signature
// and the reader alike.
//
// Specification: libp2p RFC 0002.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "crypto/keys.hpp"

namespace dms::libp2p {

class SignedEnvelope {
 public:
  static constexpr std::size_t kMaxSize = 16 * 1024;

  static Result<SignedEnvelope> seal(const crypto::PrivateKey& key, std::string_view domain, BytesView type,
                                     BytesView payload);
  /// Parses and verifies.
  static Result<SignedEnvelope> open(BytesView message, std::string_view domain, BytesView type);

  /// The signing key.
  [[nodiscard]] const crypto::PublicKey& signer() const { return key_; }
  [[nodiscard]] const Bytes& payload() const { return payload_; }
  /// The encoded form.
  [[nodiscard]] Bytes marshal() const;

 private:
  SignedEnvelope(crypto::PublicKey key, BytesView type, BytesView payload, Bytes signature)
      : key_(std::move(key)), type_(to_bytes(type)), payload_(to_bytes(payload)), signature_(std::move(signature)) {}

  crypto::PublicKey key_;
  Bytes type_;
  Bytes payload_;
  Bytes signature_;
};

}  // namespace dms::libp2p
