// What an update changes in a record. Those of a deployment that runs: running_update_test.cpp.
#include "orchestrator/deployment/update.hpp"

#include "orchestrator/deployment/test_placed_record.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct UpdateTest : PlacedRecordTest {};

TEST_F(UpdateTest, AnUpdateThatChangesNothingTouchesNothing) {
  apply_update(record, ensemble());
  EXPECT_TRUE(unplaced(record).empty());
  EXPECT_TRUE(record.superseded.empty());
}

TEST_F(UpdateTest, AnUpdateTouchesWhatItChangesOnly) {
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

TEST_F(UpdateTest, TheLeaseOfANodeChangesOnlyWhereItIsPlacedAnew) {
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

TEST_F(UpdateTest, AMachineWhoseOwnerHasEndedWorkIsRefusedWithTheCauseAndWhatHelps) {
  record.barred = {"p-left", "p-barred"};
  jobs::Ensemble wanted = ensemble();
  EXPECT_TRUE(check_update(record, wanted));
  wanted.nodes.at("left").peer = "p-left";
  EXPECT_TRUE(check_update(record, wanted)) << "it is there";
  wanted.nodes.at("right").peer = "p-barred";
  const std::string error = check_update(record, wanted).error().message();
  EXPECT_TRUE(error.starts_with("nodes.right.peer: p-barred: its owner has ended work of this deployment there"))
      << error;
  EXPECT_TRUE(error.contains("name another machine, or deploy the ensemble anew")) << error;
  entry("job").status = AllocationStatus::completed;
  entry("job").collected = true;
  EXPECT_TRUE(check_update(record, wanted)) << "nothing is to run there";
}

/// What runs was measured for the limits that it had.
TEST_F(UpdateTest, LimitsOfEdgesBetweenNodesThatRunAreNotMadeStricter) {
  record.ensemble.edges = {{.s = "left", .t = "right", .rtt = 50, .bw = 1000}};
  jobs::Ensemble wanted = ensemble();
  const auto checked = [&](std::uint64_t rtt, std::uint64_t bw) {
    wanted.edges = {{.s = "right", .t = "left", .rtt = rtt, .bw = bw}};
    return check_update(record, wanted);
  };
  EXPECT_TRUE(checked(50, 1000));
  EXPECT_TRUE(checked(60, 0)) << "less is asked for";
  EXPECT_TRUE(checked(0, 0));
  EXPECT_FALSE(checked(50, 1001));
  const Result<void> stricter = checked(49, 1000);
  ASSERT_FALSE(stricter);
  EXPECT_NE(stricter.error().to_string().find("edges[0]: cannot be made stricter while right and left run"),
            std::string::npos)
      << stricter.error().to_string();
  wanted.nodes.at("left").peer = "p-elsewhere";
  EXPECT_TRUE(checked(1, 1)) << "it moves, and is measured";
}

TEST_F(UpdateTest, NodesThatStayAreKeptApartIfTheyAreInDifferentPlaces) {
  record.manifest.nodes.at("left").location = {.continent = "Europe", .country = "DE", .city = "Berlin"};
  record.manifest.nodes.at("right").location = {.continent = "Europe", .country = "DE", .city = "Bonn"};
  jobs::Ensemble wanted = ensemble();
  const auto error = [&](capability::Area by) {
    wanted.anti_affinity = {{{"left", "right"}, by}};
    const Result<void> checked = check_update(record, wanted);
    return checked ? std::string() : std::string(checked.error().message());
  };
  EXPECT_EQ(error(capability::Area::machine), "");
  EXPECT_EQ(error(capability::Area::city), "");
  EXPECT_EQ(error(capability::Area::country),
            "anti_affinity[0]: left and right run in one country (DE) and stay there; give one of the nodes another "
            "name to have it placed anew");
  record.ensemble.anti_affinity = wanted.anti_affinity;
  EXPECT_EQ(error(capability::Area::country), "") << "it is not new";
  record.ensemble.anti_affinity.clear();
  wanted.nodes.at("right").peer = "p-elsewhere";
  EXPECT_EQ(error(capability::Area::country), "") << "it moves";
  wanted.nodes.at("right").peer.clear();
  record.manifest.nodes.at("right").location.country.clear();
  EXPECT_EQ(error(capability::Area::country),
            "anti_affinity[0]: right runs on a machine that does not state its country; give one of the nodes another "
            "name to have it placed anew");
  record.manifest.nodes.erase("right");
  EXPECT_EQ(error(capability::Area::country), "") << "it has no machine now";
}

TEST_F(UpdateTest, ANodeGrowsIfItAsksForMoreAndSomethingThatRunsIsStoppedForIt) {
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

TEST_F(UpdateTest, AnUpdateRemovesAndMoves) {
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

TEST_F(UpdateTest, ResultsOfATaskThatIsRemovedBeforeTheyAreHereAreNamedAsAbsent) {
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

TEST_F(UpdateTest, AnUpdateThatExcludesTheMachineOfANodeMovesIt) {
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

TEST_F(UpdateTest, AnAllocationThatMovesToAnotherNodeRunsAnewThere) {
  jobs::Ensemble wanted = ensemble();
  wanted.nodes.at("left").allocations = {"db"};
  wanted.nodes.at("right").allocations = {"job", "web"};
  apply_update(record, wanted);
  EXPECT_EQ(unplaced(record), (Unplaced{{"right", {"web"}}}));
  EXPECT_EQ(record.superseded.at(0).peer, "p-left");
}

TEST_F(UpdateTest, ExclusiveWorkThatAnUpdateMovesWaitsForItsRelease) {
  jobs::Ensemble wanted = ensemble();
  wanted.nodes.at("right").peer = "p-elsewhere";
  apply_update(record, wanted);
  EXPECT_TRUE(is_blocked(record, "right"));
  record.superseded.at(0).over = true;
  EXPECT_FALSE(is_blocked(record, "right"));
}

TEST_F(UpdateTest, ExclusiveWorkThatMovesToAnotherNodeWaitsForItsRelease) {
  jobs::Ensemble wanted = ensemble();
  wanted.nodes["third"] = wanted.nodes.at("right");
  wanted.nodes.erase("right");
  apply_update(record, wanted);
  EXPECT_TRUE(is_blocked(record, "third"));
  EXPECT_FALSE(is_blocked(record, "left"));
  record.superseded.at(0).over = true;
  EXPECT_FALSE(is_blocked(record, "third"));
}

TEST_F(UpdateTest, WhatHasEndedIsNotWaitedForAndServicesAreNot) {
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

TEST_F(UpdateTest, ANodeIsNotMovedWhileTheOutputOfWhatHasEndedThereIsCollected) {
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

}  // namespace
}  // namespace dms::orchestrator
