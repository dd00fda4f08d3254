// Brings a part of an ensemble up on the machines that an auction has selected, as far as the allocations are made:
// commit, then allocate.
//
// Model
//  1. The record names the machines before the first request is sent (placement.hpp), and the handles, incarnations and
//     leases as soon as they are known. Nodes are committed together, kRequestsAtOnce allocations at a time, then
//     allocated together.
//  2. A lease is requested for every node. A provider whose reply grants none is one of the existing implementation: it
//     knows no renewal and is supervised by pings.
//  3. The first failure ends the run; failed_provider() then names the provider to exclude for a while, or is empty if
//     no provider caused the failure. Nothing is reverted here.
//
// Threads: the deployment's lane. Cancellation: between and within requests.
#pragma once

#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/provider_grants.hpp"

namespace dms::orchestrator {

class Provisioner {
 public:
  Provisioner(actor::Actor& actor, DurableRecord& record, ProviderClient& providers, ProviderGrants& grants)
      : actor_(actor), record_(record), providers_(providers), grants_(grants) {}

  /// `status`: the deployment's from the first request on; without, it stays as it is.
  Task<Result<void>> run(Unplaced wanted, Candidate candidate, std::optional<protocol::DeploymentStatus> status,
                         SteadyTime deadline);
  [[nodiscard]] const std::string& failed_provider() const { return failed_provider_; }

 private:
  Task<Result<void>> commit(std::string node, std::string allocation, actor::Handle provider,
                            capability::Resources resources, protocol::PortMapping ports, Duration timeout);
  Task<Result<void>> allocate(std::string node, std::vector<std::string> allocations, actor::Handle provider,
                              Duration timeout);
  [[nodiscard]] Duration remaining(Duration at_most) const;

  actor::Actor& actor_;
  DurableRecord& record_;
  ProviderClient& providers_;
  ProviderGrants& grants_;
  SteadyTime deadline_{};
  std::string failed_provider_;
};

/// The first error of several results.
Result<void> first_error(const std::vector<Result<void>>& results);

}  // namespace dms::orchestrator
