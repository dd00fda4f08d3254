// Restarts services and tasks that fail their health check.
//
// Model
//  1. A running allocation that its provider reports unhealthy is restarted there: that it will be is stored first,
//     with the run that ends; the new run counts once it is stored. Requests that get no reply are repeated; a reply that
//     was lost is made up for by the provider's report (reconcile.hpp). A run that ends before the request arrives is
//     not restarted: the end counts, so that a task that is done is not run again.
//     Before the request, what the run has written is fetched, for kRestartOutput at most: it remains readable.
//  2. The pauses between restarts of one allocation grow from kRestartPause to kMaxRestartPause, and start anew after
//     it has run for kStableAfter.
//
// Threads: the deployment's lane.
#pragma once

#include <set>

#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/output/collector.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kRestartPause = 10s;
inline constexpr Duration kMaxRestartPause = 5min;
inline constexpr Duration kStableAfter = 10min;
inline constexpr Duration kRestartOutput = 10s;

class Restarts {
 public:
  /// `work` ends before this does.
  Restarts(Parts parts, Collector& collector, Nursery& work) : parts_(parts), collector_(collector), work_(work) {}

  Task<void> run();

 private:
  struct History {
    Duration pause = kRestartPause;
    SteadyTime not_before{};
    SteadyTime last{};
  };
  Task<void> restart(std::string allocation, std::string run);
  Task<void> fetch_output(std::string allocation);
  [[nodiscard]] bool needed(const std::string& name, const protocol::AllocationManifest& entry) const;

  Parts parts_;
  Collector& collector_;
  Nursery& work_;
  std::map<std::string, History> history_;
  std::set<std::string> under_way_;
};

}  // namespace dms::orchestrator
