// A deployment that its user shuts down, at each instant.
#include "base/log.hpp"
#include "orchestrator/deployment/test_deployment.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

TEST_F(DeploymentTest, ShutdownFetchesWhatWasWrittenAndLeavesNothing) {
  run_task();
  provider.runs.at("task").out = "until now";
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(deployment->status(), DeploymentStatus::completed);
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_EQ(output(), "until now");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, WhatWorkWritesWhileItIsStoppedIsThere) {
  run_task();
  provider.runs.at("task").out = "until now, ";
  provider.runs.at("task").last_words = "bye";
  provider.runs.at("task").cpu_seconds = 3;
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(provider.stopped, 1);
  EXPECT_EQ(output(), "until now, bye");
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_EQ(task().exit_code, 143);
  EXPECT_EQ(task().out_size, 14u);
  EXPECT_EQ(task().cpu_seconds, 3);
  EXPECT_EQ(task().reason, "it was shut down");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, WhatWorkHasWrittenIsThereAlthoughTheReplyToItsStartIsLost) {
  provider.unanswered_starts = 1;
  create(record());
  deployment->start();
  ASSERT_TRUE(until([&] { return provider.starts == 1; }));
  provider.runs.at("task").status = AllocationStatus::running;
  provider.runs.at("task").out = "until now, ";
  provider.runs.at("task").last_words = "bye";
  ASSERT_EQ(task().status, AllocationStatus::pending);
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(output(), "until now, bye");
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, WorkThatCannotBeStoppedIsReleasedWithWhatItHasWritten) {
  run_task();
  provider.stops = false;
  provider.runs.at("task").out = "until now";
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(output(), "until now");
  const std::string incomplete = "it was shut down; its output could not be fetched completely";
  EXPECT_NE(task().reason.find(incomplete), std::string::npos) << task().reason;
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, WorkIsShownAsStillBeingStoppedUntilItsProviderSaysThatItHasEnded) {
  run_task();
  provider.hangs = true;
  provider.runs.at("task").out = "until now";
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "it runs";
  EXPECT_EQ(deployment->status(), DeploymentStatus::shutting_down);
  const DeploymentStatusReply status = status_of(deployment->record());
  EXPECT_EQ(status.allocations.at("task").status, AllocationStatus::running);
  const std::string_view why = "its executor has not ended it yet";
  const std::string& reason = status.allocations.at("task").reason;
  EXPECT_TRUE(reason.starts_with("it is still being stopped: ") && reason.contains(why)) << reason;
  EXPECT_TRUE(reason.contains("its output is still to be fetched from ")) << reason;
  EXPECT_EQ(status.error.find(why), std::string::npos) << "it is told once: " << status.error;
  EXPECT_EQ(manifest_of(deployment->record()).allocations.at("task").status, AllocationStatus::running);
  provider.hangs = false;
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").status, AllocationStatus::terminated);
  EXPECT_EQ(output(), "until now");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, WorkThatNobodyEndsIsTerminatedOnceItsLeaseIsOver) {
  run_task();
  provider.hangs = true;
  EXPECT_FALSE(w.run(a, deployment->shutdown()));
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 5min));
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").status, AllocationStatus::terminated);
  provider.hangs = false;
  EXPECT_TRUE(until([&] { return !deployment->record().unsettled(); }));
}

TEST_F(DeploymentTest, OutputThatAShutdownDoesNotWaitForIsFetchedAfterIt) {
  provider.tail_size = 3;
  provider.page_takes = kShutdownPatience;
  run_task();
  provider.end("task", AllocationStatus::completed, 0, "longer than its tail");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(deployment->status(), DeploymentStatus::completed);
  EXPECT_EQ(task().status, AllocationStatus::completed);
  EXPECT_NE(status_of(deployment->record()).allocations.at("task").reason.find("is still to be fetched"),
            std::string::npos);
  provider.page_takes = Duration(0);
  EXPECT_TRUE(until([&] { return !deployment->record().unsettled(); }));
  EXPECT_EQ(output(), "longer than its tail");
  EXPECT_EQ(task().reason, "");
}

TEST_F(DeploymentTest, WithoutTheCapabilityToRevertWorkIsReleasedByTheGrantOfItsAllocation) {
  run_task();
  b.root->remove_behaviour(std::string(kRevert.path));
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
  EXPECT_TRUE(provider.runs.empty());
  EXPECT_EQ(status_of(deployment->record()).error, "") << "nothing is left to tell";
}

TEST_F(DeploymentTest, TheStatusTellsOfAReservationThatCannotBeReverted) {
  for (const auto& path : {kAllocate.path, kRevert.path}) b.root->remove_behaviour(std::string(path));
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  const auto error = [&] { return status_of(deployment->record()).error; };
  const auto tells = [&] { return error().find("no reply to /dms/deployment/revert") != std::string::npos; };
  EXPECT_TRUE(until(tells)) << error();
  EXPECT_NE(error().find("no reply to /dms/deployment/allocate"), std::string::npos) << error();
  EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }, 2 * kReservationHold));
  EXPECT_EQ(error().find("/dms/deployment/revert"), std::string::npos)
      << "the provider's reservation is over: " << error();
}

TEST_F(DeploymentTest, AtWhicheverWriteOfAShutdownItIsKilledTheLastWordsAreHereAndNothingIsLeft) {
  bool died = true;
  for (std::size_t n = 1; died; ++n) {
    ASSERT_LT(n, 20u);
    create(record());
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    provider.runs.at("task").out = "so far, ";
    provider.runs.at("task").last_words = "bye";
    shut_down_and_die(
        n, [&] { return deployment->status() == DeploymentStatus::completed; }, died);
    if (HasFatalFailure()) return;
    ASSERT_TRUE(reaches(DeploymentStatus::completed)) << "write " << n;
    EXPECT_EQ(output(), "so far, bye") << "write " << n;
    EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
    EXPECT_TRUE(provider.runs.empty()) << "write " << n;
    w.run(a, deployment->close());
    deployment.reset();
    records.refuse = false;
    records.refuse_from.reset();
  }
}

TEST_F(DeploymentTest, ShutdownIsFinishedAfterARestart) {
  run_task();
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(stored(), DeploymentStatus::shutting_down);
  kill();
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, AShutdownIsAnsweredInTimeWhateverIsAway) {
  run_task();
  records.refuse = true;
  SteadyTime begun = w.world.now();
  const auto takes = [&] { return w.world.now() - begun; };
  const Result<void> unstored = w.run(a, deployment->shutdown());
  ASSERT_FALSE(unstored);
  EXPECT_NE(unstored.error().to_string().find("cannot be stored yet"), std::string::npos);
  EXPECT_LE(takes(), kShutdownPatience + 1ms);
  records.refuse = false;
  ASSERT_TRUE(reaches(DeploymentStatus::shutting_down));
  cut(b);
  begun = w.world.now();
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "the provider is away";
  EXPECT_LE(takes(), kShutdownPatience + 1ms);
  cut(b, false);
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, AReleaseIsRequestedAgainOnceItsProviderIsConnected) {
  provider.lease = 30min;
  run_task();
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "the provider is away";
  w.settle(5min);
  ASSERT_EQ(deployment->status(), DeploymentStatus::shutting_down);
  int failures = 0;
  log::set_level(log::Level::info);
  log::set_sink([&](const log::Line&) { ++failures; });
  EXPECT_TRUE(until([&] { return failures > 0; }, 1min));
  log::set_sink({});
  log::set_level(log::Level::warn);
  w.settle(100ms);  // the pause has begun
  cut(b, false);
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }, 2 * kReleasePause + 1s));
  EXPECT_TRUE(reaches(DeploymentStatus::completed));
}

TEST_F(DeploymentTest, AShutdownThatIsRepeatedWaitsForTheSameEnd) {
  run_task();
  provider.runs.at("task").out = "until now";
  const auto keep = [](Task<Result<void>> task, Result<void>& outcome) -> Task<void> {
    outcome = co_await std::move(task);
  };
  Result<void> first = fail(Errc::internal, "it has not ended");
  Result<void> second = first;
  Nursery users(a.lane(), "users");
  users.spawn(keep(deployment->shutdown(), first));
  users.spawn(keep(deployment->shutdown(), second));
  w.run(a, users.join());
  EXPECT_TRUE(first) << first.error().to_string();
  EXPECT_TRUE(second) << second.error().to_string();
  EXPECT_EQ(provider.stopped, 1);
  EXPECT_EQ(output(), "until now");
  EXPECT_TRUE(w.run(a, deployment->shutdown())) << "it has ended";
  EXPECT_EQ(deployment->status(), DeploymentStatus::completed);
  EXPECT_EQ(provider.stopped, 1);
}

TEST_F(DeploymentTest, ItCanBeShutDownInEveryState) {
  // At each instant of a deployment, in steps of a millisecond, which is shorter than any message takes.
  for (int step = 0; step < 40; ++step) {
    create(record());
    deployment->start();
    w.settle(step * 1ms);
    const Result<void> done = w.run(a, deployment->shutdown());
    ASSERT_TRUE(done) << step << ": " << done.error().to_string();
    EXPECT_EQ(stored(), DeploymentStatus::completed);
    EXPECT_TRUE(provider.runs.empty()) << step;
    w.run(a, deployment->close());
    deployment.reset();
  }
  EXPECT_GT(provider.starts, 0);
}

TEST_F(LossTest, ItCanBeShutDownWhileANodeIsReplaced) {
  run_anywhere(jobs::AllocationType::service);
  other.bids = false;
  cut(b);
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "the lost machine has not answered";
  EXPECT_EQ(deployment->status(), DeploymentStatus::shutting_down);
  cut(b, false);
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_TRUE(provider.runs.empty());
}

}  // namespace
}  // namespace dms::orchestrator
