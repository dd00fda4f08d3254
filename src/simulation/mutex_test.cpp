#include "runtime/mutex.hpp"

#include <gtest/gtest.h>
#include <numeric>

#include "simulation/sim_world.hpp"

namespace dms {
namespace {

struct MutexTest : testing::Test {
  SimWorld world{1};
  SimNode& node = world.add_node("n");
  Mutex mutex;
  std::vector<int> order;
  int inside = 0;

  Task<void> enter_unless_cancelled(int number) {
    const Result<Mutex::Lock> lock = co_await mutex.lock_unless_cancelled();
    if (lock) order.push_back(number);
  }
  Task<void> enter(int number, Duration work) {
    Mutex::Lock lock = co_await mutex.lock();
    EXPECT_EQ(inside++, 0) << number;
    order.push_back(number);
    (void)co_await sleep_for(work);
    --inside;
  }
};

TEST_F(MutexTest, OneAtATimeInTheOrderOfTheCalls) {
  Nursery nursery(node.runtime().lane, "test");
  for (int i = 0; i < 20; ++i) nursery.spawn(enter(i, i % 3 * 1ms));
  world.run(node, nursery.join());
  std::vector<int> expected(20);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
  EXPECT_FALSE(mutex.locked());
}

TEST_F(MutexTest, ATaskThatLocksDuringTheReleaseDoesNotOvertake) {
  Nursery nursery(node.runtime().lane, "test");
  nursery.spawn(enter(1, 1ms));
  nursery.spawn(enter(2, 0ms));
  world.run_until([&] { return inside == 0 && !order.empty(); });
  nursery.spawn(enter(3, 0ms));
  world.run(node, nursery.join());
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST_F(MutexTest, CancellationDoesNotEndTheWait) {
  Nursery first(node.runtime().lane, "first");
  Nursery second(node.runtime().lane, "second");
  first.spawn(enter(1, 5ms));
  second.spawn(enter(2, 0ms));
  world.run_for(1ms);
  second.cancel();
  world.run(node, first.join());
  world.run(node, second.join());
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST_F(MutexTest, AWaitThatMayBeCancelledEnds) {
  Nursery first(node.runtime().lane, "first");
  Nursery second(node.runtime().lane, "second");
  first.spawn(enter(1, 5ms));
  second.spawn(enter_unless_cancelled(2));
  first.spawn(enter(3, 0ms));
  world.run_for(1ms);
  second.cancel();
  world.run(node, second.join());
  EXPECT_TRUE(mutex.locked()) << "it has not been waited for";
  world.run(node, first.join());
  EXPECT_EQ(order, (std::vector{1, 3}));
  EXPECT_FALSE(mutex.locked());
}

TEST_F(MutexTest, ACancelledWaitDoesNotKeepTheTurn) {
  Nursery waiting(node.runtime().lane, "waiting");
  world.run(node, [](MutexTest& test, Nursery& cancelled) -> Task<void> {
    {
      const Mutex::Lock lock = co_await test.mutex.lock();
      cancelled.spawn(test.enter_unless_cancelled(1));
      (void)co_await sleep_for(1ms);
      cancelled.cancel();
    }
    co_await test.enter(2, 0ms);  // while the other one still counts as waiting
  }(*this, waiting));
  world.run(node, waiting.join());
  EXPECT_EQ(order, std::vector{2});
  EXPECT_FALSE(mutex.locked());
}

}  // namespace
}  // namespace dms
