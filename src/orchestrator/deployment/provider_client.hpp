// The requests of a deployment to its providers: one request and one checked reply each.
//
// Every error names the provider and the request; a negative reply is Errc::permission_denied with the provider's
// reason. Nothing is kept between calls.
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
  /// Makes the provider stop and remove one allocation.
  Task<Result<void>> stop(actor::Handle provider, std::string allocation_id);
  /// Makes the provider release everything that it reserved or allocated for the node.
  Task<Result<void>> revert(protocol::NodeManifest node, Duration timeout = protocol::kRevert.timeout);
  Task<Result<protocol::AllocationLogsResponse>> logs(actor::Handle provider, std::string allocation);

 private:
  actor::Actor& actor_;
  std::string deployment_;
};

/// A negative reply is an error, like a missing one.
Result<void> accepted(const Result<protocol::Ack>& reply, std::string_view what);

}  // namespace dms::orchestrator
