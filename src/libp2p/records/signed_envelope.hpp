// A payload with the signature of the peer who made it, so that it can be passed on by others and still be believed.
//
// Model
//  1. What is signed is the domain, the payload's type and the payload, each with its length in front: a signature made
//     for one purpose is worth nothing for another.
//  2. An envelope that exists is verified: open() returns nothing else.
//
// Cost: a signature or a verification (crypto/keys.hpp). Failures: Errc::invalid_argument for what is malformed,
// Errc::permission_denied for a signature or a type that is not the one expected.
//
// Attacks: envelopes come from strangers. They are at most kMaxSize bytes; the key is parsed before its signature is
// tried and the payload is not looked at before. Of a field that stands twice the last counts, for the signature as for
// the reader.
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
  /// Reads and verifies.
  static Result<SignedEnvelope> open(BytesView message, std::string_view domain, BytesView type);

  /// Who has signed.
  [[nodiscard]] const crypto::PublicKey& signer() const { return key_; }
  [[nodiscard]] const Bytes& payload() const { return payload_; }
  /// As it travels.
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
