// Envelopes and handles of NuNet's Go implementation.
#include <gtest/gtest.h>

#include "actor/envelope.hpp"
#include "encoding/testing.hpp"

namespace dms::actor {
namespace {

using test::Comparison;
using test::ReferenceCase;
using test::ReferenceFile;

TEST(Reference, EnvelopesAreVerifiedAndRewrittenAsInTheReference) {
  constexpr const char* twice = "duplicate members are refused: the value must not depend on the parser";
  constexpr const char* base = "one text for the same bytes";
  Comparison comparison(test::Differences{
      {"payload null", "the reference's senders write an empty payload as \"\": null would be another text to sign"},
      {"a member twice", twice},
      {"a member twice in two cases, the last right", twice},
      {"payload with a line feed", base},
      {"payload a list", "bytes are base64 text; Go reads a list of numbers as well, and never writes one"},
      {"key with a line feed", base},
  });
  const ReferenceFile file = ReferenceFile::load("actor/go_envelopes.json");
  for (const ReferenceCase& c : file.cases) {
    auto envelope = Envelope::decode(c.input());
    Result<void> verified = envelope ? envelope->verify({file.now}) : std::unexpected(envelope.error());
    comparison.check(c, verified);
    if (const auto text = c.rewritten(); envelope && text) {
      EXPECT_EQ(as_text(envelope->encode()), *text) << c.name;
    }
  }
}

TEST(Reference, HandlesAreThoseOfTheirDids) {
  for (const ReferenceCase& c : ReferenceFile::load("did/go_dids.json").cases) {
    if (!c.accepted() || c.canonical.empty() || c.did != c.text) continue;
    auto handle = Handle::from(did::Did::parse(c.text).value());
    if (handle) {
      EXPECT_EQ(json::encode(*handle), c.canonical) << c.name;
    }
  }
}

}  // namespace
}  // namespace dms::actor
