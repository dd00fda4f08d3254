// Machines that are lost, and what the ensemble has chosen for that.
#include "orchestrator/deployment/test_deployment.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

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
  EXPECT_FALSE(deployment->record().superseded.empty());
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").reason, "") << "the earlier run has surely ended";
  cut(b, false);
  EXPECT_TRUE(until([&] { return provider.runs.empty() && deployment->record().superseded.empty(); }))
      << "what the lost machine still has is released when it is back";
  EXPECT_TRUE(other.runs_now());
}

TEST_F(LossTest, TheReasonOfALossSaysThatTheMachineCannotBeReachedAndNoMore) {
  run_anywhere(jobs::AllocationType::task);
  cut(b);
  ASSERT_TRUE(until([&] { return reason().find("is lost") != std::string::npos; }, 10min));
  EXPECT_NE(reason().find(fmt::format("peer {} cannot be reached", provider.peer())), std::string::npos) << reason();
  EXPECT_EQ(reason().find("there is no link to it"), std::string::npos)
      << "what was tried is for the log: " << reason();
  EXPECT_EQ(reason().find("sending"), std::string::npos) << reason();
}

TEST_F(LossTest, AnUpdateHasWhatWaitsForAMachinePlacedAtOnce) {
  run_anywhere(jobs::AllocationType::service);
  cut(b);
  other.bids = false;
  ASSERT_TRUE(until([&] { return deployment->record().error.find("none has bid") != std::string::npos; }, 10min));
  w.settle(10min);  // the pauses have grown
  const std::size_t saves = records.saves;
  ASSERT_TRUE(until([&] { return records.saves > saves; })) << "the next attempt has failed, and is reported";
  w.settle(1s);
  other.bids = true;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.metadata["name"] = "new";
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  EXPECT_EQ(deployment->record().error, "");
  EXPECT_TRUE(until([&] { return other.runs_now(); }, kBidRound + 5s));
}

/// The machine is not heard from after it was given a second task, whose lease ends later than that of the first.
TEST_F(LossTest, ATaskThatWasPlacedLaterIsReplacedOnlyWhenItsOwnLeaseHasEnded) {
  provider.lease = other.lease = 4min;
  run_anywhere(jobs::AllocationType::task);
  const int renewals = provider.renewals;
  ASSERT_TRUE(until([&] { return provider.renewals > renewals; }));
  w.settle(kMaxRenewal - 3s);
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations["later"] = ensemble.allocations.at("task");
  ensemble.nodes.at("node").allocations.emplace_back("later");
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_TRUE(until([&] { return provider.runs_now("later") && task("later").status == AllocationStatus::running; }));
  cut(b);
  bool both = false;
  ASSERT_TRUE(until(
      [&] {
        both = both || (provider.runs_now("later") && other.runs_now("later"));
        return other.runs_now("later");
      },
      20min));
  EXPECT_FALSE(both) << "never on two machines";
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
  const std::string reason = status_of(deployment->record()).allocations.at("task").reason;
  EXPECT_NE(reason.find("an earlier run of it may still exist on " + provider.peer() + ", until 20"), std::string::npos)
      << reason;
  w.settle(provider.lease + 1s);
  EXPECT_FALSE(provider.runs_now());
}

struct GoneTest : LossTest {
  void run_with_long_lease(jobs::AllocationType type) {
    provider.lease = other.lease = 4min;
    run_anywhere(type);
    w.settle(45s);
  }
  void expect_moved_within_ten_seconds() {
    run_with_long_lease(jobs::AllocationType::service);
    cut(b);
    const auto is_moved = [&] { return other.runs_now() && task().status == AllocationStatus::running; };
    ASSERT_TRUE(until(is_moved, 10s)) << reason();
    EXPECT_TRUE(provider.runs_now()) << "it may run twice";
    EXPECT_NE(reason().find("an earlier run of it may still exist on " + provider.peer()), std::string::npos)
        << reason();
    EXPECT_EQ(task().restarts, 1u);
  }
};

TEST_F(GoneTest, AServiceOfADaemonThatIsKilledRunsElsewhereWithinTenSeconds) { expect_moved_within_ten_seconds(); }

TEST_F(GoneTest, AServiceOfAMachineThatClosesNoConnectionRunsElsewhereWithinTenSeconds) {
  w.substrate->notice_cuts(false);
  expect_moved_within_ten_seconds();
}

TEST_F(GoneTest, AServiceStaysWhenTheDaemonOfItsMachineIsBackInThreeSeconds) {
  run_with_long_lease(jobs::AllocationType::service);
  const std::string first = task().incarnation;
  for (int i = 0; i < 8; ++i) {
    cut(b);
    w.settle(3s);
    cut(b, false);
    w.settle(20s + i * 300ms);
  }
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(task().incarnation, first);
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_EQ(reason(), "");
  EXPECT_EQ(provider.starts, 1);
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(GoneTest, ANodeThatGetsATurnOnlyNowAndThenMovesNothing) {
  run_with_long_lease(jobs::AllocationType::service);
  const std::string first = task().incarnation;
  for (int i = 0; i < 6; ++i)
    for (const Duration stalled : {Duration(3s), Duration(8s), Duration(20s)}) {
      a.node.stall(stalled);
      w.settle(stalled + 100ms);
    }
  w.settle(2min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(task().incarnation, first);
  EXPECT_EQ(task().restarts, 0u);
  EXPECT_EQ(reason(), "");
  EXPECT_EQ(provider.starts, 1);
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(GoneTest, AServiceThatWasLostAndHasNotMovedGoesOnAsSoonAsItsMachineAnswers) {
  run_with_long_lease(jobs::AllocationType::service);
  other.bids = false;
  cut(b);
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }, 10s));
  EXPECT_NE(reason().find("is lost: it answers no pings"), std::string::npos) << reason();
  cut(b, false);
  EXPECT_TRUE(until([&] { return task().status == AllocationStatus::running && reason().empty(); }, 10s));
  w.settle(kBidRound + 10s);
  EXPECT_EQ(reason(), "");
  EXPECT_EQ(deployment->record().error, "") << "the round of bids that ends after that says nothing";
}

TEST_F(GoneTest, TheStatusTellsHowLongAgoTheLastPingWasAnswered) {
  run_with_long_lease(jobs::AllocationType::service);
  cut(b);
  AllocationState shown;
  ASSERT_TRUE(until(
      [&] {
        deployment->add_silence(shown, "task");
        return shown.unreachable_ns > 0;
      },
      10s));
  EXPECT_LT(shown.unreachable_ns, kGoneAfter.count()) << "the last renewal was answered 15 s before";
}

/// Of work that is not to be sought elsewhere meanwhile, renewals tell soon enough.
TEST_F(GoneTest, OnlyTheMachinesOfFastWorkAreAskedForSignsOfLife) {
  const auto& pings = w.substrate->counters().pings;
  run_with_long_lease(jobs::AllocationType::task);
  const std::uint64_t before = pings;
  w.settle(1min);
  EXPECT_EQ(pings, before);
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  w.run(a, deployment->close());
  deployment.reset();
  run_with_long_lease(jobs::AllocationType::service);
  const std::uint64_t begun = pings;
  w.settle(1min);
  EXPECT_NEAR(static_cast<double>(pings - begun), 1min / kBeat, 1);
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  w.settle(kBeat);
  const std::uint64_t ended = pings;
  w.settle(1min);
  EXPECT_EQ(pings, ended);
}

TEST_F(LossTest, AServiceGoesOnWhereItIsIfItsMachineAnswersBeforeAnotherOneTakesIt) {
  provider.lease = other.lease = 4min;
  run_anywhere(jobs::AllocationType::service);
  other.bids = false;
  const std::string first = task().incarnation;
  cut(b);
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  EXPECT_NE(reason().find("another machine is sought for it"), std::string::npos) << reason();
  ASSERT_TRUE(until([&] { return reason().find("no other one takes it yet") != std::string::npos; })) << reason();
  AllocationState shown;
  deployment->add_silence(shown, "task");
  EXPECT_GE(shown.unreachable_ns, Duration(10s).count());
  EXPECT_EQ(status_of(deployment->record()).allocations.at("task").peer, provider.peer());
  w.settle(1min);
  EXPECT_TRUE(deployment->record().superseded.empty());
  cut(b, false);
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running; }));
  other.bids = true;
  w.settle(5min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(task().incarnation, first);
  EXPECT_EQ(task().restarts, 0u);
  EXPECT_EQ(reason(), "");
  EXPECT_EQ(deployment->record().error, "");
  EXPECT_EQ(provider.starts, 1);
  EXPECT_EQ(provider.stopped + provider.reverts + provider.shutdowns, 0) << "nothing is stopped";
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(LossTest, AServiceThatOnlyItsMachineMayRunWaitsForThatUntilItsLeaseHasEnded) {
  provider.lease = 4min;
  DeploymentRecord made = record();
  made.ensemble.allocations.at("task").type = jobs::AllocationType::service;
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  const std::string first = task().incarnation;
  cut(b);
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::restarting; }));
  EXPECT_NE(reason().find("it is replaced when its lease has ended"), std::string::npos) << reason();
  cut(b, false);
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running; }));
  EXPECT_EQ(task().incarnation, first);
  cut(b);
  w.settle(provider.lease + 1min);
  ASSERT_FALSE(provider.runs_now());
  cut(b, false);
  ASSERT_TRUE(until([&] { return provider.runs_now() && task().status == AllocationStatus::running; }, 5min));
  EXPECT_NE(task().incarnation, first);
  EXPECT_EQ(task().restarts, 1u);
}

/// Whether another machine takes it before or not.
TEST_F(LossTest, AtWhicheverWriteOfALossItIsKilledOneRunOfTheServiceIsLeft) {
  provider.lease = other.lease = 4min;
  for (const bool is_replaced : {false, true}) {
    bool died = true;
    for (std::size_t n = 1; died; ++n) {
      SCOPED_TRACE(fmt::format("{}, write {}", is_replaced ? "replaced" : "not replaced", n));
      ASSERT_LT(n, 20u);
      std::filesystem::remove_all(folder / "deployments");
      run_anywhere(jobs::AllocationType::service);
      if (HasFatalFailure()) return;
      other.bids = is_replaced;
      const std::string first = task().incarnation;
      const int starts = provider.starts;
      records.refuse_from = records.saves + n;
      records.refused = 0;
      cut(b);
      const auto is_done = [&] {
        if (!is_replaced) return reason().find("no other one takes it yet") != std::string::npos;
        return other.runs_now() && task().status == AllocationStatus::running;
      };
      (void)until([&] { return records.refused > 0 || is_done(); });
      died = records.refused > 0;
      kill();
      restart();
      const auto is_settled = [&] {
        const ScriptedProvider& current = provider.runs_now() ? provider : other;
        return provider.runs_now() != other.runs_now() && task().status == AllocationStatus::running &&
               task().incarnation == current.runs.at("task").incarnation && deployment->record().superseded.empty();
      };
      ASSERT_TRUE(until(is_settled, 10min)) << reason();
      EXPECT_EQ(reason(), "");
      if (!is_replaced) {
        EXPECT_EQ(task().incarnation, first);
        EXPECT_EQ(provider.starts, starts) << "nothing is started anew";
      }
      ASSERT_TRUE(w.run(a, deployment->shutdown()));
      EXPECT_TRUE(provider.runs.empty());
      EXPECT_TRUE(other.runs.empty());
      w.run(a, deployment->close());
      deployment.reset();
    }
  }
}

/// The code of its failures is that of a stop of this daemon.
TEST_F(LossTest, AProviderThatResetsStreamsIsLostAndIsAskedForTheReleaseUntilItReplies) {
  run_anywhere(jobs::AllocationType::service);
  reset_streams_to(b);
  ASSERT_TRUE(until([&] { return other.runs_now(); })) << "it is replaced";
  w.settle(1min);
  ASSERT_FALSE(deployment->record().superseded.empty());
  EXPECT_TRUE(provider.runs.contains("task"));
  EXPECT_EQ(provider.reverts, 0);
  reset_streams_to(b, false);
  EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
  EXPECT_TRUE(provider.runs.empty());
}

/// Running and healthy is what it was when it was last heard from.
TEST_F(LossTest, TheStatusTellsForHowLongAProviderHasNotBeenHeardFrom) {
  provider.lease = 2min;
  run_anywhere(jobs::AllocationType::task);
  const auto state = [&] {
    AllocationState shown;
    deployment->add_silence(shown, "task");
    return shown;
  };
  const int renewals = provider.renewals;
  ASSERT_TRUE(until([&] { return provider.renewals > renewals; }));
  EXPECT_EQ(state().unreachable_ns, 0);
  const SteadyTime heard = a.lane().now();
  const std::uint64_t at = w.world.unix_now().nanos;
  w.settle(1s);  // the reply arrives
  cut(b);
  ASSERT_TRUE(until([&] { return state().unreachable_ns > 0; }));
  EXPECT_EQ(task().status, AllocationStatus::running) << "it is suspected, not lost";
  EXPECT_NEAR(static_cast<double>(state().unreachable_ns), static_cast<double>((a.lane().now() - heard).count()), 1e9);
  EXPECT_NEAR(static_cast<double>(state().lost_at), static_cast<double>(at + (provider.lease + kLeaseMargin).count()),
              1e9);
  cut(b, false);
  EXPECT_TRUE(until([&] { return state().unreachable_ns == 0; }));
  EXPECT_EQ(state().lost_at, 0u);
}

TEST_F(LossTest, TheSilenceOfAProviderWithoutLeasesIsTold) {
  provider.lease = other.lease = Duration(0);
  provider.features = other.features = {};
  DeploymentRecord made = record();
  create(std::move(made));
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  cut(b);
  AllocationState shown;
  ASSERT_TRUE(until([&] {
    deployment->add_silence(shown, "task");
    return shown.unreachable_ns > 0;
  }));
  EXPECT_EQ(shown.lost_at, 0u) << "how long it keeps the work is not known";
}

TEST_F(LossTest, ARefusedRenewalIsShownWithTheReasonOfTheProvider) {
  run_anywhere(jobs::AllocationType::task);
  provider.refuse_renewals = "the leases are not renewed: \x1b[2Jno space is left";
  AllocationState shown;
  ASSERT_TRUE(until([&] {
    shown = {};
    deployment->add_silence(shown, "task");
    return !shown.reason.empty();
  }));
  EXPECT_EQ(task().status, AllocationStatus::running) << "it is suspected, not lost";
  EXPECT_NE(shown.reason.find("refused: the leases are not renewed: \\x1b[2Jno space is left"), std::string::npos)
      << shown.reason;
  w.settle(1s);
  deployment->add_silence(shown, "task");
  EXPECT_LT(shown.unreachable_ns, Duration(2s).count()) << "it answers pings";
  provider.refuse_renewals.clear();
  EXPECT_TRUE(until([&] {
    shown = {};
    deployment->add_silence(shown, "task");
    return shown.unreachable_ns == 0 && shown.reason.empty();
  }));
}

/// A restart where it is, and an update, are no moves.
TEST_F(LossTest, AMoveToAnotherMachineAndAnUpdateAreCountedApartFromRestarts) {
  run_anywhere(jobs::AllocationType::service);
  const auto state = [&] { return status_of(deployment->record()).allocations.at("task"); };
  const auto runs_on = [&](const ScriptedProvider& machine) {
    return until([&] { return task().status == AllocationStatus::running && state().peer == machine.peer(); }, 10min);
  };
  EXPECT_EQ(state().moves, 0u);
  provider.runs.at("task").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return state().restarts == 1; }));
  EXPECT_EQ(state().moves, 0u);
  cut(b);
  ASSERT_TRUE(runs_on(other));
  EXPECT_EQ(state().restarts, 2u);
  EXPECT_EQ(state().moves, 1u);
  provider.bids = false;
  kill();
  restart();
  ASSERT_TRUE(runs_on(other));
  EXPECT_EQ(state().moves, 1u);
  jobs::Ensemble changed = deployment->record().ensemble;
  changed.allocations.at("task").resources.ram.size.bytes *= 2;
  ASSERT_TRUE(w.run(a, deployment->update(changed)));
  ASSERT_TRUE(runs_on(other));
  EXPECT_EQ(state().changes, 1u);
  EXPECT_EQ(state().restarts, 0u);
  EXPECT_EQ(state().moves, 0u);
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

TEST_F(LossTest, WorkWhoseLeaseEndedWhileTheOrchestratorWasDownRunsAgain) {
  run_anywhere(jobs::AllocationType::task);
  kill();
  w.settle(2min);
  ASSERT_FALSE(provider.runs_now());
  restart();
  ASSERT_TRUE(until([&] { return provider.runs_now() || other.runs_now(); }, 5min));
  EXPECT_FALSE(provider.runs_now() && other.runs_now());
  EXPECT_EQ(deployment->status(), DeploymentStatus::running) << deployment->record().error;
  ASSERT_TRUE(until([&] { return task().status == AllocationStatus::running; }));
  EXPECT_EQ(task().restarts, 1u);
}

TEST_F(LossTest, TheNoticeOfALeaseThatEndedWhileThisNodeWasCutOffIsALoss) {
  run_anywhere(jobs::AllocationType::task);
  cut(b);
  cut(c);
  w.settle(90s);  // it suspects itself, and declares nobody lost
  ASSERT_FALSE(provider.runs_now());
  cut(c, false);
  cut(b, false);
  (void)notify();
  ASSERT_TRUE(until([&] { return provider.runs_now() || other.runs_now(); }, 5min));
  EXPECT_EQ(deployment->status(), DeploymentStatus::running) << deployment->record().error;
}

TEST_F(LossTest, AnEnsembleCanChooseThatALeaseThatEndedFails) {
  run_anywhere(jobs::AllocationType::task, jobs::OnLoss::fail);
  kill();
  w.settle(2min);
  ASSERT_FALSE(provider.runs_now());
  provider.runs.at("task").out = "until its end";
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(task().status, AllocationStatus::terminated);
  EXPECT_NE(deployment->record().error.find("lease"), std::string::npos) << deployment->record().error;
  EXPECT_EQ(output(), "until its end");
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(LossTest, WorkWhoseProviderRefusesTheRenewalsFails) {
  run_anywhere(jobs::AllocationType::task);
  provider.answers_renewals = false;
  w.settle(provider.lease - 5s);
  provider.end("task", AllocationStatus::terminated);
  provider.runs.at("task").reason = "its lease has ended";
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::failed)) << to_string(deployment->status());
  EXPECT_NE(deployment->record().error.find("lease"), std::string::npos) << deployment->record().error;
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(LossTest, WorkOnAMachineWhoseWallClockIsSetAheadGoesOn) {
  run_anywhere(jobs::AllocationType::task);
  const std::string first = task().incarnation;
  for (const Duration ahead : {Duration(10min), Duration(90min), Duration(0), Duration(-10min), Duration(2min)}) {
    b.node.set_wall_clock(ahead);
    w.settle(5min);
    EXPECT_EQ(task().status, AllocationStatus::running) << ahead / 1s;
    EXPECT_EQ(reason(), "") << ahead / 1s;
    AllocationState shown;
    deployment->add_silence(shown, "task");
    EXPECT_EQ(shown.unreachable_ns, 0) << ahead / 1s;
  }
  EXPECT_EQ(task().incarnation, first);
  EXPECT_TRUE(other.runs.empty());
  provider.end("task", AllocationStatus::completed, 0, "all of it");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "all of it");
  EXPECT_TRUE(until([&] { return provider.runs.empty(); })) << "it is released";
}

TEST_F(LossTest, WorkOfAShortLeaseOutlastsAClockThatIsSetAhead) {
  provider.lease = other.lease = 10s;
  run_anywhere(jobs::AllocationType::task);
  const std::string first = task().incarnation;
  b.node.set_wall_clock(10min);
  w.settle(2min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_EQ(task().incarnation, first);
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(LossTest, WorkGoesOnAfterARestartOfTheDaemonThoughTheClockOfItsMachineIsAhead) {
  run_anywhere(jobs::AllocationType::task);
  b.node.set_wall_clock(10min);
  w.settle(2min);
  kill();
  a.system->clocks = {};
  restart();
  w.settle(5min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_TRUE(other.runs.empty());
}

TEST_F(LossTest, AClockThatIsTooFarAheadIsNamedWithTheEndOfTheLease) {
  run_anywhere(jobs::AllocationType::task);
  b.node.set_wall_clock(3h);
  w.settle(provider.lease - 5s);
  provider.end("task", AllocationStatus::terminated);
  provider.runs.at("task").reason = "its lease has ended";
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::failed)) << to_string(deployment->status());
  const std::string& error = deployment->record().error;
  EXPECT_NE(error.find("its lease has ended; it answers pings but no renewals: perhaps this node's capability is "
                       "revoked, or the clocks of both machines differ by more than 2 h"),
            std::string::npos)
      << error;
}

TEST_F(LossTest, TheNoticeOfALeaseThatHasEndedDoesNotHideTheClock) {
  provider.tells_time = false;
  run_anywhere(jobs::AllocationType::task, jobs::OnLoss::fail);
  b.node.set_wall_clock(10min);
  w.settle(30s);
  provider.end("task", AllocationStatus::terminated);
  provider.runs.at("task").reason = "its lease has ended";
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  const std::string& error = deployment->record().error;
  EXPECT_NE(error.find("its lease has ended; perhaps its clock differs from that of this machine"), std::string::npos)
      << error;
}

TEST_F(LossTest, TheClockOfAMachineThatDoesNotTellItsTimeIsNamedAsAPossibleCause) {
  provider.tells_time = false;
  run_anywhere(jobs::AllocationType::task, jobs::OnLoss::fail);
  b.node.set_wall_clock(10min);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 10min));
  const std::string& error = deployment->record().error;
  EXPECT_NE(error.find("is lost"), std::string::npos) << error;
  EXPECT_NE(error.find("perhaps its clock differs from that of this machine"), std::string::npos) << error;
}

TEST_F(LossTest, AServiceGoesOnWhileTheClockOfThisMachineIsBehind) {
  run_anywhere(jobs::AllocationType::service);
  const std::string first = task().incarnation;
  for (const Duration ahead : {Duration(-10min), Duration(0)}) {
    a.node.set_wall_clock(ahead);
    w.settle(5min);
    EXPECT_EQ(task().status, AllocationStatus::running);
    EXPECT_EQ(task().incarnation, first);
    EXPECT_EQ(reason(), "");
  }
  EXPECT_TRUE(provider.runs_now());
  EXPECT_TRUE(other.runs.empty());
}

/// The clock of a machine goes on while it is suspended; its timers fire late.
TEST_F(LossTest, ANodeWhoseTimersWereLateDeclaresNobodyLostBeforeTheLeaseHasEnded) {
  provider.lease = 2min;
  run_anywhere(jobs::AllocationType::service);
  a.node.stall(40s);
  cut(b);
  w.settle(95s);
  EXPECT_TRUE(other.runs.empty()) << "the fault may be this node's own";
  ASSERT_TRUE(until([&] { return other.runs_now(); }, 5min)) << "but not for ever";
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

TEST_F(LossTest, ANodeThatReachesNobodySuspectsItselfBeforeItsConnectionsEnd) {
  w.substrate->notice_cuts(false);
  provider.lease = 2min;
  run_anywhere(jobs::AllocationType::service);
  std::vector<std::string> losses;
  log::set_sink([&](const log::Line& line) {
    if (line.text.find("is lost") != std::string_view::npos) losses.emplace_back(line.text);
  });
  cut(b);
  cut(c);
  w.settle(1min);
  log::set_sink({});
  EXPECT_EQ(losses, std::vector<std::string>());
  cut(c, false);
  cut(b, false);
  w.settle(2min);
  EXPECT_TRUE(provider.runs_now());
  EXPECT_TRUE(other.runs.empty()) << "nothing was replaced";
  cut(b);
  ASSERT_TRUE(until([&] { return other.runs_now(); }, 90s)) << "another peer answers: the machine is lost";
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

}  // namespace
}  // namespace dms::orchestrator
