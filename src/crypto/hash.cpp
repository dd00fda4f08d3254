#include "crypto/hash.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstdlib>

namespace dms::crypto {
namespace {

Digest256 digest(const EVP_MD* algorithm, BytesView data) {
  Digest256 out;
  unsigned size = 0;
  // Fails only without memory or if the library lacks the algorithm.
  if (EVP_Digest(data.data(), data.size(), out.data(), &size, algorithm, nullptr) != 1 || size != out.size())
    std::abort();
  return out;
}

}  // namespace

// Fetched once: with EVP_sha256() OpenSSL searches its providers at each use.
Digest256 sha256(BytesView data) {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return digest(algorithm, data);
}
Digest256 sha3_256(BytesView data) {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA3-256", nullptr);
  return digest(algorithm, data);
}

bool equal_constant_time(BytesView a, BytesView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace dms::crypto
