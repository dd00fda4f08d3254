// What the owner of the machine does with the work of others.
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

/// Alice is the orchestrator; Bob is the owner of the machine: its capability context has him as a root.
struct OwnerTest : StartedProvider {
  Result<protocol::OwnerStopReply> end_by(actor::TestNode& by, std::string id, std::optional<Duration> grace = {},
                                          std::optional<Duration> timeout = {}) {
    protocol::OwnerStopRequest request;
    request.id = std::move(id);
    if (grace) request.grace_ns = grace->count();
    return w.run(by, protocol::call(*by.root, protocol::kAllocationsStop, node.root->handle(), request, timeout));
  }
  protocol::OwnerStopReply end(std::string id = "e_task", std::optional<Duration> grace = {}) {
    const auto reply = end_by(bob, std::move(id), grace);
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply.value_or(protocol::OwnerStopReply());
  }
  Result<protocol::AllocationLogsResponse> output_for(actor::TestNode& by, std::string id, std::string stream) {
    protocol::OwnerLogsRequest request;
    request.id = std::move(id);
    request.stream = std::move(stream);
    return call(by, protocol::kAllocationsLogs, request);
  }
  protocol::AllocationInfo listed(bool usage = false) {
    protocol::AllocationsRequest request;
    request.usage = usage;
    const auto reply = call(bob, protocol::kAllocationsList, request);
    EXPECT_TRUE(reply && reply->allocations.size() == 1U);
    return reply && !reply->allocations.empty() ? reply->allocations.front() : protocol::AllocationInfo();
  }
  void expect_told_once() {
    w.settle(5s);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].status, "terminated");
    EXPECT_EQ(notices[0].reason, kEndedByOwner);
    EXPECT_TRUE(notices[0].ended_by_owner);
    const protocol::AllocationReport held = report();
    EXPECT_EQ(held.status, AllocationStatus::terminated);
    EXPECT_TRUE(held.ended_by_owner);
    w.settle(2min);
    EXPECT_EQ(notices.size(), 1U) << "it is acknowledged";
  }
};

TEST_F(OwnerTest, TheOwnerEndsAStrangersWorkAndTheOrchestratorIsToldWhy) {
  begin(kService);
  const protocol::OwnerStopReply ended = end();
  ASSERT_TRUE(ended.ok) << ended.error;
  EXPECT_EQ(ended.name, "e_task");
  EXPECT_EQ(ended.status, "terminated");
  EXPECT_FALSE(ended.before);
  EXPECT_EQ(running(), 0);
  expect_told_once();
  EXPECT_EQ(in_use(), 0U);
  EXPECT_FALSE(restart(incarnation)->ok) << "no other run follows";
  EXPECT_EQ(running(), 0);
  const protocol::AllocationInfo info = listed();
  EXPECT_TRUE(info.ended_by_owner);
  EXPECT_EQ(info.reason, kEndedByOwner);
  EXPECT_TRUE(end().before) << "repeated";
}

TEST_F(OwnerTest, WhatWasNeverStartedIsEndedAndStartsNoMore) {
  const protocol::AllocateResponse made = allocate(alice);
  allocation = made.allocations.at("task");
  ASSERT_TRUE(end().ok);
  expect_told_once();
  const auto refused = start();
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find(kEndedByOwner), std::string::npos) << refused->error;
  EXPECT_EQ(executor->started(), 0U);
}

TEST_F(OwnerTest, AnEndDuringTheStartIsToldThoughTheReplyToTheStartFails) {
  executor::FakeScript slow = kService;
  slow.startup = 1min;
  script("e_task", slow);
  const protocol::AllocateResponse made = allocate(alice, allocate_request("e", "task", 1, 1h));
  allocation = made.allocations.at("task");
  Nursery starting(alice.lane(), "start");
  const auto ask = [](actor::TestNode& by, actor::Handle of) -> Task<void> {
    const protocol::StartRequest request;
    (void)co_await protocol::call(*by.root, protocol::kAllocationStart, of, request);
  };
  starting.spawn(ask(alice, allocation));
  w.settle(5s);
  ASSERT_TRUE(end().ok);
  w.run(alice, starting.join());
  EXPECT_EQ(running(), 0);
  expect_told_once();
}

TEST_F(OwnerTest, AnEndGoesOnWithItsGraceAfterARestartOfTheDaemon) {
  executor::FakeScript stubborn = kService;
  stubborn.ignores_term = true;
  begin(stubborn, 1h);
  const auto reply = end_by(bob, "e_task", Duration(1min), Duration(2s));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_FALSE(reply->ok);
  EXPECT_TRUE(reply->in_progress) << reply->error;
  EXPECT_TRUE(listed().being_ended);
  restart_daemon(1s);
  w.settle(kStopGrace + 5s);
  EXPECT_EQ(running(), 1);
  w.settle(1min);
  EXPECT_EQ(running(), 0);
  expect_told_once();
}

TEST_F(OwnerTest, TheListCountsRestartsAlsoAfterARestartOfTheDaemon) {
  begin(kService);
  EXPECT_EQ(listed().restarts, 0U);
  const auto next = restart(incarnation);
  ASSERT_TRUE(next && next->ok);
  EXPECT_EQ(restart(incarnation)->incarnation, next->incarnation) << "a repeated request restarts nothing";
  restart_daemon();
  EXPECT_EQ(listed().restarts, 1U);
}

TEST_F(OwnerTest, TheActorOfAnAllocationHasAParentHereAndASupervisorElsewhere) {
  begin(kService);
  const auto known = node.system->registry.get("e_task");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->parent, node.root->handle());
  EXPECT_EQ(known->supervisor, alice.root->handle());
  protocol::ActorInfo actor;
  actor.handle = known->handle;
  provider->describe(actor);
  ASSERT_TRUE(actor.allocation);
  protocol::AllocationInfo info = listed();
  EXPECT_GE(actor.allocation->lease_ns, info.lease_ns);
  EXPECT_GT(info.lease_ns, 0);
  info.lease_ns = actor.allocation->lease_ns;
  EXPECT_EQ(json::encode(*actor.allocation), json::encode(info));
  EXPECT_FALSE(actor.deployment);
  actor = {};
  actor.handle = node.root->handle();
  provider->describe(actor);
  EXPECT_FALSE(actor.allocation);
}

TEST_F(OwnerTest, AnEndThatCannotBeStoredChangesNothing) {
  begin(kService);
  disk_is_full();
  EXPECT_FALSE(end().ok);
  EXPECT_EQ(running(), 1);
  disk_is_full(false);
  EXPECT_TRUE(end().ok);
  EXPECT_EQ(running(), 0);
}

TEST_F(OwnerTest, AnAllocationIsNamedByHowItBeginsIfNoOtherBeginsSo) {
  begin(kService);
  EXPECT_NE(end("x").error.find("no allocation here"), std::string::npos);
  EXPECT_FALSE(end("").ok);
  allocate(bob);
  const std::string many = end("e_t").error;
  EXPECT_NE(many.find("2 allocations here have names that begin with \"e_t\": e_task, e_task.2"), std::string::npos)
      << many;
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(end("e_task.").name, "e_task.2");
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(end("e_t").name, "") << "what has ended is there until it is released";
  EXPECT_EQ(end("e_task").name, "e_task") << "the whole name of one";
  EXPECT_EQ(running(), 0);
}

TEST_F(OwnerTest, AGraceIsBounded) {
  begin(kService);
  EXPECT_NE(end("e_task", Duration(6min)).error.find("Grace: expected 0 to 300 s"), std::string::npos);
  EXPECT_FALSE(end("e_task", Duration(-1s)).ok);
  EXPECT_EQ(running(), 1);
  EXPECT_TRUE(end("e_task", Duration(0)).ok);
}

TEST_F(OwnerTest, NobodyElseEndsOrReadsWhateverIsGranted) {
  actor::TestNode& carol = w.add("carol");
  actor::TestWorld::trust(carol, node);
  w.grant(node, carol, {"/dms/node"});
  w.settle();
  begin(kService);
  const auto list = call(carol, protocol::kAllocationsList, protocol::AllocationsRequest());
  ASSERT_TRUE(list) << list.error().to_string();
  EXPECT_EQ(list->allocations.size(), 1U);
  const auto stopped = end_by(carol, "e_task");
  ASSERT_TRUE(stopped) << stopped.error().to_string();
  EXPECT_NE(stopped->error.find("only the owner of this machine"), std::string::npos) << stopped->error;
  const auto read = output_for(carol, "e_task", "stdout");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_NE(read->error.find("only the owner of this machine"), std::string::npos) << read->error;
  EXPECT_TRUE(read->data.empty());
  EXPECT_EQ(running(), 1);
}

TEST_F(OwnerTest, TheOwnerReadsOutputAndWhatIsUsed) {
  begin({.runs_for = std::nullopt, .out = "serving", .err = "bad"});
  w.settle(20s);
  EXPECT_EQ(as_text(output_for(bob, "e_task", "stdout")->data), "serving");
  EXPECT_EQ(as_text(output_for(bob, "e_", "stderr")->data), "bad");
  EXPECT_EQ(as_text(output_for(bob, "e_task", "")->out), "serving") << "the end of both";
  const protocol::AllocationInfo used = listed(true);
  EXPECT_EQ(used.name, "e_task");
  EXPECT_EQ(used.out_size, 7U);
  EXPECT_EQ(used.err_size, 3U);
  EXPECT_GE(used.cpu_seconds, 20);
  EXPECT_GT(used.lease_ns, 0);
  EXPECT_LE(used.lease_ns, Duration(40s).count());
  EXPECT_EQ(listed().cpu_seconds, 0) << "not asked for";
}

}  // namespace
}  // namespace dms::provider
