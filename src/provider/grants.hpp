// The ephemeral grants of a provider: an orchestrator may use the behaviours of its ensembles and of its allocations
// here, for as long as they exist.
//
// Model
//  1. A grant is given before the reply that announces it, renewed every ucan::kStandingGrantRenewal and when the wall
//     clock is set, and withdrawn when its ensemble or allocation is removed. It is never written to disk
//     (ucan/standing_grant.hpp).
//  2. A second grant for the same key replaces the first.
//
// Threads: the node's lane. Cost: a signature for each grant and renewal. Attacks: the number of grants is bounded by
// that of reservations, which the machine's resources bound.
#pragma once

#include <map>

#include "provider/keys.hpp"
#include "runtime/task.hpp"
#include "ucan/standing_grant.hpp"

namespace dms::provider {

class Grants {
 public:
  Grants(Lane& lane, std::shared_ptr<ucan::CapabilityContext> context) : lane_(lane), context_(std::move(context)) {}

  /// The owner may invoke what lies below protocol::ensemble_namespace() at `node`, the key DID of the root actor.
  Result<void> give(const EnsembleKey& ensemble, const did::Did& node);
  /// The owner may invoke what lies below protocol::kAllocationNamespace at `allocation`, the key DID of its actor.
  Result<void> give(const AllocationKey& key, const did::Did& allocation);
  void withdraw(const EnsembleKey& key) { ensembles_.erase(key); }
  void withdraw(const AllocationKey& key) { allocations_.erase(key); }
  [[nodiscard]] std::size_t size() const { return ensembles_.size() + allocations_.size(); }

  /// Until it is cancelled.
  Task<void> keep_renewed();

 private:
  Result<ucan::StandingGrant> make(const did::Did& owner, const did::Did& audience, std::string_view scope) const {
    return ucan::StandingGrant::give(context_, owner, audience, scope, lane_.unix_now());
  }

  Lane& lane_;
  std::shared_ptr<ucan::CapabilityContext> context_;
  std::map<EnsembleKey, ucan::StandingGrant> ensembles_;
  std::map<AllocationKey, ucan::StandingGrant> allocations_;
};

}  // namespace dms::provider
