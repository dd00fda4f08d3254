#include "base/json.hpp"

#include <gtest/gtest.h>

namespace dms {
namespace {

struct Inner {
  double cores = 0;
  std::vector<std::string> names;
  static constexpr auto json_fields() {
    return std::tuple(json::field("cores", &Inner::cores), json::field("names", &Inner::names, json::omit_empty));
  }
};

struct Outer {
  std::string text;
  std::uint64_t nonce = 0;
  Bytes data;
  std::vector<Inner> items;
  std::map<std::string, int> table;
  std::optional<bool> maybe;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Text", &Outer::text), json::field("nonce", &Outer::nonce),
                      json::field("data", &Outer::data), json::field("items", &Outer::items),
                      json::field("table", &Outer::table, json::omit_empty),
                      json::field("maybe", &Outer::maybe, json::omit_empty));
  }
};

std::string message_of(std::string_view text) {
  auto decoded = json::decode<Outer>(text);
  return decoded ? "accepted" : decoded.error().message();
}

TEST(Json, WritesWhatGoWrites) {
  Outer value{.text = "a<b>&\"\\\n\t\x01\x7f\u2028é\xff",
              .nonce = 18446744073709551615ULL,
              .data = to_bytes("hi"),
              .items = {{.cores = 0.5}}};
  EXPECT_EQ(json::encode(value), R"({"Text":"a\u003cb\u003e\u0026\"\\\n\t\u0001)"
                                 "\x7f"
                                 R"(\u2028é\ufffd","nonce":18446744073709551615,)"
                                 R"("data":"aGk=","items":[{"cores":0.5}]})");
}

TEST(Json, NumbersHaveGosShortestForm) {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},           {1, "1"},       {-2.5, "-2.5"},       {1e20, "100000000000000000000"}, {1e21, "1e+21"},
      {1e-6, "0.000001"}, {1e-7, "1e-7"}, {1.5e-10, "1.5e-10"}, {123456789.125, "123456789.125"}};
  for (const auto& [number, text] : cases) EXPECT_EQ(json::Writer().number(number).text(), text);
  EXPECT_EQ(json::Writer().number(0.1F).text(), "0.1") << "a 32-bit number has a 32-bit shortest form";
}

TEST(Json, ReadsBackWhatItWrote) {
  const Outer value{.text = "x",
                    .nonce = 7,
                    .data = {1, 2, 3},
                    .items = {{.cores = 2, .names = {"a", "b"}}},
                    .table = {{"k", -1}},
                    .maybe = true};
  const std::string text = json::encode(value);
  auto back = json::decode<Outer>(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(json::encode(*back), text);
}

TEST(Json, KeysMatchInAnyCaseAndUnknownOnesAreIgnored) {
  auto value = json::decode<Outer>(R"({"TEXT":"t","Nonce":3,"other":[1],"items":null})");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->text, "t");
  EXPECT_EQ(value->nonce, 3u);
}

TEST(Json, AMemberInTwoCasesIsRefused) {
  EXPECT_EQ(message_of(R"({"nonce":1,"Nonce":2})"), "JSON has the key 'nonce' twice, in two letter cases");
  EXPECT_NE(message_of(R"({"items":[{"cores":1,"CORES":2}]})"), "accepted");
  EXPECT_NE(message_of("{\"items\":[{\"cores\":1,\"core\u017f\":2}]}"), "accepted") << "Go folds the long s";
  EXPECT_EQ(json::decode<Outer>("{\"item\u017f\":[{\"cores\":1}]}")->items.size(), 1u);
  EXPECT_EQ(json::decode<Outer>(R"({"table":{"a":1,"A":2}})")->table.size(), 2u) << "keys of a map are what they are";
  const json::Value value = json::parse("{\"TO\u212a\":1,\"toK2\":2}").value();
  EXPECT_EQ(*json::read_member(value.get_object(), "tok").value(), 1) << "and the Kelvin sign";
}

TEST(Json, RefusalsNameTheFieldAndWhatWasExpected) {
  EXPECT_EQ(message_of(R"({"items":[{"cores":1},{"cores":"two"}]})"),
            "items[1].cores: expected a number, found a string");
  EXPECT_EQ(message_of(R"({"nonce":-1})"), "nonce: the number does not fit into 64 bits");
  EXPECT_EQ(message_of(R"({"nonce":-0})"), "nonce: expected a whole number, found a fraction");
  EXPECT_EQ(message_of(R"({"nonce":1.5})"), "nonce: expected a whole number, found a fraction");
  EXPECT_EQ(message_of(R"([])"), "expected an object, found a list");
  EXPECT_EQ(message_of(R"({"Text":"a","Text":"b"})"), "JSON has the key 'Text' twice");
  EXPECT_NE(message_of(R"({"Text":"a"} x)"), "accepted");
  EXPECT_NE(message_of("{\"Text\":\"\xff\"}"), "accepted") << "invalid UTF-8";
  EXPECT_NE(message_of(R"({"data":"not base64!"})"), "accepted");
}

TEST(Json, LimitsHold) {
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_TRUE(json::parse(deep).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(json::parse("\"0123456789\"", {.bytes = 5}).error().is(Errc::limit_exceeded));
}

TEST(Json, PrettyFormIsIndentedByTwo) {
  EXPECT_EQ(json::write_pretty(*json::parse(R"({"a":[1,{}],"b":{"c":null}})")),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": null\n  }\n}");
}

TEST(Json, KnowsUtf8) {
  EXPECT_TRUE(json::is_utf8("a\u00e9\u2028\U0001f600"));
  for (const char* text : {"\xff", "\xc0\x80", "\xed\xa0\x80", "a\xe2\x80", "\xf4\x90\x80\x80"})
    EXPECT_FALSE(json::is_utf8(text));
}

}  // namespace
}  // namespace dms
