#include "crypto/peer_id.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

#include "base/multibase.hpp"

namespace dms::crypto {
namespace {

TEST(PeerId, TextsOfTheSpecification) {
  // libp2p/specs peer-ids: the same id as multihash and as CID.
  auto hashed = PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N");
  ASSERT_TRUE(hashed) << hashed.error().to_string();
  EXPECT_EQ(hashed->to_cid(), "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe");
  EXPECT_EQ(PeerId::parse(hashed->to_cid()).value(), *hashed);
  EXPECT_FALSE(hashed->public_key());

  auto inlined = PeerId::parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
  ASSERT_TRUE(inlined) << inlined.error().to_string();
  EXPECT_EQ(inlined->to_string(), "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
  ASSERT_TRUE(inlined->public_key());
  EXPECT_EQ(inlined->public_key()->type(), KeyType::ed25519);
  EXPECT_TRUE(inlined->matches(*inlined->public_key()));
}

TEST(PeerId, RefusesWhatIsNoPeerId) {
  for (std::string_view text : {"", "1", "Qm", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5",
                                "not a peer id", "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA ",
                                // a CID of another codec (raw)
                                "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"})
    EXPECT_FALSE(PeerId::parse(text)) << text;
  EXPECT_FALSE(PeerId::parse(std::string(PeerId::kMaxText + 1, '1')));
  EXPECT_FALSE(PeerId::from_bytes({}));
  EXPECT_FALSE(PeerId::from_bytes(Bytes{0x12, 0x20, 0x01}));
  EXPECT_FALSE(PeerId::from_bytes(Bytes{0x00, 0x02, 0x01, 0x02}));  // an identity that is no key
  EXPECT_FALSE(PeerId::from_bytes(Bytes(34, 0x13)));
}

TEST(PeerId, TheEmptyIdIsNobody) {
  PeerId none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.to_string(), "");
  EXPECT_FALSE(none.public_key());
}

RC_GTEST_PROP(PeerId, EachKeyHasOneIdInEveryForm, (std::uint64_t seed)) {
  SeededRandom random(seed);
  const KeyType type = seed % 2 == 0 ? KeyType::ed25519 : KeyType::secp256k1;
  const PublicKey key = PrivateKey::generate(type, random)->public_key();
  const PeerId id = PeerId::from(key);
  RC_ASSERT(PeerId::parse(id.to_string()).value() == id);
  RC_ASSERT(PeerId::parse(id.to_cid()).value() == id);
  RC_ASSERT(PeerId::from_bytes(id.bytes()).value() == id);
  RC_ASSERT(id.public_key() == key);
  RC_ASSERT(std::unordered_set<PeerId>{id}.contains(id));
}

}  // namespace
}  // namespace dms::crypto
