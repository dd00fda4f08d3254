// Restarts of unhealthy runs that their providers cannot carry out, or do not.
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct FailedRestartTest : LossTest {
  /// Until its provider has been asked to restart it.
  void become_unhealthy() {
    const int before = provider.restarts;
    first = task().incarnation;
    provider.runs.at("task").out = "first";
    provider.runs.at("task").health = Health::unhealthy;
    ASSERT_TRUE(until([&] { return provider.restarts > before; }));
    ASSERT_NE(provider.runs.at("task").incarnation, first);
  }
  void expect_failed() {
    EXPECT_EQ(task().status, AllocationStatus::failed);
    EXPECT_EQ(task().reason, kReason);
    EXPECT_EQ(task().exit_code, kNeverRanOrLost);
    EXPECT_EQ(shown_restarts(), 0u);
    EXPECT_NE(task().incarnation, first);
    ASSERT_TRUE(reaches(DeploymentStatus::failed)) << deployment->record().error;
    EXPECT_NE(deployment->record().error.find(kReason), std::string::npos) << deployment->record().error;
    EXPECT_TRUE(settles());
    EXPECT_EQ(provider.starts, 1) << "it is not placed anew";
    EXPECT_EQ(other.starts, 0);
    EXPECT_TRUE(provider.runs.empty());
  }
  std::uint32_t shown_restarts() { return status_of(deployment->record()).allocations.at("task").restarts; }
  const std::string kReason = "disk limit: the files of the work take more";
  std::string first;
};

TEST_F(FailedRestartTest, ItEndsTheAllocationWithItsReasonAtOnce) {
  run_anywhere(jobs::AllocationType::service);
  provider.fail_restart = kReason;
  become_unhealthy();
  ASSERT_TRUE(until([&] { return is_final(task().status); }, 2s)) << "no report is waited for";
  expect_failed();
  EXPECT_EQ(page("task", "previous:stdout"), "first");
}

TEST_F(FailedRestartTest, WhatTheRunBeforeWroteLastIsFetchedBeforeTheRelease) {
  run_anywhere(jobs::AllocationType::service);
  provider.fail_restart = kReason;
  provider.runs.at("task").last_words = ", bye";
  provider.previous_ends = false;  // its engine has not copied all of it yet
  become_unhealthy();
  w.settle(20s);
  EXPECT_EQ(task().status, AllocationStatus::failed);
  EXPECT_FALSE(task().collected);
  EXPECT_FALSE(provider.runs.empty()) << "its output is not here yet";
  provider.previous_ends = true;
  expect_failed();
  EXPECT_EQ(page("task", "previous:stdout"), "first, bye");
}

TEST_F(FailedRestartTest, ItEndsTheAllocationAlsoIfTheReplyIsLost) {
  run_anywhere(jobs::AllocationType::service);
  provider.fail_restart = kReason;
  provider.answers_restarts = false;
  become_unhealthy();
  ASSERT_TRUE(until([&] { return is_final(task().status); }));
  expect_failed();
  EXPECT_EQ(page("task", "previous:stdout"), "first");
}

TEST_F(FailedRestartTest, ItEndsTheAllocationAlsoIfTheNextDaemonOfItsProviderTells) {
  run_anywhere(jobs::AllocationType::service);
  provider.leave_restart = "this node is being stopped";
  become_unhealthy();
  ASSERT_TRUE(until([&] { return task().restarts == 1u; })) << "by a report";
  EXPECT_EQ(shown_restarts(), 0u) << "it has not begun";
  ScriptedProvider::fail_to_restart(provider.runs.at("task"), kReason);
  ASSERT_TRUE(notify());
  expect_failed();
}

TEST_F(FailedRestartTest, ARestartThatHasBegunCountsAlsoIfItsRunIsLost) {
  run_anywhere(jobs::AllocationType::service, jobs::OnLoss::fail);
  become_unhealthy();
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running && task().incarnation != first; }));
  EXPECT_EQ(shown_restarts(), 1u);
  provider.end("task", AllocationStatus::failed, kNeverRanOrLost);
  provider.runs.at("task").reason = "lost by a restart of the machine";
  ASSERT_TRUE(reaches(DeploymentStatus::failed)) << deployment->record().error;
  EXPECT_EQ(shown_restarts(), 1u);
}

TEST_F(FailedRestartTest, ARunThatItsMachineLosesWhileItIsRestartedIsReplaced) {
  run_anywhere(jobs::AllocationType::service);
  provider.leave_restart = "this node is being stopped";
  become_unhealthy();
  provider.end("task", AllocationStatus::failed, kNeverRanOrLost);
  provider.runs.at("task").reason = "lost by a restart of the machine";
  ASSERT_TRUE(until([&] { return other.runs_now() && task().status == AllocationStatus::running; }));
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_EQ(shown_restarts(), 1u) << "one run has begun after the first";
}

TEST_F(FailedRestartTest, AProviderThatStopsBeforeTheNextRunHasBegunIsAskedAgain) {
  run_task();
  provider.leave_restart = "this node is being stopped";
  become_unhealthy();
  w.settle(1s);
  EXPECT_EQ(task().status, AllocationStatus::restarting) << "nothing is decided";
  EXPECT_EQ(task().incarnation, first);
  provider.leave_restart.clear();
  provider.runs.at("task").status = AllocationStatus::running;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running; }));
  EXPECT_NE(task().incarnation, first);
  EXPECT_EQ(shown_restarts(), 1u);
  EXPECT_EQ(provider.restarts, 1);
}

TEST_F(FailedRestartTest, AtWhicheverWriteTheDaemonIsKilledItEndsTheAllocation) {
  bool died = true;
  for (std::size_t n = 1; died; ++n) {
    ASSERT_LT(n, 40u);
    SCOPED_TRACE(fmt::format("write {}", n));
    std::filesystem::remove_all(folder / "deployments");
    provider.fail_restart = kReason;
    provider.starts = 0;
    create(record());
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    first = task().incarnation;
    records.refuse_from = records.saves + n;
    records.refused = 0;
    provider.runs.at("task").out = "first";
    provider.runs.at("task").health = Health::unhealthy;
    (void)until([&] {
      const bool ended = deployment->status() == DeploymentStatus::failed && !deployment->record().unsettled();
      return records.refused > 0 || ended;
    });
    died = records.refused > 0;
    if (died) {
      kill();
      restart();
    }
    ASSERT_TRUE(until([&] { return is_final(task().status); }, 5min));
    expect_failed();
    if (HasFatalFailure()) return;
    w.run(a, deployment->close());
    deployment.reset();
    records.refuse = false;
    records.refuse_from.reset();
  }
}

}  // namespace
}  // namespace dms::orchestrator
