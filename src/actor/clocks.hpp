// By how much the wall clocks of other hosts are ahead of this one's.
//
// Model
//  1. An envelope, and each token in it, expires by the clock of its receiver: one whose clock is ahead takes what is
//     valid for a short time for expired. So what an actor of this node sends to such a host is valid for longer by
//     that difference (actor.hpp, 9).
//  2. A difference is learned from what the host itself has stated in a message that was accepted. It lies between two
//     bounds, as the message was on its way for a while; the larger one counts. A later statement replaces it.
//  3. A host that is ahead by less than kLeastAhead, or behind, needs nothing. One that is ahead by more than
//     kMostAhead gets nothing.
//
// Threads: the lane of the node. Attacks: a host that states a wrong clock makes what this node sends to it, and to
// nobody else, valid for kMostAhead longer at most. Of kMaxClocks hosts at most something is known; what is forgotten
// is learned again.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "base/time.hpp"

namespace dms::actor {

inline constexpr Duration kLeastAhead = 1s;
inline constexpr Duration kMostAhead = 2h;
inline constexpr std::size_t kMaxClocks = 1024;

class Clocks {
 public:
  /// `host` says that its time was `wall` when it wrote a message, which was at most `ago` before `now`.
  void heard(const std::string& host, UnixTime wall, UnixTime now, Duration ago) {
    const Duration least = wall - now;
    if (least < kLeastAhead || least > kMostAhead) {
      ahead_.erase(host);
      return;
    }
    if (ahead_.size() >= kMaxClocks && !ahead_.contains(host)) ahead_.erase(ahead_.begin());
    ahead_[host] = std::min(least + std::clamp(ago, Duration(0), kMostAhead), kMostAhead);
  }
  /// 0 if nothing is known.
  [[nodiscard]] Duration ahead(const std::string& host) const {
    const auto found = ahead_.find(host);
    return found == ahead_.end() ? Duration(0) : found->second;
  }

 private:
  std::map<std::string, Duration> ahead_;
};

}  // namespace dms::actor
