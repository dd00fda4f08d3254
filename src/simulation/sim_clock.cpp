#include "simulation/sim_clock.hpp"

#include "base/assert.hpp"

namespace dms {

SimClock::EventId SimClock::schedule(SteadyTime when, std::uint32_t owner, Callback work) {
  DMS_ASSERT(when >= now_, "an event is scheduled in the past");
  const EventId id{when, ++sequence_};
  events_.emplace(id, Event{owner, std::move(work)});
  return id;
}

std::optional<SteadyTime> SimClock::next() const {
  if (events_.empty()) return std::nullopt;
  return events_.begin()->first.first;
}

bool SimClock::step() {
  if (events_.empty()) return false;
  auto node = events_.extract(events_.begin());
  now_ = node.key().first;
  ++processed_;
  for (std::uint64_t word : {static_cast<std::uint64_t>(now_.time_since_epoch().count()), node.key().second,
                             static_cast<std::uint64_t>(node.mapped().owner)})
    trace_ = (trace_ ^ word) * 0x100000001b3ULL;  // FNV-1a, a word at a time
  node.mapped().work();
  return true;
}

void SimClock::advance_to(SteadyTime when) {
  DMS_ASSERT(when >= now_ && (events_.empty() || events_.begin()->first.first >= when), "an event would be skipped");
  now_ = when;
}

TimerId SimLane::call_at(SteadyTime when, Callback work) {
  const auto id = static_cast<TimerId>(++last_timer_);
  timers_[id] = clock_.schedule(not_stalled(std::max(when, clock_.now())), node_,
                                [this, id, work = std::move(work)]() mutable { fire(id, std::move(work)); });
  return id;
}

void SimLane::fire(TimerId id, Callback work) {
  const SteadyTime when = not_stalled(clock_.now());
  if (when > clock_.now()) {  // it was set before
    timers_[id] =
        clock_.schedule(when, node_, [this, id, work = std::move(work)]() mutable { fire(id, std::move(work)); });
    return;
  }
  timers_.erase(id);
  work();
}

void SimLane::cancel_timer(TimerId id) {
  const auto it = timers_.find(id);
  if (it == timers_.end()) return;
  clock_.unschedule(it->second);
  timers_.erase(it);
}

void SimLane::offload(Callback work, Callback done) {
  post([this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    post(std::move(done));
  });
}

}  // namespace dms
