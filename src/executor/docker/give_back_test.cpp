#include "executor/docker/give_back.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "base/remove_tree.hpp"
#include "runtime/process.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;

constexpr uid_t kOwner = 4711;
constexpr uid_t kStranger = 4712;

class GiveBackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "skipped: only root changes owners";
    std::string name = (fs::temp_directory_path() / "give-back-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    above_ = name;
    ASSERT_EQ(::chown(above_.c_str(), kOwner, kOwner), 0);
    fs::create_directory(above_ / "work");
  }
  void TearDown() override {
    if (above_.empty()) return;
    EXPECT_TRUE(remove_tree(above_));
  }
  static uid_t owner(const fs::path& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 ? info.st_uid : 0;
  }
  static void of_stranger(const fs::path& path) { ASSERT_EQ(::lchown(path.c_str(), kStranger, kStranger), 0); }
  fs::path above_;
};

TEST_F(GiveBackTest, EverythingBelowGetsTheOwnerOfTheFolderAbove) {
  const fs::path work = above_ / "work";
  fs::create_directories(work / "closed" / "deeper");
  std::ofstream(work / "closed" / "deeper" / "file") << "x";
  std::ofstream(work / "secret") << "x";
  std::ofstream(above_ / "beside") << "x";
  fs::create_symlink(above_ / "beside", work / "link");
  fs::create_directory_symlink(above_, work / "up");
  for (const char* name : {"", "closed", "closed/deeper", "closed/deeper/file", "secret", "link", "up"})
    of_stranger(work / name);
  of_stranger(above_ / "beside");
  fs::permissions(work / "secret", fs::perms::owner_read | fs::perms::owner_write);
  fs::permissions(work / "closed", fs::perms::none);
  const auto given = give_back(work);
  ASSERT_TRUE(given) << given.error().to_string();
  for (const char* name : {"", "closed", "closed/deeper", "closed/deeper/file", "secret", "link", "up"})
    EXPECT_EQ(owner(work / name), kOwner) << name;
  EXPECT_EQ(owner(above_ / "beside"), kStranger) << "no link is followed";
  EXPECT_EQ(fs::status(work / "secret").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(GiveBackTest, TheDepthIsNotLimited) {
  constexpr int kDepth = 3000;  // more than descriptors, and than a path may have
  Fd at(::open((above_ / "work").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), "ab", 0700), 0);
    at = Fd(::openat(at.get(), "ab", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at);
    ASSERT_EQ(::fchown(at.get(), kStranger, kStranger), 0);
  }
  ASSERT_EQ(::mkdirat(at.get(), "last", 0700), 0);
  const auto given = give_back(above_ / "work");
  ASSERT_TRUE(given) << given.error().to_string();
  struct stat info {};
  ASSERT_EQ(::fstatat(at.get(), "last", &info, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(info.st_uid, kOwner);
}

/// Folders `a` to `c` of each level, of which `b` has the levels below.
void grow(const fs::path& at, int levels, std::vector<fs::path>& made) {
  for (const char* name : {"a", "b", "c"}) {
    fs::create_directories(at / name / "inner");
    made.push_back(at / name);
    made.push_back(at / name / "inner");
  }
  if (levels > 1) grow(at / "b", levels - 1, made);
}

TEST_F(GiveBackTest, TheListsOfFoldersThatWereClosedGoOnWhereTheyWere) {
  std::vector<fs::path> made;
  grow(above_ / "work", 50, made);
  for (const fs::path& path : made) of_stranger(path);
  const auto given = give_back(above_ / "work");
  ASSERT_TRUE(given) << given.error().to_string();
  for (const fs::path& path : made) EXPECT_EQ(owner(path), kOwner) << path;
}

TEST_F(GiveBackTest, WhatHasTheOwnerIsNotWrittenToAndTheProgressIsTold) {
  constexpr std::uint64_t kFiles = 5000;
  for (std::uint64_t i = 0; i < kFiles; ++i) std::ofstream(above_ / "work" / std::to_string(i)) << "x";
  ASSERT_TRUE(give_back(above_ / "work"));
  const auto change = [&](int i) {
    struct stat info {};
    EXPECT_EQ(::lstat((above_ / "work" / std::to_string(i)).c_str(), &info), 0);
    return std::pair(info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
  };
  const auto before = change(7);
  of_stranger(above_ / "work" / "8");
  std::vector<std::uint64_t> told;
  ASSERT_TRUE(give_back(above_ / "work", [&](std::uint64_t entries) { told.push_back(entries); }));
  EXPECT_EQ(change(7), before);
  EXPECT_EQ(owner(above_ / "work" / "8"), kOwner);
  ASSERT_FALSE(told.empty());
  EXPECT_TRUE(std::ranges::is_sorted(told));
  EXPECT_LE(told.back(), kFiles + 1);
}

TEST_F(GiveBackTest, ANameThatIsReportedForgesNoLine) {
  const auto given = give_back(above_ / ("a\nb\x1b" + std::string(200, 'c')));
  ASSERT_FALSE(given);
  const std::string told = given.error().to_string();
  EXPECT_EQ(told.find_first_of("\n\x1b"), std::string::npos) << told;
  EXPECT_LT(told.size(), 150U);
}

TEST_F(GiveBackTest, WhatIsNotThereIsReported) {
  EXPECT_FALSE(give_back(above_ / "absent"));
  EXPECT_FALSE(give_back(above_ / "absent" / "work"));
}

}  // namespace
}  // namespace dms::executor
