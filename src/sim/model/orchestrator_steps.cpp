// The steps of the orchestrator: what it does by itself, and with a message.
#include "sim/model/steps.hpp"

#include <algorithm>

namespace dms::sim::model {

void Steps::request(Class type, int a, Kind kind, std::uint8_t value) {
  State next = from_;
  Task& t = task(next, a);
  t.pending = 1;
  if (kind == Kind::release && t.phase == Phase::reverting && t.maybe_running != 0) t.maybe_running = kUnwanted;
  const bool renews_the_lost = mutated(Mutation::renew_the_lost) && t.phase == Phase::waiting;
  const bool asks_first = limits_.clocks && t.clock == 0 && !mutated(Mutation::renew_without_clock) && !renews_the_lost;
  if (kind == Kind::renew && asks_first) value = 0;
  const bool renews = kind == Kind::renew && value != 0;
  const std::uint8_t clock = renews && limits_.clocks ? t.clock : 0;
  // With a clock it extends nothing beyond what is known; an allocation runs only after its reply. Without one it counts
  // from its receipt.
  if ((renews && clock == 0) || (kind == Kind::allocate && !limits_.clocks)) {
    held(next, t.provider, a).sent = surely_ended();
    const bool lost = t.phase == Phase::waiting;  // Mutation::renew_the_lost does not wait for this one
    if (!lost) t.bound = surely_ended();
  }
  send(next, kind, t.provider, a, t.incarnation, value, 0, clock);
  emit(type, next, [&] {
    return fmt::format("orchestrator: sends {} to provider {} for allocation {}, attempt {}{}",
                       kKinds[static_cast<std::size_t>(kind)], t.provider, a, t.incarnation,
                       kind == Kind::renew && value == 0 ? " (question only)" : "");
  });
}

void Steps::enter(Class type, int a, Phase phase, std::string_view why) {
  State next = from_;
  enter(next, a, phase);
  emit(type, next, [&] {
    return fmt::format("orchestrator: allocation {} is {}: {}", a, kPhases[static_cast<std::size_t>(phase)], why);
  });
}

void Steps::enter(State& s, int a, Phase phase) {
  Task& t = task(s, a);
  t.phase = phase;
  t.pending = 0;
  if (phase == Phase::placing || is_final(phase)) t.maybe_running = t.bound = t.counted = t.clock = 0;
  if (is_final(phase)) t.provider = 0;
}

Phase Steps::after_unconfirmed(const Task& t) const {
  if (!limits_.exclusive || t.maybe_running == 0) return Phase::placing;
  const bool forgets = mutated(Mutation::replace_at_once) ||
                       (mutated(Mutation::forget_unacknowledged_start) && t.phase == Phase::reverting);
  return forgets ? Phase::placing : Phase::waiting;
}

void Steps::place(int a) {
  if (from_.cancelled != 0) return enter(Class::internal, a, Phase::failed, "the deployment is shut down");
  if (task(a).incarnation == limits_.attempts) return enter(Class::internal, a, Phase::failed, "no attempt is left");
  for (int p = 0; p < limits_.providers; ++p) {
    if (machine(p).up != 1 || machine(p).used >= limits_.capacity) continue;
    State next = from_;
    enter(next, a, Phase::committing);
    Task& t = task(next, a);
    t.provider = static_cast<std::uint8_t>(p);
    ++t.incarnation;
    held(next, p, a).bid = static_cast<std::uint8_t>(limits_.bid);
    emit(Class::internal, next, [&] {
      return fmt::format("orchestrator: chooses the bid of provider {} for allocation {}, attempt {}", p, a,
                         t.incarnation);
    });
  }
  enter(Class::fault, a, Phase::failed, "the deadline of the deployment has passed");
}

void Steps::orchestrator(int a) {
  if (from_.orchestrator_up != 1) return;
  const Task& t = task(a);
  const bool idle = t.pending == 0;
  const bool silent = t.pending == timed_out();
  const bool deploying = t.phase == Phase::committing || t.phase == Phase::allocating || t.phase == Phase::starting;
  if (from_.cancelled != 0 && (deploying || t.phase == Phase::running))
    enter(Class::internal, a, Phase::reverting, "the deployment is shut down");
  if (deploying && silent) enter(Class::internal, a, Phase::reverting, "no reply");
  switch (t.phase) {
    case Phase::placing: return place(a);
    case Phase::committing:
      if (idle) request(Class::internal, a, Kind::commit);
      return;
    case Phase::allocating:
      if (idle) request(Class::internal, a, Kind::allocate);
      return;
    case Phase::starting:
      if (idle) request(Class::internal, a, Kind::start);
      if (idle) request(Class::internal, a, Kind::renew);
      return;
    case Phase::running:
      if (idle || silent) request(Class::internal, a, Kind::renew);
      if (silent) enter(Class::internal, a, after_unconfirmed(t), "its provider is declared lost");
      return;
    case Phase::reverting:
      if (idle || silent) request(Class::internal, a, Kind::release);
      if (silent) enter(Class::internal, a, after_unconfirmed(t), "its provider does not confirm the release");
      return;
    case Phase::waiting:
      if (t.bound == 0) enter(Class::internal, a, Phase::placing, "the old lease has surely ended");
      if (idle || silent) request(Class::internal, a, Kind::renew, mutated(Mutation::renew_the_lost) ? 1 : 0);
      return;
    case Phase::collecting:
      if (idle || silent)
        request(Class::internal, a, mutated(Mutation::release_before_collecting) ? Kind::release : Kind::logs);
      return;
    case Phase::releasing:
      if (idle || silent) request(Class::internal, a, Kind::release);
      if (silent) enter(Class::internal, a, Phase::done, "its provider releases it after the retention");
      return;
    case Phase::done:
    case Phase::failed: return;
  }
}

void Steps::receive(State& s, const Message& m) const {
  const int a = m.allocation;
  Task& t = task(s, a);
  const bool current = t.incarnation == m.incarnation && t.provider == m.provider && !is_final(t.phase);
  if (m.kind == Kind::notice) return receive_notice(s, m, current);
  if (!current || t.pending == 0) return;  // no request waits for it
  const auto accepted = [&](Phase expected, Phase then) {
    if (t.phase == expected) enter(s, a, m.value != 0 ? then : Phase::reverting);
  };
  switch (m.kind) {
    case Kind::commit_reply: return accepted(Phase::committing, Phase::allocating);
    case Kind::allocate_reply:
      accepted(Phase::allocating, Phase::starting);
      if (t.phase == Phase::starting) t.maybe_running = 1;  // stored before the first start is sent
      if (t.phase == Phase::starting) learn_clock(s, m);
      return;
    case Kind::start_reply: return accepted(Phase::starting, Phase::running);
    case Kind::report: return receive_report(s, m);
    case Kind::released:
      if (t.phase == Phase::reverting) enter(s, a, Phase::placing);
      if (t.phase == Phase::releasing || t.phase == Phase::collecting) enter(s, a, Phase::done);
      return;
    case Kind::logs_reply:
      if (t.phase == Phase::collecting) enter(s, a, Phase::releasing);
      return;
    default: return;
  }
}

void Steps::learn_clock(State& s, const Message& m) const {
  if (!limits_.clocks) return;
  Task& t = task(s, m.allocation);
  const auto lease = static_cast<std::uint8_t>(limits_.lease);
  t.clock = m.clock;
  t.bound = std::max(t.bound, lease);
  Allocation& h = held(s, m.provider, m.allocation);
  h.sent = std::max(h.sent, lease);
}

void Steps::receive_notice(State& s, const Message& m, bool current) const {
  const int a = m.allocation;
  Task& t = task(s, a);
  if (is_final(t.phase)) return;  // the deployment's actor is gone
  if (!current) return;           // its output is not wanted; a report of it has it released
  if (t.phase == Phase::waiting && t.maybe_running == kUnwanted) return enter(s, a, Phase::placing);
  const bool news = t.phase == Phase::starting || t.phase == Phase::running || t.phase == Phase::waiting;
  if (!news && m.value != kCutShort && mutated(Mutation::count_each_notice)) ++t.counted;
  if (news) learn_end(s, a, m.value == kCutShort);
  send(s, Kind::ack, m.provider, a, m.incarnation, 1);
}

void Steps::receive_report(State& s, const Message& m) const {
  const int a = m.allocation;
  Task& t = task(s, a);
  if (t.phase != Phase::starting && t.phase != Phase::running && t.phase != Phase::waiting) return;
  t.pending = 0;
  learn_clock(s, m);
  if (m.value >= kOther) {
    send(s, Kind::release, m.provider, a, static_cast<std::uint8_t>(m.value - kOther), 1);
    return enter(s, a, Phase::placing);
  }
  if (m.value == kCutShort) return learn_end(s, a, true);
  switch (static_cast<Held>(m.value)) {
    case Held::allocated:
      if (t.phase != Phase::starting) enter(s, a, Phase::reverting);
      return;
    case Held::starting:
    case Held::running: return enter(s, a, t.maybe_running == kUnwanted ? Phase::reverting : Phase::running);
    case Held::ended: return learn_end(s, a, false);
    case Held::releasing:  // its work may still run
      if (mutated(Mutation::ignore_releasing)) enter(s, a, Phase::placing);
      return;
    default: return enter(s, a, Phase::placing);
  }
}

void Steps::learn_end(State& s, int a, bool cut_short) const {
  Task& t = task(s, a);
  const bool is_loss = cut_short && !mutated(Mutation::count_cut_short);
  if (is_loss || t.maybe_running == kUnwanted) return enter(s, a, Phase::placing);
  ++t.counted;
  enter(s, a, Phase::collecting);
}

void Steps::crash_orchestrator() {
  State next = from_;
  ++next.crashes;
  next.orchestrator_up = 0;
  for (Task& t : next.tasks) t.pending = t.bound = t.clock = 0;
  forget_seen(next, false, 0);
  emit(Class::fault, next, [] { return std::string("orchestrator: crashes"); });
}

}  // namespace dms::sim::model
