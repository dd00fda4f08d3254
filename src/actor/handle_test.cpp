#include "actor/handle.hpp"

#include <gtest/gtest.h>

namespace dms::actor {
namespace {

crypto::PrivateKey key(std::uint64_t seed) {
  SeededRandom random(seed);
  return crypto::PrivateKey::generate(random);
}
Handle handle(std::uint64_t seed) { return Handle::from(key(seed).public_key()).value(); }

TEST(Handle, AnEmptyHandleIsWrittenAsInGo) {
  EXPECT_EQ(json::encode(Handle()), R"({"id":{"pub":""},"did":{},"addr":{}})");
  auto read = json::decode<Handle>(R"({"id":{"pub":""},"did":{},"addr":{}})");
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->empty());
  EXPECT_TRUE(json::decode<Handle>("{}")->empty());
}

TEST(Handle, FromAKeyHasItsIdDidAndPeerId) {
  const Handle made = handle(1);
  EXPECT_EQ(made.id.public_key().value(), key(1).public_key());
  EXPECT_EQ(made.did.public_key().value(), key(1).public_key());
  EXPECT_EQ(made.address.peer()->public_key().value(), key(1).public_key());
  EXPECT_EQ(made.address.inbox, "root");
  EXPECT_EQ(made.id.to_string().size(), 64u);
  EXPECT_TRUE(made.id.to_string().starts_with("BAARE"));
}

TEST(Handle, CanBeMadeFromAPeerIdOrADid) {
  const Handle made = handle(1);
  EXPECT_EQ(Handle::from(made.address.peer().value()).value(), made);
  EXPECT_EQ(Handle::from(made.did).value(), made);
  EXPECT_EQ(Handle::from(made.did, "other")->address.inbox, "other");
  EXPECT_FALSE(Handle::from(did::Did::parse("did:web:example.com").value()));
  // The peer id of an RSA key is a hash.
  EXPECT_FALSE(Handle::from(crypto::PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N").value()));
}

TEST(Handle, Secp256k1KeysMayBeActors) {
  SeededRandom random(3);
  const auto secp = crypto::PrivateKey::generate(crypto::KeyType::secp256k1, random).value();
  const Handle made = Handle::from(secp.public_key()).value();
  EXPECT_EQ(json::decode<Handle>(json::encode(made)).value(), made);
}

TEST(Handle, AWalletDidIsNotAnActor) {
  const auto wallet = did::Did::parse("did:key:zzCHUybNYmK8QsttZwXqUX8aDLoBGHnMCakDX2RpsGwmXmYHEW").value();
  ASSERT_TRUE(wallet.public_key());
  const auto made = Handle::from(wallet);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().to_string().find("names no peer and no actor"), std::string::npos) << made.error().to_string();
}

TEST(Handle, IsReadBackFromJson) {
  Handle made = handle(2);
  made.did = handle(3).did;
  EXPECT_EQ(json::decode<Handle>(json::encode(made)).value(), made);
}

TEST(Handle, IsReadBackFromText) {
  Handle child = handle(2);
  child.did = handle(3).did;
  child.address.inbox = child.did.uri();  // a contract's inbox has colons
  for (const Handle& made : {handle(1), child, Handle()}) EXPECT_EQ(Handle::parse(made.to_string()).value(), made);
}

TEST(Handle, BadTextsAreRefused) {
  const std::string good = handle(1).to_string();
  for (const std::string& bad :
       {std::string(), std::string("text"), good.substr(0, good.find('@')), "x" + good,
        std::string("[did:key]@host:inbox"), std::string("]@[:"), "[]@" + std::string(2000, 'h') + ":inbox"})
    EXPECT_FALSE(Handle::parse(bad)) << bad;
}

TEST(Handle, BadJsonIsRefused) {
  for (const char* bad :
       {R"({"id":7})", R"({"id":{"pub":7}})", R"({"id":{"pub":"MFRA"}})", R"({"id":{"pub":"mfra===="}})",
        R"({"did":{"uri":"did:key"}})", R"({"addr":{"host":1}})", R"([])"})
    EXPECT_FALSE(json::decode<Handle>(bad)) << bad;
}

TEST(Id, IsBoundedAndNeedNotBeAKey) {
  const std::string longest(kMaxId / 5 * 8, 'A');
  EXPECT_TRUE(Id::parse(longest));
  EXPECT_FALSE(Id::parse(std::string(1 << 20, 'A')));
  const Id junk = Id::parse("MFRGG===").value();
  EXPECT_FALSE(junk.public_key());
  EXPECT_FALSE(junk.did());
  EXPECT_EQ(junk.to_string(), "MFRGG===");
}

TEST(Address, SplitsAtTheFirstColon) {
  const Address address = Address::parse("12D3KooW:did:key:z6Mk").value();
  EXPECT_EQ(address.host, "12D3KooW");
  EXPECT_EQ(address.inbox, "did:key:z6Mk");
  EXPECT_EQ(address.to_string(), "12D3KooW:did:key:z6Mk");
  EXPECT_FALSE(Address::parse("no colon"));
}

}  // namespace
}  // namespace dms::actor
