#include "link/pipe.hpp"

#include <gtest/gtest.h>

namespace dms::testnet {
namespace {

using Fate = Pipe::Fate;
const SteadyTime kNow{1h};

TEST(PipeTest, APerfectPathDeliversAtOnce) {
  SeededRandom random(1);
  Pipe pipe;
  const auto passage = pipe.send({}, 1500, kNow, random);
  EXPECT_EQ(passage.fate, Fate::arrives);
  EXPECT_EQ(passage.arrival, kNow);
}

TEST(PipeTest, TheDelayIsAdded) {
  SeededRandom random(1);
  Pipe pipe;
  EXPECT_EQ(pipe.send({.delay = 80ms}, 100, kNow, random).arrival, kNow + 80ms);
}

TEST(PipeTest, PacketsWaitForTheBandwidth) {
  SeededRandom random(1);
  Pipe pipe;
  const Quality quality{.delay = 5ms, .bits_per_second = 8'000'000};  // 1,000 bytes a millisecond
  EXPECT_EQ(pipe.send(quality, 1000, kNow, random).arrival, kNow + 6ms);
  EXPECT_EQ(pipe.send(quality, 1000, kNow, random).arrival, kNow + 7ms);
  EXPECT_EQ(pipe.send(quality, 1000, kNow + 10ms, random).arrival, kNow + 16ms);  // nothing waits any more
}

TEST(PipeTest, AFullQueueDropsTheLast) {
  SeededRandom random(1);
  Pipe pipe;
  const Quality quality{.bits_per_second = 8'000'000, .queue = 3000};
  int admitted = 0;
  while (pipe.send(quality, 1000, kNow, random).fate == Fate::arrives) ++admitted;
  EXPECT_EQ(admitted, 4);  // three wait, and one more finds no more than 3,000 bytes
  EXPECT_EQ(pipe.send(quality, 1000, kNow, random).fate, Fate::overflows);
  EXPECT_EQ(pipe.send(quality, 1000, kNow + 1ms, random).fate, Fate::arrives);
}

TEST(PipeTest, LossIsThatWhichWasAskedForAndTheSameForASeed) {
  const auto lost = [](std::uint64_t seed, double loss) {
    SeededRandom random(seed);
    Pipe pipe;
    int count = 0;
    for (int i = 0; i < 10'000; ++i) count += pipe.send({.loss = loss}, 100, kNow, random).fate == Fate::lost ? 1 : 0;
    return count;
  };
  EXPECT_NEAR(lost(1, 0.2), 2000, 200);
  EXPECT_EQ(lost(7, 0.2), lost(7, 0.2));
  EXPECT_EQ(lost(1, 0), 0);
  EXPECT_EQ(lost(1, 1), 10'000);
}

TEST(PipeTest, JitterIsBoundedAndKeepsTheOrder) {
  SeededRandom random(1);
  Pipe pipe;
  const Quality quality{.delay = 10ms, .jitter = 5ms};
  SteadyTime last{};
  bool varied = false;
  for (int i = 0; i < 1000; ++i) {
    const SteadyTime now = kNow + i * 1ms;
    const SteadyTime arrival = pipe.send(quality, 100, now, random).arrival;
    EXPECT_GE(arrival, now + 10ms);
    EXPECT_LE(arrival, now + 15ms);
    EXPECT_GE(arrival, last);
    varied = varied || arrival != now + 10ms;
    last = arrival;
  }
  EXPECT_TRUE(varied);
}

}  // namespace
}  // namespace dms::testnet
