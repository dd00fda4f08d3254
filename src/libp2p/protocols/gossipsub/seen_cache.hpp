// Which messages were seen lately: ids for a given time, at most so many; beyond that the oldest go early. O(1) each.
#pragma once

#include <deque>
#include <string>
#include <unordered_set>

#include "base/time.hpp"

namespace dms::libp2p {

class SeenCache {
 public:
  SeenCache(Duration keep, std::size_t capacity) : keep_(keep), capacity_(capacity) {}

  [[nodiscard]] bool contains(const std::string& id) const { return ids_.contains(id); }
  /// False if it was there already.
  bool insert(std::string id, SteadyTime now) {
    expire(now);
    const auto [it, added] = ids_.insert(std::move(id));
    if (!added) return false;
    order_.push_back({now, &*it});  // elements of an unordered_set stay where they are
    if (order_.size() > capacity_) drop_oldest();
    return true;
  }
  void expire(SteadyTime now) {
    while (!order_.empty() && now - order_.front().when >= keep_) drop_oldest();
  }
  [[nodiscard]] std::size_t size() const { return ids_.size(); }

 private:
  struct Entry {
    SteadyTime when;
    const std::string* id;
  };
  void drop_oldest() {
    ids_.erase(ids_.find(*order_.front().id));
    order_.pop_front();
  }
  Duration keep_;
  std::size_t capacity_;
  std::unordered_set<std::string> ids_;
  std::deque<Entry> order_;
};

}  // namespace dms::libp2p
