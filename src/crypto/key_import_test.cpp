#include "crypto/key_import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/file.hpp"
#include "crypto/key_formats.hpp"
#include "crypto/testing.hpp"
#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"

namespace dms::crypto {
namespace {

using testing::HasSubstr;

// RFC 8032, test 1; and a pair that libp2p's implementations exchange.
constexpr std::string_view kSeed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
constexpr std::string_view kPublic = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
constexpr std::string_view kSecp = "0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";
using dms::test::hex;
Bytes joined(std::string_view a, std::string_view b) { return hex(std::string(a) + std::string(b)); }

TEST(KeyImport, EveryFormOfAKeyIsImported) {
  const Bytes both = joined(kSeed, kPublic);
  const Bytes marshalled = joined("08011240", hex_encode(both));
  const Bytes old = joined("08011260", hex_encode(both) + std::string(kPublic));
  for (const Bytes& bytes : {hex(kSeed), both, marshalled, old}) {
    const std::string base64 = base64_encode(bytes);
    const std::pair<KeyText, std::string> texts[] = {
        {KeyText::raw, std::string(as_text(bytes))},
        {KeyText::hex, hex_encode(bytes)},
        {KeyText::hex, "0x" + hex_encode(bytes) + "\n"},
        {KeyText::base64, base64},
        {KeyText::base64, "  " + base64.substr(0, 20) + "\r\n" + base64.substr(20) + "\n"},
    };
    for (const auto& [form, text] : texts)
      for (const KeyText given : {KeyText::recognise, form}) {
        if (given == KeyText::recognise && text.size() == 32) continue;  // any 32 bytes are a key
        const auto key = read_private_key(as_bytes(text), given);
        ASSERT_TRUE(key) << text << ": " << key.error().to_string();
        EXPECT_EQ(hex_encode(key->public_key().raw()), kPublic);
      }
  }
  std::string upper(kSeed);
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_TRUE(read_private_key(as_bytes(upper)));
}

TEST(KeyImport, TheCallerGivesTheTypeOf32Bytes) {
  const auto marshalled = read_private_key(hex(kSecp));
  ASSERT_TRUE(marshalled);
  EXPECT_EQ(marshalled->type(), KeyType::secp256k1);
  const auto bare = read_private_key(as_bytes(kSecp.substr(8)), KeyText::recognise, KeyType::secp256k1);
  EXPECT_EQ(bare->public_key(), marshalled->public_key());
  EXPECT_EQ(read_private_key(as_bytes(kSecp.substr(8)))->type(), KeyType::ed25519);
}

std::string example(const std::string& name) {
  return read_file(std::filesystem::path(DMS_SOURCE_DIR) / "tests/corpus/crypto_key_import" / name, kMaxKeyText)
      .value();
}

TEST(KeyImport, RawBytesOfASeedNeedTheFormatRaw) {
  for (const Bytes& bytes : {to_bytes(example("seed_text")), hex(kSeed)}) {
    EXPECT_THAT(read_private_key(bytes).error().to_string(), HasSubstr("--format raw"));
    EXPECT_TRUE(read_private_key(bytes, KeyText::raw));
  }
}

// Written by openssl, ssh-keygen, and by hand after RFC 8037 and Solana's key files.
TEST(KeyImport, ContainersOfOtherProgramsAreImported) {
  constexpr std::string_view kSecpPublic = "02b0234bfcafa73d7b2a752529a7d61e6a4ca458bfda8d7d7b91d88909d4198dfe";
  constexpr std::string_view kSshPublic = "fc75f9a4ab500209da516167cb32c82849fefd5756bd170101b987fa483cf75f";
  for (const auto& [name, public_key] :
       {std::pair("pem_ed25519", kPublic), std::pair("der_ed25519", kPublic), std::pair("jwk_ed25519", kPublic),
        std::pair("array_64", kPublic), std::pair("pem_secp256k1", kSecpPublic),
        std::pair("sec1_secp256k1", kSecpPublic), std::pair("der_secp256k1", kSecpPublic),
        std::pair("jwk_secp256k1", kSecpPublic), std::pair("openssh_ed25519", kSshPublic)}) {
    const auto key = read_private_key(as_bytes(example(name)));
    ASSERT_TRUE(key) << name << ": " << key.error().to_string();
    EXPECT_EQ(hex_encode(key->public_key().raw()), public_key) << name;
  }
  std::string dos = "comment\r\n" + example("pem_ed25519");
  EXPECT_TRUE(read_private_key(as_bytes(dos)));
}

TEST(KeyImport, OtherContentsOfContainersAreRefusedByName) {
  for (const auto& [name, why] :
       {std::pair("pem_encrypted", "under a passphrase: not supported; write a copy without it with `openssl pkey"),
        std::pair("sec1_encrypted", "under a passphrase"), std::pair("openssh_encrypted", "ssh-keygen -p -N ''"),
        std::pair("openssh_ecdsa", "type ecdsa-sha2-nistp256: not supported"),
        std::pair("openssh_torn", "public parts of an OpenSSH private key differ"),
        std::pair("pem_rsa", "type RSA: not supported; expected an Ed25519 or secp256k1 key"),
        std::pair("pem_p256", "curve prime256v1: not supported"),
        std::pair("pem_public", "a PEM PUBLIC KEY, which is not"), std::pair("ssh_public", "an OpenSSH public key"),
        std::pair("jwk_public", "is a public key"), std::pair("jwk_p256", "a JWK of kty EC, crv P-256: not supported"),
        std::pair("jwk_torn", "do not belong together"), std::pair("array_32", "a JSON array of 32 elements")}) {
    const auto key = read_private_key(as_bytes(example(name)));
    ASSERT_FALSE(key) << name;
    EXPECT_TRUE(key.error().is(Errc::bad_key)) << name;
    EXPECT_THAT(key.error().to_string(), HasSubstr(why)) << name;
  }
  for (const char* text :
       {"-----BEGIN", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END",
        "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END", "[", "{", "[1,2", "{}", "[-1]",
        "{\"kty\":1}", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"AAAA\"}", "PuTTY-User-Key-File-3: ssh-ed25519"})
    EXPECT_TRUE(read_private_key(as_bytes(std::string_view(text))).error().is(Errc::bad_key)) << text;
  const std::string deep = std::string(4000, '[');
  EXPECT_FALSE(read_private_key(as_bytes(deep)));
  EXPECT_TRUE(is_json_web_key(as_bytes(example("jwk_ed25519"))));
  EXPECT_FALSE(is_json_web_key(as_bytes(example("key_file"))));
}

TEST(KeyImport, OtherTextsAreRefused) {
  const std::string seed(kSeed);
  const std::pair<std::string, KeyText> refused[] = {
      {"", KeyText::recognise},
      {"correct horse battery staple", KeyText::recognise},
      {seed.substr(1), KeyText::recognise},
      {seed + "00", KeyText::recognise},
      {seed, KeyText::raw},     // 64 bytes, but their halves are no pair
      {seed, KeyText::base64},  // 48 bytes
      {base64_encode(hex(kSeed)), KeyText::hex},
      {hex_encode(joined(kSeed, kSeed)), KeyText::recognise},
      {std::string(64, '0') + std::string(64, 'f'), KeyText::recognise},
      {"{\"id\":\"user\"}", KeyText::recognise},
      {std::string(kMaxKeyText + 1, '0'), KeyText::recognise},
  };
  for (const auto& [text, form] : refused) EXPECT_FALSE(read_private_key(as_bytes(text), form)) << text.substr(0, 150);
  EXPECT_FALSE(read_private_key(Bytes(32, 0xff), KeyText::raw, KeyType::secp256k1)) << "above the order of the curve";
  EXPECT_TRUE(read_private_key(Bytes(32, 1), KeyText::raw, KeyType::rsa).error().is(dms::Errc::unsupported));
}

TEST(KeyImport, LeavesNoCopyOfTheKey) {
  SeededRandom random(5);
  Bytes bytes = random.bytes(32);
  const test::Wanted wanted(bytes);
  const Secret seed(std::move(bytes));
  std::string hex_string = hex_encode(seed);
  std::string base64_string = base64_encode(seed);
  const Secret as_hex = Secret::take(hex_string);
  const Secret as_base64 = Secret::take(base64_string);
  EXPECT_EQ(wanted.count(), 1U) << "the test's copy";
  Secret der(16 + seed.size());  // PKCS#8
  std::ranges::copy(seed.view(),
                    std::ranges::copy(hex("302e020100300506032b657004220420"), der.mutable_view().begin()).out);
  std::string body = base64_encode(der);
  der = Secret();
  std::string armour = fmt::format("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", body);
  const Secret as_pem = Secret::take(armour);
  std::string digits = encode(Base::base64url, seed);
  std::string object = fmt::format("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"{}\"}}", digits);
  const Secret as_jwk = Secret::take(object);
  std::vector<std::pair<const char*, const Secret*>> forms = {
      {"hex", &as_hex}, {"base64", &as_base64}, {"JWK", &as_jwk}};
  // OpenSSL's own copies of a PEM key are overwritten when their memory is used again, which these allocators delay.
  if (!test::kMemoryIsHeldBack) forms.emplace_back("PEM", &as_pem);
  for (const auto& [form, text] : forms) {
    EXPECT_TRUE(read_private_key(*text)) << form;
    EXPECT_EQ(wanted.count(), 1U) << form;
  }
}

RC_GTEST_PROP(KeyImport, ExportedKeysAreImported, (std::uint64_t seed)) {
  SeededRandom random(seed);
  const PrivateKey key = PrivateKey::generate(seed % 2 == 0 ? KeyType::ed25519 : KeyType::secp256k1, random).value();
  RC_ASSERT(read_private_key(key.marshal())->public_key() == key.public_key());
  RC_ASSERT(read_private_key(as_bytes(base64_encode(key.marshal())))->public_key() == key.public_key());
  RC_ASSERT(read_private_key(as_bytes(hex_encode(key.marshal())))->public_key() == key.public_key());
}

}  // namespace
}  // namespace dms::crypto
