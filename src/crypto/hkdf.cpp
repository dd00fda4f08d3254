#include "crypto/hkdf.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>

namespace dms::crypto {

Digest256 hmac_sha256(BytesView key, BytesView data) {
  Digest256 out{};
  unsigned size = 0;
  // A null key would mean "the key of last time" to OpenSSL.
  static constexpr std::uint8_t kNone = 0;
  HMAC(EVP_sha256(), key.empty() ? &kNone : key.data(), static_cast<int>(key.size()), data.data(), data.size(),
       out.data(), &size);
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
