#include "crypto/hkdf.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
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
  Digest256 extracted = hmac_sha256(salt, input_key);
  Secret out(size);
  Bytes block;
  Digest256 last{};
  std::size_t done = 0;
  for (std::uint8_t counter = 1; done < size; ++counter) {
    block.clear();
    if (counter > 1) append(block, last);
    append(block, info);
    block.push_back(counter);
    last = hmac_sha256(extracted, block);
    const std::size_t take = std::min(size - done, last.size());
    std::memcpy(out.mutable_view().data() + done, last.data(), take);
    done += take;
  }
  OPENSSL_cleanse(extracted.data(), extracted.size());
  OPENSSL_cleanse(last.data(), last.size());
  OPENSSL_cleanse(block.data(), block.size());
  return out;
}

}  // namespace dms::crypto
