#include "base/temporary_folder.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "base/file.hpp"

namespace dms {
namespace {

namespace fs = std::filesystem;

void make_old(const fs::path& path) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1));
}

TEST(TemporaryFolderTest, IsRemovedWithItsContent) {
  fs::path path;
  {
    TemporaryFolder made = TemporaryFolder::make("scope").value();
    const TemporaryFolder moved = std::move(made);
    path = moved.path();
    EXPECT_TRUE(write_file(path / "a/b", "b"));
    EXPECT_TRUE(fs::is_directory(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TemporaryFolderTest, IsOfThisUserAlone) {
  const TemporaryFolder made = TemporaryFolder::make("test").value();
  EXPECT_TRUE(fs::status(made.path()).permissions() == fs::perms::owner_all);
  EXPECT_FALSE(TemporaryFolder::make("test", made.path() / "nothing")) << "there is no such folder";
}

TEST(TemporaryFolderTest, InMemoryIsOneOfItsOwn) {
  const TemporaryFolder first = TemporaryFolder::in_memory("test");
  const TemporaryFolder second = TemporaryFolder::in_memory("test");
  EXPECT_NE(first.path(), second.path());
  EXPECT_TRUE(fs::is_directory(first.path()));
}

TEST(TemporaryFolderTest, WhatAKilledProcessHasLeftIsRemovedAndNothingElse) {
  const TemporaryFolder above = TemporaryFolder::make("left").value();
  const TemporaryFolder used = TemporaryFolder::make("inputs", above.path()).value();
  const fs::path left = above.path() / "nunet-inputs-abcdef";
  ASSERT_TRUE(write_file(left / "0.tar", "packed"));
  TemporaryFolder::remove_left("inputs", above.path());
  EXPECT_TRUE(fs::exists(left)) << "it was made a moment ago";
  const std::vector<fs::path> others = {above.path() / "nunet-wallet-abcdef", above.path() / "nunet-inputs-of-mine",
                                        above.path() / "inputs"};
  for (const fs::path& other : others) fs::create_directory(other);
  ASSERT_TRUE(write_file(above.path() / "nunet-inputs-a-file", "mine"));
  fs::create_directory_symlink(others.front(), above.path() / "nunet-inputs-a-link");
  for (const fs::directory_entry& entry : fs::directory_iterator(above.path())) make_old(entry.path());
  TemporaryFolder::remove_left("inputs", above.path());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(used.path())) << "its process lives";
  for (const fs::path& other : others) EXPECT_TRUE(fs::exists(other)) << other;
  EXPECT_TRUE(fs::exists(above.path() / "nunet-inputs-a-file"));
  EXPECT_TRUE(fs::is_symlink(above.path() / "nunet-inputs-a-link"));
  TemporaryFolder::remove_left("inputs", above.path() / "nothing");
}

}  // namespace
}  // namespace dms
