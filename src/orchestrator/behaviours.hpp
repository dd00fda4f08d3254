// The names under which actors of the network can be asked for things, as NuNet's other nodes know them.
#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>

namespace dms::behaviour {

// Node: peers, onboarding, resources, capabilities.
inline constexpr std::string_view kPublicHello = "/public/hello";
inline constexpr std::string_view kPublicStatus = "/public/status";
inline constexpr std::string_view kBroadcastHello = "/broadcast/hello";
inline constexpr std::string_view kHelloTopic = "/nunet/hello";
inline constexpr std::string_view kPeersPing = "/dms/node/peers/ping";
inline constexpr std::string_view kPeersList = "/dms/node/peers/list";
inline constexpr std::string_view kPeersSelf = "/dms/node/peers/self";
inline constexpr std::string_view kPeersConnect = "/dms/node/peers/connect";
inline constexpr std::string_view kOnboard = "/dms/node/onboarding/onboard";
inline constexpr std::string_view kOffboard = "/dms/node/onboarding/offboard";
inline constexpr std::string_view kOnboardStatus = "/dms/node/onboarding/status";
inline constexpr std::string_view kResourcesAllocated = "/dms/node/resources/allocated";
inline constexpr std::string_view kResourcesFree = "/dms/node/resources/free";
inline constexpr std::string_view kResourcesOnboarded = "/dms/node/resources/onboarded";
inline constexpr std::string_view kHardwareSpec = "/dms/node/hardware/spec";
inline constexpr std::string_view kHardwareUsage = "/dms/node/hardware/usage";
inline constexpr std::string_view kAllocationsList = "/dms/node/allocations/list";
inline constexpr std::string_view kCapList = "/dms/cap/list";
inline constexpr std::string_view kCapAnchor = "/dms/cap/anchor";

// Node: the deployments it orchestrates for its user.
inline constexpr std::string_view kDeploymentNew = "/dms/node/deployment/new";
inline constexpr std::string_view kDeploymentList = "/dms/node/deployment/list";
inline constexpr std::string_view kDeploymentStatus = "/dms/node/deployment/status";
inline constexpr std::string_view kDeploymentManifest = "/dms/node/deployment/manifest";
inline constexpr std::string_view kDeploymentLogs = "/dms/node/deployment/logs";
inline constexpr std::string_view kDeploymentShutdown = "/dms/node/deployment/shutdown";

// Between an orchestrator and a provider.
inline constexpr std::string_view kDeploymentTopic = "/nunet/deployment";
inline constexpr std::string_view kBidRequest = "/dms/deployment/request";
inline constexpr std::string_view kBid = "/dms/deployment/bid";
inline constexpr std::string_view kCommit = "/dms/deployment/commit";
inline constexpr std::string_view kAllocate = "/dms/deployment/allocate";
inline constexpr std::string_view kRevert = "/dms/deployment/revert";
inline constexpr std::string_view kAllocationNamespace = "/dms/allocation";
inline constexpr std::string_view kAllocationStart = "/dms/allocation/start";
inline constexpr std::string_view kOrchestratorNamespace = "/dms/orchestrator";
inline constexpr std::string_view kTaskTermination = "/dms/orchestrator/task-termination";

/// What a provider grants an ensemble's orchestrator over its own node.
inline std::string ensemble_namespace(std::string_view ensemble) { return fmt::format("/dms/ensemble/{}", ensemble); }
inline std::string allocation_logs(std::string_view ensemble) {
  return ensemble_namespace(ensemble) + "/allocation/logs";
}
inline std::string allocation_shutdown(std::string_view ensemble) {
  return ensemble_namespace(ensemble) + "/allocation/shutdown";
}

}  // namespace dms::behaviour
