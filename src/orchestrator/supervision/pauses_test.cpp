#include "orchestrator/supervision/pauses.hpp"

#include <gtest/gtest.h>

namespace dms::orchestrator {
namespace {

SteadyTime after(Duration time) { return SteadyTime(1h) + time; }

TEST(Pauses, TheFirstTimeIsDueAtOnceAndThePausesGrow) {
  Pauses pauses;
  EXPECT_LE(pauses.due("a"), after(0s));
  EXPECT_EQ(pauses.next("a", after(0s)), after(0s));
  EXPECT_EQ(pauses.due("a"), after(10s));
  EXPECT_LE(pauses.due("b"), after(0s)) << "another allocation";
  EXPECT_EQ(pauses.next("a", after(3s)), after(10s));
  EXPECT_EQ(pauses.next("a", after(15s)), after(30s));
  EXPECT_EQ(pauses.next("a", after(200s)), after(200s)) << "it has run for longer than the pause";
  EXPECT_EQ(pauses.due("a"), after(280s));
}

TEST(Pauses, TheyHaveAMostAndStartAnewAfterAStableRun) {
  Pauses pauses;
  SteadyTime last = after(0s);
  for (int i = 0; i < 10; ++i) last = pauses.next("a", last);
  EXPECT_EQ(pauses.due("a"), last + kMaxPause);
  EXPECT_EQ(pauses.next("a", last + kMaxPause), last + kMaxPause);
  last += kMaxPause + kStableAfter + 1s;
  EXPECT_EQ(pauses.next("a", last), last);
  EXPECT_EQ(pauses.due("a"), last + kFirstPause);
}

}  // namespace
}  // namespace dms::orchestrator
