// The location of the node's machine; ensembles may require one.
#pragma once

#include "config/section.hpp"

namespace dms::node {

struct LocationSettings {
  static constexpr std::string_view kSection = "general";
  std::string host_city;
  std::string host_country;
  std::string host_continent;

  static auto config_fields() {
    return std::tuple(config::field("host_city", &LocationSettings::host_city),
                      config::field("host_country", &LocationSettings::host_country),
                      config::field("host_continent", &LocationSettings::host_continent));
  }
  /// The continent is not stated, or one of capability::kContinents: ensembles name no other.
  Result<void> check();
};

}  // namespace dms::node
