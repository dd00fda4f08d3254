#include "base/result.hpp"

#include <gtest/gtest.h>

namespace dms {
namespace {

TEST(Error, CarriesCodeMessageCauseAndPlace) {
  const Error low = Error(Errc::invalid_argument, "no digit").at_byte(17);
  const Error high = low.context(Errc::io, "reading the table");
  EXPECT_EQ(high.code(), describe(Errc::io));
  EXPECT_EQ(high.message(), "reading the table");
  EXPECT_EQ(high.to_string(), "reading the table: no digit");
  EXPECT_TRUE(high.is(Errc::invalid_argument));
  ASSERT_NE(high.cause(), nullptr);
  EXPECT_EQ(high.cause()->message(), "no digit");
  EXPECT_EQ(high.place(), "byte 17") << "context keeps the place";
  EXPECT_EQ(high.context("again").place(), "byte 17");
}

TEST(Error, ThePlaceOfTheOutermostErrorCounts) {
  const Error inner = Error(Errc::invalid_argument, "no digit").at_byte(3);
  EXPECT_EQ(inner.context("in a file").at("line 2, column 5").place(), "line 2, column 5");
  EXPECT_EQ(Error(Errc::internal, "nowhere").place(), "");
}

TEST(Error, CopiesAreNotChangedByTheirOriginalsPlace) {
  const Error plain(Errc::internal, "x");
  const Error copy = plain;
  const Error placed = plain.at_byte(1);
  EXPECT_EQ(copy.place(), "");
  EXPECT_EQ(plain.place(), "");
  EXPECT_EQ(placed.place(), "byte 1");
  EXPECT_EQ(placed.to_string(), "x") << "the message stays as it was written";
}

}  // namespace
}  // namespace dms
