// Providers that failed lately, and for how long each gets no request: longer each time, and as short as at first after
// kMaxProviderBackoff in which it might get some and did not fail. What fails while it gets none is part of the same
// failure: the losses of several runs, noticed one after another. One that a node is pinned to has no substitute: it is
// left out for kPinnedBackoff only.
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
inline constexpr Duration kPinnedBackoff = 5s;

class ProviderBackoff {
 public:
  void failed(const std::string& peer, SteadyTime now) {
    Entry& entry = entries_[peer];
    entry.since = now;
    if (entry.until > now) return;
    if (now - entry.until > kMaxProviderBackoff) entry.pause = kProviderBackoff;
    entry.until = now + entry.pause;
    entry.pause = std::min(2 * entry.pause, kMaxProviderBackoff);
  }
  /// Those that are excluded at `now`.
  [[nodiscard]] std::set<std::string> excluded(SteadyTime now, const std::set<std::string>& pinned = {}) const {
    std::set<std::string> peers;
    for (const auto& [peer, entry] : entries_)
      if ((pinned.contains(peer) ? entry.since + kPinnedBackoff : entry.until) > now) peers.insert(peer);
    return peers;
  }

 private:
  struct Entry {
    SteadyTime since{};
    SteadyTime until{};
    Duration pause = kProviderBackoff;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace dms::orchestrator
