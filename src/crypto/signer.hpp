// Signs in the name of a public key, wherever its private half is: in this process, or in a wallet that asks its owner
// first and never gives it away.
//
// A value; copies sign alike. A PrivateKey is a Signer. Cost and failure of sign() are those of the key or the wallet:
// a wallet's may wait for a person. What it returns verifies, or it is Errc::wrong_signature: the wallet may be another
// one.
#pragma once

#include <functional>
#include <optional>
#include <variant>

#include "crypto/keys.hpp"

namespace dms::crypto {

class Signer {
 public:
  using Sign = std::function<Result<Bytes>(BytesView message)>;

  Signer(PrivateKey key) : how_(std::move(key)) {}  // NOLINT(google-explicit-constructor): a key signs
  Signer(PublicKey public_key, Sign sign) : how_(Elsewhere{std::move(public_key), std::move(sign)}) {}

  [[nodiscard]] const PublicKey& public_key() const;
  [[nodiscard]] Result<Bytes> sign(BytesView message) const;
  /// The key itself, if it is in this process.
  [[nodiscard]] std::optional<PrivateKey> private_key() const;

 private:
  struct Elsewhere {
    PublicKey public_key;
    Sign sign;
  };
  std::variant<PrivateKey, Elsewhere> how_;
};

/// An ECDSA signature on secp256k1 in DER from its two numbers, big-endian and of at most 32 bytes each; S is made low.
Result<Bytes> secp256k1_der(BytesView r, BytesView s);

}  // namespace dms::crypto
