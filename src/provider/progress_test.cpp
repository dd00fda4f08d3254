// What a provider tells of a start that takes long, and how often.
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::StartPhase;
using protocol::StartProgress;

constexpr std::uint64_t kImage = 100U << 20;

struct ProgressTest : StartedProvider {
  void SetUp() override {
    StartedProvider::SetUp();
    ASSERT_TRUE(serve(*alice.root, protocol::kAllocationProgress, *this, &ProgressTest::on_progress));
  }
  Task<protocol::Nothing> on_progress(protocol::AllocationProgress told, const actor::Envelope& envelope) {
    EXPECT_EQ(told.allocation_id, "e_task");
    EXPECT_EQ(told.incarnation, incarnation);
    EXPECT_EQ(envelope.from.id, allocation.id);
    seen.push_back(told.progress);
    times.push_back(alice.lane().now());
    co_return protocol::Nothing();
  }
  /// Its start waits so long for its image.
  void begin_start(Duration startup, std::uint64_t image, Duration lease = 1h) {
    script("e_task", {.startup = startup, .runs_for = std::nullopt, .image_bytes = image});
    const protocol::AllocateResponse made = allocate(alice, lease);
    ASSERT_TRUE(made.ok);
    allocation = made.allocations.at("task");
    if (lease > Duration(0)) incarnation = made.incarnations.at("task");
    EXPECT_FALSE(w.run(
        alice, protocol::call(*alice.root, protocol::kAllocationStart, allocation, protocol::StartRequest(), 500ms)));
  }
  protocol::AllocationInfo listed() {
    const auto reply = call(alice, protocol::kAllocationsList, protocol::AllocationsRequest());
    EXPECT_TRUE(reply && reply->allocations.size() == 1U);
    return reply && !reply->allocations.empty() ? reply->allocations.front() : protocol::AllocationInfo();
  }

  std::vector<StartProgress> seen;
  std::vector<SteadyTime> times;
};

TEST_F(ProgressTest, AnImageIsToldOnceASecondAtMostUntilTheWorkRuns) {
  begin_start(20s, kImage);
  w.settle(10s);
  const auto reported = report().progress;
  ASSERT_TRUE(reported);
  EXPECT_EQ(reported->phase, StartPhase::pulling);
  EXPECT_EQ(reported->total, kImage);
  EXPECT_GT(reported->done, kImage / 3);
  EXPECT_LT(reported->done, kImage);
  const auto shown = listed().progress;
  ASSERT_TRUE(shown) << "to the owner of the machine";
  EXPECT_EQ(shown->phase, StartPhase::pulling);
  EXPECT_EQ(shown->total, kImage);
  w.settle(30s);
  EXPECT_EQ(running(), 1);
  EXPECT_GE(seen.size(), 15U);
  EXPECT_LE(seen.size(), 20U);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].phase, StartPhase::pulling);
    EXPECT_EQ(seen[i].total, kImage);
    if (i == 0) continue;
    EXPECT_GT(seen[i].done, seen[i - 1].done);
    EXPECT_GE(times[i] - times[i - 1], kProgressPause - 100ms);
  }
  EXPECT_FALSE(report().progress);
  EXPECT_FALSE(listed().progress);
}

TEST_F(ProgressTest, NothingIsToldWithoutAChange) {
  begin_start(1min, 1);
  w.settle(30s);
  EXPECT_EQ(seen.size(), 1U);
}

TEST_F(ProgressTest, AStartThatWaitsForNoImageTellsNothing) {
  begin_start(10s, 0);
  w.settle(5s);
  EXPECT_FALSE(report().progress);
  w.settle(10s);
  EXPECT_TRUE(seen.empty());
}

TEST_F(ProgressTest, AnOrchestratorThatDoesNotRenewIsToldNothing) {
  begin_start(10s, kImage, Duration(0));
  w.settle(20s);
  EXPECT_EQ(running(), 1);
  EXPECT_TRUE(seen.empty());
}

TEST_F(ProgressTest, WhatIsLostIsMadeUpForByTheNextAndNothingIsQueued) {
  begin_start(2min, kImage);
  w.settle(10s);
  ASSERT_FALSE(seen.empty());
  w.substrate->cut(node.network->self(), alice.network->self(), true);
  w.settle(30s);
  const std::size_t before = seen.size();
  EXPECT_LT(seen.back().done, kImage / 5);
  w.substrate->cut(node.network->self(), alice.network->self(), false);
  w.settle(15s);
  ASSERT_GT(seen.size(), before);
  EXPECT_LE(seen.size(), before + 16);
  EXPECT_GT(seen.back().done, kImage / 3);
}

}  // namespace
}  // namespace dms::provider
