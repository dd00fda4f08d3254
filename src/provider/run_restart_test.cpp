// Restarts of a run of a whole provider, and the output of the run before.
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

struct RunRestartTest : StartedProvider {};

TEST_F(RunRestartTest, ARestartReplacesTheRunUnderANewIncarnation) {
  begin({.runs_for = 20s, .out = "first"});
  script("e_task", {.runs_for = std::nullopt, .out = "second"});
  w.settle(10s);
  const auto next = restart(incarnation);
  ASSERT_TRUE(next && next->ok) << next->error;
  EXPECT_NE(next->incarnation, incarnation);
  EXPECT_EQ(running(), 1);
  const auto repeated = restart(incarnation);
  EXPECT_TRUE(repeated->ok) << repeated->error;
  EXPECT_EQ(repeated->incarnation, next->incarnation) << "a repeated request restarts nothing";
  EXPECT_EQ(executor->started(), 2U);
  EXPECT_FALSE(restart("0123")->ok);
  EXPECT_EQ(restart("0123")->incarnation, next->incarnation);
  EXPECT_TRUE(renew(alice, next->incarnation).ok);
  w.settle(30s);
  EXPECT_TRUE(notices.empty()) << "the end of the first run belongs to nobody";
  EXPECT_EQ(report().status, AllocationStatus::running);
  EXPECT_EQ(as_text(page("stdout", 0).data), "second");
  const auto of_bob =
      w.run(bob, protocol::call(*bob.root, protocol::kAllocationRestart, allocation, protocol::RestartRequest()));
  EXPECT_FALSE(of_bob && of_bob->ok);
  EXPECT_EQ(executor->started(), 2U) << "bob may not";
}

TEST_F(RunRestartTest, TheOutputOfTheRunBeforeIsReadUntilTheNextRestart) {
  begin({.runs_for = std::nullopt, .out = "first", .last_words = ", bye"});
  script("e_task", {.runs_for = std::nullopt, .out = "second"});
  const auto next = restart(incarnation);
  ASSERT_TRUE(next && next->ok) << next->error;
  const auto rest = page("stdout", 5, 0, incarnation);
  EXPECT_EQ(rest.error, "");
  EXPECT_EQ(rest.incarnation, incarnation);
  EXPECT_EQ(as_text(rest.data), ", bye");
  EXPECT_TRUE(rest.eof);
  EXPECT_EQ(as_text(page("stdout", 0, 0, next->incarnation).data), "second");
  restart_daemon();
  EXPECT_EQ(as_text(page("stdout", 0, 0, incarnation).data), "first, bye");
  ASSERT_TRUE(restart(next->incarnation)->ok);
  EXPECT_NE(page("stdout", 0, 0, incarnation).error.find("is not kept"), std::string::npos);
  EXPECT_EQ(as_text(page("stdout", 0, 0, next->incarnation).data), "second");
}

TEST_F(RunRestartTest, AKillWhileARestartWaitsForTheEndOfARunLosesNothingThatItWrites) {
  begin({.runs_for = std::nullopt, .out = "first", .ignores_term = true, .last_words = ", bye"});
  script("e_task", {.runs_for = std::nullopt, .out = "second"});
  protocol::RestartRequest request;
  request.incarnation = incarnation;
  EXPECT_FALSE(
      w.run(alice, protocol::call(*alice.root, protocol::kAllocationRestart, allocation, request, Duration(2s))))
      << "the run has 10 s to end";
  EXPECT_FALSE(page("stdout", 0, 0, incarnation).eof);
  restart_daemon();
  EXPECT_EQ(running(), 1) << "it has its grace again";
  EXPECT_FALSE(page("stdout", 0, 0, incarnation).eof);
  w.settle(kStopGrace + 5s);
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(as_text(page("stdout", 0).data), "second");
  const auto rest = page("stdout", 0, 0, incarnation);
  EXPECT_EQ(as_text(rest.data), "first, bye, bye") << "it was asked to end twice";
  EXPECT_TRUE(rest.eof);
}

/// A restart that was requested, and had not begun when the daemon ended.
struct InterruptedRestartTest : StartedProvider {
  void interrupt(bool machine_restarts) {
    begin(kService, 5min);
    script("e_task", {.startup = 30s, .start_error = "no such image"});
    const protocol::RestartRequest request{incarnation, true};
    EXPECT_FALSE(
        w.run(alice, protocol::call(*alice.root, protocol::kAllocationRestart, allocation, request, Duration(5s))))
        << "it takes 30 s to start";
    ASSERT_EQ(report().status, AllocationStatus::restarting);
    if (machine_restarts) boot_id = "second";
    restart_daemon(1s, machine_restarts);
    w.settle(1min);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_NE(notices[0].incarnation, incarnation);
    EXPECT_EQ(notices[0].status, to_string(AllocationStatus::failed));
    EXPECT_EQ(notices[0].error.exit_code, -1);
  }
};

TEST_F(InterruptedRestartTest, TheNextDaemonCarriesItOutAndSaysThatItHasFailed) {
  interrupt(false);
  EXPECT_NE(notices[0].reason.find("no such image"), std::string::npos) << notices[0].reason;
  EXPECT_TRUE(notices[0].restart_failed);
  const auto repeated = restart(incarnation, true);
  EXPECT_FALSE(repeated->ok);
  EXPECT_TRUE(repeated->restart_failed) << "a repeated request is answered as the first would have been";
  EXPECT_EQ(repeated->error, notices[0].reason);
  EXPECT_TRUE(report().restart_failed);
}

TEST_F(InterruptedRestartTest, ARestartOfTheMachineLosesIt) {
  interrupt(true);
  EXPECT_EQ(notices[0].reason, "lost by a restart of the machine");
  EXPECT_FALSE(notices[0].restart_failed);
  EXPECT_FALSE(report().restart_failed);
}

TEST_F(RunRestartTest, AFirstStartThatFailsIsNoFailedRestart) {
  script("e_task", {.start_error = "no such image"});
  allocation = allocate(alice).allocations.at("task");
  EXPECT_FALSE(start()->ok);
  EXPECT_EQ(report().status, AllocationStatus::failed);
  EXPECT_FALSE(report().restart_failed);
}

TEST_F(RunRestartTest, ARunThatHasEndedIsRestartedWithItsResources) {
  begin({.runs_for = 1s});
  w.settle(5s);
  EXPECT_EQ(in_use(), 0U);
  ASSERT_EQ(notices.size(), 1U);
  script("e_task", kService);
  const auto next = restart("");
  ASSERT_TRUE(next->ok) << next->error;
  EXPECT_EQ(resources->list().size(), 1U);
  EXPECT_EQ(resources->list().begin()->second.state, resources::State::allocated);
  EXPECT_EQ(report().status, AllocationStatus::running);
  EXPECT_EQ(report().lease_ns > 0, true);
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(resources->list().size(), 0U);
}

TEST_F(RunRestartTest, WhatIsRestartedOnlyWhileItRunsIsNotRunAgainOnceItHasEnded) {
  begin(kService);
  script("e_task", {.runs_for = 1s});
  const auto next = restart(incarnation, true);
  ASSERT_TRUE(next->ok) << next->error;
  w.settle(5s);
  EXPECT_EQ(restart(incarnation, true)->incarnation, next->incarnation) << "repeated, it is answered as the first was";
  const auto refused = restart(next->incarnation, true);
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("it has ended"), std::string::npos) << refused->error;
  EXPECT_EQ(report().status, AllocationStatus::completed);
  EXPECT_EQ(executor->started(), 2U);
}

TEST_F(RunRestartTest, ARestartOfARunThatHasEndedGoesOnWithItsLease) {
  begin({.runs_for = 1s});
  script("e_task", kService);
  w.settle(40s);
  const auto next = restart(incarnation);
  ASSERT_TRUE(next->ok) << next->error;
  EXPECT_LE(Duration(report().lease_ns), 20s);
  w.settle(25s);
  EXPECT_EQ(running(), 0);
  const auto refused = restart(next->incarnation);
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("its lease has ended"), std::string::npos) << refused->error;
  EXPECT_EQ(report().status, AllocationStatus::terminated);
}

TEST_F(RunRestartTest, ARestartIsRefusedWhenTheResourcesAreTaken) {
  begin({.runs_for = 1s});
  w.settle(5s);
  capability::Resources rest = machine(8, 8);
  rest.disk.size = {7 * capability::kGiB};
  ASSERT_TRUE(run(resources->commit("other", rest, w.world.now() + 1h)));
  const auto refused = restart("");
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("not enough is free"), std::string::npos) << refused->error;
  EXPECT_EQ(report().status, AllocationStatus::completed);
}

}  // namespace
}  // namespace dms::provider
