// Machines that say something else of the health of work than what is so.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct FalseHealthTest : LossTest {
  void call_unhealthy() {
    if (provider.runs_now()) provider.runs.at("task").health = Health::unhealthy;
  }
};

TEST_F(FalseHealthTest, AMachineThatKeepsCallingWorkUnhealthyRestartsItInItsPlaceAtGrowingPauses) {
  run_anywhere(jobs::AllocationType::service);
  for (const SteadyTime end = a.lane().now() + 1h; a.lane().now() < end; w.settle()) call_unhealthy();
  EXPECT_GE(provider.restarts, 10);
  EXPECT_LE(provider.restarts, 20);
  EXPECT_TRUE(other.runs.empty());
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_GE(task().restarts, 10u) << "the user sees how often";
}

TEST_F(FalseHealthTest, SupervisedWorkThatItsMachineKeepsCallingUnhealthyIsStartedOnAnother) {
  other.bids = false;
  DeploymentRecord made = record();
  made.ensemble.nodes.at("node").peer.clear();
  made.ensemble.allocations.at("task").type = jobs::AllocationType::service;
  made.ensemble.allocations.at("task").failure_recovery = jobs::AllocationRecovery::one_for_one;
  provider.features = other.features = {"lease"};
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  other.bids = true;
  const auto is_moved = [&] {
    call_unhealthy();
    return other.runs_now() && task().status == AllocationStatus::running;
  };
  ASSERT_TRUE(until(is_moved, 5min)) << reason();
  EXPECT_EQ(provider.restarts, 3);
  EXPECT_EQ(provider.starts, 1) << "it does not get the work again at once";
  EXPECT_EQ(task().restarts, 4u);
}

TEST_F(FalseHealthTest, WorkThatHasEndedDoesNotRunAgainBecauseItsMachineSaysSo) {
  DeploymentRecord made = with_dependant();
  made.ensemble.allocations.at("web").depends_on.clear();
  made.ensemble.allocations.at("web").conditions.clear();
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  provider.hangs = true;  // it releases nothing
  provider.end("task", AllocationStatus::completed, 0, "all of it");
  ASSERT_TRUE(notify());
  provider.runs.at("task").status = AllocationStatus::running;
  provider.runs.at("task").health = Health::healthy;
  const int renewals = provider.renewals;
  w.settle(5min);
  EXPECT_GT(provider.renewals, renewals) << "it has said so";
  EXPECT_EQ(task().status, AllocationStatus::completed);
  EXPECT_NE(task().health, Health::healthy);
  EXPECT_EQ(task().restarts, 0u);
  EXPECT_EQ(output(), "all of it");
  EXPECT_EQ(task("web").status, AllocationStatus::running);
  provider.hangs = false;
}

}  // namespace
}  // namespace dms::orchestrator
