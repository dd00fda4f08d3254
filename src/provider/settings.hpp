// How long work runs here without its orchestrator, how long its end is kept, how much it may leave, and what it costs.
// Not settings of the Go implementation.
#pragma once

#include "config/section.hpp"
#include "provider/leases.hpp"
#include "provider/prices.hpp"

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

/// Of an hour; bids state them (prices.hpp).
struct PriceSettings {
  static constexpr std::string_view kSection = "price";
  std::string node = "0";
  std::string core = "0";
  std::string memory = "0";  ///< GiB
  std::string disk = "0";    ///< GiB

  static auto config_fields() {
    using S = PriceSettings;
    return std::tuple(config::field("node", &S::node), config::field("core", &S::core),
                      config::field("memory", &S::memory), config::field("disk", &S::disk));
  }
  /// Each is a decimal number without a sign: at most 9 digits, and 6 after a point.
  Result<void> check();

  /// Of checked settings.
  [[nodiscard]] Prices prices() const;
};

}  // namespace dms::provider
