#include "crypto/x25519.hpp"

#include <gtest/gtest.h>

#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"

namespace dms::crypto {
namespace {
using dms::test::hex;

// RFC 7748, section 6.1.
TEST(X25519, RfcVectors) {
  auto alice = X25519Key::from_scalar(hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  auto bob = X25519Key::from_scalar(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  ASSERT_TRUE(alice && bob);
  EXPECT_EQ(encode(Base::hex, alice->public_key()), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(encode(Base::hex, bob->public_key()), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  auto one = alice->shared_secret(bob->public_key());
  auto two = bob->shared_secret(alice->public_key());
  ASSERT_TRUE(one && two);
  EXPECT_EQ(encode(Base::hex, *one), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(to_bytes(*one), to_bytes(*two));
}

TEST(X25519, RefusesPointsOfLowOrderAndWrongSizes) {
  SeededRandom random(1);
  const X25519Key key = X25519Key::generate(random);
  EXPECT_FALSE(key.shared_secret(Bytes(32, 0)));
  Bytes one(32, 0);
  one[0] = 1;
  EXPECT_FALSE(key.shared_secret(one));
  EXPECT_FALSE(key.shared_secret(Bytes(31, 9)));
  EXPECT_FALSE(X25519Key::from_scalar(Bytes(33, 9)));
}

}  // namespace
}  // namespace dms::crypto
