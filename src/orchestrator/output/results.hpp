// The results of tasks on this disk: fetched from their providers, read by users.
//
// Model
//  1. The results of an allocation are in `<its output folder>/results`: `0`, `1`, ... in the order in which the
//     ensemble declares them, `run` with the incarnation that they are of, and, written last, `index.json` with what
//     they are.
//  2. fetch_results() is repeated until it has succeeded; what is there is not fetched again. Results of an earlier run
//     are removed first.
//  3. A result that the provider could not pack, or whose size is above the limit that the ensemble asks for and the
//     bid of its machine grants (deployment/placement.hpp), is absent with a reason; that is a success. The reason is
//     in the record (DeploymentRecord::absent) before the index is written, so a crash does not lose it.
//  4. What an update has removed keeps the results that were here, until the deployment is deleted; of a task that had
//     ended and whose results were not, the record says so.
//
// Threads: the deployment's lane; workers read and write. Failure: Errc::io is this node's disk, everything else the
// provider's. Attacks by a provider: results that were not declared, or one twice (ignored), more bytes than the limit
// (refused by their announced sizes), other bytes than announced, a few at a time, or slowly (transfer/fetch.hpp).
// Nothing is unpacked here.
#pragma once

#include <functional>

#include "orchestrator/deployment/parts.hpp"
#include "protocol/deployment.hpp"
#include "protocol/transfer.hpp"

namespace dms::orchestrator {

/// What follows it in DeploymentLogsRequest::stream is the name of a result.
inline constexpr std::string_view kResultStream = "result:";

/// From `provider`. Nothing to do if the allocation declares no results. `reached` is called when bytes of them arrive,
/// or the provider says that it is packing them.
Task<Result<void>> fetch_results(Parts parts, std::string allocation, std::string run, actor::Handle provider,
                                 std::function<void()> reached);

/// The results of the allocation could not be fetched: those whose absence is not known yet are absent.
void give_up_results(DeploymentRecord& record, const std::string& allocation, const std::string& reason);

/// What is stored below an output folder; Errc::not_found until all of it is.
Task<Result<std::vector<protocol::ResultFile>>> stored_results(std::filesystem::path output_folder);
/// The file of one of them.
Task<Result<std::filesystem::path>> stored_result(std::filesystem::path output_folder, std::string name,
                                                  protocol::ResultFile& about);
Task<Result<protocol::DeploymentLogsReply>> result_page(std::filesystem::path output_folder,
                                                        protocol::DeploymentLogsRequest request,
                                                        std::size_t max_page = protocol::kLogPage);

}  // namespace dms::orchestrator
