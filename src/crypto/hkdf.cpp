#include "crypto/hkdf.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace dms::crypto {
namespace {

using MacContext = std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)>;

/// Ready but for the key; copied for each use, which is cheaper than to look the algorithms up.
MacContext make_unkeyed(std::string digest) {
  EVP_MAC* hmac = EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr);
  MacContext made(EVP_MAC_CTX_new(hmac), EVP_MAC_CTX_free);
  EVP_MAC_free(hmac);
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
                                   OSSL_PARAM_construct_end()};
  if (!made || EVP_MAC_CTX_set_params(made.get(), parameters) != 1) std::abort();
  return made;
}

void hmac(const EVP_MAC_CTX* unkeyed, BytesView key, BytesView data, MutableBytes out) {
  std::size_t size = 0;
  // A null key would mean that the context has one.
  static constexpr std::uint8_t kNone = 0;
  const MacContext context(EVP_MAC_CTX_dup(unkeyed), EVP_MAC_CTX_free);
  // Fails only when memory is gone: nothing a caller could mend.
  if (!context || EVP_MAC_init(context.get(), key.empty() ? &kNone : key.data(), key.size(), nullptr) != 1 ||
      EVP_MAC_update(context.get(), data.data(), data.size()) != 1 ||
      EVP_MAC_final(context.get(), out.data(), &size, out.size()) != 1)
    std::abort();
}

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

Digest256 hmac_sha256(BytesView key, BytesView data) {
  static const MacContext unkeyed = make_unkeyed(OSSL_DIGEST_NAME_SHA2_256);
  Digest256 out{};
  hmac(unkeyed.get(), key, data, out);
  return out;
}

std::array<std::uint8_t, 48> hmac_sha384(BytesView key, BytesView data) {
  static const MacContext unkeyed = make_unkeyed(OSSL_DIGEST_NAME_SHA2_384);
  std::array<std::uint8_t, 48> out{};
  hmac(unkeyed.get(), key, data, out);
  return out;
}

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
