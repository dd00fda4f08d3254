#include "orchestrator/deployment/provider_grants.hpp"

#include "base/log.hpp"
#include "protocol/allocation.hpp"

namespace dms::orchestrator {

Result<void> ProviderGrants::give(const did::Did& provider) {
  if (grants_.contains(provider)) return {};
  TRY(auto given, ucan::StandingGrant::give(actor_.security().capabilities(), provider, actor_.security().id_did(),
                                            protocol::kOrchestratorNamespace, actor_.lane().unix_now()));
  grants_.emplace(provider, std::move(given));
  return {};
}

Task<void> ProviderGrants::renew_until_cancelled() {
  for (;;) {
    const Result<void> slept = co_await sleep_unless_clock_is_set(ucan::kStandingGrantRenewal);
    if (!slept) co_return;
    for (auto& [provider, given] : grants_)
      if (Result<void> renewed = given.renew(actor_.lane().unix_now()); !renewed)
        log::warn("orchestrator", "{}: renewing the grant of {}: {}", actor_.handle().address.inbox, provider.uri(),
                  renewed.error().to_string());
  }
}

}  // namespace dms::orchestrator
