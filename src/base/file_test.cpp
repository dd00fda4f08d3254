#include "base/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace dms {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/dms-file-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  static unsigned mode_of(const std::filesystem::path& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
  }
  std::filesystem::path folder_;
};

TEST_F(FileTest, ReplacesAtomicallyAndLeavesNoTemporaryFile) {
  const auto path = folder_ / "a" / "b" / "note";
  ASSERT_TRUE(write_file(path, "first"));
  ASSERT_TRUE(write_file(path, "second", 0640));
  EXPECT_EQ(*read_file(path, 100), "second");
  EXPECT_EQ(mode_of(path), 0640U);
  EXPECT_EQ(mode_of(folder_ / "a"), 0700U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);
}

TEST_F(FileTest, WhatAKilledProcessLeavesIsRemoved) {
  ASSERT_TRUE(write_file(folder_ / "inner/log", "kept"));
  const pid_t child = ::fork();
  if (child == 0) {  // every write from the first byte on is refused by a signal
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_FSIZE, &none);
    (void)write_file(folder_ / "inner/log", "lost");
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) found.push_back(entry.path().filename().string());
    return found;
  };
  EXPECT_EQ(names().size(), 2u);
  std::ofstream(folder_ / ".hidden.log");
  std::ofstream(folder_ / "log.12.1");
  EXPECT_EQ(remove_unfinished_writes(folder_), 1u);
  EXPECT_THAT(names(), testing::UnorderedElementsAre("log", ".hidden.log", "log.12.1"));
  EXPECT_EQ(read_file(folder_ / "inner/log", 10), "kept");
  EXPECT_EQ(remove_unfinished_writes(folder_ / "nowhere"), 0u);
}

/// The first process of a container has the same number each time.
TEST_F(FileTest, WhatAKilledProcessOfTheSameNumberHasLeftIsNoObstacle) {
  for (int i = 0; i < 300; ++i) std::ofstream(folder_ / fmt::format(".log.{}.{}", ::getpid(), i));
  const Result<void> written = write_file(folder_ / "log", "text");
  EXPECT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(read_file(folder_ / "log", 10), "text");
}

TEST_F(FileTest, ReadsNoMoreThanAllowed) {
  const auto path = folder_ / "note";
  ASSERT_TRUE(write_file(path, "12345"));
  EXPECT_TRUE(read_file(path, 5));
  EXPECT_TRUE(read_file(path, 4).error().is(Errc::limit_exceeded));
}

TEST_F(FileTest, MissingFilesAndFoldersAreErrors) {
  EXPECT_TRUE(read_file(folder_ / "none", 5).error().is(Errc::not_found));
  ASSERT_TRUE(write_file(folder_ / "file", ""));
  EXPECT_FALSE(write_file(folder_ / "file" / "below", ""));
}

}  // namespace
}  // namespace dms
