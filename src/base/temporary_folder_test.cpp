#include "base/temporary_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <optional>

namespace dms {
namespace {

TEST(TemporaryFolder, IsOfThisUserAloneAndGoesWithWhatIsInIt) {
  std::filesystem::path path;
  {
    auto made = TemporaryFolder::make("test");
    ASSERT_TRUE(made) << made.error().to_string();
    std::optional<TemporaryFolder> folder(std::move(*made));
    path = folder->path();
    EXPECT_EQ(made->path(), "") << "it has moved";
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    std::filesystem::create_directories(path / "deep" / "er");
    std::ofstream(path / "deep" / "file") << "x";
    const auto inner = TemporaryFolder::make("inner", path);
    ASSERT_TRUE(inner);
    EXPECT_EQ(inner->path().parent_path(), path);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(TemporaryFolder::make("test", path)) << "there is no such folder";
}

TEST(TemporaryFolder, InMemoryIsOneOfItsOwn) {
  const TemporaryFolder first = TemporaryFolder::in_memory("test");
  const TemporaryFolder second = TemporaryFolder::in_memory("test");
  EXPECT_NE(first.path(), second.path());
  EXPECT_TRUE(std::filesystem::is_directory(first.path()));
}

}  // namespace
}  // namespace dms
