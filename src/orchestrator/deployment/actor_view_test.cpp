// What users see of a deployment's actor and of whom it supervises.
#include "orchestrator/deployment/actor_view.hpp"

#include <limits>

#include "orchestrator/deployment/test_placed_record.hpp"
#include "orchestrator/deployment/views.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

/// "supervisor one_for_one(a permanent, [0] one_for_all(b permanent))"
std::string shape(const Supervised& supervised) {
  std::string text = supervised.name;
  for (const std::string& what : {supervised.strategy, supervised.restart, supervised.phase})
    if (!what.empty()) text += (text.empty() ? "" : " ") + what;
  if (supervised.children.empty()) return text;
  text += "(";
  for (const Supervised& child : supervised.children) text += (text.back() == '(' ? "" : ", ") + shape(child);
  return text + ")";
}

/// "db" is the first child of the written supervisor, "web" that of the one below it; "job" is named by neither.
struct ActorViewTest : PlacedRecordTest {
  ActorViewTest() {
    record.ensemble.supervisor = {
        .strategy = jobs::SupervisorStrategy::rest_for_one,
        .allocations = {"db"},
        .children = {{.strategy = jobs::SupervisorStrategy::all_for_one, .allocations = {"web"}}}};
    for (auto& [name, entry] : record.manifest.allocations) record.starts[name] = entry.incarnation;
    look();
  }
  void look() {
    supervise(record, "boot", now);
    record.boot_id = "boot";
  }
  void fail(const std::string& name) {
    entry(name).status = AllocationStatus::failed;
    entry(name).exit_code = 3;
    look();
  }
  [[nodiscard]] DeploymentActor shown(const std::string& boot = "boot") const {
    return actor_of(record, status_of(record), boot, now);
  }
  static const Supervised& at(const DeploymentActor& actor, std::size_t child) {
    return actor.supervision.children.at(child);
  }
  SteadyTime now{1h};
};

TEST_F(ActorViewTest, TheTreeHasTheNamesOfTheEnsemble) {
  record.ensemble.metadata = {{"name", std::string(1000, 'x')}};
  const DeploymentActor actor = shown();
  EXPECT_EQ(actor.status, "Running");
  EXPECT_EQ(actor.name.size(), kMaxListedName);
  EXPECT_EQ(shape(actor.supervision),
            "one_for_one running(supervisor rest_for_one running(db permanent running, [0] one_for_all running(web "
            "permanent running)), node:right one_for_one running(job temporary running))");
  const Supervised& db = at(actor, 0).children.at(0);
  ASSERT_TRUE(db.allocation);
  EXPECT_EQ(db.allocation->peer, "p-left");
  EXPECT_EQ(db.allocation->status, AllocationStatus::running);
  EXPECT_EQ(db.allocation->strategy, "") << "its supervisor has it";
  EXPECT_EQ(actor.supervision.intensity, 0U);
  EXPECT_EQ(at(actor, 0).intensity, 10U);
  EXPECT_EQ(at(actor, 0).period_ns, Duration(1h).count());
}

TEST_F(ActorViewTest, AFailureIsShownWithItsPauseAndCountsForThePeriod) {
  fail("db");
  now += 4s;
  const DeploymentActor actor = shown();
  EXPECT_EQ(shape(at(actor, 0)),
            "supervisor rest_for_one running(db permanent waiting, [0] one_for_all stopping(web permanent stopping))");
  EXPECT_EQ(at(actor, 0).recent, 1U);
  const Supervised& db = at(actor, 0).children.at(0);
  EXPECT_EQ(db.pause_ns, Duration(6s).count());
  EXPECT_EQ(db.last, "exit code 3");
  EXPECT_EQ(db.restarts, 0U) << "it is still to come";
  EXPECT_EQ(db.allocation->status, AllocationStatus::pending);
  EXPECT_EQ(at(shown("another boot"), 0).children.at(0).pause_ns, Duration(10s).count())
      << "time in between is unknown";
  now += 10s;
  EXPECT_FALSE(at(shown(), 0).children.at(0).pause_ns) << "it is over";
  now += 1h;
  EXPECT_EQ(at(shown(), 0).recent, 0U);
}

TEST_F(ActorViewTest, WhatStaysDownBesideWhatIsStartedAgainEscalates) {
  record.ensemble.supervisor = {};
  record.ensemble.nodes.at("left").failure_recovery = jobs::NodeRecovery::restart;
  record.ensemble.allocations.at("web").failure_recovery = jobs::AllocationRecovery::one_for_one;
  record.tree.reset();
  look();
  const DeploymentActor actor = shown();
  EXPECT_EQ(shape(at(actor, 0)),
            "recovery:left one_for_one running(node:left one_for_one running(db permanent running, web permanent "
            "running))");
  const Supervised& group = at(actor, 0).children.at(0);
  EXPECT_TRUE(group.children.at(0).escalates);
  EXPECT_FALSE(group.children.at(1).escalates);
}

TEST_F(ActorViewTest, WithoutSupervisionTheAllocationsAreChildrenOfTheRoot) {
  record.ensemble = ensemble();
  look();
  const DeploymentActor actor = shown();
  EXPECT_EQ(shape(actor.supervision), "(db, job, web)");
  EXPECT_EQ(at(actor, 1).allocation->peer, "p-right");
}

TEST_F(ActorViewTest, WhatIsNotPlacedYetHasNoStateAndWhatIsInNoEnsembleAnyMoreIsShown) {
  record.status = DeploymentStatus::preparing;
  look();
  record.manifest.allocations["old"].reason = "it is being released";
  record.manifest.allocations.erase("db");
  const DeploymentActor actor = shown();
  EXPECT_EQ(shape(actor.supervision),
            "one_for_one(supervisor rest_for_one(db permanent, [0] one_for_all(web permanent)), node:right "
            "one_for_one(job temporary), old)");
  EXPECT_FALSE(at(actor, 0).children.at(0).allocation);
  EXPECT_EQ(at(actor, 2).allocation->reason, "it is being released");
}

TEST_F(ActorViewTest, AfterTheEndThereAreNoPhasesUnlessSupervisionHasGivenUp) {
  fail("db");
  record.status = DeploymentStatus::shutting_down;
  EXPECT_EQ(at(shown(), 0).phase, "");
  EXPECT_FALSE(at(shown(), 0).children.at(0).pause_ns);
  record.tree->over = true;
  SupervisedState& root = record.tree->supervisors.at("");
  root.last = {{"", "more than 0 restarts"}, {"supervisor", "more than 10 restarts"}, {"supervisor/db", "exit code 3"}};
  EXPECT_EQ(shown().supervision.last,
            "more than 0 restarts: supervisor: more than 10 restarts: supervisor/db: exit code 3");
  EXPECT_NE(at(shown(), 0).phase, "");
}

TEST_F(ActorViewTest, AStateOfAnyContentIsShown) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  fail("db");
  for (const std::int64_t instant : {kLeast, std::int64_t{-1}, std::int64_t{0}, kMost})
    for (const std::int64_t stored : {kLeast, std::int64_t{0}, kMost}) {
      record.tree->at_ns = stored;
      SupervisedState& supervisor = record.tree->supervisors.at("supervisor");
      supervisor.phase = 99;
      supervisor.restarts_ns = {instant, instant};
      record.tree->allocations.at("db").due_ns = instant;
      const DeploymentActor actor = shown();
      EXPECT_EQ(at(actor, 0).phase, "?");
      EXPECT_TRUE(at(actor, 0).recent == 0U || at(actor, 0).recent == 2U);
    }
}

TEST_F(ActorViewTest, TheLongestReasonsAreCutUntilItFitsIntoAMessage) {
  DeploymentActor actor = shown();
  actor.supervision.children.at(0).last = std::string(kMaxView, 'x');
  actor.supervision.children.at(0).children.at(0).allocation->reason = std::string(kMaxView, '\x01');
  actor.supervision.children.at(1).last = "short";
  fit_message(actor);
  EXPECT_LE(json::encode(actor).size(), kMaxView);
  EXPECT_GT(json::encode(actor).size(), kMaxView / 2);
  EXPECT_TRUE(at(actor, 0).last.ends_with(" more bytes)")) << at(actor, 0).last.size();
  EXPECT_EQ(at(actor, 1).last, "short");
}

}  // namespace
}  // namespace dms::orchestrator
