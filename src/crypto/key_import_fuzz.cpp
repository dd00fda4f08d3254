// A key that is imported is imported again from each form in which it is exported.
#include <cstdlib>

#include "crypto/key_import.hpp"
#include "encoding/multibase.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::crypto;
  for (const KeyType bare : {KeyType::ed25519, KeyType::secp256k1}) {
    const auto key = read_private_key({data, size}, KeyText::recognise, bare);
    if (!key) continue;
    const Secret bytes = key->marshal();
    for (const std::string& text : {dms::hex_encode(bytes), dms::base64_encode(bytes)}) {
      const auto again = read_private_key(dms::as_bytes(text));
      if (!again || again->public_key() != key->public_key()) std::abort();
    }
  }
  return 0;
}
