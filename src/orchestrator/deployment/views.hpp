// What users see of records: pure functions.
#pragma once

#include "orchestrator/deployment/record.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

[[nodiscard]] bool has_metadata(const DeploymentRecord& record, const std::map<std::string, std::string>& wanted);
/// In the order of ids; `next` is the last one of this reply if there are more: than the limit, or than there is room for
/// in protocol::kMaxView bytes.
[[nodiscard]] protocol::DeploymentListReply list_of(const RecordStore::Loaded& loaded,
                                                    const protocol::DeploymentListRequest& request);
/// The reason of an allocation tells of an earlier run that may still exist elsewhere, and until when; the error of
/// what a provider may hold because a request to release it failed. What a shutdown has not ended yet is shown as
/// running, with the reason. Of a deployment that ends or has ended, each allocation of the ensemble is shown: those
/// that the manifest does not have are terminated, and have never run. What has ended is shown on the machine where it
/// ended, also after its node has moved.
[[nodiscard]] protocol::DeploymentStatusReply status_of(const DeploymentRecord& record);
[[nodiscard]] protocol::DeploymentInfoReply info_of(const DeploymentRecord& record);
/// Says how long it is until it is started again, and why it has ended unless its reason tells. Of what is not pending
/// nothing is said.
void add_pause(protocol::AllocationState& state, const RestartPause& pause);
/// With what the ensemble says of health checks and of the subnet. What has ended has no health.
[[nodiscard]] protocol::EnsembleManifest manifest_of(const DeploymentRecord& record);
/// Says of each machine that was chosen what has become of that, if a standby has taken its node over since, or if it
/// stood by and has the node of another choice now. Of a deployment that does not run nothing is said.
void add_takeovers(protocol::Choice& choice, const DeploymentRecord& record);
/// Whether the output that is stored of the allocation is what users are shown of it (Collector::page), whichever run
/// it is of: it has ended, has no machine, or is restarted.
[[nodiscard]] bool serves_stored_output(const DeploymentRecord& record, const std::string& allocation);
/// Cuts the longest reasons of allocations and results, so that the reply has at most protocol::kMaxView bytes
/// (reasons.hpp). What else it has is not cut.
void fit_message(protocol::DeploymentStatusReply& reply);
void fit_message(protocol::DeploymentInfoReply& reply);
void fit_message(protocol::EnsembleManifest& manifest);
void add_usage(protocol::AllocationUsage& usage, const protocol::AllocationReport& report);
/// Errc::not_found if the deployment has no such allocation on any machine.
Result<void> check_allocation(const DeploymentRecord& record, const std::string& allocation);

}  // namespace dms::orchestrator
