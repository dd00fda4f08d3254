// Runs that the owner of their machine has ended.
#include <algorithm>

#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct OwnerEndTest : LossTest {
  void owner_ends() {
    provider.end("task", AllocationStatus::terminated);
    provider.runs.at("task").reason = "ended by the owner of the machine";
    provider.runs.at("task").ended_by_owner = true;
  }
  void expect_not_asked_again(Duration time) {
    w.settle(time);
    EXPECT_EQ(provider.commits, 1);
    EXPECT_EQ(provider.starts, 1);
  }
};

TEST_F(OwnerEndTest, ExclusiveWorkRunsElsewhereAndNeverAgainOnThatMachine) {
  run_anywhere(jobs::AllocationType::task);
  other.bids = false;
  owner_ends();
  ASSERT_TRUE(notify());
  expect_not_asked_again(3min);
  EXPECT_EQ(deployment->record().barred, std::vector<std::string>{provider.peer()});
  kill();
  restart();
  expect_not_asked_again(3min);
  other.bids = true;
  EXPECT_TRUE(until([&] { return other.runs_now(); }));
  expect_not_asked_again(1min);
}

TEST_F(OwnerEndTest, AReportTellsItToo) {
  run_anywhere(jobs::AllocationType::service, jobs::OnLoss::fast);
  owner_ends();
  EXPECT_TRUE(until([&] { return other.runs_now(); }));
  expect_not_asked_again(1min);
  EXPECT_EQ(deployment->record().barred, std::vector<std::string>{provider.peer()});
  const Choice choice = deployment->choice().value_or(Choice());
  EXPECT_TRUE(std::ranges::any_of(choice.machines, [this](const MachineVerdict& verdict) {
    return verdict.peer == provider.peer() && !verdict.chosen && verdict.reason.contains("its owner has ended work");
  })) << "it is said why it is not chosen";
}

TEST_F(OwnerEndTest, AnUpdateThatNamesThatMachineIsRefusedAtOnceWithTheCause) {
  run_anywhere(jobs::AllocationType::service, jobs::OnLoss::fast);
  owner_ends();
  ASSERT_TRUE(until([&] { return other.runs_now(); }));
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.nodes.at("node").peer = provider.peer();
  const SteadyTime begun = w.world.now();
  const Result<void> refused = w.run(a, deployment->update(ensemble));
  ASSERT_FALSE(refused);
  EXPECT_LT(w.world.now() - begun, kBidRound);
  const std::string text = refused.error().to_string();
  EXPECT_TRUE(text.contains("nodes.node.peer: " + provider.peer() + ": its owner has ended work")) << text;
  EXPECT_TRUE(other.runs_now());
}

TEST_F(OwnerEndTest, WorkThatMayRunNowhereElseEndsWithTheReason) {
  provider.features = {"lease"};
  run_task();
  owner_ends();
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return is_final(deployment->status()); }));
  EXPECT_EQ(deployment->status(), DeploymentStatus::failed);
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_EQ(task().reason, "ended by the owner of the machine");
  expect_not_asked_again(1min);
}

TEST_F(OwnerEndTest, WithOnLossFailItEnds) {
  run_anywhere(jobs::AllocationType::task, jobs::OnLoss::fail);
  owner_ends();
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return is_final(deployment->status()); }));
  EXPECT_EQ(task().reason, "ended by the owner of the machine");
  EXPECT_EQ(other.commits, 0);
}

}  // namespace
}  // namespace dms::orchestrator
