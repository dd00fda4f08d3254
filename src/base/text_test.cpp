#include "base/text.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace dms {
namespace {

TEST(Text, ControlsBidiOverridesAndInvalidUtf8AreEscaped) {
  EXPECT_EQ(printable("a\nb\x1b[2J\x7f\tc\r"), "a\\x0ab\\x1b[2J\\x7f\\x09c\\x0d");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("x\u009b2J\u0080\u009f"), "x\\u009b2J\\u0080\\u009f");
  EXPECT_EQ(printable("\u202a\u202b\u202c\u202d\u202e|\u2066\u2067\u2068\u2069|\u2028\u2029"),
            "\\u202a\\u202b\\u202c\\u202d\\u202e|\\u2066\\u2067\\u2068\\u2069|\\u2028\\u2029");
  EXPECT_EQ(printable("\x9b"
                      "2J"),
            "\\x9b2J")
      << "a C1 control of an 8-bit terminal";
  EXPECT_EQ(printable("\xc1\x9b\xe0\x80\x9b\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82"),
            "\\xc1\\x9b\\xe0\\x80\\x9b\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xe2\\x82")
      << "overlong, surrogate, above the last code point, cut short";
}

TEST(Text, EverythingElseIsUnchanged) {
  for (const std::string_view text :
       {"", "plain ~", "C:\\x1b", "é\u00a0\u07ff\u0800\u2027\u202f\u2065\u206a\uffff\U00010000\U0010ffff"})
    EXPECT_EQ(printable(text), text);
}

RC_GTEST_PROP(Text, EscapedTextIsValidAndIsNotEscapedAgain, (const std::string& text)) {
  const std::string once = printable(text);
  for (std::string_view rest = once; !rest.empty(); rest.remove_prefix(utf8_length(rest)))
    RC_ASSERT(utf8_length(rest) > 0);
  RC_ASSERT(printable(once) == once);
}

TEST(Text, JsonKeepsItsValueAndItsLayout) {
  EXPECT_EQ(printable_json("{\n\t\"a\": \"x\u009b\u202e\x7f\u2066é\\n\"\n}"),
            "{\n\t\"a\": \"x\\u009b\\u202e\\u007f\\u2066é\\n\"\n}");
  EXPECT_EQ(printable_json("\"\xff\""), "\"\\ufffd\"");
}

TEST(Text, ShortenedBetweenCharacters) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc");
  EXPECT_EQ(shortened("a\u00e9b", 2), "a");
  EXPECT_EQ(shortened("a\u00e9b", 3), "a\u00e9");
  EXPECT_EQ(shortened("\u20ac", 2), "");
}

TEST(Text, AForgedLineIsIndented) {
  EXPECT_EQ(printable_lines("failed: x\nCompleted\x1b\n"), "failed: x\n  Completed\\x1b\n  ");
  EXPECT_EQ(printable_lines("one"), "one");
  EXPECT_EQ(printable_lines(""), "");
}

}  // namespace
}  // namespace dms
