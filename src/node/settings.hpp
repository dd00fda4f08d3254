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
};

}  // namespace dms::node
