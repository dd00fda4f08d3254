#include "executor/sandbox/cgroup.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "base/file.hpp"
#include "executor/cpu_quota.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

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

/// What stands for /sys/fs/cgroup and /proc/self/cgroup.
struct CgroupExplanation : testing::Test {
  CgroupExplanation() {
    fs::create_directories(root / "own");
    EXPECT_TRUE(write_file(self, "0::/own\n"));
  }
  ~CgroupExplanation() override {
    fs::permissions(root / "own", fs::perms::owner_all);
    fs::remove_all(root);
  }
  [[nodiscard]] std::string explain(bool is_root) const { return CgroupTree::explain_missing(is_root, root, self); }

  fs::path root = fs::temp_directory_path() / fmt::format("cgroup_test_{}_root", ::getpid());
  fs::path self = root / "self";
};

TEST_F(CgroupExplanation, WithoutAHierarchyRootIsNoRemedy) {
  for (const bool is_root : {true, false}) {
    EXPECT_THAT(explain(is_root), HasSubstr("no hierarchy of control groups is mounted at " + root.string()));
    EXPECT_THAT(explain(is_root), Not(HasSubstr("as root")));
  }
}

TEST_F(CgroupExplanation, ControllersThatAreMissingAreTold) {
  ASSERT_TRUE(write_file(root / "cgroup.controllers", "cpu memory pids\n"));
  ASSERT_TRUE(write_file(root / "own" / "cgroup.controllers", "memory\n"));
  EXPECT_THAT(explain(true), HasSubstr("(it has 'memory')"));
  EXPECT_THAT(explain(true), Not(HasSubstr("as root")));
  EXPECT_THAT(explain(false), HasSubstr("Delegate=yes"));
}

TEST_F(CgroupExplanation, AGroupOfAnotherUserIsTold) {
  if (::geteuid() == 0) GTEST_SKIP() << "skipped: root may write to every folder";
  ASSERT_TRUE(write_file(root / "cgroup.controllers", "cpu memory pids\n"));
  fs::permissions(root / "own", fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_THAT(explain(false), HasSubstr("this user may not write to the control group"));
  EXPECT_THAT(explain(false), HasSubstr("run the daemon as root, or as a systemd service with Delegate=yes"));
}

}  // namespace
}  // namespace dms::executor
