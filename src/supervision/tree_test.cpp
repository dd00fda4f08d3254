#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervision/test_world.hpp"

namespace dms::supervision {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Log = World::Log;

Spec three(Strategy strategy, Restart restart = Restart::permanent) {
  return tree_of(flags_of(strategy), {worker("a", restart), worker("b", restart), worker("c", restart)});
}
Spec with(Spec spec, Shutdown shutdown) {
  spec.shutdown = shutdown;
  return spec;
}
Spec significant(Spec spec) {
  spec.significant = true;
  return spec;
}
std::vector<std::string> texts(const std::vector<Cause>& causes) {
  std::vector<std::string> lines;
  for (const Cause& cause : causes) lines.push_back(cause.path + ": " + cause.text);
  return lines;
}
const View& at(const View& view, std::size_t index) { return view.children.at(index); }

TEST(TreeTest, StartsInOrderAndStopsInReverse) {
  World world(tree_of({}, {worker("a"), supervisor("s", {}, {worker("x"), worker("y")}), worker("b")}));
  EXPECT_THAT(world.start(), ElementsAre("start a", "start s/x", "start s/y", "start b"));
  EXPECT_EQ(world.tree.view().phase, Phase::running);
  EXPECT_THAT(world.shutdown(), ElementsAre("stop b", "stop s/y", "stop s/x", "stop a", "over"));
  EXPECT_EQ(world.over->end, End::shutdown);
  EXPECT_TRUE(world.tree.is_over());
}

TEST(TreeTest, StartsTheNextChildOnceTheOneBeforeIsUp) {
  World world(three(Strategy::one_for_one));
  world.slow = {"a", "b"};
  EXPECT_THAT(world.start(), ElementsAre("start a"));
  EXPECT_EQ(world.tree.view().phase, Phase::starting);
  EXPECT_THAT(world.started("a"), ElementsAre("start b"));
  EXPECT_THAT(world.started("b"), ElementsAre("start c"));
  EXPECT_EQ(world.tree.view().phase, Phase::running);
}

TEST(TreeTest, RestartsWhatTheStrategySays) {
  World one(three(Strategy::one_for_one));
  one.start();
  EXPECT_THAT(one.crash("b"), ElementsAre("start b"));

  World all(three(Strategy::one_for_all));
  all.start();
  EXPECT_THAT(all.crash("b"), ElementsAre("stop c", "stop a", "start a", "start b", "start c"));

  World rest(three(Strategy::rest_for_one));
  rest.start();
  EXPECT_THAT(rest.crash("b"), ElementsAre("stop c", "start b", "start c"));
}

TEST(TreeTest, RestartsByTheTypeAndTheEnd) {
  const struct {
    Restart restart;
    End end;
    Log log;
  } cases[] = {
      {Restart::permanent, End::normal, {"start a"}},    {Restart::permanent, End::shutdown, {"start a"}},
      {Restart::permanent, End::abnormal, {"start a"}},  {Restart::transient, End::normal, {}},
      {Restart::transient, End::shutdown, {}},           {Restart::transient, End::abnormal, {"start a"}},
      {Restart::temporary, End::normal, {"forget a"}},   {Restart::temporary, End::shutdown, {"forget a"}},
      {Restart::temporary, End::abnormal, {"forget a"}},
  };
  for (const auto& each : cases) {
    World world(tree_of(kPatient, {worker("a", each.restart)}));
    world.start();
    EXPECT_EQ(world.end("a", {each.end, ""}), each.log) << to_string(each.restart) << " " << to_string(each.end);
  }
}

TEST(TreeTest, StopsTemporaryChildrenWithTheOthersAndForgetsThem) {
  Spec spec = three(Strategy::one_for_all);
  spec.children[0].restart = Restart::temporary;
  World world(spec);
  world.start();
  EXPECT_THAT(world.crash("c"), ElementsAre("stop b", "stop a", "forget a", "start b", "start c"));
}

TEST(TreeTest, StartsChildrenThatHadEndedForGoodWithTheOthers) {
  World world(three(Strategy::one_for_all, Restart::transient));
  world.start();
  EXPECT_THAT(world.end("a", {End::normal, ""}), IsEmpty());
  EXPECT_THAT(world.crash("b"), ElementsAre("stop c", "start a", "start b", "start c"));
}

TEST(TreeTest, CountsTheRestartsOfOnePeriod) {
  World world(tree_of({.intensity = 2, .period = 5s}, {worker("a"), worker("b")}));
  world.start();
  EXPECT_THAT(world.crash("a"), ElementsAre("start a"));
  world.pass(5s);
  EXPECT_THAT(world.crash("b"), ElementsAre("start b"));
  world.pass(1ns);
  EXPECT_THAT(world.crash("a"), ElementsAre("start a"));  // the first one is out of the period
  EXPECT_THAT(world.crash("a", "disk full"), ElementsAre("stop b", "over"));
  EXPECT_EQ(world.over->end, End::abnormal);
  EXPECT_THAT(texts(world.over->causes), ElementsAre(": it needed more than 2 restarts in 5 s", "a: disk full"));
}

TEST(TreeTest, WhatGivesItUpDoesNotSayThatRestartsThatWaitWereMade) {
  Flags slow{.intensity = 2, .period = 1h};
  slow.pauses = {.first = 10s, .most = 10s, .healthy = 1h};
  World world(tree_of(slow, {worker("a"), worker("b"), worker("c")}));
  world.start();
  EXPECT_THAT(world.crash("a"), IsEmpty());
  EXPECT_THAT(world.crash("b"), IsEmpty());
  EXPECT_THAT(world.crash("c", "lost"), ElementsAre("over"));
  EXPECT_THAT(texts(world.over->causes), ElementsAre(": it needed more than 2 restarts in 1 h", "c: lost"));
}

TEST(TreeTest, HasTheDefaultsOfOtp) {
  World world(tree_of({}, {worker("a")}));
  world.start();
  world.crash("a");
  EXPECT_THAT(world.crash("a"), ElementsAre("over"));
}

TEST(TreeTest, EscalatesToTheParent) {
  World world(tree_of(flags_of(Strategy::rest_for_one, 1),
                      {worker("a"), supervisor("s", {.intensity = 0}, {worker("x"), worker("y")}), worker("b")}));
  world.start();
  EXPECT_THAT(world.crash("s/x"), ElementsAre("stop s/y", "stop b", "start s/x", "start s/y", "start b"));
  EXPECT_THAT(world.crash("s/x", "bad"), ElementsAre("stop s/y", "stop b", "stop a", "over"));
  EXPECT_THAT(texts(world.over->causes),
              ElementsAre(": it needed more than 1 restart in 1 h", "s: it gives up at the first failure", "s/x: bad"));
}

TEST(TreeTest, AChildThatEscalatesFailsItsSupervisorAndIsRestartedWithOthers) {
  Spec fatal = worker("b");
  fatal.escalates = true;
  World world(tree_of(kPatient, {supervisor("s", flags_of(Strategy::one_for_all, 5), {worker("a"), fatal})}));
  world.start();
  EXPECT_THAT(world.crash("s/a"), ElementsAre("stop s/b", "start s/a", "start s/b"));
  EXPECT_THAT(world.crash("s/b", "bad"), ElementsAre("stop s/a", "start s/a", "start s/b"));
  const View view = world.tree.view();
  EXPECT_EQ(at(view, 0).restarts, 1U);
  EXPECT_THAT(texts(at(view, 0).last), ElementsAre("s: a child has failed that is not restarted alone", "s/b: bad"));
}

TEST(TreeTest, ATaskThatEscalatesIsDoneOnceItHasEndedNormally) {
  Spec fatal = worker("b", Restart::transient);
  fatal.escalates = true;
  World world(tree_of(kPatient, {worker("a"), fatal}));
  world.start();
  EXPECT_THAT(world.end("b", {End::normal, "done"}), IsEmpty());
  EXPECT_THAT(world.crash("a"), ElementsAre("start a"));
}

TEST(TreeTest, RestartsATransientSupervisorThatHasFailed) {
  Spec sub = supervisor("s", {.intensity = 0}, {worker("x")});
  sub.restart = Restart::transient;
  World world(tree_of(kPatient, {sub}));
  world.start();
  EXPECT_THAT(world.crash("s/x"), ElementsAre("start s/x"));
}

TEST(TreeTest, ASupervisorThatIsStartedAnewCountsFromZero) {
  World world(tree_of(kPatient, {supervisor("s", flags_of(Strategy::one_for_one, 1), {worker("x")})}));
  world.start();
  for (int i = 0; i < 10; ++i) EXPECT_THAT(world.crash("s/x"), ElementsAre("start s/x"));
  const View view = world.tree.view();
  EXPECT_EQ(at(view, 0).restarts, 5U);
  EXPECT_EQ(at(at(view, 0), 0).restarts, 10U);
}

TEST(TreeTest, ASupervisorThatRemembersCountsOnWhenItIsStartedAnew) {
  Flags flags = flags_of(Strategy::one_for_one, 1);
  flags.remembers = true;
  World world(tree_of(kPatient, {supervisor("s", flags, {worker("x")})}));
  world.start();
  for (int i = 0; i < 4; ++i) EXPECT_THAT(world.crash("s/x"), ElementsAre("start s/x"));
  EXPECT_EQ(at(world.tree.view(), 0).restarts, 3U) << "all but the first";
  world.pass(flags.period + 1ns);
  EXPECT_THAT(world.crash("s/x"), ElementsAre("start s/x"));
  EXPECT_EQ(at(world.tree.view(), 0).restarts, 3U) << "its own one is out of the period";
}

TEST(TreeTest, FailsToStartIfAChildDoes) {
  World world(three(Strategy::one_for_one));
  world.failures["c"] = 1;
  EXPECT_THAT(world.start(), ElementsAre("start a", "start b", "fail c", "stop b", "stop a", "over"));
  EXPECT_EQ(world.over->end, End::abnormal);
  EXPECT_THAT(texts(world.over->causes), ElementsAre(": a child could not be started", "c: refused"));
}

TEST(TreeTest, CountsARestartThatFailsAsAnotherOne) {
  World world(tree_of(flags_of(Strategy::rest_for_one, 3), {worker("a"), worker("b"), worker("c")}));
  world.start();
  world.failures["b"] = 2;
  EXPECT_THAT(world.crash("a"), ElementsAre("stop c", "stop b", "start a", "fail b", "fail b", "start b", "start c"));
  EXPECT_THAT(world.crash("a"), ElementsAre("stop c", "stop b", "over"));

  World all(tree_of(flags_of(Strategy::one_for_all, 2), {worker("a"), worker("b"), worker("c")}));
  all.start();
  all.failures["b"] = 1;
  EXPECT_THAT(all.crash("c"),
              ElementsAre("stop b", "stop a", "start a", "fail b", "stop a", "start a", "start b", "start c"));
}

TEST(TreeTest, AFailedStartOfASupervisorCountsInItsParent) {
  World world(
      tree_of(flags_of(Strategy::one_for_one, 2), {supervisor("s", {.intensity = 0}, {worker("x"), worker("y")})}));
  world.start();
  world.failures["s/y"] = 2;
  EXPECT_THAT(world.crash("s/x"), ElementsAre("stop s/y", "start s/x", "fail s/y", "stop s/x", "start s/x", "fail s/y",
                                              "stop s/x", "over"));
}

TEST(TreeTest, EndsWithAnySignificantChild) {
  Flags any = kPatient;
  any.auto_shutdown = AutoShutdown::any_significant;
  World world(tree_of(
      any, {worker("a"), significant(worker("b", Restart::transient)), significant(worker("c", Restart::temporary))}));
  world.start();
  EXPECT_THAT(world.crash("b"), ElementsAre("start b"));
  EXPECT_THAT(world.end("b", {End::normal, "done"}), ElementsAre("stop c", "stop a", "over"));
  EXPECT_EQ(world.over->end, End::shutdown);
  EXPECT_THAT(texts(world.over->causes), ElementsAre(": a significant child has ended", "b: done"));
}

TEST(TreeTest, EndsWithTheLastSignificantChild) {
  Flags all = kPatient;
  all.auto_shutdown = AutoShutdown::all_significant;
  World world(tree_of(all, {worker("a", Restart::transient), significant(worker("b", Restart::transient)),
                            significant(worker("c", Restart::temporary))}));
  world.start();
  EXPECT_THAT(world.end("a", {End::normal, ""}), IsEmpty());
  EXPECT_THAT(world.crash("c"), ElementsAre("forget c"));
  EXPECT_THAT(world.end("b", {End::normal, ""}), ElementsAre("over"));
}

TEST(TreeTest, ASignificantChildThatIsStoppedEndsNothing) {
  Flags any = kPatient;
  any.auto_shutdown = AutoShutdown::any_significant;
  World world(tree_of(any, {significant(worker("a", Restart::transient)), worker("b")}));
  world.start();
  EXPECT_THAT(world.carry_out(world.tree.stop_child("a", world.now).value()), ElementsAre("stop a"));
  EXPECT_FALSE(world.tree.is_over());
}

TEST(TreeTest, AnAutomaticShutdownIsNoFailure) {
  Flags any = kPatient;
  any.auto_shutdown = AutoShutdown::any_significant;
  Spec sub = supervisor("s", any, {significant(worker("x", Restart::transient)), worker("y")});
  sub.restart = Restart::transient;
  World world(tree_of({.intensity = 0}, {sub, worker("b")}));
  world.start();
  EXPECT_THAT(world.end("s/x", {End::shutdown, ""}), ElementsAre("stop s/y"));
  EXPECT_EQ(at(world.tree.view(), 0).phase, Phase::idle);
  EXPECT_FALSE(world.tree.is_over());
}

TEST(TreeTest, StopsAsTheShutdownSays) {
  World world(tree_of({}, {with(worker("a"), Shutdown::infinity()), with(worker("b"), Shutdown::after(2s)),
                           with(worker("c"), Shutdown::brutal_kill()), worker("d")}));
  world.stubborn = {"a", "b", "d"};
  world.start();
  const Actions first = world.tree.shutdown(world.now);
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0], (Action{.kind = Action::Kind::stop, .path = "d", .incarnation = 5, .grace = kWorkerTimeout}));
  EXPECT_EQ(first[1], (Action{.kind = Action::Kind::timer, .at = world.now + kWorkerTimeout}));
  EXPECT_THAT(world.carry_out(first), ElementsAre("stop d"));
  EXPECT_THAT(world.pass(5s - 1ns), IsEmpty());
  EXPECT_THAT(world.pass(1ns), ElementsAre("kill d", "kill c", "stop b"));
  EXPECT_THAT(world.pass(2s), ElementsAre("kill b", "stop a"));
  EXPECT_THAT(world.pass(24h), IsEmpty());
  EXPECT_THAT(world.end("a", {End::normal, ""}), ElementsAre("over"));
}

TEST(TreeTest, KillsAllWorkersOfASupervisorAtOnce) {
  const Spec sub = supervisor("s", {}, {worker("x"), supervisor("t", {}, {worker("y")}), worker("z")});
  World brutal(tree_of({}, {worker("a"), with(sub, Shutdown::brutal_kill())}));
  brutal.start();
  EXPECT_THAT(brutal.shutdown(), ElementsAre("kill s/x", "kill s/t/y", "kill s/z", "stop a", "over"));

  World late(tree_of({}, {worker("a"), with(sub, Shutdown::after(1s))}));
  late.stubborn = {"s/z"};
  late.start();
  EXPECT_THAT(late.shutdown(), ElementsAre("stop s/z"));
  EXPECT_THAT(late.pass(1s), ElementsAre("kill s/x", "kill s/t/y", "kill s/z", "stop a", "over"));

  World whole(tree_of({}, {worker("a"), sub}));
  whole.start();
  EXPECT_THAT(whole.carry_out(whole.tree.kill(whole.now)),
              ElementsAre("kill a", "kill s/x", "kill s/t/y", "kill s/z", "over"));
}

TEST(TreeTest, PausesGrowToACapAndStartAnewAfterALongRun) {
  Flags slow = kPatient;
  slow.pauses = {.first = 10s, .most = 35s, .healthy = 1min};
  World world(tree_of(slow, {worker("a"), worker("b")}));
  world.start();
  for (const Duration pause : {10s, 20s, 35s, 35s}) {
    EXPECT_THAT(world.crash("a"), IsEmpty());
    EXPECT_EQ(at(world.tree.view(), 0).phase, Phase::waiting);
    EXPECT_EQ(at(world.tree.view(), 0).next_attempt, world.now + pause);
    EXPECT_THAT(world.pass(pause - 1ns), IsEmpty());
    EXPECT_THAT(world.pass(1ns), ElementsAre("start a"));
    world.pass(1min - 1ns);  // a short run
  }
  world.pass(1ns);
  world.crash("a");
  EXPECT_THAT(world.pass(10s), ElementsAre("start a"));
  EXPECT_EQ(at(world.tree.view(), 0).restarts, 5U);
}

TEST(TreeTest, WhatTheChildIsNotToBlameForHasNoPauseUnlessAnotherFailurePrecedesIt) {
  Flags slow = kPatient;
  slow.pauses = {.first = 10s, .most = 1h, .healthy = 1min};
  World world(tree_of(slow, {worker("a")}));
  world.start();
  const Reason lost{.end = End::abnormal, .text = "lost", .at_once = true};
  EXPECT_THAT(world.end("a", lost), ElementsAre("start a"));
  EXPECT_THAT(world.end("a", lost), IsEmpty());
  EXPECT_THAT(world.pass(20s - 1ns), IsEmpty());
  EXPECT_THAT(world.pass(1ns), ElementsAre("start a"));
  world.pass(1min);
  EXPECT_THAT(world.end("a", lost), ElementsAre("start a")) << "a long run precedes it";
  world.pass(1min);
  EXPECT_THAT(world.crash("a"), IsEmpty());
}

TEST(TreeTest, AFailedStartIsNoHealthyRun) {
  Flags slow = kPatient;
  slow.pauses = {.first = 10s, .most = 1h, .healthy = 1s};
  World world(tree_of(slow, {worker("a")}));
  world.start();
  world.failures["a"] = 2;
  world.crash("a");
  EXPECT_THAT(world.pass(10s), ElementsAre("fail a"));
  EXPECT_THAT(world.pass(20s), ElementsAre("fail a"));
  EXPECT_THAT(world.pass(40s), ElementsAre("start a"));
}

TEST(TreeTest, StopsTheOthersAtOnceAndStartsAllAfterThePause) {
  for (const Strategy strategy : {Strategy::one_for_all, Strategy::rest_for_one}) {
    Spec spec = three(strategy);
    spec.supervisor->pauses = {.first = 10s, .most = 10s, .healthy = 1h};
    World world(spec);
    world.start();
    const bool all = strategy == Strategy::one_for_all;
    EXPECT_EQ(world.crash("b"), (all ? Log{"stop c", "stop a"} : Log{"stop c"}));
    EXPECT_THAT(world.pass(10s - 1ns), IsEmpty());
    EXPECT_EQ(world.pass(1ns), (all ? Log{"start a", "start b", "start c"} : Log{"start b", "start c"}));
  }
}

TEST(TreeTest, ChildrenOfOneForOneDoNotWaitForEachOther) {
  Flags slow = kPatient;
  slow.pauses = {.first = 10s, .most = 10s, .healthy = 1h};
  World world(tree_of(slow, {worker("a"), worker("b")}));
  world.start();
  world.crash("a");
  world.pass(5s);
  world.slow = {"a"};
  EXPECT_THAT(world.crash("b"), IsEmpty());
  EXPECT_THAT(world.pass(5s), ElementsAre("start a"));  // takes long
  EXPECT_THAT(world.pass(5s), ElementsAre("start b"));
}

TEST(TreeTest, AChildThatIsStillStartingIsStoppedWithTheOthers) {
  World world(three(Strategy::one_for_all));
  world.slow = {"c"};
  EXPECT_THAT(world.start(), ElementsAre("start a", "start b", "start c"));
  EXPECT_THAT(world.crash("a"), ElementsAre("stop c", "stop b", "start a", "start b", "start c"));
  EXPECT_EQ(world.tree.view().phase, Phase::starting);
  EXPECT_THAT(world.start_failed("c"), ElementsAre("stop b", "stop a", "over"));
}

TEST(TreeTest, ASupervisorThatGivesUpWhileItStartsIsRestartedByItsParent) {
  World world(tree_of(kPatient,
                      {supervisor("s", flags_of(Strategy::one_for_one, 0), {worker("x"), worker("y")}), worker("b")}));
  world.slow = {"s/y"};
  EXPECT_THAT(world.start(), ElementsAre("start s/x", "start s/y"));
  EXPECT_THAT(world.crash("s/x"), ElementsAre("stop s/y", "start b", "start s/x", "start s/y"));
  EXPECT_THAT(world.started("s/y"), IsEmpty());
  EXPECT_FALSE(world.over);
}

TEST(TreeTest, WhatIsToBeStoppedStartsNothing) {
  World world(tree_of(
      kPatient, {supervisor("s", kPatient, {worker("x"), supervisor("t", kPatient, {worker("y")})}), worker("b")}));
  world.stubborn = {"b"};
  world.start();
  EXPECT_THAT(world.shutdown(), ElementsAre("stop b"));
  EXPECT_THAT(world.crash("s/x"), IsEmpty());
  EXPECT_THAT(world.crash("s/t/y"), IsEmpty());
  EXPECT_THAT(world.end("b", {End::normal, ""}), ElementsAre("over"));
}

TEST(TreeTest, AWorkerThatEndsBeforeItIsReportedWasUp) {
  World world(tree_of(kPatient, {worker("a"), worker("b")}));
  world.slow = {"a"};
  world.start();
  EXPECT_THAT(world.crash("a"), ElementsAre("start a", "start b"));
}

TEST(TreeTest, LateReportsAreIgnored) {
  World world(tree_of(kPatient, {worker("a"), supervisor("s", {}, {})}));
  world.slow = {"a"};
  world.start();
  const auto nothing = [&](std::string_view path, std::uint64_t incarnation) {
    EXPECT_THAT(world.tree.started(path, incarnation, world.now), IsEmpty());
    EXPECT_THAT(world.tree.start_failed(path, incarnation, "", world.now), IsEmpty());
    EXPECT_THAT(world.tree.ignored(path, incarnation, world.now), IsEmpty());
    EXPECT_THAT(world.tree.ended(path, incarnation, {}, world.now), IsEmpty());
  };
  const Stored before = world.tree.store(world.now);
  nothing("a", 1);  // 1 is the root
  nothing("a", 3);
  nothing("b", 2);
  nothing("", 1);
  nothing("a/", 2);
  nothing("/a", 2);
  EXPECT_EQ(world.tree.store(world.now), before);
  world.started("a");
  world.crash("a");  // incarnation 2; the next one is starting
  nothing("a", 2);
  EXPECT_EQ(at(world.tree.view(), 0).phase, Phase::starting);
  world.started("a");
  EXPECT_THAT(world.tree.start_failed("a", world.alive["a"], "", world.now), IsEmpty());
  EXPECT_EQ(at(world.tree.view(), 0).phase, Phase::running);
  world.shutdown();
  nothing("a", 4);
  EXPECT_THAT(world.tree.start(world.now), IsEmpty());
  EXPECT_THAT(world.tree.shutdown(world.now), IsEmpty());
  EXPECT_THAT(world.tree.kill(world.now), IsEmpty());
}

TEST(TreeTest, AReportOfAStartAfterItIsToBeStoppedStartsNothing) {
  World world(tree_of(kPatient, {worker("a"), worker("b")}));
  world.slow = {"a"};
  world.stubborn = {"a"};
  world.start();
  EXPECT_THAT(world.shutdown(), ElementsAre("stop a"));
  EXPECT_THAT(world.started("a"), IsEmpty());
  EXPECT_THAT(world.start_failed("a"), ElementsAre("over"));  // it does not exist: that answers the stop
}

TEST(TreeTest, IgnoredStartsAreNoFailures) {
  World world(tree_of({.intensity = 0}, {worker("a"), worker("b", Restart::temporary), worker("c")}));
  world.slow = {"a", "b"};
  world.start();
  EXPECT_THAT(world.carry_out(world.tree.ignored("a", world.alive["a"], world.now)), ElementsAre("start b"));
  EXPECT_THAT(world.carry_out(world.tree.ignored("b", world.alive["b"], world.now)),
              ElementsAre("forget b", "start c"));
  EXPECT_EQ(world.tree.view().phase, Phase::running);
  EXPECT_EQ(world.tree.view().children.size(), 2U);
}

TEST(TreeTest, ATreeWithoutChildrenRuns) {
  World world(tree_of({}, {}));
  EXPECT_THAT(world.start(), IsEmpty());
  EXPECT_EQ(world.tree.view().phase, Phase::running);
  EXPECT_THAT(world.shutdown(), ElementsAre("over"));

  World never(tree_of({}, {worker("a")}));
  EXPECT_THAT(never.shutdown(), ElementsAre("over"));
}

TEST(TreeTest, ReasonsAreCut) {
  World world(tree_of({.intensity = 0}, {worker("a")}));
  world.start();
  world.crash("a", std::string(10'000, 'x'));
  EXPECT_EQ(world.over->causes.at(1).text.size(), kMaxReason);
}

}  // namespace
}  // namespace dms::supervision
