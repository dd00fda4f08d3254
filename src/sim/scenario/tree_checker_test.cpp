// The checker says nothing of a tree that is as it should be, and says which child of any other is wrong, and why.
#include "sim/scenario/tree_checker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "orchestrator/supervision/trees.hpp"
#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

using jobs::AllocationRecovery;
using supervision::Phase;
using Lines = std::vector<std::string>;

/// Services a, b and c of one node, on the machine p.
struct TreeCheckerTest : testing::Test {
  void make(AllocationRecovery recovery, std::uint32_t redundancy = 0) {
    const jobs::Ensemble one = one_task(1, 64);
    ensemble = {};
    for (const char* name : {"a", "b", "c"}) {
      jobs::Allocation& made = ensemble.allocations[name];
      made = one.allocations.at("task");
      made.type = jobs::AllocationType::service;
      made.dns_name = name;
      made.failure_recovery = recovery;
      ensemble.nodes["node"].allocations.emplace_back(name);
    }
    ensemble.nodes.at("node").lease_ns = Duration(1min).count();
    ensemble.nodes.at("node").redundancy = redundancy;
    begin();
  }
  void begin() {
    record = {};
    runs.clear();
    running.clear();
    record.id = "d";
    record.ensemble = ensemble;
    record.boot_id = "boot";
    record.status = protocol::DeploymentStatus::running;
    protocol::NodeManifest& placed = record.manifest.nodes["node"];
    placed.id = "node";
    placed.peer = "p";
    placed.handle.address = {"p", "root"};
    placed.allocations = ensemble.nodes.at("node").allocations;
    checker.emplace("d", ensemble);
    for (const char* name : {"a", "b", "c"}) run(name);
    orchestrator::supervise(record, "boot", now);
  }
  /// The next run of it begins.
  void run(const std::string& name) {
    protocol::AllocationManifest& entry = record.manifest.allocations[name];
    const std::string run = fmt::format("{}-{}", name, ++runs[name]);
    entry.node_id = "node";
    entry.handle.address = {"p", name};
    entry.incarnation = run;
    entry.lease_ns = Duration(1min).count();
    entry.status = protocol::AllocationStatus::running;
    record.starts[name] = run;
    checker->begins(name, run, "p", now);
    running.push_back({name, run, "p", "p"});
  }
  void ends(const std::string& name, int exit_code, bool stopped = false) {
    checker->ends(name, fmt::format("{}-{}", name, runs[name]), exit_code, stopped, now);
    std::erase_if(running, [&](const TreeChecker::Running& one) { return one.allocation == name; });
  }
  /// The same, and the orchestrator knows it.
  void fail_run(const std::string& name) {
    ends(name, 1);
    protocol::AllocationManifest& entry = record.manifest.allocations.at(name);
    entry.status = protocol::AllocationStatus::failed;
    entry.exit_code = 1;
    entry.collected = true;
    orchestrator::supervise(record, "boot", now);
  }
  Lines check() {
    TreeChecker::Seen seen;
    seen.now = now;
    seen.record = &record;
    seen.running = running;
    seen.is_calm = calm;
    seen.looks_for_free = true;
    seen.free = &free;
    Lines found;
    for (const TreeChecker::Wrong& wrong : checker->check(seen))
      found.push_back(fmt::format("{}: {}", wrong.property, wrong.detail));
    return found;
  }
  Lines pass(Duration time) {
    now += time;
    return check();
  }
  orchestrator::SupervisedState& state(const std::string& name) { return record.tree->allocations.at(name); }
  orchestrator::SupervisedState& group() { return record.tree->supervisors.at("node:node"); }
  static void set(orchestrator::SupervisedState& state, Phase phase) { state.phase = static_cast<int>(phase); }
  static testing::AssertionResult says(const Lines& found, std::string_view text) {
    if (std::ranges::any_of(found, [&](const std::string& line) { return line.contains(text); }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << "\"" << text << "\" is not in: " << fmt::format("{}", fmt::join(found, "\n"));
  }

  jobs::Ensemble ensemble;
  orchestrator::DeploymentRecord record;
  std::optional<TreeChecker> checker;
  std::map<std::string, int> runs;
  std::vector<TreeChecker::Running> running;
  std::vector<TreeChecker::Free> free;
  bool calm = true;
  SteadyTime now{1h};
};

TEST_F(TreeCheckerTest, SaysNothingOfATreeThatIsAsItShouldBe) {
  make(AllocationRecovery::one_for_one);
  EXPECT_EQ(check(), Lines{});
  EXPECT_EQ(pass(61s), Lines{});
  EXPECT_EQ(checker->compared(), 3u);
  fail_run("b");
  EXPECT_EQ(state("b").phase, static_cast<int>(Phase::waiting));
  EXPECT_EQ(check(), Lines{});
  now += 11s;
  orchestrator::supervise(record, "boot", now);
  EXPECT_EQ(state("b").phase, static_cast<int>(Phase::starting));
  EXPECT_EQ(check(), Lines{});
  run("b");
  orchestrator::supervise(record, "boot", now);
  EXPECT_EQ(pass(61s), Lines{});
  EXPECT_EQ(checker->failures(), 1u);
  EXPECT_EQ(checker->compared(), 6u);
}

TEST_F(TreeCheckerTest, FindsSupervisorsAndAllocationsThatAreNotThoseOfTheEnsemble) {
  make(AllocationRecovery::one_for_one);
  record.tree->allocations["x"] = state("a");
  EXPECT_TRUE(says(check(), "its tree has the allocations x, which the ensemble does not ask for"));
  record.tree->allocations.erase("x");
  EXPECT_EQ(check(), Lines{});
  record.tree->supervisors.erase("node:node");
  EXPECT_TRUE(says(check(), "its tree lacks the supervisors node:node"));
  record.tree.reset();
  EXPECT_TRUE(says(check(), "it has no tree"));
}

TEST_F(TreeCheckerTest, FindsASupervisorThatRestartsMoreOftenThanItMay) {
  make(AllocationRecovery::one_for_one);
  calm = false;
  group().restarts_ns.assign(10, 0);
  EXPECT_EQ(check(), Lines{});
  group().restarts_ns.push_back(0);
  EXPECT_TRUE(says(check(), "node:node has made 11 restarts within its period and may make 10"));
}

TEST_F(TreeCheckerTest, FindsWhatIsUpBelowASupervisorThatHasGivenUp) {
  make(AllocationRecovery::one_for_one);
  set(group(), Phase::idle);
  const Lines found = check();
  for (const char* text : {"a is running and node:node above it is idle", "b is running and", "c is running and"})
    EXPECT_TRUE(says(found, text));
}

TEST_F(TreeCheckerTest, FindsAStartBeforeItsTurn) {
  make(AllocationRecovery::rest_for_one);
  set(state("a"), Phase::waiting);
  set(state("c"), Phase::starting);
  EXPECT_TRUE(says(check(), "c is started by node:node before a"));
  make(AllocationRecovery::one_for_one);
  set(state("a"), Phase::waiting);
  set(state("c"), Phase::starting);
  EXPECT_EQ(check(), Lines{}) << "each by itself";
}

TEST_F(TreeCheckerTest, FindsAManifestThatDisagrees) {
  make(AllocationRecovery::one_for_one);
  record.manifest.allocations.at("b").status = protocol::AllocationStatus::completed;
  EXPECT_TRUE(says(check(), "b is running in the tree and completed in the manifest"));
  record.manifest.allocations.at("b").status = protocol::AllocationStatus::running;
  set(state("b"), Phase::gone);
  EXPECT_TRUE(says(check(), "b is gone in the tree and running in the manifest"));
}

TEST_F(TreeCheckerTest, WhatIsBelowASupervisorThatWaitsWaitsWithIt) {
  make(AllocationRecovery::one_for_one);
  calm = false;
  set(group(), Phase::waiting);
  for (const char* name : {"a", "b", "c"}) {
    set(state(name), Phase::idle);
    record.manifest.allocations.at(name).status = protocol::AllocationStatus::pending;
  }
  EXPECT_EQ(check(), Lines{});
  record.manifest.allocations.at("b").status = protocol::AllocationStatus::stopped;
  EXPECT_TRUE(says(check(), "b is idle in the tree and stopped in the manifest"));
}

TEST_F(TreeCheckerTest, FindsWhatRunsAlthoughItIsDownWhateverHappensToMachines) {
  make(AllocationRecovery::one_for_one);
  calm = false;
  set(state("b"), Phase::waiting);
  EXPECT_EQ(check(), Lines{});
  EXPECT_EQ(pass(1min + TreeChecker::kStops), Lines{});
  EXPECT_TRUE(says(pass(1s), "b is waiting in the tree for 121 s, and its run b-1 goes on at p"));
}

TEST_F(TreeCheckerTest, FindsTwoRunsWithoutALoss) {
  make(AllocationRecovery::one_for_one);
  running.push_back({"b", "b-0", "q", "q"});
  EXPECT_EQ(check(), Lines{});
  EXPECT_TRUE(says(pass(TreeChecker::kSettled), "b runs as b-1 on p and as b-0 on q, and neither was lost"));
}

TEST_F(TreeCheckerTest, FindsRestartsWithoutAFailure) {
  make(AllocationRecovery::one_for_one);
  check();
  group().restarts_ns = {0};
  state("a").starts = 2;
  const Lines found = pass(61s);
  EXPECT_TRUE(says(found, "node:node has counted 1 restarts, and its allocations have failed 0 times: none"));
  EXPECT_TRUE(says(found, "a was started 2 times, and failures call for 1: none"));
  calm = false;
  EXPECT_EQ(check(), Lines{}) << "a machine was lost";
}

TEST_F(TreeCheckerTest, FindsAFailureThatIsNotCounted) {
  make(AllocationRecovery::one_for_one);
  check();
  pass(1s);
  ends("b", 1);
  run("b");  // by whomever
  const Lines found = pass(61s);
  EXPECT_TRUE(says(found, "node:node has counted 0 restarts, and its allocations have failed 1 times: b at 3601.0 s"));
  EXPECT_TRUE(says(found, "b has run 2 times, and its supervisor has started it 1 times"));
}

TEST_F(TreeCheckerTest, FindsWhatIsNotRestartedOrNotUp) {
  make(AllocationRecovery::one_for_one);
  check();
  set(state("a"), Phase::waiting);
  ends("b", 1);
  const Lines found = pass(61s);
  EXPECT_TRUE(says(found, "a runs at p since 3600.0 s; the tree has it waiting, and should have it running"));
  EXPECT_TRUE(says(found,
                   "b has ended with 1 at p since 3600.0 s; the tree has it running, and should have it "
                   "waiting, starting"));
}

TEST_F(TreeCheckerTest, FindsAStopForWhichThereIsNoFailure) {
  make(AllocationRecovery::rest_for_one);
  check();
  ends("a", 143, true);
  set(state("a"), Phase::waiting);
  EXPECT_TRUE(says(pass(61s), "a was stopped at p since 3600.0 s, and nothing that it is restarted with has failed"));
}

TEST_F(TreeCheckerTest, AMoveWithoutALossIsNoFailure) {
  make(AllocationRecovery::one_for_one);
  check();
  pass(61s);
  const auto move = [&] {
    record.manifest.nodes.erase("node");
    for (const char* name : {"a", "b", "c"}) {
      ends(name, 143, true);
      record.manifest.allocations.at(name).handle = {};
      record.manifest.allocations.at(name).status = protocol::AllocationStatus::pending;
    }
  };
  move();
  orchestrator::excuse_move(record, "node");
  orchestrator::supervise(record, "boot", now);
  EXPECT_EQ(pass(1s), Lines{});
  EXPECT_EQ(pass(61s), Lines{}) << "it is still to be started";
  const auto place = [&] {
    protocol::NodeManifest& placed = record.manifest.nodes["node"];
    placed.id = "node";
    placed.peer = "q";
    placed.allocations = ensemble.nodes.at("node").allocations;
    for (const char* name : {"a", "b", "c"}) run(name);
    orchestrator::supervise(record, "boot", now);
  };
  place();
  EXPECT_EQ(check(), Lines{});
  EXPECT_EQ(pass(61s), Lines{});
  EXPECT_EQ(checker->failures(), 0u);
  move();  // it counts as lost
  orchestrator::supervise(record, "boot", now);
  check();
  place();
  check();
  EXPECT_TRUE(says(pass(61s), "node:node has counted 3 restarts, and its allocations have failed 0 times: none"));
}

TEST_F(TreeCheckerTest, ANodeThatFailsIsRestartedAsAWhole) {
  make(AllocationRecovery::stay_down);
  ensemble.nodes.at("node").failure_recovery = jobs::NodeRecovery::restart;
  begin();
  check();
  EXPECT_EQ(pass(1s), Lines{});
  fail_run("b");
  for (const char* name : {"c", "a"}) {
    ends(name, 143, true);
    record.manifest.allocations.at(name).status = protocol::AllocationStatus::stopped;
    record.manifest.allocations.at(name).collected = true;
    orchestrator::supervise(record, "boot", now);
  }
  EXPECT_EQ(check(), Lines{});
  now += 11s;
  orchestrator::supervise(record, "boot", now);
  for (const char* name : {"a", "b", "c"}) {
    run(name);
    orchestrator::supervise(record, "boot", now);
  }
  EXPECT_EQ(check(), Lines{});
  EXPECT_EQ(pass(61s), Lines{});
  EXPECT_EQ(checker->failures(), 1u);
  record.tree->supervisors.at("recovery:node").restarts_ns.clear();
  EXPECT_TRUE(says(check(), "recovery:node has counted 0 restarts, and its allocations have failed 1 times: b at"));
}

TEST_F(TreeCheckerTest, FindsTheRestartOfWhatStaysDown) {
  make(AllocationRecovery::stay_down);
  ensemble.allocations.at("a").failure_recovery = AllocationRecovery::one_for_one;
  begin();
  check();
  ends("c", 0);
  set(state("c"), Phase::starting);
  EXPECT_TRUE(
      says(pass(61s), "c has ended with 0 at p since 3600.0 s; the tree has it starting, and should have it gone"));
}

TEST_F(TreeCheckerTest, FindsAStartOutOfOrder) {
  make(AllocationRecovery::one_for_all);
  checker.emplace("d", ensemble);
  for (const char* name : {"a", "c", "b"}) checker->begins(name, fmt::format("{}-1", name), "p", now);
  EXPECT_TRUE(says(check(), "c begins before b, which is started before it, has begun"));
  now += 61s;
  EXPECT_EQ(check(), Lines{});
  checker->ends("b", "b-1", 1, false, now);
  now += 10s;
  for (const char* name : {"b", "a"}) checker->begins(name, fmt::format("{}-2", name), "p", now);
  EXPECT_TRUE(says(check(), "b begins again before a, which is started before it, has begun"));
}

TEST_F(TreeCheckerTest, FindsAStopOutOfOrder) {
  make(AllocationRecovery::one_for_all);
  check();
  ends("b", 1);
  ends("c", 143, true);
  ends("a", 143, true);
  EXPECT_EQ(check(), Lines{});
  make(AllocationRecovery::one_for_all);
  check();
  ends("b", 1);
  ends("a", 143, true);
  EXPECT_TRUE(says(check(), "a is stopped before c, which is started after it"));
}

TEST_F(TreeCheckerTest, FindsStandbysThatAreNotWhatTheyShouldBe) {
  make(AllocationRecovery::one_for_one, 1);
  orchestrator::Standby standby;
  standby.node.peer = "q";
  standby.node.primary_node = "node";
  standby.node.standby_index = 1;
  const std::string id = jobs::standby_id("node", 1);
  record.standbys[id] = standby;
  EXPECT_EQ(check(), Lines{});
  running.push_back({"b", "b-0", "q", "q"});
  EXPECT_TRUE(says(check(), fmt::format("b runs at q, which is {}", id)));
  running.pop_back();
  record.standbys.at(id).node.peer = "p";
  EXPECT_TRUE(says(check(), fmt::format("{} is on the machine of node", id)));
  standby.node.standby_index = 2;
  record.standbys = {{jobs::standby_id("node", 2), standby}};
  EXPECT_TRUE(says(check(), "is no standby that the ensemble asks for"));
}

TEST_F(TreeCheckerTest, FindsAStandbyThatIsMissingWhileAMachineIsFree) {
  make(AllocationRecovery::one_for_one, 1);
  const std::string id = jobs::standby_id("node", 1);
  free = {{"p", "p", one_task(64, 65536).allocations.at("task").resources},
          {"small", "small", one_task(2, 128).allocations.at("task").resources}};
  EXPECT_EQ(check(), Lines{});
  EXPECT_EQ(pass(TreeChecker::kSought + 1s), Lines{}) << "no other machine has room";
  free.push_back({"q", "q", one_task(64, 65536).allocations.at("task").resources});
  EXPECT_EQ(check(), Lines{});
  EXPECT_EQ(pass(TreeChecker::kSought), Lines{});
  EXPECT_TRUE(says(pass(1s), fmt::format("{} has no machine since 3600.0 s, and q would take it since", id)));
}

TEST_F(TreeCheckerTest, FindsANodeWithoutAMachineWhileOneIsFree) {
  make(AllocationRecovery::one_for_one);
  calm = false;
  record.manifest.nodes.clear();
  for (auto& [name, entry] : record.manifest.allocations) {
    entry.handle = {};
    entry.status = protocol::AllocationStatus::pending;
  }
  running.clear();
  free = {{"q", "q", one_task(64, 65536).allocations.at("task").resources}};
  EXPECT_EQ(check(), Lines{});
  EXPECT_TRUE(says(pass(TreeChecker::kSought + 1s), "node has no machine since 3600.0 s, and q would take it"));
}

TEST_F(TreeCheckerTest, KnowsHowManyFailuresADeploymentFailsWith) {
  make(AllocationRecovery::one_for_one);
  check();
  for (int i = 0; i < 11; ++i) {
    EXPECT_FALSE(checker->may_fail()) << i;
    ends("b", 1);
    run("b");
  }
  EXPECT_TRUE(checker->may_fail());
}

}  // namespace
}  // namespace dms::sim
