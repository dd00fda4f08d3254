// A whole provider whose daemon is restarted, whose disk is full, whose work is restarted.
#include "provider/housekeeping.hpp"
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

const executor::FakeScript kService{.runs_for = std::nullopt, .out = "serving"};

struct RecoveryTest : WholeProvider {
  void SetUp() override {
    WholeProvider::SetUp();
    open();
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

TEST_F(RecoveryTest, WhatEndedWhileTheDaemonWasAwayIsReported) {
  begin({.runs_for = 10s, .exit_code = 4, .out = "done"});
  restart_daemon(30s);
  w.settle(5s);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].error.exit_code, 4);
  EXPECT_EQ(as_text(notices[0].out), "done");
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(RecoveryTest, TheDiskStaysReservedUntilTheFilesOfTheWorkCanBeRemoved) {
  begin({.runs_for = 1s});
  w.settle(5s);
  ASSERT_EQ(notices.size(), 1U);
  host->gives_files = false;
  const auto refused = shutdown();
  ASSERT_TRUE(refused) << refused.error().to_string();
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("another user's"), std::string::npos) << refused->error;
  restart_daemon();
  EXPECT_EQ(resources->list().size(), 1U);
  EXPECT_TRUE(host->given.empty());
  host->gives_files = true;
  w.settle(2 * kSweepInterval);
  EXPECT_EQ(resources->list().size(), 0U);
  EXPECT_EQ(host->given, std::vector{folder / "jobs" / "e_task" / "work"});
}

TEST_F(RecoveryTest, FilesThatTheEngineCannotGiveAreQuarantinedAtLast) {
  begin({.runs_for = 1s});
  w.settle(5s);
  host->gives_files = false;
  host->refusal = Errc::io;
  const auto refused = shutdown();
  ASSERT_TRUE(refused) << refused.error().to_string();
  EXPECT_FALSE(refused->ok);
  EXPECT_EQ(resources->list().size(), 1U);
  w.settle(kTakings * kSweepInterval);
  EXPECT_EQ(resources->list().size(), 0U);
  EXPECT_EQ(provider->allocations(), 0U);
}

TEST_F(RecoveryTest, AReleaseThatTakesLongHoldsUpNothing) {
  begin({.runs_for = 1s});
  w.settle(5s);
  host->giving = 24h;
  EXPECT_FALSE(shutdown()) << "the request is given up before";
  ASSERT_EQ(host->giving_now, 1);
  ASSERT_TRUE(call(bob, protocol::kBidRequest, bid_request("other")));
  EXPECT_EQ(provider->bids(), 1U);
  w.settle(kBidTime + 3 * kSweepInterval);
  EXPECT_EQ(provider->bids(), 0U) << "housekeeping goes on";
  EXPECT_EQ(host->giving_now, 1);
  const SteadyTime before = w.world.now();
  close();
  EXPECT_LT(w.world.now() - before, 1min) << "nor does it hold up the end of the daemon";
  EXPECT_EQ(host->giving_now, 0);
}

TEST_F(RecoveryTest, WhatIsInQuarantineIsNotGivenBeforeTheEngineAnswers) {
  const std::filesystem::path jobs = folder / "jobs";
  std::filesystem::create_directories(jobs / "stray");
  host->answers = false;
  restart_daemon();
  w.settle(2min);
  EXPECT_TRUE(host->given.empty());
  EXPECT_TRUE(std::filesystem::is_empty(jobs)) << "what is the daemon's own needs no engine";
  const std::filesystem::path left = jobs / ".quarantine-1-left";
  std::filesystem::create_directories(left);
  host->answers = true;
  w.settle(2min);
  EXPECT_EQ(host->given, std::vector{left});
  EXPECT_FALSE(std::filesystem::exists(left));
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
  const auto ask = [](actor::Actor& actor, actor::Handle to) -> Task<void> {
    (void)co_await protocol::call(actor, protocol::kAllocationStart, to, protocol::StartRequest());
  };
  asking.spawn(ask(*alice.root, allocation));
  w.settle(10s);
  EXPECT_EQ(report().status, AllocationStatus::pending);
  restart_daemon();
  w.settle(1s);
  EXPECT_EQ(running(), 1) << "it is being started again";
  EXPECT_TRUE(start()->ok) << "a repeated request waits for the outcome";
  EXPECT_EQ(report().status, AllocationStatus::running);
  w.run(alice, asking.close());
}

TEST_F(RecoveryTest, ARestartReplacesTheRunUnderANewIncarnation) {
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

TEST_F(RecoveryTest, TheOutputOfTheRunBeforeIsReadUntilTheNextRestart) {
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

TEST_F(RecoveryTest, AKillWhileARestartWaitsForTheEndOfARunLosesNothingThatItWrites) {
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
struct InterruptedRestartTest : RecoveryTest {
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

TEST_F(RecoveryTest, AFirstStartThatFailsIsNoFailedRestart) {
  script("e_task", {.start_error = "no such image"});
  allocation = allocate(alice).allocations.at("task");
  EXPECT_FALSE(start()->ok);
  EXPECT_EQ(report().status, AllocationStatus::failed);
  EXPECT_FALSE(report().restart_failed);
}

TEST_F(RecoveryTest, ARunThatHasEndedIsRestartedWithItsResources) {
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

TEST_F(RecoveryTest, WhatIsRestartedOnlyWhileItRunsIsNotRunAgainOnceItHasEnded) {
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

TEST_F(RecoveryTest, TheDiskOfWhatHasEndedStaysTakenUntilItIsReleased) {
  begin({.runs_for = 1s});
  w.settle(5s);
  const auto only_disk = [this] {
    const auto held = resources->find("e_task");
    return held && held->resources.cpu.cores.empty() && held->resources.ram.size.empty() &&
           held->resources.disk == machine(1, 1).disk;
  };
  EXPECT_TRUE(only_disk());
  restart_daemon();
  EXPECT_TRUE(only_disk());
  w.settle(5min);
  EXPECT_TRUE(only_disk()) << "a sweep frees no more";
  capability::Resources all;
  all.disk.size = {8 * capability::kGiB};
  EXPECT_FALSE(run(resources->commit("other", all, w.world.now() + 1min)));
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_TRUE(run(resources->commit("other", all, w.world.now() + 1min)));
}

TEST_F(RecoveryTest, ARestartOfARunThatHasEndedGoesOnWithItsLease) {
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

TEST_F(RecoveryTest, ARestartIsRefusedWhenTheResourcesAreTaken) {
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

TEST_F(RecoveryTest, OutputIsReadInPages) {
  begin({.runs_for = 1min, .out = "0123456789", .err = "bad"});
  auto first = page("stdout", 0, 4);
  EXPECT_EQ(as_text(first.data), "0123");
  EXPECT_EQ(first.next_offset, 4U);
  EXPECT_EQ(first.total_size, 10U);
  EXPECT_FALSE(first.eof);
  EXPECT_FALSE(page("stdout", 4).eof) << "it still runs";
  EXPECT_EQ(as_text(page("stderr", 1).data), "ad");
  EXPECT_TRUE(page("stdout", 1000).data.empty());
  EXPECT_NE(page("results", 0).error.find("stream: "), std::string::npos);
  EXPECT_EQ(as_text(page("", 0).out), "0123456789") << "without a stream as DMS 0.5.x";
  EXPECT_TRUE(renew(alice, incarnation).ok);
  w.settle(59s + 5s);
  const auto last = page("stdout", 4);
  EXPECT_EQ(as_text(last.data), "456789");
  EXPECT_TRUE(last.eof);
}

TEST_F(RecoveryTest, HealthIsReportedAndEndsWithTheRun) {
  protocol::AllocateRequest request = allocate_request("e", "task", 1, 1h);
  request.allocations["task"].health_check = jobs::HealthCheck{
      .type = jobs::HealthCheckType::http, .endpoint = "/ready", .interval_ns = Duration(10s).count()};
  script("e_task", {.runs_for = 5min, .healthy_after = 10s, .unhealthy_after = 1min});
  begin(request);
  EXPECT_EQ(report().health, protocol::Health::starting);
  w.settle(15s);
  EXPECT_EQ(report().health, protocol::Health::healthy);
  restart_daemon();
  w.settle(2s);
  EXPECT_EQ(report().health, protocol::Health::healthy) << "checked again";
  w.settle(90s);
  EXPECT_EQ(report().health, protocol::Health::unhealthy);
  EXPECT_FALSE(report().health_message.empty());
  w.settle(5min);
  EXPECT_EQ(report().status, AllocationStatus::completed);
  EXPECT_EQ(report().health, protocol::Health::unknown);
}

TEST_F(RecoveryTest, AHealthCheckIsRegisteredAndAskedForAsInDms05) {
  begin({.runs_for = std::nullopt, .unhealthy_after = 40s}, 1h);
  const auto ask = [this](actor::TestNode& by) {
    return w.run(by, protocol::call(*by.root, protocol::kHealthQuery, allocation, protocol::Nothing()));
  };
  const auto add = [this](const jobs::HealthCheck& check) {
    return w.run(alice, protocol::call(*alice.root, protocol::kHealthCheckRegister, allocation,
                                       protocol::HealthCheckRegistration{"e", check}));
  };
  EXPECT_TRUE(ask(alice)->ok) << "without a check it is healthy while it runs";
  const auto of_bob = ask(bob);
  EXPECT_FALSE(of_bob && of_bob->ok);
  jobs::HealthCheck check{.type = jobs::HealthCheckType::tcp, .interval_ns = Duration(5s).count()};
  EXPECT_NE(add(check)->error.find("HealthCheck.port"), std::string::npos);
  check.port = 80;
  ASSERT_TRUE(add(check)->ok);
  ASSERT_TRUE(add(check)->ok) << "repeated";
  EXPECT_EQ(report().health, protocol::Health::healthy);
  check.port = 81;
  ASSERT_TRUE(add(check)->ok) << "replaced";
  restart_daemon();
  w.settle(1min);
  EXPECT_EQ(report().health, protocol::Health::unhealthy) << "it is stored";
  EXPECT_EQ(ask(alice)->error, "connect to 127.0.0.1:81: Connection refused");
  check.response.value = std::string(256 * 1024, 'x');
  EXPECT_TRUE(add(check)->error.starts_with("Config: ")) << "as large as a configuration may be";
  EXPECT_TRUE(shutdown()->ok);
}

TEST_F(RecoveryTest, AFullDiskRefusesRequestsAndLeavesTheWorkAlone) {
  begin(kService);
  disk_is_full();
  const protocol::RenewReply renewed = renew(alice, incarnation);
  EXPECT_FALSE(renewed.ok);
  EXPECT_NE(renewed.error.find("no space left"), std::string::npos) << renewed.error;
  EXPECT_EQ(renewed.allocations.at("task").status, AllocationStatus::running);
  EXPECT_NE(restart("")->error.find("no space left"), std::string::npos);
  EXPECT_NE(shutdown()->error.find("no space left"), std::string::npos);
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(report().incarnation, incarnation);
  disk_is_full(false);
  EXPECT_TRUE(renew(alice, incarnation).ok);
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(host->works.size(), 0U);
}

TEST_F(RecoveryTest, AStartOnAFullDiskTakesUpTheWorkAndFreesTheRestLater) {
  begin(kService, 10min);
  const std::size_t needed = in_use();
  close();
  Documents documents = stored();
  std::vector<db::Document>& reservations = documents["resources.promises"];
  reservations.push_back({.id = "left", .json = reservations.front().json});
  stop_daemon();
  boot(documents);
  disk_is_full();
  open();
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(report().incarnation, incarnation);
  disk_is_full(false);
  EXPECT_TRUE(renew(alice, incarnation).ok);
  w.settle(2 * kSweepInterval);
  EXPECT_EQ(in_use(), needed) << "what an earlier run has left is freed";
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(RecoveryTest, ALeaseEndsAlsoWhenTheDiskIsFull) {
  begin(kService);
  disk_is_full();
  w.settle(65s);
  EXPECT_EQ(running(), 0);
  EXPECT_TRUE(notices.empty()) << "the end is stored before it is told";
  disk_is_full(false);
  w.settle(1min);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].status, "terminated");
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(RecoveryTest, ABidNamesTheFeaturesAndTheLongestLease) {
  const auto bid = call(alice, protocol::kBidRequest, bid_request("e"));
  ASSERT_TRUE(bid && bid->offer);
  EXPECT_EQ(bid->offer->features, (std::vector<std::string>{"lease", "health"}));
  EXPECT_EQ(Duration(bid->offer->max_lease_ns), 24h);
}

}  // namespace
}  // namespace dms::provider
