#include "provider/prices.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "protocol/bid.hpp"

namespace dms::provider {
namespace {

capability::Resources asked(std::uint64_t millicores, std::uint64_t memory, std::uint64_t disk) {
  capability::Resources resources;
  resources.cpu.cores = {millicores};
  resources.ram.size = {memory};
  resources.disk.size = {disk};
  return resources;
}

TEST(Prices, ANodeCostsWhatItsPartsCostAndPartsOfAMillionthCountAsOne) {
  EXPECT_EQ(Prices().of(asked(4000, capability::kGiB, capability::kGiB)), 0u);
  const Prices prices{.node = 5, .core = 1000, .memory = 200, .disk = 10};
  EXPECT_EQ(prices.of(asked(2000, 3 * capability::kGiB, capability::kGiB / 2)), 5u + 2000u + 600u + 5u);
  EXPECT_EQ(prices.of(asked(500, 0, 1)), 5u + 500u + 1u);
}

TEST(Prices, WhatIsBeyondTheLargestPriceCountsAsThat) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const Prices prices{.node = kMost, .core = kMost, .memory = kMost, .disk = kMost};
  EXPECT_EQ(prices.of(asked(kMost, kMost, kMost)), protocol::kMaxPrice);
}

}  // namespace
}  // namespace dms::provider
