#include "ucan/context.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include "base/file.hpp"
#include "ucan/standing_grant.hpp"
#include "ucan/test_parties.hpp"

namespace dms::ucan {
namespace {

using test::kHour;
using test::kNow;
using test::make;
using test::Party;

Anchors root(const did::Did& did) { return {.roots = {did}, .require = {}, .provide = {}, .revoke = {}}; }
Anchors require(const Token& token) { return {.roots = {}, .require = {{token}}, .provide = {}, .revoke = {}}; }
Anchors provide(const Token& token) { return {.roots = {}, .require = {}, .provide = {{token}}, .revoke = {}}; }
Anchors revoke(const Token& token) { return {.roots = {}, .require = {}, .provide = {}, .revoke = {{token}}}; }

/// `user` calls `node`; each has an actor key besides its DID. `organisation` may delegate to both.
class ContextTest : public ::testing::Test {
 protected:
  Party node{1}, user{2}, organisation{3}, unknown{9};
  Party node_actor{11}, user_actor{12};
  Capability list = "/dms/node/peers/list"_cap;
  Capability reply = "/private/user/1"_cap;

  Bytes call(Party& from, const Party& from_actor, const Party& to, const Party& to_actor, const Capability& what) {
    return from.context
        .provide(to.did, from_actor.did, to_actor.did, kNow + std::chrono::seconds(30), {what}, {reply}, kNow)
        .value();
  }
  /// Whether `at` lets `from` invoke; the message stays in progress.
  static Result<void> invoke(Party& at, const Party& at_actor, const Party& from, const Party& from_actor,
                             BytesView tokens, const Capability& what) {
    TRY([[maybe_unused]] std::size_t kept, at.receive(from.did, tokens));
    TRY_VOID(at.context.require(at.did, from_actor.did, at_actor.did, {what}, kNow));
    return {};
  }
};

TEST_F(ContextTest, ARootMayDoAnything) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const Bytes tokens = call(user, user_actor, node, node_actor, list);
  EXPECT_TRUE(invoke(node, node_actor, user, user_actor, tokens, list));
}

TEST_F(ContextTest, AnUnknownSenderIsRefusedAndOnlyItsReplyDelegationIsHeld) {
  const Bytes tokens = call(unknown, user_actor, node, node_actor, list);
  const auto invoked = invoke(node, node_actor, unknown, user_actor, tokens, list);
  ASSERT_FALSE(invoked);
  EXPECT_TRUE(invoked.error().is(Errc::not_authorized));
  EXPECT_NE(invoked.error().to_string().find("would suffice"), std::string::npos) << invoked.error().to_string();
  EXPECT_EQ(node.context.consumed_count(), 1U);  // the delegation of the reply path
  node.messages.clear();
  EXPECT_EQ(node.context.consumed_count(), 0U);
}

TEST_F(ContextTest, TheReplyUsesTheCallersDelegation) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const Bytes tokens = call(user, user_actor, node, node_actor, list);
  ASSERT_TRUE(invoke(node, node_actor, user, user_actor, tokens, list));
  const Bytes answer =
      node.context.provide(user.did, node_actor.did, user_actor.did, kNow + std::chrono::seconds(30), {reply}, {}, kNow)
          .value();
  EXPECT_TRUE(invoke(user, user_actor, node, node_actor, answer, reply));
  // The delegation permits no other behaviour of the caller.
  EXPECT_FALSE(user.context.require(user.did, node_actor.did, user_actor.did, {list}, kNow));
  // It is not provided to another receiver.
  const Bytes elsewhere =
      node.context.provide(unknown.did, node_actor.did, user_actor.did, kNow + kHour / 240, {reply}, {}, kNow).value();
  EXPECT_EQ(TokenList::parse(as_text(elsewhere))->size(), 1U);
  // Once the call is over the node can no longer answer.
  node.messages.clear();
  const Bytes late =
      node.context.provide(user.did, node_actor.did, user_actor.did, kNow + kHour, {reply}, {}, kNow).value();
  user.messages.clear();
  EXPECT_FALSE(invoke(user, user_actor, node, node_actor, late, reply));
}

TEST_F(ContextTest, RequireAnchorsAcceptTokensAnchoredAtAnotherParty) {
  // The node accepts what the organisation allows below /dms/node; the organisation lets the user list peers.
  const Token accepted =
      node.context.grant(Action::delegate, {organisation.did, {}, {}, {"/dms/node"_cap}, kNow + kHour, 0}).value();
  ASSERT_TRUE(node.context.anchor(require(accepted), kNow));
  const Token allowed =
      organisation.context.grant(Action::delegate, {user.did, {}, {}, {"/dms/node/peers"_cap}, kNow + kHour, 0})
          .value();
  ASSERT_TRUE(user.context.anchor(provide(allowed), kNow));
  EXPECT_TRUE(invoke(node, node_actor, user, user_actor, call(user, user_actor, node, node_actor, list), list));
  EXPECT_FALSE(invoke(node, node_actor, user, user_actor, call(user, user_actor, node, node_actor, "/dms/cap/list"_cap),
                      "/dms/cap/list"_cap));
  // Removing the anchor ends it, also for tokens held before.
  const std::size_t held = node.context.consumed_count();
  node.context.remove(require(accepted));
  EXPECT_LT(node.context.consumed_count(), held) << "tokens held because of the anchor are dropped with it";
  EXPECT_FALSE(node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow));
}

TEST_F(ContextTest, ARequireAnchorBoundsCapabilityTopicAudienceDepthAndTime) {
  const auto accepted_with = [&](const Grant& grant) {
    Party fresh(1);
    const Token anchor = fresh.context.grant(Action::delegate, grant).value();
    EXPECT_TRUE(fresh.context.anchor(require(anchor), kNow));
    const Token mid =
        make(organisation, Action::delegate, user.did, {}, {"/dms"_cap}, nullptr, kNow + kHour, 0, {"/nunet"_cap});
    const Token leaf = make(user, Action::invoke, user_actor.did, node_actor.did, {list}, &mid, kNow + kHour);
    EXPECT_TRUE(fresh.receive(user.did, as_bytes(TokenList{{leaf}}.text())));
    return fresh.context.require(fresh.did, user_actor.did, node_actor.did, {list}, kNow).has_value();
  };
  EXPECT_TRUE(accepted_with({organisation.did, {}, {}, {"/dms"_cap}, kNow + kHour, 0}));
  EXPECT_TRUE(accepted_with({organisation.did, {}, {}, {"/dms"_cap}, kNow + kHour, 1}));
  EXPECT_TRUE(accepted_with({organisation.did, node_actor.did, {}, {"/dms"_cap}, kNow + kHour, 0}));
  EXPECT_FALSE(accepted_with({organisation.did, user.did, {}, {"/dms"_cap}, kNow + kHour, 0}));
  EXPECT_FALSE(accepted_with({organisation.did, {}, {}, {"/other"_cap}, kNow + kHour, 0}));
  EXPECT_FALSE(accepted_with({organisation.did, {}, {}, {"/dms"_cap}, kNow + kHour / 2, 0}));
  EXPECT_FALSE(accepted_with({unknown.did, {}, {}, {"/dms"_cap}, kNow + kHour, 0}));
  const Token chained_deeper = make(organisation, Action::delegate, user.did, {}, {"/dms"_cap});
  const Token deeper = make(user, Action::delegate, unknown.did, {}, {"/dms"_cap}, &chained_deeper);
  const Token anchor =
      node.context.grant(Action::delegate, {organisation.did, {}, {}, {"/dms"_cap}, kNow + kHour, 1}).value();
  EXPECT_TRUE(anchor.accepts(deeper));
  EXPECT_TRUE(
      anchor.accepts(make(unknown, Action::invoke, user_actor.did, {}, {list}, &deeper)).error().is(Errc::too_deep));
}

TEST_F(ContextTest, BroadcastsNeedTopicAndCapability) {
  const Token accepted =
      node.context
          .grant(Action::delegate, {organisation.did, {}, {"/nunet"_cap}, {"/dms/deployment"_cap}, kNow + kHour, 0})
          .value();
  ASSERT_TRUE(node.context.anchor(require(accepted), kNow));
  const Token allowed =
      organisation.context
          .grant(Action::delegate, {user.did, {}, {"/nunet"_cap}, {"/dms/deployment"_cap}, kNow + kHour, 0})
          .value();
  ASSERT_TRUE(user.context.anchor(provide(allowed), kNow));
  const Capability request = "/dms/deployment/request"_cap;
  const Bytes tokens =
      user.context
          .provide_broadcast(user_actor.did, "/nunet/deployment"_cap, kNow + std::chrono::seconds(30), {request}, kNow)
          .value();
  ASSERT_TRUE(node.receive(user.did, tokens));
  EXPECT_TRUE(node.context.require_broadcast(node.did, user_actor.did, "/nunet/deployment"_cap, {request}, kNow));
  EXPECT_FALSE(node.context.require_broadcast(node.did, user_actor.did, "/nunet/hello"_cap, {request}, kNow));
  EXPECT_FALSE(node.context.require_broadcast(node.did, user_actor.did, "/nunet/deployment"_cap, {list}, kNow));
  EXPECT_FALSE(node.context.require(node.did, user_actor.did, node_actor.did, {request}, kNow));
}

TEST_F(ContextTest, AnyOfTheRequiredCapabilitiesIsEnough) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const Bytes tokens = call(user, user_actor, node, node_actor, list);
  ASSERT_TRUE(node.receive(user.did, tokens));
  EXPECT_TRUE(node.context.require(node.did, user_actor.did, node_actor.did, {"/other"_cap, list}, kNow));
  EXPECT_TRUE(node.context.require(node.did, user_actor.did, node_actor.did, {list, "/other"_cap}, kNow));
  EXPECT_FALSE(node.context.require(node.did, user_actor.did, node_actor.did, {"/other"_cap}, kNow));
}

TEST_F(ContextTest, ATokenIsCheckedAgainstTheGivenAnchor) {
  const Token own = make(node, Action::invoke, user_actor.did, {}, {list});
  ASSERT_EQ(node.receive(user.did, as_bytes(TokenList{{own}}.text())), 1U);
  EXPECT_TRUE(node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow));
  EXPECT_FALSE(node.context.require(unknown.did, user_actor.did, node_actor.did, {list}, kNow));
}

TEST_F(ContextTest, TokensOfTwoMessagesAreHeldOnceAndReleasedWithTheLast) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const Bytes tokens = call(user, user_actor, node, node_actor, list);
  Consumed first = node.context.consume(user.did, tokens, kNow).value();
  const std::size_t once = node.context.consumed_count();
  {
    const Consumed second = node.context.consume(user.did, tokens, kNow).value();
    EXPECT_EQ(node.context.consumed_count(), once);
    first.release();
    first.release();
    EXPECT_TRUE(node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow))
        << "the other message is still in progress";
  }
  EXPECT_EQ(node.context.consumed_count(), 0U);
}

TEST_F(ContextTest, AMessageReleasesOnlyTheTokensItAdded) {
  // The user's delegation of its reply path is held for the user's message.
  const Bytes reply_tokens = to_bytes(TokenList{{make(user, Action::delegate, node.did, {}, {reply})}}.text());
  const Consumed original = node.context.consume(user.did, reply_tokens, kNow).value();
  ASSERT_EQ(original.kept(), 1U);
  {
    // Another sender carries a copy: it is not valid for that sender, and is released without the original.
    const Consumed copied = node.context.consume(unknown.did, reply_tokens, kNow).value();
    EXPECT_EQ(copied.kept(), 0U);
    EXPECT_EQ(copied.refused().size(), 1U);
  }
  EXPECT_EQ(node.context.consumed_count(), 1U);
}

TEST_F(ContextTest, AMessageDoesNotReleaseATokenThatWasDroppedAndHeldAgain) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const Bytes tokens = call(user, user_actor, node, node_actor, list);
  Consumed before = node.context.consume(user.did, tokens, kNow).value();
  node.context.remove(root(user.did));
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const Consumed after = node.context.consume(user.did, tokens, kNow).value();
  before.release();
  EXPECT_TRUE(node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow));
}

TEST_F(ContextTest, AMessageMayOutliveTheContext) {
  auto context = std::make_unique<CapabilityContext>(std::move(node.context));
  ASSERT_TRUE(context->anchor(root(user.did), kNow));
  const Consumed consumed = context->consume(user.did, call(user, user_actor, node, node_actor, list), kNow).value();
  EXPECT_GT(consumed.kept(), 0U);
  context.reset();
}

TEST_F(ContextTest, TheHolderOfAGrantIsAccountableForItsDelegates) {
  const Token given = make(node, Action::delegate, user.did, {}, {list});
  const Token passed_on = make(user, Action::delegate, unknown.did, {}, {list}, &given);
  const Token use = make(unknown, Action::invoke, user_actor.did, {}, {list}, &passed_on);
  ASSERT_EQ(node.receive(unknown.did, as_bytes(TokenList{{use}}.text())), 1U);
  const auto authority = node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow);
  ASSERT_TRUE(authority);
  EXPECT_EQ(authority->accountable, user.did);
  EXPECT_FALSE(authority->revoked(node.context.revocations()));
  const std::uint64_t generation = node.context.revocation_generation();
  ASSERT_TRUE(node.context.anchor(revoke(node.context.revoke(given).value()), kNow));
  EXPECT_TRUE(authority->revoked(node.context.revocations()));
  EXPECT_GT(node.context.revocation_generation(), generation);
}

TEST_F(ContextTest, ATrustedDidIsAccountableForItsOwnTokens) {
  ASSERT_TRUE(node.context.anchor(root(organisation.did), kNow));
  ASSERT_TRUE(node.receive(organisation.did, call(organisation, user_actor, node, node_actor, list)));
  EXPECT_EQ(node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow)->accountable,
            organisation.did);
}

TEST_F(ContextTest, AnchorsDefineTrustInADid) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  ASSERT_TRUE(node.context.anchor(require(make(node, Action::delegate, organisation.did, {}, {list})), kNow));
  ASSERT_TRUE(node.context.anchor(provide(make(user_actor, Action::delegate, node.did, {}, {list})), kNow));
  EXPECT_EQ(node.context.trust(node.did), Trust::full);
  EXPECT_EQ(node.context.trust(user.did), Trust::full);
  EXPECT_EQ(node.context.trust(organisation.did), Trust::named);
  EXPECT_EQ(node.context.trust(user_actor.did), Trust::named);
  EXPECT_EQ(node.context.trust(unknown.did), Trust::none);
  EXPECT_EQ(node.context.trust({}), Trust::none);
}

TEST_F(ContextTest, HoldsOnlyTokensThatCanAuthorise) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const auto kept = [&](const Token& token) {
    return node.receive(user.did, as_bytes(TokenList{{token}}.text())).value();
  };
  EXPECT_EQ(kept(make(user, Action::delegate, node.did, {}, {list})), 1U);
  EXPECT_EQ(kept(make(user, Action::delegate, unknown.did, {}, {list})), 0U) << "a delegation to another DID";
  EXPECT_EQ(kept(make(user, Action::invoke, user_actor.did, {}, {list})), 1U);
  EXPECT_EQ(kept(make(unknown, Action::invoke, user_actor.did, {}, {list})), 0U) << "not trusted";
  EXPECT_EQ(kept(make(unknown, Action::delegate, node.did, {}, {list})), 0U) << "not a delegation by the sender";
  EXPECT_EQ(kept(user.context.revoke(make(user, Action::delegate, node.did, {}, {list})).value()), 0U);
}

TEST_F(ContextTest, HeldTokensPerSenderAreBounded) {
  std::size_t refused = 0;
  for (std::size_t i = 0; i < kMaxConsumedPerOrigin + 10; ++i) {
    const Token reply_tokens = make(unknown, Action::delegate, node.did, {}, {reply}, nullptr, kNow + kHour);
    refused += 1 - node.receive(unknown.did, as_bytes(TokenList{{reply_tokens}}.text())).value();
  }
  EXPECT_EQ(refused, 10U);
  EXPECT_EQ(node.context.consumed_count(), kMaxConsumedPerOrigin);
  // Another sender is not affected, and expiry frees the space.
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  EXPECT_TRUE(invoke(node, node_actor, user, user_actor, call(user, user_actor, node, node_actor, list), list));
  node.context.drop_expired(kNow + 2 * kHour);
  EXPECT_EQ(node.context.consumed_count(), 0U);
}

TEST_F(ContextTest, ProvidesNoMoreThanAMessageMayCarry) {
  for (int i = 0; i < 60; ++i) {
    Capabilities caps = {"/dms"_cap, Capability::parse(fmt::format("/x/{}", i)).value()};
    ASSERT_TRUE(user.context.anchor(provide(make(organisation, Action::delegate, user.did, {}, caps)), kNow));
  }
  const Bytes tokens = call(user, user_actor, node, node_actor, list);
  EXPECT_LE(tokens.size(), kMaxTokenBytes);
  EXPECT_GT(TokenList::parse(as_text(tokens))->size(), 5U);
  EXPECT_TRUE(node.receive(user.did, tokens));
}

TEST_F(ContextTest, DelegatesWhatItReceived) {
  const Token given = make(organisation, Action::delegate, user.did, {}, {"/dms/node"_cap}, nullptr, kNow + kHour, 3);
  ASSERT_TRUE(user.context.anchor(provide(given), kNow));
  const auto onwards = user.context.delegate({unknown.did, {}, {}, {list}, {}, 0}, kNow);
  ASSERT_TRUE(onwards) << onwards.error().to_string();
  ASSERT_EQ(onwards->size(), 1U);
  EXPECT_EQ(onwards->tokens[0].expires(), given.expires()) << "no expiry: as long as the parent";
  EXPECT_TRUE(onwards->tokens[0].verify(kNow, {}));

  const auto refused = user.context.delegate({unknown.did, {}, {}, {"/dms"_cap}, {}, 0}, kNow);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::not_authorized));
  EXPECT_NE(refused.error().to_string().find("[/dms/node]"), std::string::npos) << refused.error().to_string();
  // All or nothing: one capability too many and nothing is delegated.
  EXPECT_FALSE(user.context.delegate({unknown.did, {}, {}, {list, "/dms/cap"_cap}, {}, 0}, kNow));
  EXPECT_FALSE(user.context.delegate({unknown.did, {}, {}, {}, {}, 0}, kNow));
  EXPECT_EQ(user.context.delegate({unknown.did, {}, {}, {list}, kNow + kHour, 0}, kNow, SelfSign::also)->size(), 2U);
  EXPECT_EQ(user.context.delegate({unknown.did, {}, {}, {list}, kNow + kHour, 0}, kNow, SelfSign::only)->size(), 1U);
  EXPECT_FALSE(user.context.delegate({unknown.did, {}, {}, {list}, {}, 0}, kNow, SelfSign::only))
      << "a root token needs an expiry";
}

TEST_F(ContextTest, ADelegationThatAllowsNoFurtherLinkIsNotIssued) {
  ASSERT_TRUE(user.context.anchor(
      provide(make(organisation, Action::delegate, user.did, {}, {"/dms"_cap}, nullptr, kNow + kHour, 1)), kNow));
  EXPECT_FALSE(user.context.delegate({unknown.did, {}, {}, {list}, {}, 0}, kNow)) << "it would allow no further link";
  EXPECT_EQ(TokenList::parse(as_text(call(user, user_actor, node, node_actor, list)))->size(), 3U)
      << "but invoking is one link";
}

TEST_F(ContextTest, AnchoringIsAllOrNothing) {
  const Token good = make(organisation, Action::delegate, user.did, {}, {"/x"_cap});
  const Token expired = make(organisation, Action::delegate, user.did, {}, {"/x"_cap}, nullptr, {kNow.nanos - 1});
  Anchors mixed{.roots = {organisation.did}, .require = {}, .provide = {{good, expired}}, .revoke = {}};
  const auto refused = user.context.anchor(mixed, kNow);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("provide: token 2"), std::string::npos) << refused.error().to_string();
  EXPECT_TRUE(user.context.anchors().roots.empty());
  EXPECT_TRUE(user.context.anchors().provide.empty());
  EXPECT_FALSE(user.context.anchor(root({}), kNow));
  EXPECT_FALSE(user.context.anchor(provide(make(organisation, Action::invoke, user.did, {}, {"/x"_cap})), kNow));
  EXPECT_FALSE(user.context.anchor(revoke(good), kNow));
}

TEST_F(ContextTest, AnchorsThatAreSubsumedAreDroppedAndOthersAreNot) {
  const Token narrow = make(organisation, Action::delegate, user.did, {}, {"/x/y"_cap});
  const Token wide = make(organisation, Action::delegate, user.did, {}, {"/x"_cap});
  const Token topical =
      make(organisation, Action::delegate, user.did, {}, {"/x"_cap}, nullptr, kNow + kHour, 0, {"/nunet"_cap});
  ASSERT_TRUE(user.context.anchor(provide(narrow), kNow));
  ASSERT_TRUE(user.context.anchor(provide(wide), kNow));
  EXPECT_EQ(user.context.anchors().provide.tokens, std::vector<Token>{wide});
  ASSERT_TRUE(user.context.anchor(provide(narrow), kNow));
  EXPECT_EQ(user.context.anchors().provide.size(), 1U);
  ASSERT_TRUE(user.context.anchor(provide(topical), kNow));
  EXPECT_EQ(user.context.anchors().provide.tokens, std::vector<Token>{topical})
      << "topics are part of what a token allows";
}

TEST_F(ContextTest, RevocationRemovesAnchors) {
  const Token given = make(organisation, Action::delegate, user.did, {}, {"/x"_cap});
  ASSERT_TRUE(user.context.anchor(provide(given), kNow));
  const Token revocation = organisation.context.revoke(given).value();
  ASSERT_TRUE(user.context.anchor(revoke(revocation), kNow));
  EXPECT_TRUE(user.context.anchors().provide.empty());
  EXPECT_TRUE(user.context.anchor(provide(given), kNow).error().is(Errc::revoked));
  user.context.remove(revoke(revocation));
  EXPECT_TRUE(user.context.anchor(provide(given), kNow));
  EXPECT_TRUE(user.context.revoke(given).error().is(Errc::not_authorized));
}

TEST_F(ContextTest, WithoutItsKeyAContextIsReadOnly) {
  CapabilityContext locked =
      CapabilityContext::parse(user.context.serialise(), std::nullopt, Party::random(), kNow).value();
  EXPECT_EQ(locked.did(), user.did);
  EXPECT_TRUE(locked.anchor(root(node.did), kNow));
  EXPECT_TRUE(locked.grant(Action::delegate, {node.did, {}, {}, {list}, kNow + kHour, 0}).error().is(Errc::no_signer));
  EXPECT_TRUE(CapabilityContext::parse(user.context.serialise(), unknown.key, Party::random(), kNow)
                  .error()
                  .is(Errc::no_signer));
}

TEST_F(ContextTest, SavesAndLoads) {
  char pattern[] = "/tmp/dms-cap-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern), nullptr);
  const auto file = std::filesystem::path(pattern) / "cap" / "user.cap";
  const Token keep = make(organisation, Action::delegate, user.did, {}, {"/x"_cap}, nullptr, kNow + 2 * kHour);
  const Token going = make(organisation, Action::delegate, user.did, {}, {"/y"_cap}, nullptr, kNow + kHour);
  ASSERT_TRUE(user.context.anchor(root(node.did), kNow));
  ASSERT_TRUE(user.context.anchor({.roots = {}, .require = {{keep}}, .provide = {{keep, going}}, .revoke = {}}, kNow));
  ASSERT_TRUE(user.context.save(file));
  auto loaded = CapabilityContext::load(file, user.key, Party::random(), kNow);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->serialise(), user.context.serialise());
  auto later = CapabilityContext::load(file, user.key, Party::random(), kNow + kHour + std::chrono::seconds(1));
  ASSERT_TRUE(later);
  EXPECT_EQ(later->anchors().provide.tokens, std::vector<Token>{keep}) << "expired tokens are left out";
  ASSERT_TRUE(write_file(file, test::replace(read_file(file, kMaxContextFile).value(), "\"/x\"", "\"/z\"")));
  EXPECT_TRUE(CapabilityContext::load(file, user.key, Party::random(), kNow).error().is(Errc::bad_signature));
  std::filesystem::remove_all(pattern);
}

TEST_F(ContextTest, AnEmptyContextIsWrittenAsByNuNet) {
  EXPECT_EQ(node.context.serialise(), "{\"did\":{\"uri\":\"" + node.did.uri() +
                                          "\"},\"roots\":[],\"require\":{},\"provide\":{},\"revoke\":{}}\n");
}

TEST_F(ContextTest, ReadsAContextOfAnotherImplementation) {
  const std::string text =
      read_file(std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/ucan/bob.cap", kMaxContextFile).value();
  Party bob(2);
  auto context = CapabilityContext::parse(text, bob.key, Party::random(), kNow);
  ASSERT_TRUE(context) << context.error().to_string();
  EXPECT_EQ(context->serialise(), text);
  std::string old = text;  // the first versions wrote Go's own names
  for (auto [from, to] :
       {std::pair("\"did\"", "\"DID\""), std::pair("\"roots\"", "\"Roots\""), std::pair("\"require\"", "\"Require\""),
        std::pair("\"provide\"", "\"Provide\""), std::pair(",\"revoke\":{}", "")})
    old = test::replace(old, from, to);
  EXPECT_EQ(CapabilityContext::parse(old, bob.key, Party::random(), kNow)->serialise(), text);
}

TEST_F(ContextTest, ReloadReplacesAnchorsAndKeepsValidTokens) {
  ASSERT_TRUE(node.context.anchor(root(user.did), kNow));
  const Bytes tokens = call(user, user_actor, node, node_actor, list);
  ASSERT_TRUE(invoke(node, node_actor, user, user_actor, tokens, list));
  const std::string with_root = node.context.serialise();
  ASSERT_TRUE(node.context.reload(with_root, kNow));
  EXPECT_TRUE(node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow));
  Party empty(1);
  ASSERT_TRUE(node.context.reload(empty.context.serialise(), kNow));
  EXPECT_FALSE(node.context.require(node.did, user_actor.did, node_actor.did, {list}, kNow));
  EXPECT_FALSE(node.context.reload(user.context.serialise(), kNow));
}

TEST_F(ContextTest, AnEphemeralGrantHoldsAcrossReloadsIsNeverSavedAndIsWithdrawn) {
  auto context = std::make_shared<CapabilityContext>(std::move(node.context));
  const std::string before = context->serialise();
  const auto allowed = [&] {
    const Bytes tokens =
        user.context.provide(node.did, user_actor.did, node_actor.did, kNow + kHour, {list}, {}, kNow).value();
    const Consumed consumed = context->consume(user.did, tokens, kNow).value();
    return context->require(node.did, user_actor.did, node_actor.did, {list}, kNow).has_value();
  };
  EXPECT_FALSE(allowed());
  {
    auto grant = StandingGrant::give(context, user.did, node_actor.did, list.path(), kNow);
    ASSERT_TRUE(grant) << grant.error().to_string();
    EXPECT_TRUE(allowed());
    EXPECT_EQ(context->serialise(), before) << "not saved";
    ASSERT_TRUE(context->reload(before, kNow));
    EXPECT_TRUE(allowed()) << "a reload changes what is on disk only";
    ASSERT_TRUE(grant->renew(kNow));
    EXPECT_EQ(context->ephemeral_count(), 1u) << "a renewal replaces";
  }
  EXPECT_EQ(context->ephemeral_count(), 0u);
  EXPECT_FALSE(allowed());
}

// In any order of messages, the held tokens are those of messages in progress.
RC_GTEST_PROP(ContextProperty, HoldsTheTokensOfMessagesInProgress, (const std::vector<std::uint8_t>& steps)) {
  Party node(1), user(2), actor(12);
  RC_ASSERT(node.context.anchor(root(user.did), kNow).has_value());
  std::vector<Bytes> messages;
  std::vector<Capability> capabilities;
  for (int i = 0; i < 4; ++i) {
    capabilities.push_back(Capability::parse(fmt::format("/c/{}", i)).value());
    messages.push_back(
        user.context.provide(node.did, actor.did, node.did, kNow + kHour, {capabilities.back()}, {}, kNow).value());
  }
  std::array<std::vector<Consumed>, 4> in_progress;
  for (std::uint8_t step : steps) {
    const std::size_t which = step % 4;
    if (step % 8 < 4)
      in_progress[which].push_back(node.context.consume(user.did, messages[which], kNow).value());
    else if (!in_progress[which].empty())
      in_progress[which].pop_back();
    for (std::size_t i = 0; i < 4; ++i)
      RC_ASSERT(node.context.require(node.did, actor.did, node.did, {capabilities[i]}, kNow).has_value() ==
                !in_progress[i].empty());
  }
}

}  // namespace
}  // namespace dms::ucan
