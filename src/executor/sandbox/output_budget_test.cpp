#include "executor/sandbox/output_budget.hpp"

#include <gtest/gtest.h>

namespace dms::executor {
namespace {

constexpr std::size_t kKib = 1024;

OutputRate rate_of(std::uint64_t bytes_per_second, std::uint64_t burst) {
  OutputRate rate;
  rate.bytes_per_second = bytes_per_second;
  rate.burst = burst;
  return rate;
}

TEST(OutputBudget, BoundsWhatIsReadOverAnyTime) {
  OutputBudget budget(rate_of(1024 * kKib, 512 * kKib), 5s);
  std::size_t read = 0;
  for (Duration t = 0s; t <= 10s; t += 1ms) {
    while (budget.enough(5s + t)) {
      for (int stream = 0; stream < 2; ++stream) {
        budget.spend(budget.chunk());
        read += budget.chunk();
      }
      ASSERT_LE(static_cast<double>(read), 512.0 * kKib + 1024.0 * kKib * std::chrono::duration<double>(t).count() + 1);
    }
  }
  EXPECT_GE(read, 10 * 1024 * kKib) << "the rate is used";
}

TEST(OutputBudget, WaitsForAChunkOfEachStream) {
  OutputBudget budget(rate_of(128 * kKib, 256 * kKib), 0s);
  ASSERT_EQ(budget.chunk(), 64 * kKib);
  ASSERT_TRUE(budget.enough(0s));
  EXPECT_EQ(budget.wait().count(), 0);
  for (int i = 0; i < 4; ++i) budget.spend(64 * kKib);
  EXPECT_FALSE(budget.enough(0s));
  EXPECT_EQ(budget.wait().count(), 1000);
  EXPECT_FALSE(budget.enough(500ms));
  EXPECT_EQ(budget.wait().count(), 500);
  EXPECT_TRUE(budget.enough(1000ms));
  EXPECT_TRUE(budget.enough(3s));
  EXPECT_TRUE(budget.enough(2s)) << "time does not run back";
}

TEST(OutputBudget, SmallReadsCostAsMuchAsAPage) {
  OutputBudget budget(rate_of(1, 256 * kKib), 0s);
  int reads = 0;
  for (; budget.enough(0s); ++reads) budget.spend(1);
  EXPECT_EQ(reads, 33) << "of 256 KiB, until less than 128 KiB are left";
}

TEST(OutputBudget, ABurstSmallerThanAChunkStillMovesOn) {
  OutputBudget budget(rate_of(1000, 100), 0s);
  EXPECT_EQ(budget.chunk(), 50u);
  ASSERT_TRUE(budget.enough(0s));
  budget.spend(50);
  budget.spend(1);
  EXPECT_FALSE(budget.enough(0s));
  EXPECT_TRUE(budget.enough(200ms));
}

}  // namespace
}  // namespace dms::executor
