// Child actors, holding, and stopping.
#include "actor/test_actors.hpp"

namespace dms::actor {
namespace {

struct Lifecycle : ActorTest {};

TEST_P(Lifecycle, AChildHasItsOwnKeyAndItsParentsDid) {
  auto child = b.root->create_child("ensemble-1").value();
  EXPECT_NE(child->handle().id, b.root->handle().id);
  EXPECT_EQ(child->handle().did, b.root->handle().did);
  EXPECT_EQ(child->handle().address.host, b.root->handle().address.host);
  EXPECT_TRUE(b.root->create_child("ensemble-1").error().is(dms::Errc::already_exists));
  for (const std::string bad : {"", "a/b", "a b", "\n"})
    EXPECT_TRUE(b.root->create_child(bad).error().is(dms::Errc::invalid_argument)) << bad;
  EXPECT_EQ(b.system->registry.get("root")->children, std::vector{child->handle()});
  EXPECT_EQ(b.system->registry.get("ensemble-1")->parent, b.root->handle());
  EXPECT_FALSE(b.system->registry.get("ensemble-1")->supervisor);
  w.run(b, child->stop());
  EXPECT_FALSE(b.system->registry.get("ensemble-1"));
  EXPECT_TRUE(b.system->registry.get("root")->children.empty());
}

TEST_P(Lifecycle, ChildrenAndParentsUseTheTokensOfTheirDid) {
  auto child = b.root->create_child("child").value();
  TestNode::answer_with(*child, "/dms/allocation/stats", "fine");
  auto reply = w.run(b, b.root->call<Note>(b.root->message(child->handle(), "/dms/allocation/stats")));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->text, "fine");
  b.answer_with("/dms/node/ask", "yes");
  EXPECT_TRUE(w.run(b, child->invoke(child->message(b.root->handle(), "/dms/node/ask"))));
  w.run(b, child->stop());
}

TEST_P(Lifecycle, AChildWithAContextOfItsOwnHasNothingOfItsParentsPower) {
  w.grant(b, a, {"/public"});
  b.answer_with("/public/ask", "yes");
  a.answer_with("/dms/node/ask", "secret");
  const crypto::PrivateKey key = a.key.derive("child");
  ChildOptions options;
  options.key = key;
  options.capabilities =
      std::make_shared<ucan::CapabilityContext>(ucan::CapabilityContext::create(key, a.lane().random()).value());
  auto child = a.root->create_child("child", std::move(options)).value();
  EXPECT_EQ(child->handle().did, child->handle().id.did().value());
  EXPECT_NE(child->handle().did, a.root->handle().did);
  EXPECT_TRUE(w.run(a, a.root->invoke(a.root->message(b.root->handle(), "/public/ask"))));
  EXPECT_FALSE(w.run(a, child->invoke(child->message(b.root->handle(), "/public/ask"))));
  EXPECT_FALSE(w.run(a, child->invoke(child->message(a.root->handle(), "/dms/node/ask"))));
  // What its parent has delegated to it, and no more.
  ucan::Grant grant;
  grant.subject = child->handle().did;
  grant.capabilities = ucan::parse_capabilities({"/public"}).value();
  grant.expires = w.world.unix_now() + 30min;
  ucan::Anchors anchors;
  anchors.provide = a.context->delegate(grant, w.world.unix_now()).value();
  ASSERT_TRUE(child->security().capabilities()->anchor(anchors, w.world.unix_now()));
  const auto reply = w.run(a, child->call<Note>(child->message(b.root->handle(), "/public/ask")));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->text, "yes");
  EXPECT_FALSE(w.run(a, child->invoke(child->message(a.root->handle(), "/dms/node/ask"))));
  w.run(a, child->stop());
}

TEST_P(Lifecycle, ChildrenOfTwoNodesExchangeMessages) {
  w.grant(b, a, {"/dms/allocation"});
  auto orchestrator = a.root->create_child("orchestrator").value();
  auto allocation = b.root->create_child("allocation").value();
  TestNode::answer_with(*allocation, "/dms/allocation/start", "started");
  auto reply = w.run(a, orchestrator->call<Note>(orchestrator->message(allocation->handle(), "/dms/allocation/start")));
  ASSERT_TRUE(reply) << reply.error().to_string();
  w.run(a, orchestrator->stop());
  w.run(b, allocation->stop());
}

TEST_P(Lifecycle, EachActorAnswersItsHealthCheckToWhomItIsGranted) {
  const std::string path(kHealthCheck);
  auto child = b.root->create_child("allocation").value();
  TestNode& stranger = w.add("stranger");
  w.grant(b, a, {path});
  for (const Handle& actor : {b.root->handle(), child->handle()}) {
    const auto reply = w.run(a, a.root->call<HealthReply>(a.root->message(actor, path)));
    ASSERT_TRUE(reply) << reply.error().to_string();
    EXPECT_TRUE(reply->ok);
    EXPECT_FALSE(w.run(stranger, stranger.root->invoke(stranger.root->message(actor, path))));
  }
  w.run(b, child->stop());
}

TEST_P(Lifecycle, ASupervisorMayQueryHealthWhileTheChildExists) {
  auto child = b.root->create_child("allocation", {.supervisor = a.root->handle()}).value();
  EXPECT_EQ(b.system->registry.get("allocation")->supervisor, a.root->handle());
  TestNode::answer_with(*child, std::string(kHealthCheck), "healthy");
  w.settle();
  for (int hour = 0; hour < 5; ++hour) {
    auto reply = w.run(a, a.root->call<Note>(a.root->message(child->handle(), std::string(kHealthCheck))));
    ASSERT_TRUE(reply) << "after " << hour << " hours: " << reply.error().to_string();
    w.settle(1h);
  }
  for (const Duration ahead : {2 * ucan::kStandingGrantTime, Duration(0)}) {
    for (TestNode* each : {&a, &b}) each->node.set_wall_clock(ahead);
    w.settle(kClockLook + 1s);
    auto reply = w.run(a, a.root->call<Note>(a.root->message(child->handle(), std::string(kHealthCheck))));
    EXPECT_TRUE(reply) << "ahead by " << ahead / 1h << " hours: " << reply.error().to_string();
  }
  EXPECT_EQ(b.context->ephemeral_count(), 1u);
  TestNode& c = w.add("c");
  EXPECT_FALSE(w.run(c, c.root->invoke(c.root->message(child->handle(), std::string(kHealthCheck)))));
  w.run(b, child->stop());
  EXPECT_EQ(b.context->ephemeral_count(), 0u);
  EXPECT_TRUE(b.context->anchors().require.empty());
}

Task<void> keep_result(Actor& actor, Envelope request, std::optional<Result<Envelope>>& out) {
  out = co_await actor.invoke(std::move(request));
}

// --- holding ---------------------------------------------------------------------------------------------------------

struct Held : Lifecycle {
  Held() {
    w.grant(b, a, {kHello});
    b.root->hold();
  }
  void send(Duration timeout) {
    ASSERT_TRUE(w.run(a, a.root->send(a.root->message(b.root->handle(), kHello, {}, {.timeout = timeout}))));
  }
};

TEST_P(Held, ARequestIsAnsweredOnceTheActorIsOpen) {
  std::optional<Result<Envelope>> reply;
  Nursery others(a.lane(), "others");
  others.spawn(keep_result(*a.root, a.root->message(b.root->handle(), kHello), reply));
  w.settle();
  const Received received = b.answer_with(kHello, "here");
  w.settle();
  EXPECT_TRUE(received->empty());
  EXPECT_FALSE(reply);
  b.root->open();
  w.settle();
  ASSERT_TRUE(reply && *reply) << (reply ? reply->error().to_string() : "no reply");
  EXPECT_EQ(payload<Note>(**reply)->text, "here");
  EXPECT_EQ(b.system->metrics.refused.total(), 0u);
  w.run(a, others.close());
}

TEST_P(Held, AMessageOfTheActorToItselfWaitsToo) {
  const Received received = b.listen(kHello);
  ASSERT_TRUE(w.run(b, b.root->send(b.root->message(b.root->handle(), kHello))));
  w.settle();
  EXPECT_TRUE(received->empty());
  b.root->open();
  w.settle();
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(Held, ABroadcastWaitsToo) {
  w.grant(b, a, {kBroadcast}, {kTopic});
  const Received received = b.listen(kBroadcast, {.topic = kTopic});
  ASSERT_TRUE(b.root->subscribe(kTopic));
  w.inject_broadcast(a, kTopic, signed_broadcast(a));
  EXPECT_TRUE(received->empty());
  b.root->open();
  w.settle();
  EXPECT_EQ(received->size(), 1u);
}

TEST_P(Held, TheReplyToACallOfTheActorArrives) {
  w.grant(a, b, {kHello});
  a.answer_with(kHello, "here");
  const auto reply = w.run(b, b.root->call<Note>(b.root->message(a.root->handle(), kHello)));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->text, "here");
}

TEST_P(Held, AMessageThatExpiresMeanwhileIsRefusedAtOnce) {
  const Received received = b.listen(kHello);
  send(5s);
  w.settle(4s);
  EXPECT_EQ(b.system->limiter.active(), 1u);
  w.settle(2s);
  EXPECT_EQ(refused(b, Refusal::expired), 1u);
  EXPECT_EQ(b.system->limiter.active(), 0u);
  b.root->open();
  w.settle();
  EXPECT_TRUE(received->empty());
}

TEST_P(Held, WhatIsLargerThanAllThatMayWaitIsRefused) {
  Envelope large = b.root->message(b.root->handle(), kHello, Bytes(kMaxHeld + 1));
  ASSERT_TRUE(w.run(b, b.root->send(std::move(large))));
  w.settle();
  EXPECT_EQ(refused(b, Refusal::no_place), 1u);
  EXPECT_EQ(b.system->limiter.active(), 0u);
}

TEST_P(Held, StopDropsWhatWaits) {
  const Received received = b.listen(kHello);
  send(10min);
  w.settle();
  EXPECT_EQ(b.system->limiter.active(), 1u);
  w.run(b, b.root->stop());
  EXPECT_EQ(b.system->limiter.active(), 0u);
  EXPECT_TRUE(received->empty());
  EXPECT_EQ(b.system->metrics.refused.total(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Backends, Held, kBackends, backend_name);

// --- stopping --------------------------------------------------------------------------------------------------------

TEST_P(Lifecycle, StopCancelsHandlersAndCalls) {
  w.grant(b, a, {kHello});
  auto state = std::make_shared<int>(0);
  ASSERT_TRUE(b.root->add_behaviour(kHello, [state](Envelope e) { return wait_forever(state, std::move(e)); }));
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

TEST_P(Lifecycle, StoppingAParentStopsItsChildren) {
  auto child = b.root->create_child("child").value();
  auto grandchild = child->create_child("grandchild").value();
  w.run(b, b.root->stop());
  EXPECT_TRUE(b.system->registry.actors().empty());
  EXPECT_TRUE(w.run(b, child->send(child->message(b.root->handle(), kHello))).error().is(dms::Errc::closed));
  EXPECT_TRUE(b.root->create_child("late").error().is(dms::Errc::closed));
}

TEST_P(Lifecycle, AnInboxIsFreeAgainAfterStop) {
  auto first = b.root->create_child("child").value();
  w.run(b, first->stop());
  auto second = b.root->create_child("child");
  ASSERT_TRUE(second) << second.error().to_string();
  w.run(b, (*second)->stop());
}

INSTANTIATE_TEST_SUITE_P(Backends, Lifecycle, kBackends, backend_name);

}  // namespace
}  // namespace dms::actor
