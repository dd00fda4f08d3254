// Machines that stand by: when they are used, and what is left of them.
#include "orchestrator/deployment/standby.hpp"

#include "orchestrator/deployment/test_deployment.hpp"
#include "orchestrator/deployment/test_placed_record.hpp"
#include "orchestrator/deployment/update.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;
using jobs::AllocationRecovery;

/// "right" is a node of one service with a standby.
struct StandbyTest : PlacedRecordTest {
  StandbyTest() {
    record.ensemble.allocations.at("job").type = jobs::AllocationType::service;
    record.ensemble.nodes.at("right").redundancy = 1;
    for (auto& [name, entry] : record.manifest.allocations) record.starts[name] = entry.incarnation;
  }
  void stand_by(bool is_ready = true) {
    Bid bid;
    bid.peer = "p-spare";
    bid.handle.address = {"p-spare", "root"};
    bid.location.country = country;
    add_standby(record, {"right", 1}, bid);
    AllocationManifest& made = record.standbys.at("right-standby-1").allocations.at("job");
    if (!is_ready) return;
    made.handle.address = {"p-spare", "job"};
    made.incarnation = "job-s";
    made.lease_ns = Duration(1min).count();
  }
  void change(Duration later = Duration(0)) {
    now += later;
    use_standbys(record);
    supervise(record, "boot", now);
    use_standbys(record);
    record.boot_id = "boot";
  }
  void fail() {
    entry("job").status = AllocationStatus::failed;
    entry("job").exit_code = 3;
    change();
  }
  bool is_taken_over() { return record.manifest.nodes.contains("right") && entry("job").incarnation == "job-s"; }
  SteadyTime now{1h};
  std::string country;  ///< of the machine that stands by
};

TEST_F(StandbyTest, WhatTheEnsembleAsksForIsMissingUntilItIsInTheRecord) {
  const std::vector<MissingStandby> missing = missing_standbys(record);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing.front().id(), "right-standby-1");
  const jobs::Ensemble part = standby_part(record.ensemble, missing.front());
  ASSERT_EQ(part.nodes.size(), 1u);
  EXPECT_EQ(part.nodes.at("right-standby-1").allocations, std::vector<std::string>{"job"});
  EXPECT_EQ(needed_features(part, "right-standby-1"), std::set<Feature>{Feature::lease});
  EXPECT_EQ(with_standbys(record.ensemble).nodes.size(), 3u);
  stand_by(false);
  EXPECT_TRUE(missing_standbys(record).empty());
  EXPECT_FALSE(has_standby(record, "right"));
  EXPECT_TRUE(occupied(record, {}).contains("p-spare"));
}

TEST_F(StandbyTest, EdgesHoldForEveryMachineThatMayTakeTheNodeOver) {
  record.ensemble.edges = {{.s = "left", .t = "right", .rtt = 10}};
  const std::vector<jobs::Edge> all{{.s = "left", .t = "right", .rtt = 10},
                                    {.s = "left", .t = "right-standby-1", .rtt = 10}};
  EXPECT_EQ(edges_with_standbys(record.ensemble), all);
  EXPECT_EQ(with_standbys(record.ensemble).edges, all);
  const jobs::Ensemble part = standby_part(record.ensemble, {"right", 1});
  ASSERT_EQ(part.edges.size(), 1u);
  EXPECT_EQ(part.edges[0].t, "right-standby-1");
  EXPECT_TRUE(needed_features(part, "right-standby-1").contains(Feature::edges));
  change();
  stand_by();
  EXPECT_EQ(neighbours_of(record, {"left"}), (Placed{{"right", {"p-right"}}, {"right-standby-1", {"p-spare"}}}));
}

TEST_F(StandbyTest, ManyEdgesOfOnePairAreOneWithTheStricterLimits) {
  record.ensemble.edges.assign(1024, {.s = "left", .t = "right", .rtt = 10});
  record.ensemble.edges[7] = {.s = "right", .t = "left", .rtt = 20, .bw = 1000};
  record.ensemble.edges[8] = {.s = "right", .t = "left"};
  const std::vector<jobs::Edge> one{{.s = "left", .t = "right", .rtt = 10, .bw = 1000}};
  EXPECT_EQ(merged_edges(record.ensemble), one);
  for (auto& [name, node] : record.ensemble.nodes) node.redundancy = 64;
  EXPECT_EQ(edges_with_standbys(record.ensemble).size(), 65u * 65u);
  EXPECT_EQ(standby_part(record.ensemble, {"right", 1}).edges.size(), 65u) << "the other ones do not concern it";

  record.manifest.nodes.erase("left");
  const Unplaced wanted{{"left", {"db", "web"}}};
  EXPECT_EQ(part_of(record, wanted).edges, one) << "no standby has a machine";
  stand_by();
  const std::vector<jobs::Edge> part = part_of(record, wanted).edges;
  ASSERT_EQ(part.size(), 2u);
  EXPECT_EQ(part[1], (jobs::Edge{.s = "left", .t = "right-standby-1", .rtt = 10, .bw = 1000}));
}

TEST_F(StandbyTest, StandbysAreKeptApartFromAllThatTheirNodesAreKeptApartFrom) {
  using capability::Area;
  record.ensemble.anti_affinity = {
      {{"left", "right"}, Area::country}, {{"right"}, Area::city}, {{"left", "right"}, Area::machine}};
  const std::vector<jobs::AntiAffinity> all{{{"left", "right", "right-standby-1"}, Area::country},
                                            {{"right", "right-standby-1"}, Area::city}};
  EXPECT_EQ(anti_affinity_with_standbys(record.ensemble), all);
  EXPECT_EQ(with_standbys(record.ensemble).anti_affinity, all);
  EXPECT_EQ(standby_part(record.ensemble, {"right", 1}).anti_affinity, all);
  record.ensemble.nodes.at("left").redundancy = 1;
  EXPECT_EQ(standby_part(record.ensemble, {"left", 1}).anti_affinity.size(), 1u) << "it is not in the other one";
  change();
  country = "FR";
  stand_by(false);
  EXPECT_EQ(neighbours_of(record, {"left"}).at("right-standby-1"), (PlacedMachine{"p-spare", {.country = "FR"}, false}))
      << "it may become ready";
}

TEST_F(StandbyTest, ANodeThatLosesItsMachineGetsThatOfItsStandbyInTheSameChange) {
  change();
  stand_by();
  supersede_node(record, "right", false);
  change();
  ASSERT_TRUE(is_taken_over());
  EXPECT_EQ(record.manifest.nodes.at("right").peer, "p-spare");
  EXPECT_EQ(record.manifest.nodes.at("right").redundancy_role, "primary");
  EXPECT_EQ(entry("job").status, AllocationStatus::pending);
  EXPECT_EQ(entry("job").node_id, "right");
  EXPECT_FALSE(entry("job").is_standby);
  EXPECT_EQ(entry("job").restarts, 1u);
  EXPECT_TRUE(may_start(record, "job"));
  EXPECT_EQ(starts_of(record, "job"), 1u) << "a loss is no failure";
  EXPECT_EQ(missing_standbys(record).size(), 1u) << "another one is sought";
}

TEST_F(StandbyTest, TheChoiceOfMachinesSaysWhichStandbyHasTakenItsNodeOver) {
  change();
  stand_by();
  Choice choice;
  choice.machines = {{"p-left", "left", true, "the lowest price"},
                     {"p-right", "right", true, "the lowest price"},
                     {"p-spare", "right-standby-1", true, "the only one"},
                     {"p-spare", "right", false, "it costs more"}};
  const auto reasons = [&] {
    Choice shown = choice;
    add_takeovers(shown, record);
    std::vector<std::string> texts;
    for (const MachineVerdict& verdict : shown.machines) texts.push_back(verdict.reason);
    return texts;
  };
  EXPECT_EQ(reasons(),
            (std::vector<std::string>{"the lowest price", "the lowest price", "the only one", "it costs more"}));
  supersede_node(record, "right", false);
  change();
  ASSERT_TRUE(is_taken_over());
  EXPECT_EQ(reasons(), (std::vector<std::string>{"the lowest price", "the lowest price; right is on p-spare now",
                                                 "the only one; it has taken right over since", "it costs more"}));
}

TEST_F(StandbyTest, WhatIsExclusiveIsReleasedBefore) {
  change();
  stand_by();
  supersede_node(record, "right", true);
  change();
  EXPECT_FALSE(is_taken_over());
  mark_over_since(record, 0);
  change();
  EXPECT_TRUE(is_taken_over());
}

TEST_F(StandbyTest, WithoutOneThatIsReadyTheNodeIsPlacedAnew) {
  change();
  stand_by(false);
  supersede_node(record, "right", false);
  change();
  EXPECT_EQ(unplaced(record), (Unplaced{{"right", {"job"}}})) << "no pause: a loss is no failure";
  EXPECT_EQ(record.standbys.size(), 1u);
  drop_unready_standbys(record);
  EXPECT_TRUE(record.standbys.empty());
  EXPECT_EQ(record.superseded.back().allocations, (json::StringMap{{"job", ""}}));
}

TEST_F(StandbyTest, ALossIsNoFailureBesideWorkThatIsStartedAgain) {
  record.ensemble.nodes.at("left").redundancy = 1;
  for (const char* name : {"db", "web"})
    record.ensemble.allocations.at(name).failure_recovery = AllocationRecovery::one_for_one;
  change();
  entry("db").status = AllocationStatus::failed;
  entry("db").exit_code = 3;
  change();
  supersede_node(record, "left", false);
  change();
  EXPECT_EQ(record.tree->supervisors.at("standbys:left/node:left").restarts_ns.size(), 1u) << "that of db";
  EXPECT_EQ(starts_of(record, "web"), 1u);
}

TEST_F(StandbyTest, WorkThatStaysDownIsStartedOnItOnce) {
  change();
  stand_by();
  fail();
  ASSERT_TRUE(is_taken_over());
  EXPECT_TRUE(may_start(record, "job"));
  EXPECT_TRUE(strategies_of(record.ensemble).empty());
  EXPECT_EQ(escalation_of(record), "");
  entry("job").status = AllocationStatus::running;
  record.starts["job"] = "job-s";
  change();
  EXPECT_FALSE(is_held_back(record, "web"));
  fail();
  EXPECT_EQ(entry("job").status, AllocationStatus::failed) << "it has failed once more than it has standbys";
  EXPECT_TRUE(is_held_back(record, "web")) << "all is stopped";
}

TEST_F(StandbyTest, WorkThatIsStartedAgainLeavesItTheStandby) {
  record.ensemble.allocations.at("job").failure_recovery = AllocationRecovery::one_for_one;
  change();
  stand_by();
  fail();
  change(10s);
  EXPECT_FALSE(is_held_back(record, "job"));
  EXPECT_EQ(unplaced(record), (Unplaced{{"right", {"job"}}}));
  EXPECT_TRUE(stand_in(record, "right")) << "as no other machine takes it";
  EXPECT_TRUE(is_taken_over());
}

TEST_F(StandbyTest, ANodeThatIsRedeployedGetsItWithoutAPause) {
  record.ensemble.nodes.at("right").failure_recovery = jobs::NodeRecovery::redeploy;
  change();
  stand_by();
  fail();
  EXPECT_TRUE(is_taken_over());
  EXPECT_TRUE(may_start(record, "job"));
  entry("job").status = AllocationStatus::running;
  record.starts["job"] = "job-s";
  change();
  stand_by();
  fail();
  EXPECT_TRUE(is_taken_over());
  EXPECT_TRUE(is_held_back(record, "job")) << "it waits there for its pause";
  const auto pauses = pauses_of(record, "boot", now + 1s);
  ASSERT_TRUE(pauses.contains("job"));
  EXPECT_FALSE(pauses.contains("web"));
  AllocationState state = status_of(record).allocations.at("job");
  state.reason.clear();
  add_pause(state, pauses.at("job"));
  EXPECT_EQ(state.reason, "exit code 3; it is started again");
  EXPECT_EQ(Duration(state.pause_ns), 9s);
}

TEST_F(StandbyTest, ANodeThatIsRestartedLeavesItTheStandby) {
  record.ensemble.nodes.at("right").failure_recovery = jobs::NodeRecovery::restart;
  change();
  stand_by();
  fail();
  EXPECT_TRUE(unplaced(record).empty()) << "it waits for its pause";
  change(10s);
  EXPECT_EQ(unplaced(record), (Unplaced{{"right", {"job"}}}));
  EXPECT_TRUE(stand_in(record, "right")) << "as no other machine takes it";
  EXPECT_TRUE(is_taken_over());
}

TEST_F(StandbyTest, OneThatIsNotWantedIsReleasedAndHoldsUpNothing) {
  const auto is_dropped = [&](const std::function<void()>& cause) {
    record.superseded.clear();
    record.standbys.clear();
    stand_by();
    cause();
    change();
    if (!record.standbys.empty() || record.superseded.size() != 1) return false;
    const Superseded& left = record.superseded.front();
    EXPECT_EQ(left.peer, "p-spare");
    EXPECT_EQ(left.allocations, (json::StringMap{{"job", "job-s"}}));
    return left.over && !record.may_run_elsewhere();
  };
  const auto update = [&](const std::function<void(jobs::Ensemble&)>& edit) {
    jobs::Ensemble wanted = record.ensemble;
    edit(wanted);
    apply_update(record, wanted);
  };
  EXPECT_FALSE(is_dropped([&] { update([](jobs::Ensemble& e) { e.metadata["team"] = "b"; }); }));
  EXPECT_TRUE(is_dropped([&] { record.barred = {"p-spare"}; }));
  record.barred.clear();
  EXPECT_TRUE(is_dropped([&] { update([](jobs::Ensemble& e) { e.exclude_peers = {"p-spare"}; }); }));
  record.ensemble.exclude_peers.clear();
  EXPECT_TRUE(is_dropped([&] { update([](jobs::Ensemble& e) { e.nodes.at("right").redundancy = 0; }); }));
  record.ensemble.nodes.at("right").redundancy = 1;
  const auto keep_apart = [&](capability::Area by) {
    record.ensemble.anti_affinity.clear();
    return is_dropped([&] {
      for (auto& [name, node] : record.manifest.nodes) node.location = {.continent = "Europe", .country = "DE"};
      update([&](jobs::Ensemble& e) { e.anti_affinity = {{{"right"}, by}}; });
    });
  };
  country = "FR";
  EXPECT_FALSE(keep_apart(capability::Area::country));
  EXPECT_TRUE(keep_apart(capability::Area::continent)) << "it does not state its own";
  country = "DE";
  EXPECT_TRUE(keep_apart(capability::Area::country));
  record.ensemble.anti_affinity.clear();
  EXPECT_TRUE(is_dropped([&] { record.status = DeploymentStatus::shutting_down; }));
}

TEST_F(StandbyTest, ItIsReadAsItIsStoredAndShown) {
  stand_by();
  const std::string text = json::encode(record);
  const Result<DeploymentRecord> read = read_record("d1", text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(json::encode(*read), text);
  const EnsembleManifest shown = manifest_of(*read);
  EXPECT_EQ(shown.nodes.at("right").standby_nodes, std::vector<std::string>{"right-standby-1"});
  EXPECT_EQ(shown.nodes.at("right-standby-1").redundancy_role, "standby");
  EXPECT_EQ(shown.nodes.at("right-standby-1").primary_node, "right");
  EXPECT_TRUE(shown.allocations.at("right-standby-1.job").is_standby);
  EXPECT_EQ(shown.allocations.at("right-standby-1.job").redundancy_group, "job");
  EXPECT_EQ(shown.allocations.at("job").redundancy_group, "job");
  const AllocationState state = status_of(*read).allocations.at("job");
  EXPECT_EQ(state.redundancy, 1u);
  EXPECT_EQ(state.standbys, std::vector<std::string>{"p-spare"});
}

struct StandbyDeploymentTest : LossTest {
  /// A service on the first provider, for which the other one stands by.
  void run_with_standby(AllocationRecovery recovery = AllocationRecovery::stay_down,
                        jobs::NodeRecovery of_node = jobs::NodeRecovery::stay_down) {
    other.bids = false;
    DeploymentRecord made = record();
    made.ensemble.nodes.at("node").peer.clear();
    made.ensemble.nodes.at("node").redundancy = 1;
    made.ensemble.nodes.at("node").failure_recovery = of_node;
    made.ensemble.allocations.at("task").type = jobs::AllocationType::service;
    made.ensemble.allocations.at("task").failure_recovery = recovery;
    made.ensemble.anti_affinity = anti_affinity;
    provider.features = other.features = {"lease"};
    provider.log.clear();
    other.log.clear();
    allocated = other.allocates;
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    ASSERT_TRUE(provider.runs_now());
    other.bids = true;
    ASSERT_TRUE(stands_by(other)) << deployment->trouble();
  }
  bool stands_by(const ScriptedProvider& machine, Duration limit = 5min) {
    return until(
        [&] {
          return std::ranges::any_of(deployment->record().standbys, [&](const auto& pair) {
            return pair.second.ready() && pair.second.node.peer == machine.peer();
          });
        },
        limit);
  }
  bool is_taken_over() {
    return other.runs_now() && task().status == AllocationStatus::running && task().handle.address.host == other.peer();
  }
  static int starts(const ScriptedProvider& machine) {
    return static_cast<int>(std::ranges::count(machine.log, "start task"));
  }
  /// By the other one, since the deployment was created.
  int allocations() const { return other.allocates - allocated; }
  void crash() {
    provider.end("task", AllocationStatus::failed, 1);
    (void)notify();
  }
  int allocated = 0;
  std::vector<jobs::AntiAffinity> anti_affinity;
};

TEST_F(StandbyDeploymentTest, AStandbyIsAllocatedAndRenewedAndNotStarted) {
  run_with_standby();
  w.settle(10min);
  EXPECT_EQ(other.runs.at("task").status, AllocationStatus::pending);
  EXPECT_EQ(starts(other), 0);
  EXPECT_EQ(allocations(), 1);
  EXPECT_TRUE(has_standby(deployment->record(), "node"));
  EXPECT_EQ(deployment->trouble(), "");
}

TEST_F(StandbyDeploymentTest, AStandbyWhoseClockIsSetAheadIsKept) {
  run_with_standby();
  c.node.set_wall_clock(10min);
  w.settle(10min);
  EXPECT_EQ(allocations(), 1);
  EXPECT_TRUE(has_standby(deployment->record(), "node"));
  EXPECT_EQ(other.runs.at("task").status, AllocationStatus::pending);
}

TEST_F(StandbyDeploymentTest, WhatThisNodeHasMissedWithoutTurnsOfItsOwnLosesNoStandby) {
  provider.lease = other.lease = 4min;
  run_with_standby();
  w.settle(1min);
  cut(c);
  a.node.stall(kMaxRenewal + 10s);
  w.settle(kMaxRenewal + 10s + kMissedUntilSilent * 3 * kSuspectedRenewal);
  EXPECT_TRUE(has_standby(deployment->record(), "node")) << "the fault may be this node's own";
  cut(c, false);
  w.settle(5min);
  EXPECT_TRUE(has_standby(deployment->record(), "node"));
  EXPECT_EQ(allocations(), 1);
  EXPECT_EQ(starts(provider), 1);
  EXPECT_EQ(starts(other), 0);
  cut(c);
  EXPECT_TRUE(until([&] { return !has_standby(deployment->record(), "node"); }, 5min)) << "but not for ever";
}

TEST_F(StandbyDeploymentTest, TheStatusSaysWhyThereIsNone) {
  run_with_standby();
  other.bids = false;
  w.run(c, other.forget("task"));
  ASSERT_TRUE(until([&] { return !deployment->trouble().empty(); }, 5min));
  EXPECT_NE(deployment->trouble().find("node-standby-1: no machine was found"), std::string::npos)
      << deployment->trouble();
  other.bids = true;
  EXPECT_TRUE(stands_by(other));
  EXPECT_EQ(allocations(), 2);
  EXPECT_EQ(starts(provider), 1) << "its primary goes on";
}

TEST_F(StandbyDeploymentTest, AStandbyThatIsKeptApartIsInAnotherCountry) {
  anti_affinity = {{{"node"}, capability::Area::country}};
  provider.location = {.continent = "Europe", .country = "DE"};
  other.location = {.continent = "Europe", .country = "FR"};
  run_with_standby();
  other.location = provider.location;
  w.run(c, other.forget("task"));
  const std::string why = "it is in the country of " + provider.peer() + ", which has node node: DE";
  ASSERT_TRUE(until([&] { return deployment->trouble().find(why) != std::string::npos; }, 5min))
      << deployment->trouble();
  EXPECT_NE(deployment->trouble().find("asks for 2 machines in different countries"), std::string::npos)
      << deployment->trouble();
  other.location.country = "FR";
  EXPECT_TRUE(stands_by(other));
  EXPECT_EQ(starts(provider), 1) << "its primary goes on";
}

TEST_F(StandbyDeploymentTest, AMachineWhoseOwnerHasEndedItIsNotAskedAgain) {
  run_with_standby();
  ScriptedProvider::Run& run = other.runs.at("task");
  run.status = AllocationStatus::terminated;
  run.ended_by_owner = true;
  ASSERT_TRUE(until([&] { return !has_standby(deployment->record(), "node"); }));
  EXPECT_TRUE(is_barred(deployment->record(), other.peer()));
  w.settle(5min);
  EXPECT_EQ(allocations(), 1);
  EXPECT_TRUE(deployment->record().standbys.empty());
  EXPECT_EQ(starts(provider), 1);
}

TEST_F(StandbyDeploymentTest, ALostMachineIsReplacedByItsStandbyAtOnceAndStandsByWhenItReturns) {
  run_with_standby();
  cut(b);
  ASSERT_TRUE(until([&] { return is_taken_over(); }));
  EXPECT_EQ(allocations(), 1);
  EXPECT_EQ(starts(other), 1);
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").moves, 1u);
  cut(b, false);
  ASSERT_TRUE(stands_by(provider));
  EXPECT_EQ(provider.runs.at("task").status, AllocationStatus::pending);
  EXPECT_TRUE(is_taken_over());
}

TEST_F(StandbyDeploymentTest, TheActorOfTheWorkIsThatOfTheMachineThatHasStoodBy) {
  provider.offers_work = other.offers_work = true;
  run_with_standby();
  EXPECT_EQ(task().work, provider.work_of("task"));
  cut(b);
  ASSERT_TRUE(until([&] { return is_taken_over(); }));
  EXPECT_EQ(task().work, other.work_of("task"));
}

TEST_F(StandbyDeploymentTest, WorkThatIsStartedAgainGetsTheStandbyOnlyIfNoOtherMachineTakesIt) {
  run_with_standby(AllocationRecovery::one_for_one);
  crash();
  ASSERT_TRUE(until([&] { return provider.runs_now() && task().restarts == 1; }, 5min));
  EXPECT_EQ(starts(other), 0);
  provider.bids = false;
  crash();
  EXPECT_TRUE(until([&] { return is_taken_over(); }, 5min));
  EXPECT_EQ(allocations(), 1);
}

TEST_F(StandbyDeploymentTest, ANodeThatIsRedeployedIsStartedOnTheStandby) {
  run_with_standby(AllocationRecovery::stay_down, jobs::NodeRecovery::redeploy);
  crash();
  ASSERT_TRUE(until([&] { return is_taken_over(); }));
  EXPECT_EQ(allocations(), 1);
  EXPECT_EQ(starts(other), 1);
  EXPECT_TRUE(stands_by(provider)) << deployment->trouble();
}

TEST_F(StandbyDeploymentTest, ANodeThatIsRedeployedUsesItsStandbyOnceWithinAnHour) {
  run_with_standby(AllocationRecovery::stay_down, jobs::NodeRecovery::redeploy);
  const auto moves_at_once = [&](ScriptedProvider& from, ScriptedProvider& to) {
    from.end("task", AllocationStatus::failed, 1);
    (void)w.run(&from == &provider ? b : c, from.notify());
    const auto is_moved = [&] {
      return to.runs_now() && task().status == AllocationStatus::running && task().handle.address.host == to.peer();
    };
    const bool at_once = until(is_moved, 9s);
    EXPECT_TRUE(at_once || until(is_moved, 6min)) << deployment->trouble();
    EXPECT_TRUE(stands_by(from)) << deployment->trouble();
    return at_once;
  };
  std::vector<bool> at_once;
  for (int round = 0; round < 2; ++round) {
    at_once.push_back(moves_at_once(provider, other));
    at_once.push_back(moves_at_once(other, provider));
  }
  EXPECT_EQ(at_once, (std::vector<bool>{true, false, false, false}));
  EXPECT_EQ(deployment->record().tree->supervisors.at("recovery:node/standbys:node").restarts_ns.size(), 1u);
  EXPECT_EQ(deployment->record().tree->supervisors.at("recovery:node").restarts_ns.size(), 3u);
  w.settle(61min);
  EXPECT_TRUE(moves_at_once(provider, other)) << "another hour";
}

TEST_F(StandbyDeploymentTest, ANodeThatRestartsDoNotMendIsStartedOnTheStandby) {
  run_with_standby(AllocationRecovery::stay_down, jobs::NodeRecovery::restart);
  for (std::uint32_t times = 1; times <= 10; ++times) {
    crash();
    ASSERT_TRUE(until([&] { return provider.runs_now() && task().restarts == times; }, 10min)) << times;
    EXPECT_EQ(starts(other), 0);
  }
  crash();
  EXPECT_TRUE(until([&] { return is_taken_over(); }));
  EXPECT_EQ(starts(other), 1);
}

TEST_F(StandbyDeploymentTest, AShutdownReleasesIt) {
  run_with_standby();
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_TRUE(settles());
  EXPECT_TRUE(other.runs.empty());
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(StandbyDeploymentTest, AtWhicheverWriteItIsKilledWorkThatFailsIsStartedOnTheStandbyOnce) {
  bool died = true;
  for (std::size_t n = 1; died; ++n) {
    ASSERT_LT(n, 100u);
    run_with_standby();
    records.saves = records.refused = 0;
    records.refuse_from = n;
    crash();
    (void)until([&] { return records.refused > 0 || is_taken_over(); });
    died = records.refused > 0;
    if (died) {
      kill();
      w.settle(5s);
      restart();
    }
    records.refuse_from.reset();
    ASSERT_TRUE(until([&] { return is_taken_over(); }, 5min)) << "write " << n;
    EXPECT_EQ(starts(provider), 1) << "write " << n;
    EXPECT_EQ(starts(other), 1) << "write " << n;
    EXPECT_EQ(allocations(), 1) << "write " << n;
    ASSERT_TRUE(w.run(a, deployment->shutdown()));
    ASSERT_TRUE(settles());
    w.run(a, deployment->close());
    deployment.reset();
    ASSERT_TRUE(w.run(a, records.erase("d1")));
    std::filesystem::remove_all(folder / "deployments");
  }
}

}  // namespace
}  // namespace dms::orchestrator
