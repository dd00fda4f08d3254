// Restarts of what fails its health check, and what the run before has written.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct UnhealthyTest : DeploymentTest {
  void run_service() {
    DeploymentRecord service = record();
    service.ensemble.allocations.at("task").type = jobs::AllocationType::service;
    create(std::move(service));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running));
  }
};

TEST_F(UnhealthyTest, HealthIsStoredAndAnUnhealthyServiceIsRestarted) {
  run_service();
  ASSERT_EQ(deployment->status(), DeploymentStatus::running);
  provider.runs.at("task").health = Health::healthy;
  ASSERT_TRUE(until([&] { return task().health == Health::healthy; }));
  const std::string first = task().incarnation;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return provider.restarts == 1 && task().incarnation != first; }));
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_EQ(task().restarts, 1u);
  provider.runs.at("task").health = Health::unhealthy;
  w.settle(1h);
  EXPECT_GE(provider.restarts, 2);
}

TEST_F(DeploymentTest, AnUnhealthyTaskIsRestarted) {
  run_task();
  const std::string first = task().incarnation;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  EXPECT_EQ(provider.restarts, 1);
  EXPECT_NE(task().incarnation, first);
  EXPECT_EQ(task().status, AllocationStatus::running);
}

TEST_F(DeploymentTest, TheReasonOfARestartSaysWhichCheckFailedInOneShortLine) {
  run_task();
  provider.page_takes = 5s;
  provider.runs.at("task").health_message = "exit code 3 of `check`\n" + std::string(5000, 'x');
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  EXPECT_TRUE(task().reason.starts_with("it failed its health check: exit code 3 of `check`\\x0axxx")) << task().reason;
  EXPECT_LE(task().reason.size(), kMaxReportedText);
  ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  EXPECT_EQ(task().reason, "");
}

TEST_F(DeploymentTest, ARestartThatDoesNotStartEndsWithItsReason) {
  DeploymentRecord made = record();
  made.ensemble.nodes.at("node").on_loss = jobs::OnLoss::fail;
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  const std::string first = task().incarnation;
  provider.fail_restart = "disk limit: the files of the work take more";
  provider.runs.at("task").out = "of the first run";
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::failed; }));
  EXPECT_NE(task().incarnation, first);
  EXPECT_NE(task().reason.find("disk limit"), std::string::npos) << task().reason;
}

TEST_F(DeploymentTest, ATaskThatEndsBeforeItsRestartIsNotRunAgain) {
  run_task();
  provider.page_takes = 5s;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  provider.end("task", AllocationStatus::completed);
  EXPECT_TRUE(until([&] { return task().status == AllocationStatus::completed; }));
  EXPECT_EQ(provider.restarts, 0);
}

TEST_F(DeploymentTest, ATaskWhoseEndIsKnownIsNotRequestedToRestart) {
  run_task();
  provider.knows_only_running = false;
  provider.page_takes = 4s;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  provider.end("task", AllocationStatus::completed);
  ASSERT_TRUE(notify());
  EXPECT_EQ(task().status, AllocationStatus::completed);
  w.settle(1min);
  EXPECT_EQ(provider.restarts, 0);
}

TEST_F(UnhealthyTest, WhatAnUnhealthyRunHasWrittenIsKeptOverItsRestart) {
  OutputStore store(folder);
  const auto previous = [&] {
    protocol::DeploymentLogsRequest request{
        .ensemble_id = "d1", .allocation_name = "task", .stream = "previous:stdout"};
    const auto page = w.run(a, previous_page(store, deployment->record(), std::move(request)));
    return page ? std::string(as_text(page->data)) : page.error().to_string();
  };
  run_service();
  ASSERT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_NE(previous().find("no output of an earlier run"), std::string::npos) << previous();
  provider.runs.at("task").out = "first\n";
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return provider.restarts == 1; }));
  provider.runs.at("task").out = "second\n";
  ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  EXPECT_EQ(previous(), "first\n") << "before anybody reads the new run";
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  EXPECT_EQ(output(), "second\n");
  EXPECT_EQ(previous(), "first\n") << "and after";
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return provider.restarts == 2; }));
  provider.runs.at("task").out = "third\n";
  ASSERT_TRUE(until([&] { return task().restarts == 2u; }));
  EXPECT_EQ(previous(), "second\n");
}

TEST_F(UnhealthyTest, AProviderThatSendsNoOutputDoesNotPreventARestart) {
  run_service();
  ASSERT_EQ(deployment->status(), DeploymentStatus::running);
  provider.page_takes = 1h;
  provider.runs.at("task").health = Health::unhealthy;
  EXPECT_TRUE(until([&] { return provider.restarts == 1; }, kRestartOutput + 1min));
}

}  // namespace
}  // namespace dms::orchestrator
