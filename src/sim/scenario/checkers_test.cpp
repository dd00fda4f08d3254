// The checkers see what they look for: work and reservations that no node has agreed to.
#include "sim/scenario/checkers.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace dms::sim {
namespace {

struct CheckersTest : testing::Test {
  CheckersTest() { cluster.start(); }
  ~CheckersTest() override { cluster.stop(); }

  void start(Machine& at, const std::string& job, double cores, std::optional<Duration> deadline = {}) {
    executor::Request request;
    request.job_id = job;
    request.execution_id = executor::ExecutionId(fmt::format("run-{}", ++runs));
    request.engine.type = "null";
    request.engine.params.environment = {"FAKE_SECONDS=-1"};
    request.results_dir = cluster.folder() / request.execution_id.value;
    request.limits.cpu_cores = cores;
    if (deadline) request.deadline = cluster.world().now() + *deadline;
    const Result<void> started = cluster.world().run(at.host(), at.executor().start(std::move(request)));
    ASSERT_TRUE(started) << started.error().to_string();
  }
  void reserve(Machine& at, const std::string& id) {
    const capability::Resources resources = one_task(1, 64).allocations.at("task").resources;
    ASSERT_TRUE(cluster.world().run(at.host(), at.resources().commit(id, resources, cluster.world().now() + 1min)));
    ASSERT_TRUE(cluster.world().run(at.host(), at.resources().allocate(id)));
  }
  [[nodiscard]] std::vector<std::string> found() const {
    std::vector<std::string> properties;
    for (const Finding& finding : report.findings) properties.push_back(finding.property);
    return properties;
  }
  void expect(std::vector<std::string> properties) const { EXPECT_EQ(found(), properties) << report.summary(); }

  int runs = 0;
  Cluster cluster{5, {}, Wiring::memory};
  Machine& p = cluster.add("p", 2, 4);
  Machine& q = cluster.add("q", 2, 4);
  Scenario scenario;
  Report report;
  Checkers checkers{cluster, scenario, report};
};

TEST_F(CheckersTest, FindNothingWhereNothingIsWrong) {
  start(p, "e_a", 1, 10min);
  start(q, "e_b", 2, 10min);
  checkers.check();
  expect({});
}

TEST_F(CheckersTest, FindTwoRunsOfAnExclusiveAllocation) {
  checkers.add_exclusive("e");
  start(p, "e_a", 1, 10min);
  start(q, "e_a", 1, 10min);
  checkers.check();
  checkers.check();
  expect({"an exclusive allocation never runs twice"});
}

TEST_F(CheckersTest, FindAnOverlapThatIsLongerThanALease) {
  start(p, "e_a", 1, 1h);
  start(q, "e_a", 1, 1h);
  checkers.check();
  cluster.world().run_for(scenario.lease);
  checkers.check();
  expect({});
  cluster.world().run_for(Checkers::kOverlapMargin + 1s);
  checkers.check();
  expect({"a fast replacement overlaps for a lease at most"});
  EXPECT_GT(report.longest_overlap_seconds, 60);
}

TEST_F(CheckersTest, FindTwoRunsOnOneMachineAndTooMuchOnIt) {
  start(p, "e_a", 1, 10min);
  start(p, "e_a", 1.5, 10min);
  checkers.check();
  expect({"resources are never over-committed", "an allocation runs once on a machine"});
}

TEST_F(CheckersTest, FindWorkWithoutALease) {
  start(p, "e_a", 1);
  cluster.world().run_for(Checkers::kNoDeadline + 1s);
  checkers.check();
  expect({"nothing runs without a lease"});
}

TEST_F(CheckersTest, FindWhatIsReservedForADeploymentThatHasEnded) {
  checkers.has_ended("e");
  reserve(p, "e_a");
  checkers.check();
  expect({});
  cluster.world().run_for(scenario.lease + Checkers::kHeldMargin + 1s);
  reserve(p, "e_b");  // the node itself has released the other
  checkers.check();
  expect({"nothing is reserved without a deployment"});
}

TEST_F(CheckersTest, ExceptTheDiskOfEndedWorkUntilTheEnd) {
  checkers.has_ended("e");
  cluster.world().run_for(scenario.lease + Checkers::kHeldMargin + 1s);
  reserve(p, "e_a");
  capability::Resources disk;
  disk.disk = one_task(1, 64).allocations.at("task").resources.disk;
  ASSERT_TRUE(cluster.world().run(p.host(), p.resources().resize("e_a", disk)));
  checkers.check();
  expect({});
  checkers.check_that_nothing_is_left();
  expect({"each resource is released exactly once"});
}

TEST_F(CheckersTest, FindWhatIsLeftAtTheEnd) {
  start(p, "e_a", 1, 1h);
  reserve(q, "e_b");
  checkers.check_that_nothing_is_left();
  expect({"nothing is left at the end", "each resource is released exactly once"});
}

}  // namespace
}  // namespace dms::sim
