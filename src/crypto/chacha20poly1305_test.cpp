#include "crypto/chacha20poly1305.hpp"

#include <gtest/gtest.h>

#include "base/multibase.hpp"
#include "base/random.hpp"

namespace dms::crypto {
namespace {

Bytes hex(std::string_view text) { return *decode(Base::hex, text); }

// RFC 8439, appendix A.5, whose nonce has the form that is used here.
TEST(ChaCha20Poly1305, RfcVector) {
  auto cipher = ChaCha20Poly1305::create(hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"));
  ASSERT_TRUE(cipher);
  const std::string_view text =
      "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or "
      "obsoleted by "
      "other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them "
      "other "
      "than as /\u201cwork in progress./\u201d";
  Bytes buffer = to_bytes(text);
  buffer.resize(buffer.size() + ChaCha20Poly1305::kTagSize);
  const Bytes associated = hex("f33388860000000000004e91");
  ASSERT_TRUE(cipher->seal(0x0807060504030201, associated, buffer));
  EXPECT_EQ(encode(Base::hex, BytesView(buffer).first(16)), "64a0861575861af460f062c79be643bd");
  EXPECT_EQ(encode(Base::hex, BytesView(buffer).last(16)), "eead9d67890cbb22392336fea1851f38");
  auto opened = cipher->open(0x0807060504030201, associated, buffer);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(*opened), text);
}

TEST(ChaCha20Poly1305, WritingElsewhereGivesTheSame) {
  SeededRandom random(2);
  auto cipher = ChaCha20Poly1305::create(random.bytes(32));
  for (std::size_t size : {0u, 1u, 64u, 1000u, 65519u}) {
    const Bytes text = random.bytes(size);
    Bytes in_place = text;
    in_place.resize(size + 16);
    ASSERT_TRUE(cipher->seal(3, as_bytes("ad"), in_place));
    Bytes apart(size + 16);
    ASSERT_TRUE(cipher->seal(3, as_bytes("ad"), text, apart));
    EXPECT_EQ(apart, in_place);
    Bytes room(size + 5);
    auto opened = cipher->open(3, as_bytes("ad"), apart, room);
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_bytes(*opened), text);
    EXPECT_EQ(apart, in_place) << "the input stays as it is";
    EXPECT_FALSE(cipher->open(4, as_bytes("ad"), apart, room));
    EXPECT_FALSE(cipher->seal(3, {}, text, room));
    if (size == 0) continue;
    EXPECT_FALSE(cipher->open(3, as_bytes("ad"), apart, MutableBytes(room).first(size - 1)));
  }
}

TEST(ChaCha20Poly1305, AnyChangedBitIsNoticed) {
  SeededRandom random(1);
  auto cipher = ChaCha20Poly1305::create(random.bytes(32));
  for (std::size_t size : {0u, 1u, 63u, 64u, 65u, 1000u}) {
    Bytes sealed = random.bytes(size + 16);
    ASSERT_TRUE(cipher->seal(7, as_bytes("ad"), sealed));
    for (int i = 0; i < 50; ++i) {
      Bytes broken = sealed;
      broken[random.below(broken.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
      EXPECT_FALSE(cipher->open(7, as_bytes("ad"), broken));
    }
    Bytes copy = sealed;
    EXPECT_FALSE(cipher->open(8, as_bytes("ad"), copy));
    copy = sealed;
    EXPECT_FALSE(cipher->open(7, as_bytes("ae"), copy));
    EXPECT_TRUE(cipher->open(7, as_bytes("ad"), sealed));
  }
  Bytes too_short(15);
  EXPECT_FALSE(cipher->open(0, {}, too_short));
}

}  // namespace
}  // namespace dms::crypto
