// Each reason to refuse a message or a broadcast: it alone is counted, and no token stays held.
#include "actor/refusal.hpp"

#include "actor/test_actors.hpp"

namespace dms::actor {
namespace {

struct Refused : ActorTest {
  Refused() { w.grant(b, a, {kHello}, {kTopic}); }
  Received received = b.listen(kHello);

  void expect(Refusal reason) {
    EXPECT_TRUE(received->empty());
    EXPECT_EQ(refused(b, reason), 1u) << to_string(reason);
    EXPECT_EQ(b.context->consumed_count(), 0u) << "the tokens of a refused message are released";
  }
};

TEST_P(Refused, IsAcceptedIfValid) {
  w.inject(a, b, signed_message(a, b, kHello));
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(Refused, AnOpenBehaviourAsksForNoTokenAndRecordsNoReplay) {
  BehaviourOptions options;
  options.open = true;
  options.topic = "/nunet/open";
  const Received open = b.listen("/broadcast/open", options);
  ASSERT_TRUE(b.root->subscribe(options.topic));
  Envelope envelope = a.root->message(b.root->handle(), "/broadcast/open");
  envelope.nonce = 1;
  ASSERT_TRUE(a.root->security().sign(envelope));
  w.inject(a, b, envelope);
  w.inject(a, b, envelope);
  EXPECT_EQ(open->size(), 2u);
  Envelope broadcast = a.root->broadcast("/broadcast/open", {}, {.topic = options.topic});
  broadcast.nonce = 2;
  ASSERT_TRUE(a.root->security().sign(broadcast));
  w.inject_broadcast(a, options.topic, broadcast);
  EXPECT_EQ(open->size(), 3u);
  // Still an envelope of its sender, on its topic only.
  envelope.signature.back() ^= 1;
  w.inject(a, b, envelope);
  expect(Refusal::bad_signature);
  EXPECT_EQ(open->size(), 3u);
}

TEST_P(Refused, AnOpenBehaviourIsOpenOnItsTopicOnly) {
  BehaviourOptions options;
  options.open = true;
  const Received open = b.listen("/broadcast/open", options);
  ASSERT_TRUE(b.root->subscribe(kTopic));
  Envelope broadcast = a.root->broadcast("/broadcast/open", {}, {.topic = kTopic});
  broadcast.nonce = 1;
  ASSERT_TRUE(a.root->security().sign(broadcast));
  w.inject_broadcast(a, kTopic, broadcast);
  EXPECT_TRUE(open->empty());
  expect(Refusal::wrong_receiver);
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

TEST_P(Refused, AnUnknownSender) {
  TestNode& unknown = w.add("unknown");
  w.inject(unknown, b, signed_message(unknown, b, kHello));
  expect(Refusal::not_permitted);
}

TEST_P(Refused, ACopiedToken) {
  TestNode& other = w.add("other");
  Envelope envelope = other.root->message(b.root->handle(), kHello);
  envelope.capability = signed_message(a, b, kHello).capability;
  envelope.nonce = 1;
  ASSERT_TRUE(other.root->security().sign(envelope));
  w.inject(other, b, envelope);
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

TEST_P(Refused, AnotherNodesDidWithAForgedToken) {
  TestNode& impostor = w.add("impostor");
  w.grant(b, impostor, {kHello});
  Envelope envelope = signed_message(impostor, b, kHello);
  envelope.from.did = a.did();
  // A token in the name of a, but not signed with its key.
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

TEST_P(Refused, AnEnvelopeThatLivesTooLong) {
  Envelope envelope = a.root->message(b.root->handle(), kHello, {}, {.timeout = kMaxLifetime + Duration(1s)});
  envelope.nonce = 1;
  ASSERT_TRUE(a.root->security().provide(envelope, ucan::parse_capabilities({kHello}).value(), {}, w.world.unix_now()));
  w.inject(a, b, envelope);
  expect(Refusal::lives_too_long);
  // The longest that is accepted.
  w.grant(b, a, {kHello}, {}, 2 * kMaxLifetime);
  envelope = a.root->message(b.root->handle(), kHello, {}, {.timeout = kMaxLifetime});
  envelope.nonce = 2;
  ASSERT_TRUE(a.root->security().provide(envelope, ucan::parse_capabilities({kHello}).value(), {}, w.world.unix_now()));
  w.inject(a, b, envelope);
  EXPECT_EQ(received->size(), 1u);
}

/// A sender with a's DID and another key: its envelope carries one token, issued by a, that names the key.
struct SenderWithAnotherKey : Refused {
  struct Voucher {
    std::optional<did::Did> audience = {};
    std::optional<UnixTime> expires = {};
    bool revoked = false;
  };
  Envelope envelope(const Voucher& voucher) {
    const crypto::PrivateKey key = crypto::PrivateKey::generate(a.lane().random());
    Envelope made = a.root->message(b.root->handle(), kHello);
    made.from.id = Id::from(key.public_key());
    made.nonce = 1;
    const did::Did sender = made.from.id.did().value();
    const UnixTime now = w.world.unix_now();
    ucan::TokenList tokens;
    // The key itself is permitted; the test is about the token that binds it to a's DID.
    ucan::Grant by_b{sender, {}, {}, ucan::parse_capabilities({kHello}).value(), now + Duration(1h), 0};
    tokens.tokens.push_back(b.context->grant(ucan::Action::invoke, by_b).value());
    ucan::Grant by_a = by_b;
    by_a.audience = voucher.audience.value_or(b.root->security().id_did());
    by_a.expires = voucher.expires.value_or(now + Duration(30s));
    const ucan::Token token = a.context->grant(ucan::Action::invoke, by_a).value();
    if (voucher.revoked) {
      ucan::Anchors anchors;
      anchors.revoke.tokens.push_back(a.context->revoke(token).value());
      EXPECT_TRUE(b.context->anchor(anchors, now));
    }
    tokens.tokens.push_back(token);
    made.capability = to_bytes(tokens.text());
    EXPECT_TRUE(made.sign(key));
    return made;
  }
};

TEST_P(SenderWithAnotherKey, IsAcceptedWithAValidToken) {
  w.inject(a, b, envelope({}));
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(SenderWithAnotherKey, NotWithAnExpiredToken) {
  const Envelope made = envelope({.expires = w.world.unix_now() + Duration(1s)});
  w.settle(2s);
  w.inject(a, b, made);
  expect(Refusal::not_permitted);
}

TEST_P(SenderWithAnotherKey, NotWithARevokedToken) {
  w.inject(a, b, envelope({.revoked = true}));
  expect(Refusal::not_permitted);
}

TEST_P(SenderWithAnotherKey, NotWithATokenForAnotherActor) {
  w.inject(a, b, envelope({.audience = a.did()}));
  expect(Refusal::not_permitted);
}

TEST_P(Refused, AWrongSignature) {
  Envelope envelope = signed_message(a, b, kHello);
  envelope.signature[5] ^= 1;
  w.inject(a, b, envelope);
  expect(Refusal::bad_signature);
}

TEST_P(Refused, AnotherKeysSignature) {
  Envelope envelope = signed_message(a, b, kHello);
  envelope.signature = *b.key.sign(as_bytes(envelope.signed_text()));
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
  envelope.to.address.inbox = "unused";
  EXPECT_TRUE(w.run(a, a.root->send(envelope)).error().is(dms::Errc::unsupported));

  auto child = b.root->create_child("child").value();
  w.inject(a, b, signed_message(a, b, kHello), "child");
  EXPECT_EQ(b.system->metrics.refused[Refusal::wrong_receiver].value(), 1u);
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

TEST_P(Refused, NotAnEnvelope) {
  for (std::string_view text : {"", "{}", "nonsense", R"({"to":[]})", R"({"nonce":-1})"}) {
    const std::uint64_t before = b.system->metrics.refused.total();
    w.inject(a, b, to_bytes(text));
    EXPECT_EQ(b.system->metrics.refused.total(), before + 1) << text;
  }
}

TEST_P(Refused, ABroadcastSentAsAMessage) {
  ASSERT_TRUE(b.root->subscribe(kTopic));
  const Received broadcasts = b.listen(kBroadcast, {.topic = kTopic});
  w.grant(b, a, {kBroadcast}, {kTopic});
  w.inject(a, b, signed_broadcast(a));
  EXPECT_TRUE(broadcasts->empty());
  expect(Refusal::wrong_receiver);
}

struct RefusedBroadcast : ActorTest {
  RefusedBroadcast() {
    w.grant(b, a, {kBroadcast}, {kTopic});
    EXPECT_TRUE(b.root->subscribe(kTopic));
  }
  Received received = b.listen(kBroadcast, {.topic = kTopic});

  struct Decisions {
    std::uint64_t rejected = 0;
    std::uint64_t ignored = 0;
    bool operator==(const Decisions&) const = default;
  };
  /// The results of b's validators; accepted broadcasts are forwarded to other peers.
  Decisions decisions() {
    if (GetParam() == Backend::memory) return {substrate->counters().rejected, substrate->counters().ignored};
    const auto& received = dynamic_cast<network::Libp2pNetwork&>(*b.network).pubsub().metrics().received;
    using Outcome = libp2p::PubSub::Outcome;
    return {received[Outcome::rejected].value(), received[Outcome::ignored].value()};
  }
  void expect(Refusal reason, Decisions expected) {
    EXPECT_TRUE(received->empty());
    EXPECT_EQ(refused(b, reason), 1u) << to_string(reason);
    EXPECT_EQ(decisions(), expected);
  }
  static constexpr Decisions kPassedOn{0, 0};
  static constexpr Decisions kRejected{1, 0};
  static constexpr Decisions kIgnored{0, 1};
};

TEST_P(RefusedBroadcast, IsAcceptedIfValid) {
  w.inject_broadcast(a, kTopic, signed_broadcast(a));
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(RefusedBroadcast, AUnicastMessage) {
  w.grant(b, a, {kBroadcast});
  w.inject_broadcast(a, kTopic, signed_message(a, b, kBroadcast));
  expect(Refusal::wrong_receiver, kRejected);
}

TEST_P(RefusedBroadcast, AnotherTopic) {
  w.inject_broadcast(a, kTopic, signed_broadcast(a, "/nunet/other"));
  expect(Refusal::wrong_receiver, kRejected);
}

TEST_P(RefusedBroadcast, ABehaviourOnAnotherTopic) {
  received = b.listen(kBroadcast, {.topic = "/nunet/other"});
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

// A peer with too many violations is banned. An author must not cause that with a broadcast that other nodes accept and
// forward.
TEST_P(RefusedBroadcast, OneThatOnlyOtherNodesCanReadIsNotBlamedOnItsForwarder) {
  std::string text(as_text(signed_broadcast(a).encode()));
  text.insert(1, R"("nonce":1,)");  // NuNet's nodes take the last of two members
  w.settle();
  ASSERT_TRUE(w.run(a, a.network->publish(kTopic, to_bytes(text))));
  w.settle();
  expect(Refusal::malformed, kIgnored);
}

TEST_P(RefusedBroadcast, AnIdThatIsNoKeyOfAnActorIsNotBlamedOnItsForwarder) {
  Envelope envelope = signed_broadcast(a);
  envelope.from.id = Id::parse("AAAAAAAA").value();
  w.inject_broadcast(a, kTopic, envelope);
  expect(Refusal::bad_signature, kIgnored);
}

TEST_P(RefusedBroadcast, OneThatLivesTooLong) {
  Envelope envelope =
      a.root->broadcast(kBroadcast, to_payload(Note{"all"}), {.timeout = kMaxLifetime + Duration(1h), .topic = kTopic});
  envelope.nonce = 1;
  ASSERT_TRUE(a.root->security().provide_broadcast(envelope, ucan::parse_capabilities({kBroadcast}).value(),
                                                   w.world.unix_now()));
  w.inject_broadcast(a, kTopic, envelope);
  expect(Refusal::lives_too_long, kIgnored);
}

TEST_P(RefusedBroadcast, IsVerifiedOnceIfItIsAccepted) {
  w.inject_broadcast(a, kTopic, signed_broadcast(a));
  ASSERT_EQ(received->size(), 1u);
  EXPECT_EQ(b.system->metrics.signature_checks.value(), 1u);
  EXPECT_EQ(b.system->metrics.accepted.value(), 1u);
}

TEST_P(RefusedBroadcast, AReplay) {
  const Envelope envelope = signed_broadcast(a);
  w.inject_broadcast(a, kTopic, envelope);
  w.inject_broadcast(a, kTopic, envelope);
  EXPECT_EQ(received->size(), 1u);
  EXPECT_EQ(refused(b, Refusal::replayed), 1u);
  EXPECT_EQ(decisions(), kIgnored);
}

TEST_P(RefusedBroadcast, OnePublishedByAnotherHost) {
  TestNode& relay = w.add("relay");
  w.inject_broadcast(relay, kTopic, signed_broadcast(a));
  expect(Refusal::wrong_host, kIgnored);
}

TEST_P(RefusedBroadcast, AnUnknownSender) {
  TestNode& unknown = w.add("unknown");
  w.inject_broadcast(unknown, kTopic, signed_broadcast(unknown));
  expect(Refusal::not_permitted, kPassedOn);
}

// --- limits ----------------------------------------------------------------------------------------------------------

struct LimitedActorTest : ActorTest {
  LimitedActorTest() : ActorTest(RateLimits{.rate = 1, .burst = 5, .active_per_peer = 2}) {}
};

TEST_P(LimitedActorTest, OnlyTheFloodingSenderIsLimited) {
  TestNode& c = w.add("c");
  w.grant(b, a, {kHello});
  w.grant(b, c, {kHello});
  const Received received = b.listen(kHello);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello))));
  ASSERT_TRUE(w.run(c, c.root->send(c.root->message(b.root->handle(), kHello))));
  w.settle(100ms);
  EXPECT_GE(b.system->metrics.refused[Refusal::rate_limited].value(), 10u);
  EXPECT_EQ(received->back().from, c.root->handle());
}

TEST_P(LimitedActorTest, ALargeMessageIsChargedByItsSize) {
  w.grant(b, a, {kHello});
  const Received received = b.listen(kHello);
  const Bytes large(5 * RateLimiter::kBytesPerCharge);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello, large))));
  w.settle(100ms);
  EXPECT_EQ(received->size(), 1u) << "the first one takes the whole bucket";
  EXPECT_EQ(refused(b, Refusal::rate_limited), 2u);
}

TEST_P(LimitedActorTest, LargeRepliesToRequestsAreNotLimited) {
  w.grant(b, a, {kHello});
  b.answer_with(kHello, std::string(5 * RateLimiter::kBytesPerCharge, 'x'));
  for (int i = 0; i < 4; ++i) {
    const auto reply = w.run(a, a.root->invoke(a.root->message(b.root->handle(), kHello)));
    EXPECT_TRUE(reply) << i << ": " << reply.error().to_string();
  }
  EXPECT_EQ(a.system->metrics.refused.total(), 0u);
}

TEST_P(LimitedActorTest, MessagesInProgressAreBoundedPerPeer) {
  w.grant(b, a, {kHello});
  auto state = std::make_shared<int>(0);
  ASSERT_TRUE(b.root->add_behaviour(kHello, [state](Envelope e) { return wait_forever(state, std::move(e)); }));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_EQ(b.system->limiter.active(), 2u);
  EXPECT_EQ(refused(b, Refusal::no_place), 2u);
}

INSTANTIATE_TEST_SUITE_P(Backends, Refused, kBackends, backend_name);
INSTANTIATE_TEST_SUITE_P(Backends, SenderWithAnotherKey, kBackends, backend_name);
INSTANTIATE_TEST_SUITE_P(Backends, RefusedBroadcast, kBackends, backend_name);
INSTANTIATE_TEST_SUITE_P(Backends, LimitedActorTest, kBackends, backend_name);

}  // namespace
}  // namespace dms::actor
