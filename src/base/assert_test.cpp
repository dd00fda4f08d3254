#include "base/assert.hpp"

#include <gtest/gtest.h>
#include <vector>

#include "base/log.hpp"

namespace dms::assertion {
namespace {

TEST(AssertDeathTest, AFatalOneNamesPlaceTextAndCondition) {
  const int held = 3;
  DMS_ASSERT(held == 3, "holds");
  EXPECT_DEATH(DMS_ASSERT(held > 5, "{} leases are held", held),
               "bug: .*assert_test.cpp:[0-9]+: 3 leases are held \\[held > 5\\]");
}

TEST(Assert, ACountedOneIsLoggedOnceAndCountedEachTime) {
  std::vector<std::string> lines;
  log::set_sink([&](const log::Line& line) { lines.emplace_back(line.text); });
  const std::uint64_t before = failures();
  int went_on = 0;
  for (int i = 0; i < 5; ++i)
    if (!DMS_EXPECT(i < 2, "{} is too large", i)) ++went_on;
  log::set_sink({});
  EXPECT_EQ(went_on, 3) << "it evaluates to its condition";
  EXPECT_EQ(failures() - before, 3U);
  EXPECT_EQ(lines, (std::vector<std::string>{"2 is too large"}));
}

TEST(Assert, ACountedOneFormatsOnlyWhatFailed) {
  int formatted = 0;
  const auto text = [&] {
    ++formatted;
    return "x";
  };
  EXPECT_TRUE(DMS_EXPECT(formatted == 0, "{}", text()));
  EXPECT_EQ(formatted, 0);
}

TEST(AssertDeathTest, ADebugOneIsEvaluatedOnlyInBuildsWithDebugChecks) {
  int evaluated = 0;
  DMS_DEBUG_ASSERT(++evaluated > 0, "counts");
#ifdef DMS_DEBUG_CHECKS
  EXPECT_EQ(evaluated, 1);
  EXPECT_DEATH(DMS_DEBUG_ASSERT(evaluated == 0, "is fatal"), "is fatal");
#else
  EXPECT_EQ(evaluated, 0);
  DMS_DEBUG_ASSERT(evaluated == 1, "is not looked at");
#endif
}

}  // namespace
}  // namespace dms::assertion
