// Updates by which two nodes exchange their machines.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct ExchangeTest : LossTest {
  /// `node` with `task` on one machine, `second` with `web` on the other one.
  void run_both() {
    DeploymentRecord made = record();
    jobs::Ensemble& ensemble = made.ensemble;
    ensemble.allocations["web"] = ensemble.allocations.at("task");
    ensemble.nodes["second"] = ensemble.nodes.at("node");
    ensemble.nodes.at("second").allocations = {"web"};
    ensemble.nodes.at("second").peer = other.peer();
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    ASSERT_TRUE(provider.runs_now("task") && other.runs_now("web"));
  }
  Result<void> exchange() {
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.nodes.at("node").peer = other.peer();
    ensemble.nodes.at("second").peer = provider.peer();
    return w.run(a, deployment->update(ensemble));
  }
};

TEST_F(ExchangeTest, NodesExchangeMachinesThatHaveRoomForBoth) {
  run_both();
  const Result<void> updated = exchange();
  ASSERT_TRUE(updated) << updated.error().to_string();
  ASSERT_TRUE(until([&] { return provider.runs_now("web") && other.runs_now("task"); }, 5min));
  EXPECT_TRUE(settles());
  EXPECT_FALSE(provider.runs.contains("task"));
  EXPECT_FALSE(other.runs.contains("web"));
}

TEST_F(ExchangeTest, AMachineWithoutRoomForBothIsTheReasonOfTheRefusal) {
  run_both();
  other.max_cores = 0;  // are free
  const Result<void> updated = exchange();
  ASSERT_FALSE(updated);
  const std::string why = updated.error().to_string();
  EXPECT_NE(why.find("nothing is changed"), std::string::npos) << why;
  EXPECT_NE(why.find(fmt::format("node second runs on {} until the update is accepted, and node node gets that machine "
                                 "only if it has room for both at once",
                                 other.peer())),
            std::string::npos)
      << why;
  EXPECT_EQ(why.find("node node runs on"), std::string::npos) << "that machine has bid: " << why;
  EXPECT_TRUE(provider.runs_now("task") && other.runs_now("web"));
}

}  // namespace
}  // namespace dms::orchestrator
