#include "capability/location.hpp"

#include <algorithm>
#include <cctype>

namespace dms::capability {
namespace {

/// The wire form, with both names of the continent.
struct Wire {
  std::string continent, region, country, city;
  std::uint64_t asn = 0;
  std::string isp;
  static constexpr auto json_fields() {
    return std::tuple(
        json::field("continent", &Wire::continent, json::omit_empty),
        json::field("region", &Wire::region, json::omit_empty),
        json::field("country", &Wire::country, json::omit_empty), json::field("city", &Wire::city, json::omit_empty),
        json::field("asn", &Wire::asn, json::omit_empty), json::field("isp", &Wire::isp, json::omit_empty));
  }
};

}  // namespace

void Location::to_json(json::Writer& writer) const {
  json::write(writer,
              Wire{.continent = continent, .region = {}, .country = country, .city = city, .asn = asn, .isp = isp});
}

Result<Location> Location::from_json(const json::Value& value) {
  TRY(Wire wire, json::from_value<Wire>(value));
  return Location{.continent = wire.continent.empty() ? wire.region : wire.continent,
                  .country = std::move(wire.country),
                  .city = std::move(wire.city),
                  .asn = wire.asn,
                  .isp = std::move(wire.isp)};
}

bool matches(const Location& constraint, const Location& place) {
  const auto same = [](const std::string& wanted, const std::string& found) {
    return wanted.empty() || wanted == found;
  };
  return constraint.continent == place.continent && same(constraint.country, place.country) &&
         same(constraint.city, place.city) && (constraint.asn == 0 || constraint.asn == place.asn) &&
         same(constraint.isp, place.isp);
}

namespace {

/// Without what the place does not state, so that it may be meant.
Location without_unknown(Location constraint, const Location& place) {
  if (place.asn == 0) constraint.asn = 0;
  if (place.isp.empty()) constraint.isp.clear();
  return constraint;
}

}  // namespace

bool LocationConstraints::allows(const Location& place) const {
  if (!accept.empty()) return std::ranges::any_of(accept, [&](const Location& one) { return matches(one, place); });
  return std::ranges::none_of(reject, [&](const Location& one) { return matches(without_unknown(one, place), place); });
}

std::string_view plural(Area area) {
  switch (area) {
    case Area::machine: return "machines";
    case Area::city: return "cities";
    case Area::country: return "countries";
    case Area::continent: return "continents";
  }
  return "?";
}

std::string_view unstated(Area area, const Location& place) {
  if (area == Area::continent) return place.continent.empty() ? "continent" : "";
  if (area == Area::machine) return "";
  if (place.country.empty()) return "country";
  return area == Area::city && place.city.empty() ? "city" : "";
}

std::string area_text(Area area, const Location& place) {
  if (area == Area::machine || !unstated(area, place).empty()) return {};
  if (area == Area::continent) return place.continent;
  return area == Area::country ? place.country : place.city + ", " + place.country;
}

std::string area_key(Area area, const Location& place) {
  if (area == Area::machine || !unstated(area, place).empty()) return {};
  std::string key = area == Area::continent ? place.continent : place.country;
  // A city `Bc` of `A` is not `c` of `AB`.
  if (area == Area::city) key.append(1, '\0').append(place.city);
  for (char& c : key) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return key;
}

bool are_apart(Area area, const Location& a, const Location& b) {
  if (area == Area::machine) return true;
  const std::string here = area_key(area, a);
  const std::string there = area_key(area, b);
  return !here.empty() && !there.empty() && here != there;
}

}  // namespace dms::capability
