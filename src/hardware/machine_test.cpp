#include "hardware/machine.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <fstream>

namespace dms::hardware {
namespace {

namespace fs = std::filesystem;
using capability::kGiB;
using capability::kMiB;

/// A tree of kernel files as some machine shows them.
class MachineTree : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "nunet-machine-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    options_.root = pattern;
    options_.architecture = "x86_64";
    options_.space = [](const fs::path&) {
      return Space{.total = 100 * kGiB, .free = 40 * kGiB, .major = 8, .minor = 1};
    };
    put("proc/cpuinfo", cpuinfo(2, 2));
    put("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:   12582912 kB\n");
    put("proc/loadavg", "1.50 0.80 0.40 2/345 6789\n");
  }
  void TearDown() override { fs::remove_all(options_.root); }

  void put(const fs::path& path, std::string_view text) {
    fs::create_directories((options_.root / path).parent_path());
    std::ofstream(options_.root / path) << text;
  }
  /// Every core with two threads.
  static std::string cpuinfo(int packages, int cores) {
    std::string text;
    for (int i = 0; i < packages * cores * 2; ++i)
      text += fmt::format(
          "processor\t: {}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) CPU E5 @ 2.40GHz\ncpu MHz\t\t: "
          "{}\n"
          "cache size\t: 20480 KB\nphysical id\t: {}\ncore id\t\t: {}\n\n",
          i, 1800 + i, i / (cores * 2), i % cores);
    return text;
  }

  Options options_;
};

TEST_F(MachineTree, EachPartIsRead) {
  fs::create_directories(options_.root / "sys/devices/pci/block/sda/sda1");
  put("sys/devices/pci/block/sda/queue/rotational", "0\n");
  put("sys/devices/pci/block/sda/device/model", "Samsung SSD 870 \n");
  fs::create_directories(options_.root / "sys/dev/block");
  fs::create_symlink("../../devices/pci/block/sda/sda1", options_.root / "sys/dev/block/8:1");
  const Report report = discover(options_);
  EXPECT_TRUE(report.problems.empty());
  const auto& found = report.resources;
  EXPECT_EQ(found.cpu.cores.millis, 4000U);
  EXPECT_EQ(found.cpu.threads, 8);
  EXPECT_EQ(found.cpu.vendor, "GenuineIntel");
  EXPECT_EQ(found.cpu.clock_speed.hertz, 2'400'000'000U);
  EXPECT_EQ(found.cpu.cache_size.bytes, 20 * kMiB);
  EXPECT_EQ(found.cpu.architecture, "x86_64");
  EXPECT_EQ(found.ram.size.bytes, 16 * kGiB);
  EXPECT_EQ(found.disk.size.bytes, 100 * kGiB);
  EXPECT_EQ(found.disk.type, "SSD");
  EXPECT_EQ(found.disk.model, "Samsung SSD 870");
  EXPECT_TRUE(found.gpus.empty());
}

TEST_F(MachineTree, TheKernelsClockLimitComesFirst) {
  put("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3500000\n");
  EXPECT_EQ(discover(options_).resources.cpu.clock_speed.hertz, 3'500'000'000U);
}

TEST_F(MachineTree, ArmReportsNoCoresAndNoClock) {
  put("proc/cpuinfo",
      "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\n\nprocessor\t: 1\nCPU implementer\t: 0x41\n\n");
  const Report report = discover(options_);
  EXPECT_TRUE(report.problems.empty());
  EXPECT_EQ(report.resources.cpu.cores.millis, 2000U);
  EXPECT_TRUE(report.resources.cpu.clock_speed.empty());
}

TEST_F(MachineTree, ControlGroupsLimitTheMachine) {
  put("proc/self/cgroup", "0::/system.slice/nunet.service\n");
  put("sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
  put("sys/fs/cgroup/system.slice/cpu.max", "150000 100000\n");
  put("sys/fs/cgroup/system.slice/nunet.service/memory.max", "max\n");
  put("sys/fs/cgroup/system.slice/nunet.service/cpu.max", "max 100000\n");
  put("sys/fs/cgroup/system.slice/nunet.service/memory.current", "1073741824\n");
  EXPECT_EQ(discover(options_).resources.ram.size.bytes, 2 * kGiB);
  EXPECT_EQ(discover(options_).resources.cpu.cores.millis, 1500U);
  EXPECT_EQ(usage(options_).resources.ram.size.bytes, kGiB);
}

TEST_F(MachineTree, ControlGroupsOfVersion1LimitTheMachine) {
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(discover(options_).resources.ram.size.bytes, kGiB);
  EXPECT_EQ(discover(options_).resources.cpu.cores.millis, 4000U);
  put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  EXPECT_EQ(discover(options_).resources.cpu.cores.millis, 500U);
}

TEST_F(MachineTree, UsageOfEachPartIsReported) {
  const Report report = usage(options_);
  EXPECT_TRUE(report.problems.empty());
  EXPECT_EQ(report.resources.cpu.cores.millis, 1500U);
  EXPECT_EQ(report.resources.ram.size.bytes, 4 * kGiB);
  EXPECT_EQ(report.resources.disk.size.bytes, 60 * kGiB);
  put("proc/loadavg", "99.0 1 1 1/1 1\n");
  EXPECT_EQ(usage(options_).resources.cpu.cores.millis, 4000U) << "never more than there is";
}

TEST_F(MachineTree, OnePartThatFailsLeavesTheOthers) {
  fs::remove(options_.root / "proc/cpuinfo");
  options_.space = [](const fs::path&) -> Result<Space> { return fail(Errc::io, "disk: gone"); };
  const Report report = discover(options_);
  EXPECT_EQ(report.problems, (std::vector<std::string>{"cpu: /proc/cpuinfo cannot be read", "disk: gone"}));
  EXPECT_EQ(report.resources.ram.size.bytes, 16 * kGiB);
  put("proc/cpuinfo", "\xff\xfe garbage");
  put("proc/meminfo", "MemTotal: lots\n");
  EXPECT_EQ(discover(options_).problems.size(), 3U);
}

TEST(Machine, TheTestMachineIsFound) {
  Options options;
  options.work_dir = fs::temp_directory_path() / "missing" / "work" / "folder";
  const Report report = discover(options);
  EXPECT_TRUE(report.problems.empty()) << report.problems.front();
  EXPECT_FALSE(report.resources.cpu.cores.empty());
  EXPECT_FALSE(report.resources.ram.size.empty());
  EXPECT_FALSE(report.resources.disk.size.empty());
  EXPECT_FALSE(report.resources.cpu.architecture.empty());
  EXPECT_TRUE(capability::subtract(report.resources, usage(options).resources)) << "usage is within what there is";
}

}  // namespace
}  // namespace dms::hardware
