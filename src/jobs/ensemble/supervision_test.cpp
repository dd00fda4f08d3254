#include "jobs/ensemble/supervision.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dms::jobs {
namespace {

using supervision::Restart;
using supervision::Spec;
using supervision::Strategy;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

/// Services a, b and c on node n, the task t on node m.
Ensemble supervised() {
  Ensemble ensemble;
  for (const std::string name : {"a", "b", "c", "t"}) ensemble.allocations[name].type = AllocationType::service;
  ensemble.allocations["t"].type = AllocationType::task;
  ensemble.nodes["n"].allocations = {"a", "b", "c"};
  ensemble.nodes["m"].allocations = {"t"};
  return ensemble;
}

/// "one_for_all(a permanent, [0] one_for_one(...))"
std::string shape(const Spec& spec) {
  std::string text(to_string(spec.supervisor->strategy));
  text += "(";
  for (const Spec& child : spec.children) {
    if (text.back() != '(') text += ", ";
    text += child.id + " " + (child.supervisor ? shape(child) : std::string(to_string(child.restart)));
  }
  return text + ")";
}

std::string shape(const Ensemble& ensemble) {
  const Result<Spec> tree = supervision_of(ensemble);
  return tree ? shape(*tree) : tree.error().message();
}

TEST(SupervisionTest, DependenciesBetweenNodesAreInAnyOrderOfTheirNames) {
  Ensemble ensemble = supervised();
  EXPECT_FALSE(is_supervised(ensemble));
  ensemble.allocations["t"].failure_recovery = AllocationRecovery::one_for_one;
  EXPECT_TRUE(is_supervised(ensemble));
  ensemble.allocations["t"].depends_on = {"a"};
  EXPECT_EQ(shape(ensemble),
            "one_for_one(node:m one_for_one(t transient), "
            "node:n one_for_one(a temporary, b temporary, c temporary))");
}

TEST(SupervisionTest, WorkStaysDownByDefault) {
  EXPECT_EQ(shape(supervised()),
            "one_for_one(node:m one_for_one(t temporary), "
            "node:n one_for_one(a temporary, b temporary, c temporary))");
}

TEST(SupervisionTest, TheRecoveryOfANodesAllocationsIsItsStrategy) {
  Ensemble ensemble = supervised();
  ensemble.allocations["a"].failure_recovery = AllocationRecovery::rest_for_one;
  ensemble.allocations["a"].depends_on = {"c"};
  ensemble.allocations["c"].failure_recovery = AllocationRecovery::rest_for_one;
  ensemble.allocations["t"].failure_recovery = AllocationRecovery::one_for_all;
  EXPECT_EQ(shape(ensemble),
            "one_for_one(node:m one_for_all(t transient), "
            "node:n rest_for_one(b temporary, c permanent, a permanent))");
  ensemble.allocations["b"].failure_recovery = AllocationRecovery::one_for_one;
  EXPECT_THAT(shape(ensemble),
              HasSubstr("allocations.c.failure_recovery: another allocation of node n has one_for_one"));
}

TEST(SupervisionTest, TheWrittenTreeIsKept) {
  Ensemble ensemble = supervised();
  ensemble.supervisor = {.strategy = SupervisorStrategy::rest_for_one,
                         .allocations = {"t"},
                         .children = {{.strategy = SupervisorStrategy::all_for_one, .allocations = {"c", "a"}}, {}}};
  EXPECT_EQ(shape(ensemble),
            "one_for_one(supervisor rest_for_one(t transient, [0] one_for_all(c permanent, a permanent), "
            "[1] one_for_one()), node:n one_for_one(b temporary))");
  EXPECT_THAT(supervised_paths(supervision_of(ensemble).value()),
              ElementsAre(Pair("a", "supervisor/[0]/a"), Pair("b", "node:n/b"), Pair("c", "supervisor/[0]/c"),
                          Pair("t", "supervisor/t")));
}

TEST(SupervisionTest, EscalationIsWhatTheRootDoes) {
  Ensemble ensemble = supervised();
  EXPECT_EQ(supervision_of(ensemble)->supervisor->intensity, 0U);
  ensemble.escalation_strategy = EscalationStrategy::teardown;
  EXPECT_EQ(supervision_of(ensemble)->supervisor->intensity, 0U);
  ensemble.escalation_strategy = EscalationStrategy::redeploy;
  EXPECT_EQ(supervision_of(ensemble)->supervisor->intensity, 10U);
}

TEST(SupervisionTest, RefusesWhatDisagrees) {
  Ensemble twice = supervised();
  twice.supervisor = {.allocations = {"a"}, .children = {{.allocations = {"b", "a"}}}};
  EXPECT_THAT(shape(twice), HasSubstr("supervisor.children[0].allocations[1]: a supervisor names a already"));

  Ensemble both = supervised();
  both.supervisor.allocations = {"a"};
  both.allocations["a"].failure_recovery = AllocationRecovery::one_for_all;
  EXPECT_THAT(shape(both), HasSubstr("allocations.a.failure_recovery: supervisor has a strategy for it"));

  Ensemble late = supervised();
  late.supervisor.allocations = {"a", "b"};
  late.allocations["a"].depends_on = {"b"};
  EXPECT_THAT(shape(late), HasSubstr("supervisor.allocations[0]: a would be started before b"));
  late.supervisor.allocations = {"a"};
  EXPECT_TRUE(supervision_of(late)) << "b is not named: a waits for it as without a supervisor";
}

TEST(SupervisionTest, ANodeWithStandbysIsStartedAnewAsOftenAsItHasThem) {
  Ensemble ensemble = supervised();
  ensemble.nodes["n"].redundancy = 2;
  EXPECT_TRUE(is_supervised(ensemble));
  EXPECT_EQ(shape(ensemble),
            "one_for_one(node:m one_for_one(t temporary), standbys:n one_for_one("
            "node:n one_for_one(a permanent, b permanent, c permanent)))");
  const auto standbys = [&] { return supervision_of(ensemble)->children.at(1); };
  EXPECT_EQ(standbys().supervisor->intensity, 2U);
  EXPECT_EQ(standbys().children.at(0).supervisor->intensity, 0U) << "it gives up at the first failure";
  ensemble.allocations["b"].failure_recovery = AllocationRecovery::one_for_all;
  EXPECT_EQ(standbys().children.at(0).supervisor->intensity, 10U);
  EXPECT_EQ(shape(ensemble),
            "one_for_one(node:m one_for_one(t temporary), standbys:n one_for_one("
            "node:n one_for_all(a temporary, b permanent, c temporary)))");
}

TEST(SupervisionTest, ANodeThatRecoversHasASupervisorAboveThatOfItsAllocations) {
  Ensemble ensemble = supervised();
  ensemble.nodes["n"].failure_recovery = NodeRecovery::restart;
  EXPECT_TRUE(is_supervised(ensemble));
  const std::string all_stay_down =
      "one_for_one(node:m one_for_one(t temporary), recovery:n one_for_one("
      "node:n one_for_one(a permanent, b permanent, c permanent)))";
  EXPECT_EQ(shape(ensemble), all_stay_down);
  const auto recovery = [&] { return supervision_of(ensemble)->children.at(1); };
  EXPECT_EQ(recovery().supervisor->intensity, 10U);
  EXPECT_EQ(recovery().supervisor->pauses, kPauses);
  EXPECT_EQ(recovery().children.at(0).supervisor->intensity, 0U) << "it gives up at the first failure";
  ensemble.nodes["n"].failure_recovery = NodeRecovery::redeploy;
  EXPECT_EQ(shape(ensemble), all_stay_down);
}

TEST(SupervisionTest, WhatStaysDownOnANodeThatRecoversIsAFailureOfTheNode) {
  Ensemble ensemble = supervised();
  ensemble.nodes["n"].failure_recovery = NodeRecovery::restart;
  ensemble.allocations["b"].failure_recovery = AllocationRecovery::one_for_all;
  EXPECT_EQ(shape(ensemble),
            "one_for_one(node:m one_for_one(t temporary), recovery:n one_for_one("
            "node:n one_for_all(a permanent, b permanent, c permanent)))");
  const Spec group = supervision_of(ensemble)->children.at(1).children.at(0);
  EXPECT_EQ(group.supervisor->intensity, 10U);
  EXPECT_TRUE(group.children.at(0).escalates);
  EXPECT_FALSE(group.children.at(1).escalates);
  EXPECT_TRUE(group.children.at(2).escalates);
}

TEST(SupervisionTest, AStandbyIsForWhatRestartsDoNotMendAndForTheFirstRedeployments) {
  Ensemble ensemble = supervised();
  ensemble.nodes["n"].redundancy = 1;
  ensemble.nodes["n"].failure_recovery = NodeRecovery::restart;
  EXPECT_THAT(shape(ensemble), HasSubstr("standbys:n one_for_one(recovery:n one_for_one(node:n one_for_one("));
  ensemble.nodes["n"].failure_recovery = NodeRecovery::redeploy;
  EXPECT_THAT(shape(ensemble), HasSubstr("recovery:n one_for_one(standbys:n one_for_one(node:n one_for_one("));
  const Spec recovery = supervision_of(ensemble)->children.at(1);
  EXPECT_FALSE(recovery.supervisor->remembers);
  EXPECT_TRUE(recovery.children.at(0).supervisor->remembers) << "a redeployment gives no standby back";
}

TEST(SupervisionTest, ANodeWithAllocationsOfTheWrittenTreeDoesNotRecover) {
  Ensemble ensemble = supervised();
  ensemble.supervisor.allocations = {"b"};
  ensemble.nodes["m"].failure_recovery = NodeRecovery::restart;
  EXPECT_TRUE(supervision_of(ensemble)) << "the tree names nothing of it";
  ensemble.nodes["n"].failure_recovery = NodeRecovery::redeploy;
  EXPECT_THAT(shape(ensemble), HasSubstr("nodes.n.failure_recovery: supervisor has a strategy for b"));
}

TEST(SupervisionTest, ASupervisorSaysHowOftenItRestartsAndWhenItEnds) {
  Ensemble ensemble = supervised();
  ensemble.allocations["t"].significant = true;
  ensemble.supervisor = {.allocations = {"a"}, .children = {{.allocations = {"t"}}}, .max_restarts = 0};
  Supervisor& below = ensemble.supervisor.children.at(0);
  below.max_restarts = 1;
  below.period_ns = Duration(1min).count();
  below.auto_shutdown = SupervisorShutdown::any_significant;
  const Result<Spec> tree = supervision_of(ensemble);
  ASSERT_TRUE(tree) << tree.error().to_string();
  const Spec& above = tree->children.at(0);
  EXPECT_EQ(above.supervisor->intensity, 0U);
  EXPECT_EQ(above.supervisor->period, Duration(1h));
  EXPECT_EQ(above.restart, Restart::permanent);
  const Spec& child = above.children.at(1);
  EXPECT_EQ(child.supervisor->intensity, 1U);
  EXPECT_EQ(child.supervisor->period, Duration(1min));
  EXPECT_EQ(child.supervisor->auto_shutdown, supervision::AutoShutdown::any_significant);
  EXPECT_EQ(child.restart, Restart::transient) << "its automatic shutdown is no failure";
  EXPECT_TRUE(child.children.at(0).significant);
}

TEST(SupervisionTest, AnAllocationSaysWhichEndsAreMadeUpFor) {
  Ensemble ensemble = supervised();
  ensemble.supervisor.allocations = {"a", "b", "t"};
  ensemble.allocations["a"].restart = RestartType::transient;
  ensemble.allocations["b"].restart = RestartType::temporary;
  ensemble.allocations["t"].restart = RestartType::permanent;
  EXPECT_THAT(shape(ensemble), HasSubstr("supervisor one_for_one(a transient, b temporary, t permanent)"));
  ensemble.supervisor = {};
  ensemble.allocations["a"].failure_recovery = AllocationRecovery::one_for_one;
  ensemble.allocations["t"].failure_recovery = AllocationRecovery::one_for_one;
  EXPECT_EQ(shape(ensemble),
            "one_for_one(node:m one_for_one(t permanent), "
            "node:n one_for_one(a transient, b temporary, c temporary))");
  ensemble.allocations["b"].restart = RestartType::unspecified;
  ensemble.allocations["a"].failure_recovery = AllocationRecovery::stay_down;
  ensemble.nodes["n"].failure_recovery = NodeRecovery::restart;
  EXPECT_THAT(shape(ensemble), HasSubstr("node:n one_for_one(a transient, b permanent, c permanent)"));
}

TEST(SupervisionTest, RefusesRestartsThatHaveNoEffectOrContradictAnotherMember) {
  const auto restart = [](RestartType type, void (*change)(Ensemble&)) {
    Ensemble ensemble = supervised();
    ensemble.allocations["a"].restart = type;
    change(ensemble);
    return shape(ensemble);
  };
  const auto nothing = [](Ensemble&) {};
  for (const RestartType type : {RestartType::permanent, RestartType::transient, RestartType::temporary})
    EXPECT_THAT(restart(type, nothing), HasSubstr("allocations.a.restart: nothing starts it again"));
  const auto recover_another = [](Ensemble& e) {
    e.allocations["b"].failure_recovery = AllocationRecovery::one_for_all;
  };
  EXPECT_THAT(restart(RestartType::permanent, recover_another),
              HasSubstr("allocations.a.restart: nothing starts it again"));
  EXPECT_THAT(restart(RestartType::temporary, recover_another), HasSubstr("a temporary, b permanent"));
  EXPECT_THAT(restart(RestartType::temporary,
                      [](Ensemble& e) { e.allocations["a"].failure_recovery = AllocationRecovery::one_for_one; }),
              HasSubstr("allocations.a.restart: temporary work is never started again, and its failure_recovery is "
                        "one_for_one"));
  EXPECT_THAT(restart(RestartType::temporary, [](Ensemble& e) { e.nodes["n"].redundancy = 1; }),
              HasSubstr("allocations.a.restart: temporary work is never started again, and its failure is one of its"));
  EXPECT_THAT(restart(RestartType::permanent,
                      [](Ensemble& e) {
                        e.supervisor.allocations = {"a"};
                        e.allocations["b"].depends_on = {"a"};
                        e.allocations["b"].conditions["a"] = Condition::completed;
                      }),
              HasSubstr("allocations.a.restart: b waits until it is completed"));
}

TEST(SupervisionTest, RefusesSignificantWorkThatEndsNothing) {
  const auto significant = [](SupervisorShutdown when, RestartType type) {
    Ensemble ensemble = supervised();
    ensemble.supervisor.allocations = {"a"};
    ensemble.supervisor.auto_shutdown = when;
    ensemble.allocations["a"].significant = true;
    ensemble.allocations["a"].restart = type;
    return shape(ensemble);
  };
  EXPECT_THAT(significant(SupervisorShutdown::all_significant, RestartType::transient), HasSubstr("a transient"));
  EXPECT_THAT(significant(SupervisorShutdown::never, RestartType::transient),
              HasSubstr("allocations.a.significant: supervisor.auto_shutdown is never"));
  EXPECT_THAT(significant(SupervisorShutdown::any_significant, RestartType::permanent),
              HasSubstr("allocations.a.significant: permanent work never ends for good"));
  EXPECT_THAT(significant(SupervisorShutdown::any_significant, RestartType::unspecified),
              HasSubstr("allocations.a.significant: a service without restart never ends for good"));
  Ensemble none = supervised();
  none.supervisor = {.allocations = {"t"}, .auto_shutdown = SupervisorShutdown::any_significant};
  EXPECT_THAT(shape(none), HasSubstr("supervisor.auto_shutdown: none of its allocations is significant"));
  Ensemble unnamed = supervised();
  unnamed.allocations["t"].significant = true;
  EXPECT_THAT(shape(unnamed), HasSubstr("allocations.t.significant: no supervisor with auto_shutdown names it"));
}

}  // namespace
}  // namespace dms::jobs
