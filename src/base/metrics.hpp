// Metrics: counters, gauges and histograms that modules own, and a registry that lists them by name and labels.
//
// Model
//  1. A module owns its metrics as plain members, usually in a struct `Metrics` of its own header, and updates them on
//     its lane. Nothing else happens until they are read: an update is one addition to an integer.
//  2. A registry holds references. A module registers through a Group, which is declared after the metrics it lists and
//     withdraws them when it is destroyed. Group and registry may be destroyed in either order. There is no global
//     registry: the owner of a module (the daemon, a test) provides one.
//  3. A metric family is a name with a kind, a help line and a set of series, one for each combination of label values.
//     Names follow Prometheus: `nunet_<module>_<what>[_<unit>]`, base units (seconds, bytes), `_total` for counters.
//     They are checked when the program is compiled.
//  4. A series that is registered twice, or a family registered under two kinds, is a bug (assert.hpp, counted);
//     conflicts() counts those of this registry, and the first one stays.
//  5. snapshot() reads every series at one point in time, families by name, series by labels.
//
// Threads: everything belongs to one lane: metrics, groups, registry and snapshot(). What another thread counts is an
// atomic of its own, registered with a function that reads it.
//
// Cost (metrics_bench.cpp, 2.1 GHz): Counter and Gauge 0.4 ns, as a plain integer; CounterArray 0.8 ns; Histogram 9 ns;
// a snapshot of 300 series 20 us. Registering is a tree insertion.
//
// Attacks: label values are names that the program knows (an enumerator, a protocol), never text from outside, so peers
// cannot make the number of series grow.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.hpp"

namespace dms::metrics {

/// A number of events; only rises.
class Counter {
 public:
  void add(std::uint64_t amount = 1) { value_ += amount; }
  Counter& operator++() {
    ++value_;
    return *this;
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

/// A level that rises and falls.
class Gauge {
 public:
  void set(std::int64_t value) { value_ = value; }
  void add(std::int64_t amount = 1) { value_ += amount; }
  void sub(std::int64_t amount = 1) { value_ -= amount; }
  [[nodiscard]] std::int64_t value() const { return value_; }

 private:
  std::int64_t value_ = 0;
};

/// One counter for each enumerator of `E`, which counts from 0 to N - 1.
template <class E, std::size_t N>
class CounterArray {
 public:
  [[nodiscard]] Counter& operator[](E which) { return counters_[static_cast<std::size_t>(which)]; }
  [[nodiscard]] const Counter& operator[](E which) const { return counters_[static_cast<std::size_t>(which)]; }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const Counter& counter : counters_) sum += counter.value();
    return sum;
  }

 private:
  std::array<Counter, N> counters_{};
};

inline constexpr std::size_t kMaxBounds = 24;
/// Bounds for durations, 100 us to 60 s.
inline constexpr std::array<double, 12> kSeconds = {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60};
/// Bounds for sizes, 64 B to 16 MiB.
inline constexpr std::array<double, 10> kBytes = {64,     256,     1024,    4096,    16384,
                                                  65'536, 262'144, 1048576, 4194304, 16777216};

/// How values are distributed: how many are at most each bound, and their sum.
class Histogram {
 public:
  /// Ascending upper bounds, at most kMaxBounds; they outlive the histogram (kSeconds, kBytes, a constant of the
  /// module).
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);
  void observe(Duration value) { observe(std::chrono::duration<double>(value).count()); }

  [[nodiscard]] std::span<const double> bounds() const { return bounds_; }
  /// How many values lie in each interval between bounds; the last are beyond all bounds.
  [[nodiscard]] std::span<const std::uint64_t> counts() const { return std::span(counts_).first(bounds_.size() + 1); }
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] std::uint64_t count() const;

 private:
  std::span<const double> bounds_;
  std::array<std::uint64_t, kMaxBounds + 1> counts_{};
  double sum_ = 0;
};

enum class Kind : std::uint8_t { counter, gauge, histogram };
[[nodiscard]] std::string_view to_string(Kind kind);

/// The name of a family; one that violates (3) does not compile.
template <Kind K>
class Name {
 public:
  consteval Name(const char* text) : text_(text) {  // NOLINT(google-explicit-constructor): {"name", ...}
    bool valid = text_.starts_with("nunet_") && !text_.ends_with("_");
    for (const char c : text_) valid = valid && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
    if (!valid) throw "the name of a metric is nunet_<module>_<what>, in lower case";
    if (text_.ends_with("_total") != (K == Kind::counter)) throw "the name of a counter, and no other, ends in _total";
  }
  [[nodiscard]] constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

/// In the order given; the same names for all series of a family.
using Labels = std::vector<std::pair<std::string, std::string>>;

struct Distribution {
  std::vector<std::pair<double, std::uint64_t>> at_most;  ///< bound and number of values up to it; the last is infinite
  double sum = 0;
  [[nodiscard]] std::uint64_t count() const { return at_most.empty() ? 0 : at_most.back().second; }
};

struct Series {
  Labels labels;
  std::variant<std::uint64_t, std::int64_t, Distribution> value;  ///< of a counter, a gauge, a histogram
};

struct Family {
  std::string name;
  Kind kind = Kind::counter;
  std::string help;
  std::vector<Series> series;
};

class Snapshot {
 public:
  std::vector<Family> families;  ///< by name

  /// Nothing if there is no such series.
  [[nodiscard]] const Series* find(std::string_view name, const Labels& labels = {}) const;
  /// Of a counter or gauge, or the number of values of a histogram.
  [[nodiscard]] std::optional<std::int64_t> value(std::string_view name, const Labels& labels = {}) const;
  /// Prometheus text format, version 0.0.4.
  [[nodiscard]] std::string to_text() const;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  [[nodiscard]] Snapshot snapshot() const;
  /// How many registrations were refused (4).
  [[nodiscard]] std::uint64_t conflicts() const;

 private:
  friend class Group;
  struct State;
  std::shared_ptr<State> state_;
};

/// The registrations of one module. They end with it.
class Group {
 public:
  Group();
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// What follows is registered there.
  Group& in(Registry& registry);

  Group& counter(Name<Kind::counter> name, std::string_view help, const Counter& counter, Labels labels = {});
  Group& gauge(Name<Kind::gauge> name, std::string_view help, const Gauge& gauge, Labels labels = {});
  Group& histogram(Name<Kind::histogram> name, std::string_view help, const Histogram& histogram, Labels labels = {});
  /// Computed when it is read: the size of a container, an atomic of another thread.
  Group& counter(Name<Kind::counter> name, std::string_view help, std::function<std::uint64_t()> read,
                 Labels labels = {});
  Group& gauge(Name<Kind::gauge> name, std::string_view help, std::function<std::int64_t()> read, Labels labels = {});
  /// One series for each enumerator, whose `label` is to_string(enumerator).
  template <class E, std::size_t N>
  Group& counters(Name<Kind::counter> name, std::string_view help, std::string_view label,
                  const CounterArray<E, N>& counters) {
    for (std::size_t i = 0; i < N; ++i)
      counter(name, help, counters[static_cast<E>(i)],
              {{std::string(label), std::string(to_string(static_cast<E>(i)))}});
    return *this;
  }

 private:
  struct Registered;
  void add(std::string_view name, Kind kind, std::string_view help, Labels labels, std::function<void(Series&)> read);

  std::weak_ptr<Registry::State> registry_;
  std::vector<Registered> registered_;
};

}  // namespace dms::metrics
