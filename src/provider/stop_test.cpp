// Runs that their orchestrator ends and keeps; the log pages, usage and hints of a run.
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

const executor::FakeScript kServiceWithLastWords{.runs_for = std::nullopt, .out = "serving\n", .last_words = "bye\n"};

struct StopTest : WholeProvider {
  void SetUp() override {
    WholeProvider::SetUp();
    open();
  }
  std::string output() { return std::string(as_text(page("stdout", 0).data)); }
};

TEST_F(StopTest, WhatWorkWritesWhileItEndsIsKept) {
  begin(kServiceWithLastWords);
  w.settle(20s);
  const auto stopped = stop(incarnation);
  ASSERT_TRUE(stopped && stopped->ok) << (stopped ? stopped->error : stopped.error().to_string());
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(output(), "serving\nbye\n");
  EXPECT_TRUE(page("stdout", 0).eof);
  const protocol::AllocationReport held = report();
  EXPECT_EQ(held.status, AllocationStatus::stopped);
  EXPECT_EQ(held.out_size, 12U);
  EXPECT_GE(held.cpu_seconds, 20);
  w.settle(10s);
  EXPECT_EQ(in_use(), 0U);
  EXPECT_TRUE(notices.empty()) << "the reply has said it";
  EXPECT_TRUE(stop(incarnation)->ok) << "repeated";
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(provider->allocations(), 0U);
  EXPECT_EQ(host->works.size(), 0U);
}

TEST_F(StopTest, AnotherRunOrAnotherOrchestratorStopsNothing) {
  begin(kServiceWithLastWords);
  EXPECT_FALSE(stop("0123")->ok);
  const protocol::AllocationShutdownRequest request{"e_task", "", true};
  const auto of_bob = w.run(bob, protocol::call(*bob.root, protocol::kAllocationShutdown, node.root->handle(), request,
                                                Duration(5s), path_of(protocol::kAllocationShutdown, "e")));
  EXPECT_FALSE(of_bob && of_bob->ok);
  EXPECT_EQ(running(), 1);
}

TEST_F(StopTest, WhatWasNeverStartedIsStoppedAndStartsNoMore) {
  const protocol::AllocateResponse made = allocate(alice);
  allocation = made.allocations.at("task");
  EXPECT_TRUE(stop()->ok);
  EXPECT_EQ(report().status, AllocationStatus::stopped);
  (void)start();
  EXPECT_EQ(executor->started(), 0U);
  EXPECT_TRUE(shutdown()->ok);
}

TEST_F(StopTest, AStopGoesOnAfterARestartOfTheDaemon) {
  executor::FakeScript stubborn = kServiceWithLastWords;
  stubborn.ignores_term = true;
  begin(stubborn);
  const Result<protocol::Ack> asked = stop(incarnation, 2s);
  ASSERT_TRUE(asked) << asked.error().to_string();
  EXPECT_TRUE(!asked->ok && asked->in_progress) << "it has 10 s";
  restart_daemon(1s);
  EXPECT_EQ(running(), 1);
  w.settle(kStopGrace + 1s);
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(report().status, AllocationStatus::stopped);
  EXPECT_TRUE(notices.empty());
}

TEST_F(StopTest, WhatHasBeenStoppedIsNotRestarted) {
  begin(kServiceWithLastWords);
  w.settle(5s);
  EXPECT_TRUE(stop(incarnation)->ok);
  const auto refused = restart(incarnation);
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("has been stopped"), std::string::npos) << refused->error;
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(output(), "serving\nbye\n");
}

TEST_F(StopTest, WhatHadEndedBeforeItWasStoppedIsNotRestartedEither) {
  begin({.runs_for = 1s, .out = "done\n"});
  w.settle(5s);
  EXPECT_TRUE(stop(incarnation)->ok);
  EXPECT_EQ(report().status, AllocationStatus::completed);
  restart_daemon();
  EXPECT_FALSE(restart(incarnation)->ok);
  EXPECT_EQ(output(), "done\n");
}

TEST_F(StopTest, AStopThatMeetsARestartEndsTheNextRun) {
  begin(kServiceWithLastWords);
  w.settle(5s);
  Nursery asking(alice.lane(), "restart");
  const auto ask = [](actor::TestNode& by, actor::Handle of, std::string old) -> Task<void> {
    protocol::RestartRequest request;
    request.incarnation = std::move(old);
    (void)co_await protocol::call(*by.root, protocol::kAllocationRestart, of, request);
  };
  asking.spawn(ask(alice, allocation, incarnation));
  const auto stopped = stop(incarnation);
  EXPECT_TRUE(stopped && stopped->ok) << (stopped ? stopped->error : stopped.error().to_string());
  EXPECT_EQ(running(), 0);
  w.run(alice, asking.join());
  w.settle(1min);
  EXPECT_EQ(running(), 0);
}

TEST_F(StopTest, ARunThatIsStoppedInItsStartHasAnEmptyOutputAndTheRunBeforeKeepsItsOwn) {
  begin(kServiceWithLastWords);
  w.settle(5s);
  executor::FakeScript slow = kServiceWithLastWords;
  slow.startup = 30s;
  script("e_task", slow);
  protocol::RestartRequest request;
  request.incarnation = incarnation;
  EXPECT_FALSE(
      w.run(alice, protocol::call(*alice.root, protocol::kAllocationRestart, allocation, request, Duration(1s))));
  const auto stopped = stop();
  ASSERT_TRUE(stopped && stopped->ok) << (stopped ? stopped->error : stopped.error().to_string());
  EXPECT_EQ(report().status, AllocationStatus::stopped);
  const protocol::AllocationLogsResponse next = page("stdout", 0);
  EXPECT_NE(next.incarnation, incarnation);
  EXPECT_EQ(next.error, "");
  EXPECT_EQ(next.total_size, 0U);
  EXPECT_TRUE(next.eof);
  EXPECT_EQ(as_text(page("stdout", 0, 0, incarnation).data), "serving\nbye\n");
}

TEST_F(StopTest, AFullDiskRefusesAStopAndTheWorkGoesOn) {
  begin(kServiceWithLastWords);
  disk_is_full();
  EXPECT_FALSE(stop(incarnation)->ok);
  EXPECT_EQ(running(), 1);
  disk_is_full(false);
  EXPECT_TRUE(stop(incarnation)->ok);
  EXPECT_EQ(running(), 0);
}

TEST_F(StopTest, APageNamesTheRunThatHasWrittenIt) {
  executor::FakeScript slow = kServiceWithLastWords;
  slow.startup = 3s;
  begin(slow);
  EXPECT_EQ(page("stdout", 0).incarnation, incarnation);
  protocol::RestartRequest request;
  request.incarnation = incarnation;
  EXPECT_FALSE(
      w.run(alice, protocol::call(*alice.root, protocol::kAllocationRestart, allocation, request, Duration(1s))))
      << "it takes 3 s to start";
  const protocol::AllocationLogsResponse early = page("stdout", 8);
  EXPECT_EQ(early.error, "");
  EXPECT_EQ(early.total_size, 0U);
  EXPECT_FALSE(early.eof);
  w.settle(5s);
  const protocol::AllocationLogsResponse next = page("stdout", 0);
  EXPECT_NE(next.incarnation, incarnation);
  EXPECT_EQ(early.incarnation, next.incarnation);
  ASSERT_EQ(hints.size(), 1U) << "that it runs again, since nobody waits for the reply";
  EXPECT_EQ(hints[0], next.incarnation);
}

TEST_F(StopTest, OutputThatCannotBeReadIsNotReportedAsNone) {
  begin(kServiceWithLastWords);
  EXPECT_EQ(report().out_size, 8U);
  host->logs_readable = false;
  EXPECT_EQ(report().out_size, 8U) << "as last read";
  EXPECT_GT(report().err_size, 0U) << "an orchestrator has to ask for it";
  w.settle(65s);
  ASSERT_EQ(notices.size(), 1U) << "its lease has ended";
  EXPECT_EQ(notices[0].out_size, 8U);
  EXPECT_GT(notices[0].err_size, 0U);
  host->logs_readable = true;
  EXPECT_EQ(output(), "serving\n");
}

TEST_F(StopTest, TheEndOfARunSaysWhatItHasUsed) {
  begin({.runs_for = 8s});
  w.settle(10s);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_DOUBLE_EQ(notices[0].cpu_seconds, 8);
  EXPECT_DOUBLE_EQ(report().cpu_seconds, 8);
  restart_daemon();
  EXPECT_DOUBLE_EQ(report().cpu_seconds, 8);
}

struct HintTest : StopTest {
  void begin_checked(Duration lease) {
    script("e_task", {.runs_for = std::nullopt, .healthy_after = 3s, .unhealthy_after = 20s});
    protocol::AllocateRequest request = allocate_request("e", "task", 1, lease);
    jobs::HealthCheck check;
    check.type = jobs::HealthCheckType::command;
    check.exec = {"check"};
    check.interval_ns = Duration(2s).count();
    request.allocations.at("task").health_check = check;
    begin(request);
  }
};

TEST_F(HintTest, EachChangeOfHealthIsHintedOnce) {
  begin_checked(1h);
  EXPECT_TRUE(hints.empty()) << "the reply to the start has told that it runs";
  w.settle(5s);
  EXPECT_EQ(hints.size(), 1U);
  w.settle(10s);
  EXPECT_EQ(hints.size(), 1U);
  w.settle(20s);
  EXPECT_EQ(hints.size(), 2U) << "unhealthy";
  EXPECT_EQ(report().health, protocol::Health::unhealthy);
}

TEST_F(HintTest, AnOrchestratorThatDoesNotRenewGetsNone) {
  begin_checked(Duration(0));
  w.settle(1min);
  EXPECT_TRUE(hints.empty());
}

}  // namespace
}  // namespace dms::provider
