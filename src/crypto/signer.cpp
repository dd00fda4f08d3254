#include "crypto/signer.hpp"

#include <secp256k1.h>

#include <algorithm>

namespace dms::crypto {

const PublicKey& Signer::public_key() const {
  if (const auto* key = std::get_if<PrivateKey>(&source_)) return key->public_key();
  return std::get<External>(source_).public_key;
}

Result<Bytes> Signer::sign(BytesView message) const {
  if (const auto* key = std::get_if<PrivateKey>(&source_)) return key->sign(message);
  const auto& external = std::get<External>(source_);
  TRY(Bytes signature, external.sign(message));
  if (!external.public_key.verify(message, signature))
    return fail(Errc::wrong_signature, "the signature is not by the {} key that was requested",
                to_string(external.public_key.type()));
  return signature;
}

std::optional<PrivateKey> Signer::private_key() const {
  if (const auto* key = std::get_if<PrivateKey>(&source_)) return *key;
  return std::nullopt;
}

Result<Bytes> secp256k1_der(BytesView r, BytesView s) {
  constexpr std::size_t kNumber = 32;
  if (r.size() > kNumber || s.size() > kNumber)
    return fail(Errc::wrong_signature, "r and s have {} and {} bytes, expected at most {}", r.size(), s.size(),
                kNumber);
  std::array<std::uint8_t, 2 * kNumber> compact{};
  std::ranges::copy(r, compact.begin() + static_cast<std::ptrdiff_t>(kNumber - r.size()));
  std::ranges::copy(s, compact.begin() + static_cast<std::ptrdiff_t>(2 * kNumber - s.size()));
  secp256k1_ecdsa_signature signature;
  if (secp256k1_ecdsa_signature_parse_compact(secp256k1_context_static, &signature, compact.data()) != 1)
    return fail(Errc::wrong_signature, "r or s is not below the order of secp256k1");
  secp256k1_ecdsa_signature_normalize(secp256k1_context_static, &signature, &signature);
  Bytes der(72);
  std::size_t size = der.size();
  if (secp256k1_ecdsa_signature_serialize_der(secp256k1_context_static, der.data(), &size, &signature) != 1)
    return fail(Errc::library, "libsecp256k1 did not write a signature");
  der.resize(size);
  return der;
}

}  // namespace dms::crypto
