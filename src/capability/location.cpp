#include "capability/location.hpp"

#include <algorithm>

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

}  // namespace dms::capability
