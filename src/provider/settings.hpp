// How long work runs here without its orchestrator, how long its end is kept, and how much it may leave. Not settings
// of the Go implementation.
#pragma once

#include "config/section.hpp"
#include "provider/leases.hpp"

namespace dms::provider {

struct Settings {
  static constexpr std::string_view kSection = "job";
  std::string min_lease = "10s";
  std::string max_lease = "24h";
  std::string default_lease = "5m";     ///< of an orchestrator that leaves the length to the provider
  std::string longest_silence = "24h";  ///< of an orchestrator that does not renew, as those of DMS 0.5.x
  std::string retention = "24h";        ///< of the record and the output of work that has ended
  std::string max_results = "100GiB";   ///< of one allocation

  static auto config_fields() {
    using S = Settings;
    return std::tuple(config::field("min_lease", &S::min_lease), config::field("max_lease", &S::max_lease),
                      config::field("default_lease", &S::default_lease),
                      config::field("longest_silence", &S::longest_silence), config::field("retention", &S::retention),
                      config::field("max_results", &S::max_results));
  }
  /// Each but max_results, a size, is a duration of a second to ten years; min_lease <= default_lease <= max_lease.
  Result<void> check();

  /// Of checked settings.
  [[nodiscard]] LeaseBounds bounds() const;
  [[nodiscard]] Duration retention_time() const;
  [[nodiscard]] std::uint64_t most_results() const;
};

}  // namespace dms::provider
