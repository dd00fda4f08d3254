#include "crypto/signer.hpp"

#include <gtest/gtest.h>

#include "encoding/multibase.hpp"

namespace dms::crypto {
namespace {

// The published signature of web3.js's documentation over "Some data", and the wallet's key.
const Bytes kR = hex_decode("b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd").value();
const Bytes kS = hex_decode("6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029").value();
const Bytes kHighS = hex_decode("9ff818b327d1fc847ffe79bdd03d25e83e3a5df66962ceb160751b8bd754a118").value();
const Bytes kPoint = hex_decode("024e3b81af9c2234cad09d679ce6035ed1392347ce64ce405f5dcd36228a25de6e").value();

TEST(Signer, APrivateKeyIsASigner) {
  SeededRandom random(1);
  const PrivateKey key = PrivateKey::generate(random);
  const Signer signer = key;
  EXPECT_EQ(signer.public_key(), key.public_key());
  EXPECT_EQ(signer.sign(as_bytes("m")).value(), key.sign(as_bytes("m")).value());
}

TEST(Signer, SignaturesOfAWalletAreVerified) {
  const PublicKey wallet = PublicKey::from_raw(KeyType::ethereum, kPoint).value();
  const Signer signer(wallet, [](BytesView) { return secp256k1_der(kR, kS); });
  EXPECT_EQ(signer.public_key(), wallet);
  EXPECT_TRUE(signer.sign(as_bytes("Some data")));
  EXPECT_TRUE(signer.sign(as_bytes("Other data")).error().is(Errc::wrong_signature));
  const Signer away(wallet, [](BytesView) -> Result<Bytes> { return fail(dms::Errc::io, "no device"); });
  EXPECT_TRUE(away.sign(as_bytes("Some data")).error().is(dms::Errc::io));
}

TEST(Signer, DerIsWrittenWithLowS) {
  const Bytes der = secp256k1_der(kR, kS).value();
  EXPECT_EQ(secp256k1_der(kR, kHighS).value(), der);
  const Bytes one{1};
  EXPECT_EQ(hex_encode(secp256k1_der(one, one).value()), "3006020101020101") << "short numbers are padded";
  EXPECT_FALSE(secp256k1_der(Bytes(32, 0xff), one)) << "above the order";
  EXPECT_FALSE(secp256k1_der(Bytes(33, 0), one));
}

}  // namespace
}  // namespace dms::crypto
