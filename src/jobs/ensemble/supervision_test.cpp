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
}

TEST(SupervisionTest, ANodeWithAllocationsOfTheWrittenTreeDoesNotRecover) {
  Ensemble ensemble = supervised();
  ensemble.supervisor.allocations = {"b"};
  ensemble.nodes["m"].failure_recovery = NodeRecovery::restart;
  EXPECT_TRUE(supervision_of(ensemble)) << "the tree names nothing of it";
  ensemble.nodes["n"].failure_recovery = NodeRecovery::redeploy;
  EXPECT_THAT(shape(ensemble), HasSubstr("nodes.n.failure_recovery: supervisor has a strategy for b"));
}

}  // namespace
}  // namespace dms::jobs
