// The location of a machine, and the locations where a job may run.
//
// Rules, as on the existing network: a constraint matches a place if the continents are equal and every other field
// that the constraint sets is equal, letter case included. If an accept list is given, one of it must match and the
// reject list is ignored; without one, none of the reject list may match. A place with an unknown field does not match
// a constraint on it. Beyond that: a reject list with an ASN or ISP matches a place that does not state its own.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "encoding/json.hpp"

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
