// The pauses between repetitions of what is done for an allocation: a restart, a replacement after a loss.
//
// Model: the first time is due at once. From one to the next the pause grows from kFirstPause to kMaxPause; it starts
// anew after kStableAfter without one. The lengths are those of supervision, whose tree keeps its own pauses. A daemon
// that is started anew begins with the first one.
//
// Threads: none. Cost: an entry for each allocation that something was done for.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "base/time.hpp"
#include "jobs/ensemble/supervision.hpp"

namespace dms::orchestrator {

inline constexpr Duration kFirstPause = jobs::kPauses.first;
inline constexpr Duration kMaxPause = jobs::kPauses.most;
inline constexpr Duration kStableAfter = jobs::kPauses.healthy;

class Pauses {
 public:
  /// When the next one may be done.
  [[nodiscard]] SteadyTime due(const std::string& allocation) const {
    const auto found = histories_.find(allocation);
    return found == histories_.end() ? SteadyTime() : found->second.due;
  }
  /// It is done as soon as it may be, which is the result.
  SteadyTime next(const std::string& allocation, SteadyTime now) {
    History& history = histories_[allocation];
    const SteadyTime at = std::max(now, history.due);
    if (at - history.last > kStableAfter) history.pause = kFirstPause;
    history.last = at;
    history.due = at + history.pause;
    history.pause = std::min(2 * history.pause, kMaxPause);
    return at;
  }

 private:
  struct History {
    Duration pause = kFirstPause;
    SteadyTime due{};
    SteadyTime last{};
  };
  std::map<std::string, History> histories_;
};

}  // namespace dms::orchestrator
