// Runs whose restart was requested and not answered when they are ended or lost: another run may have written.
#include "orchestrator/deployment/test_deployment.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct UnansweredRestartTest : LossTest {
  /// The restart has happened, and its reply is lost; the next renewal would tell.
  void restart_run() {
    provider.answers_restarts = false;
    const int before = provider.restarts;
    first = task().incarnation;
    provider.runs.at("task").out = "first";
    provider.runs.at("task").last_words = ", ended";
    provider.runs.at("task").health = Health::unhealthy;
    ASSERT_TRUE(until([&] { return provider.restarts == before + 1; }));
    next = provider.runs.at("task").incarnation;
    provider.runs.at("task").out = "second";
    provider.runs.at("task").last_words = ", bye";
    ASSERT_EQ(task().incarnation, first);
    ASSERT_TRUE(deployment->record().restarting.contains("task"));
  }
  std::string first;
  std::string next;
};

TEST_F(UnansweredRestartTest, WhatTheNextRunWroteIsFetchedByAShutdown) {
  run_task();
  restart_run();
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(output(), "second, bye");
  EXPECT_EQ(page("task", "previous:stdout"), "first, ended");
  EXPECT_TRUE(deployment->record().rests.empty());
  EXPECT_EQ(reason(), "it was shut down");
  EXPECT_EQ(task().incarnation, next);
  EXPECT_EQ(task().restarts, 1u);
  EXPECT_EQ(task().exit_code, 143);
  EXPECT_TRUE(task().collected);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, ASilentProviderIsAwaitedOnceForBothStreams) {
  run_task();
  restart_run();
  provider.answers_renewals = false;  // which would tell of the next run
  provider.unanswered_pages = 100;
  const SteadyTime begun = a.lane().now();
  EXPECT_EQ(page("task"), "first");
  EXPECT_GE(a.lane().now() - begun, kPageAnswer);
  EXPECT_EQ(page("task", "stderr"), "");
  EXPECT_LT(a.lane().now() - begun, kPageAnswer + 1s);
  const int pages = provider.pages;
  w.settle(kPageAnswer);
  ASSERT_TRUE(deployment->record().restarting.contains("task"));
  provider.unanswered_pages = 0;
  EXPECT_EQ(page("task"), "first, ended");
  EXPECT_GT(provider.pages, pages) << "it is asked again";
}

TEST_F(UnansweredRestartTest, TheRunBeforeIsTheLastOneIfTheNextOneHasNotBegun) {
  run_task();
  provider.leave_restart = "it waits for the end of the run before";
  restart_run();
  provider.runs.at("task").out.clear();
  provider.runs.at("task").last_words.clear();
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  ASSERT_TRUE(settles());
  EXPECT_EQ(page("task"), "first, ended");
  EXPECT_NE(page("task", "previous:stdout"), "first, ended") << "it is the last one";
  EXPECT_TRUE(deployment->record().rests.empty());
  EXPECT_EQ(reason(), "it was shut down");
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").restarts, 0u);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, WhatTheNextRunWroteIsFetchedWhenItsProviderIsBackAfterAShutdown) {
  run_task();
  restart_run();
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "its provider has not answered";
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 5min));
  EXPECT_EQ(reason(), "it was shut down; its output is still to be fetched from " + provider.peer());
  kill();
  restart();
  ASSERT_TRUE(settles());
  EXPECT_EQ(output(), "second, bye");
  EXPECT_EQ(page("task", "previous:stdout"), "first, ended");
  EXPECT_TRUE(deployment->record().rests.empty());
  EXPECT_EQ(reason(), "it was shut down");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, WhatTheRunWroteIsFetchedIfTheRestartHasNotArrived) {
  run_task();
  first = task().incarnation;
  provider.runs.at("task").out = "first";
  provider.runs.at("task").last_words = ", bye";
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "its provider has not answered";
  ASSERT_EQ(provider.restarts, 0);
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(output(), "first, bye");
  EXPECT_EQ(reason(), "it was shut down");
  EXPECT_EQ(task().incarnation, first);
  EXPECT_EQ(task().restarts, 0u);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, WhatTheNextRunWroteIsFetchedWhenItsLostMachineIsBack) {
  run_anywhere(jobs::AllocationType::service);
  restart_run();
  cut(b);
  ASSERT_TRUE(until([&] { return other.runs_now() && task().status == AllocationStatus::running; }));
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(page("task", "previous:stdout"), "second, bye");
  EXPECT_TRUE(other.runs_now());
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, WhatTheRunBeforeWroteLastIsFetchedWhenAnUpdateMovesItsNode) {
  run_anywhere(jobs::AllocationType::service);
  restart_run();
  provider.runs.at("task").out.clear();
  provider.runs.at("task").last_words.clear();
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.exclude_peers = {provider.peer()};
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] { return other.runs_now() && deployment->record().superseded.empty(); }));
  EXPECT_EQ(page("task", "previous:stdout"), "first, ended");
  EXPECT_TRUE(deployment->record().rests.empty());
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, WhatTheNextRunWroteIsFetchedWhenTheLossOfItsMachineIsAFailure) {
  run_anywhere(jobs::AllocationType::service, jobs::OnLoss::fail);
  restart_run();
  cut(b);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 10min));
  cut(b, false);
  ASSERT_TRUE(settles(15min));
  EXPECT_EQ(task().status, AllocationStatus::failed);
  EXPECT_EQ(task().incarnation, next);
  EXPECT_EQ(output(), "second");
  EXPECT_EQ(page("task", "previous:stdout"), "first, ended");
  EXPECT_EQ(reason().find("could not be fetched"), std::string::npos) << reason();
  EXPECT_TRUE(deployment->record().restarting.empty());
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, AProviderThatNamesNewRunsForEverIsBelievedOnce) {
  run_task();
  restart_run();
  int named = 0;
  provider.forge = [&](LogPage& page) {
    page.incarnation = fmt::format("forged-{}", ++named);
    provider.runs.at("task").incarnation = page.incarnation;  // in its reports, too
  };
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "its provider has not answered";
  cut(b, false);
  ASSERT_TRUE(settles(kCollectPatience + 10min));
  EXPECT_GT(named, 1);
  EXPECT_EQ(task().incarnation, next);
  EXPECT_EQ(task().restarts, 1u);
  EXPECT_NE(reason().find("its output could not be fetched completely"), std::string::npos) << reason();
  provider.forge = nullptr;
}

/// Of a provider that stops runs, and has no reports.
TEST_F(UnansweredRestartTest, AProviderThatDoesNotReportIsNotAskedForEver) {
  run_anywhere(jobs::AllocationType::service);
  restart_run();
  cut(b);
  ASSERT_TRUE(until([&] { return other.runs_now() && task().status == AllocationStatus::running; }));
  provider.answers_renewals = false;
  cut(b, false);
  ASSERT_TRUE(until([&] { return provider.stopped == 1; }));
  ASSERT_FALSE(deployment->record().superseded.empty());
  EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }, 2 * kLastOutput + kMaxReleasePause));
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(UnansweredRestartTest, AtWhicheverWriteOfAShutdownItIsKilledTheOutputOfBothRunsIsHere) {
  bool died = true;
  for (std::size_t n = 1; died; ++n) {
    ASSERT_LT(n, 20u);
    std::filesystem::remove_all(folder / "deployments");
    create(record());
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    restart_run();
    const auto is_done = [&] {
      return deployment->status() == DeploymentStatus::completed && !deployment->record().unsettled();
    };
    shut_down_and_die(n, is_done, died);
    if (HasFatalFailure()) return;
    ASSERT_TRUE(reaches(DeploymentStatus::completed)) << "write " << n;
    EXPECT_TRUE(settles()) << "write " << n;
    EXPECT_EQ(output(), "second, bye") << "write " << n;
    EXPECT_EQ(page("task", "previous:stdout"), "first, ended") << "write " << n;
    EXPECT_TRUE(deployment->record().rests.empty()) << "write " << n;
    EXPECT_EQ(reason(), "it was shut down") << "write " << n;
    EXPECT_EQ(task().restarts, 1u) << "write " << n;
    EXPECT_TRUE(provider.runs.empty()) << "write " << n;
    w.run(a, deployment->close());
    deployment.reset();
    records.refuse = false;
    records.refuse_from.reset();
  }
}

}  // namespace
}  // namespace dms::orchestrator
