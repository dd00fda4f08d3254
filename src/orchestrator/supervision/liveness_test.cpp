// When a provider counts as lost, in virtual time.
#include "orchestrator/supervision/liveness.hpp"

#include <gtest/gtest.h>

#include "actor/test_world.hpp"

namespace dms::orchestrator {
namespace {

struct LivenessTest : testing::Test {
  LivenessTest() {
    actor::TestWorld::trust(a, b);
    actor::TestWorld::trust(b, a);
  }
  ~LivenessTest() override { w.close(); }
  [[nodiscard]] std::string peer() const { return b.network->self().to_string(); }
  void cut(bool is_cut = true) { w.substrate->cut(a.network->self(), b.network->self(), is_cut); }
  bool lost() { return w.run(a, liveness.ping(peer())).value(); }
  Result<actor::Note> call(Duration limit) {
    actor::Envelope request = a.root->message(b.root->handle(), "/slow", {}, {.timeout = limit});
    return w.run(a, liveness.call<actor::Note>(*a.root, peer(), std::move(request)));
  }

  actor::MemoryTestWorld w{12};
  actor::TestNode& a = w.add("orchestrator");
  actor::TestNode& b = w.add("provider");
  Liveness liveness{*a.network};
};

TEST_F(LivenessTest, AProviderIsLostAfterPingsThatFailInARow) {
  EXPECT_FALSE(lost());
  cut();
  for (int missed = 1; missed < kLostAfter; ++missed) EXPECT_FALSE(lost()) << missed;
  cut(false);
  EXPECT_FALSE(lost());  // a ping that succeeds starts the count anew
  cut();
  for (int missed = 1; missed < kLostAfter; ++missed) EXPECT_FALSE(lost()) << missed;
  EXPECT_TRUE(lost());
  EXPECT_FALSE(liveness.last_error(peer()).empty());
}

TEST_F(LivenessTest, APingWhoseFailureIsLearnedLateIsNotCounted) {
  w.substrate->notice_cuts(false);
  cut();
  for (int missed = 0; missed < 2 * kLostAfter; ++missed) {
    a.lane().call_at(a.lane().now() + 1s, [this] { a.node.stall(20s); });
    EXPECT_FALSE(lost()) << missed;
    EXPECT_FALSE(liveness.answers(peer())) << missed;
  }
  for (int missed = 1; missed < kLostAfter; ++missed) EXPECT_FALSE(lost()) << missed;
  EXPECT_TRUE(lost()) << "pings that end in time count";
}

TEST_F(LivenessTest, ANodeWhoseTimersAreLateSuspectsItselfForAWhile) {
  w.add("another");
  w.settle();
  const auto is_own_fault = [&] { return w.run(a, liveness.is_own_fault(peer())); };
  const SteadyTime due = a.lane().now();
  EXPECT_FALSE(liveness.note_timer(due, due + kLateTimer));
  EXPECT_FALSE(is_own_fault()) << "another peer answers";
  EXPECT_TRUE(liveness.note_timer(due, due + kLateTimer + 1ms));
  w.settle(kSelfSuspicion - 1s);
  EXPECT_TRUE(is_own_fault());
  w.settle(kLateTimer + 2s);
  EXPECT_FALSE(is_own_fault());
}

TEST_F(LivenessTest, ThisNodeReachesAnotherPeerIfOneAnswers) {
  const auto reaches = [&] { return w.run(a, liveness.reaches_another(peer())); };
  EXPECT_FALSE(reaches()) << "there is no other";
  const actor::TestNode& c = w.add("another");
  const actor::TestNode& d = w.add("a third one");
  w.settle();
  EXPECT_TRUE(reaches());
  w.substrate->notice_cuts(false);
  w.substrate->cut(a.network->self(), c.network->self());
  EXPECT_TRUE(reaches());
  w.substrate->cut(a.network->self(), d.network->self());
  EXPECT_EQ(a.network->peers().size(), 3U) << "it does not know that the connections are dead";
  const SteadyTime begun = a.lane().now();
  EXPECT_FALSE(reaches());
  EXPECT_LE(a.lane().now() - begun, kReachTimeout);
}

TEST_F(LivenessTest, ACallEndsWhenItsProviderIsLost) {
  b.listen("/slow");  // receives, and never replies
  a.lane().call_at(a.lane().now() + 1s, [this] { cut(); });
  const SteadyTime begun = a.lane().now();
  const Result<actor::Note> reply = call(10min);
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().is(Errc::closed)) << reply.error().to_string();
  EXPECT_LT(a.lane().now() - begun, (kLostAfter + 1) * (kPingInterval + kPingTimeout));
}

TEST_F(LivenessTest, ACallMayTakeLongAsLongAsItsProviderAnswersPings) {
  b.listen("/slow");
  const SteadyTime begun = a.lane().now();
  const Result<actor::Note> reply = call(3min);
  ASSERT_FALSE(reply);
  EXPECT_FALSE(reply.error().is(Errc::closed)) << reply.error().to_string();
  EXPECT_GT(a.lane().now() - begun, 2min);
}

}  // namespace
}  // namespace dms::orchestrator
