// When a thread that waits for an event polls for it instead of sleeping: waking a thread takes longer than many
// replies take to arrive.
//
// Model
//  1. An event is expected soon if the kEventsInARow events before it each came within kPollTime. So a request and
//     reply sequence is recognised, and unrelated events rarely cause polling. A thread that expects an event polls for
//     kPollTime and then sleeps.
//  2. Between two polls the thread yields. If that takes longer than kMaxYield, another thread needs the processor,
//     perhaps the one that produces the event: then the thread sleeps, and does not poll for a pause that doubles each
//     time, from kFirstPause to kLastPause, and is reset when polling has found an event.
//
// Threads: one. Cost: at most kPollTime of processor time for each event, so a peer that sends every kPollTime keeps
// one processor busy, which yields to other threads.
#pragma once

#include <algorithm>

#include "base/time.hpp"

namespace dms {

class BusyPoll {
 public:
  static constexpr int kEventsInARow = 2;
  static constexpr Duration kPollTime = std::chrono::microseconds(100);
  static constexpr Duration kMaxYield = std::chrono::microseconds(20);
  static constexpr Duration kFirstPause = std::chrono::milliseconds(1);
  static constexpr Duration kLastPause = std::chrono::seconds(1);

  /// Whether to poll for the event that is awaited from `now` on.
  [[nodiscard]] bool expects(SteadyTime now) const { return in_a_row_ >= kEventsInARow && now >= resume_; }
  /// The thread yielded between the two times. False if polling has to end.
  bool keep_polling(SteadyTime before, SteadyTime after) {
    if (after - before <= kMaxYield) return true;
    resume_ = after + pause_;
    pause_ = std::min(2 * pause_, kLastPause);
    return false;
  }
  /// An event came that had been awaited since `since`; `found` by polling, not by a wake-up.
  void event(SteadyTime since, SteadyTime now, bool found) {
    in_a_row_ = now - since < kPollTime ? std::min(in_a_row_ + 1, kEventsInARow) : 0;
    if (found) pause_ = kFirstPause;
  }

 private:
  int in_a_row_ = 0;
  SteadyTime resume_{};
  Duration pause_ = kFirstPause;
};

}  // namespace dms
