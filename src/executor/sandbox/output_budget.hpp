// How fast the output of an execution is copied to its logs: a token bucket for both streams together.
//
// Model: the processor time and the writes of copying are the shim's, outside of the limits of the work, so they are
// bounded here. While the budget is short, the shim does not read: the pipes fill and the work waits in its write();
// nothing is lost. A read costs its bytes, but at least kLeastCharge: single bytes cost a wake-up each.
//  1. After `t` since the first read, at most `burst + rate * t` bytes have been read.
//  2. enough() allows a read of chunk() bytes from each stream, so that none of them starves the other.
//
// Threads: one. Failure: none; a rate below 1 and a burst below 2 are raised to that. Times are of a clock that
// never goes back; one before the last counts as the last.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/time.hpp"

namespace dms::executor {

struct OutputRate {
  std::uint64_t bytes_per_second = 16 * 1024 * 1024;
  std::uint64_t burst = 16 * 1024 * 1024;
};

class OutputBudget {
 public:
  static constexpr std::size_t kMostChunk = 64 * 1024;  ///< what a pipe holds
  static constexpr std::size_t kLeastCharge = 4096;

  OutputBudget(OutputRate rate, Duration now)
      : rate_(static_cast<double>(std::max<std::uint64_t>(rate.bytes_per_second, 1))),
        burst_(static_cast<double>(std::max<std::uint64_t>(rate.burst, 2))),
        tokens_(burst_),
        filled_(now) {}

  /// The most bytes of one read.
  [[nodiscard]] std::size_t chunk() const {
    return static_cast<std::size_t>(std::min(static_cast<double>(kMostChunk), std::floor(burst_ / 2)));
  }
  /// Whether a chunk of each stream may be read now.
  bool enough(Duration now) {
    const double seconds = std::chrono::duration<double>(now - filled_).count();
    if (seconds > 0) {
      tokens_ = std::min(burst_, tokens_ + seconds * rate_);
      filled_ = now;
    }
    return tokens_ >= needed();
  }
  /// How long it takes from the last enough() on until a chunk of each may be read.
  [[nodiscard]] std::chrono::milliseconds wait() const {
    const double seconds = std::max(0.0, needed() - tokens_) / rate_;
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(std::min(seconds * 1000, kMostWait))));
  }
  void spend(std::size_t bytes) { tokens_ -= static_cast<double>(std::max(bytes, std::min(kLeastCharge, chunk()))); }

 private:
  static constexpr double kMostWait = 1000;  // milliseconds; the caller asks again
  [[nodiscard]] double needed() const { return 2 * static_cast<double>(chunk()); }

  double rate_;
  double burst_;
  double tokens_;
  Duration filled_;
};

}  // namespace dms::executor
