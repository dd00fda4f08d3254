// Where in its input a JSON reader failed: Error::place().
#include <gtest/gtest.h>

#include "encoding/json.hpp"

namespace dms {
namespace {

TEST(Error, MembersOfNestedInputAreCollectedOnTheWayOut) {
  const Error wrong = json::wrong_kind("a number", json::Value("x")).error();
  const Error error = json::at_member("Resources", json::at_member("cpu", json::at_index(2, wrong)));
  EXPECT_EQ(error.place(), "Resources.cpu[2]");
  EXPECT_EQ(error.to_string(), "Resources.cpu[2]: expected a number, found a string");
}

TEST(Error, AMessageThatNamesItsMemberIsAPathToo) {
  const Error error = json::at_index(0, Error(Errc::invalid_argument, "gpus[1].index: it is given twice"));
  EXPECT_EQ(error.message(), "[0].gpus[1].index: it is given twice");
  EXPECT_EQ(error.place(), "[0].gpus[1].index");
  const Error prose = json::at_member("iss", Error(Errc::invalid_argument, "this is no DID: a b"));
  EXPECT_EQ(prose.message(), "iss: this is no DID: a b") << "words before a colon are no path";
  EXPECT_EQ(prose.place(), "iss");
}

TEST(Error, AMembersTextHasPositionsOfItsOwn) {
  const auto read = json::decode<std::map<std::string, Bytes>>(R"({"key":"AA!="})");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().place(), "key, byte 2");
  EXPECT_EQ(read.error().path(), "key");
  EXPECT_EQ(read.error().position(), "byte 2");
}

TEST(Error, AWrappedErrorKeepsItsCauseAndPathBelowAMember) {
  const Error inner = json::at_member("exp", json::wrong_kind("a number", json::Value("x")).error());
  const Error error = json::at_member("tok", json::at_index(1, inner.context("not a token")));
  EXPECT_EQ(error.to_string(), "tok[1]: not a token: exp: expected a number, found a string");
  EXPECT_EQ(error.place(), "tok[1].exp");
}

TEST(Error, JsonSaysTheByte) {
  EXPECT_EQ(json::parse("[1,]").error().place(), "byte 3");
  EXPECT_EQ(json::parse("[] x").error().place(), "byte 3");
  EXPECT_EQ(json::parse(R"({"a":1,"a":2})").error().place(), "byte 9") << "where the second key ends";
}

}  // namespace
}  // namespace dms
