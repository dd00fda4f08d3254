#include "node/settings.hpp"

#include <algorithm>

#include "capability/location.hpp"

namespace dms::node {

Result<void> LocationSettings::check() {
  if (host_continent.empty() || std::ranges::count(capability::kContinents, host_continent) > 0) return {};
  return config::refuse(
      "general.host_continent",
      fmt::format("expected one of {}, found \"{}\"", fmt::join(capability::kContinents, ", "), host_continent));
}

}  // namespace dms::node
