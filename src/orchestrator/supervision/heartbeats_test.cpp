// Signs of life of machines, in virtual time.
#include "orchestrator/supervision/heartbeats.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "actor/test_world.hpp"

namespace dms::orchestrator {
namespace {

struct HeartbeatsTest : testing::Test {
  using Sign = Heartbeats::Sign;
  HeartbeatsTest() { w.settle(); }
  ~HeartbeatsTest() override {
    watches.clear();
    w.run(a, heartbeats.close());
    w.close();
  }
  void watch(const actor::TestNode& node) {
    watches.push_back(std::make_unique<Heartbeats::Watch>(heartbeats, node.network->self().to_string(), changed));
  }
  void cut(const actor::TestNode& node, bool is_cut = true) {
    w.substrate->cut(a.network->self(), node.network->self(), is_cut);
  }
  [[nodiscard]] Sign sign() const { return watches.front()->sign(); }
  bool shows(Sign wanted, Duration limit) {
    return w.world.run_until([&] { return sign() == wanted; }, limit);
  }
  [[nodiscard]] std::uint64_t pings() const { return w.substrate->counters().pings; }

  actor::MemoryTestWorld w{23};
  actor::TestNode& a = w.add("orchestrator");
  actor::TestNode& b = w.add("provider");
  actor::TestNode& c = w.add("another provider");
  Signal changed;
  Heartbeats heartbeats{a.lane(), *a.network};
  std::vector<std::unique_ptr<Heartbeats::Watch>> watches;
};

/// A daemon that is killed closes its connections; a machine without power does not.
TEST_F(HeartbeatsTest, AMachineThatDoesNotAnswerIsGoneSixSecondsAfterItsLastAnswer) {
  watch(b);
  for (const bool closes : {true, false}) {
    SCOPED_TRACE(closes ? "it closes its connections" : "it closes nothing");
    w.substrate->notice_cuts(closes);
    w.settle(20s);
    EXPECT_EQ(sign(), Sign::answers);
    const std::uint64_t before = changed.count();
    const SteadyTime begun = a.lane().now();
    cut(b);
    ASSERT_TRUE(shows(Sign::missing, kBeat + kBeatAnswer + 100ms));
    EXPECT_EQ(changed.count(), before + 1);
    ASSERT_TRUE(shows(Sign::gone, 1min));
    EXPECT_EQ(changed.count(), before + 2);
    EXPECT_GE(a.lane().now() - begun, kGoneAfter - kBeat);
    EXPECT_LE(a.lane().now() - begun, kGoneAfter + 100ms);
    EXPECT_FALSE(watches.front()->error().empty());
    cut(b, false);
    ASSERT_TRUE(shows(Sign::answers, 2 * kSuspectedRenewal));
    EXPECT_EQ(changed.count(), before + 3);
  }
}

TEST_F(HeartbeatsTest, ADaemonThatIsBackInThreeSecondsIsNotGoneWheneverItWasKilled) {
  watch(b);
  for (int i = 0; i < 10; ++i) {
    w.settle(10s + i * 230ms);
    cut(b);
    EXPECT_FALSE(shows(Sign::gone, 3s)) << i;
    cut(b, false);
    EXPECT_FALSE(shows(Sign::gone, 10s)) << i;
    EXPECT_EQ(sign(), Sign::answers) << i;
  }
}

TEST_F(HeartbeatsTest, ANodeThatIsCutOffSuspectsItselfAndForAWhileAfterThat) {
  watch(b);
  w.settle(5s);
  cut(b);
  cut(c);
  EXPECT_FALSE(shows(Sign::gone, 30s));
  EXPECT_EQ(sign(), Sign::missing);
  cut(c, false);
  EXPECT_FALSE(shows(Sign::gone, 30s)) << "what was lost with its connections takes a while";
  EXPECT_TRUE(shows(Sign::gone, kSelfSuspicion)) << "but not for ever";
}

TEST_F(HeartbeatsTest, TheTimeInWhichThisNodeWasSuspendedDoesNotCount) {
  watch(b);
  w.settle(5s);
  cut(b);
  a.node.stall(10s);
  w.settle(10s);
  EXPECT_FALSE(shows(Sign::gone, kGoneAfter - 1s));
  EXPECT_TRUE(shows(Sign::gone, 2s));
}

TEST_F(HeartbeatsTest, AMachineThatAnswersIsNotGoneWhileThisNodeGetsATurnOnlyNowAndThen) {
  watch(b);
  w.settle(5s);
  for (const Duration stalled : {Duration(700ms), Duration(1600ms), Duration(4s), Duration(9s)})
    for (int i = 0; i < 10; ++i) {
      a.node.stall(stalled);
      EXPECT_FALSE(shows(Sign::gone, stalled + 50ms)) << stalled / 1ms << " ms, turn " << i;
    }
  w.settle(kBeat + kBeatAnswer);
  EXPECT_EQ(sign(), Sign::answers);
}

TEST_F(HeartbeatsTest, AnyOtherAnswerIsASignOfLife) {
  watch(b);
  w.settle(5s);
  cut(b);
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(shows(Sign::gone, 2s)) << i;
    watches.front()->heard();
    EXPECT_EQ(sign(), Sign::answers);
  }
}

TEST_F(HeartbeatsTest, AMachineIsAskedOnceWhateverNumberOfDeploymentsItServes) {
  for (int i = 0; i < 100; ++i) watch(b);
  w.settle(10s);
  std::uint64_t before = pings();
  w.settle(1min);
  EXPECT_NEAR(static_cast<double>(pings() - before), 1min / kBeat, 1);
  watches.clear();
  w.settle(kBeat);
  before = pings();
  w.settle(1min);
  EXPECT_EQ(pings(), before) << "nobody watches it";
}

TEST_F(HeartbeatsTest, AMachineThatIsWatchedAgainWithinABeatIsAskedOnAndOnce) {
  watch(b);
  for (const Duration pause : {Duration(0), kBeat / 4, kBeat / 2}) {
    SCOPED_TRACE(pause / 1ms);
    w.settle(5 * kBeat + 50ms);
    watches.clear();
    w.settle(pause);
    watch(b);
    const std::uint64_t before = pings();
    w.settle(1min);
    EXPECT_NEAR(static_cast<double>(pings() - before), 1min / kBeat, 1);
  }
}

TEST_F(HeartbeatsTest, AMachineThatIsWatchedAgainWithinABeatHasAllOfItsTime) {
  watch(b);
  w.settle(5s);
  w.substrate->notice_cuts(false);  // a ping is under way until it is given up
  cut(b);
  w.settle(4s);
  EXPECT_EQ(sign(), Sign::missing);
  watches.clear();
  w.settle(100ms);
  watch(b);
  EXPECT_EQ(sign(), Sign::answers);
  const SteadyTime begun = a.lane().now();
  ASSERT_TRUE(shows(Sign::gone, 1min));
  EXPECT_GE(a.lane().now() - begun, kGoneAfter);
  EXPECT_LE(a.lane().now() - begun, kGoneAfter + kBeatAnswer);
}

}  // namespace
}  // namespace dms::orchestrator
