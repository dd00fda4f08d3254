#include "protocol/deployment.hpp"

namespace dms::protocol {
namespace {
constexpr std::array<std::string_view, 8> kStatus = {"Preparing", "Generating", "Committing",   "Provisioning",
                                                     "Running",   "Failed",     "ShuttingDown", "Completed"};
}  // namespace

std::string_view to_string(DeploymentStatus status) { return kStatus[static_cast<std::size_t>(status)]; }

std::optional<DeploymentStatus> parse_deployment_status(std::string_view text) {
  for (std::size_t i = 0; i < kStatus.size(); ++i)
    if (kStatus[i] == text) return static_cast<DeploymentStatus>(i);
  return std::nullopt;
}

}  // namespace dms::protocol
