// Pending timers of a lane, earliest first; equal instants keep the order they were set in. O(log n) for each
// operation.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/assert.hpp"
#include "runtime/lane.hpp"

namespace dms {

class TimerQueue {
 public:
  TimerId add(SteadyTime when, Callback work) {
    DMS_ASSERT(work, "a timer without a callback");
    const auto id = static_cast<TimerId>(++last_);
    pending_.emplace(std::pair(when, id), std::move(work));
    when_.emplace(id, when);
    return id;
  }

  void cancel(TimerId id) {
    if (auto it = when_.find(id); it != when_.end()) {
      pending_.erase({it->second, id});
      when_.erase(it);
    }
  }

  [[nodiscard]] std::optional<SteadyTime> earliest() const {
    if (pending_.empty()) return std::nullopt;
    return pending_.begin()->first.first;
  }

  /// The next callback that is due at `now`, if any.
  std::optional<Callback> pop_due(SteadyTime now) {
    if (pending_.empty() || pending_.begin()->first.first > now) return std::nullopt;
    auto node = pending_.extract(pending_.begin());
    when_.erase(node.key().second);
    DMS_DEBUG_ASSERT(when_.size() == pending_.size(), "{} timers, {} instants", pending_.size(), when_.size());
    return std::move(node.mapped());
  }

  [[nodiscard]] std::size_t size() const { return pending_.size(); }

 private:
  std::map<std::pair<SteadyTime, TimerId>, Callback> pending_;
  std::unordered_map<TimerId, SteadyTime> when_;
  std::uint64_t last_ = 0;
};

}  // namespace dms
