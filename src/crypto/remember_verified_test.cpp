#include "crypto/remember_verified.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "crypto/keys.hpp"

namespace dms::crypto {
namespace {

struct RememberVerifiedTest : testing::Test {
  SeededRandom random{3};
  PrivateKey key = PrivateKey::generate(random);
  Bytes message = to_bytes("a broadcast");
  Bytes signature = key.sign(message).value();
};

TEST_F(RememberVerifiedTest, OnlyExactlyWhatWasVerifiedIsTrueAtOnce) {
  RememberVerified verified;
  EXPECT_TRUE(key.public_key().verify(message, signature));
  EXPECT_EQ(verified.hits(), 0u);
  EXPECT_TRUE(key.public_key().verify(message, signature));
  EXPECT_EQ(verified.hits(), 1u);
  EXPECT_FALSE(key.public_key().verify(to_bytes("a broadcasu"), signature));
  EXPECT_FALSE(PrivateKey::generate(random).public_key().verify(message, signature));
  Bytes forged = signature;
  forged.back() ^= 1;
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(key.public_key().verify(message, forged)) << "a failure is not remembered";
  EXPECT_FALSE(key.public_key().verify(message, BytesView(signature).first(63)));
  EXPECT_EQ(verified.hits(), 1u);
}

TEST_F(RememberVerifiedTest, TheLatestCountsUntilItEnds) {
  EXPECT_EQ(RememberVerified::current(), nullptr);
  RememberVerified outer;
  EXPECT_TRUE(key.public_key().verify(message, signature));
  {
    RememberVerified inner;
    EXPECT_TRUE(key.public_key().verify(message, signature));
    EXPECT_EQ(inner.hits() + outer.hits(), 0u);
  }
  EXPECT_TRUE(key.public_key().verify(message, signature));
  EXPECT_EQ(outer.hits(), 1u);
}

TEST_F(RememberVerifiedTest, WhatIsTooMuchIsForgotten) {
  RememberVerified verified;
  Digest256 name{};
  verified.add(name);
  for (std::size_t i = 1; i < RememberVerified::kMost; ++i) {
    name[0] = static_cast<std::uint8_t>(i);
    name[1] = static_cast<std::uint8_t>(i >> 8);
    name[2] = static_cast<std::uint8_t>(i >> 16);
    verified.add(name);
  }
  EXPECT_TRUE(verified.contains(Digest256{}));
  name[31] = 1;
  verified.add(name);
  EXPECT_FALSE(verified.contains(Digest256{}));
  EXPECT_TRUE(verified.contains(name));
}

}  // namespace
}  // namespace dms::crypto
