#include "crypto/hkdf.hpp"

#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"

namespace dms::crypto {
namespace {
using dms::test::hex;

// RFC 5869, appendix A, cases 1 and 3.
TEST(Hkdf, RfcVectors) {
  EXPECT_EQ(encode(Base::hex,
                   hkdf_sha256(hex("000102030405060708090a0b0c"), Bytes(22, 0x0b), hex("f0f1f2f3f4f5f6f7f8f9"), 42)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(encode(Base::hex, hkdf_sha256({}, Bytes(22, 0x0b), {}, 42)),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

Digest256 hmac(BytesView key, BytesView data) {
  Digest256 out{};
  EXPECT_NE(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(), nullptr),
            nullptr);
  return out;
}

// Noise derives the keys of both directions from an empty input (the chaining key is the salt).
TEST(Hkdf, AnInputMayBeEmptyAndTheOutputOfAnySize) {
  const Bytes salt(32, 0x07);
  const auto expected = [&](BytesView input, BytesView info, std::size_t size) {  // RFC 5869, 2.2 and 2.3
    const Digest256 key = hmac(salt, input);
    Bytes out;
    Bytes block;
    for (std::uint8_t counter = 1; out.size() < size; ++counter) {
      append(block, info);
      block.push_back(counter);
      const Digest256 last = hmac(key, block);
      block.assign(last.begin(), last.end());
      append(out, last);
    }
    out.resize(size);
    return out;
  };
  for (const std::size_t size : {1, 32, 33, 64, 255 * 32})
    for (const Bytes& input : {Bytes(), Bytes(32, 0x09)})
      for (const Bytes& info : {Bytes(), Bytes(3, 0x01)})
        EXPECT_TRUE(std::ranges::equal(hkdf_sha256(salt, input, info, size).view(), expected(input, info, size)))
            << size;
}

}  // namespace
}  // namespace dms::crypto
