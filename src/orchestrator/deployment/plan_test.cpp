// The pure rules over a record: what is unplaced and superseded, what a report changes, what an update changes, what may
// start, what users see.
#include <gtest/gtest.h>

#include "orchestrator/deployment/dependencies.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/update.hpp"
#include "orchestrator/deployment/views.hpp"
#include "orchestrator/supervision/reconcile.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

jobs::Ensemble ensemble() {
  return jobs::Ensemble::parse_yaml(R"(
version: V1
allocations:
  db: {executor: "null", type: service, resources: {cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}, execution: {type: "null"}}
  web: {executor: "null", type: service, resources: {cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}, execution: {type: "null"}}
  job: {executor: "null", type: task, resources: {cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}, execution: {type: "null"}}
nodes:
  left: {allocations: [db, web]}
  right: {allocations: [job]}
)")
      .value();
}

/// Both nodes run, on the peers "p-left" and "p-right".
struct PlanTest : testing::Test {
  PlanTest() {
    record.id = "d1";
    record.status = DeploymentStatus::running;
    record.ensemble = ensemble();
    for (const auto& [name, node] : record.ensemble.nodes) {
      NodeManifest& placed = record.manifest.nodes[name];
      placed.id = name;
      placed.peer = "p-" + name;
      placed.handle.address = {"p-" + name, "root"};
      placed.allocations = node.allocations;
      for (const std::string& allocation : node.allocations) {
        AllocationManifest& entry = record.manifest.allocations[allocation];
        entry.node_id = name;
        entry.handle.address = {"p-" + name, allocation};
        entry.incarnation = allocation + "-1";
        entry.lease_ns = Duration(1min).count();
        entry.status = AllocationStatus::running;
      }
    }
  }
  AllocationManifest& entry(const std::string& name) { return record.manifest.allocations.at(name); }
  RenewReply report() {
    RenewReply reply;
    for (const auto& [name, entry] : record.manifest.allocations)
      if (entry.node_id == "left") {
        reply.allocations[name].incarnation = entry.incarnation;
        reply.allocations[name].status = entry.status;
      }
    return reply;
  }
  DeploymentRecord record;
};

TEST_F(PlanTest, WhatIsSupersededIsUnplacedUnlessItHasEnded) {
  EXPECT_TRUE(unplaced(record).empty());
  entry("db").status = AllocationStatus::completed;
  entry("db").collected = true;
  supersede_node(record, "left", true);
  EXPECT_EQ(unplaced(record), (Unplaced{{"left", {"web"}}}));
  ASSERT_EQ(record.superseded.size(), 1u);
  EXPECT_EQ(record.superseded[0].allocations, (json::StringMap{{"web", "web-1"}}));
  EXPECT_EQ(record.superseded[0].peer, "p-left");
  EXPECT_TRUE(is_blocked(record, "left")) << "an exclusive replacement waits";
  EXPECT_FALSE(is_blocked(record, "right"));
  EXPECT_EQ(entry("web").restarts, 1u);
  EXPECT_EQ(part_of(record, unplaced(record)).nodes.at("left").allocations, std::vector<std::string>{"web"});
  EXPECT_EQ(occupied(record, unplaced(record)), (std::set<std::string>{"p-left", "p-right"}));
}

TEST_F(PlanTest, ARunThatIsLostLeavesTheOthersOfItsNode) {
  EXPECT_FALSE(is_alone(record, "db"));
  supersede_run(record, "db", true);
  EXPECT_EQ(unplaced(record), (Unplaced{{"left", {"db"}}}));
  EXPECT_EQ(entry("web").incarnation, "web-1");
  ASSERT_EQ(record.superseded.size(), 1u);
  EXPECT_EQ(record.superseded[0].allocations, (json::StringMap{{"db", "db-1"}}));
  EXPECT_TRUE(record.superseded[0].exclusive);
  EXPECT_TRUE(is_blocked(record, "left"));
  EXPECT_TRUE(is_alone(record, "web"));
  supersede_run(record, "web", false);
  EXPECT_FALSE(record.manifest.nodes.contains("left")) << "nothing is left there";
  EXPECT_EQ(unplaced(record), (Unplaced{{"left", {"db", "web"}}}));
}

TEST_F(PlanTest, ARunThatIsLostLeavesTheOutputThatIsNotHereYet) {
  entry("web").status = AllocationStatus::completed;
  EXPECT_TRUE(is_collecting(record, "left"));
  EXPECT_FALSE(is_alone(record, "db"));
  supersede_run(record, "db", false);
  EXPECT_FALSE(entry("web").collected);
  EXPECT_EQ(record.manifest.nodes.at("left").allocations, std::vector<std::string>{"web"});
  record.lost = {"web"};
  EXPECT_FALSE(is_collecting(record, "left")) << "a lost machine is not waited for";
  record.lost.clear();
  entry("web").collected = true;
  EXPECT_FALSE(is_collecting(record, "left"));
  EXPECT_TRUE(is_alone(record, "db"));
}

TEST_F(PlanTest, ARecordWithSupersededRunsIsReadAsItWasWritten) {
  supersede_node(record, "left", true);
  record.restarting["job"] = "job-1";
  record.outputs["job"] = "job-0";
  const auto read = json::decode<DeploymentRecord>(json::encode(record));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(json::encode(*read), json::encode(record));
}

TEST_F(PlanTest, ResultsHaveTheSmallerOfTheLimitsThatAreAskedForAndGranted) {
  EXPECT_FALSE(granted_results(record, "job")) << "it leaves none";
  jobs::Results& results = record.ensemble.allocations.at("job").results.emplace();
  EXPECT_EQ(granted_results(record, "job")->max_bytes(), jobs::Results::kDefaultLimit)
      << "a record of an older version";
  entry("job").results_limit = 1000;
  EXPECT_EQ(granted_results(record, "job")->limit, 1000u);
  entry("job").results_limit = jobs::Results::kDefaultLimit;
  EXPECT_EQ(*granted_results(record, "job"), results) << "it is asked for as it is written";
}

// --- reports -----------------------------------------------------------------------------------------------------------

TEST_F(PlanTest, AReportThatAgreesChangesNothing) {
  const Findings findings = reconcile(record, "left", report());
  EXPECT_FALSE(findings.changed);
  EXPECT_TRUE(findings.missing.empty() && findings.ended.empty());
}

TEST_F(PlanTest, AReportSetsStateAndHealth) {
  entry("web").status = AllocationStatus::pending;
  RenewReply reply = report();
  reply.allocations["web"].status = AllocationStatus::running;
  reply.allocations["web"].health = Health::healthy;
  EXPECT_TRUE(reconcile(record, "left", reply).changed);
  EXPECT_EQ(entry("web").status, AllocationStatus::running) << "the reply to its start was lost";
  EXPECT_EQ(entry("web").health, Health::healthy);
  reply.allocations["web"].status = AllocationStatus::pending;
  EXPECT_FALSE(reconcile(record, "left", reply).changed) << "a report from before the start";
}

TEST_F(PlanTest, AReportClearsTheReasonOfALossAlsoWhatHasNotBegun) {
  for (const auto status : {AllocationStatus::restarting, AllocationStatus::pending}) {
    entry("web").status = status;
    RenewReply reply = report();
    if (status == AllocationStatus::restarting) reply.allocations["web"].status = AllocationStatus::running;
    entry("web").reason = "its machine is lost";
    EXPECT_TRUE(reconcile(record, "left", reply).changed);
    EXPECT_EQ(entry("web").reason, "");
    EXPECT_NE(entry("web").status, AllocationStatus::restarting);
  }
}

TEST_F(PlanTest, WhatIsMissingEndedOrUnknownIsFound) {
  RenewReply reply = report();
  reply.allocations.erase("db");
  reply.allocations["web"].status = AllocationStatus::failed;
  reply.allocations["stray"].incarnation = "stray-9";
  Findings findings = reconcile(record, "left", reply);
  EXPECT_EQ(findings.missing, (json::StringMap{{"db", "db-1"}}));
  EXPECT_TRUE(findings.ended.contains("web"));
  ASSERT_EQ(record.superseded.size(), 1u);
  EXPECT_EQ(record.superseded[0].allocations, (json::StringMap{{"stray", "stray-9"}}));
  findings = reconcile(record, "left", reply);
  EXPECT_EQ(record.superseded.size(), 1u) << "once is enough";
}

TEST_F(PlanTest, WhatAProviderInventsDoesNotMakeTheRecordGrow) {
  const auto outstanding = [&] {
    std::size_t count = 0;
    for (const Superseded& entry : record.superseded) count += entry.allocations.size();
    return count;
  };
  for (int round = 0; round < 5; ++round) {
    RenewReply reply = report();
    for (int i = 0; i < 100; ++i) reply.allocations[fmt::format("stray-{}-{}", round, i)].incarnation = "1";
    reply.allocations[fmt::format("a{}", round) + std::string(kMaxReportedId, 'x')].incarnation = "1";
    reply.allocations[fmt::format("b{}", round)].incarnation = std::string(kMaxReportedId + 1, 'x');
    EXPECT_EQ(reconcile(record, "left", reply).changed, round == 0);
    EXPECT_EQ(outstanding(), kMaxUnknown);
  }
  RenewReply reply = report();
  reply.allocations["job"].incarnation = "job-7";
  EXPECT_TRUE(reconcile(record, "left", reply).changed) << "of the ensemble";
  EXPECT_EQ(outstanding(), kMaxUnknown + 1);
  record.superseded.clear();
  reply.allocations["stray"].incarnation = "1";
  (void)reconcile(record, "left", reply);
  EXPECT_EQ(outstanding(), 2u) << "once the others are released";
}

TEST_F(PlanTest, ARestartCountsOnceItHasBegun) {
  supersede_node(record, "left", false);
  const auto shown = [&] { return status_of(record).allocations.at("web").restarts; };
  EXPECT_EQ(shown(), 0u) << "it waits for a machine";
  EXPECT_EQ(manifest_of(record).allocations.at("web").restarts, 0u);
  DeploymentRecord begun = record;
  begun.manifest.allocations.at("web").status = AllocationStatus::running;
  EXPECT_EQ(status_of(begun).allocations.at("web").restarts, 1u);
  supersede_node(record, "left", false);
  EXPECT_EQ(shown(), 0u) << "it is lost again before it has begun";
  end_unplaced(record, AllocationStatus::terminated, "it was shut down");
  EXPECT_EQ(shown(), 0u);
  EXPECT_EQ(entry("web").status, AllocationStatus::terminated) << "it has run once, and is shown";
}

TEST_F(PlanTest, TheErrorOfAnUnknownAllocationNamesThoseThereAre) {
  record.manifest.allocations.clear();
  EXPECT_EQ(check_allocation(record, "no").error().message(),
            "deployment d1 has no allocation 'no' on any machine (it is Running)");
  record.manifest.allocations["web"];
  record.outputs = {{"old", "old-1"}, {"web", "web-1"}};
  EXPECT_EQ(check_allocation(record, "no").error().message(),
            "deployment d1 has no allocation 'no' on any machine (it is Running); it has old, web");
}

TEST_F(PlanTest, AnotherIncarnationIsARestartOnlyIfOneWasRequested) {
  RenewReply reply = report();
  reply.allocations["web"].incarnation = "web-2";
  EXPECT_EQ(reconcile(record, "left", reply).missing, (json::StringMap{{"web", "web-1"}}));
  record.restarting["web"] = "web-1";
  entry("web").status = AllocationStatus::restarting;
  EXPECT_TRUE(reconcile(record, "left", reply).missing.empty());
  EXPECT_EQ(entry("web").incarnation, "web-2");
  EXPECT_EQ(entry("web").status, AllocationStatus::running);
  EXPECT_EQ(entry("web").restarts, 1u);
  EXPECT_TRUE(record.restarting.empty());
}

/// Of one that is superseded already, too: another run of it is another thing to release.
TEST_F(PlanTest, ARunUnderAnotherIncarnationIsSupersededBesideTheKnownOne) {
  RenewReply reply = report();
  reply.allocations["web"].incarnation = "web-2";
  const Findings findings = reconcile(record, "left", reply);
  EXPECT_EQ(findings.others, (json::StringMap{{"web", "web-2"}}));
  EXPECT_TRUE(record.superseded.empty()) << "the report may be older than the record";
  const actor::Handle machine = record.manifest.nodes.at("left").handle;
  supersede_run(record, "web", false);
  for (int repeated = 0; repeated < 2; ++repeated) supersede_unknown(record, machine, findings.others, true);
  ASSERT_EQ(record.superseded.size(), 2u) << "once is enough";
  EXPECT_EQ(record.superseded[1].allocations, findings.others);
  EXPECT_TRUE(is_blocked(record, "left"));
  EXPECT_TRUE(record.superseded[1].exclusive);
  mark_over_since(record, record.superseded[0].number);
  EXPECT_FALSE(record.superseded[0].over);
  EXPECT_TRUE(record.superseded[1].over);
}

/// Whether that has happened is not known: both runs are what the entry releases, and the next one counts once.
TEST_F(PlanTest, ARunThatIsRestartingIsSupersededWithTheNextOne) {
  record.restarting["web"] = "web-1";
  entry("web").status = AllocationStatus::restarting;
  const actor::Handle machine = record.manifest.nodes.at("left").handle;
  end_node(record, "left", AllocationStatus::terminated, "it was shut down");
  ASSERT_EQ(record.superseded.size(), 1u);
  const Superseded& left = record.superseded[0];
  EXPECT_EQ(left.restarting, std::vector<std::string>{"web"});
  EXPECT_EQ(std::ranges::count(left.unfetched, "web"), 1);
  EXPECT_EQ(left.allocations.at("web"), "web-1");
  EXPECT_FALSE(entry("web").collected);
  supersede_unknown(record, machine, {{"web", "web-2"}});
  ASSERT_EQ(record.superseded.size(), 1u) << "its output would not be fetched";
  const auto read = json::decode<DeploymentRecord>(json::encode(record));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->superseded[0].restarting, std::vector<std::string>{"web"});
  const std::uint64_t number = record.superseded[0].number;
  for (const char* next : {"web-2", "web-3"}) settle_restart(record, number, "web", next);
  EXPECT_EQ(record.superseded[0].allocations.at("web"), "web-2");
  EXPECT_EQ(entry("web").incarnation, "web-2");
  EXPECT_EQ(entry("web").restarts, 1u);
  EXPECT_TRUE(is_awaited(record, "web", "web-2"));
  const Rest* rest = find_left_rest(record, number, "web");
  ASSERT_NE(rest, nullptr);
  EXPECT_EQ(rest->run, "web-1");
  EXPECT_FALSE(has_open_rest(record, "web")) << "nothing but the release waits for it";
  forget_earlier_output(record, "web");
  EXPECT_EQ(find_left_rest(record, number, "web"), nullptr);
  EXPECT_EQ(record.rests.at(0).missing, "the work was run again before it was fetched");
}

/// While its machine keeps it for that.
TEST_F(PlanTest, ARunWhoseOutputIsAwaitedIsNotReleasedWithWhatHasNoRun) {
  supersede_run(record, "web", false);
  ASSERT_EQ(record.superseded.size(), 1u);
  ASSERT_EQ(record.superseded[0].unfetched, std::vector<std::string>{"web"});
  supersede(record, "left", {"web"}, true);
  EXPECT_EQ(record.superseded.size(), 1u);
  EXPECT_TRUE(record.superseded[0].exclusive);
  record.manifest.nodes.at("left").allocations = {"db", "web"};
  end_node(record, "left", AllocationStatus::terminated, "it was shut down");
  ASSERT_EQ(record.superseded.size(), 2u);
  EXPECT_EQ(record.superseded[1].allocations, (json::StringMap{{"db", "db-1"}}));
}

TEST_F(PlanTest, WhatIsBeingPlacedIsLeftAlone) {
  entry("web").handle = {};
  RenewReply reply = report();
  EXPECT_TRUE(reconcile(record, "left", reply).missing.empty());
  EXPECT_TRUE(record.superseded.empty());
}

// --- updates -----------------------------------------------------------------------------------------------------------

TEST_F(PlanTest, AnUpdateThatChangesNothingTouchesNothing) {
  apply_update(record, ensemble());
  EXPECT_TRUE(unplaced(record).empty());
  EXPECT_TRUE(record.superseded.empty());
}

TEST_F(PlanTest, AnUpdateTouchesWhatItChangesOnly) {
  jobs::Ensemble wanted = ensemble();
  wanted.allocations.at("web").resources.cpu.cores = *capability::Millicores::from_cores(2);
  wanted.allocations.at("db").depends_on = {"web"};
  wanted.allocations["extra"] = wanted.allocations.at("job");
  wanted.nodes.at("right").allocations.emplace_back("extra");
  apply_update(record, wanted);
  EXPECT_EQ(unplaced(record), (Unplaced{{"left", {"web"}}, {"right", {"extra"}}}));
  EXPECT_EQ(entry("db").incarnation, "db-1");
  EXPECT_EQ(entry("job").incarnation, "job-1");
  for (const auto& [name, node] : {std::pair("web", "left"), std::pair("extra", "right")}) {
    EXPECT_EQ(entry(name).status, AllocationStatus::pending) << "the status has it";
    EXPECT_EQ(entry(name).node_id, node);
    EXPECT_FALSE(is_placed(entry(name)));
  }
  ASSERT_EQ(record.superseded.size(), 1u);
  EXPECT_EQ(record.superseded[0].allocations, (json::StringMap{{"web", "web-1"}}));
  EXPECT_TRUE(is_blocked(record, "left")) << "the machine serves the node already, and has the old one still";
  const jobs::Ensemble part = part_of(record, unplaced(record));
  EXPECT_EQ(part.nodes.at("right").peer, "p-right") << "more of the same node";
  EXPECT_EQ(part.nodes.at("right").allocations, (std::vector<std::string>{"job", "extra"})) << "all that it needs";
}

TEST_F(PlanTest, TheLeaseOfANodeChangesOnlyWhereItIsPlacedAnew) {
  jobs::Ensemble wanted = ensemble();
  EXPECT_TRUE(check_update(record, wanted));
  wanted.nodes.at("left").lease_ns = requested_lease(ensemble().nodes.at("left")).count();
  EXPECT_TRUE(check_update(record, wanted)) << "as it was, by default";
  wanted.nodes.at("left").lease_ns = Duration(10min).count();
  const Result<void> checked = check_update(record, wanted);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().to_string().find("nodes.left.lease"), std::string::npos) << checked.error().to_string();
  wanted.nodes.at("left").peer = "p-elsewhere";
  EXPECT_TRUE(check_update(record, wanted)) << "it moves";
  wanted.nodes.at("left").peer.clear();
  record.manifest.nodes.erase("left");
  EXPECT_TRUE(check_update(record, wanted)) << "it has no machine now";
}

TEST_F(PlanTest, ANodeGrowsIfItAsksForMoreAndSomethingThatRunsIsStoppedForIt) {
  using Change = std::function<void(jobs::Ensemble&)>;
  const std::set<std::string> left = {"left"};
  const auto grow = [&](const Change& change) {
    jobs::Ensemble wanted = ensemble();
    change(wanted);
    return growing_nodes(record, wanted);
  };
  const std::vector<Change> more = {
      [](jobs::Ensemble& e) { e.allocations.at("web").resources.cpu.cores.millis += 1; },
      [](jobs::Ensemble& e) { e.allocations.at("web").resources.ram.size.bytes += 1; },
      [](jobs::Ensemble& e) { e.allocations.at("web").resources.disk.size.bytes += 1; },
      [](jobs::Ensemble& e) { e.allocations.at("web").resources.cpu.architecture = "arm64"; },
      [](jobs::Ensemble& e) { e.allocations.at("web").resources.gpus.emplace_back(); },
      [](jobs::Ensemble& e) { e.allocations.at("web").executor = jobs::ExecutorType::docker; },
      [](jobs::Ensemble& e) { e.allocations.at("web").execution.params["privileged"] = true; },
      [](jobs::Ensemble& e) { e.allocations.at("web").results.emplace(); },
      [](jobs::Ensemble& e) { e.allocations.at("web").healthcheck.type = jobs::HealthCheckType::tcp; },
      [](jobs::Ensemble& e) {  // what moves in is stopped where it was
        e.nodes.erase("right");
        e.nodes.at("left").allocations.emplace_back("job");
      },
  };
  for (std::size_t i = 0; i < more.size(); ++i) EXPECT_EQ(grow(more[i]), left) << i;
  const std::vector<Change> no_more = {
      [](jobs::Ensemble&) {},
      [](jobs::Ensemble& e) { e.metadata["key"] = "value"; },
      [](jobs::Ensemble& e) { e.allocations.at("web").execution.params["cmd"] = "another"; },
      [](jobs::Ensemble& e) { e.allocations.at("web").resources.cpu.cores.millis -= 1; },
      [](jobs::Ensemble& e) {  // as much together
        e.allocations.at("web").resources.ram.size.bytes += 1;
        e.allocations.at("db").resources.ram.size.bytes -= 1;
      },
      [](jobs::Ensemble& e) {  // nothing is stopped for it
        e.allocations["more"] = e.allocations.at("web");
        e.nodes.at("left").allocations.emplace_back("more");
      },
      [](jobs::Ensemble& e) {  // it moves
        e.allocations.at("web").resources.ram.size.bytes += 1;
        e.nodes.at("left").peer = "p-elsewhere";
      },
  };
  for (std::size_t i = 0; i < no_more.size(); ++i) EXPECT_EQ(grow(no_more[i]), std::set<std::string>()) << i;
  entry("web").status = AllocationStatus::completed;
  EXPECT_EQ(grow(more[0]), std::set<std::string>()) << "it does not run";
  entry("web").status = AllocationStatus::running;
  entry("web").lease_ns = entry("db").lease_ns = 0;
  EXPECT_EQ(grow(more[0]), std::set<std::string>()) << "of a machine of DMS 0.5.x";
}

TEST_F(PlanTest, AnUpdateRemovesAndMoves) {
  jobs::Ensemble wanted = ensemble();
  wanted.allocations.erase("db");
  wanted.nodes.at("left").allocations = {"web"};
  wanted.nodes.at("right").peer = "p-elsewhere";
  apply_update(record, wanted);
  EXPECT_FALSE(record.manifest.allocations.contains("db"));
  EXPECT_EQ(entry("web").incarnation, "web-1");
  EXPECT_EQ(unplaced(record), (Unplaced{{"right", {"job"}}}));
  EXPECT_EQ(record.superseded.size(), 2u);
  EXPECT_EQ(part_of(record, unplaced(record)).nodes.at("right").peer, "p-elsewhere");

  jobs::Ensemble without = wanted;
  without.nodes.erase("left");
  without.allocations.erase("web");
  apply_update(record, without);
  EXPECT_FALSE(record.manifest.nodes.contains("left"));
}

TEST_F(PlanTest, ResultsOfATaskThatIsRemovedBeforeTheyAreHereAreNamedAsAbsent) {
  record.outputs["db"] = "db-1";
  record.ensemble.allocations.at("db").results.emplace().paths = {"model"};
  entry("db").status = AllocationStatus::completed;
  jobs::Ensemble wanted = ensemble();
  wanted.allocations.erase("db");
  wanted.nodes.at("left").allocations = {"web"};
  apply_update(record, wanted);
  const auto removed = info_of(record).removed;
  ASSERT_TRUE(removed.contains("db"));
  EXPECT_EQ(removed.at("db").absent.at("model"), "an update has removed the task before it was here");
  EXPECT_FALSE(removed.contains("web"));
}

TEST_F(PlanTest, AnUpdateThatExcludesTheMachineOfANodeMovesIt) {
  jobs::Ensemble wanted = ensemble();
  wanted.exclude_peers = {"p-elsewhere"};
  apply_update(record, wanted);
  EXPECT_TRUE(record.superseded.empty());
  wanted.exclude_peers.emplace_back("p-right");
  apply_update(record, wanted);
  EXPECT_EQ(unplaced(record), (Unplaced{{"right", {"job"}}}));
  ASSERT_EQ(record.superseded.size(), 1u);
  EXPECT_EQ(record.superseded.at(0).peer, "p-right");
}

TEST_F(PlanTest, AnAllocationThatMovesToAnotherNodeRunsAnewThere) {
  jobs::Ensemble wanted = ensemble();
  wanted.nodes.at("left").allocations = {"db"};
  wanted.nodes.at("right").allocations = {"job", "web"};
  apply_update(record, wanted);
  EXPECT_EQ(unplaced(record), (Unplaced{{"right", {"web"}}}));
  EXPECT_EQ(record.superseded.at(0).peer, "p-left");
}

TEST_F(PlanTest, ExclusiveWorkThatAnUpdateMovesWaitsForItsRelease) {
  jobs::Ensemble wanted = ensemble();
  wanted.nodes.at("right").peer = "p-elsewhere";
  apply_update(record, wanted);
  EXPECT_TRUE(is_blocked(record, "right"));
  record.superseded.at(0).over = true;
  EXPECT_FALSE(is_blocked(record, "right"));
}

TEST_F(PlanTest, ExclusiveWorkThatMovesToAnotherNodeWaitsForItsRelease) {
  jobs::Ensemble wanted = ensemble();
  wanted.nodes["third"] = wanted.nodes.at("right");
  wanted.nodes.erase("right");
  apply_update(record, wanted);
  EXPECT_TRUE(is_blocked(record, "third"));
  EXPECT_FALSE(is_blocked(record, "left"));
  record.superseded.at(0).over = true;
  EXPECT_FALSE(is_blocked(record, "third"));
}

TEST_F(PlanTest, WhatHasEndedIsNotWaitedForAndServicesAreNot) {
  entry("job").status = AllocationStatus::completed;
  entry("job").collected = true;
  jobs::Ensemble wanted = ensemble();
  wanted.allocations.at("job").resources.cpu.cores = *capability::Millicores::from_cores(2);
  wanted.nodes.at("left").peer = "p-elsewhere";
  apply_update(record, wanted);
  EXPECT_EQ(record.superseded.size(), 2u);
  EXPECT_FALSE(is_blocked(record, "left"));
  EXPECT_FALSE(is_blocked(record, "right"));
}

TEST_F(PlanTest, ANodeIsNotMovedWhileTheOutputOfWhatHasEndedThereIsCollected) {
  entry("job").status = AllocationStatus::completed;
  jobs::Ensemble wanted = ensemble();
  EXPECT_TRUE(check_update(record, wanted)) << "it stays";
  wanted.nodes.at("right").peer = "p-elsewhere";
  const Result<void> checked = check_update(record, wanted);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().to_string().find("nodes.right"), std::string::npos) << checked.error().to_string();
  record.lost = {"job"};
  EXPECT_TRUE(check_update(record, wanted)) << "from a lost machine it does";
  record.lost.clear();
  entry("job").collected = true;
  EXPECT_TRUE(check_update(record, wanted));
}

// --- dependencies ------------------------------------------------------------------------------------------------------

TEST_F(PlanTest, ConditionsAreMetWaitOrNeverWillBe) {
  const auto readiness = [&](jobs::Condition condition, AllocationStatus status, Health health = Health::unknown) {
    record.ensemble.allocations.at("web").depends_on = {"db"};
    record.ensemble.allocations.at("web").conditions = {{"db", condition}};
    entry("db").status = status;
    entry("db").health = health;
    return dependency(record, "web").readiness;
  };
  using enum AllocationStatus;
  using jobs::Condition;
  EXPECT_EQ(readiness(Condition::started, pending), Readiness::waits);
  EXPECT_EQ(readiness(Condition::started, running), Readiness::ready);
  EXPECT_EQ(readiness(Condition::started, completed), Readiness::ready);
  EXPECT_EQ(readiness(Condition::started, failed), Readiness::never);
  EXPECT_EQ(readiness(Condition::healthy, running, Health::starting), Readiness::waits);
  EXPECT_EQ(readiness(Condition::healthy, running, Health::unhealthy), Readiness::waits);
  EXPECT_EQ(readiness(Condition::healthy, running, Health::healthy), Readiness::ready);
  EXPECT_EQ(readiness(Condition::healthy, completed), Readiness::never);
  EXPECT_EQ(readiness(Condition::completed, running), Readiness::waits_for_completion);
  EXPECT_EQ(readiness(Condition::completed, completed), Readiness::ready);
  EXPECT_EQ(readiness(Condition::completed, failed), Readiness::never);
  EXPECT_EQ(dependency(record, "web").reason, "web depends on db (completed), which is failed");
}

TEST_F(PlanTest, AnInputThatItsAllocationDidNotMakeNeverComes) {
  jobs::Allocation& web = record.ensemble.allocations.at("web");
  web.depends_on = {"db"};
  web.conditions = {{"db", jobs::Condition::completed}};
  web.inputs.emplace_back().allocation = "db";
  web.inputs.back().path = "out/";
  entry("db").status = AllocationStatus::completed;
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::waits_for_completion) << "it is not collected";
  entry("db").collected = true;
  record.absent["db"] = {{"other", "there is no such file"}};
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::ready);
  record.absent["db"] = {{"out", "there is no such file"}};
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::never);
  EXPECT_EQ(dependency(record, "web").reason, "web needs the result \"out\" of db: there is no such file");
  entry("db").collected = false;
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::waits_for_completion) << "of the run before";
}

// --- what users see ----------------------------------------------------------------------------------------------------

TEST_F(PlanTest, ListsAreFilteredAndPaged) {
  RecordStore::Loaded loaded;
  for (const char* id : {"c", "a", "b", "d"}) {
    record.id = id;
    record.ensemble.metadata = {{"team", std::string(id) == "b" ? "red" : "blue"}};
    record.status = std::string(id) == "d" ? DeploymentStatus::failed : DeploymentStatus::running;
    loaded.records.push_back(record);
  }
  loaded.unreadable = {"e"};
  DeploymentListRequest request;
  EXPECT_EQ(list_of(loaded, request).deployments.size(), 5u);
  request.metadata = {{"team", "blue"}};
  request.status = {"Running"};
  const DeploymentListReply blue = list_of(loaded, request);
  EXPECT_EQ(blue.deployments, (json::StringMap{{"a", "Running"}, {"c", "Running"}}));
  EXPECT_EQ(blue.next, "");

  request = {};
  request.limit = 2;
  std::string seen;
  for (int page = 0; page < 3; ++page) {
    const DeploymentListReply reply = list_of(loaded, request);
    for (const auto& [id, status] : reply.deployments) seen += id;
    seen += '|';
    request.after = reply.next;
  }
  EXPECT_EQ(seen, "ab|cd|e|");
  EXPECT_EQ(request.after, "");
}

TEST_F(PlanTest, AListTellsWhatEachDeploymentIs) {
  RecordStore::Loaded loaded;
  record.id = "a";
  record.created = 7;
  record.ensemble.metadata = {{"name", std::string(1000, 'x')}};
  ASSERT_FALSE(record.manifest.allocations.empty());
  for (auto& [name, allocation] : record.manifest.allocations) allocation.status = AllocationStatus::completed;
  record.manifest.allocations.begin()->second.status = AllocationStatus::running;
  loaded.records.push_back(record);
  loaded.unreadable = {"e"};
  const DeploymentListReply reply = list_of(loaded, {});
  ASSERT_EQ(reply.details.size(), 1u) << "of what cannot be read there are none";
  const DeploymentSummary& summary = reply.details.at("a");
  EXPECT_LE(summary.name.size(), kMaxListedName);
  EXPECT_TRUE(summary.name.starts_with("xxx"));
  EXPECT_EQ(summary.created, 7u);
  EXPECT_EQ(summary.allocations, record.ensemble.allocations.size());
  EXPECT_EQ(summary.running, 1u);
}

TEST_F(PlanTest, TheStatusTellsOfARunThatMayExistElsewhere) {
  supersede_node(record, "left", false);
  EXPECT_NE(status_of(record).allocations.at("web").reason.find("may still exist on p-left"), std::string::npos);
  EXPECT_EQ(status_of(record).allocations.at("job").reason, "");
}

/// The members of NuNet's manifest, those of features that are refused with what says so.
TEST_F(PlanTest, TheManifestHasTheMembersThatTheExistingImplementationWrites) {
  jobs::HealthCheck& check = record.ensemble.allocations.at("web").healthcheck;
  check.type = jobs::HealthCheckType::command;
  check.exec = {"true"};
  record.manifest.nodes.at("left").pub_address = {"192.0.2.1"};
  const json::Value manifest = *json::parse(json::encode(manifest_of(record)));
  const json::Value& web = manifest.at("allocations").at("web");
  EXPECT_EQ(web.at("healthcheck").at("type"), "command");
  EXPECT_EQ(web.at("priv_addr"), "");
  EXPECT_EQ(web.at("redundancy_group"), "");
  EXPECT_EQ(web.at("is_standby"), false);
  EXPECT_TRUE(web.at("ports").is_object());
  EXPECT_EQ(manifest.at("allocations").at("db").at("healthcheck").at("type"), "");
  const json::Value& left = manifest.at("nodes").at("left");
  EXPECT_EQ(left.at("pub_address").at(0), "192.0.2.1");
  EXPECT_EQ(left.at("redundancy_role"), "primary");
  EXPECT_EQ(left.at("primary_node"), "");
  EXPECT_TRUE(left.at("standby_nodes").as_array().empty());
  EXPECT_EQ(left.at("standby_index"), 0);
  EXPECT_EQ(left.at("status"), "active");
  EXPECT_TRUE(manifest.at("subnet").is_object());
  EXPECT_TRUE(manifest.at("contracts").as_object().empty());
}

TEST_F(PlanTest, ResultsThatWillNotComeAreNamedOnceTheirRunHasEnded) {
  record.absent["web"] = {{"report", "there is no such file"}};
  entry("web").status = AllocationStatus::running;
  EXPECT_TRUE(info_of(record).allocations.at("web").absent.empty()) << "of the run before";
  entry("web").status = AllocationStatus::completed;
  EXPECT_EQ(info_of(record).allocations.at("web").absent, record.absent.at("web"));
  EXPECT_TRUE(info_of(record).allocations.at("db").absent.empty());
}

TEST_F(PlanTest, WhatHasEndedHasNoHealth) {
  entry("web").health = Health::healthy;
  EXPECT_EQ(status_of(record).allocations.at("web").health, Health::healthy);
  for (const AllocationStatus end :
       {AllocationStatus::completed, AllocationStatus::failed, AllocationStatus::terminated}) {
    entry("web").status = end;
    EXPECT_EQ(status_of(record).allocations.at("web").health, Health::unknown);
    EXPECT_EQ(info_of(record).allocations.at("web").health, Health::unknown);
  }
}

}  // namespace
}  // namespace dms::orchestrator
