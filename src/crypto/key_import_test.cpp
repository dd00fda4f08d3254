#include "crypto/key_import.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "encoding/multibase.hpp"
#include "crypto/testing.hpp"

namespace dms::crypto {
namespace {

// RFC 8032, test 1; and a pair that libp2p's implementations exchange.
constexpr std::string_view kSeed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
constexpr std::string_view kPublic = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
constexpr std::string_view kSecp = "0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";

Bytes hex(std::string_view text) { return hex_decode(text).value(); }
Bytes joined(std::string_view a, std::string_view b) { return hex(std::string(a) + std::string(b)); }

TEST(KeyImport, EveryFormOfOneKeyIsThatKey) {
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
      for (const KeyText told : {KeyText::recognise, form}) {
        const auto key = read_private_key(as_bytes(text), told);
        ASSERT_TRUE(key) << text << ": " << key.error().to_string();
        EXPECT_EQ(hex_encode(key->public_key().raw()), kPublic);
      }
  }
  std::string upper(kSeed);
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_TRUE(read_private_key(as_bytes(upper)));
}

TEST(KeyImport, ThirtyTwoBytesAreOfTheTypeThatIsSaid) {
  const auto marshalled = read_private_key(hex(kSecp));
  ASSERT_TRUE(marshalled);
  EXPECT_EQ(marshalled->type(), KeyType::secp256k1);
  const auto bare = read_private_key(as_bytes(kSecp.substr(8)), KeyText::recognise, KeyType::secp256k1);
  EXPECT_EQ(bare->public_key(), marshalled->public_key());
  EXPECT_EQ(read_private_key(as_bytes(kSecp.substr(8)))->type(), KeyType::ed25519);
}

TEST(KeyImport, RefusesWhatIsNoKey) {
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
  EXPECT_EQ(wanted.count(), 1U) << "our own";
  for (const Secret* text : {&as_hex, &as_base64}) {
    EXPECT_TRUE(read_private_key(*text));
    EXPECT_EQ(wanted.count(), 1U);
  }
}

RC_GTEST_PROP(KeyImport, WhatIsWrittenIsRead, (std::uint64_t seed)) {
  SeededRandom random(seed);
  const PrivateKey key = PrivateKey::generate(seed % 2 == 0 ? KeyType::ed25519 : KeyType::secp256k1, random).value();
  RC_ASSERT(read_private_key(key.marshal())->public_key() == key.public_key());
  RC_ASSERT(read_private_key(as_bytes(base64_encode(key.marshal())))->public_key() == key.public_key());
  RC_ASSERT(read_private_key(as_bytes(hex_encode(key.marshal())))->public_key() == key.public_key());
}

}  // namespace
}  // namespace dms::crypto
