#include "orchestrator/supervision/pauses.hpp"

#include <gtest/gtest.h>

namespace dms::orchestrator {
namespace {

SteadyTime at(Duration time) { return SteadyTime(1h) + time; }

TEST(Pauses, TheFirstTimeIsDueAtOnceAndThePausesGrow) {
  Pauses pauses;
  EXPECT_LE(pauses.due("a"), at(0s));
  EXPECT_EQ(pauses.next("a", at(0s)), at(0s));
  EXPECT_EQ(pauses.due("a"), at(10s));
  EXPECT_LE(pauses.due("b"), at(0s)) << "another allocation";
  EXPECT_EQ(pauses.next("a", at(3s)), at(10s));
  EXPECT_EQ(pauses.next("a", at(15s)), at(30s));
  EXPECT_EQ(pauses.next("a", at(200s)), at(200s)) << "it has run for longer than the pause";
  EXPECT_EQ(pauses.due("a"), at(280s));
}

TEST(Pauses, TheyHaveAMostAndStartAnewAfterAStableRun) {
  Pauses pauses;
  SteadyTime last = at(0s);
  for (int i = 0; i < 10; ++i) last = pauses.next("a", last);
  EXPECT_EQ(pauses.due("a"), last + kMaxPause);
  EXPECT_EQ(pauses.next("a", last + kMaxPause), last + kMaxPause);
  last += kMaxPause + kStableAfter + 1s;
  EXPECT_EQ(pauses.next("a", last), last);
  EXPECT_EQ(pauses.due("a"), last + kFirstPause);
}

}  // namespace
}  // namespace dms::orchestrator
