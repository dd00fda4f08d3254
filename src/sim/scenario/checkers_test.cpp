// The checkers see what they look for: work and reservations that no node has agreed to.
#include "sim/scenario/checkers.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.hpp"

namespace dms::sim {
namespace {

capability::Resources resources_of(double cores, std::uint64_t ram_mib, std::uint64_t disk_mib) {
  capability::Resources resources = one_task(cores, ram_mib).allocations.at("task").resources;
  resources.disk.size = {disk_mib * capability::kMiB};
  return resources;
}

struct CheckersTest : testing::Test {
  CheckersTest() {
    for (const auto& machine : cluster.machines()) checkers.watch(*machine);
    cluster.start();
  }
  ~CheckersTest() override { cluster.stop(); }

  void run(Machine& at, const std::string& job, double cores, std::optional<Duration> deadline = {},
           std::vector<std::string> environment = {}) {
    executor::Request request;
    request.job_id = job;
    request.execution_id = executor::ExecutionId(fmt::format("run-{}", ++runs));
    request.engine.type = "null";
    request.engine.params.environment = std::move(environment);
    request.engine.params.environment.emplace_back("FAKE_SECONDS=-1");
    request.results_dir = cluster.folder() / "jobs" / job / request.execution_id.value;
    request.limits.cpu_cores = cores;
    if (deadline) request.deadline = cluster.world().now() + *deadline;
    const executor::ExecutionId id = request.execution_id;
    const Result<void> started = cluster.world().run(at.host(), at.executor().start(std::move(request)));
    ASSERT_TRUE(started) << started.error().to_string();
    checkers.begins(at, id);
  }
  [[nodiscard]] Result<void> commit(Machine& at, const std::string& id, const capability::Resources& resources) {
    return cluster.world().run(at.host(), at.resources().commit(id, resources, cluster.world().now() + 1min));
  }
  void reserve(Machine& at, const std::string& id, const capability::Resources& resources) {
    ASSERT_TRUE(commit(at, id, resources));
    ASSERT_TRUE(cluster.world().run(at.host(), at.resources().allocate(id)));
  }
  void reserve(Machine& at, const std::string& id, double cores = 1) { reserve(at, id, resources_of(cores, 64, 64)); }
  [[nodiscard]] Result<void> release(Machine& at, const std::string& id) {
    return cluster.world().run(at.host(), at.resources().deallocate(id));
  }
  /// Reserved, and running.
  void start(Machine& at, const std::string& job, double cores, std::optional<Duration> deadline = {},
             std::vector<std::string> environment = {}) {
    started.push_back({&at, job, cores});
    if (!at.resources().find(job)) reserve(at, job, cores);
    run(at, job, cores, deadline, std::move(environment));
  }
  void check() {
    for (const Started& work : started)  // the node itself releases what it has no allocation of
      if (!work.at->resources().find(work.job)) reserve(*work.at, work.job, work.cores);
    checkers.check();
  }
  [[nodiscard]] std::vector<std::string> found() const {
    std::vector<std::string> properties;
    for (const Finding& finding : report.findings) properties.push_back(finding.property);
    return properties;
  }
  void expect(std::vector<std::string> properties) const { EXPECT_EQ(found(), properties) << report.summary(); }

  struct Started {
    Machine* at;
    std::string job;
    double cores;
  };
  std::vector<Started> started;
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
  check();
  expect({});
}

TEST_F(CheckersTest, FindTwoRunsOfAnExclusiveAllocation) {
  checkers.add_exclusive("e");
  start(p, "e_a", 1, 10min);
  start(q, "e_a", 1, 10min);
  check();
  check();
  expect({"an exclusive allocation never runs twice"});
}

TEST_F(CheckersTest, FindAnOverlapThatIsLongerThanALease) {
  start(p, "e_a", 1, 1h);
  start(q, "e_a", 1, 1h);
  check();
  cluster.world().run_for(scenario.lease);
  check();
  expect({});
  cluster.world().run_for(Checkers::kOverlapMargin + 1s);
  check();
  expect({"a fast replacement overlaps for a lease at most"});
  EXPECT_GT(report.longest_overlap_seconds, 60);
}

TEST_F(CheckersTest, FindTwoRunsOnOneMachineAndTooMuchOnIt) {
  start(p, "e_a", 1, 10min);
  start(p, "e_a", 1.5, 10min);
  check();
  expect({"resources are never over-committed", "resources are never over-committed", "what runs is allocated",
          "an allocation runs once on a machine"});
}

TEST_F(CheckersTest, FindWorkWithoutALease) {
  start(p, "e_a", 1);
  cluster.world().run_for(Checkers::kNoDeadline + 1s);
  check();
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
  expect({"nothing is left at the end", "each resource is released exactly once",
          "each resource is released exactly once"});
}

TEST_F(CheckersTest, FindALedgerThatPromisesMoreThanThereIs) {
  capability::Resources twice = resources_of(4, 8192, 8192);
  ASSERT_TRUE(cluster.world().run(p.host(), p.resources().onboard(twice, twice)));
  for (const capability::Resources& half :
       {resources_of(1.5, 64, 64), resources_of(0.5, 3000, 64), resources_of(0.5, 64, 3000)}) {
    Report one;
    Checkers fresh(cluster, scenario, one);
    reserve(p, "e_a", half);
    fresh.check();
    EXPECT_TRUE(one.held()) << one.summary();
    ASSERT_TRUE(commit(p, "e_b", half));
    fresh.check();
    ASSERT_EQ(one.findings.size(), 1U) << one.summary();
    EXPECT_EQ(one.findings[0].property, "resources are never over-committed");
    ASSERT_TRUE(release(p, "e_a"));
    ASSERT_TRUE(cluster.world().run(p.host(), p.resources().uncommit("e_b")));
  }
}

TEST_F(CheckersTest, FindWhatIsStoredBeyondTheMachineAlsoWhileItIsDown) {
  resources::Reservation more;
  more.state = resources::State::allocated;
  more.resources = resources_of(1, 64, 64);
  cluster.kill_daemon(q);
  for (Machine* at : {&p, &q})
    for (const char* id : {"e_a", "e_b", "e_c"})
      ASSERT_TRUE(at->stored().put_value(resources::kReservationCollection, id, more));
  for (std::uint64_t i = 0; i < Checkers::kStoredEvery; ++i) checkers.check();
  expect({"resources are never over-committed", "resources are never over-committed"});
}

TEST_F(CheckersTest, FindWorkThatTheLedgerDoesNotCount) {
  reserve(p, "e_a", 1.5);
  run(p, "e_b", 1, 10min);
  checkers.check();
  expect({"resources are never over-committed", "what runs is allocated"});
}

TEST_F(CheckersTest, FindWorkThatTakesMoreThanIsAllocatedToIt) {
  reserve(p, "e_a", 0.5);
  run(p, "e_a", 1, 10min);
  checkers.check();
  expect({"what runs is allocated"});
  ASSERT_TRUE(commit(q, "e_b", resources_of(1, 64, 64)));
  run(q, "e_b", 1, 10min);
  checkers.check();
  expect({"what runs is allocated", "what runs is allocated"});
}

TEST_F(CheckersTest, FindWorkThatTakesMoreDiskThanThereIs) {
  start(p, "e_a", 0.5, 10min, {"FAKE_DISK_MIB=3000"});
  check();
  expect({});
  start(p, "e_b", 0.5, 10min, {"FAKE_DISK_MIB=3000"});
  check();
  expect({"resources are never over-committed", "resources are never over-committed"});
}

TEST_F(CheckersTest, FindASecondRelease) {
  reserve(p, "e_a");
  ASSERT_TRUE(release(p, "e_a"));
  reserve(p, "e_a");
  ASSERT_TRUE(release(p, "e_a"));
  EXPECT_FALSE(release(p, "e_b")) << "it was never reserved";
  checkers.check();
  expect({});
  EXPECT_FALSE(release(p, "e_a"));
  expect({"each resource is released exactly once"});
}

TEST_F(CheckersTest, AReleaseMayBeRepeatedByTheNextDaemonAndAfterARefusedWrite) {
  reserve(p, "e_a");
  ASSERT_TRUE(release(p, "e_a"));
  cluster.kill_daemon(p);
  cluster.restart(p);
  EXPECT_FALSE(release(p, "e_a"));
  reserve(q, "e_b");
  ASSERT_TRUE(release(q, "e_b"));
  cluster.set_disk_full(q, true);
  EXPECT_FALSE(commit(q, "e_c", resources_of(1, 64, 64)));
  cluster.set_disk_full(q, false);
  EXPECT_FALSE(release(q, "e_b"));
  checkers.check();
  expect({});
}

TEST_F(CheckersTest, FindWhatIsHeldWithoutBeingReserved) {
  p.resources().watch({});  // what comes is not told, as if it came back after its release
  reserve(p, "e_a");
  checkers.check();
  expect({"each resource is released exactly once"});
}

TEST_F(CheckersTest, FindCollectedOutputThatNoRunHasPrinted) {
  start(p, "e_a", 1, 10min, {"FAKE_OUT=hello\n", "FAKE_ERR=@RUN@: trouble\n"});
  checkers.deploys("e", q);
  const std::filesystem::path collected = q.work_dir() / "deployments" / "e" / "a";
  std::filesystem::create_directories(collected);
  ASSERT_TRUE(write_file(collected / "stdout.log", "hello\n"));
  ASSERT_TRUE(write_file(collected / "stderr.log", "run-1"));
  check();
  expect({});
  ASSERT_TRUE(write_file(collected / "stderr.log", "run-2: trouble\n"));
  check();
  expect({"what is collected is what the work has printed"});
}

TEST_F(CheckersTest, FindOutputThatIsMissingOfARunThatWasStopped) {
  for (Machine* at : {&p, &q})
    at->on_end([this](const executor::Request& request, const executor::ExecutionResult& result) {
      checkers.ends(request.execution_id, result);
    });
  start(p, "e_a", 1, 10min, {"FAKE_OUT=0123456789", "FAKE_WRITE_SECONDS=10"});
  cluster.world().run_for(5s);
  const std::filesystem::path collected = q.work_dir() / "deployments" / "e" / "a";
  std::filesystem::create_directories(collected);
  ASSERT_TRUE(write_file(collected / "stdout.log", "0123"));
  EXPECT_FALSE(checkers.missing_output("run-1", collected)) << "it runs";
  ASSERT_TRUE(cluster.world().run(p.host(), p.executor().stop(executor::ExecutionId("run-1"), 1s)));
  EXPECT_EQ(checkers.missing_output("run-1", collected), "stdout has 4 of 5 bytes");
  ASSERT_TRUE(write_file(collected / "stdout.log", "01234"));
  EXPECT_EQ(checkers.missing_output("run-1", collected), "");
  start(q, "e_b", 1, 10min, {"FAKE_OUT=lost"});
  cluster.crash(q);
  EXPECT_FALSE(checkers.missing_output("run-2", collected)) << "what runs at a loss of power has no end";
}

}  // namespace
}  // namespace dms::sim
