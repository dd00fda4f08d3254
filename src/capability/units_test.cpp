#include "capability/units.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace dms::capability {
namespace {

TEST(ByteSize, ReadsTheFormsInUse) {
  const std::pair<const char*, std::uint64_t> cases[] = {{"0", 0},
                                                         {"2GiB", 2 * kGiB},
                                                         {" 1.5 GiB ", 3 * kGiB / 2},
                                                         {"512mib", 512 * kMiB},
                                                         {"10KB", 10'000},
                                                         {"1.25 k", 1250},
                                                         {"7", 7},
                                                         {"16EiB", 0},
                                                         {"0.5b", 1},
                                                         {"18446744073709551615", UINT64_MAX},
                                                         {"3Gi", 3 * kGiB}};
  for (const auto& [text, bytes] : cases) {
    auto size = ByteSize::parse(text);
    if (bytes == 0 && std::string_view(text) != "0") {
      EXPECT_FALSE(size) << text << " does not fit";
    } else {
      ASSERT_TRUE(size) << text;
      EXPECT_EQ(size->bytes, bytes) << text;
    }
  }
  EXPECT_EQ(ByteSize::parse("2", kGiB)->bytes, 2 * kGiB);
  EXPECT_EQ(ByteSize::parse("0.1", kGiB)->bytes, 107374182U);
}

TEST(ByteSize, RefusesOtherText) {
  for (const char* text :
       {"", " ", "GiB", "-1", "1.2.3", "1 2", "2 GiBs", "0x10", "1e3", ".", "18446744073709551616", "nan", "1,5 GB"})
    EXPECT_FALSE(ByteSize::parse(text)) << text;
  EXPECT_EQ(ByteSize::parse("2 apples").error().message(),
            "expected a size such as 512MiB or 2 GiB, found \"2 apples\"");
  EXPECT_FALSE(ByteSize::parse(std::string(100'000, '1')));
}

TEST(ByteSize, IsPrintedShort) {
  EXPECT_EQ(ByteSize{0}.to_string(), "0 B");
  EXPECT_EQ(ByteSize{kGiB}.to_string(), "1 GiB");
  EXPECT_EQ(ByteSize{kGiB * 3 / 2}.to_string(), "1.5 GiB");
  EXPECT_EQ(ByteSize{100 * kGiB}.to_string(), "100 GiB");
  EXPECT_EQ(ByteSize{1000}.to_string(), "1000 B");
}

TEST(ByteSize, PrintedSizesReadBackWithinAHundredth) {
  SeededRandom random(1);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bytes = random.u64() >> random.below(63);
    auto back = ByteSize::parse(ByteSize{bytes}.to_string());
    ASSERT_TRUE(back) << ByteSize{bytes}.to_string();
    const double error = std::abs(static_cast<double>(back->bytes) - static_cast<double>(bytes));
    EXPECT_LE(error, static_cast<double>(bytes) * 0.01 + 1) << bytes;
  }
}

TEST(Hertz, ReadsAndShows) {
  EXPECT_EQ(Hertz::parse("3.2GHz")->hertz, 3'200'000'000U);
  EXPECT_EQ(Hertz::parse("2400 MHz")->to_string(), "2.4 GHz");
  EXPECT_EQ(Hertz::parse("2.5", kGHz)->hertz, 2'500'000'000U);
  EXPECT_FALSE(Hertz::parse("2 GiB"));
}

TEST(Millicores, ReadsAndShows) {
  EXPECT_EQ(Millicores::parse("0.5")->millis, 500U);
  EXPECT_EQ(Millicores::parse("1500m")->to_string(), "1.5");
  EXPECT_EQ(Millicores::parse("1000m")->described(), "1 core");
  EXPECT_EQ(Millicores::parse("0.5")->described(), "0.5 cores");
  EXPECT_FALSE(Millicores::parse("2000000"));
  EXPECT_FALSE(Millicores::from_cores(-0.1));
  EXPECT_FALSE(Millicores::from_cores(std::numeric_limits<double>::quiet_NaN()));
  EXPECT_EQ(Millicores::from_cores(0.0001)->millis, 1U) << "a positive number never becomes zero";
}

TEST(Millicores, SurviveJsonExactly) {
  for (std::uint64_t millis = 0; millis < 20'000; ++millis) {
    auto back = json::decode<Millicores>(json::encode(Millicores{millis}));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->millis, millis);
  }
}

}  // namespace
}  // namespace dms::capability
