#include "orchestrator/supervision/trees.hpp"

#include <limits>

#include "orchestrator/deployment/test_placed_record.hpp"

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

}  // namespace
}  // namespace dms::orchestrator
