#include "crypto/aead.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "encoding/multibase.hpp"
#include "base/random.hpp"

namespace dms::crypto {
namespace {

Bytes hex(std::string_view text) { return *decode(Base::hex, text); }

using Algorithm = Aead::Algorithm;
constexpr Algorithm kAll[] = {Algorithm::chacha20_poly1305, Algorithm::aes_128_gcm, Algorithm::aes_256_gcm};

Aead::Nonce nonce(std::string_view text) {
  Aead::Nonce out{};
  const Bytes bytes = hex(text);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}
Aead::Nonce number(std::uint8_t value) { return {value}; }

struct Vector {
  Algorithm algorithm;
  std::string_view key, nonce, associated, text, sealed;
};

void expect(const Vector& v) {
  auto cipher = Aead::create(v.algorithm, hex(v.key));
  ASSERT_TRUE(cipher);
  Bytes buffer = hex(v.text);
  buffer.resize(buffer.size() + Aead::kTagSize);
  ASSERT_TRUE(cipher->seal(nonce(v.nonce), hex(v.associated), buffer));
  EXPECT_EQ(encode(Base::hex, buffer), v.sealed);
  auto opened = cipher->open(nonce(v.nonce), hex(v.associated), buffer);
  ASSERT_TRUE(opened);
  EXPECT_EQ(encode(Base::hex, *opened), v.text);
}

// Test cases 4 and 16 of McGrew and Viega, "The Galois/Counter Mode of Operation".
TEST(Aead, PublishedVectorsOfAesGcm) {
  constexpr std::string_view kText =
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
      "ba637b39";
  constexpr std::string_view kNonce = "cafebabefacedbaddecaf888";
  constexpr std::string_view kAssociated = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
  expect({Algorithm::aes_128_gcm, "feffe9928665731c6d6a8f9467308308", kNonce, kAssociated, kText,
          "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0a"
          "ac97"
          "3d58e0915bc94fbc3221a5db94fae95ae7121a47"});
  expect({Algorithm::aes_256_gcm, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", kNonce,
          kAssociated, kText,
          "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba"
          "7a0a"
          "bcc9f66276fc6ece0f4e1768cddf8853bb2d551b"});
}

// RFC 8439, appendix A.5.
TEST(Aead, RfcVectorOfChaCha20Poly1305) {
  auto cipher = Aead::create(Algorithm::chacha20_poly1305,
                             hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"));
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
  ASSERT_TRUE(cipher->seal(at, associated, buffer));
  EXPECT_EQ(encode(Base::hex, BytesView(buffer).first(16)), "64a0861575861af460f062c79be643bd");
  EXPECT_EQ(encode(Base::hex, BytesView(buffer).last(16)), "eead9d67890cbb22392336fea1851f38");
  auto opened = cipher->open(at, associated, buffer);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(*opened), text);
}

TEST(Aead, WritingElsewhereOrInPiecesGivesTheSame) {
  SeededRandom random(2);
  for (Algorithm algorithm : kAll) {
    auto cipher = Aead::create(algorithm, random.bytes(Aead::key_size(algorithm)));
    for (std::size_t size : {0u, 1u, 64u, 1000u, 65519u}) {
      const Bytes text = random.bytes(size);
      Bytes in_place = text;
      in_place.resize(size + 16);
      ASSERT_TRUE(cipher->seal(number(3), as_bytes("ad"), in_place));
      Bytes apart(size + 16);
      ASSERT_TRUE(cipher->seal(number(3), as_bytes("ad"), {text}, apart));
      EXPECT_EQ(apart, in_place);
      const BytesView all(text);
      const std::size_t cut = size / 3;
      ASSERT_TRUE(cipher->seal(number(3), as_bytes("ad"), {all.first(cut), all.subspan(cut)}, apart));
      EXPECT_EQ(apart, in_place);
      Bytes room(size + 5);
      auto opened = cipher->open(number(3), as_bytes("ad"), apart, room);
      ASSERT_TRUE(opened);
      EXPECT_EQ(to_bytes(*opened), text);
      EXPECT_EQ(apart, in_place) << "the input stays as it is";
      EXPECT_FALSE(cipher->open(number(4), as_bytes("ad"), apart, room));
      EXPECT_FALSE(cipher->seal(number(3), {}, {text}, room));
      if (size == 0) continue;
      EXPECT_FALSE(cipher->open(number(3), as_bytes("ad"), apart, MutableBytes(room).first(size - 1)));
    }
  }
}

TEST(Aead, AnyChangedBitIsNoticed) {
  SeededRandom random(1);
  for (Algorithm algorithm : kAll) {
    auto cipher = Aead::create(algorithm, random.bytes(Aead::key_size(algorithm)));
    for (std::size_t size : {0u, 1u, 63u, 64u, 65u, 1000u}) {
      Bytes sealed = random.bytes(size + 16);
      ASSERT_TRUE(cipher->seal(number(7), as_bytes("ad"), sealed));
      for (int i = 0; i < 50; ++i) {
        Bytes broken = sealed;
        broken[random.below(broken.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
        EXPECT_FALSE(cipher->open(number(7), as_bytes("ad"), broken));
      }
      Bytes copy = sealed;
      EXPECT_FALSE(cipher->open(number(8), as_bytes("ad"), copy));
      copy = sealed;
      EXPECT_FALSE(cipher->open(number(7), as_bytes("ae"), copy));
      EXPECT_TRUE(cipher->open(number(7), as_bytes("ad"), sealed));
    }
    Bytes too_short(15);
    EXPECT_FALSE(cipher->open(number(0), {}, too_short));
    EXPECT_FALSE(cipher->seal(number(0), {}, too_short));
    EXPECT_FALSE(Aead::create(algorithm, Bytes(17)));
  }
}

}  // namespace
}  // namespace dms::crypto
