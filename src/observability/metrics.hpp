// Numbers that tell how a node fares: counters that only rise, gauges that go up and down.
//
// A name is made at its first use and stays; the reference stays valid as long as the registry. Names are the program's
// own, never a stranger's, so their number is bounded. Threads: any; looking a name up takes a mutex, so keep the
// reference; counting is one atomic addition.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace dms::observability {

class Counter {
 public:
  void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_ = 0;
};

class Metrics {
 public:
  Counter& counter(std::string_view name) { return find(counters_, name); }
  Gauge& gauge(std::string_view name) { return find(gauges_, name); }

  /// All of them now, by name.
  [[nodiscard]] std::map<std::string, std::int64_t> snapshot() const {
    std::lock_guard lock(mutex_);
    std::map<std::string, std::int64_t> values;
    for (const auto& [name, counter] : counters_) values[name] = static_cast<std::int64_t>(counter.value());
    for (const auto& [name, gauge] : gauges_) values[name] = gauge.value();
    return values;
  }

 private:
  template <class T>
  T& find(std::map<std::string, T, std::less<>>& all, std::string_view name) {
    std::lock_guard lock(mutex_);
    const auto known = all.find(name);
    return known != all.end() ? known->second : all[std::string(name)];
  }

  mutable std::mutex mutex_;
  std::map<std::string, Counter, std::less<>> counters_;
  std::map<std::string, Gauge, std::less<>> gauges_;
};

}  // namespace dms::observability
