// What this provider honours of the requests about an allocation. What it does not is refused by name; nothing is
// ignored.
//
// Threads: values. Failure: Errc::invalid_argument or unsupported; the message begins with the member of the request.
// Attacks: requests come from any orchestrator with a token; numbers and sizes are bounded here before they are kept.
#pragma once

#include "base/random.hpp"
#include "executor/executor.hpp"
#include "protocol/allocation.hpp"

namespace dms::provider {

/// Allocations of one request; an ensemble has no more.
inline constexpr std::size_t kMaxAllocations = 1024;

/// Bytes of the configuration of an allocation as JSON: room for some thousand variables or arguments, while a message
/// has 1 MiB. It is kept as long as the allocation is.
inline constexpr std::size_t kMaxConfig = 256 * 1024;
/// Bytes of resources as JSON: the numbers, and names of many graphics cards.
inline constexpr std::size_t kMaxResources = 16 * 1024;

Result<void> check_size(const capability::Resources& resources);
/// A card can be reserved, but no executor hands it to the work.
Result<void> check_no_gpus(const capability::Resources& resources);
/// See kMaxConfig.
Result<void> check_config_size(const protocol::AllocationConfig& config);
Result<void> check_config(const protocol::AllocationConfig& config);
/// Of the whole request: members that are set and that no type here has, whether DMS 0.5.x, its ensembles or anything
/// else has them.
Result<void> check_members(BytesView allocate_request);
/// The same of a commit.
Result<void> check_commit_members(BytesView commit_request);
Result<void> check_start(const protocol::StartRequest& request);
/// The parameters of an execution; one that no executor has is refused.
Result<executor::EngineParams> engine_params(const jobs::Execution& execution);

/// The input that is the image of the execution, by its index; none if the image is named.
std::optional<std::size_t> image_input(const protocol::AllocationConfig& config);

/// 128 bits, in hex.
std::string random_incarnation(Random& random);

}  // namespace dms::provider
