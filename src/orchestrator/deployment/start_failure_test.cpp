// Starts that fail before the deployment runs, while other work of it has begun.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct StartFailureTest : DeploymentTest {
  void deploy_within_an_hour(DeploymentRecord made) {
    made.deadline = (w.world.unix_now() + 1h).nanos;
    create(std::move(made));
    deployment->start();
  }
  /// The task `first` and the service `svc` run; `next` starts when `first` has completed, `web` when `svc` is healthy.
  void begin(bool pinned) {
    other.bids = false;
    DeploymentRecord made = record();
    made.deadline = (w.world.unix_now() + 20min).nanos;
    jobs::Ensemble& ensemble = made.ensemble;
    const jobs::Allocation task = ensemble.allocations.at("task");
    ensemble.allocations.erase("task");
    jobs::Node& node = ensemble.nodes.at("node");
    node.allocations = {"first", "next", "svc", "web"};
    if (!pinned) node.peer.clear();
    for (const std::string& name : node.allocations) {
      jobs::Allocation& spec = ensemble.allocations[name];
      spec = task;
      spec.dns_name = name;
      if (name == "svc" || name == "web") spec.type = jobs::AllocationType::service;
    }
    depend(ensemble, "next", "first", jobs::Condition::completed);
    depend(ensemble, "web", "svc", jobs::Condition::healthy);
    provider.features = other.features = {"lease"};
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(until([&] { return is("first", AllocationStatus::running) && is("svc", AllocationStatus::running); }));
    provider.runs.at("svc").health = Health::starting;
    first = task_run("first");
    svc = task_run("svc");
  }
  static void depend(jobs::Ensemble& ensemble, const std::string& name, const std::string& on, jobs::Condition until) {
    ensemble.allocations.at(name).depends_on = {on};
    ensemble.allocations.at(name).conditions[on] = until;
  }
  bool is(const std::string& name, AllocationStatus status) {
    const auto& allocations = deployment->record().manifest.allocations;
    const auto entry = allocations.find(name);
    return entry != allocations.end() && entry->second.status == status;
  }
  std::string task_run(const std::string& name) { return task(name).incarnation; }
  void expect_first_completed_once() {
    EXPECT_TRUE(is("first", AllocationStatus::completed));
    EXPECT_TRUE(until([&] { return task("first").collected; }));
    EXPECT_EQ(task_run("first"), first);
    EXPECT_EQ(task("first").restarts, 0u);
    EXPECT_EQ(output("stdout", "first"), "once");
  }
  std::string first, svc;
};

TEST_F(StartFailureTest, ARefusedStartLeavesWhatHasCompletedAndWhatRuns) {
  begin(true);
  provider.refuse_start = "no such image";
  provider.end("first", AllocationStatus::completed, 0, "once");
  ASSERT_TRUE(until([&] { return provider.starts >= 6; }, 10min)) << "it is repeated";
  EXPECT_EQ(deployment->status(), DeploymentStatus::provisioning);
  expect_first_completed_once();
  EXPECT_EQ(task_run("svc"), svc);
  EXPECT_TRUE(provider.runs_now("svc"));
  provider.refuse_start.clear();
  ASSERT_TRUE(until([&] { return is("next", AllocationStatus::running); }, 5min));
  provider.runs.at("svc").health = Health::healthy;
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  expect_first_completed_once();
  EXPECT_EQ(task_run("svc"), svc);
}

TEST_F(StartFailureTest, AtTheDeadlineWhatHasCompletedStaysSoAndTheRefusalIsTold) {
  begin(true);
  w.settle(19min + 30s);
  provider.refuse_start = "no such image";
  provider.end("first", AllocationStatus::completed, 0, "once");
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 30min));
  EXPECT_NE(deployment->record().error.find("no such image"), std::string::npos) << deployment->record().error;
  expect_first_completed_once();
  EXPECT_EQ(task("svc").status, AllocationStatus::terminated);
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }, 10min));
}

TEST_F(StartFailureTest, AStartThatTheOnlyMachineOfANodeKeepsRefusingFailsTheDeploymentWithItsReason) {
  begin(true);
  provider.refuse_start = "no such image";
  provider.end("first", AllocationStatus::completed, 0, "once");
  const SteadyTime refused = a.lane().now();
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 10min)) << "long before its deadline";
  EXPECT_GE(a.lane().now() - refused, kStartRefusalPatience);
  const DeploymentStatusReply status = status_of(deployment->record());
  EXPECT_NE(status.error.find("next could not be started"), std::string::npos) << status.error;
  EXPECT_NE(status.error.find("no such image"), std::string::npos) << status.error;
  EXPECT_EQ(status.allocations.at("next").status, AllocationStatus::failed);
  const std::string& reason = status.allocations.at("next").reason;
  EXPECT_NE(reason.find("no such image"), std::string::npos) << reason;
  EXPECT_EQ(reason.find("still to be"), std::string::npos) << "its run has not begun: " << reason;
  expect_first_completed_once();
  EXPECT_EQ(task("svc").status, AllocationStatus::terminated);
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }, 10min));
}

TEST_F(StartFailureTest, WhatIsAloneOnTheOnlyMachineFailsToo) {
  provider.refuse_start = "no such image";
  deploy_within_an_hour(record());
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  EXPECT_NE(deployment->record().error.find("no such image"), std::string::npos) << deployment->record().error;
  EXPECT_EQ(task().status, AllocationStatus::failed);
  EXPECT_GE(provider.starts, kMaxStartFailures);
  EXPECT_TRUE(until([&] { return provider.runs.empty() && deployment->record().superseded.empty(); }, 10min));
}

TEST_F(StartFailureTest, AStartThatIsRefusedForAWhileIsRepeated) {
  provider.refuse_start = "the registry does not answer";
  deploy_within_an_hour(record());
  ASSERT_TRUE(until([&] { return provider.starts >= kMaxStartFailures; }));
  provider.refuse_start.clear();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
}

TEST_F(StartFailureTest, WhatMayRunElsewhereIsNotLeftAtAMachineThatRefusesToStartIt) {
  provider.refuse_start = "no such image";
  other.bids = false;
  DeploymentRecord made = record();
  made.ensemble.nodes.at("node").peer.clear();
  deploy_within_an_hour(std::move(made));
  ASSERT_TRUE(until([&] { return provider.starts > 0; }));
  w.settle(5 * kStartRefusalPatience);
  EXPECT_FALSE(is_final(deployment->status())) << deployment->record().error;
  other.bids = true;
  ASSERT_TRUE(until([&] { return other.runs_now(); })) << deployment->record().error;
}

TEST_F(StartFailureTest, ANodeWhoseMachineRefusesAStartAgainAndAgainMovesWithoutWhatHasCompleted) {
  begin(false);
  provider.refuse_start = "no such image";
  other.bids = true;
  provider.end("first", AllocationStatus::completed, 0, "once");
  ASSERT_TRUE(until([&] { return other.runs_now("next") && other.runs_now("svc"); }, 15min));
  EXPECT_FALSE(other.runs.contains("first"));
  expect_first_completed_once();
}

/// As a provider whose daemon is started anew at the moment of the request.
TEST_F(StartFailureTest, AStartWhoseConnectionFailsIsSentAgain) {
  begin(true);
  const int commits = provider.commits;
  provider.end("first", AllocationStatus::completed, 0, "once");
  records.delay = 100ms;  // that of the request for the start, too
  ASSERT_TRUE(until([&] { return is("first", AllocationStatus::completed); }));
  reset_streams_to(b);
  ASSERT_TRUE(until([&] { return deployment->record().starts.contains("next"); }));
  w.settle(200ms);
  ASSERT_EQ(provider.starts, 2);
  records.delay = Duration(0);
  reset_streams_to(b, false);
  ASSERT_TRUE(until([&] { return is("next", AllocationStatus::running); }));
  EXPECT_EQ(provider.starts, 3);
  EXPECT_EQ(provider.commits, commits) << "nothing is placed anew";
  EXPECT_EQ(task_run("svc"), svc);
  expect_first_completed_once();
}

/// A machine that is lost ends the attempt.
TEST_F(StartFailureTest, WhatHasCompletedDoesNotRunAgainWhenTheDeploymentStartsOver) {
  begin(false);
  provider.end("first", AllocationStatus::completed, 0, "once");
  ASSERT_TRUE(until([&] { return is("next", AllocationStatus::running) && task("first").collected; }));
  other.bids = true;
  cut(b);
  ASSERT_TRUE(until([&] { return other.runs_now("next") && other.runs_now("svc"); }, 15min));
  EXPECT_FALSE(other.runs.contains("first"));
  expect_first_completed_once();
}

}  // namespace
}  // namespace dms::orchestrator
