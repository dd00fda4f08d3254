// Tokens, contexts and decisions of NuNet's Go implementation: this module writes the same and refuses the same.
#include <gtest/gtest.h>

#include "encoding/testing.hpp"
#include "ucan/context.hpp"

namespace dms::ucan {
namespace {

using dms::test::Comparison;
using dms::test::Differences;
using dms::test::ReferenceCase;
using dms::test::ReferenceFile;

crypto::PrivateKey key_of(const std::string& hex) {
  return crypto::PrivateKey::unmarshal(hex_decode(hex).value()).value();
}

std::map<std::string, crypto::PrivateKey> keys_of(const ReferenceFile& file) {
  std::map<std::string, crypto::PrivateKey> keys;
  for (const dms::test::ReferenceParty& party : file.parties) keys.emplace(party.did, key_of(party.private_key));
  return keys;
}

constexpr const char* kNoPath =
    "capabilities and topics are paths of printable ASCII, at most 256 bytes (capability.hpp)";
constexpr const char* kTooMany = "the size of a token is bounded (token.hpp)";
constexpr const char* kNonce = "a nonce has 12 bytes: the reference makes no other";
constexpr const char* kAction = "an unknown action permits nothing";
constexpr const char* kTwice = "duplicate members are refused: the value must not depend on the parser";
constexpr const char* kOneKind = "a token is of one kind: the reference ignores the other, and signs both in a chain";
constexpr const char* kBase64 = "one text for the same bytes: base64 without line feeds and stray bits";
constexpr const char* kNoDid = "a DID is did:<method>:<identifier> or empty (did.hpp)";
constexpr const char* kJson = "JSON is UTF-8, has no trailing text and is at most 64 levels deep";

const Differences kStricterTokens = {
    {"capabilities null", "no useful token lacks its capabilities; the reference writes null, and signs that"},
    {"capability with a space", kNoPath},
    {"topic with a space", kNoPath},
    {"capability beyond ASCII", kNoPath},
    {"topic beyond ASCII", kNoPath},
    {"capability with line separators", kNoPath},
    {"topic with line separators", kNoPath},
    {"capability with control characters", kNoPath},
    {"topic with control characters", kNoPath},
    {"capability without a slash", kNoPath},
    {"topic without a slash", kNoPath},
    {"capability empty", "the reference takes it to imply every path"},
    {"topic empty", "the reference takes it to imply every path"},
    {"capability of 257 bytes", kNoPath},
    {"topic of 257 bytes", kNoPath},
    {"65 capabilities", kTooMany},
    {"65 topics", kTooMany},
    {"delegation of 17 links", kTooMany},
    {"topic widened, no capabilities", "topics are checked against the parent even without capabilities"},
    {"audience exchanged, no capabilities", "so is the audience"},
    {"unknown action", kAction},
    {"no action", kAction},
    {"action in capitals", kAction},
    {"nonce empty", kNonce},
    {"nonce of 11 bytes", kNonce},
    {"nonce of 13 bytes", kNonce},
    {"subject is no DID", kNoDid},
    {"audience is no DID", kNoDid},
    {"altered: both kinds", kOneKind},
    {"both kinds in the chain, and signed", kOneKind},
    {"spelt with a member twice, the same", kTwice},
    {"spelt with a member twice, the last right", kTwice},
    {"spelt with a member twice in two cases, the last right", kTwice},
    {"spelt with a member twice, once with a long s", kTwice},
    {"spelt with the chain twice in two cases", kTwice},
    {"spelt with the wrapper twice in two cases", kTwice},
    {"spelt with invalid UTF-8 in an unknown member", kJson},
    {"spelt with deep nesting in an unknown member", kJson},
    {"signature with a line feed in it", kBase64},
    {"signature with other padding bits", kBase64},
};
const Differences kStricterContexts = {
    {"something after it", kJson},
    {"a member twice", kTwice},
    {"the empty root", "it names no DID"},
    {"a root that is no DID", kNoDid},
    {"an empty object among the tokens", "a file with an empty token is damaged"},
};
const Differences kMilderContexts = {
    {"a provided token revoked", "it is left out and the rest is loaded: an old grant must not prevent a start"},
};
/// Anchors that nothing can be chained to: the reference keeps them, this module drops them.
const std::set<std::string_view> kLeftOut = {"a provided invocation", "a provided revocation"};
const Differences kStricterDecisions = {{"list: 65 tokens", kTooMany}};
const Differences kMilderDecisions = {
    {"list: a malformed one before it", "the reference drops the message; here one token does not invalidate another"},
};

TEST(Reference, TokensAreVerifiedAndRewrittenAsInTheReference) {
  Comparison comparison(kStricterTokens);
  const ReferenceFile file = ReferenceFile::load("ucan/go_tokens.json");
  const auto keys = keys_of(file);
  for (const ReferenceCase& c : file.cases) {
    auto token = Token::parse(as_text(c.input()));
    Result<void> sound = token ? token->verify({file.now}, RevocationSet()) : std::unexpected(token.error());
    comparison.check(c, sound);
    const auto text = c.rewritten();
    if (token && text) {
      EXPECT_EQ(token->text(), *text) << c.name;
    }
    // Both kinds of signature are deterministic: the same claims are the same bytes.
    const auto key = sound ? keys.find(token->issuer().uri()) : keys.end();
    if (key != keys.end() && c.name != "secp256k1 signature with S from the other half") {
      EXPECT_EQ(Token::issue(token->claims(), key->second, token->chain())->text(), *text) << c.name;
    }
  }
}

TEST(Reference, ContextsAreLoadedAndSavedAsInTheReference) {
  Comparison comparison(kStricterContexts, kMilderContexts);
  SeededRandom random(1);
  const ReferenceFile file = ReferenceFile::load("ucan/go_contexts.json");
  for (const ReferenceCase& c : file.cases) {
    auto context = CapabilityContext::parse(c.text, key_of(c.key), random, {file.now});
    comparison.check(c, context);
    if (!context || !c.accepted() || kLeftOut.contains(c.name)) continue;
    // The reference writes issuers in the order of a Go map, which varies: here they keep the order of the file.
    EXPECT_EQ(context->serialise(), c.name == "provide, of several issuers" ? c.text : c.rewritten()) << c.name;
  }
}

TEST(Reference, MessagesAreAuthorisedAsInTheReference) {
  Comparison comparison(kStricterDecisions, kMilderDecisions);
  SeededRandom random(1);
  const ReferenceFile file = ReferenceFile::load("ucan/go_decisions.json");
  for (const ReferenceCase& c : file.cases) {
    const auto decide = [&]() -> Result<void> {
      TRY(CapabilityContext context, CapabilityContext::parse(c.context, key_of(c.key), random, {file.now}));
      TRY(did::Did origin, did::Did::parse(c.origin));
      TRY(did::Did subject, did::Did::parse(c.subject));
      TRY(const Consumed consumed, context.consume(origin, c.input(), {file.now}));
      TRY(Capability capability, Capability::parse(c.capability));
      if (c.kind == "invoke") {
        TRY_VOID(context.require(context.did(), subject, context.did(), {capability}, {file.now}));
        return {};
      }
      TRY(Capability topic, Capability::parse(c.topic));
      TRY_VOID(context.require_broadcast(context.did(), subject, topic, {capability}, {file.now}));
      return {};
    };
    comparison.check(c, decide());
  }
}

}  // namespace
}  // namespace dms::ucan
