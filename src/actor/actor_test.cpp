#include "actor/actor.hpp"

#include <gmock/gmock.h>

#include "actor/test_world.hpp"
#include "network/libp2p_network.hpp"

namespace dms::actor {
namespace {

using testing::HasSubstr;

constexpr auto kHello = "/dms/node/hello";
constexpr auto kTopic = "/nunet/hello";
constexpr auto kShout = "/broadcast/hello";

enum class Wire { memory, libp2p };

using Substrate = std::shared_ptr<network::MemorySubstrate>;

TestWorld::MakeNetwork networks(Wire wire, const Substrate& substrate) {
  if (wire == Wire::libp2p)
    return [](TestNode& node) -> std::unique_ptr<network::Network> {
      auto made = std::make_unique<network::Libp2pNetwork>(node.node.runtime(), node.key);
      EXPECT_TRUE(made->listen("/ip4/0.0.0.0/tcp/9000"));
      return made;
    };
  return [substrate](TestNode& node) -> std::unique_ptr<network::Network> {
    return std::make_unique<network::MemoryNetwork>(substrate, node.lane(),
                                                    crypto::PeerId::from(node.key.public_key()));
  };
}

struct ActorTest : testing::TestWithParam<Wire> {
  ActorTest() : ActorTest(RateLimits{}) {}
  explicit ActorTest(RateLimits limits) : w(21, networks(GetParam(), substrate), std::move(limits)) {}
  ~ActorTest() override { w.close(); }

  /// An envelope from `from` to `to`, provided and signed, as its actor would send it.
  Envelope signed_message(TestNode& from, TestNode& to, const std::string& behaviour, std::string text = "hi") {
    Envelope envelope = from.root->message(to.root->handle(), behaviour, to_payload(Note{std::move(text)}));
    envelope.nonce = from.root->security().next_nonce();
    auto capabilities = ucan::parse_capabilities({behaviour}).value();
    EXPECT_TRUE(from.root->security().provide(envelope, capabilities, {}, w.world.unix_now()));
    return envelope;
  }
  Envelope signed_broadcast(TestNode& from, std::string topic = kTopic, std::string behaviour = kShout) {
    Envelope envelope = from.root->broadcast(behaviour, to_payload(Note{"all"}), {.topic = std::move(topic)});
    envelope.nonce = from.root->security().next_nonce();
    auto capabilities = ucan::parse_capabilities({behaviour}).value();
    EXPECT_TRUE(from.root->security().provide_broadcast(envelope, capabilities, w.world.unix_now()));
    return envelope;
  }
  static std::uint64_t refused(const TestNode& node, Refusal reason) {
    const RefusalCounters& counters = node.root->refusals();
    EXPECT_EQ(counters.total(), counters[reason]) << "something else was refused, too";
    return counters[reason];
  }

  Substrate substrate = std::make_shared<network::MemorySubstrate>();
  TestWorld w;
  TestNode& a = w.add("a");
  TestNode& b = w.add("b");
};

TEST_P(ActorTest, ASentMessageArrives) {
  w.grant(b, a, {kHello});
  const Received received = b.listen(kHello);
  ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello, to_payload(Note{"hi"})))));
  w.settle();
  ASSERT_EQ(received->size(), 1u);
  const Envelope& got = received->front();
  EXPECT_EQ(got.from, a.root->handle());
  EXPECT_EQ(payload<Note>(got)->text, "hi");
  EXPECT_EQ(b.root->refusals().total(), 0u);
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

TEST_P(ActorTest, TheTokensOfAMessageAreForgottenWhenItsHandlerEnds) {
  w.grant(b, a, {kHello});
  b.answer_with(kHello, "bye");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_EQ(a.context->consumed_count(), 0u);
  EXPECT_EQ(b.context->consumed_count(), 0u);
  EXPECT_EQ(a.system->limiter.active() + b.system->limiter.active(), 0u);
}

TEST_P(ActorTest, SilenceBecomesADeadlineError) {
  w.grant(b, a, {kHello});
  b.listen(kHello);
  const SteadyTime before = w.world.now();
  auto reply = w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello, {}, {.timeout = 5s})));
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().is(dms::Errc::deadline_exceeded));
  EXPECT_THAT(reply.error().to_string(), HasSubstr("no reply to /dms/node/hello"));
  EXPECT_EQ(w.world.now() - before, 5s);
}

TEST_P(ActorTest, AHostThatDiesWhileInvokedIsAnError) {
  w.grant(b, a, {kHello});
  const Received received = b.listen(kHello);
  if (GetParam() == Wire::memory)
    substrate->set_latency(1h);
  else
    b.node.kill();
  const SteadyTime before = w.world.now();
  auto reply = w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello)));
  ASSERT_FALSE(reply);
  EXPECT_LE(w.world.now() - before, kDefaultTimeout);
  EXPECT_TRUE(received->empty());
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

TEST_P(ActorTest, AReplyPathOfOnesOwnMustBeFree) {
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
  Received heard[2];
  for (TestNode* node : {&b, &c}) {
    w.grant(*node, a, {kShout}, {kTopic});
    w.grant(a, *node, {"/public/user"});
    ASSERT_TRUE(node->root->subscribe(kTopic));
    heard[node == &c] = node->answer_with(kShout, "here", {.topic = kTopic});
  }
  const Received replies = a.listen("/public/user/1");
  Envelope call =
      a.root->broadcast(kShout, to_payload(Note{"anyone?"}), {.reply_to = "/public/user/1", .topic = kTopic});
  w.settle();
  ASSERT_TRUE(w.run(a, a.root->publish(std::move(call))));
  w.settle();
  EXPECT_EQ(heard[0]->size(), 1u);
  EXPECT_EQ(heard[1]->size(), 1u);
  ASSERT_EQ(replies->size(), 2u);
  EXPECT_NE((*replies)[0].from, (*replies)[1].from);
}

// Tokens of `grant` may also be given by a third party that the receiver trusts for it.
TEST_P(ActorTest, AnOrganisationSpeaksForItsMembers) {
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

// --- what is refused -------------------------------------------------------------------------------------------------

struct Refused : ActorTest {
  Refused() { w.grant(b, a, {kHello}, {kTopic}); }
  Received received = b.listen(kHello);

  void expect(Refusal reason) {
    EXPECT_TRUE(received->empty());
    EXPECT_EQ(refused(b, reason), 1u) << to_string(reason);
    EXPECT_EQ(b.context->consumed_count(), 0u) << "a refused message leaves no tokens behind";
  }
};

TEST_P(Refused, NothingWhenAllIsWell) {
  w.inject(a, b, signed_message(a, b, kHello));
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(Refused, NoToken) {
  Envelope envelope = a.root->message(b.root->handle(), kHello);
  envelope.nonce = 1;
  ASSERT_TRUE(a.root->security().sign(envelope));
  w.inject(a, b, envelope);
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AnExpiredToken) {
  ucan::Claims claims;
  claims.action = ucan::Action::delegate;
  claims.issuer = b.did();
  claims.subject = a.did();
  claims.capabilities = ucan::parse_capabilities({kHello}).value();
  claims.nonce = ucan::make_nonce(a.lane().random());
  claims.expires = w.world.unix_now() + Duration(1s);
  const ucan::Token grant = ucan::Token::issue(claims, b.key).value();
  claims.action = ucan::Action::invoke;
  claims.issuer = a.did();
  const ucan::Token use = ucan::Token::issue(claims, a.key, &grant).value();
  ucan::TokenList list;
  list.tokens.push_back(use);
  Envelope envelope = a.root->message(b.root->handle(), kHello);
  envelope.capability = to_bytes(list.text());
  envelope.nonce = 1;
  ASSERT_TRUE(a.root->security().sign(envelope));
  w.settle(2s);
  w.inject(a, b, envelope);
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AWidenedCapability) {
  constexpr auto kSecret = "/dms/node/secret";
  const Received secrets = b.listen(kSecret);
  const ucan::Token narrow = a.context->anchors().provide.tokens.front();
  ucan::Claims claims;
  claims.action = ucan::Action::invoke;
  claims.issuer = a.did();
  claims.subject = a.did();
  claims.audience = b.did();
  claims.capabilities = ucan::parse_capabilities({kSecret}).value();
  claims.nonce = ucan::make_nonce(a.lane().random());
  claims.expires = w.world.unix_now() + Duration(10s);
  ucan::TokenList list;
  list.tokens.push_back(ucan::Token::issue(claims, a.key, &narrow).value());
  Envelope envelope = a.root->message(b.root->handle(), kSecret);
  envelope.capability = to_bytes(list.text());
  envelope.nonce = 1;
  ASSERT_TRUE(a.root->security().sign(envelope));
  w.inject(a, b, envelope);
  EXPECT_TRUE(secrets->empty());
  expect(Refusal::not_permitted);
}

TEST_P(Refused, ACapabilityForSomethingElse) {
  b.listen("/dms/node/other");
  w.inject(a, b, signed_message(a, b, "/dms/node/other"));
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AStranger) {
  TestNode& stranger = w.add("stranger");
  w.inject(stranger, b, signed_message(stranger, b, kHello));
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AStolenToken) {
  TestNode& thief = w.add("thief");
  Envelope envelope = thief.root->message(b.root->handle(), kHello);
  envelope.capability = signed_message(a, b, kHello).capability;
  envelope.nonce = 1;
  ASSERT_TRUE(thief.root->security().sign(envelope));
  w.inject(thief, b, envelope);
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AnotherNodesDid) {
  TestNode& impostor = w.add("impostor");
  w.grant(b, impostor, {kHello});
  Envelope envelope = signed_message(impostor, b, kHello);
  envelope.from.did = a.did();
  ASSERT_TRUE(impostor.root->security().sign(envelope));
  w.inject(impostor, b, envelope);
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AnotherNodesDidWithForgedVouchers) {
  TestNode& impostor = w.add("impostor");
  w.grant(b, impostor, {kHello});
  Envelope envelope = signed_message(impostor, b, kHello);
  envelope.from.did = a.did();
  // A token in the name of a, but signed by nobody who is a.
  std::string forged = signed_message(a, b, kHello).from.did.uri();
  ucan::Claims claims;
  claims.action = ucan::Action::invoke;
  claims.issuer = impostor.did();
  claims.subject = impostor.root->security().id_did();
  claims.capabilities = ucan::parse_capabilities({kHello}).value();
  claims.expires = w.world.unix_now() + Duration(20s);
  std::string text = ucan::Token::issue(claims, impostor.key).value().text();
  text.replace(text.find(impostor.did().uri()), impostor.did().uri().size(), forged);
  const std::string tokens(as_text(envelope.capability));
  envelope.capability = to_bytes(tokens.substr(0, tokens.rfind(']')) + "," + text + "]}");
  ASSERT_TRUE(impostor.root->security().sign(envelope));
  w.inject(impostor, b, envelope);
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AnExpiredEnvelope) {
  const Envelope envelope = signed_message(a, b, kHello);
  w.settle(31s);
  w.inject(a, b, envelope);
  expect(Refusal::expired);
}

TEST_P(Refused, AReplayedEnvelope) {
  const Envelope envelope = signed_message(a, b, kHello);
  w.inject(a, b, envelope);
  ASSERT_EQ(received->size(), 1u);
  w.inject(a, b, envelope);
  EXPECT_EQ(received->size(), 1u);
  EXPECT_EQ(refused(b, Refusal::replayed), 1u);
}

TEST_P(Refused, AWrongSignature) {
  Envelope envelope = signed_message(a, b, kHello);
  envelope.signature[5] ^= 1;
  w.inject(a, b, envelope);
  expect(Refusal::bad_signature);
}

TEST_P(Refused, AnotherKeysSignature) {
  Envelope envelope = signed_message(a, b, kHello);
  envelope.signature = *b.key.sign(envelope.signed_bytes());
  w.inject(a, b, envelope);
  expect(Refusal::bad_signature);
}

TEST_P(Refused, AChangedPayload) {
  Envelope envelope = signed_message(a, b, kHello);
  envelope.message = to_payload(Note{"something else"});
  w.inject(a, b, envelope);
  expect(Refusal::bad_signature);
}

TEST_P(Refused, AnotherHost) {
  TestNode& relay = w.add("relay");
  w.inject(relay, b, signed_message(a, b, kHello));
  expect(Refusal::wrong_host);
}

TEST_P(Refused, AnotherSpellingOfTheHost) {
  Envelope envelope = a.root->message(b.root->handle(), kHello);
  envelope.from.address.host = a.network->self().to_cid();
  envelope.nonce = 1;
  ASSERT_TRUE(a.root->security().provide(envelope, ucan::parse_capabilities({kHello}).value(), {}, w.world.unix_now()));
  w.inject(a, b, envelope);
  expect(Refusal::wrong_host);
}

TEST_P(Refused, AnotherReceiver) {
  TestNode& c = w.add("c");
  w.inject(a, b, signed_message(a, c, kHello));
  expect(Refusal::wrong_receiver);
}

TEST_P(Refused, AWrongInbox) {
  Envelope envelope = a.root->message(b.root->handle(), kHello);
  envelope.to.address.inbox = "nobody";
  EXPECT_TRUE(w.run(a, a.root->send(envelope)).error().is(dms::Errc::unsupported));

  auto child = b.root->create_child("child").value();
  w.inject(a, b, signed_message(a, b, kHello), "child");
  EXPECT_EQ(child->refusals()[Refusal::wrong_receiver], 1u);
  EXPECT_TRUE(received->empty());
  w.run(b, child->stop());
}

TEST_P(Refused, AnUnknownBehaviour) {
  w.grant(b, a, {"/"});
  w.inject(a, b, signed_message(a, b, "/dms/node/hello/below"));
  expect(Refusal::unknown_behaviour);
}

TEST_P(Refused, AnExpiredBehaviour) {
  received = b.listen(kHello, {.expires = w.world.unix_now() + Duration(1s)});
  w.settle(2s);
  w.inject(a, b, signed_message(a, b, kHello));
  expect(Refusal::expired_behaviour);
  EXPECT_FALSE(b.root->has_behaviour(kHello));
}

TEST_P(Refused, ASecondUseOfAOneShotBehaviour) {
  received = b.listen(kHello, {.one_shot = true});
  w.inject(a, b, signed_message(a, b, kHello));
  EXPECT_EQ(received->size(), 1u);
  w.inject(a, b, signed_message(a, b, kHello));
  EXPECT_EQ(received->size(), 1u);
  EXPECT_EQ(refused(b, Refusal::unknown_behaviour), 1u);
}

TEST_P(Refused, NoEnvelopeAtAll) {
  for (std::string_view text : {"", "{}", "nonsense", R"({"to":[]})", R"({"nonce":-1})"}) {
    const std::uint64_t before = b.root->refusals().total();
    w.inject(a, b, to_bytes(text));
    EXPECT_EQ(b.root->refusals().total(), before + 1) << text;
  }
}

TEST_P(Refused, ABroadcastSentToOne) {
  ASSERT_TRUE(b.root->subscribe(kTopic));
  const Received shouts = b.listen(kShout, {.topic = kTopic});
  w.grant(b, a, {kShout}, {kTopic});
  w.inject(a, b, signed_broadcast(a));
  EXPECT_TRUE(shouts->empty());
  expect(Refusal::wrong_receiver);
}

struct RefusedBroadcast : ActorTest {
  RefusedBroadcast() {
    w.grant(b, a, {kShout}, {kTopic});
    EXPECT_TRUE(b.root->subscribe(kTopic));
  }
  Received received = b.listen(kShout, {.topic = kTopic});

  struct Verdicts {
    std::uint64_t rejected = 0;
    std::uint64_t ignored = 0;
    bool operator==(const Verdicts&) const = default;
  };
  /// What b's validators have said; what they accept goes on to other peers.
  Verdicts verdicts() {
    if (GetParam() == Wire::memory) return {substrate->counters().rejected, substrate->counters().ignored};
    const auto& counters = dynamic_cast<network::Libp2pNetwork&>(*b.network).pubsub().counters();
    return {counters.rejected, counters.ignored};
  }
  void expect(Refusal reason, Verdicts expected) {
    EXPECT_TRUE(received->empty());
    EXPECT_EQ(refused(b, reason), 1u) << to_string(reason);
    EXPECT_EQ(verdicts(), expected);
  }
  static constexpr Verdicts kPassedOn{0, 0};
  static constexpr Verdicts kRejected{1, 0};
  static constexpr Verdicts kIgnored{0, 1};
};

TEST_P(RefusedBroadcast, NothingWhenAllIsWell) {
  w.inject_broadcast(a, kTopic, signed_broadcast(a));
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(RefusedBroadcast, AMessageForOne) {
  w.grant(b, a, {kShout});
  w.inject_broadcast(a, kTopic, signed_message(a, b, kShout));
  expect(Refusal::wrong_receiver, kRejected);
}

TEST_P(RefusedBroadcast, AnotherTopic) {
  w.inject_broadcast(a, kTopic, signed_broadcast(a, "/nunet/other"));
  expect(Refusal::wrong_receiver, kRejected);
}

TEST_P(RefusedBroadcast, ABehaviourThatListensElsewhere) {
  received = b.listen(kShout, {.topic = "/nunet/other"});
  w.inject_broadcast(a, kTopic, signed_broadcast(a));
  expect(Refusal::wrong_receiver, kPassedOn);
}

TEST_P(RefusedBroadcast, AnExpiredOne) {
  const Envelope envelope = signed_broadcast(a);
  w.settle(31s);
  w.inject_broadcast(a, kTopic, envelope);
  expect(Refusal::expired, kIgnored);
}

TEST_P(RefusedBroadcast, AWrongSignature) {
  Envelope envelope = signed_broadcast(a);
  envelope.message = to_payload(Note{"changed"});
  w.inject_broadcast(a, kTopic, envelope);
  expect(Refusal::bad_signature, kRejected);
}

TEST_P(RefusedBroadcast, AReplay) {
  const Envelope envelope = signed_broadcast(a);
  w.inject_broadcast(a, kTopic, envelope);
  w.inject_broadcast(a, kTopic, envelope);
  EXPECT_EQ(received->size(), 1u);
  EXPECT_EQ(refused(b, Refusal::replayed), 1u);
  EXPECT_EQ(verdicts(), kIgnored);
}

TEST_P(RefusedBroadcast, OnePublishedByAnotherHost) {
  TestNode& relay = w.add("relay");
  w.inject_broadcast(relay, kTopic, signed_broadcast(a));
  expect(Refusal::wrong_host, kIgnored);
}

TEST_P(RefusedBroadcast, AStranger) {
  TestNode& stranger = w.add("stranger");
  w.inject_broadcast(stranger, kTopic, signed_broadcast(stranger));
  expect(Refusal::not_permitted, kPassedOn);
}

// --- oneself and children --------------------------------------------------------------------------------------------

TEST_P(ActorTest, AMessageToOneselfNeedsNoTokens) {
  const Received received = a.listen(kHello);
  ASSERT_TRUE(w.run(a, a.root->send(a.root->message(a.root->handle(), kHello))));
  w.settle();
  ASSERT_EQ(received->size(), 1u);
  EXPECT_TRUE(received->front().capability.empty());
}

TEST_P(ActorTest, OnlyOneselfIsExempt) {
  // From another key, but claiming to be b: its signature cannot be b's.
  const Received received = b.listen(kHello);
  Envelope envelope = a.root->message(b.root->handle(), kHello);
  envelope.from = b.root->handle();
  envelope.from.address.host = a.root->handle().address.host;
  envelope.nonce = 1;
  envelope.signature = *a.key.sign(envelope.signed_bytes());
  w.inject(a, b, envelope);
  EXPECT_TRUE(received->empty());
  EXPECT_EQ(refused(b, Refusal::bad_signature), 1u);
}

TEST_P(ActorTest, AChildHasItsOwnKeyAndItsParentsDid) {
  auto child = b.root->create_child("ensemble-1").value();
  EXPECT_NE(child->handle().id, b.root->handle().id);
  EXPECT_EQ(child->handle().did, b.root->handle().did);
  EXPECT_EQ(child->handle().address.host, b.root->handle().address.host);
  EXPECT_TRUE(b.root->create_child("ensemble-1").error().is(dms::Errc::already_exists));
  for (const std::string bad : {"", "a/b", "a b", "\n"})
    EXPECT_TRUE(b.root->create_child(bad).error().is(dms::Errc::invalid_argument)) << bad;
  EXPECT_EQ(b.system->registry.get("root")->children, std::vector{child->handle()});
  w.run(b, child->stop());
  EXPECT_FALSE(b.system->registry.get("ensemble-1"));
  EXPECT_TRUE(b.system->registry.get("root")->children.empty());
}

TEST_P(ActorTest, ChildrenAndParentsTalkWithTheTokensOfTheirDid) {
  auto child = b.root->create_child("child").value();
  TestNode::answer_with(*child, "/dms/allocation/stats", "fine");
  auto reply = w.run(b, b.root->call<Note>(b.root->message(child->handle(), "/dms/allocation/stats")));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->text, "fine");
  b.answer_with("/dms/node/ask", "yes");
  EXPECT_TRUE(w.run(b, child->invoke(child->message(b.root->handle(), "/dms/node/ask"))));
  w.run(b, child->stop());
}

TEST_P(ActorTest, ChildrenOfTwoNodesTalk) {
  w.grant(b, a, {"/dms/allocation"});
  auto ours = a.root->create_child("orchestrator").value();
  auto theirs = b.root->create_child("allocation").value();
  TestNode::answer_with(*theirs, "/dms/allocation/start", "started");
  auto reply = w.run(a, ours->call<Note>(ours->message(theirs->handle(), "/dms/allocation/start")));
  ASSERT_TRUE(reply) << reply.error().to_string();
  w.run(a, ours->stop());
  w.run(b, theirs->stop());
}

TEST_P(ActorTest, ASupervisorMayAskForHealthForAsLongAsTheChildLives) {
  auto child = b.root->create_child("allocation", {.supervisor = a.root->handle()}).value();
  TestNode::answer_with(*child, std::string(kHealthCheck), "healthy");
  w.settle();
  for (int hour = 0; hour < 5; ++hour) {
    auto reply = w.run(a, a.root->call<Note>(a.root->message(child->handle(), std::string(kHealthCheck))));
    ASSERT_TRUE(reply) << "after " << hour << " hours: " << reply.error().to_string();
    w.settle(1h);
  }
  EXPECT_EQ(b.context->lent_count(), 1u);
  TestNode& c = w.add("c");
  EXPECT_FALSE(w.run(c, c.root->invoke(c.root->message(child->handle(), std::string(kHealthCheck)))));
  w.run(b, child->stop());
  EXPECT_EQ(b.context->lent_count(), 0u);
  EXPECT_TRUE(b.context->anchors().require.empty());
}

// --- the end ---------------------------------------------------------------------------------------------------------

Task<void> keep_result(Actor& actor, Envelope request, std::optional<Result<Envelope>>& out) {
  out = co_await actor.invoke(std::move(request));
}
Task<void> wait_for_ever(std::shared_ptr<int> state, Envelope) {
  *state = 1;
  Result<void> waited = co_await sleep_for(24h);
  *state = waited ? 2 : 3;
}

TEST_P(ActorTest, StopCancelsHandlersAndCallsOfOthers) {
  w.grant(b, a, {kHello});
  auto state = std::make_shared<int>(0);
  ASSERT_TRUE(b.root->add_behaviour(kHello, [state](Envelope e) { return wait_for_ever(state, std::move(e)); }));
  std::optional<Result<Envelope>> reply;
  Nursery others(a.lane(), "others");
  others.spawn(keep_result(*a.root, a.root->message(b.root->handle(), kHello), reply));
  w.settle();
  EXPECT_EQ(*state, 1);
  w.run(b, b.root->stop());
  EXPECT_EQ(*state, 3);
  w.run(a, a.root->stop());
  ASSERT_TRUE(reply && !*reply);
  EXPECT_TRUE(reply->error().is(dms::Errc::closed));
  w.run(a, others.close());
}

TEST_P(ActorTest, StoppingAParentStopsItsChildren) {
  auto child = b.root->create_child("child").value();
  auto grandchild = child->create_child("grandchild").value();
  w.run(b, b.root->stop());
  EXPECT_TRUE(b.system->registry.actors().empty());
  EXPECT_TRUE(w.run(b, child->send(child->message(b.root->handle(), kHello))).error().is(dms::Errc::closed));
  EXPECT_TRUE(b.root->create_child("late").error().is(dms::Errc::closed));
}

TEST_P(ActorTest, AnInboxIsFreeAgainAfterStop) {
  auto first = b.root->create_child("child").value();
  w.run(b, first->stop());
  auto second = b.root->create_child("child");
  ASSERT_TRUE(second) << second.error().to_string();
  w.run(b, (*second)->stop());
}

// --- limits ----------------------------------------------------------------------------------------------------------

struct LimitedActorTest : ActorTest {
  LimitedActorTest() : ActorTest(RateLimits{.rate = 1, .burst = 5, .active_per_peer = 2}) {}
};

TEST_P(LimitedActorTest, AFloodIsCutOffForItsSenderOnly) {
  TestNode& c = w.add("c");
  w.grant(b, a, {kHello});
  w.grant(b, c, {kHello});
  const Received received = b.listen(kHello);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello))));
  ASSERT_TRUE(w.run(c, c.root->send(c.root->message(b.root->handle(), kHello))));
  w.settle(100ms);
  EXPECT_GE(b.root->refusals()[Refusal::rate_limited], 10u);
  EXPECT_EQ(received->back().from, c.root->handle());
}

TEST_P(LimitedActorTest, MessagesBeingWorkedOnAreBoundedPerPeer) {
  w.grant(b, a, {kHello});
  auto state = std::make_shared<int>(0);
  ASSERT_TRUE(b.root->add_behaviour(kHello, [state](Envelope e) { return wait_for_ever(state, std::move(e)); }));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_EQ(b.system->limiter.active(), 2u);
  EXPECT_EQ(refused(b, Refusal::no_place), 2u);
}

const auto kWires = testing::Values(Wire::memory, Wire::libp2p);
std::string wire_name(const testing::TestParamInfo<Wire>& info) {
  return info.param == Wire::memory ? "memory" : "libp2p";
}
INSTANTIATE_TEST_SUITE_P(Wires, ActorTest, kWires, wire_name);
INSTANTIATE_TEST_SUITE_P(Wires, Refused, kWires, wire_name);
INSTANTIATE_TEST_SUITE_P(Wires, RefusedBroadcast, kWires, wire_name);
INSTANTIATE_TEST_SUITE_P(Wires, LimitedActorTest, kWires, wire_name);

}  // namespace
}  // namespace dms::actor
