#include "provider/disk_use.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace dms::provider {
namespace {

namespace fs = std::filesystem;

struct DiskUseTest : testing::Test {
  DiskUseTest() {
    std::string name = (fs::temp_directory_path() / "nunet-disk-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  ~DiskUseTest() override { fs::remove_all(folder); }
  void write(const fs::path& name, std::size_t size) const {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << std::string(size, 'x');
  }

  fs::path folder;
};

TEST_F(DiskUseTest, FilesOfAllLevelsCountAndNothingOutside) {
  write("outside/large", 8 << 20);
  EXPECT_EQ(disk_use(folder / "none").value(), 0U);
  write("job/a", 1 << 20);
  const std::uint64_t one = disk_use(folder / "job").value();
  EXPECT_GE(one, 1U << 20);
  write("job/b/c/d", 1 << 20);
  const std::uint64_t two = disk_use(folder / "job").value();
  EXPECT_GE(two, one + (1U << 20));
  fs::create_directory_symlink(folder / "outside", folder / "job/link");
  fs::create_symlink(folder / "outside/large", folder / "job/b/link");
  EXPECT_LT(disk_use(folder / "job").value(), two + (1U << 20)) << "a link is not followed";
}

TEST_F(DiskUseTest, AFolderWithoutEndIsNotCounted) {
  fs::path deep = folder / "job";
  for (int i = 0; i < kMaxCountedDepth + 2; ++i) deep /= "d";
  fs::create_directories(deep);
  const auto counted = disk_use(folder / "job");
  ASSERT_FALSE(counted);
  EXPECT_TRUE(counted.error().is(Errc::limit_exceeded)) << counted.error().to_string();
}

}  // namespace
}  // namespace dms::provider
