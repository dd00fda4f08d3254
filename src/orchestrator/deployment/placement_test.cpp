// What of a record is unplaced and superseded, and what is awaited of it.
#include "orchestrator/deployment/placement.hpp"

#include "orchestrator/deployment/test_placed_record.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct PlacementTest : PlacedRecordTest {};

TEST_F(PlacementTest, WhatIsSupersededIsUnplacedUnlessItHasEnded) {
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

TEST_F(PlacementTest, EdgesOfANodeThatIsSoughtLeadToTheMachinesOfOthers) {
  record.ensemble.edges = {{.s = "left", .t = "right", .rtt = 10}};
  EXPECT_EQ(neighbours_of(record, {"left"}), (Placed{{"right", {"p-right"}}}));
  supersede_run(record, "db", false);
  EXPECT_TRUE(part_of(record, unplaced(record)).edges.empty()) << "the node keeps its machine, which was measured";
  supersede_node(record, "left", false);
  EXPECT_EQ(part_of(record, unplaced(record)).edges, record.ensemble.edges);
  EXPECT_EQ(neighbours_of(record, {}), (Placed{{"right", {"p-right"}}}));
  entry("job").status = AllocationStatus::completed;
  EXPECT_TRUE(neighbours_of(record, {}).empty()) << "nothing of it runs there any more";
}

TEST_F(PlacementTest, ANodeThatIsSoughtIsKeptApartFromTheMachinesOfOthers) {
  const capability::Location there{.continent = "Europe", .country = "DE"};
  record.manifest.nodes.at("right").location = there;
  record.ensemble.anti_affinity = {{{"left", "right"}, capability::Area::country},
                                   {{"left", "right"}, capability::Area::machine}};
  supersede_run(record, "db", false);
  EXPECT_TRUE(part_of(record, unplaced(record)).anti_affinity.empty()) << "the node keeps its machine";
  supersede_node(record, "left", false);
  const std::vector<jobs::AntiAffinity> apart = part_of(record, unplaced(record)).anti_affinity;
  ASSERT_EQ(apart.size(), 1u);
  EXPECT_EQ(apart[0], record.ensemble.anti_affinity[0]);
  EXPECT_EQ(neighbours_of(record, {}, {"right"}), (Placed{{"right", {"p-right", there, false}}}))
      << "what runs on a lost machine may go on there";
}

TEST_F(PlacementTest, ARunThatIsLostLeavesTheOthersOfItsNode) {
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

TEST_F(PlacementTest, ARunThatIsLostLeavesTheOutputThatIsNotHereYet) {
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

TEST_F(PlacementTest, ARecordWithSupersededRunsIsReadAsItWasWritten) {
  supersede_node(record, "left", true);
  record.restarting["job"] = "job-1";
  record.outputs["job"] = "job-0";
  const auto read = json::decode<DeploymentRecord>(json::encode(record));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(json::encode(*read), json::encode(record));
}

TEST_F(PlacementTest, ResultsHaveTheSmallerOfTheLimitsThatAreAskedForAndGranted) {
  EXPECT_FALSE(granted_results(record, "job")) << "it leaves none";
  jobs::Results& results = record.ensemble.allocations.at("job").results.emplace();
  EXPECT_EQ(granted_results(record, "job")->max_bytes(), jobs::Results::kDefaultLimit)
      << "a record of an older version";
  entry("job").results_limit = 1000;
  EXPECT_EQ(granted_results(record, "job")->limit, 1000u);
  entry("job").results_limit = jobs::Results::kDefaultLimit;
  EXPECT_EQ(*granted_results(record, "job"), results) << "it is asked for as it is written";
}

TEST_F(PlacementTest, WhatRunsAgainReleasesWhatIsBeingPlacedOnItsMachine) {
  entry("web").status = AllocationStatus::failed;
  entry("web").collected = true;
  entry("db").status = AllocationStatus::pending;
  entry("db").handle = {};
  entry("db").incarnation.clear();
  run_again(record, "web", true);
  EXPECT_EQ(unplaced(record), (Unplaced{{"left", {"db", "web"}}}));
  EXPECT_EQ(entry("web").restarts, 1u);
  EXPECT_FALSE(record.manifest.nodes.contains("left"));
  ASSERT_EQ(record.superseded.size(), 1u);
  EXPECT_EQ(record.superseded[0].peer, "p-left");
  EXPECT_EQ(record.superseded[0].allocations, (json::StringMap{{"db", ""}}));
}

/// Whether that has happened is not known: both runs are what the entry releases, and the next one counts once.
TEST_F(PlacementTest, ARunThatIsRestartingIsSupersededWithTheNextOne) {
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
TEST_F(PlacementTest, ARunWhoseOutputIsAwaitedIsNotReleasedWithWhatHasNoRun) {
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

}  // namespace
}  // namespace dms::orchestrator
