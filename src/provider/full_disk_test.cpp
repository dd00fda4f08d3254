// A whole provider whose disk is full.
#include "provider/housekeeping.hpp"
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

struct FullDiskTest : StartedProvider {};

TEST_F(FullDiskTest, AFullDiskRefusesRequestsAndLeavesTheWorkAlone) {
  begin(kService);
  disk_is_full();
  const protocol::RenewReply renewed = renew(alice, incarnation);
  EXPECT_FALSE(renewed.ok);
  EXPECT_NE(renewed.error.find("no space left"), std::string::npos) << renewed.error;
  EXPECT_EQ(renewed.allocations.at("task").status, AllocationStatus::running);
  EXPECT_NE(restart("")->error.find("no space left"), std::string::npos);
  EXPECT_NE(shutdown()->error.find("no space left"), std::string::npos);
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(report().incarnation, incarnation);
  disk_is_full(false);
  EXPECT_TRUE(renew(alice, incarnation).ok);
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(host->works.size(), 0U);
}

TEST_F(FullDiskTest, AStartOnAFullDiskTakesUpTheWorkAndFreesTheRestLater) {
  begin(kService, 10min);
  const std::size_t needed = in_use();
  close();
  Documents documents = stored();
  std::vector<db::Document>& reservations = documents["resources.promises"];
  reservations.push_back({.id = "left", .json = reservations.front().json});
  stop_daemon();
  boot(documents);
  disk_is_full();
  open();
  EXPECT_EQ(running(), 1);
  EXPECT_EQ(report().incarnation, incarnation);
  disk_is_full(false);
  EXPECT_TRUE(renew(alice, incarnation).ok);
  w.settle(2 * kSweepInterval);
  EXPECT_EQ(in_use(), needed) << "what an earlier run has left is freed";
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(FullDiskTest, ALeaseEndsAlsoWhenTheDiskIsFull) {
  begin(kService);
  disk_is_full();
  w.settle(65s);
  EXPECT_EQ(running(), 0);
  EXPECT_TRUE(notices.empty()) << "the end is stored before it is told";
  disk_is_full(false);
  w.settle(1min);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].status, "terminated");
  EXPECT_EQ(in_use(), 0U);
}

}  // namespace
}  // namespace dms::provider
