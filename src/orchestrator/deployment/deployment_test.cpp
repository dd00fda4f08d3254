// One deployment against scripted providers, in virtual time: the messages to each side, what is stored when, restarts of
// the orchestrator, losses.
#include "orchestrator/deployment/deployment.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.hpp"
#include "orchestrator/deployment/deployments.hpp"
#include "orchestrator/test_provider.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct DeploymentTest : testing::Test {
  DeploymentTest() {
    std::string name = (std::filesystem::temp_directory_path() / "nunet-deployment-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder = name;
    for (actor::TestNode* provider : {&b, &c}) {
      actor::TestWorld::trust(a, *provider);
      actor::TestWorld::trust(*provider, a);
    }
    w.settle();
  }
  ~DeploymentTest() override {
    if (deployment) w.run(a, deployment->close());
    deployment.reset();
    w.run(b, provider.close());
    w.run(c, other.close());
    w.close();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  DeploymentRecord record() {
    DeploymentRecord made;
    made.id = "d1";
    made.created = w.world.unix_now().nanos;
    made.deadline = (w.world.unix_now() + 1min).nanos;
    made.ensemble = one_task_ensemble(b.network->self().to_string());
    return made;
  }
  Services services() { return {a.lane(), *a.network, db, folder, boot}; }
  void make(DeploymentRecord with) {
    actor::ChildOptions options;
    options.key = a.key.derive("deployment/" + with.id);
    auto child = a.root->create_child(with.id, std::move(options)).value();
    deployment = Deployment::create(services(), records, std::move(child), std::move(with)).value();
  }
  void create(DeploymentRecord with) {
    make(std::move(with));
    ASSERT_TRUE(w.run(a, deployment->save()));
  }
  /// The end of the daemon: nothing that it does from now on leaves it.
  void kill() {
    records.refuse = true;
    cut(b);
    cut(c);
    w.run(a, deployment->close());
    deployment.reset();
  }
  void restart() {
    records.refuse = false;
    records.refuse_from.reset();
    cut(b, false);
    cut(c, false);
    make(*w.run(a, records.load("d1")).value());
    deployment->resume();
  }
  void run_task() {
    create(record());
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  }
  void cut(actor::TestNode& node, bool is_cut = true) {
    w.substrate->cut(a.network->self(), node.network->self(), is_cut);
  }
  bool reaches(DeploymentStatus status, Duration limit = 2min) {
    return w.world.run_until([&] { return deployment->status() == status; }, limit);
  }
  bool until(const std::function<bool()>& condition, Duration limit = 2min) {
    return w.world.run_until(condition, limit);
  }
  bool notify(const std::string& name = "task") {
    const Result<Ack> acknowledged = w.run(b, provider.notify(name));
    return acknowledged && acknowledged->ok;
  }
  DeploymentStatus stored() { return w.run(a, records.load("d1")).value()->status; }
  const AllocationManifest& task(const std::string& name = "task") {
    return deployment->record().manifest.allocations.at(name);
  }
  std::string output(const std::string& stream = "stdout", const std::string& name = "task") {
    return read_file(folder / "deployments/d1" / name / (stream + ".log"), 1 << 24).value_or("nothing");
  }

  actor::MemoryTestWorld w{7};
  actor::TestNode& a = w.add("orchestrator");
  actor::TestNode& b = w.add("provider");
  actor::TestNode& c = w.add("another provider");
  std::filesystem::path folder;
  std::string boot = "boot";
  db::AsyncStore db{a.lane(), db::Store::open(std::string(db::Store::kMemory)).value()};
  RefusingRecordStore records{db};
  ScriptedProvider provider{b};
  ScriptedProvider other{c};
  std::unique_ptr<Deployment> deployment;
};

// --- one after another -----------------------------------------------------------------------------------------------

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

TEST_F(DeploymentTest, WithoutAProviderInTimeItFailsAndSaysWhatTheLastOneSaid) {
  provider.refuse_start = "no such image";
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  EXPECT_NE(deployment->record().error.find("no such image"), std::string::npos) << deployment->record().error;
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

// --- the end of a run --------------------------------------------------------------------------------------------------

TEST_F(DeploymentTest, TheEndOfATaskIsAcknowledgedOnlyOnceItIsStored) {
  run_task();
  provider.end("task", AllocationStatus::completed, 0, "hello");
  records.refuse = true;
  EXPECT_FALSE(notify()) << "no acknowledgement";
  EXPECT_EQ(task().status, AllocationStatus::running);
  records.refuse = false;
  EXPECT_TRUE(notify()) << "the repeated notice";
  EXPECT_TRUE(reaches(DeploymentStatus::completed));
}

TEST_F(DeploymentTest, AnEndReportedByAnotherActorIsIgnored) {
  run_task();
  TaskTermination notice;
  notice.allocation_id = jobs::allocation_id("d1", "task");
  notice.status = "completed";
  notice.incarnation = task().incarnation;
  (void)w.run(b, call(*b.root, kTaskTermination, provider.runs.at("task").orchestrator, notice, 2s));
  (void)w.run(c, call(*c.root, kTaskTermination, provider.runs.at("task").orchestrator, notice, 2s));
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_TRUE(provider.runs_now());
}

TEST_F(DeploymentTest, ANoticeOfAnotherRunIsAcknowledgedAndDoesNotEndThisOne) {
  run_task();
  EXPECT_TRUE(w.run(b, provider.notify("task", "a run of before")));
  EXPECT_EQ(task().status, AllocationStatus::running);
}

TEST_F(DeploymentTest, AnEndWhoseNoticeIsLostIsFoundByRenewal) {
  run_task();
  provider.end("task", AllocationStatus::failed, 4, "all of it");
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(task().exit_code, 4);
  EXPECT_EQ(output(), "all of it");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, OutputThatIsLongerThanTheNoticeIsCollectedByPages) {
  provider.tail_size = 10;
  provider.page_size = 1000;
  run_task();
  std::string out;
  for (int i = 0; out.size() < 10'000; ++i) out += std::to_string(i) + "\n";
  provider.end("task", AllocationStatus::completed, 0, out);
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), out);
  EXPECT_GE(provider.pages, 10);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, OutputThatTheProviderHasDroppedIsMarked) {
  provider.tail_size = 10;
  run_task();
  provider.runs.at("task").dropped = 100;
  provider.end("task", AllocationStatus::completed, 0, std::string(100, 'x') + "the rest\nof it\n");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "[100 bytes were dropped here]\nthe rest\nof it\n");
}

TEST_F(DeploymentTest, AProviderKeepsTheOutputUntilThereIsRoomForIt) {
  provider.tail_size = 3;
  run_task();
  ASSERT_TRUE(write_file(folder / "deployments", "a file is in the way, as a full disk is"));
  provider.end("task", AllocationStatus::completed, 0, "the output");
  ASSERT_TRUE(notify());
  w.settle(1min);
  EXPECT_EQ(task().status, AllocationStatus::completed) << "the end is known";
  EXPECT_EQ(deployment->status(), DeploymentStatus::running) << "and the output is not here yet";
  EXPECT_NE(deployment->record().error.find("the output of task is being collected"), std::string::npos)
      << deployment->record().error;
  EXPECT_TRUE(provider.runs.contains("task"));
  std::filesystem::remove(folder / "deployments");
  ASSERT_TRUE(reaches(DeploymentStatus::completed)) << deployment->record().error;
  EXPECT_EQ(output(), "the output");
  EXPECT_EQ(deployment->record().error, "");
}

// --- renewal -----------------------------------------------------------------------------------------------------------

TEST_F(DeploymentTest, LeasesAreRenewedAsLongAsItRuns) {
  run_task();
  w.settle(10min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_LT(provider.renewals, 50) << "a quarter of the lease is between them";
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

TEST_F(DeploymentTest, ALeaseThatEndedWhileTheOrchestratorWasAwayIsAnEndWithItsOutput) {
  run_task();
  kill();
  w.settle(2min);
  ASSERT_FALSE(provider.runs_now());
  provider.runs.at("task").out = "until its end";
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_NE(deployment->record().error.find("lease"), std::string::npos) << deployment->record().error;
  EXPECT_EQ(output(), "until its end");
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

// --- loss --------------------------------------------------------------------------------------------------------------

struct LossTest : DeploymentTest {
  /// Of one node that either provider can run; the first bid wins.
  void run_anywhere(jobs::AllocationType type, jobs::OnLoss on_loss = jobs::OnLoss::unspecified) {
    other.bids = false;
    DeploymentRecord made = record();
    made.ensemble.nodes.at("node").peer.clear();
    made.ensemble.nodes.at("node").on_loss = on_loss;
    made.ensemble.allocations.at("task").type = type;
    provider.features = other.features = {"lease"};
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    ASSERT_TRUE(provider.runs_now());
    other.bids = true;
  }
};

TEST_F(LossTest, ATaskIsReplacedOnlyWhenItsLeaseHasEnded) {
  run_anywhere(jobs::AllocationType::task);
  cut(b);
  bool both = false;
  ASSERT_TRUE(until(
      [&] {
        both = both || (provider.runs_now() && other.runs_now());
        return other.runs_now();
      },
      10min));
  EXPECT_FALSE(both) << "never on two machines";
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_EQ(task().restarts, 1u);
  cut(b, false);
  EXPECT_TRUE(until([&] { return provider.runs.empty() && deployment->record().superseded.empty(); }))
      << "what the lost machine still has is released when it is back";
  EXPECT_TRUE(other.runs_now());
}

TEST_F(LossTest, AServiceIsReplacedAtOnceAndTheOverlapIsBounded) {
  run_anywhere(jobs::AllocationType::service);
  cut(b);
  const SteadyTime begun = a.lane().now();
  ASSERT_TRUE(until([&] { return other.runs_now(); }));
  EXPECT_LT(a.lane().now() - begun, provider.lease + 15s)
      << "sooner than a lease, from a loss that takes a while to see";
  EXPECT_TRUE(provider.runs_now()) << "at this moment it runs twice";
  EXPECT_FALSE(deployment->record().superseded.empty()) << "and that is known";
  w.settle(provider.lease + 1s);
  EXPECT_FALSE(provider.runs_now());
}

TEST_F(LossTest, APartitionThatIsShorterThanTheLeaseChangesNothing) {
  provider.lease = 2min;
  run_anywhere(jobs::AllocationType::task);
  const std::string first = task().incarnation;
  cut(b);
  w.settle(1min);
  EXPECT_NE(task().status, AllocationStatus::completed);
  cut(b, false);
  w.settle(5min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(task().incarnation, first);
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_EQ(task().reason, "");
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(LossTest, AnEnsembleCanChooseThatALossFails) {
  run_anywhere(jobs::AllocationType::task, jobs::OnLoss::fail);
  cut(b);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 10min));
  EXPECT_NE(deployment->record().error.find("is lost"), std::string::npos) << deployment->record().error;
  provider.runs.at("task").out = "until its lease ended";
  w.settle(2min);
  EXPECT_TRUE(deployment->record().unsettled()) << "its output is collected should the machine return";
  cut(b, false);
  EXPECT_TRUE(until([&] { return !deployment->record().unsettled(); }, 5min));
  EXPECT_EQ(output(), "until its lease ended");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(LossTest, ANodeThatReachesNobodySuspectsItself) {
  provider.lease = 2min;
  run_anywhere(jobs::AllocationType::service);
  cut(b);
  cut(c);
  w.settle(1min);
  cut(c, false);
  cut(b, false);
  w.settle(2min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_TRUE(other.runs.empty()) << "nothing was replaced";
}

TEST_F(LossTest, ATaskOnAProviderWithoutLeasesFailsWithIt) {
  provider.lease = other.lease = Duration(0);
  run_anywhere(jobs::AllocationType::task);
  cut(b);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  EXPECT_NE(deployment->record().error.find("is lost"), std::string::npos) << deployment->record().error;
}

TEST_F(LossTest, ATaskThatHasEndedDoesNotRunAgain) {
  run_anywhere(jobs::AllocationType::task);
  provider.end("task", AllocationStatus::completed, 0, "once");
  ASSERT_TRUE(notify());
  cut(b);
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 10min));
  EXPECT_TRUE(other.runs.empty());
}

// --- cancels -----------------------------------------------------------------------------------------------------------

TEST_F(DeploymentTest, ShutdownFetchesWhatWasWrittenAndLeavesNothing) {
  run_task();
  provider.runs.at("task").out = "until now";
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(deployment->status(), DeploymentStatus::completed);
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_EQ(output(), "until now");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, ShutdownIsFinishedAfterARestart) {
  run_task();
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(stored(), DeploymentStatus::shutting_down);
  kill();
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, ItCanBeShutDownInEveryState) {
  // At each instant of a deployment, in steps of a millisecond, which is shorter than any message takes.
  for (int step = 0; step < 40; ++step) {
    create(record());
    deployment->start();
    w.settle(step * 1ms);
    const Result<void> done = w.run(a, deployment->shutdown());
    ASSERT_TRUE(done) << step << ": " << done.error().to_string();
    EXPECT_EQ(stored(), DeploymentStatus::completed);
    EXPECT_TRUE(provider.runs.empty()) << step;
    w.run(a, deployment->close());
    deployment.reset();
  }
  EXPECT_GT(provider.starts, 0);
}

TEST_F(LossTest, ItCanBeShutDownWhileANodeIsReplaced) {
  run_anywhere(jobs::AllocationType::service);
  other.bids = false;
  cut(b);
  ASSERT_TRUE(until([&] { return deployment->record().manifest.nodes.empty(); }));
  EXPECT_FALSE(w.run(a, deployment->shutdown())) << "the lost machine has not answered";
  EXPECT_EQ(deployment->status(), DeploymentStatus::shutting_down);
  cut(b, false);
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_TRUE(provider.runs.empty());
}

// --- updates -----------------------------------------------------------------------------------------------------------

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

// --- restarts ----------------------------------------------------------------------------------------------------------

TEST_F(DeploymentTest, ARunningDeploymentGoesOnAfterARestart) {
  run_task();
  kill();
  provider.end("task", AllocationStatus::completed, 0, "meanwhile");
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "meanwhile");
  EXPECT_EQ(provider.starts, 1);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, AnotherBootLeavesTheTimeThatWasLeft) {
  provider.bids = false;
  create(record());
  deployment->start();
  w.settle(20s);
  kill();
  boot = "another boot";
  w.settle(10min);
  restart();
  w.settle(20s);
  EXPECT_EQ(deployment->status(), DeploymentStatus::preparing);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 1min));
}

TEST_F(DeploymentTest, ARecordOfAnOlderVersionIsReadAndItsDeploymentEnds) {
  const std::string id = "d1";
  DeploymentRecord old = record();
  old.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(old)));
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_NE(deployment->record().error.find("older version"), std::string::npos) << deployment->record().error;
}

/// The store of the orchestrator dies at its n-th write, at which nothing leaves the machine any more.
TEST_F(DeploymentTest, AtWhicheverWriteItIsKilledTheTaskRunsToItsEndOnceAndNothingIsLeft) {
  std::string out;
  for (int i = 0; out.size() < 5000; ++i) out += std::to_string(i) + "\n";
  provider.tail_size = 10;
  provider.page_size = 1000;
  bool died = true;
  for (std::size_t n = 1; died; ++n) {
    ASSERT_LT(n, 100u);
    records.saves = 0;
    records.refuse_from = n;
    records.refused = 0;
    provider.ends = 0;
    ASSERT_TRUE(w.run(a, [](db::AsyncStore& store) -> Task<Result<bool>> {
      const std::string collection(kDeploymentCollection);
      co_return co_await store.erase(collection, "d1");
    }(db)));
    std::filesystem::remove_all(folder / "deployments");
    make(record());
    const Result<void> saved = w.run(a, deployment->save());
    if (!saved) {  // it never existed
      kill();
      records.refuse = false;
      cut(b, false);
      cut(c, false);
      continue;
    }
    deployment->start();
    const auto provider_acts = [&] {
      if (!provider.runs.contains("task")) return;
      ScriptedProvider::Run& run = provider.runs.at("task");
      if (run.status == AllocationStatus::running) provider.end("task", AllocationStatus::completed, 0, out);
    };
    for (int second = 0; second < 60 && records.refused == 0 && deployment->status() != DeploymentStatus::completed;
         ++second) {
      w.settle(1s);
      provider_acts();
      if (provider.runs.contains("task") && is_final(provider.runs.at("task").status)) (void)notify();
    }
    died = records.refused > 0;
    if (died) {
      kill();
      w.settle(5s);
      restart();
    }
    for (int second = 0; second < 120 && !is_final(deployment->status()); ++second) {
      w.settle(1s);
      provider_acts();
    }
    EXPECT_EQ(deployment->status(), DeploymentStatus::completed)
        << "write " << n << ": " << to_string(deployment->status()) << " " << deployment->record().error;
    EXPECT_EQ(output(), out) << "write " << n;
    EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
    EXPECT_TRUE(provider.runs.empty()) << "write " << n;
    EXPECT_EQ(provider.ends, 1) << "write " << n;
    w.run(a, deployment->close());
    deployment.reset();
  }
}

TEST_F(DeploymentTest, ADamagedRecordDoesNotPreventLoadingTheOthers) {
  DeploymentRecord unfinished = record();
  unfinished.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(unfinished)));
  DeploymentRecord impossible = record();
  impossible.id = "not/an/inbox";
  impossible.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(impossible)));
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "broken", "not json"));
  Deployments deployments(services(), *a.root);
  const Result<void> started = w.run(a, deployments.start());
  EXPECT_TRUE(started) << (started ? "" : started.error().to_string());
  EXPECT_TRUE(w.world.run_until([&] { return deployments.active() == 0; }, 20min));
  EXPECT_EQ(stored(), DeploymentStatus::failed) << "the readable one is taken up";
  const auto list = w.run(a, call(*a.root, kDeploymentList, a.root->handle(), DeploymentListRequest{}));
  EXPECT_TRUE(list) << (list ? "" : list.error().to_string());
  if (list) {
    EXPECT_EQ(list->deployments.at("broken"), "Unreadable");
  }
  w.run(a, deployments.close());
}

}  // namespace
}  // namespace dms::orchestrator
