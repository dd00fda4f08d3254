#include "capability/location.hpp"

#include <gtest/gtest.h>

namespace dms::capability {
namespace {

Location place(std::string continent, std::string country = "", std::string city = "") {
  return {
      .continent = std::move(continent), .country = std::move(country), .city = std::move(city), .asn = 0, .isp = ""};
}

TEST(Location, MatchesFieldByField) {
  const Location berlin = place("Europe", "DE", "Berlin");
  EXPECT_TRUE(matches(place("Europe"), berlin));
  EXPECT_TRUE(matches(place("Europe", "DE"), berlin));
  EXPECT_FALSE(matches(place("Europe", "FR"), berlin));
  EXPECT_FALSE(matches(place("europe"), berlin)) << "letter case counts";
  EXPECT_FALSE(matches(place("Europe", "DE", "Berlin"), place("Europe", "DE"))) << "an unknown city is not Berlin";
  Location isp = place("Europe");
  isp.asn = 3320;
  EXPECT_FALSE(matches(isp, berlin));
}

TEST(Location, AnAcceptListOverridesTheRejectList) {
  LocationConstraints constraints;
  EXPECT_TRUE(constraints.allows(place("Asia")));
  constraints.reject = {place("Europe", "DE")};
  EXPECT_FALSE(constraints.allows(place("Europe", "DE")));
  EXPECT_TRUE(constraints.allows(place("Europe", "FR")));
  constraints.accept = {place("Europe")};
  EXPECT_TRUE(constraints.allows(place("Europe", "DE")));
  EXPECT_FALSE(constraints.allows(place("Asia")));
}

TEST(Location, ARejectedNetworkMatchesAPlaceThatDoesNotStateItsOwn) {
  LocationConstraints constraints;
  constraints.reject = {place("Europe", "DE")};
  constraints.reject[0].asn = 3320;
  constraints.reject[0].isp = "Telekom";
  EXPECT_FALSE(constraints.allows(place("Europe", "DE")));
  EXPECT_TRUE(constraints.allows(place("Europe", "FR")));
  Location other = place("Europe", "DE");
  other.asn = 680;
  EXPECT_TRUE(constraints.allows(other));
}

TEST(Location, ReadsBothNamesOfTheContinent) {
  auto old = json::decode<Location>(R"({"region":"Europe","country":"DE"})");
  ASSERT_TRUE(old);
  EXPECT_EQ(*old, place("Europe", "DE"));
  EXPECT_EQ(json::encode(*old), R"({"continent":"Europe","country":"DE"})");
  EXPECT_EQ(json::encode(Location{}), "{}");
}

}  // namespace
}  // namespace dms::capability
