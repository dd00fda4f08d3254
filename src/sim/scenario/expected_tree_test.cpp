// The two accounts of what an ensemble asks for agree, and what follows from a failure is as documented.
#include "sim/scenario/expected_tree.hpp"

#include <gtest/gtest.h>

#include "jobs/ensemble/supervision.hpp"
#include "sim/cluster/cluster.hpp"
#include "sim/scenario/orders.hpp"

namespace dms::sim {
namespace {

using Names = std::set<std::string>;

std::string text_of(supervision::Strategy strategy) {
  switch (strategy) {
    case supervision::Strategy::one_for_one: return "alone";
    case supervision::Strategy::one_for_all: return "all";
    case supervision::Strategy::rest_for_one: return "rest";
  }
  return "?";
}
std::string text_of(Together together) {
  return together == Together::alone ? "alone" : together == Together::all ? "all" : "rest";
}
std::string text_of(supervision::Restart restart) {
  return restart == supervision::Restart::permanent   ? "all"
         : restart == supervision::Restart::transient ? "failures"
                                                      : "none";
}
std::string text_of(MadeUp made_up) {
  return made_up == MadeUp::all ? "all" : made_up == MadeUp::failures ? "failures" : "none";
}

std::string text_of(supervision::AutoShutdown when) {
  switch (when) {
    case supervision::AutoShutdown::never: return "";
    case supervision::AutoShutdown::any_significant: return " or any";
    case supervision::AutoShutdown::all_significant: return " or all";
  }
  return "?";
}
std::string text_of(EndsWith when) {
  return when == EndsWith::none ? "" : when == EndsWith::any ? " or any" : " or all";
}

/// A line for each supervisor, in the order of their starts.
void write_spec(const supervision::Spec& spec, const std::string& path, std::vector<std::string>& lines) {
  std::string line =
      fmt::format("{}: {} {} in {} s{}:", path, text_of(spec.supervisor->strategy), spec.supervisor->intensity,
                  spec.supervisor->period / 1s, text_of(spec.supervisor->auto_shutdown));
  for (const supervision::Spec& child : spec.children)
    line += child.supervisor ? " ()"
                             : fmt::format(" {} {}{}{}", child.id, text_of(child.restart), child.escalates ? " up" : "",
                                           child.significant ? " significant" : "");
  lines.push_back(std::move(line));
  for (const supervision::Spec& child : spec.children)
    if (child.supervisor) write_spec(child, path.empty() ? child.id : path + "/" + child.id, lines);
}
void write_group(const ExpectedTree& tree, std::size_t number, std::vector<std::string>& lines) {
  const ExpectedTree::Group& group = tree.groups()[number];
  std::string line = fmt::format("{}: {} {} in {} s{}:", group.path, text_of(group.together), group.restarts,
                                 group.period / 1s, text_of(group.ends_with));
  for (const ExpectedTree::Member& member : group.members) {
    if (member.group != ExpectedTree::kNone) {
      line += " ()";
      continue;
    }
    const ExpectedTree::Child& child = tree.children().at(member.allocation);
    line += fmt::format(" {} {}{}{}", member.allocation, text_of(child.made_up), child.fails_group ? " up" : "",
                        child.significant ? " significant" : "");
  }
  lines.push_back(std::move(line));
  for (const ExpectedTree::Member& member : group.members)
    if (member.group != ExpectedTree::kNone) write_group(tree, member.group, lines);
}

TEST(ExpectedTree, IsWhatTheOrchestratorMakesOfTheSameEnsemble) {
  Scenario scenario;
  scenario.supervised = 1;
  scenario.services = 0.6;
  SeededRandom random(4);
  Planner planner(scenario, random);
  Names seen;
  for (std::size_t i = 0; i < 400; ++i) {
    const jobs::Ensemble ensemble = planner.plan(i, SteadyTime{})->request.ensemble;
    const Result<supervision::Spec> spec = jobs::supervision_of(ensemble);
    ASSERT_TRUE(spec) << spec.error().to_string();
    std::vector<std::string> asked;
    std::vector<std::string> expected;
    write_spec(*spec, "", asked);
    write_group(ExpectedTree(ensemble), 0, expected);
    EXPECT_EQ(expected, asked) << "order " << i;
    for (const std::string& line : asked) {
      seen.insert(line.substr(0, line.find(' ')));
      if (line.contains(" up")) seen.insert("up");
    }
  }
  for (const char* path : {"supervisor:", "supervisor/[0]:", "node:one:", "standbys:one:", "standbys:one/node:one:",
                           "recovery:one/node:one:", "recovery:one/standbys:one:", "standbys:one/recovery:one:", "up"})
    EXPECT_TRUE(seen.contains(path)) << path;
}

jobs::Ensemble services(const std::vector<std::string>& names) {
  const jobs::Ensemble one = one_task(1, 64);
  jobs::Ensemble ensemble;
  for (const std::string& name : names) {
    jobs::Allocation& made = ensemble.allocations[name];
    made = one.allocations.at("task");
    made.type = jobs::AllocationType::service;
    made.dns_name = name;
    ensemble.nodes["node"].allocations.push_back(name);
  }
  return ensemble;
}

TEST(ExpectedTree, ReadsWhatSupervisorsAndAllocationsSayOfRestarts) {
  jobs::Ensemble ensemble = services({"a", "b", "c", "d"});
  ensemble.allocations.at("a").restart = jobs::RestartType::transient;
  ensemble.allocations.at("a").significant = true;
  ensemble.allocations.at("b").restart = jobs::RestartType::temporary;
  ensemble.allocations.at("d").failure_recovery = jobs::AllocationRecovery::one_for_one;
  ensemble.allocations.at("d").restart = jobs::RestartType::transient;
  jobs::Supervisor below;
  below.allocations = {"b", "c"};
  below.max_restarts = 0;
  ensemble.supervisor.allocations = {"a"};
  ensemble.supervisor.max_restarts = 3;
  ensemble.supervisor.period_ns = Duration(10min).count();
  ensemble.supervisor.auto_shutdown = jobs::SupervisorShutdown::all_significant;
  ensemble.supervisor.children.push_back(below);
  const Result<supervision::Spec> spec = jobs::supervision_of(ensemble);
  ASSERT_TRUE(spec) << spec.error().to_string();
  std::vector<std::string> asked;
  std::vector<std::string> expected;
  write_spec(*spec, "", asked);
  write_group(ExpectedTree(ensemble), 0, expected);
  EXPECT_EQ(expected, asked);
  EXPECT_EQ(expected,
            (std::vector<std::string>{
                ": alone 0 in 3600 s: () ()", "supervisor: alone 3 in 600 s or all: a failures significant ()",
                "supervisor/[0]: alone 0 in 3600 s: b none c all", "node:node: alone 10 in 3600 s: d failures"}));
}

TEST(ExpectedTree, SaysWhoIsRestartedWithWhatFailsAndInWhichOrder) {
  jobs::Ensemble ensemble = services({"a", "b", "c", "d"});
  jobs::Supervisor below;
  below.strategy = jobs::SupervisorStrategy::all_for_one;
  below.allocations = {"c", "b"};
  ensemble.supervisor.strategy = jobs::SupervisorStrategy::rest_for_one;
  ensemble.supervisor.allocations = {"a"};
  ensemble.supervisor.children.push_back(below);
  const ExpectedTree tree(ensemble);
  EXPECT_EQ(tree.restarted_with("a"), (Names{"a", "b", "c"}));
  EXPECT_EQ(tree.restarted_with("b"), (Names{"b", "c"}));
  EXPECT_EQ(tree.restarted_with("d"), Names{"d"}) << "it stays down; only it can be meant";
  EXPECT_EQ(tree.started_before("a"), Names{});
  EXPECT_EQ(tree.started_before("b"), (Names{"a", "c"}));
  EXPECT_EQ(tree.started_before("d"), (Names{"a", "b", "c"}));
  EXPECT_EQ(tree.children().at("d").made_up, MadeUp::none);
  EXPECT_EQ(tree.least_failures(1), 11u);
}

TEST(ExpectedTree, StandbysMakeUpForWhatStaysDown) {
  jobs::Ensemble ensemble = services({"a", "b"});
  ensemble.nodes.at("node").redundancy = 2;
  const ExpectedTree tree(ensemble);
  ASSERT_EQ(tree.groups().size(), 3u);
  EXPECT_EQ(tree.groups()[1].path, "standbys:node");
  EXPECT_EQ(tree.counted_at("a"), 1u);
  EXPECT_EQ(tree.restarted_with("a"), (Names{"a", "b"}));
  EXPECT_EQ(tree.least_failures(1), 3u);
}

TEST(ExpectedTree, ANodeMakesUpForWhatStaysDown) {
  jobs::Ensemble ensemble = services({"a", "b"});
  ensemble.nodes.at("node").failure_recovery = jobs::NodeRecovery::restart;
  const ExpectedTree alone(ensemble);
  ASSERT_EQ(alone.groups().size(), 3u);
  EXPECT_EQ(alone.groups()[1].path, "recovery:node");
  EXPECT_EQ(alone.counted_at("a"), 1u);
  EXPECT_EQ(alone.restarted_with("a"), (Names{"a", "b"}));
  EXPECT_EQ(alone.least_failures(1), 11u);
  ensemble.allocations.at("a").failure_recovery = jobs::AllocationRecovery::one_for_one;
  const ExpectedTree beside(ensemble);
  EXPECT_EQ(beside.counted_at("a"), 2u);
  EXPECT_EQ(beside.restarted_with("a"), Names{"a"});
  EXPECT_EQ(beside.counted_at("b"), 1u);
  EXPECT_EQ(beside.restarted_with("b"), (Names{"a", "b"}));
  EXPECT_EQ(beside.children().at("b").made_up, MadeUp::all);
  EXPECT_EQ(beside.least_failures(1), 11u);
  ensemble.nodes.at("node").failure_recovery = jobs::NodeRecovery::redeploy;
  ensemble.nodes.at("node").redundancy = 1;
  const ExpectedTree redeployed(ensemble);
  EXPECT_EQ(redeployed.groups()[2].path, "recovery:node/standbys:node");
  EXPECT_TRUE(redeployed.groups()[2].remembers);
  EXPECT_EQ(redeployed.least_failures(2), 2u);
  EXPECT_EQ(redeployed.least_failures(1), 12u) << "the standby is used once";
}

}  // namespace
}  // namespace dms::sim
