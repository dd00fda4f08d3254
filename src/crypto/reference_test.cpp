// Keys and key files of NuNet's Go implementation.
#include <gtest/gtest.h>

#include "crypto/keystore.hpp"
#include "crypto/peer_id.hpp"
#include "encoding/testing.hpp"

namespace dms::crypto {
namespace {

using dms::test::Comparison;
using dms::test::ReferenceCase;
using dms::test::ReferenceFile;

TEST(Reference, KeysAndPeerIdsEqualThoseOfTheGoImplementation) {
  for (const dms::test::ReferenceParty& party : ReferenceFile::load("crypto/go_keys.json").parties) {
    auto key = PrivateKey::unmarshal(hex_decode(party.private_key).value());
    ASSERT_TRUE(key) << party.name;
    EXPECT_EQ(hex_encode(key->public_key().marshal()), party.public_key) << party.name;
    EXPECT_EQ(PeerId::from(key->public_key()).to_string(), party.peer) << party.name;
  }
}

constexpr const char* kCanonical = "a marshalled key has one form, the one that libp2p writes (keys.hpp)";

TEST(Reference, PrivateKeysAreReadLikeByTheGoImplementation) {
  Comparison comparison(dms::test::Differences{
      {"public key of another", "it would sign with one key and be identified by another"},
      {"an unknown field after it", kCanonical},
      {"members in the other order", kCanonical},
      {"type twice, the last right", kCanonical},
      {"type in a longer varint", kCanonical},
      {"secp256k1: zero", "no key: its public key would be the point at infinity"},
      {"secp256k1: the order", "the same as zero"},
  });
  for (const ReferenceCase& c : ReferenceFile::load("crypto/go_keys.json").cases) {
    auto key = PrivateKey::unmarshal(hex_decode(c.text).value());
    comparison.check(c, key);
    if (key) {
      EXPECT_EQ(hex_encode(key->marshal()), c.rewritten()) << c.name;
    }
  }
}

TEST(Reference, KeyFilesAreOpenedLikeByTheGoImplementation) {
  Comparison comparison(dms::test::Differences{
      {"kdf of another", "the reference ignores it and computes scrypt"},
      {"dklen longer", "the format has 64 bytes: it defines no use of more"},
      {"a member twice", "the value must not depend on the parser"},
  });
  for (const ReferenceCase& c : ReferenceFile::load("crypto/go_keystores.json").cases) {
    auto key = decrypt_key(c.text, Secret(std::string_view(c.passphrase)));
    comparison.check(c, key);
    if (key) {
      EXPECT_EQ(hex_encode(key->marshal()), c.canonical) << c.name;
    }
  }
}

}  // namespace
}  // namespace dms::crypto
