// What reasons of users say of many.
#include "orchestrator/deployment/reasons.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace dms::orchestrator {
namespace {

TEST(Reasons, AreJoinedUpToTheirBound) {
  std::string reasons;
  add_reason(reasons, "");
  add_reason(reasons, "one");
  add_reason(reasons, "another");
  EXPECT_EQ(reasons, "one; another");
  for (int i = 0; i < 10'000; ++i) add_reason(reasons, "one more");
  EXPECT_TRUE(reasons.starts_with("one; another; one more")) << reasons;
  EXPECT_TRUE(reasons.ends_with("...")) << reasons;
  EXPECT_LE(reasons.size(), kMaxReasons + 3);
  const std::string before = reasons;
  add_reason(reasons, "one more");
  EXPECT_EQ(reasons, before) << "repeated, it changes nothing";
}

TEST(Reasons, NameAFewAndCountTheRest) {
  EXPECT_EQ(few_of(std::vector<std::string>{"a"}), "a");
  EXPECT_EQ(few_of(std::vector<std::string>{"a", "b", "c"}), "a, b, c");
  EXPECT_EQ(few_of(std::vector<std::string>{"a", "b", "c", "d"}), "a, b, c and 1 other");
  EXPECT_EQ(few_of(std::vector<std::string>(60, "a")), "a, a, a and 57 others");
}

}  // namespace
}  // namespace dms::orchestrator
