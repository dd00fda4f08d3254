// Restarts services and tasks that fail their health check.
//
// Model
//  1. A running allocation that its provider reports unhealthy is restarted there: that it will be is stored first,
//     with the run that ends; the new run counts once it is stored. Requests that get no reply are repeated; a reply
//     that was lost is made up for by the provider's report (reconcile.hpp). A run that ends before the request arrives
//     is not restarted: the end counts, so that a task that is done is not run again.
//     Before the request, what the run has written is fetched, for kRestartOutput at most: it remains readable. What it
//     writes then is fetched once the next run counts (placement.hpp, 6). That is given up when its provider refuses it
//     or does not send it for kRestPatience; the record says so, and before that, that it is to be fetched.
//  2. Restarts of one allocation are apart as pauses.hpp says.
//
// Threads: the deployment's lane.
#pragma once

#include <set>

#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/output/collector.hpp"
#include "orchestrator/supervision/pauses.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kRestartOutput = 10s;
inline constexpr Duration kRestPause = 1s;
inline constexpr Duration kMaxRestPause = 30s;
inline constexpr Duration kRestPatience = 10min;

class Restarts {
 public:
  /// `work` ends before this does.
  Restarts(Parts parts, Collector& collector, Nursery& work) : parts_(parts), collector_(collector), work_(work) {}

  Task<void> run();

 private:
  Task<void> restart(std::string allocation, std::string run);
  Task<void> fetch_output(std::string allocation);
  Task<void> fetch_rest(std::string allocation, std::string run);
  [[nodiscard]] bool needed(const std::string& name, const protocol::AllocationManifest& entry) const;

  Parts parts_;
  Collector& collector_;
  Nursery& work_;
  Pauses pauses_;
  std::set<std::string> under_way_;
  std::set<std::pair<std::string, std::string>> rests_;  ///< that are being fetched: allocation, run
};

}  // namespace dms::orchestrator
