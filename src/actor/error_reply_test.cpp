// Which senders get an error reply for a refused envelope.
#include "actor/error_reply.hpp"

#include <gmock/gmock.h>

#include "actor/test_actors.hpp"

namespace dms::actor {
namespace {

using testing::HasSubstr;

/// A user of b's machine with its own key; its envelopes are sent by b's host.
struct ErrorReplies : ActorTest {
  explicit ErrorReplies(RateLimits limits = {}) : ActorTest(std::move(limits)) {}

  struct User {
    explicit User(TestNode& home)
        : host(home),
          key(crypto::PrivateKey::generate(home.lane().random())),
          context(std::make_shared<ucan::CapabilityContext>(
              ucan::CapabilityContext::create(key, home.lane().random()).value())),
          security(SecurityContext::create(key, context, home.lane().unix_now()).value()) {}
    TestNode& host;
    crypto::PrivateKey key;
    std::shared_ptr<ucan::CapabilityContext> context;
    SecurityContext security;
  };

  static void trust(TestNode& node, const did::Did& did) {
    ucan::Anchors anchors;
    anchors.roots.push_back(did);
    ASSERT_TRUE(node.context->anchor(anchors, node.lane().unix_now()));
  }
  Envelope request(User& user, TestNode& to, const std::string& behaviour) {
    Envelope envelope;
    envelope.to = to.root->handle();
    envelope.behaviour = behaviour;
    envelope.from = {user.security.id(), user.security.did(), {user.host.network->self().to_string(), "user-1"}};
    envelope.nonce = user.security.next_nonce();
    envelope.options.expires = (w.world.unix_now() + Duration(30s)).nanos;
    envelope.options.reply_to = "/private/user/1";
    const auto reply = ucan::parse_capabilities({envelope.options.reply_to}).value();
    EXPECT_TRUE(
        user.security.provide(envelope, ucan::parse_capabilities({behaviour}).value(), reply, w.world.unix_now()));
    return envelope;
  }
  /// The envelopes that reach the user's inbox within a second.
  std::vector<Envelope> replies_to(User& user, TestNode& to, const Envelope& envelope) {
    auto got = std::make_shared<std::vector<Envelope>>();
    const std::string inbox = inbox_protocol("user-1");
    EXPECT_TRUE(user.host.network->handle(
        inbox, [got](const crypto::PeerId&, const Bytes& bytes) { got->push_back(Envelope::decode(bytes).value()); }));
    w.inject(user.host, to, envelope);
    user.host.network->remove_handler(inbox);
    return *got;
  }
  std::optional<ErrorReply> error_reply_to(User& user, TestNode& to, const Envelope& envelope) {
    const auto replies = replies_to(user, to, envelope);
    EXPECT_LE(replies.size(), 1u);
    if (replies.empty()) return std::nullopt;
    EXPECT_EQ(replies[0].from, to.root->handle());
    EXPECT_EQ(replies[0].to, envelope.from);
    EXPECT_EQ(replies[0].behaviour, envelope.options.reply_to);
    EXPECT_EQ(replies[0].options.expires, envelope.options.expires);
    EXPECT_TRUE(replies[0].verify(w.world.unix_now()));
    return ErrorReply::read(replies[0]);
  }
};

TEST_P(ErrorReplies, TheOperatorGetsAnErrorForAnUnknownBehaviour) {
  User user(b);
  trust(b, user.context->did());
  const auto reply = error_reply_to(user, b, request(user, b, "/dms/node/nowhere"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->refusal, "unknown behaviour");
  EXPECT_THAT(reply->error, HasSubstr("/dms/node/nowhere"));
  EXPECT_EQ(refused(b, Refusal::unknown_behaviour), 1u);
}

TEST_P(ErrorReplies, ANamedUserGetsTheSufficientCapability) {
  User user(b);
  ucan::Anchors anchors;
  anchors.require.tokens.push_back(
      b.context
          ->grant(ucan::Action::delegate, {.subject = user.context->did(),
                                           .audience = {},
                                           .topics = {},
                                           .capabilities = ucan::parse_capabilities({"/dms/node/peers"}).value(),
                                           .expires = w.world.unix_now() + Duration(1h)})
          .value());
  ASSERT_TRUE(b.context->anchor(anchors, w.world.unix_now()));
  const Received received = b.listen(kHello, {.capabilities = ucan::parse_capabilities({"/dms/node/greet"}).value()});
  const auto reply = error_reply_to(user, b, request(user, b, kHello));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->refusal, "not permitted");
  EXPECT_THAT(reply->capabilities, testing::ElementsAre("/dms/node/greet"));
  EXPECT_THAT(reply->error, HasSubstr("/dms/node/greet"));
  EXPECT_TRUE(received->empty());
  EXPECT_EQ(b.context->consumed_count(), 0u);
}

TEST_P(ErrorReplies, TheOperatorGetsAnErrorForAnExpiredBehaviour) {
  User user(b);
  trust(b, user.context->did());
  b.listen(kHello, {.expires = w.world.unix_now() + Duration(1s)});
  w.settle(2s);
  const auto reply = error_reply_to(user, b, request(user, b, kHello));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->refusal, "unknown behaviour");
}

TEST_P(ErrorReplies, ALocalUserThatTheContextDoesNotNameGetsNoReply) {
  User user(b);
  b.listen(kHello);
  EXPECT_TRUE(replies_to(user, b, request(user, b, kHello)).empty());
  EXPECT_TRUE(replies_to(user, b, request(user, b, "/dms/node/nowhere")).empty());
  EXPECT_EQ(b.system->metrics.refused[Refusal::not_permitted].value(), 1u);
  EXPECT_EQ(b.system->metrics.refused[Refusal::unknown_behaviour].value(), 1u);
}

TEST_P(ErrorReplies, ARemoteSenderGetsNoReplyEvenIfItIsTrusted) {
  User user(a);
  trust(b, user.context->did());
  EXPECT_TRUE(replies_to(user, b, request(user, b, "/dms/node/nowhere")).empty());
  EXPECT_EQ(refused(b, Refusal::unknown_behaviour), 1u);
}

TEST_P(ErrorReplies, AClaimedDidIsNotEnough) {
  User user(b);
  User impostor(b);
  trust(b, user.context->did());
  Envelope envelope = request(impostor, b, "/dms/node/nowhere");
  envelope.from.did = user.context->did();
  ASSERT_TRUE(envelope.sign(impostor.key));
  EXPECT_TRUE(replies_to(impostor, b, envelope).empty());
  Envelope unsigned_one = request(user, b, "/dms/node/nowhere");
  unsigned_one.signature[0] ^= 1;
  EXPECT_TRUE(replies_to(user, b, unsigned_one).empty());
}

TEST_P(ErrorReplies, AnActorOfTheSameNodeFailsAtOnce) {
  auto child = b.root->create_child("child").value();
  const SteadyTime before = w.world.now();
  auto reply = w.run(b, child->invoke(child->message(b.root->handle(), "/dms/node/nowhere")));
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().is(Errc::refused)) << reply.error().to_string();
  EXPECT_LT(w.world.now() - before, 1s);
  w.run(b, child->stop());
}

struct OverloadedActor : ErrorReplies {
  OverloadedActor() : ErrorReplies(RateLimits{.active = 1}) {}
};

TEST_P(OverloadedActor, RepliesToTheOperator) {
  User user(b);
  trust(b, user.context->did());
  auto state = std::make_shared<int>(0);
  ASSERT_TRUE(b.root->add_behaviour(kHello, [state](Envelope e) { return wait_forever(state, std::move(e)); }));
  EXPECT_FALSE(error_reply_to(user, b, request(user, b, kHello)));
  const auto reply = error_reply_to(user, b, request(user, b, kHello));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->refusal, "overloaded");
}

TEST(ErrorReply, APayloadOfABehaviourIsNotAnErrorReply) {
  Envelope reply;
  for (const std::string_view text :
       {"", "{}", R"({"error":"no"})", R"({"OK":false,"Error":"no"})", R"({"refusal":"because"})", "[]", "7"}) {
    reply.message = to_bytes(text);
    EXPECT_FALSE(ErrorReply::read(reply)) << text;
  }
  reply.message = to_bytes(R"({"error":"no","refusal":"overloaded"})");
  EXPECT_TRUE(ErrorReply::read(reply));
}

INSTANTIATE_TEST_SUITE_P(Backends, ErrorReplies, kBackends, backend_name);
INSTANTIATE_TEST_SUITE_P(Backends, OverloadedActor, kBackends, backend_name);

}  // namespace
}  // namespace dms::actor
