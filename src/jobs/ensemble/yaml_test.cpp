#include "jobs/ensemble/yaml.hpp"

#include <gtest/gtest.h>

namespace dms::jobs {
namespace {

std::string read(std::string_view text) {
  const auto value = read_yaml(text);
  return value ? json::write(value->root) : value.error().to_string();
}

TEST(Yaml, ReadsScalars) {
  EXPECT_EQ(read("[1, -2, +3, 0x10, 0o17, 0b101, 1_000, 1.5, 1e3, .5]"), "[1,-2,3,16,15,5,1000,1.5,1000,0.5]");
  EXPECT_EQ(read("[true, False, ~, null, '', yes, no]"), R"([true,false,null,null,"","yes","no"])");
  EXPECT_EQ(read(R"(["1", '2', !!str 3, 1.2.3, .inf, nan, -, 0x, 1_a, --1])"),
            R"(["1","2","3","1.2.3",".inf","nan","-","0x","1_a","--1"])");
  EXPECT_EQ(read("[18446744073709551615, 18446744073709551616, -9223372036854775808]"),
            "[18446744073709551615,18446744073709552000,-9223372036854775808]")
      << "from 2^64 on a number is a double, and written as Go writes one";
  EXPECT_EQ(read("a: |\n  x\n  y\n"), R"({"a":"x\ny\n"})");
  EXPECT_EQ(read("1: a\ntrue: b\n"), R"({"1":"a","true":"b"})") << "keys are names";
}

TEST(Yaml, AnchorsAndMergeKeys) {
  EXPECT_EQ(read("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\n"), R"({"base":{"x":1,"y":2},"mine":{"y":3,"x":1}})");
  EXPECT_EQ(read("a: &a {x: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b]}\n"),
            R"({"a":{"x":1},"b":{"x":2,"z":2},"c":{"x":1,"z":2}})");
  EXPECT_EQ(read("a: &a [*a]"), "line 1, column 8: an alias inside the value it refers to");
  EXPECT_EQ(read_yaml("a: 1\na: 2\n").error().place(), "line 2, column 4");
  EXPECT_EQ(read_yaml("a: *missing").error().place(), "line 1, column 4");
  EXPECT_EQ(read("a: {<<: 1}"), "line 1, column 4: << merges a map or a list of maps");
}

TEST(Yaml, RefusalsNameTheirPlace) {
  EXPECT_EQ(read("a: 1\na: 2\n"), "line 2, column 4: the key a is here twice");
  EXPECT_EQ(read("{[1]: 2}"), "line 1, column 2: expected a name as key, found a list or a map");
  EXPECT_EQ(read("a: !!binary aGk="), "line 1, column 4: the tag tag:yaml.org,2002:binary is not supported here");
  EXPECT_EQ(read("a: [x\xff]"), "line 1, column 5: expected text in UTF-8");
  EXPECT_EQ(read(""), "the text holds no document");
  EXPECT_EQ(read("a: 1\n---\nb: 2\n"), "expected one document, found a second");
  EXPECT_TRUE(read("a: [1").starts_with("line ")) << read("a: [1");
  EXPECT_TRUE(read("a: *missing").starts_with("line 1, column 4")) << read("a: *missing");
}

TEST(Yaml, TextScalarsKeepTheTextAsWritten) {
  const auto value = read_yaml("{a: [0022, 1_000, 0x1F, True, 1.10, '07', ~], b: }", Scalars::text);
  ASSERT_TRUE(value);
  EXPECT_EQ(json::write(value->root), R"({"a":["0022","1_000","0x1F","True","1.10","07",null],"b":null})");
}

TEST(Yaml, AnUnrenderedTemplateIsReportedAsSuch) {
  EXPECT_EQ(read("peer: {{ peer_id }}"), "line 1: {{ peer_id }} is not filled in; render the template first");
  EXPECT_EQ(read("a: 1\n{$contract}\nb: 2\n"), "line 2: {$contract} is not filled in; render the template first");
  EXPECT_EQ(read("a: 1\n{% if x %}\nb: {{x}}{{ y }} # {{ z }}\n"),
            "this is a template; render it first:\n  line 2: {% if x %} is not filled in\n"
            "  line 3: {{x}} is not filled in\n  line 3: {{ y }} is not filled in");
  EXPECT_EQ(read("a: \"{{ x }}\"\n"), R"({"a":"{{ x }}"})") << "in quotes it is text";
  EXPECT_EQ(read("a: '{{ x }}'\na: 1\n"), "line 2, column 4: the key a is here twice");
  EXPECT_EQ(read("b: '{{ x }}'\n{[1]: 2}: 3\n"), "line 2, column 1: expected a name as key, found a list or a map");
}

TEST(Yaml, ReportsTopLevelKeysUsedThroughAnAlias) {
  const auto value = read_yaml("a: &a {x: &x 1}\nb: &b 2\nc: [*a, *x]\nd: &d\n  e: &e 1\nf: *e\n");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->aliased, std::set<std::string>{"a"});
}

TEST(Yaml, LimitsAreEnforced) {
  EXPECT_EQ(read(std::string(40, '[') + std::string(40, ']')), "line 1, column 33: nested deeper than 32 levels");
  EXPECT_TRUE(read(std::string(100'000, '[')).starts_with("line 1"));
  EXPECT_TRUE(read(std::string(100'000, '{')).starts_with("line 1"));
  std::string stairs;
  for (std::size_t i = 0; i < 1000; ++i) stairs += std::string(i, ' ') + "a:\n";
  EXPECT_TRUE(read(stairs).find("nested deeper") != std::string::npos);
  std::string laughs = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    laughs += fmt::format("{0}: &{0} [", c);
    for (int i = 0; i < 9; ++i) laughs += fmt::format("*{}{}", static_cast<char>(c - 1), i < 8 ? ", " : "]\n");
  }
  EXPECT_TRUE(read(laughs).find("aliases counted in full") != std::string::npos) << read(laughs).substr(0, 200);
  std::string long_text = "a: &a \"" + std::string(500'000, 'x') + "\"\nb: [";
  for (int i = 0; i < 1000; ++i) long_text += "*a, ";
  EXPECT_TRUE(read(long_text + "]").find("aliases counted in full") != std::string::npos) << "long text counts, too";
  EXPECT_TRUE(read(std::string(2 * 1024 * 1024, ' ')).find("at most") != std::string::npos);
}

}  // namespace
}  // namespace dms::jobs
