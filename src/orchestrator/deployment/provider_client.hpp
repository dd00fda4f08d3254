// What a deployment asks of its providers: one request and one checked reply each.
//
// Every function fails with a sentence that names the provider and what was asked of it; a reply that says no is
// Errc::permission_denied with the provider's reason. Nothing is kept between calls.
//
// Threads: the lane of the actor that sends, which outlives the calls.
#pragma once

#include <map>
#include <string>

#include "actor/actor.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/allocation.hpp"
#include "protocol/manifest.hpp"

namespace dms::orchestrator {

/// A provider that has just failed is reverted with this time limit: its reservations expire by themselves.
inline constexpr Duration kFailedProviderTimeout = 5s;

class ProviderClient {
 public:
  ProviderClient(actor::Actor& actor, std::string deployment) : actor_(actor), deployment_(std::move(deployment)) {}

  /// Reserves what `allocation` of `node` needs.
  Task<Result<void>> commit(actor::Handle provider, std::string node, std::string allocation,
                            capability::Resources resources, protocol::PortMapping ports, Duration timeout);
  /// Turns the reservations of a node into allocations; their handles, by allocation name.
  Task<Result<std::map<std::string, actor::Handle>>> allocate(actor::Handle provider, const jobs::Ensemble& ensemble,
                                                              std::string node, Duration timeout);
  [[nodiscard]] actor::Envelope start_message(const protocol::AllocationManifest& allocation, Duration timeout) const;
  /// Stops one allocation and has the provider remove it.
  Task<Result<void>> stop(actor::Handle provider, std::string allocation_id);
  /// Has the provider take back all that it reserved or allocated for the node.
  Task<Result<void>> revert(protocol::NodeManifest node, Duration timeout = protocol::kRevert.timeout);
  Task<Result<protocol::AllocationLogsResponse>> logs(actor::Handle provider, std::string allocation);

 private:
  actor::Actor& actor_;
  std::string deployment_;
};

/// A reply that says no is an error, as one that did not arrive is.
Result<void> accepted(const Result<protocol::Ack>& reply, std::string_view what);

}  // namespace dms::orchestrator
