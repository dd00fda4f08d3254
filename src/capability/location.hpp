// The location of a machine, and the locations where a job may run.
//
// Rules, as on the existing network: a constraint matches a place if the continents are equal and every other field
// that the constraint sets is equal, letter case included. If an accept list is given, one of it must match and the
// reject list is ignored; without one, none of the reject list may match. A place with an unknown field does not match
// a constraint on it. Beyond that: a reject list with an ASN or ISP matches a place that does not state its own.
//
// Two places are in different areas only if both state theirs. Names are compared in any letter case, so that two ways
// to write a country are not two countries. A city is one of its country.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "encoding/json.hpp"
#include "encoding/named_enum.hpp"

namespace dms::capability {

/// As machines state them: the names of GeoLite2, from which the existing network takes its locations. Messages may
/// have others.
inline constexpr std::array<std::string_view, 7> kContinents = {"Africa",        "Antarctica", "Asia",         "Europe",
                                                                "North America", "Oceania",    "South America"};

struct Location {
  std::string continent;
  std::string country;
  std::string city;
  std::uint64_t asn = 0;
  std::string isp;

  [[nodiscard]] bool empty() const { return *this == Location{}; }
  static constexpr std::array<std::string_view, 6> kMembers = {"continent", "region", "country", "city", "asn", "isp"};
  void to_json(json::Writer& writer) const;
  /// Older peers name it `region`.
  static Result<Location> from_json(const json::Value& value);
  friend bool operator==(const Location&, const Location&) = default;
};

/// True if `place` is inside `constraint`.
bool matches(const Location& constraint, const Location& place);

/// What two machines may be in different ones of.
enum class Area { machine, city, country, continent };
NAMED_ENUM(Area, {Area::machine, "machine"}, {Area::city, "city"}, {Area::country, "country"},
           {Area::continent, "continent"});
/// "cities"
[[nodiscard]] std::string_view plural(Area area);
/// What tells the areas of places apart; empty if the place does not state all of it, and for machines.
[[nodiscard]] std::string area_key(Area area, const Location& place);
/// "Berlin, DE", as the place states it; empty as above.
[[nodiscard]] std::string area_text(Area area, const Location& place);
/// The first part that the place would have to state: "country"; empty if it states all.
[[nodiscard]] std::string_view unstated(Area area, const Location& place);
/// Whether two machines at these places are known to be in different areas; in different `machine`s they always are.
[[nodiscard]] bool are_apart(Area area, const Location& a, const Location& b);

struct LocationConstraints {
  std::vector<Location> accept;
  std::vector<Location> reject;

  [[nodiscard]] bool allows(const Location& place) const;

  static constexpr auto json_fields() {
    return std::tuple(json::field("accept", &LocationConstraints::accept, json::omit_empty),
                      json::field("reject", &LocationConstraints::reject, json::omit_empty));
  }
  friend bool operator==(const LocationConstraints&, const LocationConstraints&) = default;
};

}  // namespace dms::capability
