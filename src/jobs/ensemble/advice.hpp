// What a user is told about the fields that wait for a later version: by check_supported() and waiting_first().
#pragma once

#include <string_view>

namespace dms::jobs {

inline constexpr std::string_view kNoCards = "graphics cards are not available to the work yet; remove it";
inline constexpr std::string_view kNoKeys =
    "keys are not put into the work yet; remove it, or build them into the image";
inline constexpr std::string_view kNoScripts =
    "scripts are not run yet; build their effect into the image, or make them part of cmd";
inline constexpr std::string_view kNoVolumes =
    "volumes are not available yet; write results below the work folder and declare them under results";
inline constexpr std::string_view kNoPorts = "ports are not available yet: the work has no network; remove it";
inline constexpr std::string_view kNoContracts = "contracts are not available yet; remove it";
inline constexpr std::string_view kNoRestart =
    "executors do not start work again; remove it and write failure_recovery (one_for_one), or a supervisor";
inline constexpr std::string_view kNoExecutor = "is not available yet; use docker or sandbox";

}  // namespace dms::jobs
