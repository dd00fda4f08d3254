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

TEST(Reasons, AreCutToTheirRoomTheLongestFirst) {
  std::string none;
  std::string brief = "no such image";
  std::string longer(1000, 'x');
  std::string longest(2000, 'y');
  std::string escaped(1000, '<');  // six bytes of JSON each
  const std::vector<std::string*> texts{&none, &brief, &longer, &longest, &escaped};
  fit(texts, 100'000);
  EXPECT_EQ(longest.size(), 2000u) << "there is room";
  fit(texts, 1213);
  EXPECT_EQ(none, "");
  EXPECT_EQ(brief, "no such image");
  EXPECT_TRUE(longer.starts_with("xxx")) << longer;
  EXPECT_TRUE(longer.ends_with("x... (624 more bytes)")) << longer;
  EXPECT_TRUE(longest.ends_with("y... (1624 more bytes)")) << longest;
  EXPECT_TRUE(escaped.ends_with("<... (938 more bytes)")) << escaped;
  std::size_t all = 0;
  for (const std::string* text : texts) all += json_size(*text);
  EXPECT_LE(all, 1213u);
}

TEST(Reasons, AreCutBetweenTwoCharacters) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "\u00e9";
  fit({&text}, 100);
  EXPECT_TRUE(json::is_utf8(text)) << text;
  EXPECT_TRUE(text.ends_with(" more bytes)")) << text;
  std::string nothing(100, '"');
  fit({&nothing}, 0);
  EXPECT_EQ(nothing, "... (100 more bytes)");
}

}  // namespace
}  // namespace dms::orchestrator
