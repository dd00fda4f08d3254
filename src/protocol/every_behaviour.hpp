// The declarations of all behaviours as one tuple, in the order of documents and of the command line. What has to hold
// for each of them is written once, over this list: the table (table.hpp), the fuzz target of payloads.
#pragma once

#include <tuple>

#include "protocol/actor_tree.hpp"
#include "protocol/allocation.hpp"
#include "protocol/bid.hpp"
#include "protocol/deployment.hpp"
#include "protocol/edge.hpp"
#include "protocol/health.hpp"
#include "protocol/node.hpp"
#include "protocol/transfer.hpp"
#include "protocol/work.hpp"

namespace dms::protocol {

inline constexpr auto kEveryBehaviour = std::tie(
    // Node
    kPublicHello, kBroadcastHello, kPublicStatus, kPeersList, kPeersSelf, kPeersPing, kPeersConnect, kOnboard,
    kOffboard, kOnboardStatus, kResourcesAllocated, kResourcesFree, kResourcesOnboarded, kHardwareSpec, kHardwareUsage,
    kAllocationsList, kAllocationsLogs, kAllocationsStop, kCapList, kCapAnchor, kCapBroadcast, kRevocations,
    kLoggerConfig, kNodeStatus, kBroadcastNodeStatus, kActorTree,
    // Deployments, for the user of a node
    kDeploymentNew, kDeploymentList, kDeploymentStatus, kDeploymentManifest, kDeploymentInput, kDeploymentLogs,
    kDeploymentUpdate, kDeploymentShutdown, kDeploymentDelete, kDeploymentPrune, kDeploymentInfo, kDeploymentExplain,
    kDeploymentPlan,
    // Between an orchestrator and a provider
    kBidRequest, kBid, kEdge, kCommit, kAllocate, kRenew, kRevert, kAllocationStart, kAllocationRestart,
    kAllocationStats, kHealthQuery, kHealthCheckRegister, kAllocationLogs, kAllocationResults, kAllocationShutdown,
    kTaskTermination, kAllocationChanged, kAllocationProgress, kOrchestratorInput, kWorkGrant);

}  // namespace dms::protocol
