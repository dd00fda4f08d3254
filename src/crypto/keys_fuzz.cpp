// A public key that is read, marshalled or raw, is written as the bytes that it was read from, and verifying a text that is
// no signature with it neither crashes nor succeeds.
#include <cstdlib>

#include "crypto/keys.hpp"

namespace {

void use(const dms::crypto::PublicKey& key, dms::BytesView input) {
  using namespace dms::crypto;
  if (PublicKey::unmarshal(key.marshal()).value() != key) std::abort();
  if (PublicKey::from_raw(key.type(), key.raw()).value() != key) std::abort();
  if (key.verify(dms::as_bytes("message"), input)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  using namespace dms::crypto;
  const Bytes input(data, data + size);
  if (auto key = PublicKey::unmarshal(input)) {
    if (key->marshal() != input) std::abort();
    use(*key, input);
  }
  for (const KeyType type : {KeyType::rsa, KeyType::ed25519, KeyType::secp256k1, KeyType::ecdsa})
    if (auto key = PublicKey::from_raw(type, input)) {
      if (to_bytes(key->raw()) != input) std::abort();
      use(*key, input);
    }
  if (auto key = PrivateKey::unmarshal(input); key && to_bytes(key->marshal().view()).size() > size) std::abort();
  return 0;
}
