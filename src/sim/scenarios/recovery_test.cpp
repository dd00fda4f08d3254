// Deployments that survive: daemons that are killed, machines that are lost, partitions, updates, over the real stack in
// virtual time.
#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/deployment.hpp"
#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

using protocol::AllocationStatus;

struct Recovery : testing::Test {
  Recovery() { cluster.start(); }
  ~Recovery() override { cluster.stop(); }

  /// One node with one allocation, whose work takes so long.
  static jobs::Ensemble work(int seconds, jobs::AllocationType type = jobs::AllocationType::task) {
    jobs::Ensemble ensemble =
        one_task(1, 512, {{"FAKE_SECONDS", std::to_string(seconds)}, {"FAKE_OUT", "all of the output"}});
    ensemble.allocations["task"].type = type;
    ensemble.nodes["node"].lease_ns = Duration(30s).count();
    return ensemble;
  }
  void run(const jobs::Ensemble& ensemble) {
    const auto deployed = cluster.deploy(user, ensemble);
    ASSERT_TRUE(deployed) << deployed.error().to_string();
    id = *deployed;
    ASSERT_TRUE(cluster.wait_for(user, id, {"Running"})) << cluster.status(user, id)->error;
  }
  protocol::DeploymentStatusReply status() { return cluster.status(user, id).value(); }
  protocol::DeploymentStatusReply ended(Duration limit = 15min) {
    EXPECT_TRUE(cluster.wait_for(user, id, {"Completed", "Failed"}, limit));
    return status();
  }
  std::string output() {
    protocol::DeploymentLogsRequest request;
    request.ensemble_id = id;
    request.allocation_name = "task";
    request.stream = "stdout";
    const auto page = cluster.call(user, protocol::kDeploymentLogs, request);
    if (!page) return page.error().to_string();
    return page->error.empty() ? std::string(as_text(page->data)) : page->error;
  }
  /// How many runs there are on both machines at this moment.
  std::size_t running() {
    std::size_t count = 0;
    for (Machine* machine : {&small, &large})
      for (const auto& [execution, work] : machine->work().works)
        count += work.state == executor::State::running && !work.over ? 1 : 0;
    return count;
  }
  void expect_clean(Machine& machine) {
    EXPECT_EQ(machine.resources().list().size(), 0u) << machine.name() << " still holds resources";
    EXPECT_EQ(machine.executor().size(), 0u) << machine.name() << " still has executions";
    EXPECT_EQ(machine.node().provider().allocations(), 0u) << machine.name() << " still has allocations";
  }

  Cluster cluster{31};
  Machine& user = cluster.add("user", 0, 0);
  Machine& small = cluster.add("small", 2, 2);
  Machine& large = cluster.add("large", 16, 64);
  std::string id;
};

TEST_F(Recovery, ATaskGoesOnWhenBothDaemonsAreKilledAtOnce) {
  run(work(300));
  const std::string run_before = status().allocations.at("task").incarnation;
  cluster.kill_daemon(user);
  cluster.kill_daemon(small);
  cluster.world().run_for(5s);
  EXPECT_EQ(running(), 1u) << "the work does not notice";
  cluster.restart(small);
  cluster.restart(user);
  cluster.world().run_for(1min);
  EXPECT_EQ(status().status, "Running");
  EXPECT_EQ(status().allocations.at("task").incarnation, run_before);
  const auto end = ended();
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").incarnation, run_before);
  EXPECT_EQ(output(), "all of the output");
  cluster.world().run_for(1min);
  expect_clean(small);
}

TEST_F(Recovery, ATaskOfALostMachineRunsElsewhereOnceItsLeaseHasEnded) {
  run(work(120));
  cluster.crash(small);
  const auto end = ended();
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").peer, large.peer().to_string());
  EXPECT_EQ(end.allocations.at("task").restarts, 1u);
  EXPECT_EQ(output(), "all of the output");
}

struct ServiceRecovery : Recovery {
  void run_at_small() {
    run(work(100'000, jobs::AllocationType::service));
    ASSERT_EQ(status().allocations.at("task").peer, small.peer().to_string());
    cluster.world().run_for(20s);
  }
  bool large_serves(Duration limit) {
    return cluster.world().run_until(
        [&] {
          return std::ranges::any_of(large.work().works, [](const auto& entry) {
            return entry.second.state == executor::State::running && !entry.second.over;
          });
        },
        limit);
  }
};

/// As of a machine without power: no connection ends.
TEST_F(ServiceRecovery, AServiceOfAMachineThatIsCutOffRunsElsewhereWithinTenSeconds) {
  run_at_small();
  cluster.world().cut(user.host(), small.host());
  EXPECT_TRUE(large_serves(10s));
}

TEST_F(ServiceRecovery, AServiceOfADaemonThatIsKilledRunsElsewhereWithinTenSeconds) {
  run_at_small();
  cluster.kill_daemon(small);
  EXPECT_TRUE(large_serves(10s));
}

TEST_F(ServiceRecovery, AServiceStaysWhenItsDaemonIsBackInThreeSeconds) {
  run_at_small();
  const std::string first = status().allocations.at("task").incarnation;
  for (int i = 0; i < 4; ++i) {
    cluster.kill_daemon(small);
    EXPECT_FALSE(large_serves(3s)) << i;
    cluster.restart(small);
    EXPECT_FALSE(large_serves(20s + i * 500ms)) << i;
  }
  EXPECT_EQ(status().allocations.at("task").incarnation, first);
  EXPECT_EQ(status().allocations.at("task").status, AllocationStatus::running);
  EXPECT_EQ(running(), 1u);
}

TEST_F(Recovery, ATaskNeverRunsTwiceWhilePartitioned) {
  run(work(600));
  ASSERT_EQ(running(), 1u);
  cluster.world().cut(user.host(), small.host());
  const SteadyTime begun = cluster.world().now();
  std::size_t most = 0;
  while (cluster.world().now() < begun + 4min) {
    cluster.world().run_for(500ms);
    most = std::max(most, running());
  }
  EXPECT_EQ(most, 1u);
  EXPECT_EQ(status().allocations.at("task").peer, large.peer().to_string());
  cluster.world().cut(user.host(), small.host(), false);
  cluster.world().run_for(5min);
  EXPECT_EQ(running(), 1u);
  expect_clean(small);
}

TEST_F(Recovery, AShortPartitionChangesNothing) {
  run(work(600));
  const std::string run_before = status().allocations.at("task").incarnation;
  cluster.world().cut(user.host(), small.host());
  cluster.world().run_for(10s);
  cluster.world().cut(user.host(), small.host(), false);
  cluster.world().run_for(3min);
  EXPECT_EQ(status().allocations.at("task").incarnation, run_before);
  EXPECT_EQ(status().allocations.at("task").status, AllocationStatus::running);
  EXPECT_EQ(running(), 1u);
}

TEST_F(Recovery, WorkWhoseOrchestratorIsGoneForGoodEnds) {
  run(work(100'000, jobs::AllocationType::service));
  cluster.crash(user);
  cluster.world().run_for(2min);
  EXPECT_EQ(running(), 0u);
}

TEST_F(Recovery, AnUpdateAddsAndRemovesANodeAndLeavesTheOther) {
  jobs::Ensemble ensemble = work(100'000, jobs::AllocationType::service);
  run(ensemble);
  const std::string run_before = status().allocations.at("task").incarnation;

  ensemble.allocations["more"] = ensemble.allocations["task"];
  ensemble.allocations["more"].dns_name = "more";
  ensemble.nodes["other"] = ensemble.nodes["node"];
  ensemble.nodes["other"].allocations = {"more"};
  protocol::DeploymentUpdateRequest update{id, ensemble};
  auto done = cluster.call(user, protocol::kDeploymentUpdate, update);
  ASSERT_TRUE(done && done->ok) << (done ? done->error : done.error().to_string());
  ASSERT_TRUE(cluster.world().run_until([&] { return running() == 2; }, 2min));
  cluster.world().run_for(5s);
  EXPECT_EQ(status().allocations.at("more").status, AllocationStatus::running);
  EXPECT_EQ(status().allocations.at("task").incarnation, run_before);

  update.ensemble.allocations.erase("more");
  update.ensemble.nodes.erase("other");
  done = cluster.call(user, protocol::kDeploymentUpdate, update);
  ASSERT_TRUE(done && done->ok) << (done ? done->error : done.error().to_string());
  ASSERT_TRUE(cluster.world().run_until([&] { return running() == 1; }, 2min));
  EXPECT_EQ(status().allocations.at("task").incarnation, run_before);
  EXPECT_FALSE(status().allocations.contains("more"));

  const auto shut = cluster.call(user, protocol::kDeploymentShutdown, protocol::DeploymentId{id});
  ASSERT_TRUE(shut && shut->ok) << (shut ? shut->error : shut.error().to_string());
  expect_clean(small);
  expect_clean(large);
  const auto late = cluster.call(user, protocol::kDeploymentUpdate, update);
  ASSERT_TRUE(late);
  EXPECT_NE(late->error.find("Completed already"), std::string::npos) << late->error;
}

TEST_F(Recovery, WhatWaitsForACompletionStartsAfterIt) {
  jobs::Ensemble ensemble = work(60);
  ensemble.allocations["after"] = ensemble.allocations["task"];
  ensemble.allocations["after"].dns_name = "after";
  ensemble.allocations["after"].depends_on = {"task"};
  ensemble.allocations["after"].conditions = {{"task", jobs::Condition::completed}};
  ensemble.nodes["node"].allocations.emplace_back("after");
  run(ensemble);
  EXPECT_EQ(status().allocations.at("after").status, AllocationStatus::pending);
  ASSERT_TRUE(cluster.world().run_until([&] { return running() == 1; }, 10s));
  const auto end = ended();
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("after").status, AllocationStatus::completed);
}

TEST_F(Recovery, WhatWaitsForACompletionThatFailsHasFailedByName) {
  jobs::Ensemble ensemble = work(30);
  ensemble.allocations["after"] = ensemble.allocations["task"];
  ensemble.allocations["after"].dns_name = "after";
  ensemble.allocations["after"].depends_on = {"task"};
  ensemble.allocations["after"].conditions = {{"task", jobs::Condition::completed}};
  ensemble.allocations["task"].execution.params["environment"] = json::Array{"FAKE_SECONDS=30", "FAKE_EXIT_CODE=2"};
  ensemble.nodes["node"].allocations.emplace_back("after");
  run(ensemble);
  const auto end = ended();
  EXPECT_EQ(end.status, "Failed");
  EXPECT_EQ(end.allocations.at("after").reason, "after depends on task (completed), which is failed");
  cluster.world().run_for(1min);
  expect_clean(small);
}

struct UnhealthyWork : Recovery {
  void is_restarted(jobs::AllocationType type);
};

void UnhealthyWork::is_restarted(jobs::AllocationType type) {
  jobs::Ensemble ensemble = work(100'000, type);
  jobs::Allocation& unhealthy = ensemble.allocations["task"];
  unhealthy.execution.params["environment"] = json::Array{"FAKE_SECONDS=100000", "FAKE_UNHEALTHY_AFTER=60"};
  unhealthy.healthcheck.type = jobs::HealthCheckType::tcp;
  unhealthy.healthcheck.port = 80;
  unhealthy.healthcheck.interval_ns = Duration(5s).count();
  run(ensemble);
  const std::string run_before = status().allocations.at("task").incarnation;
  const SteadyTime limit = cluster.world().now() + 5min;
  while (status().allocations.at("task").restarts == 0 && cluster.world().now() < limit) cluster.world().run_for(1s);
  ASSERT_EQ(status().allocations.at("task").restarts, 1u);
  cluster.world().run_for(20s);
  EXPECT_EQ(status().allocations.at("task").status, AllocationStatus::running);
  EXPECT_EQ(status().allocations.at("task").health, protocol::Health::healthy);
  EXPECT_NE(status().allocations.at("task").incarnation, run_before);
  EXPECT_EQ(running(), 1u);
}

TEST_F(UnhealthyWork, IsRestartedIfItIsAService) { is_restarted(jobs::AllocationType::service); }
TEST_F(UnhealthyWork, IsRestartedIfItIsATask) { is_restarted(jobs::AllocationType::task); }

}  // namespace
}  // namespace dms::sim
