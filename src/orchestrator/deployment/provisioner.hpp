// Starts an ensemble on the machines that an auction has selected: commit, allocate, start.
//
// Model
//  1. Committing reserves resources for every allocation and has the allocations made; Provisioning starts them, each
//     after those it depends on. A state is entered when it is stored, before the first request of that state is sent.
//  2. The first failure ends the run; failed_provider() then names the provider to exclude from the next attempt, or is
//     empty if no provider caused the failure. Nothing is reverted here.
//
// Threads: the deployment's lane. Cancellation: between and within requests.
#pragma once

#include "orchestrator/auction/auction.hpp"
#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/provider_grants.hpp"
#include "orchestrator/deployment/record.hpp"
#include "orchestrator/supervision/liveness.hpp"

namespace dms::orchestrator {

class Provisioner {
 public:
  Provisioner(actor::Actor& actor, DurableRecord& record, ProviderClient& providers, ProviderGrants& grants,
              Liveness& liveness)
      : actor_(actor), record_(record), providers_(providers), grants_(grants), liveness_(liveness) {}

  /// Ends with every allocation started.
  Task<Result<void>> run(Candidate candidate);
  /// Clears the state of the last run.
  void reset() { failed_provider_.clear(); }
  [[nodiscard]] const std::string& failed_provider() const { return failed_provider_; }

 private:
  Task<Result<void>> commit(std::string node, std::string allocation, actor::Handle provider);
  Task<Result<void>> allocate(std::string node, actor::Handle provider);
  Task<Result<void>> start(std::string node, std::string provider);
  [[nodiscard]] Duration remaining(Duration at_most) const;

  actor::Actor& actor_;
  DurableRecord& record_;
  ProviderClient& providers_;
  ProviderGrants& grants_;
  Liveness& liveness_;
  std::string failed_provider_;
};

/// The first error of several results.
Result<void> first_error(const std::vector<Result<void>>& results);

}  // namespace dms::orchestrator
