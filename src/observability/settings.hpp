// The settings of logging. Older files of the existing nodes hold them in one flat section.
#pragma once

#include "config/section.hpp"

namespace dms::observability {

struct Settings {
  static constexpr std::string_view kSection = "observability.logging";
  std::string level = "INFO";
  std::string file = "~/nunet/logs/nunet-dms-logs.jsonl";
  std::uint64_t max_size_mb = 100;
  std::uint64_t max_backups = 3;
  std::uint64_t max_age_days = 28;

  static auto config_fields() {
    return std::tuple(
        config::field("level", &Settings::level).formerly("observability.log_level"),
        config::field("file", &Settings::file).path().formerly("observability.log_file"),
        config::field("rotation.max_size_mb", &Settings::max_size_mb).formerly("observability.max_size"),
        config::field("rotation.max_backups", &Settings::max_backups).formerly("observability.max_backups"),
        config::field("rotation.max_age_days", &Settings::max_age_days).formerly("observability.max_age"));
  }
  /// Refuses a level that parse_level() does not know.
  Result<void> check();
};

}  // namespace dms::observability
