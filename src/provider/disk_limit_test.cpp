// A whole provider whose work takes more than its disk.
#include <gmock/gmock.h>

#include "base/file.hpp"
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;
using testing::HasSubstr;

constexpr std::uint64_t kDisk = 64 * 1024;

struct DiskLimitTest : WholeProvider {
  void SetUp() override {
    WholeProvider::SetUp();
    open();
    script("e_task", {.runs_for = std::nullopt});
    host->written_elsewhere.emplace();
    protocol::AllocateRequest request = allocate_request("e", "task", 1, 10min);
    request.allocations["task"].resources.disk.size = {kDisk};
    begin(request);
  }
  [[nodiscard]] std::filesystem::path work_folder() const { return host->works.begin()->second.request.work_dir; }
  void write(const char* name, std::size_t size) const {
    std::filesystem::create_directories(work_folder());
    ASSERT_TRUE(write_file(work_folder() / name, std::string(size, 'x')));
  }
};

TEST_F(DiskLimitTest, ARunThatTakesMoreThanItsDiskIsEnded) {
  write("small", kDisk / 2);
  w.settle(1min);
  ASSERT_EQ(running(), 1) << "it has room";
  write("large", kDisk);
  w.settle(kLongestDiskPause + 1s);
  EXPECT_EQ(running(), 0);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].status, to_string(AllocationStatus::failed));
  EXPECT_TRUE(notices[0].error.killed);
  EXPECT_THAT(notices[0].reason, HasSubstr(fmt::format("its disk is {} bytes", kDisk)));
  EXPECT_EQ(report().status, AllocationStatus::failed);
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(DiskLimitTest, WhatItWritesOutsideOfItsFolderCounts) {
  write("small", kDisk / 2);
  host->written_elsewhere->bytes = kDisk / 4;
  w.settle(1min);
  ASSERT_EQ(running(), 1) << "it has room";
  std::filesystem::create_directories(folder / "volume");
  ASSERT_TRUE(write_file(folder / "volume" / "file", std::string(kDisk, 'x')));
  host->written_elsewhere->folders.push_back(folder / "volume");
  w.settle(2 * kLongestDiskPause + 1s);
  EXPECT_EQ(running(), 0);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices[0].reason, HasSubstr("disk limit"));
}

TEST_F(DiskLimitTest, AlsoOneThatTheDaemonHasTakenUp) {
  write("large", 2 * kDisk);
  restart_daemon();
  w.settle(kLongestDiskPause + 1s);
  EXPECT_EQ(running(), 0);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices[0].reason, HasSubstr("disk limit"));
}

TEST_F(DiskLimitTest, AnEndThatIsStoredComesAlsoIfThereIsRoomAgain) {
  close();
  Documents documents = stored();
  std::string& record = documents.at("allocations").front().json;
  record.insert(record.find('{') + 1, R"("over_disk":"disk limit: it was above it",)");
  stop_daemon();
  boot(documents);
  open();
  w.settle(5s);
  EXPECT_EQ(running(), 0);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].reason, "disk limit: it was above it");
}

TEST_F(DiskLimitTest, TheReasonIsToldAlsoWhereItCannotBeStoredBefore) {
  write("large", 2 * kDisk);
  disk_is_full();
  w.settle(kLongestDiskPause + 1s);
  EXPECT_EQ(running(), 0);
  disk_is_full(false);
  w.settle(kLongestRetry + 1s);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices[0].reason, HasSubstr("disk limit"));
}

TEST_F(DiskLimitTest, ARestartRunsOnlyIfThereIsRoom) {
  const std::filesystem::path large = work_folder() / "large";
  write("large", 2 * kDisk);
  w.settle(kLongestDiskPause + 1s);
  ASSERT_EQ(running(), 0);
  ASSERT_EQ(executor->started(), 1U);
  const auto refused = restart(incarnation);
  ASSERT_TRUE(refused) << refused.error().to_string();
  EXPECT_FALSE(refused->ok);
  EXPECT_THAT(refused->error, HasSubstr("disk limit"));
  EXPECT_TRUE(refused->restart_failed);
  EXPECT_EQ(refused->incarnation, report().incarnation);
  EXPECT_EQ(report().status, AllocationStatus::failed);
  EXPECT_EQ(report().reason, refused->error);
  EXPECT_TRUE(report().restart_failed);
  EXPECT_EQ(page("stdout", 0).error, "");
  EXPECT_TRUE(page("stdout", 0).eof) << "it has written nothing";
  EXPECT_EQ(executor->started(), 1U);
  std::filesystem::remove(large);
  const auto again = restart(refused->incarnation);
  ASSERT_TRUE(again && again->ok) << (again ? again->error : again.error().to_string());
  EXPECT_FALSE(again->restart_failed);
  w.settle(1min);
  EXPECT_EQ(running(), 1);
}

}  // namespace
}  // namespace dms::provider
