// Updates of a deployment that runs: what goes on, what moves, what is released first.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

TEST_F(DeploymentTest, AnUpdateAddsToANodeOnItsMachineAndRemovesFromIt) {
  run_task();
  const std::string first = task().incarnation;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations["more"] = ensemble.allocations.at("task");
  ensemble.nodes.at("node").allocations.emplace_back("more");
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] { return provider.runs_now("more"); }));
  EXPECT_EQ(task().incarnation, first);
  EXPECT_TRUE(provider.runs_now());

  ensemble.allocations.erase("more");
  ensemble.nodes.at("node").allocations.pop_back();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] { return !provider.runs.contains("more"); }));
  EXPECT_EQ(task().incarnation, first);
  EXPECT_TRUE(provider.runs_now());
}

struct ReleasingUpdateTest : LossTest {
  /// Until the next run is there; `released` is when nothing was superseded any more.
  void update_until_it_runs(const jobs::Ensemble& ensemble, std::optional<SteadyTime>& released) {
    const std::string first = task().incarnation;
    ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
    ASSERT_TRUE(until([&] {
      if (!released && deployment->record().superseded.empty()) released = a.lane().now();
      return task().status == AllocationStatus::running && task().incarnation != first;
    }));
  }
};

/// All of its node: the machine is asked anew at the moment of the release, be that in a round of bids or in a pause.
TEST_F(ReleasingUpdateTest, AnUpdateOfTheOnlyAllocationRunsOnItsMachineOnceThatHasReleasedIt) {
  for (const Duration stop_takes : {kBidRound / 2, kBidRound + 2s}) {
    if (!deployment) run_anywhere(jobs::AllocationType::service);
    other.bids = false;
    provider.stop_takes = stop_takes;
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
    const SteadyTime begun = a.lane().now();
    std::optional<SteadyTime> released;
    ASSERT_NO_FATAL_FAILURE(update_until_it_runs(ensemble, released));
    ASSERT_TRUE(released);
    EXPECT_GT(*released - begun, kBidRound / 3);
    EXPECT_LT(a.lane().now() - *released, kBidSettle + 1s) << "the machine was excluded until then";
  }
}

TEST_F(ReleasingUpdateTest, AReleaseIsNoticedWhileAnotherNodeFindsNoMachine) {
  run_anywhere(jobs::AllocationType::service);
  other.bids = false;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations["more"] = ensemble.allocations.at("task");
  ensemble.nodes["spare"] = ensemble.nodes.at("node");
  ensemble.nodes.at("spare").allocations = {"more"};
  ensemble.nodes.at("spare").peer = other.peer();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  w.settle(5min);  // the pauses have grown
  provider.stop_takes = kBidRound + 2s;
  ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
  std::optional<SteadyTime> released;
  ASSERT_NO_FATAL_FAILURE(update_until_it_runs(ensemble, released));
  ASSERT_TRUE(released);
  EXPECT_LT(a.lane().now() - *released, kBidSettle + 1s) << "the pause ends with the release";
}

TEST_F(DeploymentTest, AnUpdateThatMovesATaskHasItReleasedFirst) {
  run_task();
  provider.stop_takes = 4s;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.nodes.at("node").peer = other.peer();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  bool both = false;
  ASSERT_TRUE(until([&] {
    both = both || (provider.runs_now() && other.runs_now());
    return other.runs_now();
  }));
  EXPECT_FALSE(both);
}

TEST_F(LossTest, WhatAnUpdateWouldMoveToNoMachineGoesOnWhereItIs) {
  for (const auto type : {jobs::AllocationType::service, jobs::AllocationType::task}) {
    run_anywhere(type);
    other.bids = false;
    const std::string first = task().incarnation;
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.exclude_peers = {provider.peer()};
    const Result<void> refused = w.run(a, deployment->update(ensemble));
    ASSERT_FALSE(refused);
    const std::string why = refused.error().to_string();
    EXPECT_TRUE(why.starts_with("nothing is changed, and what runs of node goes on where it is")) << why;
    EXPECT_NE(why.find("none has bid"), std::string::npos) << why;
    w.settle(1min);
    EXPECT_TRUE(provider.runs_now());
    EXPECT_EQ(task().incarnation, first);
    EXPECT_EQ(task().status, AllocationStatus::running);
    EXPECT_TRUE(deployment->record().ensemble.exclude_peers.empty());
    other.bids = true;
    ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
    ASSERT_TRUE(until([&] { return other.runs_now() && !provider.runs_now(); }));
    ASSERT_TRUE(w.run(a, deployment->shutdown()));
    w.run(a, deployment->close());
    deployment.reset();
  }
}

TEST_F(LossTest, WorkThatAsksForMoreThanAnyMachineGivesGoesOnAsItIs) {
  run_anywhere(jobs::AllocationType::service);
  provider.max_cores = 4;
  other.max_cores = 8;
  const std::string first = task().incarnation;
  for (const bool pinned : {false, true}) {
    jobs::Ensemble ensemble = deployment->record().ensemble;
    if (pinned) ensemble.nodes.at("node").peer = provider.peer();
    ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(pinned ? 6 : 50);
    const Result<void> refused = w.run(a, deployment->update(ensemble));
    ASSERT_FALSE(refused);
    const std::string why = refused.error().to_string();
    EXPECT_TRUE(why.starts_with("nothing is changed, and what runs of node goes on where it is: the update asks"))
        << why;
    EXPECT_NE(why.find(pinned ? "nodes.node asks for 6 cores" : "nodes.node asks for 50 cores"), std::string::npos)
        << why;
    w.settle(1min);
    EXPECT_TRUE(provider.runs_now());
    EXPECT_EQ(task().incarnation, first);
    EXPECT_EQ(task().status, AllocationStatus::running);
  }
  jobs::Ensemble ensemble = deployment->record().ensemble;
  const auto takes_cores = [&](double cores) {
    ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(cores);
    return w.run(a, deployment->update(ensemble)).has_value();
  };
  other.bids = false;
  ASSERT_TRUE(takes_cores(4)) << "its own machine";
  ASSERT_TRUE(until([&] { return provider.runs_now() && task().status == AllocationStatus::running; }));
  EXPECT_NE(task().incarnation, first);
  other.bids = true;
  ASSERT_TRUE(takes_cores(6)) << "another machine";
  ASSERT_TRUE(until([&] { return other.runs_now() && !provider.runs_now(); }, 5min));
}

TEST_F(LossTest, AnUpdateThatAsksForNoMoreIsNotHeldUpByBids) {
  run_anywhere(jobs::AllocationType::service);
  provider.bids = other.bids = false;
  const std::string first = task().incarnation;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(0.5);
  ensemble.allocations.at("task").execution.params["cmd"] = "another";
  const SteadyTime begun = a.lane().now();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  EXPECT_LT(a.lane().now() - begun, 1s);
  provider.bids = true;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running && task().incarnation != first; }));
}

TEST_F(DeploymentTest, AnUpdateThatCannotBeAppliedChangesNothing) {
  run_task();
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.nodes.at("node").lease_ns = Duration(10min).count();
  ensemble.allocations["more"] = ensemble.allocations.at("task");
  ensemble.nodes.at("node").allocations.emplace_back("more");
  const Result<void> updated = w.run(a, deployment->update(ensemble));
  ASSERT_FALSE(updated);
  EXPECT_NE(updated.error().to_string().find("nodes.node.lease"), std::string::npos) << updated.error().to_string();
  EXPECT_FALSE(deployment->record().ensemble.allocations.contains("more"));
}

TEST_F(DeploymentTest, AnUpdateGoesOnAfterARestart) {
  run_task();
  const std::string first = task().incarnation;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(2);
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  kill();
  restart();
  ASSERT_TRUE(until([&] { return provider.runs_now() && provider.runs.at("task").incarnation != first; }));
  EXPECT_TRUE(until([&] { return task().status == AllocationStatus::running; }));
}

TEST_F(DeploymentTest, OnlyARunningDeploymentIsUpdated) {
  provider.bids = false;
  create(record());
  deployment->start();
  w.settle(1s);
  const Result<void> refused = w.run(a, deployment->update(one_task_ensemble()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("wait until it runs"), std::string::npos) << refused.error().to_string();
}

}  // namespace
}  // namespace dms::orchestrator
