// Providers that failed lately, and for how long each gets no request: longer each time.
//
// Threads: none. Cost: an entry for each provider that has failed.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/time.hpp"

namespace dms::orchestrator {

inline constexpr Duration kProviderBackoff = 30s;
inline constexpr Duration kMaxProviderBackoff = 30min;

class ProviderBackoff {
 public:
  void failed(const std::string& peer, SteadyTime now) {
    Entry& entry = entries_[peer];
    entry.until = now + entry.pause;
    entry.pause = std::min(2 * entry.pause, kMaxProviderBackoff);
  }
  /// Those that are excluded at `now`.
  [[nodiscard]] std::set<std::string> excluded(SteadyTime now) const {
    std::set<std::string> peers;
    for (const auto& [peer, entry] : entries_)
      if (entry.until > now) peers.insert(peer);
    return peers;
  }

 private:
  struct Entry {
    SteadyTime until{};
    Duration pause = kProviderBackoff;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace dms::orchestrator
