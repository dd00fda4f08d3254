// When a thread that waits for an event should look for it instead of sleeping: to be woken takes a sleeper longer than many
// an answer takes to come.
//
// Model
//  1. An event is expected soon if the kRun before it each came within kLook. So a conversation is recognised, and a stream
//     of unrelated events hardly costs a look. Who expects one looks for kLook and then sleeps.
//  2. Between two looks the processor is offered to others (yield). If that takes longer than kAlone, somebody else wants
//     it, perhaps the one who is to bring the event: then sleeping is better for both, and stays so for a pause that
//     doubles each time, from kFirstPause to kLastPause, and is forgotten when a look has found an event.
//
// Threads: one. Cost: at most kLook of processor time for each event, so somebody who speaks every kLook keeps one
// processor busy, which others get when they want it.
#pragma once

#include <algorithm>

#include "base/time.hpp"

namespace dms {

class BusyPoll {
 public:
  static constexpr int kRun = 2;
  static constexpr Duration kLook = std::chrono::microseconds(100);
  static constexpr Duration kAlone = std::chrono::microseconds(20);
  static constexpr Duration kFirstPause = std::chrono::milliseconds(1);
  static constexpr Duration kLastPause = std::chrono::seconds(1);

  /// Whether to look for the event that is waited for from `now` on.
  [[nodiscard]] bool expects(SteadyTime now) const { return run_ >= kRun && now >= resume_; }
  /// The processor was offered to others between the two times. False if looking has to end.
  bool alone(SteadyTime before, SteadyTime after) {
    if (after - before <= kAlone) return true;
    resume_ = after + pause_;
    pause_ = std::min(2 * pause_, kLastPause);
    return false;
  }
  /// An event came that had been waited for since `since`; `found` by looking, not by being woken.
  void came(SteadyTime since, SteadyTime now, bool found) {
    run_ = now - since < kLook ? std::min(run_ + 1, kRun) : 0;
    if (found) pause_ = kFirstPause;
  }

 private:
  int run_ = 0;
  SteadyTime resume_{};
  Duration pause_ = kFirstPause;
};

}  // namespace dms
