#include "crypto/hkdf.hpp"

#include <gtest/gtest.h>

#include "encoding/multibase.hpp"

namespace dms::crypto {
namespace {

Bytes hex(std::string_view text) { return *decode(Base::hex, text); }

// RFC 5869, appendix A, cases 1 and 3.
TEST(Hkdf, RfcVectors) {
  EXPECT_EQ(encode(Base::hex,
                   hkdf_sha256(hex("000102030405060708090a0b0c"), Bytes(22, 0x0b), hex("f0f1f2f3f4f5f6f7f8f9"), 42)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(encode(Base::hex, hkdf_sha256({}, Bytes(22, 0x0b), {}, 42)),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// Noise derives the keys of both directions from an empty input (the chaining key is the salt).
TEST(Hkdf, AnInputMayBeEmptyAndTheOutputOfAnySize) {
  const Bytes salt(32, 0x07);
  const auto expected = [&](BytesView input, BytesView info, std::size_t size) {  // RFC 5869, 2.2 and 2.3
    const Digest256 key = hmac_sha256(salt, input);
    Bytes out;
    Bytes block;
    for (std::uint8_t counter = 1; out.size() < size; ++counter) {
      append(block, info);
      block.push_back(counter);
      const Digest256 last = hmac_sha256(key, block);
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

// RFC 4231, case 2.
TEST(Hmac, RfcVector) {
  EXPECT_EQ(encode(Base::hex, hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(encode(Base::hex, hmac_sha384(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
}

}  // namespace
}  // namespace dms::crypto
