// The loss of one run, which is no loss of what else its machine runs or keeps.
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/test_deployment.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct RunLossTest : DeploymentTest {
  /// Two tasks, `a` and `b`, of one node that either provider can run; it is placed on the first.
  void run_pair(jobs::OnLoss on_loss = jobs::OnLoss::exclusive) {
    other.bids = false;
    DeploymentRecord made = record();
    jobs::Ensemble& ensemble = made.ensemble;
    ensemble.allocations["a"] = ensemble.allocations["b"] = ensemble.allocations.at("task");
    for (const char* name : {"a", "b"}) ensemble.allocations.at(name).dns_name = name;
    ensemble.allocations.erase("task");
    ensemble.nodes.at("node").allocations = {"a", "b"};
    ensemble.nodes.at("node").peer.clear();
    ensemble.nodes.at("node").on_loss = on_loss;
    provider.features = other.features = {"lease"};
    provider.tail_size = 10;
    provider.page_size = 100;
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    ASSERT_TRUE(provider.runs_now("a") && provider.runs_now("b"));
    other.bids = true;
  }
  /// The ensemble with a change of one allocation.
  jobs::Ensemble with_more_cores(const std::string& name) {
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.allocations.at(name).resources.cpu.cores = *capability::Millicores::from_cores(64);
    return ensemble;
  }
  /// A file is where the folder of output has to be, as on a full disk.
  void no_room(bool is_full = true) {
    if (is_full)
      ASSERT_TRUE(write_file(folder / "deployments", "in the way"));
    else
      std::filesystem::remove(folder / "deployments");
  }
  void completes_while_other_is_cut_short(const std::string& done, const std::string& cut_short) {
    run_pair();
    const std::string run = task(done).incarnation;
    provider.end(done, AllocationStatus::completed, 0, text);
    provider.end(cut_short, AllocationStatus::terminated);
    provider.runs.at(cut_short).reason = "its lease has ended";
    ASSERT_TRUE(until([&] { return provider.runs_now(cut_short) || other.runs_now(cut_short); }, 5min))
        << "what was cut short runs again";
    ASSERT_TRUE(until([&] { return task(done).collected; }));
    EXPECT_EQ(task(done).status, AllocationStatus::completed);
    EXPECT_EQ(task(done).reason, "");
    EXPECT_EQ(task(done).incarnation, run) << "it did not run again";
    EXPECT_EQ(output("stdout", done), text);
    EXPECT_EQ(provider.starts + other.starts, 3);
  }
  const std::string text = std::string(5000, 'x');
};

TEST_F(RunLossTest, OutputIsKeptWhenTheNextRunOfTheReportWasCutShort) { completes_while_other_is_cut_short("a", "b"); }

TEST_F(RunLossTest, OutputIsKeptWhenThePreviousRunOfTheReportWasCutShort) {
  completes_while_other_is_cut_short("b", "a");
}

/// The next daemon does not know whether the allocation was already requested anew.
TEST_F(RunLossTest, OutputOfALostRunIsFetchedByTheNextDaemon) {
  run_pair();
  const std::string run = task("a").incarnation;
  provider.page_takes = 10s;
  provider.end("a", AllocationStatus::terminated, 0, text);
  provider.runs.at("a").reason = "its lease has ended";
  ASSERT_TRUE(until([&] { return !deployment->record().superseded.empty(); }));
  ASSERT_EQ(deployment->record().superseded.front().unfetched, std::vector<std::string>{"a"});
  kill();
  provider.page_takes = Duration(0);
  restart();
  ASSERT_TRUE(until([&] { return task("a").status == AllocationStatus::running; }, 5min));
  EXPECT_NE(task("a").incarnation, run);
  EXPECT_EQ(task("b").restarts, 0u);
  EXPECT_EQ(deployment->record().outputs.at("a"), run);
  EXPECT_EQ(output("stdout", "a"), text);
}

TEST_F(RunLossTest, AMissingRunIsPlacedAnewBesideTheOneThatGoesOn) {
  run_pair();
  const std::string run = task("b").incarnation;
  w.run(b, provider.forget("a"));
  bool goes_on = true;
  ASSERT_TRUE(until(
      [&] {
        goes_on = goes_on && provider.runs_now("b") && !other.runs_now("b");
        return provider.runs_now("a");
      },
      5min));
  w.settle(1min);
  EXPECT_TRUE(goes_on);
  EXPECT_EQ(task("b").incarnation, run);
  EXPECT_EQ(task("b").restarts, 0u);
  EXPECT_EQ(task("a").restarts, 1u);
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(RunLossTest, ARunThatIsLostAgainAndAgainIsPlacedAnewAfterGrowingPauses) {
  run_pair();
  other.bids = false;
  const int before = provider.starts;
  for (int second = 0; second < 600; ++second) {
    if (task("a").status == AllocationStatus::running && provider.runs_now("a")) w.run(b, provider.forget("a"));
    w.settle(1s);
  }
  EXPECT_GE(provider.starts - before, 3);
  EXPECT_LE(provider.starts - before, 9);
  EXPECT_TRUE(until([&] { return task("a").reason.find("lost again and again") != std::string::npos; }, 1min))
      << task("a").reason;
  EXPECT_TRUE(provider.runs_now("b")) << "what else runs there goes on";
  ASSERT_TRUE(until([&] { return provider.runs_now("a"); }, 10min));
}

TEST_F(RunLossTest, AReportThatIsOlderThanARunDoesNotMissIt) {
  run_pair();
  provider.holds_reports = true;
  ASSERT_TRUE(w.run(b, provider.hint("a")));
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations["c"] = ensemble.allocations.at("a");
  ensemble.nodes.at("node").allocations.emplace_back("c");
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] { return provider.runs_now("c") && task("c").status == AllocationStatus::running; }));
  const int renewals = provider.renewals;
  const std::string run = task("c").incarnation;
  provider.holds_reports = false;
  w.settle(1min);
  EXPECT_GT(provider.renewals, renewals);
  EXPECT_EQ(task("c").incarnation, run);
  EXPECT_EQ(task("c").restarts, 0u);
  EXPECT_EQ(provider.starts, 3);
  EXPECT_TRUE(other.runs.empty());
}

/// A provider whose run is another one than the known one: nothing else of it may run until that is stopped.
TEST_F(RunLossTest, ARunUnderAnotherIncarnationIsStoppedBeforeItIsReplaced) {
  run_pair();
  provider.stop_takes = 4s;
  const std::string known = task("a").incarnation;
  provider.runs.at("a").incarnation = "another";
  const auto runs_another = [&] {
    return provider.runs.contains("a") && provider.runs.at("a").incarnation == "another" && provider.runs_now("a");
  };
  bool both = false;
  ASSERT_TRUE(until(
      [&] {
        both = both || (runs_another() && other.runs_now("a"));
        const bool replaced = provider.runs_now("a") && !runs_another();
        return task("a").status == AllocationStatus::running && task("a").incarnation != known &&
               (replaced || other.runs_now("a"));
      },
      5min));
  EXPECT_FALSE(both) << "it is exclusive";
  EXPECT_TRUE(until([&] { return !runs_another(); })) << "it is not left behind";
}

TEST_F(RunLossTest, AnEnsembleCanChooseThatAMissingRunFails) {
  run_pair(jobs::OnLoss::fail);
  w.run(b, provider.forget("a"));
  ASSERT_TRUE(until([&] { return task("a").status == AllocationStatus::failed; }));
  w.settle(1min);
  EXPECT_TRUE(provider.runs_now("b"));
  provider.end("b", AllocationStatus::completed, 0, text);
  ASSERT_TRUE(reaches(DeploymentStatus::failed)) << "as one of its allocations has";
  EXPECT_NE(deployment->record().error.find("no longer has a"), std::string::npos) << deployment->record().error;
  EXPECT_EQ(output("stdout", "b"), text);
}

TEST_F(RunLossTest, AllRunsThatAreMissingMoveTogether) {
  run_pair();
  w.run(b, provider.forget("a"));
  w.run(b, provider.forget("b"));
  ASSERT_TRUE(until([&] { return other.runs_now("a") && other.runs_now("b"); }, 1min))
      << "their machine has failed once, and is left out for a while";
  EXPECT_TRUE(provider.runs.empty());
}

/// A machine that was started again without its disk: it answers, and it alone may take the work.
TEST_F(RunLossTest, AMachineThatHasNothingOfTheEnsembleTakesItAgainWithinSeconds) {
  run_task();
  provider.runs.at("task").out = "lost with the disk";
  const std::string run = task().incarnation;
  w.run(b, provider.wipe());
  ASSERT_TRUE(until([&] { return provider.runs_now(); }, 1min)) << deployment->record().error;
  EXPECT_TRUE(deployment->record().superseded.empty());
  const Rest* rest = find_rest(deployment->record(), "task", run);
  ASSERT_NE(rest, nullptr);
  EXPECT_EQ(rest->missing, kGone);
}

TEST_F(RunLossTest, AfterAShutdownNothingIsToBeFetchedFromAMachineThatHasNothing) {
  run_pair();
  w.run(b, provider.wipe());
  (void)w.run(a, deployment->shutdown());
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 30s));
  ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }, 30s));
  for (const char* name : {"a", "b"}) {
    const std::string reason = status_of(deployment->record()).allocations.at(name).reason;
    EXPECT_NE(reason.find(kGone), std::string::npos) << reason;
  }
}

TEST_F(RunLossTest, ANodeWhoseMachineTakesNoMoreMovesAndIsReleasedFirst) {
  run_pair();
  provider.stop_takes = kReplacePause + 4s;  // another machine is asked sooner
  provider.bids = false;
  w.run(b, provider.forget("a"));
  bool both = false;
  ASSERT_TRUE(until(
      [&] {
        both = both || (provider.runs_now("b") && other.runs_now("b"));
        return other.runs_now("a") && other.runs_now("b");
      },
      5min));
  EXPECT_FALSE(both) << "it is exclusive";
}

TEST_F(RunLossTest, ARunWhoseStartWasRefusedDoesNotExist) {
  run_pair();
  provider.refuse_start = "no such image";
  provider.stop_takes = 4s;
  w.run(b, provider.forget("b"));
  ASSERT_TRUE(until([&] { return provider.starts == 3 && !deployment->record().superseded.empty(); }, 5min));
  EXPECT_EQ(task("b").status, AllocationStatus::pending);
  const std::string reason = status_of(deployment->record()).allocations.at("b").reason;
  EXPECT_EQ(reason.find("may still exist"), std::string::npos) << reason;
}

TEST_F(RunLossTest, AnUpdateThatNoMachineTakesAnyMoreLeavesTheRestOfItsNodeAsItIs) {
  run_pair();
  provider.runs.at("a").out = "of the run before";
  ASSERT_TRUE(w.run(a, deployment->logs("a")));
  const std::string run = task("b").incarnation;
  ASSERT_TRUE(w.run(a, deployment->update(with_more_cores("a"))));
  provider.bids = other.bids = false;
  EXPECT_EQ(task("a").status, AllocationStatus::pending) << "it is shown from the start";
  ASSERT_TRUE(until([&] { return !task("a").reason.empty(); }));
  w.settle(5min);
  EXPECT_TRUE(provider.runs_now("b"));
  EXPECT_EQ(task("b").incarnation, run);
  EXPECT_EQ(task("b").restarts, 0u);
  EXPECT_EQ(task("a").status, AllocationStatus::pending);
  EXPECT_NE(task("a").reason.find("no machine was found for node node"), std::string::npos) << task("a").reason;
  EXPECT_NE(deployment->record().error.find("does not take a"), std::string::npos) << deployment->record().error;
  DeploymentLogsRequest request;
  request.ensemble_id = "d1";
  request.allocation_name = "a";
  request.stream = "stdout";
  const Result<LogPage> page = w.run(a, deployment->page(request));
  ASSERT_TRUE(page) << page.error().to_string();
  EXPECT_EQ(as_text(page->data), "of the run before");

  other.bids = true;
  bool both = false;
  ASSERT_TRUE(until(
      [&] {
        both = both || (provider.runs_now("b") && other.runs_now("b"));
        return other.runs_now("a") && other.runs_now("b");
      },
      5min))
      << "once a machine takes all of it";
  EXPECT_FALSE(both) << "it is exclusive";
  EXPECT_TRUE(until([&] { return deployment->record().error.empty() && task("a").reason.empty(); }));
}

TEST_F(RunLossTest, AnUpdateThatItsMachineDoesNotTakeMovesTheNodeToOneThatDoes) {
  run_pair(jobs::OnLoss::fast);
  provider.bids = false;
  ASSERT_TRUE(w.run(a, deployment->update(with_more_cores("a"))));
  ASSERT_TRUE(until([&] { return other.runs_now("a") && other.runs_now("b"); }, 5min));
  EXPECT_TRUE(until([&] { return provider.runs.empty(); })) << "what ran there is released";
}

TEST_F(RunLossTest, ANodeMovesOnlyOnceTheOutputOfWhatHasEndedThereIsHere) {
  run_pair();
  no_room();
  provider.bids = false;
  provider.end("a", AllocationStatus::completed, 0, text);
  w.run(b, provider.forget("b"));
  w.settle(2min);
  EXPECT_TRUE(other.runs.empty());
  no_room(false);
  ASSERT_TRUE(until([&] { return other.runs_now("b"); }, 10min));
  EXPECT_EQ(output("stdout", "a"), text);
  EXPECT_EQ(task("a").reason, "");
}

TEST_F(RunLossTest, AStartThatFailsLeavesTheOutputThatIsNotHereYet) {
  run_pair();
  no_room();
  provider.refuse_start = "no such image";
  provider.end("a", AllocationStatus::completed, 0, text);
  w.run(b, provider.forget("b"));
  ASSERT_TRUE(until([&] { return provider.starts == 3; }, 5min));
  w.settle(1s);
  provider.refuse_start.clear();
  no_room(false);
  ASSERT_TRUE(until([&] { return provider.runs_now("b") && task("a").collected; }, 10min));
  EXPECT_EQ(output("stdout", "a"), text);
  EXPECT_EQ(task("a").reason, "");
}

}  // namespace
}  // namespace dms::orchestrator
