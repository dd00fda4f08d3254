#include "ucan/token.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "base/file.hpp"
#include "encoding/multibase.hpp"
#include "ucan/test_parties.hpp"

namespace dms::ucan {
namespace {

using test::kHour;
using test::kNow;
using test::make;
using test::Party;

Errc errc_of(std::string_view name) {
  for (auto [text, code] :
       {std::pair("expired", Errc::expired), std::pair("too_deep", Errc::too_deep), std::pair("widened", Errc::widened),
        std::pair("broken_chain", Errc::broken_chain), std::pair("bad_signature", Errc::bad_signature)})
    if (name == text) return code;
  ADD_FAILURE() << "unknown expectation " << name;
  return Errc::malformed;
}

struct VectorCase {
  std::string name, expect, token;
  static constexpr auto json_fields() {
    return std::tuple(json::field("name", &VectorCase::name), json::field("expect", &VectorCase::expect),
                      json::field("token", &VectorCase::token));
  }
};
struct VectorFile {
  std::uint64_t now = 0;
  std::vector<VectorCase> cases;
  static constexpr auto json_fields() {
    return std::tuple(json::field("now", &VectorFile::now), json::field("cases", &VectorFile::cases));
  }
};

// Tokens made by tests/vectors/make_ucan_vectors.py, which shares no code with this.
TEST(Token, IndependentVectors) {
  const std::string text =
      read_file(std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/ucan/tokens.json", 1 << 20).value();
  const auto vectors = json::decode<VectorFile>(text);
  ASSERT_TRUE(vectors) << vectors.error().to_string();
  ASSERT_GE(vectors->cases.size(), 20U);
  for (const VectorCase& c : vectors->cases) {
    SCOPED_TRACE(c.name);
    auto token = Token::parse(c.token);
    ASSERT_TRUE(token) << token.error().to_string();
    EXPECT_EQ(token->text(), c.token);
    auto sound = token->verify({vectors->now}, RevocationSet());
    if (c.expect == "ok")
      EXPECT_TRUE(sound) << sound.error().to_string();
    else
      EXPECT_TRUE(!sound && sound.error().is(errc_of(c.expect))) << (sound ? "accepted" : sound.error().to_string());
  }
}

TEST(Token, IssuesTheSameBytesAsTheVectors) {
  const std::string text =
      read_file(std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/ucan/tokens.json", 1 << 20).value();
  const auto vectors = json::decode<VectorFile>(text).value();
  for (const VectorCase& c : vectors.cases) {
    if (c.expect != "ok") continue;
    const Token expected = Token::parse(c.token).value();
    for (std::uint8_t seed = 1; seed <= 4; ++seed) {
      Party party(seed);
      if (party.did != expected.issuer()) continue;
      EXPECT_EQ(Token::issue(expected.claims(), party.key, expected.chain()).value().text(), c.token) << c.name;
    }
  }
}

// For secp256k1 keys the signature is passed to a library that aborts on an empty one.
TEST(Token, WithoutASignatureIsRefusedForEveryKeyType) {
  SeededRandom random(4);
  const auto secp = crypto::PrivateKey::generate(crypto::KeyType::secp256k1, random)->public_key();
  const auto wallet = crypto::PublicKey::from_raw(crypto::KeyType::ethereum, secp.raw()).value();
  for (const auto& key : {Party(1).key.public_key(), secp, wallet}) {
    const std::string uri = did::Did::from(key)->uri();
    const auto token = Token::parse(
        fmt::format(R"({{"dms":{{"act":"delegate","iss":{{"uri":"{0}"}},"sub":{{"uri":"{0}"}},"aud":{{}},"cap":["/x"],)"
                    R"("nonce":"AAAAAAAAAAAAAAAA","exp":{1}}}}})",
                    uri, (kNow + kHour).nanos));
    ASSERT_TRUE(token) << token.error().to_string();
    EXPECT_TRUE(token->verify(kNow, RevocationSet()).error().is(Errc::bad_signature)) << uri;
  }
}

class TokenTest : public ::testing::Test {
 protected:
  Party alice{1}, bob{2}, carol{3}, dave{4};
  RevocationSet none;
  Token chain_of(std::size_t links) {
    Party* people[] = {&alice, &bob, &carol, &dave};
    Token token = make(alice, Action::delegate, bob.did, {}, {"/x"_cap});
    for (std::size_t i = 1; i < links; ++i)
      token = make(*people[i % 4], Action::delegate, people[(i + 1) % 4]->did, {}, {"/x"_cap}, &token);
    return token;
  }
};

TEST_F(TokenTest, ExposesItsChain) {
  const Token root = make(alice, Action::delegate, bob.did, {}, {"/x"_cap});
  const Token mid = make(bob, Action::delegate, carol.did, {}, {"/x/y"_cap}, &root);
  const Token leaf = make(carol, Action::invoke, dave.did, alice.did, {"/x/y"_cap}, &mid);
  EXPECT_EQ(leaf.length(), 3U);
  EXPECT_EQ(leaf.anchor_depth(alice.did), 2U);
  EXPECT_EQ(leaf.anchor_depth(carol.did), 0U);
  EXPECT_FALSE(leaf.anchored_at(dave.did));
  EXPECT_EQ(leaf.root_issuer(), alice.did);
  EXPECT_TRUE(leaf.verify(kNow, none));
  EXPECT_EQ(Token::parse(leaf.text()).value(), leaf);
}

TEST_F(TokenTest, ARefusalNamesLinkRuleAndWhatSuffices) {
  const Token root = make(alice, Action::delegate, bob.did, {}, {"/dms/node"_cap});
  const Token mid = make(bob, Action::delegate, carol.did, {}, {"/dms/cap"_cap}, &root);
  const Token leaf = make(carol, Action::invoke, dave.did, alice.did, {"/dms/cap/list"_cap}, &mid);
  const std::string text = leaf.verify(kNow, none).error().to_string();
  EXPECT_NE(text.find("link 2 of 3, issued by " + bob.did.uri()), std::string::npos) << text;
  EXPECT_NE(text.find("/dms/cap"), std::string::npos) << text;
  EXPECT_NE(text.find("[/dms/node]"), std::string::npos) << text;
}

TEST_F(TokenTest, ChainsAreBounded) {
  const Token longest = chain_of(kMaxChain);
  EXPECT_TRUE(longest.verify(kNow, none));
  EXPECT_TRUE(Token::parse(longest.text()));
  Claims claims = longest.claims();
  EXPECT_TRUE(
      Token::issue(claims, Party(longest.issuer() == alice.did ? 1 : 4).key, &longest).error().is(Errc::too_deep));
}

TEST_F(TokenTest, RevocationReachesDescendants) {
  const Token root = make(alice, Action::delegate, bob.did, {}, {"/x"_cap});
  const Token leaf = make(bob, Action::invoke, carol.did, {}, {"/x"_cap}, &root);
  RevocationSet revoked;
  revoked.add(alice.context.revoke(root).value());
  EXPECT_TRUE(revoked.contains(root));
  EXPECT_FALSE(revoked.contains(leaf));
  EXPECT_TRUE(leaf.verify(kNow, revoked).error().is(Errc::revoked));
  revoked.drop_expired(kNow + 2 * kHour);
  EXPECT_EQ(revoked.size(), 0U);
}

TEST_F(TokenTest, SubsumptionComparesEverythingThatNarrows) {
  const auto token = [&](Action action, Capabilities caps, Capabilities topics, Duration life, std::uint64_t depth) {
    return make(alice, action, bob.did, {}, std::move(caps), nullptr, kNow + life, depth, std::move(topics));
  };
  const Token wide = token(Action::delegate, {"/a"_cap}, {"/t"_cap}, 2 * kHour, 3);
  EXPECT_TRUE(wide.subsumes(wide));
  EXPECT_TRUE(wide.subsumes(token(Action::delegate, {"/a/b"_cap}, {"/t/u"_cap}, kHour, 2)));
  EXPECT_FALSE(wide.subsumes(token(Action::invoke, {"/a/b"_cap}, {}, kHour, 2)));                // another action
  EXPECT_FALSE(wide.subsumes(token(Action::delegate, {"/a/b"_cap}, {"/other"_cap}, kHour, 2)));  // another topic
  EXPECT_FALSE(wide.subsumes(token(Action::delegate, {"/b"_cap}, {}, kHour, 2)));
  EXPECT_FALSE(wide.subsumes(token(Action::delegate, {"/a"_cap}, {}, 3 * kHour, 2)));
  EXPECT_FALSE(wide.subsumes(token(Action::delegate, {"/a"_cap}, {}, kHour, 4)));  // reaches further
  EXPECT_FALSE(wide.subsumes(token(Action::delegate, {"/a"_cap}, {}, kHour, 0)));  // reaches any distance
  EXPECT_TRUE(token(Action::delegate, {"/a"_cap}, {"/t"_cap}, 2 * kHour, 0).subsumes(wide));
  const Token chained = make(bob, Action::delegate, carol.did, {}, {"/a"_cap}, &wide);
  const Token alone = make(bob, Action::delegate, carol.did, {}, {"/a"_cap});
  EXPECT_FALSE(chained.subsumes(alone));
  EXPECT_FALSE(alone.subsumes(chained));
}

TEST_F(TokenTest, CachedChainsSkipOnlySignatureChecks) {
  SignatureCache known(2);
  const Token root = make(alice, Action::delegate, bob.did, {}, {"/x"_cap});
  const Token mid = make(bob, Action::delegate, carol.did, {}, {"/x"_cap}, &root);
  const Token leaf = make(carol, Action::invoke, dave.did, {}, {"/x"_cap}, &mid);
  ASSERT_TRUE(leaf.verify(kNow, none, &known));
  EXPECT_EQ(known.size(), 2U) << "both delegations, not the invocation";
  EXPECT_TRUE(mid.verify(kNow, none, &known)) << "a known chain by itself";
  EXPECT_TRUE(mid.verify(kNow + 2 * kHour, none, &known).error().is(Errc::expired));
  EXPECT_TRUE(leaf.verify(kNow, none, &known));
  EXPECT_TRUE(leaf.verify(kNow + 2 * kHour, none, &known).error().is(Errc::expired));
  RevocationSet revoked;
  revoked.add(alice.context.revoke(root).value());
  EXPECT_TRUE(leaf.verify(kNow, revoked, &known).error().is(Errc::revoked));
  EXPECT_TRUE(mid.verify(kNow, revoked, &known).error().is(Errc::revoked));
  const Token wide = make(carol, Action::invoke, dave.did, {}, {"/"_cap}, &mid);
  EXPECT_TRUE(wide.verify(kNow, none, &known).error().is(Errc::widened)) << "attenuation is checked on every use";
  // A forged sibling shares only the cached parent.
  Bytes signature = to_bytes(leaf.signature());
  signature[3] ^= 1;
  const Token forged =
      Token::parse(test::replace(leaf.text(), base64_encode(leaf.signature()), base64_encode(signature))).value();
  EXPECT_TRUE(forged.verify(kNow, none, &known).error().is(Errc::bad_signature));
  // A parent with another signature is another parent.
  const Token bent =
      Token::parse(test::replace(leaf.text(), base64_encode(root.signature()), base64_encode(signature))).value();
  EXPECT_TRUE(bent.verify(kNow, none, &known).error().is(Errc::bad_signature));
  EXPECT_EQ(known.size(), 2U) << "what failed is not remembered";
  const Token other = make(alice, Action::delegate, bob.did, {}, {"/y"_cap});
  ASSERT_TRUE(make(bob, Action::invoke, dave.did, {}, {"/y"_cap}, &other).verify(kNow, none, &known));
  EXPECT_EQ(known.size(), 2U) << "the oldest was dropped";
}

TEST_F(TokenTest, TheDigestCoversTextSignatureAndChain) {
  const Token root = make(alice, Action::delegate, bob.did, {}, {"/x"_cap});
  const Token leaf = make(bob, Action::invoke, carol.did, {}, {"/x"_cap}, &root);
  EXPECT_EQ(Token::parse(leaf.text())->digest(), leaf.digest());
  EXPECT_EQ(Token::parse(leaf.text())->chain()->digest(), root.digest());
  std::set<crypto::Digest256> seen = {leaf.digest(), root.digest()};
  const auto is_new = [&](std::string_view from, std::string_view to) {
    const auto changed = Token::parse(test::replace(leaf.text(), from, to));
    return changed && seen.insert(changed->digest()).second;
  };
  EXPECT_TRUE(is_new(base64_encode(leaf.signature()), base64_encode(Bytes(64, 1))));
  EXPECT_TRUE(is_new(base64_encode(root.signature()), base64_encode(Bytes(64, 1)))) << "the parent's signature";
  EXPECT_TRUE(is_new(carol.did.uri(), alice.did.uri()));
  EXPECT_TRUE(is_new(",\"sig\":\"" + base64_encode(leaf.signature()) + "\"", "")) << "no signature";
  EXPECT_TRUE(is_new("\"chain\":" + root.text() + ",", "")) << "no parent";
}

TEST_F(TokenTest, Secp256k1KeysIssueTokens) {
  auto key = crypto::PrivateKey::generate(crypto::KeyType::secp256k1, Party::random()).value();
  Claims claims;
  claims.issuer = did::Did::from(key.public_key()).value();
  claims.subject = bob.did;
  claims.capabilities = {"/x"_cap};
  claims.expires = kNow + kHour;
  const Token token = Token::issue(claims, key).value();
  EXPECT_TRUE(token.verify(kNow, none));
  EXPECT_TRUE(Token::issue(claims, alice.key).error().is(Errc::no_signer));
}

// --- attenuation against a naive model -----------------------------------------------------------------------------

/// The claims of a token in small numbers, so that matches are frequent.
struct Link {
  int subject, audience, depth, life;
  Action action;
  std::vector<std::string> caps, topics;
};

const std::vector<std::string> kPaths = {"/", "/a", "/a/b", "/a/b/c", "/ab", "/b"};

bool model_covers(const std::vector<std::string>& held, const std::vector<std::string>& wanted) {
  return std::ranges::all_of(wanted, [&](const std::string& w) {
    return std::ranges::any_of(held, [&](const std::string& h) { return h == "/" || (w + "/").starts_with(h + "/"); });
  });
}

/// The rules of chains, written out naively from root to leaf. `issuers[i]` signed links[i].
bool model_sound(const std::vector<int>& issuers, const std::vector<Link>& links) {
  for (std::size_t i = 0; i < links.size(); ++i) {
    if (links[i].life < 0) return false;
    const std::size_t after = links.size() - 1 - i;
    if (links[i].depth > 0 && after > static_cast<std::size_t>(links[i].depth)) return false;
    if (i == 0) continue;
    const Link& parent = links[i - 1];
    if (parent.action != Action::delegate || parent.subject != issuers[i] || links[i].life > parent.life) return false;
    if (parent.audience != 0 && parent.audience != links[i].audience) return false;
    if (!model_covers(parent.caps, links[i].caps) || !model_covers(parent.topics, links[i].topics)) return false;
  }
  return true;
}

Capabilities caps_of(const std::vector<std::string>& paths) { return parse_capabilities(paths).value(); }

RC_GTEST_PROP(TokenProperty, ChainsAgreeWithTheNaiveModel, ()) {
  static const std::vector<Party> people = [] {
    std::vector<Party> all;
    for (std::uint8_t seed = 1; seed <= 3; ++seed) all.emplace_back(seed);
    return all;
  }();
  const auto did = [&](int number) {
    return number == 0 ? did::Did() : people[static_cast<std::size_t>(number - 1)].did;
  };
  const std::size_t length = *rc::gen::inRange<std::size_t>(1, 6);
  std::vector<int> issuers;
  std::vector<Link> links;
  int next_issuer = *rc::gen::inRange(1, 4);
  int life = 6;
  std::vector<std::string> caps = {"/"}, topics = {"/"};
  int audience = 0;
  for (std::size_t i = 0; i < length; ++i) {
    // Mostly sound links, sometimes an invalid one: both outcomes must be frequent.
    const auto wrong = [] { return *rc::gen::inRange(0, 20) == 0; };
    issuers.push_back(wrong() ? *rc::gen::inRange(1, 4) : next_issuer);
    Link link;
    link.subject = next_issuer = *rc::gen::inRange(1, 4);
    link.audience = audience =
        wrong() ? *rc::gen::inRange(0, 4) : (audience == 0 && wrong() ? *rc::gen::inRange(1, 4) : audience);
    link.depth = *rc::gen::inRange(0, 12);
    if (link.depth > 6) link.depth = 0;
    link.life = life = wrong() ? *rc::gen::inRange(-1, 8) : std::max(0, life - *rc::gen::inRange(0, 2));
    link.action = i + 1 == length || wrong() ? *rc::gen::element(Action::invoke, Action::delegate, Action::broadcast)
                                             : Action::delegate;
    const auto narrower = [&](const std::vector<std::string>& held) {
      std::vector<std::string> out;
      for (const std::string& path : kPaths)
        if ((model_covers(held, {path}) || wrong()) && *rc::gen::inRange(0, 3) != 0) out.push_back(path);
      return out;
    };
    link.caps = caps = narrower(caps);
    link.topics = topics = narrower(topics);
    links.push_back(link);
  }
  std::optional<Token> token;
  for (std::size_t i = 0; i < length; ++i) {
    const Link& l = links[i];
    const UnixTime expires{kNow.nanos + static_cast<std::uint64_t>(l.life) * 1000};
    token = make(people[static_cast<std::size_t>(issuers[i] - 1)], l.action, did(l.subject), did(l.audience),
                 caps_of(l.caps), token ? &*token : nullptr, expires, static_cast<std::uint64_t>(l.depth),
                 caps_of(l.topics));
  }
  const bool expected = model_sound(issuers, links);
  RC_CLASSIFY(expected);
  const auto sound = token->verify(kNow, RevocationSet());
  RC_ASSERT(sound.has_value() == expected);
  RC_ASSERT(Token::parse(token->text()).value() == *token);
}

}  // namespace
}  // namespace dms::ucan
