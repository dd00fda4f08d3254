// One deployment: the messages to each side, what is stored when, renewals, updates.
#include "orchestrator/deployment/test_deployment.hpp"

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

TEST_F(DeploymentTest, HealthIsStoredAndAnUnhealthyServiceIsRestarted) {
  DeploymentRecord service = record();
  service.ensemble.allocations.at("task").type = jobs::AllocationType::service;
  create(std::move(service));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running));
  provider.runs.at("task").health = Health::healthy;
  ASSERT_TRUE(until([&] { return task().health == Health::healthy; }));
  const std::string first = task().incarnation;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return provider.restarts == 1 && task().incarnation != first; }));
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_EQ(task().restarts, 1u);
  provider.runs.at("task").health = Health::unhealthy;
  w.settle(1h);
  EXPECT_GE(provider.restarts, 2);
}

TEST_F(DeploymentTest, AnUnhealthyTaskIsRestarted) {
  run_task();
  const std::string first = task().incarnation;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  EXPECT_EQ(provider.restarts, 1);
  EXPECT_NE(task().incarnation, first);
  EXPECT_EQ(task().status, AllocationStatus::running);
}

TEST_F(DeploymentTest, TheReasonOfARestartSaysWhichCheckFailedInOneShortLine) {
  run_task();
  provider.page_takes = 5s;
  provider.runs.at("task").health_message = "exit code 3 of `check`\n" + std::string(5000, 'x');
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  EXPECT_TRUE(task().reason.starts_with("it failed its health check: exit code 3 of `check`\\x0axxx")) << task().reason;
  EXPECT_LE(task().reason.size(), kMaxReportedText);
  ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  EXPECT_EQ(task().reason, "");
}

TEST_F(DeploymentTest, ARestartThatDoesNotStartEndsWithItsReason) {
  DeploymentRecord made = record();
  made.ensemble.nodes.at("node").on_loss = jobs::OnLoss::fail;
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  const std::string first = task().incarnation;
  provider.fail_restart = "disk limit: the files of the work take more";
  provider.runs.at("task").out = "of the first run";
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::failed; }));
  EXPECT_NE(task().incarnation, first);
  EXPECT_NE(task().reason.find("disk limit"), std::string::npos) << task().reason;
}

TEST_F(DeploymentTest, ATaskThatEndsBeforeItsRestartIsNotRunAgain) {
  run_task();
  provider.page_takes = 5s;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  provider.end("task", AllocationStatus::completed);
  EXPECT_TRUE(until([&] { return task().status == AllocationStatus::completed; }));
  EXPECT_EQ(provider.restarts, 0);
}

TEST_F(DeploymentTest, ATaskWhoseEndIsKnownIsNotRequestedToRestart) {
  run_task();
  provider.knows_only_running = false;
  provider.page_takes = 4s;
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  provider.end("task", AllocationStatus::completed);
  ASSERT_TRUE(notify());
  EXPECT_EQ(task().status, AllocationStatus::completed);
  w.settle(1min);
  EXPECT_EQ(provider.restarts, 0);
}

TEST_F(DeploymentTest, WhatAnUnhealthyRunHasWrittenIsKeptOverItsRestart) {
  OutputStore store(folder);
  const auto previous = [&] {
    protocol::DeploymentLogsRequest request{
        .ensemble_id = "d1", .allocation_name = "task", .stream = "previous:stdout"};
    const auto page = w.run(a, previous_page(store, deployment->record(), std::move(request)));
    return page ? std::string(as_text(page->data)) : page.error().to_string();
  };
  DeploymentRecord service = record();
  service.ensemble.allocations.at("task").type = jobs::AllocationType::service;
  create(std::move(service));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running));
  EXPECT_NE(previous().find("no output of an earlier run"), std::string::npos) << previous();
  provider.runs.at("task").out = "first\n";
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return provider.restarts == 1; }));
  provider.runs.at("task").out = "second\n";
  ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  EXPECT_EQ(previous(), "first\n") << "before anybody reads the new run";
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  EXPECT_EQ(output(), "second\n");
  EXPECT_EQ(previous(), "first\n") << "and after";
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return provider.restarts == 2; }));
  provider.runs.at("task").out = "third\n";
  ASSERT_TRUE(until([&] { return task().restarts == 2u; }));
  EXPECT_EQ(previous(), "second\n");
}

TEST_F(DeploymentTest, AProviderThatSendsNoOutputDoesNotPreventARestart) {
  DeploymentRecord service = record();
  service.ensemble.allocations.at("task").type = jobs::AllocationType::service;
  create(std::move(service));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running));
  provider.page_takes = 1h;
  provider.runs.at("task").health = Health::unhealthy;
  EXPECT_TRUE(until([&] { return provider.restarts == 1; }, kRestartOutput + 1min));
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

TEST_F(DeploymentTest, AnUpdateAddsToANodeOnItsMachineAndRemovesFromIt) {
  run_task();
  const std::string first = task().incarnation;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations["more"] = ensemble.allocations.at("task");
  ensemble.nodes.at("node").allocations.emplace_back("more");
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] { return provider.runs_now("more"); }));
  EXPECT_EQ(task().incarnation, first);
  EXPECT_TRUE(provider.runs_now());

  ensemble.allocations.erase("more");
  ensemble.nodes.at("node").allocations.pop_back();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] { return !provider.runs.contains("more"); }));
  EXPECT_EQ(task().incarnation, first);
  EXPECT_TRUE(provider.runs_now());
}

/// All of its node: the machine is asked anew at the moment of the release, be that in a round of bids or in a pause.
TEST_F(LossTest, AnUpdateOfTheOnlyAllocationRunsOnItsMachineOnceThatHasReleasedIt) {
  for (const Duration stop_takes : {kBidRound / 2, kBidRound + 2s}) {
    if (!deployment) run_anywhere(jobs::AllocationType::service);
    other.bids = false;
    provider.stop_takes = stop_takes;
    const std::string first = task().incarnation;
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
    const SteadyTime begun = a.lane().now();
    std::optional<SteadyTime> released;
    ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
    ASSERT_TRUE(until([&] {
      if (!released && deployment->record().superseded.empty()) released = a.lane().now();
      return task().status == AllocationStatus::running && task().incarnation != first;
    }));
    ASSERT_TRUE(released);
    EXPECT_GT(*released - begun, kBidRound / 3);
    EXPECT_LT(a.lane().now() - *released, kBidSettle + 1s) << "the machine was excluded until then";
  }
}

TEST_F(LossTest, AReleaseIsNoticedWhileAnotherNodeFindsNoMachine) {
  run_anywhere(jobs::AllocationType::service);
  other.bids = false;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations["more"] = ensemble.allocations.at("task");
  ensemble.nodes["spare"] = ensemble.nodes.at("node");
  ensemble.nodes.at("spare").allocations = {"more"};
  ensemble.nodes.at("spare").peer = other.peer();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  w.settle(5min);  // the pauses have grown
  const std::string first = task().incarnation;
  provider.stop_takes = kBidRound + 2s;
  ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
  std::optional<SteadyTime> released;
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] {
    if (!released && deployment->record().superseded.empty()) released = a.lane().now();
    return task().status == AllocationStatus::running && task().incarnation != first;
  }));
  ASSERT_TRUE(released);
  EXPECT_LT(a.lane().now() - *released, kBidSettle + 1s) << "the pause ends with the release";
}

TEST_F(DeploymentTest, AnUpdateThatMovesATaskHasItReleasedFirst) {
  run_task();
  provider.stop_takes = 4s;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.nodes.at("node").peer = other.peer();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  bool both = false;
  ASSERT_TRUE(until([&] {
    both = both || (provider.runs_now() && other.runs_now());
    return other.runs_now();
  }));
  EXPECT_FALSE(both);
}

TEST_F(LossTest, WhatAnUpdateWouldMoveToNoMachineGoesOnWhereItIs) {
  for (const auto type : {jobs::AllocationType::service, jobs::AllocationType::task}) {
    run_anywhere(type);
    other.bids = false;
    const std::string first = task().incarnation;
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.exclude_peers = {provider.peer()};
    const Result<void> refused = w.run(a, deployment->update(ensemble));
    ASSERT_FALSE(refused);
    const std::string why = refused.error().to_string();
    EXPECT_TRUE(why.starts_with("nothing is changed, and what runs of node goes on where it is")) << why;
    EXPECT_NE(why.find("none has bid"), std::string::npos) << why;
    w.settle(1min);
    EXPECT_TRUE(provider.runs_now());
    EXPECT_EQ(task().incarnation, first);
    EXPECT_EQ(task().status, AllocationStatus::running);
    EXPECT_TRUE(deployment->record().ensemble.exclude_peers.empty());
    other.bids = true;
    ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
    ASSERT_TRUE(until([&] { return other.runs_now() && !provider.runs_now(); }));
    ASSERT_TRUE(w.run(a, deployment->shutdown()));
    w.run(a, deployment->close());
    deployment.reset();
  }
}

TEST_F(LossTest, WorkThatAsksForMoreThanAnyMachineGivesGoesOnAsItIs) {
  run_anywhere(jobs::AllocationType::service);
  provider.max_cores = 4;
  other.max_cores = 8;
  const std::string first = task().incarnation;
  for (const bool pinned : {false, true}) {
    jobs::Ensemble ensemble = deployment->record().ensemble;
    if (pinned) ensemble.nodes.at("node").peer = provider.peer();
    ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(pinned ? 6 : 50);
    const Result<void> refused = w.run(a, deployment->update(ensemble));
    ASSERT_FALSE(refused);
    const std::string why = refused.error().to_string();
    EXPECT_TRUE(why.starts_with("nothing is changed, and what runs of node goes on where it is: the update asks"))
        << why;
    EXPECT_NE(why.find(pinned ? "nodes.node asks for 6 cores" : "nodes.node asks for 50 cores"), std::string::npos)
        << why;
    w.settle(1min);
    EXPECT_TRUE(provider.runs_now());
    EXPECT_EQ(task().incarnation, first);
    EXPECT_EQ(task().status, AllocationStatus::running);
  }
  jobs::Ensemble ensemble = deployment->record().ensemble;
  const auto takes_cores = [&](double cores) {
    ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(cores);
    return w.run(a, deployment->update(ensemble)).has_value();
  };
  other.bids = false;
  ASSERT_TRUE(takes_cores(4)) << "its own machine";
  ASSERT_TRUE(until([&] { return provider.runs_now() && task().status == AllocationStatus::running; }));
  EXPECT_NE(task().incarnation, first);
  other.bids = true;
  ASSERT_TRUE(takes_cores(6)) << "another machine";
  ASSERT_TRUE(until([&] { return other.runs_now() && !provider.runs_now(); }, 5min));
}

TEST_F(LossTest, AnUpdateThatAsksForNoMoreIsNotHeldUpByBids) {
  run_anywhere(jobs::AllocationType::service);
  provider.bids = other.bids = false;
  const std::string first = task().incarnation;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(0.5);
  ensemble.allocations.at("task").execution.params["cmd"] = "another";
  const SteadyTime begun = a.lane().now();
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  EXPECT_LT(a.lane().now() - begun, 1s);
  provider.bids = true;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running && task().incarnation != first; }));
}

TEST_F(DeploymentTest, AnUpdateThatCannotBeAppliedChangesNothing) {
  run_task();
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.nodes.at("node").lease_ns = Duration(10min).count();
  ensemble.allocations["more"] = ensemble.allocations.at("task");
  ensemble.nodes.at("node").allocations.emplace_back("more");
  const Result<void> updated = w.run(a, deployment->update(ensemble));
  ASSERT_FALSE(updated);
  EXPECT_NE(updated.error().to_string().find("nodes.node.lease"), std::string::npos) << updated.error().to_string();
  EXPECT_FALSE(deployment->record().ensemble.allocations.contains("more"));
}

TEST_F(DeploymentTest, AnUpdateGoesOnAfterARestart) {
  run_task();
  const std::string first = task().incarnation;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.at("task").resources.cpu.cores = *capability::Millicores::from_cores(2);
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  kill();
  restart();
  ASSERT_TRUE(until([&] { return provider.runs_now() && provider.runs.at("task").incarnation != first; }));
  EXPECT_TRUE(until([&] { return task().status == AllocationStatus::running; }));
}

TEST_F(DeploymentTest, OnlyARunningDeploymentIsUpdated) {
  provider.bids = false;
  create(record());
  deployment->start();
  w.settle(1s);
  const Result<void> refused = w.run(a, deployment->update(one_task_ensemble()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("wait until it runs"), std::string::npos) << refused.error().to_string();
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
