#include "provider/disk_use.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

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
  EXPECT_EQ(disk_use(folder / "none").value().bytes, 0U);
  write("job/a", 1 << 20);
  const std::uint64_t one = disk_use(folder / "job").value().bytes;
  EXPECT_GE(one, 1U << 20);
  write("job/b/c/d", 1 << 20);
  const std::uint64_t two = disk_use(folder / "job").value().bytes;
  EXPECT_GE(two, one + (1U << 20));
  fs::create_directory_symlink(folder / "outside", folder / "job/link");
  fs::create_symlink(folder / "outside/large", folder / "job/b/link");
  EXPECT_LT(disk_use(folder / "job").value().bytes, two + (1U << 20)) << "a link is not followed";
}

TEST_F(DiskUseTest, AFileWithSeveralNamesCountsOnce) {
  write("job/a", 8 << 20);
  const std::uint64_t one = disk_use(folder / "job").value().bytes;
  for (const char* name : {"b", "c", "d"}) fs::create_hard_link(folder / "job/a", folder / "job" / name);
  EXPECT_LE(disk_use(folder / "job").value().bytes, one + 4 * kEntry);
}

TEST_F(DiskUseTest, ManyEntriesCountAsLongAsThereIsRoom) {
  write("job/0", 0);
  for (std::size_t i = 1; i <= kMaxCounted; ++i)
    fs::create_hard_link(folder / "job/0", folder / fmt::format("job/{}", i));
  const DiskUse few = disk_use(folder / "job").value();
  EXPECT_FALSE(few.all);
  EXPECT_TRUE(few.cut);
  EXPECT_EQ(few.bytes, kMaxCounted * kEntry) << "a name takes room, too";
  EXPECT_FALSE(disk_use(folder / "job", kMaxCounted * kEntry - 1).value().all);
  const DiskUse all = disk_use(folder / "job", kMaxCounted * kEntry).value();
  EXPECT_TRUE(all.all);
  EXPECT_EQ(all.bytes, (kMaxCounted + 1) * kEntry);
}

TEST_F(DiskUseTest, CountingIsCancelled) {
  write("job/a", 1);
  std::stop_source source;
  source.request_stop();
  const Result<DiskUse> counted = disk_use(folder / "job", 0, source.get_token());
  ASSERT_FALSE(counted);
  EXPECT_TRUE(counted.error().is(Errc::cancelled)) << counted.error().to_string();
}

TEST_F(DiskUseTest, AFolderThatItsOwnUserHasClosedCounts) {
  if (::geteuid() == 0) GTEST_SKIP() << "skipped: root reads every folder";
  write("job/open", 1 << 20);
  write("job/closed/file", 8 << 20);
  fs::permissions(folder / "job/closed", fs::perms::none);
  fs::permissions(folder / "job", fs::perms::owner_write);
  const Result<DiskUse> counted = disk_use(folder / "job");
  fs::permissions(folder / "job", fs::perms::owner_all);
  fs::permissions(folder / "job/closed", fs::perms::owner_all);
  ASSERT_TRUE(counted) << counted.error().to_string();
  EXPECT_TRUE(counted->all);
  EXPECT_GE(counted->bytes, 9U << 20);
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
