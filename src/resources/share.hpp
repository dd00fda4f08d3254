// The share of a machine that it offers before its owner has chosen one while the daemon runs: what the settings name.
//
// Model
//  1. A share is processor, memory and disk. What the settings leave out is proposed: half of the machine's cores and
//     memory, and half of the disk that is free. Without any of the settings nothing is offered.
//  2. The daemon offers it at its first start only (Manager::is_decided()).
#pragma once

#include <string>

#include "capability/capability.hpp"
#include "config/section.hpp"

namespace dms::resources {

/// Not settings of the Go implementation.
struct ShareSettings {
  static constexpr std::string_view kSection = "onboarding";
  std::string cpu;  ///< cores
  std::string ram;  ///< a bare number counts GiB, as that of disk
  std::string disk;

  static auto config_fields() {
    using S = ShareSettings;
    return std::tuple(config::field("cpu", &S::cpu), config::field("ram", &S::ram), config::field("disk", &S::disk));
  }
  /// Each is empty, or more than nothing.
  Result<void> check();
  [[nodiscard]] bool empty() const { return cpu.empty() && ram.empty() && disk.empty(); }
};

/// What a machine has, and how much of it is in use.
struct Machine {
  capability::Resources total;
  capability::Resources used;
};

/// The share of `machine` by checked settings, see (1). Errc::limit_exceeded names the setting that asks for more than
/// there is.
Result<capability::Resources> share_of(const ShareSettings& settings, const Machine& machine);

/// The settings of a share, its sizes in whole MiB.
[[nodiscard]] ShareSettings settings_of(const capability::Resources& share);

}  // namespace dms::resources
