#include "crypto/peer_id.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

#include "base/file.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"

namespace dms::crypto {
namespace {

struct PublishedId {
  std::string id, cid, key;
  static constexpr auto json_fields() {
    return std::tuple(json::field("id", &PublishedId::id), json::field("cid", &PublishedId::cid),
                      json::field("key", &PublishedId::key));
  }
};
struct PublishedIds {
  std::vector<PublishedId> cases;
  static constexpr auto json_fields() { return std::tuple(json::field("cases", &PublishedIds::cases)); }
};

TEST(PeerId, PublishedTexts) {
  const auto file = std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/published/peer_ids.json";
  const auto published = json::decode<PublishedIds>(read_file(file, 1 << 20).value());
  ASSERT_TRUE(published) << published.error().to_string();
  ASSERT_FALSE(published->cases.empty());
  for (const PublishedId& c : published->cases) {
    const auto id = PeerId::parse(c.id);
    ASSERT_TRUE(id) << id.error().to_string();
    EXPECT_EQ(id->to_string(), c.id);
    EXPECT_EQ(PeerId::parse(id->to_cid()).value(), *id);
    if (!c.cid.empty()) {
      EXPECT_EQ(id->to_cid(), c.cid);
    }
    const auto key = id->public_key();
    EXPECT_EQ(key ? to_string(key->type()) : "", c.key) << c.id;
    if (key) {
      EXPECT_TRUE(id->matches(*key));
    }
  }
}

TEST(PeerId, AWalletsKeyHasNoPeerId) {
  const Bytes point = hex_decode("03874c15c7fda20e539c6e5ba573c139884c351188799f5458b4b41f7924f235cd").value();
  const auto wallet = PublicKey::from_raw(KeyType::ethereum, point).value();
  EXPECT_FALSE(PeerId::from_bytes(PeerId::from(wallet).bytes()));
  EXPECT_FALSE(PeerId::parse(PeerId::from(wallet).to_string()));
}

TEST(PeerId, ThreeTextsOfOnePeer) {
  // multiformats/go-multiaddr's tests write one peer in these three forms.
  auto base36 = PeerId::parse("k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs");
  ASSERT_TRUE(base36) << base36.error().to_string();
  EXPECT_EQ(base36->to_string(), "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV");
  EXPECT_EQ(base36->to_cid(), "bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u");
}

TEST(PeerId, OtherTextsAreRefused) {
  for (std::string_view text : {"", "1", "Qm", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5",
                                "not a peer id", "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA ",
                                // a CID of another codec (raw), and one of version 0 with a prefix
                                "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"})
    EXPECT_FALSE(PeerId::parse(text)) << text;
  EXPECT_FALSE(PeerId::parse(std::string(PeerId::kMaxText + 1, '1')));
  EXPECT_FALSE(PeerId::from_bytes({}));
  EXPECT_FALSE(PeerId::from_bytes(Bytes{0x12, 0x20, 0x01}));
  EXPECT_FALSE(PeerId::from_bytes(Bytes{0x00, 0x02, 0x01, 0x02}));  // an identity that is no key
  EXPECT_FALSE(PeerId::from_bytes(Bytes(34, 0x13)));
}

TEST(PeerId, TheEmptyIdIsNoPeer) {
  PeerId none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.to_string(), "");
  EXPECT_EQ(none.to_cid(), "");
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
