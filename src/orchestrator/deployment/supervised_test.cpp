// Supervision: what is started again and stopped, in which order and how often, and when it is given up.
#include "orchestrator/deployment/actor_view.hpp"
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;
using jobs::AllocationRecovery;
using jobs::NodeRecovery;
using Log = std::vector<std::string>;

const Log kAllInOrder = {"start a", "start b", "start c"};
const Log kAllAgain = {"stop c", "stop a", "start a", "start b", "start c"};

struct SupervisedTest : DeploymentTest {
  /// Services a, b and c of one node, which is pinned to the provider.
  DeploymentRecord three(AllocationRecovery recovery, jobs::AllocationType type = jobs::AllocationType::service) {
    DeploymentRecord made = record();
    jobs::Ensemble& ensemble = made.ensemble;
    jobs::Allocation each = ensemble.allocations.at("task");
    each.type = type;
    each.failure_recovery = recovery;
    for (const char* name : {"a", "b", "c"}) {
      each.dns_name = name;
      ensemble.allocations[name] = each;
    }
    ensemble.allocations.erase("task");
    ensemble.nodes.at("node").allocations = {"a", "b", "c"};
    return made;
  }
  void deploy(DeploymentRecord made) {
    provider.features = {"lease"};
    provider.log.clear();
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    ASSERT_TRUE(all_run());
    EXPECT_EQ(provider.log, kAllInOrder);
    provider.log.clear();
  }
  /// On either machine; the first one has it.
  void deploy_anywhere(NodeRecovery recovery, AllocationRecovery each = AllocationRecovery::stay_down) {
    DeploymentRecord made = three(each);
    made.ensemble.nodes.at("node").peer.clear();
    made.ensemble.nodes.at("node").failure_recovery = recovery;
    other.features = {"lease"};
    other.bids = false;
    deploy(std::move(made));
    other.bids = true;
  }
  /// After that many restarts of all.
  bool all_run_on(ScriptedProvider& machine, std::uint32_t times) {
    const auto runs_there = [&](const char* name) {
      return machine.runs_now(name) && task(name).status == AllocationStatus::running &&
             task(name).handle.address.host == machine.peer();
    };
    const auto all = [&] {
      return runs_there("a") && runs_there("b") && runs_there("c") && task("c").restarts == times;
    };
    return until(all, 10min);
  }
  bool runs(const std::string& name) {
    return task(name).status == AllocationStatus::running && provider.runs_now(name);
  }
  bool all_run() { return runs("a") && runs("b") && runs("c"); }
  void crash(const std::string& name) {
    provider.end(name, AllocationStatus::failed, 1);
    EXPECT_TRUE(notify(name));
  }
  bool all_run_again(Duration limit = 2min) {
    return until([&] { return all_run() && task("c").restarts == 1; }, limit);
  }
  /// Of the first supervisor below the root.
  Supervised first_group() {
    const DeploymentRecord& made = deployment->record();
    return actor_of(made, status_of(made), boot, a.lane().now()).supervision.children.at(0);
  }
  bool all_run_elsewhere() {
    const auto all = [&] {
      return other.runs_now("a") && other.runs_now("b") && other.runs_now("c") &&
             task("a").status == AllocationStatus::running && task("b").status == AllocationStatus::running &&
             task("c").status == AllocationStatus::running;
    };
    return until(all, 10min);
  }
  std::string reason_of(const std::string& name) { return status_of(deployment->record()).allocations.at(name).reason; }
  std::vector<std::uint32_t> restarts() { return {task("a").restarts, task("b").restarts, task("c").restarts}; }
  void crash_and_recover(const std::string& name, std::uint32_t times) {
    for (std::uint32_t i = 0; i < times; ++i) {
      const std::uint32_t before = task(name).restarts;
      crash(name);
      ASSERT_TRUE(until([&] { return runs(name) && task(name).restarts == before + 1; }, 10min)) << i;
    }
  }
  /// A failure of b, by which all is started again.
  void die_at_each_write(AllocationRecovery each, NodeRecovery of_node) {
    bool died = true;
    for (std::size_t n = 1; died; ++n) {
      ASSERT_LT(n, 100u);
      DeploymentRecord made = three(each);
      made.ensemble.nodes.at("node").failure_recovery = of_node;
      deploy(std::move(made));
      records.saves = records.refused = 0;
      records.refuse_from = n;
      provider.end("b", AllocationStatus::failed, 1);
      (void)notify("b");
      const auto recovered = [&] { return all_run() && task("c").restarts == 1; };
      (void)until([&] { return records.refused > 0 || recovered(); });
      died = records.refused > 0;
      if (died) {
        kill();
        w.settle(5s);
        restart();
      }
      records.refuse_from.reset();
      ASSERT_TRUE(until(recovered, 5min)) << "write " << n;
      EXPECT_EQ(provider.log, kAllAgain) << "write " << n;
      EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1})) << "write " << n;
      ASSERT_TRUE(w.run(a, deployment->shutdown()));
      ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }));
      w.run(a, deployment->close());
      deployment.reset();
      ASSERT_TRUE(w.run(a, records.erase("d1")));
      std::filesystem::remove_all(folder / "deployments");
    }
  }
};

TEST_F(SupervisedTest, OneForOneStartsWhatHasFailedAfterAPause) {
  deploy(three(AllocationRecovery::one_for_one));
  const std::string run = task("a").incarnation;
  crash("b");
  EXPECT_EQ(task("b").status, AllocationStatus::pending);
  EXPECT_EQ(task("b").reason, "exit code 1; it is started again");
  w.settle(9s);
  EXPECT_EQ(provider.log, Log{});
  ASSERT_TRUE(until([&] { return runs("b"); }, 15s));
  EXPECT_EQ(provider.log, Log{"start b"});
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{0, 1, 0}));
  EXPECT_EQ(task("a").incarnation, run);
  EXPECT_EQ(status_of(deployment->record()).allocations.at("b").strategy, "one_for_one");
}

TEST_F(SupervisedTest, ItsActorTellsOfRestartsAndPauses) {
  deploy(three(AllocationRecovery::one_for_one));
  crash_and_recover("b", 2);
  crash("b");
  const auto group = [&] { return first_group(); };
  EXPECT_EQ(group().name, "node:node");
  EXPECT_EQ(group().recent, 3u);
  EXPECT_EQ(group().restarts, 0u);
  const Supervised waits = group().children.at(1);
  EXPECT_EQ(waits.name, "b");
  EXPECT_EQ(waits.restarts, 2u);
  EXPECT_EQ(waits.phase, "waiting");
  ASSERT_TRUE(waits.pause_ns);
  w.settle(15s);
  EXPECT_EQ(*group().children.at(1).pause_ns, *waits.pause_ns - Duration(15s).count());
  ASSERT_TRUE(until([&] { return runs("b"); }));
  const Supervised again = group().children.at(1);
  EXPECT_EQ(again.restarts, 3u);
  EXPECT_EQ(again.phase, "running");
  EXPECT_FALSE(again.pause_ns);
  EXPECT_EQ(again.last, "exit code 1");
  EXPECT_EQ(group().children.at(0).restarts, 0u);
}

TEST_F(SupervisedTest, OneForAllStopsTheOthersInReverseOrderAndStartsAllInOrder) {
  deploy(three(AllocationRecovery::one_for_all));
  crash("b");
  ASSERT_TRUE(all_run_again());
  EXPECT_EQ(provider.log, kAllAgain);
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1}));
}

TEST_F(SupervisedTest, RestForOneRestartsWhatWasStartedAfterIt) {
  deploy(three(AllocationRecovery::rest_for_one));
  const std::string run = task("a").incarnation;
  crash("b");
  ASSERT_TRUE(all_run_again());
  EXPECT_EQ(provider.log, (Log{"stop c", "start b", "start c"}));
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{0, 1, 1}));
  EXPECT_EQ(task("a").incarnation, run);
}

TEST_F(SupervisedTest, WhatHasNoRecoveryStaysDown) {
  DeploymentRecord made = three(AllocationRecovery::stay_down);
  made.ensemble.allocations.at("a").failure_recovery = AllocationRecovery::one_for_one;
  deploy(std::move(made));
  crash("b");
  w.settle(5min);
  EXPECT_EQ(provider.log, Log{});
  EXPECT_EQ(task("b").status, AllocationStatus::failed);
  EXPECT_EQ(status_of(deployment->record()).allocations.at("b").strategy, "");
  EXPECT_EQ(deployment->record().tree->over, false);
}

TEST_F(SupervisedTest, ATaskThatHasCompletedIsDoneAndOneThatFailsIsRunAgain) {
  deploy(three(AllocationRecovery::one_for_one, jobs::AllocationType::task));
  provider.end("a", AllocationStatus::completed);
  ASSERT_TRUE(notify("a"));
  crash_and_recover("b", 1);
  EXPECT_EQ(task("a").status, AllocationStatus::completed);
  EXPECT_EQ(provider.log, Log{"start b"});
  for (const char* name : {"b", "c"}) {
    provider.end(name, AllocationStatus::completed);
    ASSERT_TRUE(notify(name));
  }
  EXPECT_TRUE(reaches(DeploymentStatus::completed)) << deployment->record().error;
}

TEST_F(SupervisedTest, OneForAllRunsATaskThatHasCompletedAgain) {
  deploy(three(AllocationRecovery::one_for_all, jobs::AllocationType::task));
  provider.end("a", AllocationStatus::completed, 0, "done");
  ASSERT_TRUE(notify("a"));
  crash("b");
  ASSERT_TRUE(all_run_again());
  EXPECT_EQ(provider.log, (Log{"stop c", "start a", "start b", "start c"}));
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1}));
}

TEST_F(SupervisedTest, PausesGrowAndAreShortAgainAfterALongHealthyRun) {
  deploy(three(AllocationRecovery::one_for_one));
  crash_and_recover("b", 1);
  crash("b");
  w.settle(19s);
  EXPECT_EQ(provider.log, Log{"start b"});
  ASSERT_TRUE(until([&] { return runs("b"); }, 15s));
  w.settle(11min);
  crash("b");
  ASSERT_TRUE(until([&] { return runs("b"); }, 18s));
  EXPECT_EQ(task("b").restarts, 3u);
}

TEST_F(SupervisedTest, TooManyRestartsEndTheDeploymentWithTheReasons) {
  deploy(three(AllocationRecovery::one_for_one));
  crash_and_recover("b", 10);
  EXPECT_EQ(provider.log, Log(10, "start b"));
  provider.log.clear();
  crash("b");
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(deployment->record().error,
            "supervision has given up: node:node: it needed more than 10 restarts in 1 h: node:node/b: exit code 1");
  EXPECT_EQ(provider.log, (Log{"stop c", "stop a"}));
  EXPECT_EQ(task("a").status, AllocationStatus::stopped);
  EXPECT_EQ(task("b").status, AllocationStatus::failed);
  EXPECT_EQ(task("b").restarts, 10u);
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }));
}

TEST_F(SupervisedTest, RedeployStartsTheSupervisorAnew) {
  DeploymentRecord made = three(AllocationRecovery::one_for_one);
  made.ensemble.escalation_strategy = jobs::EscalationStrategy::redeploy;
  deploy(std::move(made));
  crash_and_recover("b", 10);
  provider.log.clear();
  crash("b");
  ASSERT_TRUE(all_run_again());
  EXPECT_EQ(provider.log, kAllAgain);
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 11, 1}));
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
}

TEST_F(SupervisedTest, AWrittenTreeIsStartedInItsOrderAndRestartedByIts) {
  DeploymentRecord made = three(AllocationRecovery::stay_down);
  made.ensemble.supervisor = {
      .strategy = jobs::SupervisorStrategy::rest_for_one,
      .allocations = {"a"},
      .children = {{.strategy = jobs::SupervisorStrategy::all_for_one, .allocations = {"b", "c"}}}};
  deploy(std::move(made));
  crash("c");
  ASSERT_TRUE(all_run_again());
  EXPECT_EQ(provider.log, (Log{"stop b", "start b", "start c"}));
  provider.log.clear();
  crash("a");
  ASSERT_TRUE(until([&] { return all_run() && task("c").restarts == 2; }));
  EXPECT_EQ(provider.log, (Log{"stop c", "stop b", "start a", "start b", "start c"}));
}

TEST_F(SupervisedTest, ASupervisorGivesUpAfterAsManyRestartsAsItSays) {
  DeploymentRecord made = three(AllocationRecovery::stay_down);
  made.ensemble.supervisor.allocations = {"a", "b", "c"};
  made.ensemble.supervisor.max_restarts = 1;
  made.ensemble.supervisor.period_ns = Duration(10min).count();
  deploy(std::move(made));
  crash_and_recover("b", 1);
  w.settle(11min);
  crash_and_recover("b", 1);
  crash("a");
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(deployment->record().error,
            "supervision has given up: supervisor: it needed more than 1 restart in 10 min: supervisor/a: exit code 1");
}

TEST_F(SupervisedTest, PermanentWorkRunsAgainAndTransientWorkIsDoneWhenItHasCompleted) {
  DeploymentRecord made = three(AllocationRecovery::one_for_one);
  made.ensemble.allocations.at("a").restart = jobs::RestartType::transient;
  made.ensemble.allocations.at("b").type = jobs::AllocationType::task;
  made.ensemble.allocations.at("b").restart = jobs::RestartType::permanent;
  deploy(std::move(made));
  for (const char* name : {"a", "b"}) {
    provider.end(name, AllocationStatus::completed);
    ASSERT_TRUE(notify(name));
  }
  ASSERT_TRUE(until([&] { return runs("b") && task("b").restarts == 1; }, 2min));
  w.settle(5min);
  EXPECT_EQ(provider.log, Log{"start b"});
  EXPECT_EQ(task("a").status, AllocationStatus::completed);
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
}

TEST_F(SupervisedTest, TheEndOfSignificantWorkEndsItsSupervisorAndCompletesTheDeployment) {
  DeploymentRecord made = three(AllocationRecovery::stay_down);
  made.ensemble.supervisor.allocations = {"a", "b", "c"};
  made.ensemble.supervisor.auto_shutdown = jobs::SupervisorShutdown::any_significant;
  made.ensemble.allocations.at("b").restart = jobs::RestartType::transient;
  made.ensemble.allocations.at("b").significant = true;
  deploy(std::move(made));
  crash_and_recover("b", 1);
  provider.log.clear();
  provider.end("b", AllocationStatus::completed);
  ASSERT_TRUE(notify("b"));
  ASSERT_TRUE(reaches(DeploymentStatus::completed)) << deployment->record().error;
  EXPECT_EQ(provider.log, (Log{"stop c", "stop a"}));
  EXPECT_EQ(task("a").status, AllocationStatus::stopped);
  EXPECT_EQ(task("b").status, AllocationStatus::completed);
  EXPECT_EQ(status_of(deployment->record()).reason, "the rest was stopped when its supervisor ended (auto_shutdown)");
}

TEST_F(SupervisedTest, ASupervisorThatHasEndedByItselfStaysDownBesideOthersAlsoAfterTheDaemon) {
  DeploymentRecord made = three(AllocationRecovery::stay_down);
  made.ensemble.supervisor = {.allocations = {"a"}, .children = {{.allocations = {"b", "c"}}}};
  made.ensemble.supervisor.children.at(0).auto_shutdown = jobs::SupervisorShutdown::all_significant;
  made.ensemble.allocations.at("b").restart = jobs::RestartType::transient;
  made.ensemble.allocations.at("b").significant = true;
  deploy(std::move(made));
  provider.end("b", AllocationStatus::completed);
  ASSERT_TRUE(notify("b"));
  ASSERT_TRUE(until([&] { return task("c").status == AllocationStatus::stopped; }));
  EXPECT_EQ(provider.log, Log{"stop c"});
  kill();
  w.settle(5s);
  restart();
  w.settle(2min);
  EXPECT_EQ(provider.log, Log{"stop c"});
  EXPECT_TRUE(runs("a"));
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_FALSE(deployment->record().tree->over);
}

TEST_F(SupervisedTest, TheFailureOfSignificantWorkThatStaysDownFailsTheDeployment) {
  DeploymentRecord made = three(AllocationRecovery::stay_down);
  made.ensemble.supervisor.allocations = {"a", "b", "c"};
  made.ensemble.supervisor.auto_shutdown = jobs::SupervisorShutdown::any_significant;
  made.ensemble.allocations.at("b").restart = jobs::RestartType::temporary;
  made.ensemble.allocations.at("b").significant = true;
  deploy(std::move(made));
  crash("b");
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(provider.log, (Log{"stop c", "stop a"}));
  EXPECT_EQ(deployment->record().error, "b failed: exit code 1");
}

TEST_F(SupervisedTest, AnUpdateOfWhatIsRestartedStopsNothing) {
  deploy(three(AllocationRecovery::one_for_one));
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.at("b").restart = jobs::RestartType::transient;
  ASSERT_TRUE(w.run(a, deployment->update(std::move(ensemble))));
  w.settle(1min);
  EXPECT_EQ(provider.log, Log{});
  provider.end("b", AllocationStatus::completed);
  ASSERT_TRUE(notify("b"));
  w.settle(1min);
  EXPECT_EQ(task("b").status, AllocationStatus::completed);
  EXPECT_EQ(provider.log, Log{});
}

TEST_F(SupervisedTest, ALostRunIsAFailureOfItsChild) {
  deploy(three(AllocationRecovery::rest_for_one));
  w.run(b, provider.forget("b"));
  ASSERT_TRUE(all_run_again(5min));
  EXPECT_EQ(provider.log, (Log{"stop c", "start b", "start c"}));
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{0, 1, 1}));
}

TEST_F(SupervisedTest, WhatALostMachineHadIsStartedElsewhereWithoutAPauseTheFirstTime) {
  for (const AllocationRecovery recovery : {AllocationRecovery::one_for_one, AllocationRecovery::one_for_all}) {
    DeploymentRecord made = three(recovery);
    made.ensemble.nodes.at("node").peer.clear();
    other.features = {"lease"};
    other.bids = false;
    deploy(std::move(made));
    other.bids = true;
    cut(b);
    ASSERT_TRUE(until([&] { return !deployment->record().superseded.empty(); }, 5min)) << "another machine has bid";
    EXPECT_TRUE(until(
        [&] { return other.runs_now("a") && other.runs_now("b") && other.runs_now("c") && task("c").restarts == 1; },
        5s))
        << deployment->record().error;
    EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1}));
    cut(b, false);
    ASSERT_TRUE(w.run(a, deployment->shutdown()));
    ASSERT_TRUE(until([&] { return !deployment->record().unsettled(); }, 10min));
    w.run(a, deployment->close());
    deployment.reset();
    ASSERT_TRUE(w.run(a, records.erase("d1")));
    std::filesystem::remove_all(folder / "deployments");
  }
}

TEST_F(SupervisedTest, WhatMovesWithARestartedSiblingHasNotFailed) {
  deploy_anywhere(NodeRecovery::stay_down, AllocationRecovery::rest_for_one);
  provider.bids = false;
  crash("b");
  ASSERT_TRUE(all_run_elsewhere()) << deployment->record().error;
  EXPECT_EQ(first_group().recent, 1u) << "a failure of b";
  EXPECT_EQ(first_group().children.at(0).restarts, 0u);
  EXPECT_EQ(first_group().children.at(1).restarts, 1u);
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1}));
  w.settle(1min);
  EXPECT_TRUE(all_run_elsewhere());
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1}));
}

TEST_F(SupervisedTest, WhatMovesAsAnUpdateAsksForMoreHasNotFailed) {
  deploy_anywhere(NodeRecovery::stay_down, AllocationRecovery::one_for_all);
  provider.bids = false;
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.at("b").resources.ram.size.bytes *= 2;
  ASSERT_TRUE(w.run(a, deployment->update(std::move(ensemble))));
  ASSERT_TRUE(all_run_elsewhere()) << deployment->record().error;
  const Supervised group = first_group();
  EXPECT_EQ(group.recent, 0u);
  for (const Supervised& child : group.children) EXPECT_EQ(child.restarts, 0u) << child.name;
}

TEST_F(SupervisedTest, WhatStaysUnhealthyAfterItsRestartsHasFailed) {
  deploy(three(AllocationRecovery::rest_for_one));
  for (int i = 1; i <= 3; ++i) {
    provider.runs.at("b").health = Health::unhealthy;
    ASSERT_TRUE(until([&] { return provider.restarts == i && runs("b"); }, 10min)) << i;
  }
  EXPECT_EQ(provider.log, Log{});
  provider.runs.at("b").health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return reason_of("b").contains("its restart was requested 3 times before"); }, 10min));
  ASSERT_TRUE(all_run_again(10min));
  EXPECT_EQ(provider.restarts, 3);
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{0, 4, 1}));
}

TEST_F(SupervisedTest, AnUpdateOfTheStrategyStopsNothing) {
  deploy(three(AllocationRecovery::one_for_one));
  jobs::Ensemble ensemble = deployment->record().ensemble;
  for (auto& [name, allocation] : ensemble.allocations) allocation.failure_recovery = AllocationRecovery::one_for_all;
  ASSERT_TRUE(w.run(a, deployment->update(std::move(ensemble))));
  w.settle(1min);
  EXPECT_EQ(provider.log, Log{});
  crash("b");
  ASSERT_TRUE(all_run_again());
  EXPECT_EQ(provider.log, kAllAgain);
}

TEST_F(SupervisedTest, APauseAndTheCountsOutliveTheDaemon) {
  deploy(three(AllocationRecovery::one_for_one));
  crash_and_recover("b", 4);
  crash("b");
  w.settle(60s);  // of 160
  kill();
  w.settle(20s);
  restart();
  provider.log.clear();
  w.settle(60s);
  EXPECT_EQ(provider.log, Log{});
  ASSERT_TRUE(until([&] { return runs("b"); }, 40s));
  crash_and_recover("b", 5);
  crash("b");
  EXPECT_TRUE(reaches(DeploymentStatus::failed));
}

TEST_F(SupervisedTest, AtWhicheverWriteItIsKilledEachIsStoppedAndStartedOnceInOrder) {
  die_at_each_write(AllocationRecovery::one_for_all, NodeRecovery::stay_down);
}

TEST_F(SupervisedTest, AtWhicheverWriteItIsKilledANodeIsStoppedAndStartedOnceInOrder) {
  die_at_each_write(AllocationRecovery::stay_down, NodeRecovery::restart);
}

TEST_F(SupervisedTest, ANodeThatIsRestartedIsStoppedAndStartedInOrderOnItsMachine) {
  deploy_anywhere(NodeRecovery::restart);
  EXPECT_EQ(status_of(deployment->record()).allocations.at("b").strategy, "restart of its node");
  for (std::uint32_t times = 1; times <= 3; ++times) {
    provider.log.clear();
    crash("b");
    ASSERT_TRUE(all_run_on(provider, times)) << deployment->record().error;
    EXPECT_EQ(provider.log, kAllAgain);
    EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{times, times, times}));
  }
  EXPECT_EQ(other.log, Log{});
}

TEST_F(SupervisedTest, ANodeThatIsRestartedLeavesAMachineThatDoesNotBid) {
  deploy_anywhere(NodeRecovery::restart);
  provider.bids = false;
  crash("b");
  ASSERT_TRUE(all_run_on(other, 1)) << deployment->record().error;
  EXPECT_EQ(provider.log, (Log{"stop c", "stop a"}));
  EXPECT_EQ(other.log, kAllInOrder);
}

TEST_F(SupervisedTest, ANodeThatIsRedeployedLeavesTheMachineThatItHasFailedOn) {
  deploy_anywhere(NodeRecovery::redeploy);
  crash("b");
  ASSERT_TRUE(all_run_on(other, 1)) << deployment->record().error;
  EXPECT_EQ(provider.log, (Log{"stop c", "stop a"}));
  EXPECT_EQ(other.log, kAllInOrder);
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1}));
  EXPECT_EQ(status_of(deployment->record()).allocations.at("b").moves, 1u);
  other.end("b", AllocationStatus::failed, 1);
  (void)w.run(c, other.notify("b"));
  EXPECT_TRUE(all_run_on(provider, 2)) << deployment->record().error;
}

TEST_F(SupervisedTest, ANodeThatIsRedeployedStaysWhereNoOtherMachineTakesIt) {
  deploy_anywhere(NodeRecovery::redeploy);
  other.bids = false;
  crash("b");
  ASSERT_TRUE(all_run_on(provider, 1)) << deployment->record().error;
  EXPECT_EQ(provider.log, kAllAgain);
}

TEST_F(SupervisedTest, WhereANodeHasFailedOutlivesTheDaemon) {
  deploy_anywhere(NodeRecovery::redeploy);
  crash("b");
  ASSERT_TRUE(until([&] { return provider.log == Log{"stop c", "stop a"}; }));
  kill();
  w.settle(5s);
  restart();
  ASSERT_TRUE(all_run_on(other, 1)) << deployment->record().error;
  EXPECT_EQ(provider.log, (Log{"stop c", "stop a"}));
  EXPECT_EQ(other.log, kAllInOrder);
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 1, 1}));
}

TEST_F(SupervisedTest, WhatItsAllocationsGiveUpOnIsAFailureOfTheNode) {
  deploy_anywhere(NodeRecovery::restart, AllocationRecovery::one_for_one);
  crash_and_recover("b", 10);
  EXPECT_EQ(provider.log, Log(10, "start b"));
  provider.log.clear();
  crash("b");
  ASSERT_TRUE(all_run_on(provider, 1)) << deployment->record().error;
  EXPECT_EQ(provider.log, kAllAgain);
  EXPECT_EQ(restarts(), (std::vector<std::uint32_t>{1, 11, 1}));
}

TEST_F(SupervisedTest, ANodeThatFailsTooOftenEndsTheDeploymentWithTheReasons) {
  deploy_anywhere(NodeRecovery::restart);
  for (std::uint32_t times = 1; times <= 10; ++times) {
    crash("b");
    ASSERT_TRUE(all_run_on(provider, times)) << times;
  }
  crash("b");
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(deployment->record().error,
            "supervision has given up: recovery:node: it needed more than 10 restarts in 1 h: "
            "recovery:node/node:node: it gives up at the first failure: "
            "recovery:node/node:node/b: exit code 1");
  EXPECT_EQ(other.log, Log{});
}

TEST_F(SupervisedTest, TheLossOfItsMachineIsNoFailureOfANode) {
  deploy_anywhere(NodeRecovery::restart);
  cut(b);
  ASSERT_TRUE(all_run_on(other, 1)) << deployment->record().error;
  const Supervised recovery = first_group();
  EXPECT_EQ(recovery.name, "recovery:node");
  EXPECT_EQ(recovery.recent, 0u);
  EXPECT_EQ(recovery.children.at(0).restarts, 0u);
  cut(b, false);
}

TEST_F(SupervisedTest, AnUpdateOfWhatIsDoneAboutANodeStopsNothing) {
  deploy(three(AllocationRecovery::stay_down));
  const auto update = [&](NodeRecovery recovery) {
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.nodes.at("node").failure_recovery = recovery;
    ASSERT_TRUE(w.run(a, deployment->update(std::move(ensemble))));
    w.settle(1min);
    EXPECT_EQ(provider.log, Log{});
  };
  update(NodeRecovery::restart);
  crash("b");
  ASSERT_TRUE(all_run_on(provider, 1)) << deployment->record().error;
  EXPECT_EQ(provider.log, kAllAgain);
  provider.log.clear();
  update(NodeRecovery::stay_down);
  crash("b");
  w.settle(5min);
  EXPECT_EQ(provider.log, Log{});
  EXPECT_EQ(task("b").status, AllocationStatus::failed);
}

}  // namespace
}  // namespace dms::orchestrator
