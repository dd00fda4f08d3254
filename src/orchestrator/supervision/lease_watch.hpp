// What is known of a machine that holds leases: when it is suspected, when it is lost, when its work has surely ended.
// Pure rules over monotonic time. A machine that runs work which may move at once is lost sooner, by heartbeats.hpp.
//
// Model
//  1. A renewal that gets no reply makes the machine suspected: it is asked again sooner. After kMissedUntilSilent of
//     them in a row it is silent, and no renewal is sent to it, only questions. Those that fail within an interval count
//     as one: a daemon that restarts refuses connections at once.
//  2. A silent machine is lost, unless this node suspects itself (liveness.hpp): its own timers were late lately, no
//     other peer answers it either, or it has just started. Then it declares nobody lost before (3).
//  3. The work of a silent machine has surely ended when its lease and kLeaseMargin have passed since the receipt of
//     the reply whose clock the renewals have repeated: that is as far as any of them extends it, however late it
//     arrives (protocol/allocation.hpp). The margin covers the provider's grace for the work that it stops. Before the
//     first answer no clock is known: the machine is only asked a question. One that answers without a clock is renewed
//     all the same, which counts from the expiry of each renewal.
//  4. An answer makes the machine known again.
//  5. Runs that are placed on it later have leases of their own: (3) holds for the longest of all, from the last
//     placing on, and it is asked as often as the shortest demands.
//
// Wall time plays no part but for a machine without a clock, which judges the expiry of a renewal by its own.
//
// Threads: none.
#pragma once

#include <algorithm>
#include <string>

#include "base/time.hpp"

namespace dms::orchestrator {

inline constexpr int kMissedUntilSilent = 3;
inline constexpr Duration kMinRenewal = 1s;
inline constexpr Duration kMaxRenewal = 30s;
/// Between two questions to a suspected or silent machine.
inline constexpr Duration kSuspectedRenewal = 5s;
/// A timer that is later than this makes the node suspect itself, for kSelfSuspicion.
inline constexpr Duration kLateTimer = 5s;
inline constexpr Duration kSelfSuspicion = 1min;

/// How often a lease is renewed.
constexpr Duration renewal_interval(Duration lease) {
  const Duration quarter = lease / 4;
  return quarter < kMinRenewal ? kMinRenewal : quarter > kMaxRenewal ? kMaxRenewal : quarter;
}

class LeaseWatch {
 public:
  /// The lease may have been extended at `now`, for all that is known: nothing is known of earlier renewals.
  LeaseWatch(Duration lease, SteadyTime now) : lease_(lease), longest_(lease), extended_(now) {}

  /// Another run is known to be placed there.
  void placed(Duration lease, SteadyTime now) {
    lease_ = std::min(lease_, lease);
    longest_ = std::max(longest_, lease);
    extended_ = std::max(extended_, now);
  }

  void renewal_sent(SteadyTime expires) {
    if (clock_ == 0) extended_ = std::max(extended_, expires);
  }
  void answered(SteadyTime now, std::int64_t clock) {
    clock_ = clock;
    has_answered_ = true;
    extended_ = std::max(extended_, now);
    missed_ = 0;
    error_.clear();
  }
  void not_answered(std::string error, SteadyTime now) {
    error_ = std::move(error);
    if (suspected() && now - missed_at_ < interval()) return;
    ++missed_;
    missed_at_ = now;
  }
  /// This node's own fault, perhaps: what was missed does not count.
  void forgive() {
    if (!silent()) missed_ = 0;
  }

  [[nodiscard]] bool suspected() const { return missed_ > 0; }
  [[nodiscard]] bool silent() const { return missed_ >= kMissedUntilSilent; }
  /// See (3).
  [[nodiscard]] bool surely_ended(SteadyTime now, Duration margin) const { return silent() && now >= ends(margin); }
  /// When its work has surely ended, unless it answers before.
  [[nodiscard]] SteadyTime ends(Duration margin) const { return extended_ + longest_ + margin; }
  /// Whether leases may be renewed now; otherwise only a question is sent.
  [[nodiscard]] bool renews() const { return has_answered_ && !silent(); }
  /// For the next renewal.
  [[nodiscard]] std::int64_t clock() const { return clock_; }
  [[nodiscard]] Duration interval() const {
    const Duration regular = renewal_interval(lease_);
    return suspected() && regular > kSuspectedRenewal ? kSuspectedRenewal : regular;
  }
  [[nodiscard]] Duration lease() const { return lease_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  Duration lease_;  ///< the shortest
  Duration longest_;
  SteadyTime extended_;  ///< from when on a lease may count, at the latest
  std::int64_t clock_ = 0;
  bool has_answered_ = false;
  int missed_ = 0;
  SteadyTime missed_at_{};
  std::string error_;
};

}  // namespace dms::orchestrator
