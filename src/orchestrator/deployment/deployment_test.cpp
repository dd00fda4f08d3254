// One deployment from its first request to its end: the messages to each side, what is stored when, its output.
#include "orchestrator/deployment/test_deployment.hpp"
#include "protocol/edge.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

TEST_F(DeploymentTest, ATaskIsCommittedAllocatedStartedAndItsOutputIsStored) {
  run_task();
  EXPECT_EQ(stored(), DeploymentStatus::running);
  EXPECT_EQ(provider.commits, 1);
  EXPECT_EQ(provider.allocates, 1);
  EXPECT_EQ(provider.starts, 1);
  EXPECT_EQ(task().incarnation, provider.runs.at("task").incarnation);
  EXPECT_EQ(Duration(task().lease_ns), provider.lease);
  provider.end("task", AllocationStatus::completed, 0, "hello");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(stored(), DeploymentStatus::completed);
  EXPECT_EQ(provider.shutdowns, 1) << "the provider receives the request to remove the allocation";
  EXPECT_EQ(output(), "hello");
  EXPECT_EQ(provider.pages, 0) << "all of it came with the notice";
}

TEST_F(DeploymentTest, AProviderOfTheExistingImplementationIsPingedAndItsNoticeHasTheOutput) {
  provider.lease = Duration(0);
  run_task();
  w.settle(2min);
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_EQ(provider.renewals, 0);
  provider.runs.at("task").out = "so far";
  DeploymentLogsRequest request{deployment->id(), "task", "stdout"};
  auto page = w.run(a, deployment->page(request));
  ASSERT_TRUE(page) << page.error().to_string();
  EXPECT_EQ(as_text(page->data), "so far");
  EXPECT_FALSE(page->eof) << "it still runs";
  request.offset = 3;
  page = w.run(a, deployment->page(request));
  ASSERT_TRUE(page) << page.error().to_string();
  EXPECT_EQ(as_text(page->data), "far");
  provider.end("task", AllocationStatus::completed, 0, "hello");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "hello");
}

TEST_F(DeploymentTest, AFailedExitCodeFailsTheDeployment) {
  run_task();
  provider.end("task", AllocationStatus::failed, 3);
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_NE(deployment->record().error.find("exit code 3"), std::string::npos) << deployment->record().error;
}

TEST_F(DeploymentTest, ProvidersReceiveRequestsOnlyOfAStoredState) {
  create(record());
  records.refuse = true;
  deployment->start();
  w.settle(20s);
  EXPECT_EQ(provider.commits, 0);
  EXPECT_EQ(deployment->status(), DeploymentStatus::preparing) << "a state that is not stored is not entered";
  records.refuse = false;
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  EXPECT_EQ(provider.commits, 1);
}

TEST_F(DeploymentTest, ARefusedStartIsRevertedAndRepeatedLater) {
  provider.refuse_start = "no such image";
  create(record());
  const SteadyTime begun = a.lane().now();
  deployment->start();
  ASSERT_TRUE(until([&] { return provider.reverts > 0 && provider.runs.empty(); }));
  provider.refuse_start.clear();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  EXPECT_GE(a.lane().now() - begun, kPinnedBackoff) << "the provider that failed gets no request for a while";
  EXPECT_EQ(provider.starts, 2);
}

TEST_F(DeploymentTest, AStartWithoutAReplyDoesNotDelayThatOfTheNextAttempt) {
  provider.unanswered_starts = 1;
  DeploymentRecord patient = record();
  patient.deadline = (w.world.unix_now() + (kAllocationStart.timeout - 1min)).nanos;
  create(std::move(patient));
  deployment->start();
  ASSERT_TRUE(until([&] { return provider.starts == 1; }));
  w.run(b, provider.forget("task"));  // as a provider does whose daemon was killed while it brought the inputs
  ASSERT_TRUE(reaches(DeploymentStatus::running, kAllocationStart.timeout)) << deployment->record().error;
  EXPECT_EQ(provider.starts, 2);
}

TEST_F(DeploymentTest, AStartThatIsLostIsSentAgain) {
  provider.unanswered_starts = 2;
  DeploymentRecord patient = record();
  patient.deadline = (w.world.unix_now() + (2 * kStartRepeat + 1min)).nanos;
  create(std::move(patient));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running, 2 * kStartRepeat + 1min)) << deployment->record().error;
  EXPECT_EQ(provider.starts, 3);
  EXPECT_EQ(provider.commits, 1) << "it has not started over";
  EXPECT_EQ(provider.reverts, 0);
}

TEST_F(DeploymentTest, AStartIsNotGivenUpWhileTheProviderBringsInputs) {
  provider.brings_inputs = true;
  provider.unanswered_starts = 2 * static_cast<int>(kAllocationStart.timeout / kStartRepeat);
  DeploymentRecord patient = record();
  patient.deadline = (w.world.unix_now() + 3 * kAllocationStart.timeout).nanos;
  create(std::move(patient));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running, 3 * kAllocationStart.timeout)) << deployment->record().error;
  EXPECT_EQ(provider.starts, provider.unanswered_starts + 1);
  EXPECT_EQ(provider.commits, 1) << "it has not started over";
}

TEST_F(DeploymentTest, WithoutAProviderInTimeItFailsAndSaysWhatTheLastOneSaid) {
  provider.refuse_start = "no such image";
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  const std::string& error = deployment->record().error;
  ASSERT_NE(error.find("no such image"), std::string::npos) << error;
  EXPECT_LT(error.find("no such image"), error.find("no machine was found")) << "the cause comes first: " << error;
  EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, AProviderThatRestartsWhileItIsCommittedGetsTheWorkAfterwards) {
  provider.refuse_commit = "no open bid";
  create(record());
  deployment->start();
  ASSERT_TRUE(until([&] { return provider.commits > 0; }));
  provider.refuse_commit.clear();
  EXPECT_TRUE(reaches(DeploymentStatus::running, 1min)) << deployment->record().error;
}

/// As T it agrees; as S it says that the way is short.
struct MeasuredMachine {
  explicit MeasuredMachine(actor::TestNode& made_for) : node(made_for) {
    EXPECT_TRUE(serve(*node.root, kEdge, *this, &MeasuredMachine::measure));
  }
  MeasuredMachine(const MeasuredMachine&) = delete;
  MeasuredMachine& operator=(const MeasuredMachine&) = delete;
  ~MeasuredMachine() { node.root->remove_behaviour(std::string(kEdge.path)); }
  Task<EdgeReply> measure(EdgeRequest request, const actor::Envelope&) {
    EdgeReply reply;
    reply.ok = true;
    reply.ticket = "ticket";
    if (request.s == node.network->self().to_string()) {
      ++measured;
      reply.rtt_ns = Duration(5ms).count();
    }
    co_return reply;
  }
  actor::TestNode& node;
  int measured = 0;
};

TEST_F(DeploymentTest, WhatWasMeasuredBetweenItsMachinesCountsForTheNextAuction) {
  MeasuredMachine one(b);
  MeasuredMachine two(c);
  provider.features = other.features = {"edges"};
  provider.refuse_commit = "no open bid";
  DeploymentRecord made = record();
  jobs::Ensemble& ensemble = made.ensemble;
  ensemble.allocations["second"] = ensemble.allocations.at("task");
  ensemble.nodes["far"] = ensemble.nodes.at("node");
  ensemble.nodes.at("far").allocations = {"second"};
  ensemble.nodes.at("far").peer = c.network->self().to_string();
  ensemble.edges.push_back({.s = "node", .t = "far", .rtt = 10});
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(until([&] { return provider.commits > 0; }));
  provider.refuse_commit.clear();
  ASSERT_TRUE(reaches(DeploymentStatus::running, 1min)) << deployment->record().error;
  EXPECT_GT(provider.commits, 1) << "after another auction";
  EXPECT_EQ(one.measured, 1);
  EXPECT_EQ(two.measured, 1);
}

TEST_F(LossTest, APeerThatDoesNotBidIsNotAskedForItsClockWhereAnotherHasBid) {
  run_anywhere(jobs::AllocationType::service);
  EXPECT_EQ(other.renewals, 0);
}

TEST_F(DeploymentTest, AWallClockThatJumpsLeavesTheTimeToDeploy) {
  provider.bids = false;
  create(record());
  const SteadyTime begun = a.lane().now();
  deployment->start();
  w.settle(10s);
  a.node.set_wall_clock(10min);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  EXPECT_GE(a.lane().now() - begun, 50s);
  EXPECT_LE(a.lane().now() - begun, 65s);
}

TEST_F(DeploymentTest, ANodeOfManyAllocationsIsPlacedByAFewRequestsAtATime) {
  DeploymentRecord made = record();
  jobs::Ensemble& ensemble = made.ensemble;
  for (int i = 1; i < 150; ++i) {
    const std::string name = "task" + std::to_string(i);
    ensemble.allocations[name] = ensemble.allocations.at("task");
    ensemble.nodes.at("node").allocations.push_back(name);
  }
  provider.commit_takes = 100ms;
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  EXPECT_EQ(provider.commits, 150);
  EXPECT_EQ(provider.starts, 150);
  EXPECT_EQ(provider.most_commits_in_progress, static_cast<int>(kRequestsAtOnce));
}

TEST_F(DeploymentTest, APageNamesItsRunAndOutputOfAnotherOneIsNotStored) {
  run_task();
  provider.runs.at("task").out = "so far";
  DeploymentLogsRequest request{deployment->id(), "task", "stdout"};
  auto page = w.run(a, deployment->page(request));
  ASSERT_TRUE(page) << page.error().to_string();
  EXPECT_EQ(page->incarnation, task().incarnation);
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  provider.runs.at("task").incarnation = "restarted behind its back";
  page = w.run(a, deployment->page(request));
  ASSERT_TRUE(page) << page.error().to_string();
  EXPECT_EQ(page->incarnation, "restarted behind its back");
  provider.runs.at("task").out = "of the next run";
  EXPECT_FALSE(w.run(a, deployment->logs("task")));
  EXPECT_EQ(output(), "so far");
}

TEST_F(DeploymentTest, ARequestForOutputThatOutlastsTheDeploymentStoresNothingOfIt) {
  run_task();
  provider.runs.at("task").out = "text";
  records.delay = 5s;
  Nursery asking(a.lane(), "asking");
  const auto ignore = [](Task<Result<std::filesystem::path>> task) -> Task<void> { (void)co_await std::move(task); };
  for (int i = 0; i < 2; ++i) asking.spawn(ignore(deployment->logs("task")));
  w.settle(1s);
  w.run(a, deployment->close());
  ASSERT_TRUE(w.run(a, records.erase("d1")));
  std::filesystem::remove_all(folder / "deployments");
  records.delay = Duration(0);
  w.settle(2min);
  w.run(a, asking.join());
  EXPECT_FALSE(w.run(a, records.exists("d1")).value());
  EXPECT_FALSE(std::filesystem::exists(folder / "deployments"));
  deployment.reset();
}

TEST_F(DeploymentTest, ResultsHaveTheLimitThatTheBidGrants) {
  DeploymentRecord made = record();
  made.ensemble.allocations.at("task").results.emplace().paths = {"report"};
  provider.features = {"results"};
  provider.grants_results = 1000;
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  ASSERT_TRUE(provider.runs.at("task").results);
  EXPECT_EQ(provider.runs.at("task").results->limit, 1000u) << "no more is asked for";
  EXPECT_EQ(granted_results(deployment->record(), "task")->max_bytes(), 1000u) << "and no more is fetched";
}

}  // namespace
}  // namespace dms::orchestrator
