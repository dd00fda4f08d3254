#include "runtime/busy_poll.hpp"

#include <gtest/gtest.h>

namespace dms {
namespace {

using namespace std::chrono_literals;

constexpr SteadyTime kStart{1h};

TEST(BusyPoll, PollsOnlyWhileEventsFollowQuickly) {
  BusyPoll poll;
  SteadyTime now = kStart;
  const auto event_after = [&](Duration wait) {
    const bool polled = poll.expects(now);
    poll.event(now, now + wait, polled && wait < BusyPoll::kPollTime);
    now += wait;
    return polled;
  };
  EXPECT_FALSE(event_after(10us));
  EXPECT_FALSE(event_after(10us));
  EXPECT_TRUE(event_after(10us));
  EXPECT_TRUE(event_after(5ms)) << "polls once without an event";
  EXPECT_FALSE(event_after(10us));
  EXPECT_FALSE(event_after(5ms));
  EXPECT_FALSE(event_after(10us)) << "a single quick event does not start polling";
}

TEST(BusyPoll, PausesGrowOnASharedProcessor) {
  BusyPoll poll;
  SteadyTime now = kStart;
  for (int i = 0; i < BusyPoll::kEventsInARow; ++i) poll.event(now, now + 1us, false);
  ASSERT_TRUE(poll.expects(now));
  EXPECT_TRUE(poll.keep_polling(now, now + 1us));
  EXPECT_TRUE(poll.expects(now + 1us));
  for (const Duration pause : {1ms, 2ms, 4ms}) {
    EXPECT_FALSE(poll.keep_polling(now, now + 1ms));
    now += 1ms;
    EXPECT_FALSE(poll.expects(now + pause - 1us));
    EXPECT_TRUE(poll.expects(now + pause));
    now += pause;
  }
  for (int i = 0; i < 20; ++i) (void)poll.keep_polling(now, now + 1ms);
  EXPECT_TRUE(poll.expects(now + 1ms + BusyPoll::kLastPause)) << "not for ever";
  now += 2s;
  poll.event(now, now + 1us, true);
  EXPECT_FALSE(poll.keep_polling(now, now + 1ms));
  EXPECT_TRUE(poll.expects(now + 1ms + BusyPoll::kFirstPause)) << "an event was found: the pauses are reset";
}

}  // namespace
}  // namespace dms
