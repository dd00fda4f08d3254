// What a provider's report changes in a record.
#include "orchestrator/supervision/reconcile.hpp"

#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/test_placed_record.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct ReconcileTest : PlacedRecordTest {};

TEST_F(ReconcileTest, AReportThatAgreesChangesNothing) {
  const Findings findings = reconcile(record, "left", report());
  EXPECT_FALSE(findings.changed);
  EXPECT_TRUE(findings.missing.empty() && findings.ended.empty());
}

TEST_F(ReconcileTest, AReportSetsStateAndHealth) {
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

TEST_F(ReconcileTest, AReportClearsTheReasonOfALossAlsoWhatHasNotBegun) {
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

TEST_F(ReconcileTest, WhatIsMissingEndedOrUnknownIsFound) {
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

TEST_F(ReconcileTest, WhatAProviderInventsDoesNotMakeTheRecordGrow) {
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

TEST_F(ReconcileTest, AnotherIncarnationIsARestartOnlyIfOneWasRequested) {
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
TEST_F(ReconcileTest, ARunUnderAnotherIncarnationIsSupersededBesideTheKnownOne) {
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

TEST_F(ReconcileTest, WhatIsBeingPlacedIsLeftAlone) {
  entry("web").handle = {};
  RenewReply reply = report();
  EXPECT_TRUE(reconcile(record, "left", reply).missing.empty());
  EXPECT_TRUE(record.superseded.empty());
}

}  // namespace
}  // namespace dms::orchestrator
