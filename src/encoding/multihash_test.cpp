#include "encoding/multihash.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"

namespace dms {
namespace {
using dms::test::hex;

TEST(Multicodec, NamesAreThoseOfTheTable) {
  // Name and code as in multicodec's table.csv.
  const std::pair<std::string_view, std::uint64_t> rows[] = {
      {"identity", 0x00},   {"cidv1", 0x01},         {"sha1", 0x11},       {"sha2-256", 0x12},    {"sha2-512", 0x13},
      {"sha3-512", 0x14},   {"sha3-256", 0x16},      {"raw", 0x55},        {"dag-pb", 0x70},      {"dag-cbor", 0x71},
      {"libp2p-key", 0x72}, {"secp256k1-pub", 0xe7}, {"x25519-pub", 0xec}, {"ed25519-pub", 0xed}, {"dag-json", 0x0129},
      {"p256-pub", 0x1200}, {"rsa-pub", 0x1205}};
  for (const auto& [name, code] : rows) {
    EXPECT_EQ(multicodec_named(name), static_cast<Multicodec>(code)) << name;
    EXPECT_EQ(to_string(static_cast<Multicodec>(code)), name);
  }
  EXPECT_EQ(to_string(static_cast<Multicodec>(0xef01)), "0xef01");
  EXPECT_FALSE(multicodec_named("no-such-codec"));
}

TEST(Multicodec, IsAVarintInFront) {
  Bytes bytes;
  append_multicodec(bytes, Multicodec::p256_pub);
  EXPECT_EQ(bytes, hex("8024"));
  bytes.push_back(7);
  const auto coded = read_multicodec(bytes);
  ASSERT_TRUE(coded);
  EXPECT_EQ(coded->code, Multicodec::p256_pub);
  EXPECT_EQ(to_bytes(coded->rest), Bytes{7});
  EXPECT_EQ(read_multicodec(hex("8000")).error().place(), "byte 1");
  EXPECT_FALSE(read_multicodec({}));
}

TEST(Multihash, VectorsOfTheMultihashRepository) {
  std::size_t count = 0;
  for (const auto& row : test::read_csv("multiformats/multihash_test_cases.csv")) {
    const std::string name = row.at(0) == "sha3" ? "sha3-512" : row.at(0);
    const Bytes bytes = hex(row.at(3));
    const auto hash = Multihash::parse(bytes);
    ASSERT_TRUE(hash) << row.at(3) << ": " << hash.error().to_string();
    EXPECT_EQ(to_string(hash->code), name);
    EXPECT_EQ(8 * hash->digest.size(), std::stoul(row.at(1)));
    EXPECT_EQ((Multihash{*multicodec_named(name), hash->digest}.bytes()), bytes);
    ++count;
  }
  EXPECT_EQ(count, 260U);
}

TEST(Multihash, RefusalsSayWhereAndWhy) {
  const auto refusal = [](std::string_view text) {
    const Bytes bytes = hex(text);
    const auto hash = Multihash::parse(bytes);
    return hash ? "accepted" : hash.error().place();
  };
  EXPECT_EQ(refusal(""), "byte 0");
  EXPECT_EQ(refusal("12"), "byte 0") << "of the length, which is missing";
  EXPECT_EQ(refusal("920000"), "byte 1") << "the code is not in its shortest form";
  EXPECT_EQ(refusal("128000"), "byte 1");
  EXPECT_EQ(refusal("120401"), "byte 2") << "three bytes are missing";
  EXPECT_EQ(refusal("12010102"), "byte 3") << "one too many";
  EXPECT_EQ(refusal("1200"), "byte 2") << "an empty digest";
  EXPECT_EQ(refusal("1221" + std::string(66, 'a')), "byte 2") << "sha2-256 makes 32 bytes";
  EXPECT_EQ(refusal("0000"), "accepted") << "the identity of nothing";
  EXPECT_EQ(refusal("1e21" + std::string(66, 'a')), "accepted") << "blake3 is not known here";
  EXPECT_TRUE(Multihash::parse(hex("00ff01")).error().is(Errc::limit_exceeded));
}

TEST(Multihash, IsReadFromTheFrontOfMore) {
  const Bytes bytes = hex("110102ffff");
  BytesView rest = bytes;
  EXPECT_EQ(Multihash::read(rest).value(), (Multihash{Multicodec::sha1, BytesView(bytes).subspan(2, 1)}));
  EXPECT_EQ(to_bytes(rest), hex("ffff"));
}

RC_GTEST_PROP(Multihash, EachHasOneFormAndEachFormIsOneHash, ()) {
  const auto code = static_cast<Multicodec>(*rc::gen::arbitrary<std::uint32_t>());
  const Bytes digest =
      *rc::gen::resize(static_cast<int>(digest_size(code).value_or(kMaxDigest)), rc::gen::arbitrary<Bytes>());
  RC_PRE(digest.size() <= kMaxDigest && !(digest_size(code) && digest.empty()));
  const Bytes bytes = Multihash{code, digest}.bytes();
  const auto back = Multihash::parse(bytes);
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == (Multihash{code, digest}));
  // Any single byte changed gives another hash, or none.
  Bytes other = bytes;
  const auto at = *rc::gen::inRange<std::size_t>(0, other.size());
  other[at] = static_cast<std::uint8_t>(other[at] ^ *rc::gen::inRange(1, 256));
  const auto changed = Multihash::parse(other);
  if (!changed) return;  // RC_ASSERT evaluates both sides of ||
  RC_ASSERT(!(*changed == *back));
  RC_ASSERT(changed->bytes() == other);
}

}  // namespace
}  // namespace dms
