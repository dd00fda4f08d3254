// What a deployment grants its providers: to report to this deployment's actor, and nothing else, for as long as it
// runs.
//
// Allocations act with their node's DID, so the grant is given to the provider's DID and names this actor alone. It is
// short-lived and renewed by renew_until_cancelled().
//
// Threads: the actor's lane.
#pragma once

#include <map>

#include "actor/actor.hpp"
#include "ucan/standing_grant.hpp"

namespace dms::orchestrator {

class ProviderGrants {
 public:
  explicit ProviderGrants(actor::Actor& actor) : actor_(actor) {}
  Result<void> give(const did::Did& provider);
  void clear() { grants_.clear(); }
  Task<void> renew_until_cancelled();

 private:
  actor::Actor& actor_;
  std::map<did::Did, ucan::StandingGrant> grants_;
};

}  // namespace dms::orchestrator
