#include "protocol/manifest.hpp"

#include <array>

namespace dms::protocol {
namespace {
constexpr std::array<std::string_view, 7> kAllocationStatus = {"pending", "running",   "restarting", "stopped",
                                                               "failed",  "completed", "terminated"};
}

std::string_view to_string(AllocationStatus status) { return kAllocationStatus[static_cast<std::size_t>(status)]; }

AllocationStatus parse_allocation_status(std::string_view text) {
  for (std::size_t i = 0; i < kAllocationStatus.size(); ++i)
    if (kAllocationStatus[i] == text) return static_cast<AllocationStatus>(i);
  return AllocationStatus::failed;
}

}  // namespace dms::protocol
