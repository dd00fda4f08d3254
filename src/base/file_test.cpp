#include "base/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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
