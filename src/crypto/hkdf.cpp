#include "crypto/hkdf.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstdlib>
#include <memory>

namespace dms::crypto {
namespace {

using KdfContext = std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)>;

/// Fetched once: looking an algorithm up costs more than deriving.
EVP_KDF* hkdf() {
  static EVP_KDF* const fetched = EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_HKDF, nullptr);
  return fetched;
}

/// OpenSSL does not write to it, and takes a null pointer for "not given".
OSSL_PARAM octets(const char* name, BytesView bytes) {
  static std::uint8_t none = 0;
  return OSSL_PARAM_construct_octet_string(name, bytes.empty() ? &none : const_cast<std::uint8_t*>(bytes.data()),
                                           bytes.size());
}

}  // namespace

Secret hkdf_sha256(BytesView salt, BytesView input_key, BytesView info, std::size_t size) {
  char digest[] = OSSL_DIGEST_NAME_SHA2_256;
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                   octets(OSSL_KDF_PARAM_KEY, input_key), octets(OSSL_KDF_PARAM_SALT, salt),
                                   octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  const KdfContext context(EVP_KDF_CTX_new(hkdf()), EVP_KDF_CTX_free);
  Secret out(size);
  // Fails only without memory, or for a size that no caller asks for.
  if (!context || EVP_KDF_derive(context.get(), out.mutable_view().data(), size, parameters) != 1) std::abort();
  return out;
}

}  // namespace dms::crypto
