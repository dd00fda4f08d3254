// Signs for a public key whose private key is in this process or in a wallet, which requires its owner's confirmation
// and does not reveal the key.
//
// A value; copies are equivalent. A PrivateKey converts to a Signer. Cost and failures of sign() are those of the key
// or the wallet, which may wait for its owner. Each signature is verified before it is returned; Errc::wrong_signature
// if it is wrong, for example because another wallet is connected.
#pragma once

#include <functional>
#include <optional>
#include <variant>

#include "crypto/keys.hpp"

namespace dms::crypto {

class Signer {
 public:
  using Sign = std::function<Result<Bytes>(BytesView message)>;

  Signer(PrivateKey key) : source_(std::move(key)) {}  // NOLINT(google-explicit-constructor): a key signs
  Signer(PublicKey public_key, Sign sign) : source_(External{std::move(public_key), std::move(sign)}) {}

  [[nodiscard]] const PublicKey& public_key() const;
  [[nodiscard]] Result<Bytes> sign(BytesView message) const;
  /// The key itself, if it is in this process.
  [[nodiscard]] std::optional<PrivateKey> private_key() const;

 private:
  struct External {
    PublicKey public_key;
    Sign sign;
  };
  std::variant<PrivateKey, External> source_;
};

/// An ECDSA signature on secp256k1 in DER from its two numbers, big-endian and of at most 32 bytes each; with low S.
Result<Bytes> secp256k1_der(BytesView r, BytesView s);

}  // namespace dms::crypto
