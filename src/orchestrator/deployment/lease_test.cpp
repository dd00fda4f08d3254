// Leases of one deployment: which grants it accepts, renewals and the hints that bring them forward, what a report of a
// provider does not name.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

TEST_F(DeploymentTest, LeasesAreRenewedAsLongAsItRuns) {
  run_task();
  w.settle(10min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_LT(provider.renewals, 50) << "a quarter of the lease is between them";
}

TEST_F(DeploymentTest, ARenewalNamesTheClockOfAnEarlierReplyAlsoAfterARestart) {
  run_task();
  w.settle(1min);
  EXPECT_GT(provider.renewals, 2);
  kill();
  w.settle(10s);
  restart();
  w.settle(2min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(provider.renewed_without_clock, 0);
}

TEST_F(DeploymentTest, ARenewalThatIsAnsweredAfterOneThatWasNotIsFollowedByAnotherAtOnce) {
  provider.lease = 40s;
  run_task();
  w.settle(30s);
  int before = provider.renewals;
  ASSERT_TRUE(until([&] { return provider.renewals > before; }));
  w.settle(1s);
  provider.answers_renewals = false;
  before = provider.renewals;
  ASSERT_TRUE(until([&] { return provider.renewals > before; }));
  w.settle(1s);
  provider.answers_renewals = true;
  before = provider.renewals;
  ASSERT_TRUE(until([&] { return provider.renewals > before; })) << "a question, for its clock";
  before = provider.renewals;
  ASSERT_TRUE(until([&] { return provider.renewals > before; }));
  w.settle(1s);
  EXPECT_EQ(provider.renewals, before + 2) << "once";
  EXPECT_GE(provider.runs.at("task").lease_ends - b.lane().now(), provider.lease - 2s);
  w.settle(5s);
  EXPECT_EQ(provider.renewals, before + 2);
}

TEST_F(DeploymentTest, AProviderWithoutAClockIsRenewedAllTheSame) {
  provider.has_clock = false;
  run_task();
  w.settle(10min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_GT(provider.renewed_without_clock, 0);
}

TEST_F(DeploymentTest, WhatTheProviderHasAndTheDeploymentDoesNotKnowIsStopped) {
  run_task();
  ScriptedProvider::Run& stray = provider.runs["stray"];
  stray.actor = b.root->create_child("stray").value();
  stray.incarnation = "unknown";
  stray.lease_ends = b.lane().now() + 1h;
  EXPECT_TRUE(until([&] { return !provider.runs.contains("stray"); }));
  EXPECT_TRUE(provider.runs_now());
}

TEST_F(DeploymentTest, AMissingRunIsStartedAnew) {
  run_task();
  const std::string first = task().incarnation;
  w.run(b, provider.forget("task"));
  ASSERT_TRUE(until([&] { return provider.runs_now() && task().status == AllocationStatus::running; }));
  EXPECT_NE(task().incarnation, first);
  EXPECT_EQ(task().restarts, 1u);
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
}

TEST_F(DeploymentTest, ARunThatItsEngineHasLostRunsAgain) {
  run_task();
  const std::string before = task().incarnation;
  provider.end("task", AllocationStatus::failed, -1);
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return provider.runs_now() && provider.runs.at("task").incarnation != before; }, 5min));
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running; }));
  EXPECT_EQ(task().restarts, 1u);
}

TEST_F(DeploymentTest, AHintBringsTheNextRenewalForwardAndIsNotBelieved) {
  provider.lease = 2min;
  run_task();
  w.settle(40s);
  const int before = provider.renewals;
  provider.runs.at("task").health = Health::healthy;
  ASSERT_TRUE(w.run(b, provider.hint()));
  ASSERT_TRUE(until([&] { return task().health == Health::healthy; }, 1s));
  EXPECT_EQ(provider.renewals, before + 1);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(w.run(b, provider.hint()));
    w.settle(50ms);
  }
  EXPECT_LE(provider.renewals, before + 8) << "however many there are, at most one renewal in a second";
  EXPECT_EQ(task().status, AllocationStatus::running);
}

TEST_F(DeploymentTest, AHintOfAnotherActorIsIgnored) {
  provider.lease = 2min;
  run_task();
  w.settle(10s);
  const int before = provider.renewals;
  AllocationChanged change;
  change.allocation_id = jobs::allocation_id("d1", "task");
  change.incarnation = task().incarnation;
  actor::Envelope envelope = message(*b.root, kAllocationChanged, provider.runs.at("task").orchestrator, change);
  ASSERT_TRUE(w.run(b, b.root->send(std::move(envelope))));
  w.settle(2s);
  EXPECT_EQ(provider.renewals, before);
}

TEST_F(DeploymentTest, AGrantOfAnotherLeaseThanTheEnsembleInsistsOnIsRefused) {
  DeploymentRecord made = record();
  made.ensemble.nodes.at("node").lease_ns = Duration(1000h).count();
  provider.features = {"lease"};
  provider.lease = 24h;  // cut
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  const std::string& error = deployment->record().error;
  EXPECT_NE(error.find("a lease of 86400 s, and nodes.node.lease is 3600000 s"), std::string::npos) << error;
}

TEST_F(DeploymentTest, ALeaseThatIsFarLongerThanRequestedIsNotAccepted) {
  provider.lease = 200 * 365 * 24h;
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 10min));
  EXPECT_EQ(provider.starts, 0);
  EXPECT_NE(deployment->record().error.find("grants a lease of 1752000 h"), std::string::npos)
      << deployment->record().error;
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }, 10min)) << "what it has made is released";
}

TEST_F(DeploymentTest, ALeaseOfADayIsAccepted) {
  provider.lease = kLongestGrant;
  run_task();
  EXPECT_EQ(Duration(task().lease_ns), kLongestGrant);
}

}  // namespace
}  // namespace dms::orchestrator
