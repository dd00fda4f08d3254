// Runs whose start was requested and not answered when they are ended, replaced or removed: they may have written.
#include "orchestrator/deployment/test_deployment.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

constexpr int kAllStarts = 1'000'000;

struct UnansweredTest : LossTest {
  /// The start of the task has arrived.
  void begin(Duration time) {
    provider.unanswered_starts = kAllStarts;
    DeploymentRecord made = record();
    made.deadline = (w.world.unix_now() + time).nanos;
    deadline = a.lane().now() + time;
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(until([&] { return provider.starts == 1; }));
    ASSERT_EQ(task().status, AllocationStatus::pending);
  }
  /// The next renewal would tell.
  static void run_at(ScriptedProvider& at, const std::string& out) {
    at.runs.at("task").status = AllocationStatus::running;
    at.runs.at("task").out = out;
  }
  /// What runs at `provider` is lost, and the start of the next run has arrived at `other`.
  void replace() {
    other.unanswered_starts = kAllStarts;
    run_anywhere(jobs::AllocationType::service);
    provider.runs.at("task").out = "of the lost run";
    cut(b);
    ASSERT_TRUE(until([&] { return other.starts == 1; }));
    ASSERT_EQ(task().status, AllocationStatus::pending);
  }
  SteadyTime deadline{};
};

TEST_F(UnansweredTest, AShutdownThatFindsItNotBegunTakesNoLongerAndSaysNothing) {
  begin(1min);
  const SteadyTime before = a.lane().now();
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_LT(a.lane().now() - before, kReleasePause);
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_EQ(task().reason, "it was shut down");
  EXPECT_TRUE(task().collected);
  EXPECT_EQ(provider.pages, 0);
  EXPECT_TRUE(provider.runs.empty());
}

/// As its provider sends after a restart of its daemon.
TEST_F(UnansweredTest, AHintTellsThatItRunsBeforeTheStartIsRepeated) {
  provider.lease = 10min;
  begin(20min);
  run_at(provider, "");
  ASSERT_TRUE(w.run(b, provider.hint()));
  ASSERT_TRUE(reaches(DeploymentStatus::running, 2 * kMinRenewal));
  EXPECT_EQ(provider.starts, 1);
}

/// The start was lost with the daemon before.
TEST_F(UnansweredTest, AHintAtWhatHasNotBegunHasItsStartRepeatedOnceInAPause) {
  provider.lease = 10min;
  begin(20min);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(w.run(b, provider.hint()));
  w.settle(kStartPause + kStartPause / 2);
  EXPECT_EQ(provider.starts, 2);
  provider.unanswered_starts = 0;
  ASSERT_TRUE(w.run(b, provider.hint()));
  ASSERT_TRUE(reaches(DeploymentStatus::running, 2 * kStartPause + 1s));
  EXPECT_EQ(provider.starts, 3);
  EXPECT_EQ(provider.commits, 1) << "it has not started over";
}

TEST_F(UnansweredTest, WhatItWroteIsFetchedWhenItsProviderIsBackAfterAShutdown) {
  begin(1min);
  run_at(provider, "until now");
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "its provider has not answered";
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 5min));
  EXPECT_EQ(reason(), "it was shut down; whether it had started is still to be asked of " + provider.peer());
  kill();
  restart();
  ASSERT_TRUE(settles());
  EXPECT_EQ(output(), "until now");
  EXPECT_EQ(reason(), "it was shut down");
  EXPECT_EQ(task().exit_code, 143);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredTest, NothingIsToldOfOneThatHadNotBegunWhenItsProviderIsBack) {
  begin(1min);
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "its provider has not answered";
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 5min));
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(reason(), "it was shut down");
  EXPECT_EQ(provider.pages, 0);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredTest, OfAProviderThatStaysAwayItIsToldThatItMayHaveStarted) {
  begin(1min);
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "its provider has not answered";
  ASSERT_TRUE(settles(kResidueTime + 1h));
  EXPECT_EQ(reason(), "it was shut down; it may have started; its output could not be fetched: " + provider.peer() +
                          " did not send it");
}

TEST_F(UnansweredTest, WhatItWroteIsFetchedWhenTheDeadlinePasses) {
  begin(1min);
  w.settle(deadline - 50ms - a.lane().now());
  ASSERT_EQ(task().status, AllocationStatus::pending);
  run_at(provider, "until now");
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(deployment->record().error, "task could not be started in time");
  ASSERT_TRUE(settles());
  EXPECT_EQ(task().status, AllocationStatus::failed);
  EXPECT_EQ(reason(), "it could not be started in time");
  EXPECT_EQ(output(), "until now");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredTest, OneThatHadNotBegunByTheDeadlineHasFailed) {
  begin(1min);
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  ASSERT_TRUE(settles());
  EXPECT_EQ(task().status, AllocationStatus::failed);
  EXPECT_EQ(reason(), "it could not be started in time");
  EXPECT_EQ(provider.pages, 0);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredTest, WhatItWroteIsFetchedWhenTheDeploymentStartsOver) {
  begin(20min);
  run_at(provider, "until now");
  cut(b);
  ASSERT_TRUE(until([&] { return deployment->record().manifest.nodes.empty(); }, 5min)) << "its machine is lost";
  provider.unanswered_starts = 0;
  cut(b, false);
  ASSERT_TRUE(reaches(DeploymentStatus::running, 20min)) << deployment->record().error;
  EXPECT_EQ(page("task", "previous:stdout"), "until now");
}

TEST_F(UnansweredTest, WhatItWroteIsFetchedWhenAnUpdateChangesIt) {
  replace();
  const std::string first = task().incarnation;
  run_at(other, "of the next run");
  jobs::Ensemble wanted = deployment->record().ensemble;
  wanted.allocations.at("task").resources.ram.size.bytes *= 2;
  ASSERT_TRUE(w.run(a, deployment->update(wanted)));
  other.unanswered_starts = 0;
  const auto runs = [&] { return task().status == AllocationStatus::running && task().incarnation != first; };
  ASSERT_TRUE(until(runs, 10min));
  EXPECT_EQ(page("task", "previous:stdout"), "of the next run");
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(page("task", "previous:stdout"), "of the next run") << "it came after the lost one";
}

TEST_F(UnansweredTest, TheOutputOfTheRunBeforeIsNotGivenUpForOneThatHasNotBegun) {
  replace();
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "the lost machine has not answered";
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(output(), "of the lost run");
  EXPECT_EQ(reason(), "it was shut down");
  EXPECT_EQ(other.pages, 0);
}

TEST_F(UnansweredTest, TheOutputOfOneThatHasBegunReplacesThatOfTheRunBefore) {
  replace();
  run_at(other, "of the next run");
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "the lost machine has not answered";
  EXPECT_EQ(output(), "of the next run");
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(output(), "of the next run");
  EXPECT_TRUE(provider.runs.empty());
}

/// It waits for the end of the task.
TEST_F(UnansweredTest, OfALostMachineOnlyTheOutputOfWhatHasBegunIsCollected) {
  DeploymentRecord made = record();
  jobs::Ensemble& ensemble = made.ensemble;
  jobs::Allocation next = ensemble.allocations.at("task");
  next.depends_on = {"task"};
  next.conditions["task"] = jobs::Condition::completed;
  ensemble.allocations["next"] = std::move(next);
  ensemble.nodes.at("node").allocations.emplace_back("next");
  ensemble.nodes.at("node").on_loss = jobs::OnLoss::fail;
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  ASSERT_EQ(task("next").status, AllocationStatus::pending);
  provider.runs.at("task").out = "until now";
  cut(b);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 10min));
  EXPECT_EQ(task("next").status, AllocationStatus::failed);
  EXPECT_NE(task("next").reason.find("is lost"), std::string::npos) << task("next").reason;
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(output(), "until now");
  EXPECT_FALSE(deployment->record().outputs.contains("next"));
  EXPECT_TRUE(provider.runs.empty());
}

/// It waits for what is not healthy.
TEST_F(UnansweredTest, AProviderThatWasNotAskedForAStartIsNotAskedWhetherItHasBegun) {
  run_with_dependant(with_dependant());
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(provider.stopped, 1) << "the task";
  EXPECT_TRUE(provider.runs.empty());
}

}  // namespace
}  // namespace dms::orchestrator
