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

TEST(Location, PlacesAreApartIfBothStateTheirAreaAndItDiffers) {
  const Location berlin = place("Europe", "DE", "Berlin");
  EXPECT_TRUE(are_apart(Area::machine, berlin, berlin));
  EXPECT_TRUE(are_apart(Area::machine, {}, {}));
  EXPECT_TRUE(are_apart(Area::continent, berlin, place("Asia")));
  EXPECT_FALSE(are_apart(Area::continent, berlin, place("Europe", "FR", "Paris")));
  EXPECT_TRUE(are_apart(Area::country, berlin, place("Europe", "FR")));
  EXPECT_TRUE(are_apart(Area::country, berlin, place("", "FR"))) << "the country is what is asked for";
  EXPECT_FALSE(are_apart(Area::country, berlin, place("Europe", "DE", "Bonn")));
  EXPECT_FALSE(are_apart(Area::country, berlin, place("Europe", "de"))) << "another way to write it";
  EXPECT_FALSE(are_apart(Area::country, berlin, place("Asia"))) << "it does not state its country";
  EXPECT_TRUE(are_apart(Area::city, berlin, place("Europe", "DE", "Bonn")));
  EXPECT_FALSE(are_apart(Area::city, berlin, place("Europe", "FR"))) << "it does not state its city";
  EXPECT_FALSE(are_apart(Area::city, berlin, place("Europe", "", "Paris"))) << "nor this its country";
}

TEST(Location, CitiesOfOneNameInTwoCountriesAreTwo) {
  EXPECT_TRUE(are_apart(Area::city, place("Europe", "FR", "Paris"), place("North America", "US", "Paris")));
  EXPECT_TRUE(are_apart(Area::city, place("Europe", "A", "Bc"), place("Europe", "AB", "c")));
  EXPECT_FALSE(are_apart(Area::city, place("Europe", "FR", "Paris"), place("Europe", "FR", "PARIS")));
}

TEST(Location, WhatAPlaceDoesNotStateOfAnAreaIsNamed) {
  EXPECT_EQ(unstated(Area::machine, {}), "");
  EXPECT_EQ(unstated(Area::continent, {}), "continent");
  EXPECT_EQ(unstated(Area::country, place("Europe")), "country");
  EXPECT_EQ(unstated(Area::city, place("Europe")), "country");
  EXPECT_EQ(unstated(Area::city, place("Europe", "DE")), "city");
  EXPECT_EQ(unstated(Area::city, place("", "DE", "Berlin")), "");
  EXPECT_EQ(area_text(Area::city, place("Europe", "DE", "Berlin")), "Berlin, DE");
  EXPECT_EQ(area_text(Area::country, place("Europe", "DE", "Berlin")), "DE");
  EXPECT_EQ(area_text(Area::continent, place("Europe")), "Europe");
  EXPECT_EQ(area_text(Area::city, place("Europe", "DE")), "");
  EXPECT_EQ(plural(Area::city), "cities");
}

}  // namespace
}  // namespace dms::capability
