#include "base/log.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace dms::log {
namespace {

/// What a sink sees, kept beyond the call.
class Captured {
 public:
  Captured() {
    set_level(Level::debug);
    set_sink([this](const Line& line) {
      lines.push_back({line.level, std::string(line.module), std::string(line.text), to_text(line.fields)});
    });
  }
  ~Captured() {
    set_sink({});
    set_level(Level::warn);
  }
  struct Seen {
    Level level;
    std::string module, text, fields;
  };
  std::vector<Seen> lines;
};

TEST(Log, FieldsAreTypedAndFollowTheText) {
  Captured captured;
  const std::string id = "a1";
  info("node",
       {{"allocation", id}, {"exit_code", -1}, {"bytes", std::uint64_t{1} << 63}, {"ok", false}, {"took", 20ms}},
       "allocation {} has ended", id);
  warn("node", "without {}", "fields");
  line(Level::trace, "node", {}, "not at this level");
  ASSERT_EQ(captured.lines.size(), 2U);
  EXPECT_EQ(captured.lines[0].level, Level::info);
  EXPECT_EQ(captured.lines[0].module, "node");
  EXPECT_EQ(captured.lines[0].text, "allocation a1 has ended");
  EXPECT_EQ(captured.lines[0].fields, " allocation=a1 exit_code=-1 bytes=9223372036854775808 ok=false took=0.02s");
  EXPECT_EQ(captured.lines[1].fields, "");
}

TEST(Log, TextValuesThatAreNotPlainAreQuoted) {
  const auto text = [](std::string_view value) {
    const Field field("v", value);
    return to_text({&field, 1});
  };
  EXPECT_EQ(text("12D3KooW/ip4:1.2.3.4@x-y_z+5%#"), " v=12D3KooW/ip4:1.2.3.4@x-y_z+5%#");
  EXPECT_EQ(text(""), " v=\"\"");
  EXPECT_EQ(text("a b"), " v=\"a b\"");
  EXPECT_EQ(text("a=b"), " v=\"a=b\"");
  EXPECT_EQ(text("\"\\\n"), " v=\"\\\"\\\\\\x0a\"");
  EXPECT_EQ(text(std::string(5000, 'x')).size(), 3 + kMaxField);
}

RC_GTEST_PROP(Log, WhateverTheValueTheTextHasOneLineAndAsManyFields,
              (const std::string& first, const std::string& second)) {
  const Field fields[] = {{"first", first}, {"second", second}};
  const std::string text = to_text(fields);
  for (const char c : text) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  // A reader that parses quotes and escapes finds exactly two fields.
  std::size_t names = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (text[i] == '=' && !quoted)
      ++names;
  }
  RC_ASSERT(!quoted);
  RC_ASSERT(names == 2U);
}

TEST(Log, PrintableTextIsOneLine) {
  EXPECT_EQ(printable("a\nb\x1b[2J\x7f\tc"), "a\\x0ab\\x1b[2J\\x7f\\x09c");
  EXPECT_EQ(printable("é"), "é");
  EXPECT_EQ(printable("\u009b2J\u202e"), "\\u009b2J\\u202e");
}

}  // namespace
}  // namespace dms::log
