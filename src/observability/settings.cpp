#include "observability/settings.hpp"

#include "observability/logging.hpp"

namespace dms::observability {

Result<void> Settings::check() {
  if (parse_level(level)) return {};
  return config::refuse("observability.logging.level",
                        fmt::format("expected trace, debug, info, warn, error or off, found \"{}\"", level));
}

}  // namespace dms::observability
