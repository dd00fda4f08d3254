// Revocations that come from the network: which are kept, what they cost, and what they change.
#include <gtest/gtest.h>

#include "encoding/multibase.hpp"
#include "ucan/test_parties.hpp"

namespace dms::ucan {
namespace {

using namespace test;

/// A node accepts what the organisation delegates; the organisation has delegated to the user, the user to the agent.
struct LearnTest : testing::Test {
  LearnTest() {
    Anchors anchors;
    anchors.require.tokens.push_back(make(node, Action::delegate, organisation.did, {}, {"/dms"_cap}, nullptr, kLater));
    if (!node.context.anchor(anchors, kNow)) throw std::runtime_error("anchor");
  }
  /// Whether the node lets the agent invoke /dms/node.
  bool allowed() {
    const Token invocation = make(agent, Action::invoke, agent.did, node.did, {"/dms/node"_cap}, &to_agent);
    const std::size_t kept = node.receive(agent.did, as_bytes(TokenList{{invocation}}.text())).value_or(0);
    return kept == 1 && node.context.require(node.did, agent.did, node.did, {"/dms/node"_cap}, kNow).has_value();
  }
  Result<bool> learn(const Token& revocation) { return node.context.learn(revocation, kNow); }

  const UnixTime kLater = kNow + 24 * kHour;
  Party node{1}, organisation{2}, user{3}, agent{4}, stranger{5};
  Token to_user = make(organisation, Action::delegate, user.did, {}, {"/dms"_cap});
  Token to_agent = make(user, Action::delegate, agent.did, {}, {"/dms/node"_cap}, &to_user);
};

TEST_F(LearnTest, ARevocationByTheOrganisationEndsWhatDerivesFromItAtOnce) {
  ASSERT_TRUE(allowed());
  const std::uint64_t before = node.context.revocation_generation();
  EXPECT_TRUE(learn(organisation.context.revoke(to_user).value()).value());
  EXPECT_GT(node.context.revocation_generation(), before);
  EXPECT_EQ(node.context.consumed_count(), 0U) << "messages in progress lose their tokens";
  EXPECT_FALSE(allowed());
}

TEST_F(LearnTest, AnIssuerThatNoAnchorNamesShowsItsAuthorityByTheChainOfTheRevokedToken) {
  ASSERT_TRUE(allowed());
  node.messages.clear();
  const Token revocation = user.context.revoke(to_agent).value();
  ASSERT_NE(revocation.chain(), nullptr);
  EXPECT_TRUE(learn(revocation).value());
  EXPECT_FALSE(allowed());
}

TEST_F(LearnTest, WithoutThatChainItIsKeptOnlyWhereTheTokenIsHeld) {
  Claims claims;
  claims.action = Action::revoke;
  claims.issuer = user.did;
  claims.subject = agent.did;
  claims.capabilities = to_agent.capabilities();
  claims.nonce = to_agent.claims().nonce;
  claims.expires = to_agent.expires();
  const Token revocation = Token::issue(claims, user.key).value();
  EXPECT_TRUE(learn(revocation).error().is(Errc::not_authorized));
  ASSERT_TRUE(allowed()) << "its token is held from now on";
  EXPECT_TRUE(learn(revocation).value());
  EXPECT_FALSE(allowed());
}

TEST_F(LearnTest, AHolderOfADelegationLearnsThatItIsRevoked) {
  ASSERT_TRUE(user.context.anchor({.roots = {}, .require = {}, .provide = {{to_user}}, .revoke = {}}, kNow));
  EXPECT_TRUE(user.context.learn(organisation.context.revoke(to_user).value(), kNow).value());
  EXPECT_TRUE(user.context.anchors().provide.empty());
}

TEST_F(LearnTest, ItIsIdempotent) {
  const Token revocation = organisation.context.revoke(to_user).value();
  EXPECT_TRUE(learn(revocation).value());
  const std::string before = node.context.serialise();
  EXPECT_FALSE(learn(revocation).value());
  EXPECT_FALSE(learn(user.context.revoke(to_agent).value()).value()) << "it derives from what is revoked";
  EXPECT_EQ(node.context.serialise(), before);
}

TEST_F(LearnTest, AStrangersRevocationIsNotKept) {
  const Token own = make(stranger, Action::delegate, agent.did, {}, {"/dms"_cap});
  EXPECT_TRUE(learn(stranger.context.revoke(own).value()).error().is(Errc::not_authorized));
  // Under a chain that the stranger was not delegated: the leaf does not follow from it.
  Claims claims = to_agent.claims();
  claims.action = Action::revoke;
  claims.issuer = stranger.did;
  EXPECT_TRUE(learn(Token::issue(claims, stranger.key, &to_user).value()).error().is(Errc::broken_chain));
  EXPECT_EQ(node.context.revocations().size(), 0U);
  EXPECT_TRUE(allowed());
}

TEST_F(LearnTest, OnlyTheIssuerOfATokenRevokesIt) {
  const Token real = organisation.context.revoke(to_user).value();
  const Bytes sig = user.key.sign(real.signed_bytes()).value();
  const Token forged = Token::parse(replace(real.text(), base64_encode(real.signature()), base64_encode(sig))).value();
  EXPECT_TRUE(learn(forged).error().is(Errc::bad_signature));
  EXPECT_TRUE(learn(to_user).error().is(Errc::malformed)) << "not a revocation";
  EXPECT_TRUE(node.context.learn(real, kLater + kHour).error().is(Errc::expired));
  EXPECT_TRUE(allowed());
}

TEST_F(LearnTest, WhatAMemberRevokesIsChargedToItAlsoThroughOtherKeys) {
  std::size_t kept = 0;
  Result<bool> last = true;
  for (int i = 0; last && i < 1000; ++i) {
    // A new key for each revocation, delegated to by the user.
    const Party helper(static_cast<std::uint8_t>(100 + i % 100));
    const Token to_helper = make(user, Action::delegate, helper.did, {}, {"/dms"_cap}, &to_user);
    const Token given = make(helper, Action::delegate, agent.did, {}, {"/dms"_cap}, &to_helper);
    last = learn(helper.context.revoke(given).value());
    if (last) ++kept;
  }
  ASSERT_FALSE(last);
  EXPECT_TRUE(last.error().is(Errc::too_big));
  EXPECT_GT(kept, 20U);
  EXPECT_LT(kept, kMaxLearned);
  // Another member and the organisation are not affected.
  const Token to_stranger = make(organisation, Action::delegate, stranger.did, {}, {"/dms"_cap});
  EXPECT_TRUE(learn(
      stranger.context.revoke(make(stranger, Action::delegate, agent.did, {}, {"/dms"_cap}, &to_stranger)).value()));
  // The charge is found again in the file.
  CapabilityContext again = CapabilityContext::parse(node.context.serialise(), node.key, Party::random(), kNow).value();
  EXPECT_EQ(again.revocations().bytes_of(user.did), node.context.revocations().bytes_of(user.did));
  EXPECT_GT(again.revocations().bytes_of(user.did), 0U);
}

TEST_F(LearnTest, TheLastQuarterIsKeptForTheOperator) {
  Result<bool> last = true;
  std::size_t kept = 0;
  for (std::uint8_t member = 10; last || last.error().to_string().find("take") != std::string::npos; ++member) {
    ASSERT_LT(member, 250);
    const Party each(member);
    const Token to_each = make(organisation, Action::delegate, each.did, {}, {"/dms"_cap});
    last = true;
    while (last) {
      last = learn(each.context.revoke(make(each, Action::delegate, agent.did, {}, {"/dms"_cap}, &to_each)).value());
      if (last) ++kept;
    }
  }
  EXPECT_EQ(kept, kMaxLearned);
  const Token own = make(node, Action::delegate, agent.did, {}, {"/dms"_cap});
  EXPECT_TRUE(learn(node.context.revoke(own).value()).value());
  EXPECT_TRUE(node.context.anchor(
      {.roots = {}, .require = {}, .provide = {}, .revoke = {{organisation.context.revoke(to_user).value()}}}, kNow));
}

TEST_F(LearnTest, ItIsForgottenWithTheTokenThatItRevokes) {
  ASSERT_TRUE(learn(organisation.context.revoke(to_user).value()));
  node.context.drop_expired(kNow + 2 * kHour);
  EXPECT_EQ(node.context.revocations().size(), 0U);
}

}  // namespace
}  // namespace dms::ucan
