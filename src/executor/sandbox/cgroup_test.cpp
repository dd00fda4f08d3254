#include "executor/sandbox/cgroup.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.hpp"
#include "executor/cpu_quota.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;

TEST(CpuQuota, IsWhatWasReservedDownToTheSmallestShare) {
  for (int millis = 1; millis <= 4000; ++millis) {
    const CpuQuota share = cpu_quota(millis / 1000.0);
    EXPECT_EQ(share.quota_micros * 1000, millis * share.period_micros) << millis;
    EXPECT_GE(share.quota_micros, 1000) << millis;
    EXPECT_EQ(share.period_micros, millis < 10 ? 1'000'000 : 100'000) << millis;
  }
}

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
