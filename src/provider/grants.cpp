#include "provider/grants.hpp"

#include "base/log.hpp"

namespace dms::provider {

Result<void> Grants::give(const EnsembleKey& ensemble, const did::Did& node) {
  TRY(auto grant, make(ensemble.owner, node, protocol::ensemble_namespace(ensemble.ensemble)));
  ensembles_.insert_or_assign(ensemble, std::move(grant));
  return {};
}

Result<void> Grants::give(const AllocationKey& key, const did::Did& allocation) {
  TRY(auto grant, make(key.owner, allocation, protocol::kAllocationNamespace));
  allocations_.insert_or_assign(key, std::move(grant));
  return {};
}

Task<void> Grants::keep_renewed() {
  const auto renew = [this](ucan::StandingGrant& grant, const std::string& what) {
    if (Result<void> renewed = grant.renew(lane_.unix_now()); !renewed)
      log::warn("provider", "renewing the grant for {}: {}", what, renewed.error().to_string());
  };
  for (;;) {
    const Result<void> slept = co_await sleep_unless_clock_is_set(ucan::kStandingGrantRenewal);
    if (!slept) co_return;
    for (auto& [key, grant] : ensembles_) renew(grant, key.ensemble);
    for (auto& [key, grant] : allocations_) renew(grant, key.id);
  }
}

}  // namespace dms::provider
