#include "did/did.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

#include "base/file.hpp"
#include "encoding/multibase.hpp"

namespace dms::did {
namespace {

using crypto::KeyType;
using crypto::PrivateKey;

struct PublishedKey {
  std::string type, private_key, public_key, did;
  static constexpr auto json_fields() {
    return std::tuple(json::field("type", &PublishedKey::type), json::field("private", &PublishedKey::private_key),
                      json::field("public", &PublishedKey::public_key), json::field("did", &PublishedKey::did));
  }
};
struct PublishedKeys {
  std::vector<PublishedKey> cases;
  static constexpr auto json_fields() { return std::tuple(json::field("cases", &PublishedKeys::cases)); }
};

TEST(Did, PublishedKeys) {
  const auto file = std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/published/did_keys.json";
  const auto published = json::decode<PublishedKeys>(read_file(file, 1 << 20).value());
  ASSERT_TRUE(published) << published.error().to_string();
  ASSERT_FALSE(published->cases.empty());
  for (const PublishedKey& c : published->cases) {
    SCOPED_TRACE(c.did);
    const auto did = Did::parse(c.did);
    ASSERT_TRUE(did) << did.error().to_string();
    const auto key = did->public_key();
    ASSERT_TRUE(key) << key.error().to_string();
    EXPECT_EQ(crypto::to_string(key->type()), c.type);
    EXPECT_EQ(Did::from(*key).value(), *did);
    if (!c.public_key.empty()) {
      EXPECT_EQ(hex_encode(key->raw()), c.public_key);
    }
    if (!c.private_key.empty()) {
      EXPECT_EQ(PrivateKey::from_raw(key->type(), hex_decode(c.private_key).value())->public_key(), *key);
    }
  }
}

TEST(Did, HasThreeParts) {
  const Did did = Did::parse("did:web:example.com").value();
  EXPECT_EQ(did.method(), "web");
  EXPECT_EQ(did.identifier(), "example.com");
  EXPECT_TRUE(Did::parse("")->empty());
  EXPECT_EQ(Did().method(), "");
  for (std::string_view text :
       {"did", "did:", "did:key", "did:key:", "did::x", ":key:x", "did:key:x:y", "DID:key:x", "key:x:y", "did:key:a b",
        "did:key:\"", "did:key:\n", "did:key:<", "did:k:x#f", "did:k:\xff"})
    EXPECT_FALSE(Did::parse(text)) << text;
  EXPECT_TRUE(Did::parse("did:key:" + std::string(kMaxDid - 8, 'x')));
  EXPECT_TRUE(Did::parse("did:key:" + std::string(kMaxDid - 7, 'x')).error().is(dms::Errc::limit_exceeded));
}

TEST(Did, ReportsWhyAKeyCannotBeUsed) {
  const Bytes point = hex_decode("03874c15c7fda20e539c6e5ba573c139884c351188799f5458b4b41f7924f235cd").value();
  const auto with_code = [&](Bytes code) {
    append(code, point);
    return Did::parse("did:key:" + multibase_encode(Base::base58btc, code))->public_key();
  };
  EXPECT_TRUE(with_code({0x81, 0xde, 0x03}));
  EXPECT_NE(with_code({0x82, 0xde, 0x03}).error().to_string().find("Cardano"), std::string::npos);
  EXPECT_TRUE(with_code({0x80, 0x24}).error().is(Errc::unsupported));
  EXPECT_TRUE(with_code({0xed, 0x01}).error().is(Errc::bad_key));              // 33 bytes are no Ed25519 key
  EXPECT_TRUE(with_code({0x81, 0xde, 0x03, 0x00}).error().is(Errc::bad_key));  // 34 bytes are no point
  EXPECT_NE(Did::parse("did:prism:abc")->public_key().error().to_string().find("PRISM"), std::string::npos);
  EXPECT_TRUE(Did::parse("did:web:example.com")->public_key().error().is(Errc::unsupported));
  EXPECT_TRUE(Did::parse("did:key:mAAAA")->public_key().error().is(Errc::bad_key));
  EXPECT_TRUE(Did::parse("did:key:z0OIl")->public_key().error().is(Errc::bad_key));
  EXPECT_FALSE(Did().public_key());
}

TEST(Did, TheEmptyDidIsAnEmptyJsonObject) {
  EXPECT_EQ(json::encode(Did()), "{}");
  EXPECT_EQ(json::encode(Did::parse("did:web:x").value()), "{\"uri\":\"did:web:x\"}");
  EXPECT_TRUE(json::decode<Did>("{}")->empty());
  EXPECT_TRUE(json::decode<Did>("{\"uri\":\"\"}")->empty());
  EXPECT_EQ(json::decode<Did>("{\"URI\":\"did:web:x\"}")->uri(), "did:web:x");
  for (std::string_view text : {"[]", "\"did:web:x\"", "{\"uri\":3}", "{\"uri\":\"x\"}", "null"})
    EXPECT_FALSE(json::decode<Did>(text)) << text;
}

RC_GTEST_PROP(Did, AKeyAndItsDidNameEachOther, (std::uint64_t seed)) {
  SeededRandom random(seed);
  auto key = PrivateKey::generate(seed % 3 == 0 ? KeyType::ed25519 : KeyType::secp256k1, random)->public_key();
  if (seed % 3 == 1) key = crypto::PublicKey::from_raw(KeyType::ethereum, key.raw()).value();
  const Did did = Did::from(key).value();
  RC_ASSERT(Did::parse(did.uri()).value() == did);
  RC_ASSERT(did.public_key().value() == key);
  RC_ASSERT(std::unordered_set<Did>{did}.contains(did));
}

}  // namespace
}  // namespace dms::did
