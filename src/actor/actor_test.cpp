// Delivery of messages, replies and broadcasts.
#include "actor/actor.hpp"

#include <gmock/gmock.h>

#include "actor/test_actors.hpp"

namespace dms::actor {
namespace {

using testing::HasSubstr;

TEST_P(ActorTest, ASentMessageArrives) {
  w.grant(b, a, {kHello});
  const Received received = b.listen(kHello);
  ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello, to_payload(Note{"hi"})))));
  w.settle();
  ASSERT_EQ(received->size(), 1u);
  const Envelope& got = received->front();
  EXPECT_EQ(got.from, a.root->handle());
  EXPECT_EQ(payload<Note>(got)->text, "hi");
  EXPECT_EQ(b.system->metrics.refused.total(), 0u);
}

TEST_P(ActorTest, InvokeReturnsTheReply) {
  w.grant(b, a, {kHello});
  const Received received = b.answer_with(kHello, "hello yourself");
  auto reply = w.run(a, a.root->call<Note>(a.root->message(b.root->handle(), kHello, to_payload(Note{"hi"}))));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hello yourself");
  ASSERT_EQ(received->size(), 1u);
  EXPECT_THAT(received->front().options.reply_to, HasSubstr(kReplyPrefix));
  EXPECT_FALSE(a.root->has_behaviour(received->front().options.reply_to));
}

TEST_P(ActorTest, TheTokensOfAMessageAreReleasedWhenItsHandlerEnds) {
  w.grant(b, a, {kHello});
  b.answer_with(kHello, "bye");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_EQ(a.context->consumed_count(), 0u);
  EXPECT_EQ(b.context->consumed_count(), 0u);
  EXPECT_EQ(a.system->limiter.active() + b.system->limiter.active(), 0u);
}

TEST_P(ActorTest, NoReplyBecomesADeadlineError) {
  w.grant(b, a, {kHello});
  b.listen(kHello);
  const SteadyTime before = w.world.now();
  auto reply = w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello, {}, {.timeout = 5s})));
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().is(dms::Errc::deadline_exceeded));
  EXPECT_THAT(reply.error().to_string(), HasSubstr("no reply to /dms/node/hello"));
  EXPECT_EQ(w.world.now() - before, 5s);
}

TEST_P(ActorTest, AReceiverWhoseClockIsKnownToBeAheadAccepts) {
  w.grant(b, a, {kHello});
  const Received received = b.answer_with(kHello, "early");
  b.node.set_wall_clock(10min);
  const auto ask = [&] {
    return w.run(a, a.root->call<Note>(a.root->message(b.root->handle(), kHello, {}, {.timeout = 5s})));
  };
  EXPECT_FALSE(ask());
  EXPECT_TRUE(received->empty());
  const std::string host = b.network->self().to_string();
  a.system->clocks.heard(host, b.lane().unix_now(), a.lane().unix_now(), 0s);
  const UnixTime begun = a.lane().unix_now();
  const Result<Note> reply = ask();
  ASSERT_TRUE(reply) << reply.error().to_string();
  ASSERT_EQ(received->size(), 1u);
  EXPECT_GE(received->front().expiry(), begun + 10min + 5s);
  EXPECT_LE(received->front().expiry(), a.lane().unix_now() + 10min + 5s);
  a.system->clocks.heard(host, a.lane().unix_now(), a.lane().unix_now(), 0s);
  EXPECT_FALSE(ask()) << "what is known is what was stated last";
}

TEST_P(ActorTest, NobodyWaitsLongerForAReceiverWhoseClockIsAhead) {
  w.grant(b, a, {kHello});
  b.listen(kHello);
  a.system->clocks.heard(b.network->self().to_string(), a.lane().unix_now() + 10min, a.lane().unix_now(), 0s);
  const SteadyTime before = w.world.now();
  EXPECT_FALSE(w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello, {}, {.timeout = 5s}))));
  EXPECT_EQ(w.world.now() - before, 5s);
}

TEST_P(ActorTest, AReplyExpiresWithItsRequestWhateverIsKnownOfTheClock) {
  w.grant(b, a, {kHello});
  b.answer_with(kHello, "late");
  a.node.set_wall_clock(10min);
  b.system->clocks.heard(a.network->self().to_string(), a.lane().unix_now(), b.lane().unix_now(), 0s);
  const Envelope request = a.root->message(b.root->handle(), kHello, {}, {.timeout = 5s});
  const Result<Envelope> reply = w.run(a, a.root->invoke(request));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->expiry(), request.expiry());
}

TEST_P(ActorTest, ARequestThatIsLostWithItsConnectionIsAnswered) {
  if (GetParam() == Backend::memory) GTEST_SKIP() << "it has no connections";
  w.grant(b, a, {kHello});
  const Received received = b.answer_with(kHello, "late");
  w.settle(5s);  // the inbox is known: the request does not wait for an answer of the network
  w.world.cut(a.node, b.node);
  std::optional<Result<Note>> reply;
  Nursery asking(a.lane(), "asking");
  asking.spawn(dms::detail::store_result(
      a.root->call<Note>(a.root->message(b.root->handle(), kHello, {}, {.timeout = 2min})), reply));
  w.settle(65s);
  ASSERT_TRUE(a.network->peers().empty() && b.network->peers().empty());
  w.world.cut(a.node, b.node, false);
  w.connect(b, a);
  w.settle(3s);
  EXPECT_TRUE(reply && *reply);
  EXPECT_EQ(received->size(), 1u);
  w.run(a, asking.close());
}

TEST_P(ActorTest, AHostThatFailsDuringAnInvocationIsAnError) {
  w.grant(b, a, {kHello});
  const Received received = b.listen(kHello);
  if (GetParam() == Backend::memory)
    substrate->set_latency(1h);
  else
    b.node.kill();
  const SteadyTime before = w.world.now();
  auto reply = w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello)));
  ASSERT_FALSE(reply);
  EXPECT_LE(w.world.now() - before, kDefaultTimeout);
  EXPECT_TRUE(received->empty());
}

TEST_P(ActorTest, FreshKeysOfOneGrantDoNotBlockOtherSenders) {
  TestNode& c = w.add("c");
  w.grant(b, a, {kHello});
  w.grant(b, c, {kHello});
  const Received received = b.listen(kHello);
  const ReplayFilter::Limits limits;
  // Messages in progress are bounded: the flood is sent in batches.
  for (std::size_t i = 0; i < limits.per_account + 10; ++i) {
    const auto key = crypto::PrivateKey::generate(a.lane().random());
    auto security = SecurityContext::create(key, a.context, w.world.unix_now()).value();
    Envelope envelope = a.root->message(b.root->handle(), kHello, {}, {.timeout = 1h - 1min});
    envelope.from.id = security.id();
    envelope.nonce = 1;
    ASSERT_TRUE(security.provide(envelope, ucan::parse_capabilities({kHello}).value(), {}, w.world.unix_now()));
    ASSERT_TRUE(w.run(a, a.network->send(b.network->self(), inbox_protocol("root"), envelope.encode())));
    if (i % 64 == 0) w.settle(100ms);
  }
  w.settle();
  EXPECT_EQ(received->size(), limits.per_account);
  EXPECT_EQ(refused(b, Refusal::over_quota), 10u);
  ASSERT_TRUE(w.run(c, c.root->send(c.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_EQ(received->size(), limits.per_account + 1) << "another sender is not affected";
  // Revoking the grant frees the places.
  ucan::Anchors anchors;
  anchors.revoke.tokens.push_back(b.context->revoke(a.context->anchors().provide.tokens.front()).value());
  ASSERT_TRUE(b.context->anchor(anchors, w.world.unix_now()));
  w.grant(b, a, {kHello});
  ASSERT_TRUE(w.run(c, c.root->send(c.root->message(b.root->handle(), kHello))));
  ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_EQ(received->size(), limits.per_account + 3);
}

TEST_P(ActorTest, AnInboxThatIsNotAProtocolNameIsRefused) {
  EXPECT_TRUE(check_inbox(std::string(kMaxInbox, 'x')));
  EXPECT_EQ(inbox_protocol(std::string(kMaxInbox, 'x')).size(), 256u);
  for (const std::string& inbox : {std::string(), std::string(kMaxInbox + 1, 'x'), std::string("a/b"),
                                   std::string("a b"), std::string("\xc3\xa4")})
    EXPECT_FALSE(check_inbox(inbox)) << inbox;
  Handle to = b.root->handle();
  to.address.inbox = std::string(kMaxInbox + 1, 'x');
  EXPECT_TRUE(w.run(a, a.root->send(a.root->message(to, kHello))).error().is(dms::Errc::invalid_argument));
}

TEST_P(ActorTest, OnlyTheInvokedActorMayReply) {
  TestNode& c = w.add("c");
  w.trust(a, c);
  w.grant(b, a, {kHello});
  const Received received = b.listen(kHello);
  std::optional<Result<Envelope>> reply;
  a.root->spawn([](Actor& actor, Handle to, std::optional<Result<Envelope>>& out) -> Task<void> {
    Envelope request = actor.message(to, kHello, {}, {.timeout = 10s});
    out = co_await actor.invoke(std::move(request));
  }(*a.root, b.root->handle(), reply));
  w.settle();
  ASSERT_EQ(received->size(), 1u);
  Envelope forged = c.root->message(a.root->handle(), received->front().options.reply_to, to_payload(Note{"forged"}));
  ASSERT_TRUE(w.run(c, c.root->send(std::move(forged))));
  w.settle();
  EXPECT_FALSE(reply);
  EXPECT_EQ(refused(a, Refusal::wrong_sender), 1u);
  w.settle(15s);
  ASSERT_TRUE(reply && !*reply);
  EXPECT_TRUE(reply->error().is(dms::Errc::deadline_exceeded));
}

TEST_P(ActorTest, AGivenReplyPathMustBeUnused) {
  w.grant(b, a, {kHello});
  b.answer_with(kHello, "here");
  const MessageOptions options{.reply_to = "/private/user/7"};
  EXPECT_TRUE(w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello, {}, options))));
  a.listen("/private/user/7");
  const auto taken = w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello, {}, options)));
  EXPECT_TRUE(taken.error().is(dms::Errc::already_exists));
  EXPECT_TRUE(a.root->has_behaviour("/private/user/7"));
}

TEST_P(ActorTest, AMessageWithoutReplyPathCannotBeAnswered) {
  const Envelope request = a.root->message(b.root->handle(), kHello);
  EXPECT_TRUE(w.run(b, b.root->reply(request, Note{"?"})).error().is(Errc::no_reply_expected));
}

TEST_P(ActorTest, ABroadcastReachesAllAndAllMayReply) {
  TestNode& c = w.add("c");
  Received replied[2];
  for (TestNode* node : {&b, &c}) {
    w.grant(*node, a, {kBroadcast}, {kTopic});
    w.grant(a, *node, {"/public/user"});
    ASSERT_TRUE(node->root->subscribe(kTopic));
    replied[node == &c] = node->answer_with(kBroadcast, "here", {.topic = kTopic});
  }
  const Received replies = a.listen("/public/user/1");
  Envelope call =
      a.root->broadcast(kBroadcast, to_payload(Note{"anyone?"}), {.reply_to = "/public/user/1", .topic = kTopic});
  w.settle();
  ASSERT_TRUE(w.run(a, a.root->publish(std::move(call))));
  w.settle();
  EXPECT_EQ(replied[0]->size(), 1u);
  EXPECT_EQ(replied[1]->size(), 1u);
  ASSERT_EQ(replies->size(), 2u);
  EXPECT_NE((*replies)[0].from, (*replies)[1].from);
}

// Tokens may also be issued by a third party that the receiver trusts for it.
TEST_P(ActorTest, AnOrganisationDelegatesToItsMembers) {
  TestNode& org = w.add("org");
  ucan::Grant accepted;
  accepted.subject = org.did();
  accepted.capabilities = ucan::parse_capabilities({"/dms/node"}).value();
  accepted.expires = w.world.unix_now() + Duration(1h);
  ucan::Anchors anchors;
  anchors.require.tokens.push_back(b.context->grant(ucan::Action::delegate, accepted).value());
  ASSERT_TRUE(b.context->anchor(anchors, w.world.unix_now()));
  w.grant(org, a, {"/dms/node"});
  const Received received = b.listen(kHello);
  ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(ActorTest, AMessageToTheActorItselfNeedsNoTokens) {
  const Received received = a.listen(kHello);
  ASSERT_TRUE(w.run(a, a.root->send(a.root->message(a.root->handle(), kHello))));
  w.settle();
  ASSERT_EQ(received->size(), 1u);
  EXPECT_TRUE(received->front().capability.empty());
}

TEST_P(ActorTest, OnlyTheActorItselfIsExempt) {
  // From another key, but claiming to be b: its signature cannot be b's.
  const Received received = b.listen(kHello);
  Envelope envelope = a.root->message(b.root->handle(), kHello);
  envelope.from = b.root->handle();
  envelope.from.address.host = a.root->handle().address.host;
  envelope.nonce = 1;
  envelope.signature = *a.key.sign(as_bytes(envelope.signed_text()));
  w.inject(a, b, envelope);
  EXPECT_TRUE(received->empty());
  EXPECT_EQ(refused(b, Refusal::bad_signature), 1u);
}

INSTANTIATE_TEST_SUITE_P(Backends, ActorTest, kBackends, backend_name);

}  // namespace
}  // namespace dms::actor
