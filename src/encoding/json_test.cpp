#include "encoding/json.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>

#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"

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

TEST(JsonValue, AStructBecomesTheValueOfItsText) {
  Outer outer;
  outer.text = "a\n\u00e9";
  outer.items = {{0.5, {"x"}}};
  outer.table = {{"b", 1}};
  const json::Value value = json::to_value(outer);
  EXPECT_EQ(json::write(value), json::encode(outer));
  EXPECT_EQ(value.at("table").at("b").to_number<int>(), 1);
  outer.text = std::string(json::Limits().bytes + 1, 'x');
  EXPECT_EQ(json::to_value(outer).at("Text").as_string().size(), outer.text.size()) << "no limit of parse() holds";
}

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
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(json::parse(nested(64)));
  EXPECT_TRUE(json::parse(nested(65)).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(json::parse(nested(1'000'000)).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(json::parse(R"({"a":{"a":[{}]}})", {.depth = 3}).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(json::parse(R"({"a":{"a":[{}]}})", {.depth = 4}));
  EXPECT_TRUE(json::parse("[0,1]", {.bytes = 5}));
  EXPECT_TRUE(json::parse("[0,12]", {.bytes = 5}).error().is(Errc::limit_exceeded));
}

TEST(Json, AKeyTwiceInOneObjectIsRefusedHoweverItIsWritten) {
  for (const char* text : {R"({"a":1,"a":1})", R"({"a":1,"\u0061":2})", R"([{"b":{"":1,"c":2,"":3}}])"})
    EXPECT_TRUE(json::parse(text).error().is(Errc::invalid_argument)) << text;
  for (const char* text : {R"({"a":{"a":1}})", R"([{"a":1},{"a":1}])", R"({"a":1,"A":1})", R"({"b":{"a":1},"a":1})"})
    EXPECT_TRUE(json::parse(text)) << text;
  // However many keys there are, wherever the second stands.
  for (int keys = 1; keys < 40; ++keys)
    for (int again = -1; again < keys; ++again) {
      std::string text = "{";
      for (int i = 0; i < keys; ++i) text += fmt::format("\"k{}\":{{\"k{}\":0}},", i, i);
      text += fmt::format("\"k{}\":0}}", again);
      EXPECT_EQ(json::parse(text).has_value(), again < 0) << text;
    }
}

// --- vectors made by Go: tests/vectors/make_json_vectors.go ------------------------------------------------------------

const json::Value& go_vectors() {
  static const json::Value vectors = json::parse(test::read_vectors("json/go_json.json")).value();
  return vectors;
}

/// Calls check(value, text) for each row of a kind, and counts.
template <class F>
std::size_t for_each_vector(std::string_view kind, F&& check) {
  std::size_t rows = 0;
  for (const json::Value& row : go_vectors().at(kind).as_array()) {
    const auto& text = row.at("text").as_string();
    check(row.at("value"), std::string(text.data(), text.size()));
    ++rows;
  }
  return rows;
}

Bytes from_hex(const json::Value& value) {
  const auto& text = value.as_string();
  return hex_decode({text.data(), text.size()}).value();
}
template <class U>
U bits(const json::Value& value) {
  U number = 0;
  for (const std::uint8_t byte : from_hex(value)) number = static_cast<U>(number << 8 | byte);
  return number;
}

TEST(GoJson, Float64) {
  const auto rows = for_each_vector("float64", [](const json::Value& value, const std::string& text) {
    const auto number = std::bit_cast<double>(bits<std::uint64_t>(value));
    EXPECT_EQ(json::Writer().number(number).text(), text);
    // Read and written again it is the same text: signatures depend on it. (-0 is read as 0.)
    if (text != "-0") {
      EXPECT_EQ(json::encode(json::decode<double>(text).value()), text);
    }
  });
  EXPECT_GT(rows, 300U);
}

TEST(GoJson, Float32) {
  const auto rows = for_each_vector("float32", [](const json::Value& value, const std::string& text) {
    const auto number = std::bit_cast<float>(bits<std::uint32_t>(value));
    EXPECT_EQ(json::Writer().number(number).text(), text);
    EXPECT_EQ(json::decode<float>(text).value(), number);
  });
  EXPECT_GT(rows, 300U);
}

TEST(GoJson, Strings) {
  const auto rows = for_each_vector("string", [](const json::Value& value, const std::string& text) {
    const Bytes bytes = from_hex(value);
    EXPECT_EQ(json::Writer().string(as_text(bytes)).text(), text) << hex_encode(bytes);
    const std::string back = json::decode<std::string>(text).value();
    if (json::is_utf8(as_text(bytes))) {
      EXPECT_EQ(back, as_text(bytes));
    }
  });
  EXPECT_GT(rows, 350U);
}

TEST(GoJson, WholeNumbersBytesAndMaps) {
  EXPECT_GT(for_each_vector("int64",
                            [](const json::Value& value, const std::string& text) {
                              const auto number = static_cast<std::int64_t>(bits<std::uint64_t>(value));
                              EXPECT_EQ(json::encode(number), text);
                              EXPECT_EQ(json::decode<std::int64_t>(text).value(), number);
                            }),
            10U);
  EXPECT_GT(for_each_vector("uint64",
                            [](const json::Value& value, const std::string& text) {
                              EXPECT_EQ(json::encode(bits<std::uint64_t>(value)), text);
                              EXPECT_EQ(json::decode<std::uint64_t>(text).value(), bits<std::uint64_t>(value));
                            }),
            5U);
  EXPECT_GT(for_each_vector("bytes",
                            [](const json::Value& value, const std::string& text) {
                              EXPECT_EQ(json::encode(from_hex(value)), text);
                              EXPECT_EQ(json::decode<Bytes>(text).value(), from_hex(value));
                            }),
            30U);
  EXPECT_GT(for_each_vector("map",
                            [](const json::Value& value, const std::string& text) {
                              std::map<std::string, int> table;
                              int index = 0;
                              for (const json::Value& key : value.as_array())
                                table[std::string(as_text(from_hex(key)))] = index++;
                              EXPECT_EQ(json::encode(table), text);
                            }),
            20U);
}

TEST(GoJson, DocumentsAreWrittenAsTheyWereRead) {
  for (const json::Value& document : go_vectors().at("document").as_array()) {
    const std::string text(document.as_string().data(), document.as_string().size());
    const auto value = json::decode<Outer>(text);
    ASSERT_TRUE(value) << text << ": " << value.error().to_string();
    EXPECT_EQ(json::encode(*value), text);
    EXPECT_EQ(json::write(json::parse(text).value()), text);
  }
}

// --- properties ----------------------------------------------------------------------------------------------------------

/// Any document, of some depth at most.
json::Value any_document(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 8 : 6)) {
    case 0: return nullptr;
    case 1: return *rc::gen::arbitrary<bool>();
    case 2: return *rc::gen::arbitrary<std::int64_t>();
    case 3: return *rc::gen::arbitrary<std::uint64_t>();
    case 4: {
      const auto number = std::bit_cast<double>(*rc::gen::arbitrary<std::uint64_t>());
      return std::isfinite(number) ? number : 0.5;
    }
    case 5: return boost::json::string(*rc::gen::arbitrary<std::string>());
    case 6: {
      json::Array array;
      for (int n = *rc::gen::inRange(0, 5); n > 0; --n) array.push_back(any_document(depth - 1));
      return array;
    }
    default: {
      json::Object object;
      for (int n = *rc::gen::inRange(0, 5); n > 0; --n)
        object[*rc::gen::arbitrary<std::string>()] = any_document(depth - 1);
      return object;
    }
  }
}

RC_GTEST_PROP(Json, CanonicalTextIsStableUnderReading, ()) {
  const json::Value document = any_document(4);
  const std::string once = json::write(document);
  auto read = json::parse(once);
  if (!read) {  // two keys that are no UTF-8 may have become one
    RC_ASSERT(read.error().to_string().find("twice") != std::string::npos);
    return;
  }
  const std::string twice = json::write(*read);
  RC_ASSERT(json::is_utf8(once));
  const auto again = json::parse(twice);
  RC_ASSERT(again.has_value());
  RC_ASSERT(json::write(*again) == twice);
  RC_ASSERT(json::write(json::parse(json::write_pretty(*read)).value()) == twice);
}

RC_GTEST_PROP(Json, Utf8TextRoundTrips, (const std::string& bytes)) {
  const std::string text = json::encode(bytes);
  const auto back = json::decode<std::string>(text);
  RC_ASSERT(back.has_value());
  if (json::is_utf8(bytes)) RC_ASSERT(*back == bytes);
  RC_ASSERT(text.find_first_of("<>&\n") == std::string::npos);
}

TEST(Json, PrettyFormIsIndentedByTwo) {
  EXPECT_EQ(json::write_pretty(*json::parse(R"({"a":[1,{}],"b":{"c":null}})")),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": null\n  }\n}");
}

TEST(Json, ValidatesUtf8) {
  EXPECT_TRUE(json::is_utf8("a\u00e9\u2028\U0001f600"));
  for (const char* text : {"\xff", "\xc0\x80", "\xed\xa0\x80", "a\xe2\x80", "\xf4\x90\x80\x80"})
    EXPECT_FALSE(json::is_utf8(text));
}

}  // namespace
}  // namespace dms
