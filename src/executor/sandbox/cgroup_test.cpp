#include "executor/sandbox/cgroup.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;

TEST(CgroupStats, AGroupOfVersion1WithoutALimitHasNone) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("cgroup_test_{}", ::getpid());
  fs::create_directories(folder);
  const Cgroup group({folder}, false);
  ASSERT_TRUE(write_file(folder / "memory.limit_in_bytes", "9223372036854771712\n"));
  EXPECT_EQ(group.stats().memory_limit, 0U);
  ASSERT_TRUE(write_file(folder / "memory.limit_in_bytes", "67108864\n"));
  EXPECT_EQ(group.stats().memory_limit, 67108864U);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace dms::executor
