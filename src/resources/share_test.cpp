// The share that settings name, and what is proposed where they name none.
#include "resources/share.hpp"

#include <gtest/gtest.h>

namespace dms::resources {
namespace {

using capability::kGiB;
using capability::kMiB;

Machine machine() {
  Machine made;
  made.total.cpu.cores = {8000};
  made.total.cpu.architecture = "x86_64";
  made.total.cpu.clock_speed = {3 * capability::kGHz};
  made.total.ram.size = {16 * kGiB + 1};
  made.total.disk.size = {100 * kGiB};
  made.used.disk.size = {60 * kGiB};
  return made;
}

TEST(Share, HalfOfTheMachineAndOfItsFreeDiskIsProposed) {
  const auto share = share_of({}, machine());
  ASSERT_TRUE(share);
  EXPECT_EQ(share->cpu.cores.millis, 4000U);
  EXPECT_EQ(share->cpu.architecture, "x86_64");
  EXPECT_EQ(share->cpu.clock_speed.hertz, 3 * capability::kGHz);
  EXPECT_EQ(share->ram.size.bytes, 8 * kGiB);
  EXPECT_EQ(share->disk.size.bytes, 20 * kGiB);
  Machine full = machine();
  full.used.disk.size = {200 * kGiB};
  EXPECT_EQ(share_of({}, full)->disk.size.bytes, kMiB);
}

TEST(Share, WhatTheSettingsNameIsTakenUpToAllOfTheMachine) {
  const auto share = share_of({.cpu = "8", .ram = "512MiB", .disk = "3"}, machine());
  ASSERT_TRUE(share);
  EXPECT_EQ(share->cpu.cores.millis, 8000U);
  EXPECT_EQ(share->ram.size.bytes, 512 * kMiB);
  EXPECT_EQ(share->disk.size.bytes, 3 * kGiB);
  EXPECT_EQ(share_of({.cpu = "500m"}, machine())->ram.size.bytes, 8 * kGiB) << "what they leave out is proposed";
  const auto error = [](const ShareSettings& settings) {
    const auto refused = share_of(settings, machine());
    return refused ? std::string() : refused.error().to_string();
  };
  EXPECT_NE(error({.cpu = "9"}).find("onboarding.cpu: this machine has 8, 9 is to be offered"), std::string::npos)
      << error({.cpu = "9"});
  EXPECT_NE(error({.ram = "17"}).find("onboarding.ram: "), std::string::npos);
  EXPECT_NE(error({.disk = "1TiB"}).find("onboarding.disk: "), std::string::npos);
}

TEST(Share, TheSettingsOfAProposalGiveTheSameShare) {
  const auto proposed = share_of({}, machine()).value();
  const ShareSettings settings = settings_of(proposed);
  EXPECT_EQ(settings.ram, "8192MiB");
  EXPECT_EQ(share_of(settings, machine()).value(), proposed);
}

TEST(Share, AWrongSettingIsRefusedWithItsKey) {
  const auto place = [](ShareSettings settings) {
    const Result<void> checked = settings.check();
    return checked ? std::string() : checked.error().place();
  };
  EXPECT_EQ(place({}), "");
  EXPECT_EQ(place({.cpu = "0.5", .ram = "1", .disk = "64MiB"}), "");
  EXPECT_EQ(place({.cpu = "0"}), "onboarding.cpu");
  EXPECT_EQ(place({.cpu = "two"}), "onboarding.cpu");
  EXPECT_EQ(place({.ram = "0MiB"}), "onboarding.ram");
  EXPECT_EQ(place({.disk = "1 parsec"}), "onboarding.disk");
}

}  // namespace
}  // namespace dms::resources
