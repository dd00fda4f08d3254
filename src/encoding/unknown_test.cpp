#include "encoding/unknown.hpp"

#include <gtest/gtest.h>

namespace dms::json {
namespace {

struct Place {
  static constexpr std::array<std::string_view, 2> kMembers = {"city", "country"};
};

struct Leaf {
  int size = 0;
  static constexpr auto json_fields() { return std::tuple(field("size", &Leaf::size)); }
};

struct Tree {
  Leaf leaf;
  std::vector<Leaf> list;
  std::vector<std::vector<Leaf>> lists;
  std::map<std::string, Leaf> named;
  std::optional<Leaf> perhaps;
  StringMap labels;
  Value any;
  Place place;
  static constexpr auto json_fields() {
    return std::tuple(field("leaf", &Tree::leaf), field("list", &Tree::list), field("lists", &Tree::lists),
                      field("named", &Tree::named), field("perhaps", &Tree::perhaps), field("labels", &Tree::labels),
                      field("any", &Tree::any), field("place", &Tree::place));
  }
};

std::string unknown(std::string_view text) { return first_unknown<Tree>(parse(text).value()); }

TEST(Unknown, IsNamedByItsPath) {
  EXPECT_EQ(unknown(R"({"colour":"red"})"), "colour");
  EXPECT_EQ(unknown(R"({"leaf":{"size":1,"colour":"red"}})"), "leaf.colour");
  EXPECT_EQ(unknown(R"({"list":[{"size":1},{"colour":1}]})"), "list[1].colour");
  EXPECT_EQ(unknown(R"({"lists":[[],[{},{"colour":1}]]})"), "lists[1][1].colour");
  EXPECT_EQ(unknown(R"({"named":{"a":{},"b":{"colour":true}}})"), "named.b.colour");
  EXPECT_EQ(unknown(R"({"perhaps":{"colour":[0,1]}})"), "perhaps.colour");
  EXPECT_EQ(unknown(R"({"place":{"City":"Graz","zone":1}})"), "place.zone");
  EXPECT_EQ(unknown(fmt::format(R"({{"{}":1}})", std::string(100, 'x'))), std::string(64, 'x'));
}

TEST(Unknown, WhatIsReadInAnyCaseOrIsUnsetIsNone) {
  EXPECT_EQ(unknown(R"({"LEAF":{"Size":1},"labels":{"any":"text"},"any":{"colour":1}})"), "");
  EXPECT_EQ(unknown(R"({"colour":"","leaf":{"colour":{"red":0}},"list":null,"named":5,"place":{"zone":null}})"), "");
  EXPECT_EQ(unknown("[]"), "");
}

TEST(Unknown, TheCallerMayKnowMembersOfTheFirstLevel) {
  const auto value = parse(R"({"colour":1,"leaf":{"colour":1}})").value();
  EXPECT_EQ(first_unknown<Tree>(value, [](std::string_view name) { return name == "colour"; }), "leaf.colour");
}

}  // namespace
}  // namespace dms::json
