// Trees that are stored and read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "supervision/test_world.hpp"

namespace dms::supervision {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

World restored(const World& world, Duration away = {}, SteadyTime now = SteadyTime(3h)) {
  World again(Tree::restore(world.tree.store(world.now), away, now).value());
  again.now = now;
  again.alive = world.alive;
  return again;
}

TEST(RecordTest, GoesOnWithItsCounts) {
  World world(tree_of({.intensity = 2, .period = 1min}, {worker("a"), worker("b")}));
  world.start();
  world.crash("a");
  world.crash("b");
  World same = restored(world);
  EXPECT_THAT(same.carry_out(same.tree.resume(same.now)), IsEmpty());
  EXPECT_THAT(same.crash("a"), ElementsAre("stop b", "over"));
  World later = restored(world, 1min);
  later.pass(1ns);
  EXPECT_THAT(later.crash("a"), ElementsAre("start a"));
}

TEST(RecordTest, GoesOnWithItsPauses) {
  Flags slow{.intensity = 100, .period = 1h, .pauses = {.first = 10s, .most = 20s, .healthy = 1h}};
  World world(tree_of(slow, {worker("a")}));
  world.start();
  world.crash("a");
  world.pass(4s);
  World again = restored(world, 3s);
  EXPECT_THAT(again.carry_out(again.tree.resume(again.now)), IsEmpty());
  EXPECT_THAT(again.pass(3s - 1ns), IsEmpty());
  EXPECT_THAT(again.pass(1ns), ElementsAre("start a"));
  again.crash("a");
  EXPECT_THAT(again.pass(20s), ElementsAre("start a"));

  World late = restored(world, 1h);
  EXPECT_THAT(late.carry_out(late.tree.resume(late.now)), ElementsAre("start a"));
}

TEST(RecordTest, RepeatsWhatMayNotHaveBeenDone) {
  Spec spec = tree_of({}, {worker("a"), supervisor("s", {}, {worker("x")})});
  World world(spec);
  world.slow = {"s/x"};
  world.start();
  const Actions start = restored(world).tree.resume(SteadyTime(3h));
  EXPECT_EQ(start, (Actions{{.kind = Action::Kind::start, .path = "s/x", .incarnation = world.alive["s/x"]}}));

  world.stubborn = {"s/x"};
  world.shutdown();
  world.pass(2s);
  const SteadyTime now(3h);
  EXPECT_EQ(restored(world).tree.resume(now),
            (Actions{{.kind = Action::Kind::stop, .path = "s/x", .incarnation = world.alive["s/x"], .grace = 3s},
                     {.kind = Action::Kind::timer, .at = now + 3s}}));
  World again = restored(world, 5s);
  EXPECT_THAT(again.carry_out(again.tree.resume(again.now)), ElementsAre("stop s/x", "kill s/x", "stop a", "over"));
}

TEST(RecordTest, ATreeThatHasEndedSaysSoAgain) {
  World world(tree_of({.intensity = 0}, {worker("a")}));
  world.start();
  world.crash("a", "bad");
  World again = restored(world);
  EXPECT_EQ(again.tree.resume(again.now), Actions{*world.over});
}

TEST(RecordTest, AChildOfTheSpecThatIsGoneComesBackWithItsSupervisor) {
  World world(
      tree_of({.intensity = 5}, {supervisor("s", {.intensity = 0}, {worker("x"), worker("y", Restart::temporary)})}));
  world.start();
  world.crash("s/y");
  World again = restored(world);
  EXPECT_THAT(again.crash("s/x"), ElementsAre("start s/x", "start s/y"));
}

TEST(RecordTest, RefusesABadStateByItsField) {
  World world(tree_of({.intensity = 3}, {worker("a"), supervisor("s", {}, {worker("x"), worker("y")})}));
  world.start();
  world.crash("a");
  const Stored good = world.tree.store(world.now);
  ASSERT_TRUE(check(good));
  const struct {
    std::string place;
    std::function<void(Stored&)> damage;
  } cases[] = {
      {"root.spec.supervisor", [](Stored& s) { s.root.spec.supervisor.reset(); }},
      {"root.spec.supervisor.period", [](Stored& s) { s.root.spec.supervisor->period = 0s; }},
      {"root.phase", [](Stored& s) { s.root.phase = Phase::waiting; }},
      {"root.phase", [](Stored& s) { s.over = true; }},
      {"root.doomed", [](Stored& s) { s.root.doomed = true; }},
      {"root.ending", [](Stored& s) { s.root.phase = Phase::stopping; }},
      {"root.ending", [](Stored& s) { s.root.ending = Ending{}; }},
      {"root.restarts",
       [](Stored& s) {
         s.root.restarts = {-1s, -2s};
       }},
      {"root.restarts", [](Stored& s) { s.root.restarts = {1s}; }},
      {"root.restarts", [](Stored& s) { s.root.restarts.assign(kMaxIntensity + 1, 0s); }},
      {"root.children.a.phase", [](Stored& s) { s.root.children[0].phase = static_cast<Phase>(9); }},
      {"root.children.a.attempt", [](Stored& s) { s.root.children[0].attempt = static_cast<Attempt>(9); }},
      {"root.children.a.after", [](Stored& s) { s.root.children[0].after = After::restart; }},
      {"root.children.a.asked", [](Stored& s) { s.root.children[0].asked = true; }},
      {"root.children.a.asked", [](Stored& s) { s.root.children[0].phase = Phase::stopping; }},
      {"root.children.a.deadline", [](Stored& s) { s.root.children[0].deadline = 1s; }},
      {"root.children.a.due", [](Stored& s) { s.root.children[0].due = kMaxDuration + 1s; }},
      {"root.children.a.since", [](Stored& s) { s.root.children[0].since = 1ns; }},
      {"root.children.a.up", [](Stored& s) { s.root.children[0].up.reset(); }},
      {"root.children.a.incarnation", [](Stored& s) { s.root.children[0].incarnation = s.incarnations + 1; }},
      {"root.children.s.incarnation",
       [](Stored& s) { s.root.children[1].incarnation = s.root.children[0].incarnation; }},
      {"root.children.a.starts", [](Stored& s) { s.root.children[0].starts = 0; }},
      {"root.children.a.spec.significant", [](Stored& s) { s.root.children[0].spec.significant = true; }},
      {"root.children.a.spec.children", [](Stored& s) { s.root.children[0].spec.children = {worker("b")}; }},
      {"root.children.a.children", [](Stored& s) { s.root.children[0].children.emplace_back(); }},
      {"root.children.a.last",
       [](Stored& s) {
         s.root.children[0].last = {{"a", std::string(kMaxReason + 1, 'x')}};
       }},
      {"root.children.a", [](Stored& s) { s.root.children[1].spec.id = "a"; }},
      {"root.children.s.children.x.phase",
       [](Stored& s) {
         s.root.children[1].phase = Phase::idle;
         s.root.children[1].up.reset();
       }},
      {"root.children.s.children.x.doomed",
       [](Stored& s) {
         s.root.children[1].phase = Phase::stopping;
         s.root.children[1].ending = Ending{};
       }},
  };
  for (const auto& each : cases) {
    Stored bad = good;
    each.damage(bad);
    const Result<Tree> read = Tree::restore(bad, {}, world.now);
    EXPECT_EQ(read ? "accepted" : read.error().place(), each.place);
  }
}

}  // namespace
}  // namespace dms::supervision
