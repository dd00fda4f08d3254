#include "crypto/aead.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.hpp"
#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"

namespace dms::crypto {
namespace {
using dms::test::hex;

Aead::Nonce nonce(std::string_view text) {
  Aead::Nonce out{};
  const Bytes bytes = hex(text);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}
Aead::Nonce number(std::uint8_t value) { return {value}; }

/// Seals in place: `buffer` is the text followed by space for the tag.
Result<void> seal(Aead& cipher, const Aead::Nonce& nonce, BytesView associated, MutableBytes buffer) {
  return cipher.seal(nonce, associated, buffer.first(buffer.size() - Aead::kTagSize), buffer);
}
Result<MutableBytes> open(Aead& cipher, const Aead::Nonce& nonce, BytesView associated, MutableBytes buffer) {
  return cipher.open(nonce, associated, buffer, buffer);
}

// RFC 8439, appendix A.5.
TEST(Aead, RfcVectorOfChaCha20Poly1305) {
  auto cipher = Aead::create(hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"));
  ASSERT_TRUE(cipher);
  const std::string_view text =
      "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or "
      "obsoleted by "
      "other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them "
      "other "
      "than as /\u201cwork in progress./\u201d";
  Bytes buffer = to_bytes(text);
  buffer.resize(buffer.size() + Aead::kTagSize);
  const Bytes associated = hex("f33388860000000000004e91");
  const Aead::Nonce at = nonce("000000000102030405060708");
  ASSERT_TRUE(seal(*cipher, at, associated, buffer));
  EXPECT_EQ(encode(Base::hex, BytesView(buffer).first(16)), "64a0861575861af460f062c79be643bd");
  EXPECT_EQ(encode(Base::hex, BytesView(buffer).last(16)), "eead9d67890cbb22392336fea1851f38");
  auto opened = open(*cipher, at, associated, buffer);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(*opened), text);
}

TEST(Aead, OutOfPlaceGivesTheSameAsInPlace) {
  SeededRandom random(2);
  auto cipher = Aead::create(random.bytes(Aead::kKeySize));
  for (std::size_t size : {0u, 1u, 64u, 1000u, 65519u}) {
    const Bytes text = random.bytes(size);
    Bytes in_place = text;
    in_place.resize(size + 16);
    ASSERT_TRUE(seal(*cipher, number(3), as_bytes("ad"), in_place));
    Bytes apart(size + 16);
    ASSERT_TRUE(cipher->seal(number(3), as_bytes("ad"), text, apart));
    EXPECT_EQ(apart, in_place);
    Bytes space(size + 5);
    auto opened = cipher->open(number(3), as_bytes("ad"), apart, space);
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_bytes(*opened), text);
    EXPECT_EQ(apart, in_place) << "the input is unchanged";
    EXPECT_FALSE(cipher->open(number(4), as_bytes("ad"), apart, space));
    EXPECT_FALSE(cipher->seal(number(3), {}, text, space));
    if (size == 0) continue;
    EXPECT_FALSE(cipher->open(number(3), as_bytes("ad"), apart, MutableBytes(space).first(size - 1)));
  }
}

TEST(Aead, AnyChangedBitIsDetected) {
  SeededRandom random(1);
  auto cipher = Aead::create(random.bytes(Aead::kKeySize));
  for (std::size_t size : {0u, 1u, 63u, 64u, 65u, 1000u}) {
    Bytes sealed = random.bytes(size + 16);
    ASSERT_TRUE(seal(*cipher, number(7), as_bytes("ad"), sealed));
    for (int i = 0; i < 50; ++i) {
      Bytes broken = sealed;
      broken[random.below(broken.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
      EXPECT_FALSE(open(*cipher, number(7), as_bytes("ad"), broken));
    }
    Bytes copy = sealed;
    EXPECT_FALSE(open(*cipher, number(8), as_bytes("ad"), copy));
    copy = sealed;
    EXPECT_FALSE(open(*cipher, number(7), as_bytes("ae"), copy));
    EXPECT_TRUE(open(*cipher, number(7), as_bytes("ad"), sealed));
  }
  Bytes too_short(15);
  EXPECT_FALSE(open(*cipher, number(0), {}, too_short));
  EXPECT_FALSE(cipher->seal(number(0), {}, {}, too_short));
  EXPECT_FALSE(Aead::create(Bytes(17)));
}

}  // namespace
}  // namespace dms::crypto
