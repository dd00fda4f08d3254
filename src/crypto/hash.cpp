#include "crypto/hash.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstdlib>

namespace dms::crypto {
namespace {

Digest256 digest(const EVP_MD* algorithm, BytesView data) {
  Digest256 out;
  unsigned size = 0;
  // Fails only when memory is gone or the library lacks the algorithm: nothing a caller could mend.
  if (EVP_Digest(data.data(), data.size(), out.data(), &size, algorithm, nullptr) != 1 || size != out.size())
    std::abort();
  return out;
}

}  // namespace

Digest256 sha256(BytesView data) { return digest(EVP_sha256(), data); }
Digest256 sha3_256(BytesView data) { return digest(EVP_sha3_256(), data); }

bool equal_constant_time(BytesView a, BytesView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace dms::crypto
