// Tasks, deadlines and nurseries (runtime/task.hpp, nursery.hpp) in virtual time.
#include <gtest/gtest.h>

#include <stdexcept>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "simulation/sim_world.hpp"

namespace dms {
namespace {

TEST(Task, DeadlinesAndCancellationReachTheInnermostWait) {
  SimWorld world(5);
  SimNode& node = world.add_node("node");
  auto slept = world.run(node, with_timeout(3s, sleep_for(1h)));
  ASSERT_FALSE(slept);
  EXPECT_TRUE(slept.error().is(Errc::deadline_exceeded));
  EXPECT_EQ(world.now().time_since_epoch(), 3s);
  EXPECT_EQ(world.pending(), 0u) << "the timer of the hour is cancelled";
}

TEST(Task, ASleepEndsWhenTheWallClockIsSetAndNotWhenItIsCorrected) {
  SimWorld world(5);
  SimNode& node = world.add_node("node");
  const auto slept = [&] {
    const SteadyTime begun = world.now();
    EXPECT_TRUE(world.run(node, sleep_unless_clock_is_set(1h)));
    return world.now() - begun;
  };
  EXPECT_EQ(slept(), 1h);
  Duration ahead(0);
  const auto set_later = [&](Duration by) {
    ahead += by;
    node.runtime().lane.call_at(world.now() + 10min, [&node, ahead] { node.set_wall_clock(ahead); });
  };
  set_later(kClockSet - 1s);
  EXPECT_EQ(slept(), 1h);
  for (const Duration by : {kClockSet, -3 * kClockSet}) {
    set_later(by);
    const Duration took = slept();
    EXPECT_GE(took, 10min);
    EXPECT_LE(took, 10min + kClockLook);
  }
}

TEST(Nursery, ATaskThatEndsWithAnExceptionIsCountedAndTheOthersGoOn) {
  log::set_sink([](const log::Line&) {});
  SimWorld world(6);
  SimNode& node = world.add_node("node");
  Nursery nursery(node.runtime().lane, "owner");
  const std::uint64_t before = assertion::failures();
  nursery.spawn([]() -> Task<void> {
    throw std::runtime_error("bug");
    co_return;
  }());
  bool reached = false;
  nursery.spawn([](bool& out) -> Task<void> {
    out = true;
    co_return;
  }(reached));
  world.run(node, nursery.join());
  log::set_sink({});
  EXPECT_TRUE(reached);
  EXPECT_EQ(assertion::failures() - before, 1U);
}

TEST(NurseryDeathTest, OneThatIsNotClosedIsFatal) {
  SimWorld world(6);
  SimNode& node = world.add_node("node");
  EXPECT_DEATH(
      {
        Nursery nursery(node.runtime().lane, "forgotten");
        nursery.spawn([]() -> Task<void> { co_return; }());
      },
      "nursery 'forgotten' destroyed with 1 tasks running");
}

TEST(Nursery, CancelsWhatItOwns) {
  SimWorld world(6);
  SimNode& node = world.add_node("node");
  Nursery nursery(node.runtime().lane, "owner");
  int cancelled = 0;
  for (int i = 0; i < 10; ++i)
    nursery.spawn([](int& count) -> Task<void> {
      if (auto slept = co_await sleep_for(1h); !slept && slept.error().is(Errc::cancelled)) ++count;
    }(cancelled));
  world.run_for(1s);
  world.run(node, nursery.close());
  EXPECT_EQ(cancelled, 10);
  EXPECT_EQ(world.now().time_since_epoch(), 1s);
}

}  // namespace
}  // namespace dms
