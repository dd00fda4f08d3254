// Children that are added, removed, stopped, started and changed while the tree lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervision/test_world.hpp"

namespace dms::supervision {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Log = World::Log;

class ChangesTest : public testing::Test {
 protected:
  static Log done(World& world, Result<Actions> actions) {
    if (!actions) return {"error: " + actions.error().message()};
    return world.carry_out(*std::move(actions));
  }
  Log add(World& world, const std::string& parent, const Spec& spec) {
    return done(world, world.tree.add(parent, spec, world.now));
  }
  Log remove(World& world, const std::string& path) { return done(world, world.tree.remove(path, world.now)); }
  Log stop(World& world, const std::string& path) { return done(world, world.tree.stop_child(path, world.now)); }
  Log start(World& world, const std::string& path) { return done(world, world.tree.start_child(path, world.now)); }
};

TEST_F(ChangesTest, AddsAtTheEndAndStarts) {
  World world(tree_of(kPatient, {worker("a"), supervisor("s", {.intensity = 0}, {worker("x")})}));
  world.start();
  EXPECT_THAT(add(world, "s", worker("y")), ElementsAre("start s/y"));
  EXPECT_THAT(add(world, "", supervisor("t", {}, {worker("x")})), ElementsAre("start t/x"));
  EXPECT_THAT(world.crash("s/x"), ElementsAre("stop s/y", "start s/x", "start s/y"));  // it remains part of the tree
  EXPECT_THAT(add(world, "", worker("a")), ElementsAre("error: a exists already: remove it first"));
  EXPECT_THAT(add(world, "a", worker("b")), ElementsAre("error: a: a worker has no children"));
  EXPECT_THAT(add(world, "u", worker("b")), ElementsAre("error: u is not in the tree"));
  EXPECT_THAT(world.shutdown(), ElementsAre("stop t/x", "stop s/y", "stop s/x", "stop a", "over"));
  EXPECT_THAT(add(world, "", worker("b")), ElementsAre("error: the tree has ended or is ending"));
}

TEST_F(ChangesTest, ForgetsAnAddedChildThatCannotBeStarted) {
  World world(tree_of({.intensity = 0}, {worker("a")}));
  world.start();
  world.failures["b"] = 1;
  EXPECT_THAT(add(world, "", worker("b")), ElementsAre("fail b", "forget b"));
  EXPECT_EQ(world.tree.view().children.size(), 1U);
  EXPECT_THAT(add(world, "", worker("b")), ElementsAre("start b"));

  world.failures["t/y"] = 1;
  EXPECT_THAT(add(world, "", supervisor("t", {}, {worker("x"), worker("y")})),
              ElementsAre("start t/x", "fail t/y", "stop t/x", "forget t"));
}

TEST_F(ChangesTest, AnAddedTemporaryChildIsForgottenForEver) {
  World world(tree_of(kPatient, {supervisor("s", {.intensity = 0}, {worker("x"), worker("y", Restart::temporary)})}));
  world.start();
  add(world, "s", worker("z", Restart::temporary));
  EXPECT_THAT(world.crash("s/y"), ElementsAre("forget s/y"));
  EXPECT_THAT(world.crash("s/z"), ElementsAre("forget s/z"));
  EXPECT_THAT(world.crash("s/x"), ElementsAre("start s/x", "start s/y"));  // the spec has y
  EXPECT_EQ(world.tree.store(world.now).root.children[0].children.size(), 2U);
}

TEST_F(ChangesTest, RemovesChildren) {
  Spec spec = tree_of(kPatient, {worker("a"), worker("b"), supervisor("s", {}, {worker("x"), worker("y")})});
  World world(spec);
  world.start();
  EXPECT_THAT(remove(world, "a"), ElementsAre("stop a", "forget a"));
  EXPECT_THAT(remove(world, "a"), ElementsAre("error: a is not in the tree"));
  EXPECT_THAT(remove(world, "s"), ElementsAre("stop s/y", "stop s/x", "forget s"));
  EXPECT_THAT(remove(world, ""), ElementsAre("error: the root of a tree is not removed: shut it down"));
  EXPECT_THAT(add(world, "", worker("a")), ElementsAre("start a"));
  EXPECT_THAT(world.shutdown(), ElementsAre("stop a", "stop b", "over"));  // in its new place
}

TEST_F(ChangesTest, RemovesAChildInItsPause) {
  Flags slow = kPatient;
  slow.pauses = {.first = 10s, .most = 10s, .healthy = 1h};
  World world(tree_of(slow, {worker("a"), worker("b")}));
  world.start();
  world.crash("a");
  EXPECT_THAT(remove(world, "a"), ElementsAre("forget a"));
  EXPECT_THAT(world.pass(1h), IsEmpty());
}

TEST_F(ChangesTest, AChildThatIsRemovedWhileItIsStoppedWithOthersDoesNotComeBack) {
  Flags all = kPatient;
  all.strategy = Strategy::one_for_all;
  World world(tree_of(all, {worker("a"), worker("b"), worker("c")}));
  world.stubborn = {"c"};
  world.start();
  EXPECT_THAT(world.crash("a"), ElementsAre("stop c"));
  EXPECT_THAT(remove(world, "b"), IsEmpty());
  EXPECT_THAT(world.end("c", {End::shutdown, ""}), ElementsAre("stop b", "forget b", "start a", "start c"));
}

TEST_F(ChangesTest, StopsAndStartsChildren) {
  World world(tree_of({.intensity = 0}, {worker("a"), worker("b", Restart::temporary)}));
  world.start();
  EXPECT_THAT(start(world, "a"), ElementsAre("error: a is running already"));
  EXPECT_THAT(stop(world, "a"), ElementsAre("stop a"));
  EXPECT_THAT(stop(world, "a"), IsEmpty());
  world.failures["a"] = 1;
  EXPECT_THAT(start(world, "a"), ElementsAre("fail a"));  // no failure of the supervisor
  EXPECT_THAT(start(world, "a"), ElementsAre("start a"));
  EXPECT_THAT(stop(world, "b"), ElementsAre("stop b", "forget b"));
  EXPECT_THAT(start(world, "b"), ElementsAre("error: b is not in the tree"));
}

TEST_F(ChangesTest, AChildUnderASupervisorThatDoesNotRunIsNotStarted) {
  World world(tree_of(kPatient, {supervisor("s", {}, {worker("x")})}));
  world.start();
  EXPECT_THAT(stop(world, "s"), ElementsAre("stop s/x"));
  EXPECT_THAT(start(world, "s/x"), ElementsAre("error: s/x: its supervisor does not run, and starts it itself"));
  EXPECT_THAT(add(world, "s", worker("y")), IsEmpty());
  EXPECT_THAT(start(world, "s"), ElementsAre("start s/x", "start s/y"));
}

TEST_F(ChangesTest, UpdatesProperties) {
  World world(tree_of({.intensity = 0}, {worker("a"), worker("b")}));
  world.start();
  Spec spec = worker("a", Restart::transient);
  spec.shutdown = Shutdown::brutal_kill();
  ASSERT_TRUE(world.tree.update("a", spec));
  EXPECT_THAT(world.end("a", {End::normal, ""}), IsEmpty());
  ASSERT_TRUE(world.tree.update("", tree_of({.strategy = Strategy::one_for_all, .intensity = 1}, {})));
  EXPECT_THAT(world.crash("b"), ElementsAre("start a", "start b"));
  EXPECT_THAT(world.shutdown(), ElementsAre("stop b", "kill a", "over"));
}

TEST_F(ChangesTest, RefusesUpdatesThatDoNotFit) {
  Flags any;
  any.auto_shutdown = AutoShutdown::any_significant;
  Spec child = worker("x", Restart::transient);
  child.significant = true;
  World world(tree_of({}, {worker("a"), supervisor("s", any, {child})}));
  const auto place = [&](const std::string& path, const Spec& spec) {
    const Result<void> updated = world.tree.update(path, spec);
    return updated ? "" : updated.error().place();
  };
  EXPECT_EQ(place("a", worker("b")), "children.a.id");
  EXPECT_EQ(place("a", supervisor("a", {}, {})), "children.a.supervisor");
  EXPECT_EQ(place("s", supervisor("s", {}, {})), "children.s.children.x.significant");
  EXPECT_EQ(place("s/x", child), "");
  child.restart = Restart::permanent;
  EXPECT_EQ(place("s/x", child), "children.s.children.x.significant");
  EXPECT_EQ(place("", worker("")), "supervisor");
}

TEST_F(ChangesTest, RefusesTreesThatAreTooDeep) {
  Spec deep = worker("w");
  for (std::size_t i = 0; i + 2 < kMaxDepth; ++i) deep = supervisor("s", {}, {deep});
  EXPECT_TRUE(Tree::create(tree_of({}, {deep}), SteadyTime()));
  EXPECT_FALSE(Tree::create(tree_of({}, {supervisor("s", {}, {deep})}), SteadyTime()));
  World world(tree_of({}, {supervisor("r", {}, {})}));
  EXPECT_TRUE(world.tree.add("", deep, world.now));
  EXPECT_FALSE(world.tree.add("r", deep, world.now));
}

}  // namespace
}  // namespace dms::supervision
