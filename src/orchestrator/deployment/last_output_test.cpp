// Output that is not here when its run is ended, replaced or removed: it is fetched before the release.
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/test_deployment.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct LastOutputTest : LossTest {};

/// With a service and what waits for it to be healthy, on the pinned machine.
struct DependencyTest : LossTest {
  void begin(Duration time) {
    DeploymentRecord made = with_dependant();
    made.deadline = (w.world.unix_now() + time).nanos;
    run_with_dependant(std::move(made));
  }
};

TEST_F(DependencyTest, WhatRanUntilTheAttemptFailedKeepsItsOutputAndTheReasonNamesTheDependency) {
  begin(1min);
  provider.runs.at("task").out = "boot error";
  provider.runs.at("task").last_words = ", bye";
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  const std::string waits = "could not be started in time: it waits for task to be healthy; task is starting";
  EXPECT_EQ(deployment->record().error, "web " + waits);
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }));
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_NE(task().reason.find("the deployment has failed: web " + waits), std::string::npos) << task().reason;
  EXPECT_EQ(task("web").status, AllocationStatus::failed);
  EXPECT_EQ(task("web").reason, "it " + waits);
  EXPECT_EQ(page("task"), "boot error, bye");
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").peer, provider.peer());
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DependencyTest, TheReasonsOfManyThatWaitStayShort) {
  DeploymentRecord made = with_dependant();
  jobs::Ensemble& ensemble = made.ensemble;
  const auto add = [&](const std::string& name, const std::string& like) {
    ensemble.allocations[name] = ensemble.allocations.at(like);
    ensemble.nodes.at("node").allocations.push_back(name);
  };
  for (int i = 0; i < 59; ++i) add("web" + std::to_string(i), "web");
  for (int i = 0; i < 30; ++i) add("other" + std::to_string(i), "task");
  made.deadline = (w.world.unix_now() + 1min).nanos;
  run_with_dependant(std::move(made));
  provider.runs.at("task").health_message = std::string(5000, 'x');
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  const std::string& error = deployment->record().error;
  EXPECT_NE(error.find("web, web0, web1 and 57 others could not be started in time: "), std::string::npos) << error;
  EXPECT_NE(error.find("web, web0, web1 and 57 others wait for task to be healthy"), std::string::npos) << error;
  EXPECT_LE(error.size(), 2 * kMaxReasons);
  ASSERT_EQ(deployment->record().manifest.allocations.size(), 91u);
  for (const auto& [name, entry] : deployment->record().manifest.allocations)
    EXPECT_LE(entry.reason.size(), kMaxReasons + 3) << name;
}

TEST_F(DependencyTest, TextsOfAReportAreCutAndMadeOneLineBeforeTheyAreKept) {
  begin(1min);
  provider.runs.at("task").health_message = "\x1b[2J\n" + std::string(500'000, 'x');
  provider.runs.at("task").reason = std::string(100'000, 'y');
  ASSERT_TRUE(until([&] {
    const AllocationReport* last = deployment->report("task");
    return last != nullptr && !last->health_message.empty();
  }));
  EXPECT_TRUE(deployment->report("task")->health_message.starts_with("\\x1b[2J\\x0axxx"));
  EXPECT_LE(deployment->report("task")->health_message.size(), kMaxReportedText);
  EXPECT_LE(deployment->report("task")->reason.size(), kMaxReportedText);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  EXPECT_LE(deployment->record().error.size(), 2 * kMaxReasons);
  EXPECT_EQ(deployment->record().error.find('\x1b'), std::string::npos);
}

TEST_F(DependencyTest, WhatAnAttemptHasWrittenIsKeptWhenItStartsOver) {
  begin(5min);
  const std::string first = task().incarnation;
  provider.end("task", AllocationStatus::failed, -1, "of the first attempt");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until(
      [&] {
        const auto& made = deployment->record().manifest.allocations;
        return made.contains("task") && task().status == AllocationStatus::running && task().incarnation != first;
      },
      5min));
  provider.runs.at("task").health = Health::healthy;
  ASSERT_TRUE(reaches(DeploymentStatus::running, 5min)) << deployment->record().error;
  EXPECT_EQ(task().restarts, 1u);
  EXPECT_EQ(page("task", "previous:stdout"), "of the first attempt");
}

/// Until the work of the machine that does not answer cannot run any more.
struct AwayTest : LastOutputTest {
  void shut_down_while_it_is_away() {
    run_task();
    provider.runs.at("task").out = "until now";
    cut(b);
    EXPECT_FALSE(w.run(a, deployment->shutdown())) << "its provider has not answered";
    ASSERT_TRUE(reaches(DeploymentStatus::completed, 5min));
    EXPECT_TRUE(deployment->record().unsettled());
    const std::string reason = status_of(deployment->record()).allocations.at("task").reason;
    EXPECT_EQ(reason, "it was shut down; its output is still to be fetched from " + provider.peer());
  }
};

TEST_F(AwayTest, OutputOfAShutdownIsFetchedWhenItsProviderIsBack) {
  shut_down_while_it_is_away();
  cut(b, false);
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }));
  EXPECT_EQ(output(), "until now");
  EXPECT_EQ(page("task"), "until now");
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").reason, "it was shut down");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(LastOutputTest, TheOutputOfAnOlderRunIsNotServedForThatOfTheLastOne) {
  run_anywhere(jobs::AllocationType::service);
  other.bids = false;
  const auto change_task = [&] {
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
    ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  };
  const auto is_replaced = [&] {
    return until([&] { return deployment->record().superseded.empty() && task().status == AllocationStatus::running; },
                 5min);
  };
  provider.runs.at("task").out = "ONE";
  change_task();
  ASSERT_TRUE(is_replaced());
  EXPECT_EQ(page("task", "previous:stdout"), "ONE");
  provider.runs.at("task").out = "TWO";
  provider.stops = false;
  change_task();
  ASSERT_EQ(task().status, AllocationStatus::pending);
  EXPECT_NE(page("task").find("is still to be fetched from " + provider.peer()), std::string::npos) << page("task");
  provider.stops = true;
  ASSERT_TRUE(is_replaced());
  EXPECT_EQ(page("task", "previous:stdout"), "TWO");
}

TEST_F(LastOutputTest, TheRunBeforeIsToldToBeFetchedWhileItsMachineIsAway) {
  run_anywhere(jobs::AllocationType::service, jobs::OnLoss::exclusive);
  provider.runs.at("task").out = "until the loss";
  cut(b);
  ASSERT_TRUE(until([&] { return other.runs_now() && task().status == AllocationStatus::running; }, 5min));
  EXPECT_EQ(page("task", "previous:stdout").find("no output of an earlier run"), std::string::npos);
  EXPECT_NE(page("task", "previous:stdout").find("is still to be fetched from " + provider.peer()), std::string::npos);
  cut(b, false);
  ASSERT_TRUE(settles());
  EXPECT_EQ(page("task", "previous:stdout"), "until the loss");
}

/// A provider that sends what it has page by page, each as late as it may.
TEST_F(LastOutputTest, AFetchThatTakesLongDoesNotKeepADeploymentFromItsEnd) {
  run_task();
  const std::string out(100 * kPoorPage, 'x');
  provider.runs.at("task").out = out;
  provider.page_size = kPoorPage;
  provider.page_takes = 1min;
  EXPECT_FALSE(w.run(a, deployment->shutdown()));
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 5min));
  EXPECT_TRUE(deployment->record().unsettled());
  provider.page_takes = Duration(0);
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }, 5min));
  EXPECT_EQ(output(), out);
  EXPECT_EQ(task().reason, "it was shut down");
  EXPECT_TRUE(provider.runs.empty());
}

/// A task that has ended, of whose output only the last bytes came with the notice.
struct PageTest : LastOutputTest {
  void end_task() {
    run_task();
    provider.tail_size = 3;
    provider.end("task", AllocationStatus::completed, 0, "longer than its tail");
    ASSERT_TRUE(notify());
  }
};

TEST_F(PageTest, APageThatDoesNotComeIsRequestedAgain) {
  provider.unanswered_pages = 1;
  end_task();
  ASSERT_TRUE(until([&] { return task().collected; }, kPageAnswer + 10s));
  EXPECT_EQ(page("task"), "longer than its tail");
  EXPECT_EQ(provider.pages, 3) << "of stdout twice, of stderr once";
}

TEST_F(PageTest, PagesThatTakeLongAreWaitedFor) {
  provider.page_takes = 1min;
  end_task();
  ASSERT_TRUE(until([&] { return task().collected; }, 5min));
  EXPECT_EQ(page("task"), "longer than its tail");
  EXPECT_EQ(provider.pages, 4) << "of each stream twice";
}

TEST_F(AwayTest, OutputOfAShutdownIsFetchedByTheNextDaemon) {
  shut_down_while_it_is_away();
  kill();
  restart();
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }));
  EXPECT_EQ(output(), "until now");
  EXPECT_EQ(task().reason, "it was shut down");
  EXPECT_TRUE(provider.runs.empty());
}

/// Its engine begins later than the provider itself, for example.
TEST_F(AwayTest, OutputOfAShutdownIsFetchedFromAProviderThatRefusesItForAMoment) {
  shut_down_while_it_is_away();
  provider.refuse_pages = "its executor does not answer";
  const int before = provider.pages;
  cut(b, false);
  ASSERT_TRUE(until([&] { return provider.pages > before; }));
  w.settle(5s);
  EXPECT_TRUE(deployment->record().unsettled());
  provider.refuse_pages.clear();
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }));
  EXPECT_EQ(output(), "until now");
  EXPECT_EQ(task().reason, "it was shut down");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(AwayTest, OutputOfAShutdownIsFetchedOnceThereIsRoomForIt) {
  shut_down_while_it_is_away();
  std::filesystem::rename(folder / "deployments", folder / "aside");
  ASSERT_TRUE(write_file(folder / "deployments", "a file is in the way, as a full disk is"));
  cut(b, false);
  w.settle(2 * kCollectPatience);
  EXPECT_TRUE(deployment->record().unsettled());
  std::filesystem::remove(folder / "deployments");
  std::filesystem::rename(folder / "aside", folder / "deployments");
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }));
  EXPECT_EQ(output(), "until now");
  EXPECT_EQ(task().reason, "it was shut down");
}

TEST_F(AwayTest, OutputThatItsProviderRefusesIsGivenUp) {
  shut_down_while_it_is_away();
  provider.refuse_pages = "it is damaged";
  cut(b, false);
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }, 5min));
  EXPECT_NE(task().reason.find("could not be fetched completely"), std::string::npos) << task().reason;
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(AwayTest, OutputIsGivenUpWhenItsProviderKeepsNoneAnyMore) {
  shut_down_while_it_is_away();
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }, kResidueTime + 1h));
  EXPECT_TRUE(task().collected);
  EXPECT_NE(task().reason.find("its output could not be fetched completely"), std::string::npos) << task().reason;
  EXPECT_EQ(deployment->status(), DeploymentStatus::completed);
}

struct ReplacedTest : LastOutputTest {
  void replace() {
    run_anywhere(jobs::AllocationType::service);
    provider.runs.at("task").out = "of the lost run";
    cut(b);
    ASSERT_TRUE(until([&] { return other.runs_now() && task().status == AllocationStatus::running; }));
    other.runs.at("task").out = "of the next run";
  }
  void come_back() {
    cut(b, false);
    ASSERT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
    EXPECT_TRUE(provider.runs.empty());
  }
};

TEST_F(ReplacedTest, OutputOfALostRunIsFetchedWhenItsProviderIsBack) {
  replace();
  come_back();
  EXPECT_EQ(page("task", "previous:stdout"), "of the lost run");
  EXPECT_EQ(page("task"), "of the next run");
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  EXPECT_EQ(output(), "of the next run");
  EXPECT_EQ(page("task", "previous:stdout"), "of the lost run");
}

TEST_F(ReplacedTest, OutputOfALostRunIsFetchedBehindThatOfTheNextOne) {
  replace();
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  come_back();
  EXPECT_EQ(output(), "of the next run");
  EXPECT_EQ(page("task", "previous:stdout"), "of the lost run");
}

TEST_F(ReplacedTest, OutputOfALostRunDoesNotReplaceThatOfALaterOne) {
  replace();
  other.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return other.restarts == 1 && task().restarts == 2u; }));
  other.runs.at("task").out = "of the last run";
  come_back();
  EXPECT_EQ(page("task", "previous:stdout"), "of the next run");
  EXPECT_EQ(page("task"), "of the last run");
}

/// However long its output is, the next run waits for the provider no longer.
TEST_F(ReplacedTest, OutputOfAReplacedRunDelaysItsReleaseForABoundedTime) {
  replace();
  provider.page_size = 1;
  provider.page_takes = 2s;
  provider.runs.at("task").out = std::string(1000, 'x');
  cut(b, false);
  ASSERT_TRUE(until([&] { return deployment->record().superseded.empty(); }, kMaxReleasePause + kLastOutput + 30s));
  EXPECT_LT(provider.pages, 30);
  EXPECT_EQ(page("task", "previous:stdout").find_first_not_of('x'), std::string::npos) << "what has come is kept";
}

/// Not for as long as a page may take.
TEST_F(ReplacedTest, AProviderThatSendsNothingOfAReplacedRunDelaysItsReleaseForABoundedTime) {
  replace();
  ASSERT_TRUE(until([&] { return !deployment->record().superseded.empty(); }));
  provider.page_takes = 1h;
  const int before = provider.pages;
  cut(b, false);
  ASSERT_TRUE(until([&] { return provider.pages > before; }));
  EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }, kLastOutput + 10s));
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(LastOutputTest, OutputOfWhatAnUpdateRemovesOrChangesStaysReadable) {
  DeploymentRecord made = record();
  jobs::Ensemble& ensemble = made.ensemble;
  ensemble.allocations["more"] = ensemble.allocations.at("task");
  ensemble.nodes.at("node").allocations.emplace_back("more");
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  provider.runs.at("task").out = "before the change";
  provider.runs.at("more").out = "before the removal";
  provider.runs.at("more").last_words = ", bye";
  const std::string first = task().incarnation;
  jobs::Ensemble wanted = deployment->record().ensemble;
  wanted.allocations.erase("more");
  wanted.nodes.at("node").allocations = {"task"};
  wanted.allocations.at("task").resources.ram.size.bytes *= 2;
  ASSERT_TRUE(w.run(a, deployment->update(wanted)));
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running && task().incarnation != first; }));
  EXPECT_FALSE(provider.runs.contains("more"));
  EXPECT_EQ(page("more"), "before the removal, bye");
  EXPECT_TRUE(check_allocation(deployment->record(), "more"));
  EXPECT_EQ(page("task", "previous:stdout"), "before the change");
}

/// Of a task that has completed without a result which is an input of another one.
TEST_F(LastOutputTest, WhatNeedsAResultThatWasNotMadeFailsAtOnce) {
  provider.features = {"results", "inputs"};
  DeploymentRecord made = record();
  jobs::Ensemble& ensemble = made.ensemble;
  jobs::Allocation next = ensemble.allocations.at("task");
  next.depends_on = {"task"};
  next.conditions["task"] = jobs::Condition::completed;
  next.inputs.emplace_back().allocation = "task";
  next.inputs.back().path = "report";
  next.inputs.back().to = "report";
  ensemble.allocations["next"] = std::move(next);
  ensemble.nodes.at("node").allocations.emplace_back("next");
  ensemble.allocations.at("task").results.emplace().paths = {"report"};
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  provider.end("task", AllocationStatus::completed, 0, "no report");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::failed)) << to_string(deployment->status());
  EXPECT_EQ(provider.starts, 1) << "of the first task only";
  EXPECT_EQ(task("next").reason, "next needs the result \"report\" of task: the provider does not report it");
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").peer, provider.peer());
}

/// Of a task that has ended on a machine which is lost before its output is here.
TEST_F(LastOutputTest, OutputOfWhatHadEndedOnALostMachineIsFetchedWhenItIsBack) {
  other.bids = false;
  DeploymentRecord made = record();
  jobs::Ensemble& ensemble = made.ensemble;
  ensemble.allocations["web"] = ensemble.allocations.at("task");
  ensemble.allocations.at("web").type = jobs::AllocationType::service;
  ensemble.nodes.at("node").allocations.emplace_back("web");
  ensemble.nodes.at("node").peer.clear();
  ensemble.nodes.at("node").on_loss = jobs::OnLoss::fast;
  provider.features = other.features = {"lease"};
  provider.tail_size = 3;
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  other.bids = true;
  provider.page_takes = 1h;
  provider.end("task", AllocationStatus::completed, 0, "longer than its tail");
  ASSERT_TRUE(notify());
  cut(b);
  ASSERT_TRUE(until([&] { return other.runs_now("web") && task("web").status == AllocationStatus::running; }));
  const std::string reason = status_of(deployment->record()).allocations.at("task").reason;
  EXPECT_NE(reason.find("its output is still to be fetched from " + provider.peer()), std::string::npos) << reason;
  provider.page_takes = Duration(0);
  cut(b, false);
  ASSERT_TRUE(until([&] { return deployment->record().superseded.empty(); }, 5min));
  EXPECT_EQ(task().status, AllocationStatus::completed);
  EXPECT_EQ(task().reason, "");
  EXPECT_EQ(page("task"), "longer than its tail");
  EXPECT_TRUE(provider.runs.empty());
}

}  // namespace
}  // namespace dms::orchestrator
