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

namespace {

// Fetched once: with EVP_sha256() OpenSSL searches its providers at each use.
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return algorithm;
}

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

}  // namespace

Digest256 sha256(BytesView data) { return digest(sha256_algorithm(), data); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), sha256_algorithm(), nullptr) != 1) std::abort();
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

void Sha256::add(BytesView data) {
  if (EVP_DigestUpdate(context_.get(), data.data(), data.size()) != 1) std::abort();
}

Digest256 Sha256::digest() const {
  const Context copy(EVP_MD_CTX_new(), &EVP_MD_CTX_free);  // what has been added stays usable
  Digest256 out;
  unsigned size = 0;
  if (!copy || EVP_MD_CTX_copy_ex(copy.get(), context_.get()) != 1 ||
      EVP_DigestFinal_ex(copy.get(), out.data(), &size) != 1 || size != out.size())
    std::abort();
  return out;
}

Digest256 sha3_256(BytesView data) {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA3-256", nullptr);
  return digest(algorithm, data);
}

bool equal_constant_time(BytesView a, BytesView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace dms::crypto
