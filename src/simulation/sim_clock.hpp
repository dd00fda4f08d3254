// The clock of a simulation, and the events that move it.
//
// Model
//  1. Time stands still while an event runs and jumps to the next event when it has ended. Events of one instant run in
//     the order in which they were scheduled.
//  2. trace() is a fingerprint of instant, order and owner of all events so far: equal traces are equal runs.
//
// Threads: none. Cost: O(log n) in the events that are pending.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/random.hpp"
#include "base/time.hpp"
#include "runtime/lane.hpp"

namespace dms {

class SimClock {
 public:
  using EventId = std::pair<SteadyTime, std::uint64_t>;

  [[nodiscard]] SteadyTime now() const { return now_; }
  [[nodiscard]] UnixTime unix_now() const { return epoch_ + now_.time_since_epoch(); }

  /// `when` is not before now(). `owner` is the number of a node, 0 for the network.
  EventId schedule(SteadyTime when, std::uint32_t owner, Callback work);
  void unschedule(const EventId& id) { events_.erase(id); }

  /// The instant of the next event.
  [[nodiscard]] std::optional<SteadyTime> next() const;
  /// Runs the next event; false if there is none.
  bool step();
  /// Lets time pass until `when`, before which no event is left.
  void advance_to(SteadyTime when);

  [[nodiscard]] std::uint64_t trace() const { return trace_; }
  [[nodiscard]] std::uint64_t processed() const { return processed_; }
  [[nodiscard]] std::size_t pending() const { return events_.size(); }

 private:
  struct Event {
    std::uint32_t owner;
    Callback work;
  };
  SteadyTime now_{};
  // A real instant, so that arithmetic with expiry times is exercised as in production.
  UnixTime epoch_{1'760'000'000ULL * 1'000'000'000ULL};
  std::map<EventId, Event> events_;
  std::uint64_t sequence_ = 0;
  std::uint64_t processed_ = 0;
  std::uint64_t trace_ = 0xcbf29ce484222325ULL;
};

/// The lane of one simulated node.
class SimLane final : public Lane {
 public:
  SimLane(SimClock& clock, std::uint32_t node, std::uint64_t seed) : clock_(clock), node_(node), random_(seed) {}

  void post(Callback work) override { clock_.schedule(not_stalled(clock_.now()), node_, std::move(work)); }
  TimerId call_at(SteadyTime when, Callback work) override;
  void cancel_timer(TimerId id) override;
  [[nodiscard]] SteadyTime now() const override { return clock_.now(); }
  [[nodiscard]] UnixTime unix_now() const override { return clock_.unix_now() + ahead_; }
  /// Nothing runs on it for that long; what is due meanwhile runs then.
  void stall(Duration time) { stalled_until_ = clock_.now() + time; }
  void set_ahead(Duration ahead) { ahead_ = ahead; }
  Random& random() override { return random_; }
  void offload(Callback work, Callback done) override;

 private:
  [[nodiscard]] SteadyTime not_stalled(SteadyTime when) const { return std::max(when, stalled_until_); }
  void fire(TimerId id, Callback work);

  SimClock& clock_;
  std::uint32_t node_;
  SeededRandom random_;
  Duration ahead_{0};  ///< of the wall clock
  SteadyTime stalled_until_{};
  std::uint64_t last_timer_ = 0;
  std::unordered_map<TimerId, SimClock::EventId> timers_;
};

}  // namespace dms
