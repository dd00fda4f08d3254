#include "crypto/keys.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/file.hpp"
#include "crypto/hash.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"

namespace dms::crypto {
namespace {
using dms::test::hex;

TEST(Hash, PublishedDigests) {
  EXPECT_EQ(hex_encode(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(sha3_256(as_bytes("abc"))), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
  EXPECT_TRUE(equal_constant_time(as_bytes("ab"), as_bytes("ab")));
  EXPECT_FALSE(equal_constant_time(as_bytes("ab"), as_bytes("ac")));
  EXPECT_FALSE(equal_constant_time(as_bytes("ab"), as_bytes("a")));
}

struct Rfc8032 {
  std::string_view seed, key, message, signature;
};
// RFC 8032 section 7.1, tests 1 to 3.
constexpr Rfc8032 kRfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "55141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "027beceea1ec40a"},
};

TEST(Keys, Ed25519SignsAsInRfc8032) {
  for (const auto& v : kRfc8032) {
    auto key = PrivateKey::from_raw(KeyType::ed25519, hex(v.seed));
    ASSERT_TRUE(key);
    EXPECT_EQ(hex_encode(key->public_key().raw()), v.key);
    EXPECT_EQ(hex_encode(key->sign(hex(v.message)).value()), v.signature);
    EXPECT_TRUE(key->public_key().verify(hex(v.message), hex(v.signature)));
    EXPECT_FALSE(key->public_key().verify(as_bytes("another message"), hex(v.signature)));
  }
}

// The key pairs of the tests of libp2p's implementations.
constexpr std::string_view kLibp2pPrivate =
    "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3c"
    "acf6010f0e42d474fce27e";
constexpr std::string_view kLibp2pPublic = "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
constexpr std::string_view kSecpPrivate = "0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";
constexpr std::string_view kSecpPublic = "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99";
constexpr std::string_view kEcdsaPublic =
    "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901"
    "d8e6ecda020e8b6d5f8da30525e7"
    "1d6851510c098e5c47c646a597fb4dcec034e9f77c409e62";

TEST(Keys, DerivedKeysDependOnTheKeyAndTheLabel) {
  SeededRandom random(5);
  const PrivateKey key = PrivateKey::generate(random);
  const PrivateKey other = PrivateKey::generate(random);
  const PublicKey derived = key.derive("a").public_key();
  EXPECT_EQ(key.derive("a").public_key(), derived);
  EXPECT_NE(key.derive("b").public_key(), derived);
  EXPECT_NE(other.derive("a").public_key(), derived);
  EXPECT_NE(key.public_key(), derived);
}

TEST(Keys, Libp2pVectors) {
  for (auto [secret, open] : {std::pair(kLibp2pPrivate, kLibp2pPublic), std::pair(kSecpPrivate, kSecpPublic)}) {
    auto key = PrivateKey::unmarshal(hex(secret));
    ASSERT_TRUE(key) << key.error().to_string();
    EXPECT_EQ(hex_encode(key->marshal()), secret);
    EXPECT_EQ(hex_encode(key->public_key().marshal()), open);
    EXPECT_EQ(PublicKey::unmarshal(hex(open)).value(), key->public_key());
    auto signature = key->sign(as_bytes("hello"));
    ASSERT_TRUE(signature);
    EXPECT_TRUE(key->public_key().verify(as_bytes("hello"), *signature));
    signature->at(signature->size() / 2) ^= 1;
    EXPECT_FALSE(key->public_key().verify(as_bytes("hello"), *signature));
  }
  auto ecdsa = PublicKey::unmarshal(hex(kEcdsaPublic));
  ASSERT_TRUE(ecdsa) << ecdsa.error().to_string();
  EXPECT_EQ(ecdsa->type(), KeyType::ecdsa);
  EXPECT_EQ(hex_encode(ecdsa->marshal()), kEcdsaPublic);
}

TEST(Keys, OnlyTheCanonicalEncodingIsAccepted) {
  const Bytes good = hex(kLibp2pPublic);
  ASSERT_TRUE(PublicKey::unmarshal(good));
  const std::pair<std::string_view, Bytes> broken[] = {
      {"empty", {}},
      {"type only", {0x08, 0x01}},
      {"fields swapped", hex("12201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e0801")},
      {"unknown type", hex("080412201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")},
      {"type in two bytes", hex("08810012201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")},
      {"length in two bytes", hex("080112a0001ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")},
      {"short data", hex("0801121f1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce2")},
      {"trailing byte", hex("080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e00")},
      {"truncated", hex("080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce2")},
      {"secp256k1 not on the curve", hex("08021221050000000000000000000000000000000000000000000000000000000000000000")},
      {"rsa that is no DER", hex("080012020102")},
  };
  for (const auto& [name, bytes] : broken) EXPECT_FALSE(PublicKey::unmarshal(bytes)) << name;
}

struct WalletCase {
  std::string name;
  bool good = false;
  std::string message, signature;
  static constexpr auto json_fields() {
    return std::tuple(json::field("name", &WalletCase::name), json::field("good", &WalletCase::good),
                      json::field("message", &WalletCase::message), json::field("signature", &WalletCase::signature));
  }
};
struct WalletFile {
  std::string public_key;
  std::vector<WalletCase> cases;
  static constexpr auto json_fields() {
    return std::tuple(json::field("public", &WalletFile::public_key), json::field("cases", &WalletFile::cases));
  }
};

// Made by tests/vectors/make_ucan_vectors.py with its own Keccak and curve; the first one is published.
TEST(Keys, SignaturesOfAWallet) {
  const std::string text =
      read_file(std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/ucan/wallet_signatures.json", 1 << 20).value();
  const auto file = json::decode<WalletFile>(text);
  ASSERT_TRUE(file) << file.error().to_string();
  ASSERT_GE(file->cases.size(), 25U);
  const auto wallet = PublicKey::from_raw(KeyType::ethereum, hex(file->public_key));
  ASSERT_TRUE(wallet) << wallet.error().to_string();
  for (const WalletCase& c : file->cases) EXPECT_EQ(wallet->verify(hex(c.message), hex(c.signature)), c.good) << c.name;
}

TEST(Keys, AWalletsKeyVerifiesWalletSignaturesOnlyAndIsNotAPeerKey) {
  SeededRandom random(1);
  const PrivateKey plain = PrivateKey::generate(KeyType::secp256k1, random).value();
  const PublicKey wallet = PublicKey::from_raw(KeyType::ethereum, plain.public_key().raw()).value();
  EXPECT_NE(wallet, plain.public_key());
  EXPECT_FALSE(wallet.verify(as_bytes("m"), plain.sign(as_bytes("m")).value())) << "signed over SHA-256";
  EXPECT_FALSE(PublicKey::from_raw(KeyType::ethereum, Bytes(33, 5))) << "not on the curve";
  EXPECT_FALSE(PublicKey::from_raw(KeyType::ethereum, Bytes(32, 2)));
  const auto back = PublicKey::unmarshal(wallet.marshal());
  ASSERT_FALSE(back);
  EXPECT_NE(back.error().to_string().find("names no peer and no actor"), std::string::npos) << back.error().to_string();
  EXPECT_TRUE(PrivateKey::generate(KeyType::ethereum, random).error().is(dms::Errc::unsupported));
  EXPECT_TRUE(PrivateKey::from_raw(KeyType::ethereum, Bytes(32, 1)).error().is(dms::Errc::unsupported));
}

TEST(Keys, InconsistentHalvesAreRefused) {
  Bytes bytes = hex(kLibp2pPrivate);
  bytes.back() ^= 1;
  EXPECT_FALSE(PrivateKey::unmarshal(bytes));
  EXPECT_FALSE(PrivateKey::unmarshal(hex("08011220" + std::string(64, '0'))));
  EXPECT_FALSE(PrivateKey::unmarshal(hex("08021220" + std::string(64, '0'))));  // the zero scalar
  EXPECT_FALSE(PrivateKey::unmarshal(hex("08021220" + std::string(64, 'f'))));  // above the order
}

TEST(Keys, GeneratedKeysDifferAndSign) {
  SeededRandom random(7);
  for (KeyType type : {KeyType::ed25519, KeyType::secp256k1}) {
    PrivateKey a = PrivateKey::generate(type, random).value();
    PrivateKey b = PrivateKey::generate(type, random).value();
    EXPECT_NE(a.public_key(), b.public_key());
    const Bytes signature = a.sign(as_bytes("m")).value();
    EXPECT_TRUE(a.public_key().verify(as_bytes("m"), signature));
    EXPECT_FALSE(b.public_key().verify(as_bytes("m"), signature));
  }
  EXPECT_TRUE(PrivateKey::generate(KeyType::rsa, random).error().is(dms::Errc::unsupported));
}

TEST(Keys, AnEmptySignatureIsInvalidForEveryKey) {
  SeededRandom random(7);
  for (KeyType type : {KeyType::ed25519, KeyType::secp256k1}) {
    const PublicKey key = PrivateKey::generate(type, random)->public_key();
    EXPECT_FALSE(key.verify(as_bytes("m"), {}));
    EXPECT_FALSE(key.verify({}, {}));
  }
  EXPECT_FALSE(PublicKey::unmarshal(hex(kEcdsaPublic))->verify(as_bytes("m"), {}));
}

TEST(Keys, SecretsAreEmptyAfterAMove) {
  Secret a(std::string_view("hush"));
  Secret b(std::move(a));
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(as_text(b), "hush");
}

RC_GTEST_PROP(Keys, EverySignatureVerifiesAndNoOtherMessageDoes, (const Bytes& message, std::uint64_t seed)) {
  SeededRandom random(seed);
  const KeyType type = seed % 2 == 0 ? KeyType::ed25519 : KeyType::secp256k1;
  PrivateKey key = PrivateKey::generate(type, random).value();
  const Bytes signature = key.sign(message).value();
  RC_ASSERT(key.public_key().verify(message, signature));
  Bytes other = message;
  other.push_back(0);
  RC_ASSERT(!key.public_key().verify(other, signature));
  RC_ASSERT(PrivateKey::unmarshal(key.marshal())->public_key() == key.public_key());
}

}  // namespace
}  // namespace dms::crypto
