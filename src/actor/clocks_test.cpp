#include "actor/clocks.hpp"

#include <gtest/gtest.h>

namespace dms::actor {
namespace {

constexpr UnixTime kNow{1'700'000'000'000'000'000};

TEST(Clocks, NothingIsKnownOfAHostThatHasStatedNothing) { EXPECT_EQ(Clocks().ahead("a"), 0s); }

TEST(Clocks, TheLargestDifferenceThatIsPossibleCounts) {
  Clocks clocks;
  clocks.heard("a", kNow + 10min, kNow, 3s);
  EXPECT_EQ(clocks.ahead("a"), 10min + 3s);
  EXPECT_EQ(clocks.ahead("b"), 0s);
}

TEST(Clocks, ALaterStatementReplacesAnEarlierOne) {
  Clocks clocks;
  clocks.heard("a", kNow + 10min, kNow, 0s);
  clocks.heard("a", kNow + 20min, kNow, 0s);
  EXPECT_EQ(clocks.ahead("a"), 20min);
  clocks.heard("a", kNow + 100ms, kNow, 0s);
  EXPECT_EQ(clocks.ahead("a"), 0s);
}

TEST(Clocks, AHostThatIsBehindNeedsNothing) {
  Clocks clocks;
  clocks.heard("a", kNow + -10min, kNow, 10s);
  EXPECT_EQ(clocks.ahead("a"), 0s);
}

TEST(Clocks, NoStatementGivesMoreThanTheBound) {
  Clocks clocks;
  clocks.heard("a", kNow + kMostAhead, kNow, 1h);
  EXPECT_EQ(clocks.ahead("a"), kMostAhead);
  for (const std::uint64_t wall : {(kNow + kMostAhead + 1s).nanos, ~std::uint64_t{0}, std::uint64_t{0},
                                   kNow.nanos + (std::uint64_t{1} << 63) - 1, kNow.nanos + (std::uint64_t{1} << 63)}) {
    clocks.heard("a", kNow + 10min, kNow, 0s);
    clocks.heard("a", UnixTime{wall}, kNow, 10s);
    EXPECT_EQ(clocks.ahead("a"), 0s) << wall;
  }
}

TEST(Clocks, OfABoundedNumberOfHostsSomethingIsKnown) {
  Clocks clocks;
  std::size_t known = 0;
  for (std::size_t i = 0; i < 2 * kMaxClocks; ++i) clocks.heard(std::to_string(i), kNow + 1min, kNow, 0s);
  for (std::size_t i = 0; i < 2 * kMaxClocks; ++i) known += clocks.ahead(std::to_string(i)) > 0s ? 1 : 0;
  EXPECT_EQ(known, kMaxClocks);
  EXPECT_EQ(clocks.ahead(std::to_string(2 * kMaxClocks - 1)), 1min);
}

}  // namespace
}  // namespace dms::actor
