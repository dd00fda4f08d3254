// Finds the standbys that the ensemble asks for, and keeps their leases; what they are for is in
// deployment/standby.hpp.
//
// Model
//  1. While the deployment runs and every node has its machine, each missing standby is sought in a round of bids of
//     its own, with growing pauses until one is found; the status of the deployment says why it is not. It is reserved
//     and allocated on the machine that wins. A provider that grants no lease is none.
//  2. A standby that is ready is renewed as often as a machine that runs something (lease_watch.hpp). It is dropped,
//     and another one sought, when its provider reports that it has lost or ended something of it, and when it is
//     silent, unless this node may be at fault (liveness.hpp). What this node learns late counts as little as for a
//     machine that runs something. If the owner of the machine has ended it, that is not asked again
//     (DeploymentRecord::barred).
//
// Threads: the deployment's lane. Cancellation: what is under way is left to the next start (drop_unready_standbys()).
// Attacks: a provider that reports nonsense loses the standby.
#pragma once

#include <map>
#include <set>
#include <string>

#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/deployment/provider_grants.hpp"
#include "orchestrator/deployment/replacer.hpp"
#include "orchestrator/deployment/standby.hpp"
#include "orchestrator/supervision/lease_watch.hpp"
#include "orchestrator/supervision/liveness.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

class Standbys {
 public:
  /// `work` ends before this does.
  Standbys(Parts parts, Replacer& replacer, ProviderGrants& grants, Liveness& liveness, Nursery& work)
      : parts_(parts), replacer_(replacer), grants_(grants), liveness_(liveness), work_(work) {}

  /// Until it is cancelled.
  Task<void> run();
  /// Why a standby is missing; empty if none is, or none has been sought in vain.
  [[nodiscard]] std::string trouble() const;

 private:
  struct Wait {
    SteadyTime until{};
    Duration pause = kReplacePause;
    std::string why;
  };
  /// The first that is missing and may be sought now; `next`: when to look again.
  [[nodiscard]] std::optional<MissingStandby> due(SteadyTime& next);
  void keep_ready_ones();
  Task<Result<void>> place(MissingStandby wanted);
  Task<Result<void>> reserve(MissingStandby wanted, jobs::Ensemble part, actor::Handle provider);
  Task<Result<void>> commit(std::string id, std::string allocation, actor::Handle provider,
                            capability::Resources resources);
  Task<void> keep(std::string id, std::string peer);
  /// What was due at `due` happens now. True if that is late: then what the machine has missed does not count.
  bool note_timer(LeaseWatch& watch, SteadyTime due);
  [[nodiscard]] const Standby* find(const std::string& id, const std::string& peer) const;
  Task<void> drop(std::string id, std::string peer, std::string why, bool by_owner);

  Parts parts_;
  Replacer& replacer_;
  ProviderGrants& grants_;
  Liveness& liveness_;
  Nursery& work_;
  std::map<MissingStandby, Wait> waits_;
  std::set<std::pair<std::string, std::string>> kept_;  ///< id, peer
};

}  // namespace dms::orchestrator
