#include "orchestrator/supervision/trees.hpp"

#include <limits>

#include "orchestrator/deployment/dependencies.hpp"
#include "orchestrator/deployment/test_placed_record.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

/// "db" and "web" are restarted together, "job" is not restarted.
struct TreesTest : PlacedRecordTest {
  TreesTest() {
    for (const char* name : {"db", "web"})
      record.ensemble.allocations.at(name).failure_recovery = jobs::AllocationRecovery::one_for_all;
    for (auto& [name, entry] : record.manifest.allocations) record.starts[name] = entry.incarnation;
    look();
  }
  void look(Duration later = Duration(0)) {
    now += later;
    supervise(record, boot, now);
    record.boot_id = boot;
  }
  void fail(const std::string& name) {
    entry(name).status = AllocationStatus::failed;
    entry(name).exit_code = 3;
    look();
  }
  SteadyTime now{1h};
  std::string boot = "boot";
};

TEST_F(TreesTest, OnlyAnEnsembleThatAsksForItHasATree) {
  EXPECT_TRUE(record.tree);
  record.ensemble = ensemble();
  look();
  EXPECT_FALSE(record.tree);
  EXPECT_FALSE(is_held_back(record, "db"));
  EXPECT_TRUE(may_start(record, "db"));
  EXPECT_TRUE(strategies_of(record.ensemble).empty());
}

TEST_F(TreesTest, WhatRunsIsTakenAsItIs) {
  for (const char* name : {"db", "web", "job"}) {
    EXPECT_EQ(entry(name).status, AllocationStatus::running);
    EXPECT_EQ(starts_of(record, name), 1u);
  }
  EXPECT_TRUE(record.superseded.empty());
  EXPECT_EQ(strategies_of(record.ensemble), (json::StringMap{{"db", "one_for_all"}, {"web", "one_for_all"}}));
}

TEST_F(TreesTest, AnEndAndWhatFollowsFromItAreOneChange) {
  fail("db");
  EXPECT_EQ(entry("db").status, AllocationStatus::pending);
  EXPECT_EQ(entry("db").restarts, 1u);
  EXPECT_EQ(entry("db").reason, "exit code 3; it is started again");
  EXPECT_TRUE(is_held_back(record, "db")) << "it waits for its pause";
  EXPECT_TRUE(is_held_back(record, "web")) << "it is to be stopped";
  ASSERT_EQ(record.superseded.size(), 1u);
  EXPECT_TRUE(record.superseded.front().over) << "its run has ended";
  EXPECT_EQ(record.superseded.front().unfetched, std::vector<std::string>{"db"});
  EXPECT_TRUE(unplaced(record).empty());
  EXPECT_EQ(without_machine(record), (Unplaced{{"left", {"db"}}}));
}

TEST_F(TreesTest, TheStatusSaysWhenAnAllocationIsStartedAgain) {
  EXPECT_TRUE(pauses_of(record, boot, now).empty());
  fail("db");
  const auto pauses = pauses_of(record, boot, now + 2500ms);
  ASSERT_TRUE(pauses.contains("db"));
  EXPECT_EQ(pauses.at("db").left, 7500ms);
  AllocationState state = status_of(record).allocations.at("db");
  add_pause(state, pauses.at("db"));
  EXPECT_TRUE(state.reason.starts_with("exit code 3; it is started again")) << state.reason;
  EXPECT_EQ(Duration(state.pause_ns), 7500ms);
  EXPECT_TRUE(pauses_of(record, boot, now + 10s).empty());
}

TEST_F(TreesTest, WhatStaysDownIsNotStartedAgain) {
  fail("job");
  look(1h);
  EXPECT_EQ(entry("job").status, AllocationStatus::failed);
  EXPECT_EQ(entry("db").status, AllocationStatus::running);
}

TEST_F(TreesTest, ThePauseGoesOnInAnotherBootAndTimeInBetweenDoesNotCount) {
  record.ensemble.allocations.at("web").failure_recovery = jobs::AllocationRecovery::one_for_one;
  record.ensemble.allocations.at("db").failure_recovery = jobs::AllocationRecovery::one_for_one;
  look();
  fail("db");
  look(4s);
  boot = "another boot";
  now = SteadyTime(2min);
  look();
  look(5s);
  EXPECT_TRUE(is_held_back(record, "db"));
  look(1s);
  EXPECT_FALSE(is_held_back(record, "db"));
  EXPECT_TRUE(may_start(record, "db"));
}

TEST_F(TreesTest, AStateThatContradictsItselfBeginsAnew) {
  fail("db");
  record.tree->supervisors.at("").phase = 99;
  record.tree->allocations.at("web").attempt = -1;
  record.tree->at_ns = std::numeric_limits<std::int64_t>::min();
  look();
  EXPECT_EQ(starts_of(record, "db"), 1u);
  EXPECT_TRUE(may_start(record, "db"));
  EXPECT_FALSE(is_held_back(record, "web"));
  EXPECT_EQ(escalation_of(record), "");
}

TEST_F(TreesTest, ItIsReadAsItIsStored) {
  fail("db");
  const std::string text = json::encode(record);
  const Result<DeploymentRecord> read = read_record("d1", text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(json::encode(*read), text);
  EXPECT_EQ(starts_of(*read, "web"), 1u);
}

/// Both nodes recover; their allocations stay down.
struct NodeRestartTest : PlacedRecordTest {
  NodeRestartTest() {
    for (auto& [name, entry] : record.manifest.allocations) record.starts[name] = entry.incarnation;
  }
  void begin(jobs::NodeRecovery recovery) {
    for (auto& [name, node] : record.ensemble.nodes) node.failure_recovery = recovery;
    look();
  }
  void look(Duration later = Duration(0)) {
    now += later;
    supervise(record, "boot", now);
    record.boot_id = "boot";
  }
  void ends(const std::string& name, AllocationStatus status) {
    entry(name).status = status;
    entry(name).exit_code = 3;
    look();
  }
  void place_on(const std::string& peer, const std::string& node) {
    NodeManifest& placed = record.manifest.nodes[node];
    placed.id = node;
    placed.peer = peer;
    placed.handle.address = {peer, "root"};
    placed.allocations = record.ensemble.nodes.at(node).allocations;
    for (const std::string& name : placed.allocations) {
      entry(name).handle.address = {peer, name};
      entry(name).incarnation = name + "-2";
      entry(name).lease_ns = Duration(1min).count();
    }
    look();
  }
  std::string machine_of(const std::string& node) {
    const std::optional<NodeRestart> restart = restart_of(record, node);
    return restart ? restart->machine : "not started again";
  }
  SteadyTime now{1h};
};

TEST_F(NodeRestartTest, AllOfItIsStoppedAndThenStartedAgainOnTheMachineThatIsKnown) {
  begin(jobs::NodeRecovery::restart);
  EXPECT_EQ(strategies_of(record.ensemble).at("db"), "restart of its node");
  ends("db", AllocationStatus::failed);
  EXPECT_TRUE(is_held_back(record, "web")) << "it is to be stopped";
  EXPECT_EQ(machine_of("left"), "not started again") << "not all of it is stopped";
  ends("web", AllocationStatus::stopped);
  EXPECT_EQ(machine_of("left"), "p-left");
  EXPECT_FALSE(restart_of(record, "left")->elsewhere);
  EXPECT_FALSE(record.manifest.nodes.contains("left"));
  EXPECT_TRUE(unplaced(record).empty()) << "it waits for its pause";
  look(10s);
  EXPECT_EQ(unplaced(record), (Unplaced{{"left", {"db", "web"}}}));
  EXPECT_EQ(machine_of("right"), "not started again");
  EXPECT_EQ(starts_of(record, "job"), 1u);
}

TEST_F(NodeRestartTest, AMachineCountsOnceSomethingHasBegunThere) {
  begin(jobs::NodeRecovery::redeploy);
  ends("db", AllocationStatus::failed);
  ends("web", AllocationStatus::stopped);
  look(10s);
  EXPECT_TRUE(restart_of(record, "left")->elsewhere);
  place_on("p-new", "left");
  EXPECT_EQ(machine_of("left"), "p-left") << "it may refuse it";
  entry("db").status = AllocationStatus::running;
  look();
  EXPECT_EQ(machine_of("left"), "p-new");
  entry("web").status = AllocationStatus::running;
  look();
  EXPECT_EQ(machine_of("left"), "not started again") << "all of it is up";
}

TEST_F(NodeRestartTest, ALossIsNoFailureOfWhatStaysDown) {
  begin(jobs::NodeRecovery::restart);
  supersede_node(record, "left", false);
  look();
  EXPECT_EQ(unplaced(record), (Unplaced{{"left", {"db", "web"}}}));
  EXPECT_EQ(machine_of("left"), "not started again");
  EXPECT_EQ(starts_of(record, "db"), 1u);
}

TEST_F(NodeRestartTest, WhatStaysDownBesideWhatIsRestartedIsAFailureOfTheNode) {
  record.ensemble.allocations.at("db").failure_recovery = jobs::AllocationRecovery::one_for_one;
  begin(jobs::NodeRecovery::restart);
  EXPECT_EQ(strategies_of(record.ensemble).at("db"), "one_for_one");
  ends("web", AllocationStatus::failed);
  EXPECT_TRUE(is_held_back(record, "db")) << "it is to be stopped";
  ends("db", AllocationStatus::stopped);
  EXPECT_EQ(machine_of("left"), "p-left");
}

TEST_F(NodeRestartTest, WhatDependsOnItFailsOnlyIfItStaysDown) {
  record.ensemble.allocations.at("job").depends_on = {"db"};
  record.ensemble.allocations.at("job").conditions = {{"db", jobs::Condition::completed}};
  begin(jobs::NodeRecovery::restart);
  const auto readiness = [&] { return dependency(record, "job").readiness; };
  ends("db", AllocationStatus::failed);
  EXPECT_EQ(entry("db").status, AllocationStatus::failed);
  EXPECT_EQ(readiness(), Readiness::waits_for_completion) << "its node is being stopped";
  ends("web", AllocationStatus::stopped);
  EXPECT_EQ(readiness(), Readiness::waits_for_completion) << "it is started again";
  begin(jobs::NodeRecovery::stay_down);
  ends("db", AllocationStatus::failed);
  EXPECT_EQ(readiness(), Readiness::never);
}

TEST_F(NodeRestartTest, WhatDependsOnWhatAWrittenSupervisorNamesWaitsWhileThatIsStopped) {
  record.ensemble.supervisor.allocations = {"db", "web"};
  record.ensemble.escalation_strategy = jobs::EscalationStrategy::redeploy;
  record.ensemble.allocations.at("job").depends_on = {"db"};
  record.ensemble.allocations.at("job").conditions = {{"db", jobs::Condition::completed}};
  begin(jobs::NodeRecovery::stay_down);
  const auto readiness = [&] { return dependency(record, "job").readiness; };
  record.tree->supervisors.at("supervisor").restarts_ns.assign(10, 0);  // with one more it gives up
  ends("db", AllocationStatus::failed);
  EXPECT_EQ(entry("db").status, AllocationStatus::failed);
  EXPECT_EQ(readiness(), Readiness::waits_for_completion) << "its supervisor is being stopped";
  ends("web", AllocationStatus::stopped);
  EXPECT_EQ(entry("db").status, AllocationStatus::pending);
  EXPECT_EQ(readiness(), Readiness::waits_for_completion) << "it is started again";
}

TEST_F(NodeRestartTest, TheMachineIsReadAsItIsStored) {
  begin(jobs::NodeRecovery::redeploy);
  ends("job", AllocationStatus::failed);
  const std::string text = json::encode(record);
  Result<DeploymentRecord> read = read_record("d1", text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(json::encode(*read), text);
  record = std::move(*read);
  EXPECT_EQ(machine_of("right"), "p-right");
}

}  // namespace
}  // namespace dms::orchestrator
