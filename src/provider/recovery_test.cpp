// A whole provider whose daemon is restarted, with engines that answer late or never.
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

struct RecoveryTest : StartedProvider {
  Task<void> ask_to_start(std::vector<protocol::Ack>& answers) {
    const protocol::StartRequest request;
    const Result<protocol::Ack> reply =
        co_await protocol::call(*alice.root, protocol::kAllocationStart, allocation, request);
    if (reply) answers.push_back(*reply);
  }
};

TEST_F(RecoveryTest, WorkGoesOnThroughARestartUnderTheSameHandleAndLease) {
  begin(kService);
  w.settle(30s);
  restart_daemon(20s);
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(resources->list().size(), 1U);
  EXPECT_EQ(executor->started(), 0U) << "it is taken up, not started again";
  EXPECT_TRUE(start()->ok) << "the handle and the grant are valid";
  const protocol::AllocationReport held = report();
  EXPECT_EQ(held.status, AllocationStatus::running);
  EXPECT_EQ(held.incarnation, incarnation);
  EXPECT_GT(Duration(held.lease_ns), 8s);
  EXPECT_LT(Duration(held.lease_ns), 10s);
  EXPECT_TRUE(renew(alice, incarnation).ok);
  w.settle(50s);
  EXPECT_EQ(running(), 1);
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(host->works.size(), 0U);
  EXPECT_EQ(resources->list().size(), 0U);
}

TEST_F(RecoveryTest, WorkThatIsTakenUpIsHintedAsSoonAsItsOrchestratorCanBeReached) {
  begin(kService, 1h);
  EXPECT_TRUE(hints.empty());
  restart_daemon();
  w.settle(5s);
  EXPECT_EQ(hints, std::vector{incarnation});
  w.substrate->cut(node.network->self(), alice.network->self());
  restart_daemon();
  w.settle(kLongestNoticePause);
  EXPECT_EQ(hints.size(), 1U);
  w.substrate->cut(node.network->self(), alice.network->self(), false);
  w.settle(2 * kLongestNoticePause);
  EXPECT_EQ(hints, (std::vector{incarnation, incarnation})) << "once more";
}

TEST_F(RecoveryTest, WhatWaitsForItsStartIsHintedSinceThatMayBeLost) {
  const protocol::AllocateResponse made = allocate(alice, 5min);
  allocation = made.allocations.at("task");
  incarnation = made.incarnations.at("task");
  w.settle(5s);
  EXPECT_TRUE(hints.empty());
  restart_daemon();
  w.settle(5s);
  EXPECT_EQ(hints, std::vector{incarnation});
  EXPECT_TRUE(start()->ok);
}

/// The first version whose work outlived its daemon did not store the node.
TEST_F(RecoveryTest, WorkOfTheFirstRecordsIsTakenUp) {
  script("e_task", kService);
  protocol::AllocateRequest request = allocate_request("e", "task", 1, 10min);
  request.node_id = "n";
  begin(request);
  close();
  Documents documents = stored();
  stop_daemon();
  for (db::Document& document : documents.at(std::string(kAllocationCollection))) {
    auto record = json::decode<AllocationRecord>(document.json).value();
    EXPECT_EQ(record.node, "n");
    record.node.clear();
    document.json = json::encode(record);
  }
  boot(documents);
  open();
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(executor->started(), 0U) << "it is taken up, not started again";
  EXPECT_EQ(report().incarnation, incarnation);
  EXPECT_EQ(report().status, AllocationStatus::running);
  EXPECT_TRUE(renew(alice, incarnation).ok);
  EXPECT_EQ(as_text(page("stdout", 0).data), "serving");
  EXPECT_TRUE(call(alice, protocol::kBidRequest, bid_request("other")));
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(host->works.size(), 0U);
  EXPECT_EQ(resources->list().size(), 0U);
}

TEST_F(RecoveryTest, WhatEndedWhileTheDaemonWasAwayIsReported) {
  begin({.runs_for = 10s, .exit_code = 4, .out = "done"});
  restart_daemon(30s);
  w.settle(5s);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].error.exit_code, 4);
  EXPECT_EQ(as_text(notices[0].out), "done");
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(RecoveryTest, WorkWhoseExecutorIsNotOfferedAnyMoreHasNoStats) {
  begin(kService, 10min);
  close();
  const Documents documents = stored();
  stop_daemon();
  boot(documents);
  disk_is_full();  // its end is not stored yet
  Services without = services();
  without.executors.clear();
  provider = std::make_unique<Provider>(std::move(without), *node.root);
  ASSERT_TRUE(run(provider->start()));
  EXPECT_EQ(report().status, AllocationStatus::running);
  const auto stats = w.run(alice, protocol::call(*alice.root, protocol::kAllocationStats, allocation, {}));
  ASSERT_TRUE(stats) << stats.error().to_string();
  EXPECT_FALSE(stats->ok);
  EXPECT_NE(stats->error.find("not available"), std::string::npos) << stats->error;
  disk_is_full(false);
  w.settle(1min);
  EXPECT_EQ(report().status, AllocationStatus::failed);
}

TEST_F(RecoveryTest, ALeaseThatEndedWhileTheDaemonWasAwayHasEnded) {
  begin(kService);
  restart_daemon(2min);
  w.settle(5s);
  EXPECT_EQ(running(), 0);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].status, "terminated");
}

TEST_F(RecoveryTest, WhatIsGoneIsReportedAsLost) {
  begin(kService);
  restart_daemon(1s, true);
  w.settle(5s);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].status, "failed");
  EXPECT_TRUE(notices[0].reason.starts_with("lost by a restart of the daemon")) << notices[0].reason;
}

TEST_F(RecoveryTest, WorkOfAnEngineThatDoesNotAnswerIsNotLost) {
  begin(kService, 10min);
  host->answers = false;
  restart_daemon();
  w.settle(2min);
  EXPECT_TRUE(notices.empty()) << notices[0].reason;
  EXPECT_EQ(report().status, AllocationStatus::running);
  EXPECT_EQ(resources->list().size(), 1U);
  const auto other = call(bob, protocol::kBidRequest, bid_request("other"));
  EXPECT_FALSE(other) << "it does not bid for an engine that does not answer";
  host->answers = true;
  w.settle(40s);
  EXPECT_EQ(executor->size(), 1U) << "it is taken up";
  EXPECT_EQ(executor->started(), 0U);
  EXPECT_TRUE(renew(alice, incarnation).ok);
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(host->works.size(), 0U);
  EXPECT_EQ(resources->list().size(), 0U);
}

TEST_F(RecoveryTest, ASilentEngineDoesNotHoldUpTheStart) {
  begin(kService, 10min);
  host->answers = false;
  host->recovering = 10s;
  const SteadyTime before = w.world.now();
  restart_daemon();
  EXPECT_LT(w.world.now() - before, 5s);
  EXPECT_EQ(report().status, AllocationStatus::running);
  w.settle(1min);
  EXPECT_TRUE(notices.empty());
  host->answers = true;
  w.settle(1min);
  EXPECT_EQ(executor->size(), 1U) << "it is taken up";
  EXPECT_EQ(executor->started(), 0U);
  EXPECT_TRUE(notices.empty());
  EXPECT_EQ(running(), 1);
}

TEST_F(RecoveryTest, AnEngineThatGoesAwayDuringTheStartLosesNothing) {
  begin(kService, 10min);
  close();
  const Documents documents = stored();
  stop_daemon();
  boot(documents);
  host->answers = false;
  open();
  w.settle(10s);
  EXPECT_EQ(report().status, AllocationStatus::running);
  host->answers = true;
  w.settle(40s);
  EXPECT_EQ(executor->size(), 1U) << "it is taken up";
  EXPECT_TRUE(notices.empty());
}

TEST_F(RecoveryTest, WhatAnEngineThatComesLaterDoesNotKnowIsLost) {
  begin(kService, 10min);
  host->answers = false;
  restart_daemon(1s, true);
  w.settle(2min);
  EXPECT_TRUE(notices.empty());
  host->answers = true;
  w.settle(40s);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_TRUE(notices[0].reason.starts_with("lost by a restart of the daemon")) << notices[0].reason;
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(RecoveryTest, WhatIsShutDownWhileItsEngineDoesNotAnswerEndsWhenItDoes) {
  begin(kService, 10min);
  host->answers = false;
  restart_daemon();
  (void)shutdown();
  w.settle(10s);
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(resources->list().size(), 1U) << "what may run is not given to another";
  host->answers = true;
  w.settle(5min);
  EXPECT_EQ(running(), 0);
  (void)shutdown();
  EXPECT_EQ(host->works.size(), 0U);
  EXPECT_EQ(resources->list().size(), 0U);
}

TEST_F(RecoveryTest, ARestartOfTheMachineEndsAllThatRanOrWasToRun) {
  begin(kService);
  boot_id = "second";
  restart_daemon(1s, true);
  w.settle(5s);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].reason, "lost by a restart of the machine");
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(RecoveryTest, AStartThatWasInterruptedIsContinued) {
  script("e_task", {.startup = 30s, .runs_for = std::nullopt});
  allocation = allocate(alice, 5min).allocations.at("task");
  Nursery asking(alice.lane(), "asking");
  std::vector<protocol::Ack> answers;
  asking.spawn(ask_to_start(answers));
  w.settle(10s);
  EXPECT_EQ(report().status, AllocationStatus::pending);
  restart_daemon();
  w.settle(1s);
  EXPECT_EQ(running(), 1) << "it is being started again";
  EXPECT_TRUE(start()->ok) << "a repeated request waits for the outcome";
  EXPECT_EQ(report().status, AllocationStatus::running);
  w.run(alice, asking.close());
}

TEST_F(RecoveryTest, ARequestToStartTakesNoPlaceOnceItHasExpired) {
  script("e_task", {.startup = 3min, .runs_for = std::nullopt});
  allocation = allocate(alice, 10min).allocations.at("task");
  const auto places = [this] { return node.system->limiter.active(); };
  const std::size_t before = places();
  const protocol::StartRequest request;
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(w.run(alice, protocol::call(*alice.root, protocol::kAllocationStart, allocation, request, 1min)));
    w.settle(1s);
    EXPECT_EQ(places(), before) << "nobody waits for its reply";
  }
  w.settle(1min);
  EXPECT_EQ(running(), 1) << "the start has gone on";
  EXPECT_TRUE(start()->ok);
}

}  // namespace
}  // namespace dms::provider
