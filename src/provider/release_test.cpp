// The files and the disk of what a whole provider releases.
#include "provider/housekeeping.hpp"
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

struct ReleaseTest : StartedProvider {};

TEST_F(ReleaseTest, TheDiskStaysReservedUntilTheFilesOfTheWorkCanBeRemoved) {
  begin({.runs_for = 1s});
  w.settle(5s);
  ASSERT_EQ(notices.size(), 1U);
  host->gives_files = false;
  const auto refused = shutdown();
  ASSERT_TRUE(refused) << refused.error().to_string();
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("another user's"), std::string::npos) << refused->error;
  restart_daemon();
  EXPECT_EQ(resources->list().size(), 1U);
  EXPECT_TRUE(host->given.empty());
  host->gives_files = true;
  w.settle(2 * kSweepInterval);
  EXPECT_EQ(resources->list().size(), 0U);
  EXPECT_EQ(host->given, std::vector{folder / "jobs" / "e_task" / "work"});
}

TEST_F(ReleaseTest, FilesThatTheEngineCannotGiveAreQuarantinedAtLast) {
  begin({.runs_for = 1s});
  w.settle(5s);
  host->gives_files = false;
  host->refusal = Errc::io;
  const auto refused = shutdown();
  ASSERT_TRUE(refused) << refused.error().to_string();
  EXPECT_FALSE(refused->ok);
  EXPECT_EQ(resources->list().size(), 1U);
  w.settle(kTakings * kSweepInterval);
  EXPECT_EQ(resources->list().size(), 0U);
  EXPECT_EQ(provider->allocations(), 0U);
}

TEST_F(ReleaseTest, AReleaseThatTakesLongHoldsUpNothing) {
  begin({.runs_for = 1s});
  w.settle(5s);
  host->giving = 24h;
  const Result<protocol::Ack> asked = shutdown();
  ASSERT_TRUE(asked) << "before the request expires: " << asked.error().to_string();
  EXPECT_TRUE(asked->in_progress) << asked->error;
  ASSERT_EQ(host->giving_now, 1);
  ASSERT_TRUE(call(bob, protocol::kBidRequest, bid_request("other")));
  EXPECT_EQ(provider->bids(), 1U);
  w.settle(kBidTime + 3 * kSweepInterval);
  EXPECT_EQ(provider->bids(), 0U) << "housekeeping goes on";
  EXPECT_EQ(host->giving_now, 1);
  const SteadyTime before = w.world.now();
  close();
  EXPECT_LT(w.world.now() - before, 1min) << "nor does it hold up the end of the daemon";
  EXPECT_EQ(host->giving_now, 0);
}

TEST_F(ReleaseTest, WhatIsInQuarantineIsNotGivenBeforeTheEngineAnswers) {
  const std::filesystem::path jobs = folder / "jobs";
  std::filesystem::create_directories(jobs / "stray");
  host->answers = false;
  restart_daemon();
  w.settle(2min);
  EXPECT_TRUE(host->given.empty());
  EXPECT_TRUE(std::filesystem::is_empty(jobs)) << "what is the daemon's own needs no engine";
  const std::filesystem::path left = jobs / ".quarantine-1-left";
  std::filesystem::create_directories(left);
  host->answers = true;
  w.settle(2min);
  EXPECT_EQ(host->given, std::vector{left});
  EXPECT_FALSE(std::filesystem::exists(left));
}

TEST_F(ReleaseTest, TheDiskOfWhatHasEndedStaysTakenUntilItIsReleased) {
  begin({.runs_for = 1s});
  w.settle(5s);
  const auto only_disk = [this] {
    const auto held = resources->find("e_task");
    return held && held->resources.cpu.cores.empty() && held->resources.ram.size.empty() &&
           held->resources.disk == machine(1, 1).disk;
  };
  EXPECT_TRUE(only_disk());
  restart_daemon();
  EXPECT_TRUE(only_disk());
  w.settle(5min);
  EXPECT_TRUE(only_disk()) << "a sweep frees no more";
  capability::Resources all;
  all.disk.size = {8 * capability::kGiB};
  EXPECT_FALSE(run(resources->commit("other", all, w.world.now() + 1min)));
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_TRUE(run(resources->commit("other", all, w.world.now() + 1min)));
}

}  // namespace
}  // namespace dms::provider
