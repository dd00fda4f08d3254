// Instants and durations. Only real_lane.cpp reads the clocks of the operating system; other code gets the time from
// its Lane.
#pragma once

#include <chrono>
#include <cstdint>

namespace dms {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

/// Time that never goes back, counted from an arbitrary origin. For timers and deadlines.
struct SteadyClockTag {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  static constexpr bool is_steady = true;
};
using SteadyTime = std::chrono::time_point<SteadyClockTag>;

/// Wall time as protocols carry it: nanoseconds since 1970-01-01 00:00 UTC.
struct UnixTime {
  std::uint64_t nanos = 0;

  friend auto operator<=>(const UnixTime&, const UnixTime&) = default;
  friend UnixTime operator+(UnixTime t, Duration d) { return {t.nanos + static_cast<std::uint64_t>(d.count())}; }
  friend Duration operator-(UnixTime a, UnixTime b) { return Duration(static_cast<std::int64_t>(a.nanos - b.nanos)); }
  [[nodiscard]] std::uint64_t seconds() const { return nanos / 1'000'000'000; }
};

}  // namespace dms
