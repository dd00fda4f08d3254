// DIDs of NuNet's Go implementation, and the keys in them.
#include <gtest/gtest.h>

#include "crypto/peer_id.hpp"
#include "did/did.hpp"
#include "encoding/testing.hpp"

namespace dms::did {
namespace {

using test::Comparison;
using test::ReferenceCase;
using test::ReferenceFile;

TEST(Reference, DidsNameTheSameKeys) {
  Comparison comparison(test::Differences{
      {"secp256k1 uncompressed", "one text per key, so that a DID can be compared (did.hpp)"},
  });
  for (const ReferenceCase& c : ReferenceFile::load("did/go_dids.json").cases) {
    const auto name = [&]() -> Result<Did> {
      if (c.kind == "peer") {
        TRY(crypto::PeerId peer, crypto::PeerId::parse(c.text));
        const auto key = peer.public_key();
        if (!key) return fail(Errc::bad_key, "the peer id is a hash");
        return Did::from(*key);
      }
      TRY(Did did, Did::parse(c.text));
      TRY(crypto::PublicKey key, did.public_key());
      return Did::from(key);
    };
    auto did = name();
    comparison.check(c, did);
    if (did) {
      EXPECT_EQ(did->uri(), c.did) << c.name;
    }
  }
}

}  // namespace
}  // namespace dms::did
