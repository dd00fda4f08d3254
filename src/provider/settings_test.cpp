#include "provider/settings.hpp"

#include <gtest/gtest.h>

namespace dms::provider {
namespace {

TEST(ProviderSettings, TheDefaultsAreValidAndThoseOfTheParts) {
  Settings settings;
  ASSERT_TRUE(settings.check());
  const LeaseBounds bounds = settings.bounds();
  const LeaseBounds defaults;
  EXPECT_EQ(bounds.shortest, defaults.shortest);
  EXPECT_EQ(bounds.longest, defaults.longest);
  EXPECT_EQ(bounds.usual, defaults.usual);
  EXPECT_EQ(bounds.silence, defaults.silence);
  EXPECT_EQ(settings.retention_time(), 24h);
  EXPECT_EQ(settings.most_results(), 100ULL << 30);
}

TEST(ProviderSettings, AnImpossibleLengthIsRefusedWithItsKey) {
  const auto place = [](Settings settings) {
    const Result<void> checked = settings.check();
    return checked ? std::string() : checked.error().place();
  };
  EXPECT_EQ(place({.min_lease = "10"}), "job.min_lease");
  EXPECT_EQ(place({.min_lease = "500ms"}), "job.min_lease");
  EXPECT_EQ(place({.min_lease = "2h", .max_lease = "1h"}), "job.min_lease");
  EXPECT_EQ(place({.default_lease = "1s"}), "job.default_lease");
  EXPECT_EQ(place({.longest_silence = "0s"}), "job.longest_silence");
  EXPECT_EQ(place({.retention = ""}), "job.retention");
  EXPECT_EQ(place({.max_results = "much"}), "job.max_results");
  EXPECT_EQ(place({.min_lease = "1m", .max_lease = "1h30m", .default_lease = "90m", .retention = "1h"}), "");
}

TEST(ProviderSettings, PricesAreDecimalNumbers) {
  PriceSettings settings;
  ASSERT_TRUE(settings.check());
  EXPECT_EQ(settings.prices().core, 0u);
  settings = {.node = "1", .core = "0.25", .memory = "0.000001", .disk = "999999999.999999"};
  ASSERT_TRUE(settings.check());
  EXPECT_EQ(settings.prices().node, 1'000'000u);
  EXPECT_EQ(settings.prices().core, 250'000u);
  EXPECT_EQ(settings.prices().memory, 1u);
  EXPECT_EQ(settings.prices().disk, 999'999'999'999'999u);
  for (const char* wrong : {"", ".5", "1.", "-1", "+1", "1e3", "1 NTX", "1.2.3", "0.0000001", "1000000000"}) {
    settings = {.disk = wrong};
    const Result<void> refused = settings.check();
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().place(), "price.disk") << wrong;
  }
}

TEST(ProviderSettings, NoLeaseIsLongerThanWhatIsKeptOfOne) {
  Settings settings;
  settings.max_lease = "87600h";
  EXPECT_TRUE(settings.check());
  settings.max_lease = "87601h";
  const Result<void> refused = settings.check();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("at most 87600h"), std::string::npos) << refused.error().to_string();
}

}  // namespace
}  // namespace dms::provider
