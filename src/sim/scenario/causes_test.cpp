// Failures between honest parties are found, and only those.
#include "sim/scenario/causes.hpp"

#include <gtest/gtest.h>

#include "sim/cluster/cluster.hpp"
#include "sim/scenario/outcomes.hpp"

namespace dms::sim {
namespace {

/// A deployment that only `large` has room for; its failures are made up.
struct CausesTest : testing::Test {
  CausesTest() {
    for (const auto& machine : cluster.machines()) causes.add(machine->peer(), machine->name());
    cluster.substrate().set_tap([this](const network::MemoryMessage& message) {
      causes.sees(message, cluster.world().now());
      return true;
    });
    cluster.start();
    order.sent = true;
    order.sent_at = cluster.world().now();
    order.id = cluster.deploy(user, one_task(4, 512, {{"FAKE_SECONDS", "5"}})).value_or("none");
    EXPECT_TRUE(cluster.wait_for(user, order.id, {"Completed"}));
    order.state = "Failed";
    order.ended_at = cluster.world().now();
  }
  ~CausesTest() override {
    cluster.stop();
    cluster.substrate().set_tap({});
  }
  [[nodiscard]] Cause cause(const std::string& reason) const {
    return outcomes.cause(order, user.peer(), reason, cluster.world().now());
  }
  void end(const std::string& reason) {
    protocol::DeploymentStatusReply status;
    status.status = order.state;
    status.error = reason;
    outcomes.ended(order, user.peer(), status, cluster.world().now());
  }

  Cluster cluster{6, {}, Wiring::memory};
  Machine& user = cluster.add("user", 0, 0);
  Machine& small = cluster.add("small", 2, 4);
  Machine& large = cluster.add("large", 8, 16);
  Causes causes;
  Report report;
  Outcomes outcomes{causes, report};
  Order order;
};

constexpr auto kLost = "task terminated: the lease has ended";

TEST_F(CausesTest, WhoWasSentACommitIsAParty) {
  EXPECT_EQ(causes.providers(order.id), "large");
  EXPECT_EQ(causes.providers("another"), "none");
}

TEST_F(CausesTest, WorkThatFailsTooOftenExplainsAFailure) {
  causes.fails("another");
  EXPECT_EQ(cause("supervision has given up"), Cause::none);
  causes.fails(order.id);
  EXPECT_EQ(cause("supervision has given up"), Cause::work);
}

TEST_F(CausesTest, PartiesAreCalmUntilOneOfThemHasAFaultOrLies) {
  const SteadyTime now = cluster.world().now();
  const auto calm = [&](SteadyTime since) { return causes.is_calm(user.peer(), order.id, since, now); };
  causes.has_fault(small.peer(), now - 1s, now);
  causes.lies(small.peer());
  EXPECT_TRUE(calm(order.sent_at)) << "it is no party";
  causes.has_fault(large.peer(), order.sent_at - 10min, order.sent_at - 5min);
  EXPECT_TRUE(calm(order.sent_at));
  EXPECT_FALSE(calm(order.sent_at - 5min));
  causes.lies(large.peer());
  EXPECT_FALSE(calm(order.sent_at));
}

TEST_F(CausesTest, NothingExplainsAFailureBetweenHonestParties) {
  EXPECT_EQ(cause(kLost), Cause::none);
  EXPECT_EQ(cause("task could not be started in time"), Cause::none);
  EXPECT_EQ(cause("allocating node on large: refused: Results.limit: too many"), Cause::none);
  const Duration long_before = -Causes::kAftermath - 10s;
  causes.has_fault(large.peer(), order.sent_at + long_before, order.sent_at - Causes::kAftermath - 1s);
  causes.has_fault(large.peer(), order.ended_at + 1s, order.ended_at + 1min);
  causes.has_fault(small.peer(), order.sent_at, order.ended_at);
  causes.lies(small.peer());
  EXPECT_EQ(cause(kLost), Cause::none) << "faults at other times and of others";
}

TEST_F(CausesTest, FaultsAndLiesOfThePartiesExplainIt) {
  causes.has_fault(user.peer(), order.sent_at + 1s, order.sent_at + 2s);
  EXPECT_EQ(cause(kLost), Cause::fault);
  causes.has_fault(large.peer(), order.sent_at - 30s, order.sent_at - 20s);
  EXPECT_EQ(cause(kLost), Cause::fault) << "shortly before";
  causes.lies(large.peer());
  EXPECT_EQ(cause(kLost), Cause::dishonest);
}

TEST_F(CausesTest, TooFewMachinesExplainItUnlessOneRefusesForAnotherReason) {
  const std::string none = "no machine was found for node one in time: no peer is connected, none has bid";
  EXPECT_EQ(cause(none), Cause::capacity);
  EXPECT_EQ(cause("committing a on large: refused: not enough is free for a: cpu; after that: " + none),
            Cause::capacity);
  EXPECT_EQ(cause("starting a on large: refused: it was started before; after that: " + none), Cause::none);
}

TEST_F(CausesTest, AMachineThatIsFoundTooLateIsTooFewMachines) {
  const std::string late = "task could not be started in time";
  order.starts = 4min;
  EXPECT_EQ(cause(late), Cause::none);
  order.starts = 5min;  // longer than there is
  EXPECT_EQ(cause(late), Cause::capacity);
  EXPECT_EQ(cause(kLost), Cause::none) << "the time has nothing to do with it";
}

TEST_F(CausesTest, WhatNothingExplainsIsAFindingAndEveryEndIsCounted) {
  end("task terminated: not renewed for 12 s");
  end("task terminated: not renewed for 34 s");
  ASSERT_EQ(report.findings_total, 2u);
  EXPECT_EQ(report.findings[0].property, "what honest parties agree on does not fail");
  EXPECT_NE(report.findings[0].detail.find("providers large: task terminated: not renewed for 12 s"), std::string::npos)
      << report.findings[0].detail;
  causes.has_fault(large.peer(), order.sent_at, order.ended_at);
  end("task terminated: not renewed for 56 s");
  order.state = "Completed";
  end("");
  order.cancelled_in = "Preparing";
  end("");
  EXPECT_EQ(report.findings_total, 2u);
  const std::string summary = report.summary();
  for (const std::string_view line : {"failed: 2 x task terminated: not renewed for ... s (no cause)\n",
                                      "failed: 1 x task terminated: not renewed for ... s (a fault)\n",
                                      "completed: 1 x its tasks have ended\n", "cancelled: 1 x while Preparing\n"})
    EXPECT_NE(summary.find(line), std::string::npos) << line << summary;
  const std::string json = json::encode(report);
  EXPECT_NE(json.find(R"({"end":"cancelled","reason":"while Preparing","count":1})"), std::string::npos) << json;
}

TEST_F(CausesTest, ADeploymentThatIsNotTakenAndAnUpdateThatDisturbsAreFindings) {
  order.disturbed = "a is gone";
  outcomes.disturbed(order, user.peer(), cluster.world().now());
  outcomes.disturbed(order, user.peer(), cluster.world().now());
  EXPECT_EQ(report.findings_total, 1u) << "once";
  order.id.clear();
  order.answered_at = cluster.world().now();
  order.refusal = "allocations.a: not supported";
  outcomes.not_taken(order, user.peer(), cluster.world().now());
  order.refusal = "1000 deployments are active, which is the limit; shut one down first";
  outcomes.not_taken(order, user.peer(), cluster.world().now());
  ASSERT_EQ(report.findings_total, 2u) << report.summary();
  EXPECT_EQ(report.findings[1].property, "a node takes what its user deploys");
}

}  // namespace
}  // namespace dms::sim
