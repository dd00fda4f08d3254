// The steps of everything else: time, the network, engines, crashes and starts; and the order of all steps.
#include "sim/model/steps.hpp"

#include <algorithm>

namespace dms::sim::model {

std::string describe(const Message& m) {
  std::string text = fmt::format("{} of allocation {}, attempt {}", kKinds[static_cast<std::size_t>(m.kind)],
                                 m.allocation, m.incarnation);
  if (m.kind == Kind::report)
    text += m.value >= kOther      ? fmt::format(": another attempt, {}", m.value - kOther)
            : m.value == kCutShort ? std::string(": cut short")
                                   : fmt::format(": {}", kHeld[m.value]);
  else if (m.kind == Kind::renew)
    text += m.value != 0 ? "" : " (question only)";
  else if (!to_provider(m.kind) && m.kind != Kind::notice && m.kind != Kind::released)
    text += m.value != 0 ? ": accepted" : ": refused";
  return text;
}

void Steps::all() {
  recoveries();
  for (int p = 0; p < kProviders; ++p)
    for (int a = 0; a < limits_.allocations; ++a) work_ends(p, a);
  for (int i = 0; i < kMaxMessages; ++i) delivery(i);
  for (int p = 0; p < kProviders; ++p)
    for (int a = 0; a < limits_.allocations; ++a) provider(p, a);
  for (int a = 0; a < limits_.allocations; ++a) orchestrator(a);
  tick();
  faults();
}

void Steps::send(State& s, Kind kind, int p, int a, std::uint8_t incarnation, std::uint8_t value, std::uint8_t age,
                 std::uint8_t clock) const {
  if (age > limits_.lifetime) return;  // a reply expires with its request
  int used = 0;
  Message* place = nullptr;
  for (Message& m : s.messages) {
    if (m.kind == Kind::none)
      place = &m;
    else if (m.seen == 0)
      ++used;
  }
  if (place == nullptr || used >= limits_.in_flight) return;
  *place = {kind, static_cast<std::uint8_t>(p), static_cast<std::uint8_t>(a), incarnation, value, age, clock, 0};
}

void Steps::work_ends(int p, int a) {
  if (held(p, a).engine != Engine::running) return;
  State next = from_;
  held(next, p, a).engine = Engine::ended;
  emit(Class::work_ends, next,
       [&] { return fmt::format("engine of provider {}: the work of allocation {} ends by itself", p, a); });
}

void Steps::delivery(int i) {
  const Message m = from_.messages[static_cast<std::size_t>(i)];
  if (m.kind == Kind::none || m.seen != 0) return;
  const bool inbound = to_provider(m.kind);
  if (inbound ? machine(m.provider).up != 1 : from_.orchestrator_up != 1) return;
  for (const bool twice : {false, true}) {
    // A duplicate has an effect after a crash alone.
    if (twice && (from_.duplicates >= limits_.duplicates || from_.crashes >= limits_.crashes)) return;
    State next = from_;
    Message& place = next.messages[static_cast<std::size_t>(i)];
    if (twice)
      place.seen = 1, ++next.duplicates;
    else
      place = {};
    Violation violation;
    if (inbound)
      violation = serve(next, m);
    else
      receive(next, m);
    emit(
        twice ? Class::fault : Class::delivery, next,
        [&] {
          const std::string by = inbound ? fmt::format("provider {}", m.provider) : "orchestrator";
          return fmt::format("{}: receives {}{}", by, describe(m),
                             twice ? ", of which a duplicate stays under way" : "");
        },
        violation);
  }
}

void Steps::older(std::uint8_t& clock) const {
  if (clock > 0 && clock <= limits_.lease) ++clock;
}

void Steps::tick() {
  State next = from_;
  for (Provider& provider : next.providers)
    for (Allocation& h : provider.allocations) {
      count_down(h.bid);
      count_down(h.sent);
      h.notified = 0;
      if (h.held == Held::reserved || h.held == Held::ended) count_down(h.timer);
      if (h.lease == 0) continue;
      --h.lease;
      if (h.lease == 0 && h.engine == Engine::running && !mutated(Mutation::no_deadline_in_the_engine))
        h.engine = Engine::stopped;
    }
  for (Task& t : next.tasks) {
    if (t.pending > 0 && t.pending < timed_out()) ++t.pending;
    count_down(t.bound);
    older(t.clock);
  }
  for (Message& m : next.messages) {
    if (m.kind == Kind::none) continue;
    ++m.age;
    older(m.clock);
    if (m.age > limits_.lifetime + (to_provider(m.kind) ? limits_.skew : 0)) m = {};
  }
  emit(Class::tick, next, [] { return std::string("a tick passes"); });
}

void Steps::faults() {
  if (limits_.cancel && from_.cancelled == 0 && from_.orchestrator_up == 1 && !ended(from_, limits_)) {
    State next = from_;
    next.cancelled = 1;
    emit(Class::fault, next, [] { return std::string("user: shuts the deployment down"); });
  }
  if (from_.crashes >= limits_.crashes) return;
  if (from_.orchestrator_up == 1) crash_orchestrator();
  for (int p = 0; p < limits_.providers; ++p) {
    if (machine(p).up != 1) continue;
    crash_provider(p, false);
    crash_provider(p, true);
  }
}

void Steps::forget_seen(State& s, bool of_provider, int p) {
  for (Message& m : s.messages)
    if (to_provider(m.kind) == of_provider && (!of_provider || m.provider == p)) m.seen = 0;
}

void Steps::recoveries() {
  if (from_.orchestrator_up == 0) {
    State next = from_;
    next.orchestrator_up = mutated(Mutation::no_resume) ? 2 : 1;
    if (!mutated(Mutation::forget_wait_at_restart))
      for (Task& t : next.tasks)
        if (t.maybe_running != 0) t.bound = surely_ended();
    emit(Class::recovery, next, [] { return std::string("orchestrator: starts again"); });
  }
  for (int p = 0; p < kProviders; ++p)
    if (machine(p).up != 1) recover_provider(p);
}

void successors(const State& state, const Limits& limits, bool with_text, const Visit& visit) {
  Steps(state, limits, with_text, visit).all();
}

}  // namespace dms::sim::model
