#include "hardware/host.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace dms::hardware {
namespace {

TEST(Host, HasAName) { EXPECT_FALSE(hostname().value().empty()); }

TEST(Host, TheInterfacesAreThoseOfTheKernel) {
  const std::filesystem::path listed = "/sys/class/net";
  std::error_code error;
  if (!std::filesystem::is_directory(listed, error)) GTEST_SKIP() << "skipped: no /sys/class/net";
  const std::vector<Interface> all = network_interfaces().value();
  for (const Interface& each : all) EXPECT_TRUE(std::filesystem::exists(listed / each.name)) << each.name;
  const auto loopback = std::ranges::find(all, "lo", &Interface::name);
  if (loopback == all.end()) GTEST_SKIP() << "skipped: no loopback interface";
  EXPECT_TRUE(loopback->addresses.empty() || std::ranges::count(loopback->addresses, "127.0.0.1/8") == 1);
  EXPECT_EQ(loopback->mac_address, "") << "all zeros is no address";
}

}  // namespace
}  // namespace dms::hardware
