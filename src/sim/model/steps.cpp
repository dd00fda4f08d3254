#include "sim/model/protocol_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dms::sim::model {
namespace {

using Class = Step::Class;

constexpr std::array<std::string_view, 11> kPhases = {"placing",   "committing", "allocating", "starting",
                                                      "running",   "reverting",  "waiting",    "collecting",
                                                      "releasing", "done",       "failed"};
constexpr std::array<std::string_view, 7> kHeld = {"nothing", "reserved", "allocated", "starting",
                                                   "running", "ended",    "releasing"};
constexpr std::array<std::string_view, 15> kKinds = {
    "",       "commit",  "commit reply", "allocate", "allocate reply",  "start", "start reply", "renew",
    "report", "release", "released",     "notice",   "acknowledgement", "logs",  "logs reply"};

/// Task::maybe_running once a release was sent: what becomes of the run is not wanted.
constexpr std::uint8_t kUnwanted = 2;

/// A report of another incarnation than the requested one.
constexpr std::uint8_t kOther = 16;

std::string describe(const Message& m) {
  std::string text = fmt::format("{} of allocation {}, attempt {}", kKinds[static_cast<std::size_t>(m.kind)],
                                 m.allocation, m.incarnation);
  if (m.kind == Kind::report)
    text += m.value >= kOther ? fmt::format(": another attempt, {}", m.value - kOther)
                              : fmt::format(": {}", kHeld[m.value]);
  else if (m.kind == Kind::renew)
    text += m.value != 0 ? "" : " (question only)";
  else if (!to_provider(m.kind) && m.kind != Kind::notice && m.kind != Kind::released)
    text += m.value != 0 ? ": accepted" : ": refused";
  return text;
}

/// Enumerates the steps from one state, in a fixed order.
class Steps {
 public:
  Steps(const State& from, const Limits& limits, bool with_text, const Visit& visit)
      : from_(from), limits_(limits), with_text_(with_text), visit_(visit) {}

  void all() {
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

 private:
  template <class Text>
  void emit(Class type, State& next, const Text& text, Violation violation = {}) {
    normalise(next, limits_);
    visit_({type, with_text_ ? text() : std::string()}, next, violation);
  }
  [[nodiscard]] bool mutated(Mutation m) const { return limits_.mutation == m; }
  static Task& task(State& s, int a) { return s.tasks[static_cast<std::size_t>(a)]; }
  static Provider& machine(State& s, int p) { return s.providers[static_cast<std::size_t>(p)]; }
  static Allocation& held(State& s, int p, int a) { return machine(s, p).allocations[static_cast<std::size_t>(a)]; }
  [[nodiscard]] const Task& task(int a) const { return from_.tasks[static_cast<std::size_t>(a)]; }
  [[nodiscard]] const Provider& machine(int p) const { return from_.providers[static_cast<std::size_t>(p)]; }
  [[nodiscard]] const Allocation& held(int p, int a) const {
    return machine(p).allocations[static_cast<std::size_t>(a)];
  }
  [[nodiscard]] std::uint8_t surely_ended() const {
    return static_cast<std::uint8_t>(limits_.lifetime + limits_.lease);
  }
  [[nodiscard]] std::uint8_t timed_out() const { return static_cast<std::uint8_t>(limits_.lifetime + 2); }

  void send(State& s, Kind kind, int p, int a, std::uint8_t incarnation, std::uint8_t value, std::uint8_t age = 0,
            std::uint8_t clock = 0) const {
    if (age > limits_.lifetime) return;  // a reply expires with its request
    int used = 0;
    Message* place = nullptr;
    for (Message& m : s.messages) {
      if (m.kind != Kind::none)
        ++used;
      else
        place = &m;
    }
    if (place == nullptr || used >= limits_.in_flight) return;
    *place = {kind, static_cast<std::uint8_t>(p), static_cast<std::uint8_t>(a), incarnation, value, age, clock, 0};
  }

  // --- the orchestrator ----------------------------------------------------------------------------------------------

  void request(Class type, int a, Kind kind, std::uint8_t value = 1) {
    State next = from_;
    Task& t = task(next, a);
    t.pending = 1;
    if (kind == Kind::release && t.phase == Phase::reverting && t.maybe_running != 0) t.maybe_running = kUnwanted;
    const bool renews = kind == Kind::renew && value != 0;
    const std::uint8_t clock = renews && limits_.clocks ? t.clock : 0;
    // With a clock it extends nothing beyond what is known; an allocation runs only after its reply.
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

  void enter(Class type, int a, Phase phase, std::string_view why) {
    State next = from_;
    enter(next, a, phase);
    emit(type, next, [&] {
      return fmt::format("orchestrator: allocation {} is {}: {}", a, kPhases[static_cast<std::size_t>(phase)], why);
    });
  }
  static void enter(State& s, int a, Phase phase) {
    Task& t = task(s, a);
    t.phase = phase;
    t.pending = 0;
    if (phase == Phase::placing || is_final(phase)) t.maybe_running = t.bound = t.counted = t.clock = 0;
    if (is_final(phase)) t.provider = 0;
  }
  /// The attempt has failed, or its run is over or lost, and the provider has not confirmed that nothing runs.
  [[nodiscard]] Phase after_unconfirmed(const Task& t) const {
    if (!limits_.exclusive || t.maybe_running == 0) return Phase::placing;
    const bool forgets = mutated(Mutation::replace_at_once) ||
                         (mutated(Mutation::forget_unacknowledged_start) && t.phase == Phase::reverting);
    return forgets ? Phase::placing : Phase::waiting;
  }

  void place(int a) {
    if (from_.cancelled != 0) return enter(Class::internal, a, Phase::failed, "the deployment is shut down");
    if (task(a).incarnation == limits_.attempts) return enter(Class::internal, a, Phase::failed, "no attempt is left");
    for (int p = 0; p < kProviders; ++p) {
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

  void orchestrator(int a) {
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

  /// What the orchestrator does with a message.
  void receive(State& s, const Message& m) const {
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

  /// Renewals repeat the clock of this reply from now on: none extends the lease further than from its receipt.
  void learn_clock(State& s, const Message& m) const {
    if (!limits_.clocks) return;
    Task& t = task(s, m.allocation);
    const auto lease = static_cast<std::uint8_t>(limits_.lease);
    t.clock = m.clock;
    t.bound = std::max(t.bound, lease);
    Allocation& h = held(s, m.provider, m.allocation);
    h.sent = std::max(h.sent, lease);
  }

  void receive_notice(State& s, const Message& m, bool current) const {
    const int a = m.allocation;
    Task& t = task(s, a);
    if (is_final(t.phase)) return;  // the deployment's actor is gone
    if (!current) return;           // its output is not wanted; a report of it has it released
    if (t.phase == Phase::waiting && t.maybe_running == kUnwanted) return enter(s, a, Phase::placing);
    const bool news = t.phase == Phase::starting || t.phase == Phase::running || t.phase == Phase::waiting;
    if (news || mutated(Mutation::count_each_notice)) ++t.counted;
    if (news) enter(s, a, Phase::collecting);
    send(s, Kind::ack, m.provider, a, m.incarnation, 1);
  }

  void receive_report(State& s, const Message& m) const {
    const int a = m.allocation;
    Task& t = task(s, a);
    if (t.phase != Phase::starting && t.phase != Phase::running && t.phase != Phase::waiting) return;
    t.pending = 0;
    learn_clock(s, m);
    if (m.value >= kOther) {
      send(s, Kind::release, m.provider, a, static_cast<std::uint8_t>(m.value - kOther), 1);
      return enter(s, a, Phase::placing);
    }
    switch (static_cast<Held>(m.value)) {
      case Held::allocated:
        if (t.phase != Phase::starting) enter(s, a, Phase::reverting);
        return;
      case Held::starting:
      case Held::running: return enter(s, a, t.maybe_running == kUnwanted ? Phase::reverting : Phase::running);
      case Held::ended:
        if (t.maybe_running == kUnwanted) return enter(s, a, Phase::placing);
        ++t.counted;
        return enter(s, a, Phase::collecting);
      case Held::releasing:  // its work may still run
        if (mutated(Mutation::ignore_releasing)) enter(s, a, Phase::placing);
        return;
      default: return enter(s, a, Phase::placing);
    }
  }

  // --- a provider ----------------------------------------------------------------------------------------------------

  void provider(int p, int a) {
    if (machine(p).up != 1) return;
    const Allocation& h = held(p, a);
    switch (h.held) {
      case Held::reserved:
        if (h.timer == 0 && !mutated(Mutation::reservation_without_expiry)) release(p, a, "its bid has expired");
        return;
      case Held::allocated:
        if (h.lease == 0) release(p, a, "its lease has ended before it was started");
        return;
      case Held::starting: return starting(p, a);
      case Held::running:
        if (h.engine == Engine::running && h.lease == 0)
          engine(p, a, Engine::ended, "the daemon ends the work: its lease has ended");
        if (h.engine != Engine::running) end(p, a, "its work has ended");
        return;
      case Held::ended:
        if (h.resources != 0) free(p, a);
        if (h.acknowledged == 0 && h.notified == 0) notify(p, a);
        if (h.timer == 0) release(p, a, "the retention has passed");
        return;
      case Held::releasing: return releasing(p, a);
      case Held::nothing: return;
    }
  }

  void starting(int p, int a) {
    const Allocation& h = held(p, a);
    if (h.runs == h.incarnation) {
      State next = from_;
      Allocation& n = held(next, p, a);
      n.held = Held::running;
      if (std::exchange(n.answer, 0) != 0) send(next, Kind::start_reply, p, a, h.incarnation, 1);
      return emit(Class::internal, next,
                  [&] { return fmt::format("provider {}: stores that allocation {} runs", p, a); });
    }
    if (h.lease == 0) return end(p, a, "its lease has ended before it ran");
    State next = from_;
    Allocation& n = held(next, p, a);
    n.engine = Engine::running;
    n.runs = n.incarnation;
    emit(Class::internal, next,
         [&] { return fmt::format("provider {}: the engine starts allocation {}, attempt {}", p, a, h.incarnation); });
  }

  void engine(int p, int a, Engine state, std::string_view what) {
    State next = from_;
    held(next, p, a).engine = state;
    emit(Class::internal, next, [&] { return fmt::format("provider {}: allocation {}: {}", p, a, what); });
  }

  void end(int p, int a, std::string_view why) {
    State next = from_;
    end(held(next, p, a));
    emit(Class::internal, next,
         [&] { return fmt::format("provider {}: stores that allocation {} has ended: {}", p, a, why); });
  }
  void end(Allocation& h) const {
    h.held = Held::ended;
    h.timer = static_cast<std::uint8_t>(limits_.retention);
    h.acknowledged = h.answer = h.notified = h.lease = 0;
  }

  void free(int p, int a) {
    State next = from_;
    --machine(next, p).used;
    held(next, p, a).resources = 0;
    emit(Class::internal, next, [&] { return fmt::format("provider {}: frees the resources of allocation {}", p, a); });
  }

  void notify(int p, int a) {
    State next = from_;
    held(next, p, a).notified = 1;
    send(next, Kind::notice, p, a, held(p, a).incarnation, 1);
    emit(Class::internal, next, [&] {
      return fmt::format("provider {}: notifies the end of allocation {}, attempt {}", p, a, held(p, a).incarnation);
    });
  }

  void release(int p, int a, std::string_view why) {
    State next = from_;
    held(next, p, a).held = Held::releasing;
    emit(Class::internal, next,
         [&] { return fmt::format("provider {}: stores that it releases allocation {}: {}", p, a, why); });
  }

  void releasing(int p, int a) {
    const Allocation& h = held(p, a);
    State next = from_;
    if (h.engine != Engine::nothing) {
      held(next, p, a).engine = Engine::nothing;
      held(next, p, a).runs = 0;
      return emit(Class::internal, next,
                  [&] { return fmt::format("provider {}: removes allocation {} from the engine", p, a); });
    }
    if (h.resources != 0) return free(p, a);
    const Allocation gone = h;
    Allocation& n = held(next, p, a);
    n = Allocation{};
    n.bid = gone.bid;
    n.sent = gone.sent;
    if (gone.answer != 0) send(next, Kind::released, p, a, gone.answer, 1);
    emit(Class::internal, next, [&] { return fmt::format("provider {}: forgets allocation {}", p, a); });
  }

  /// What a provider does with a message.
  Violation serve(State& s, const Message& m) const {
    const int p = m.provider;
    const int a = m.allocation;
    Allocation& h = held(s, p, a);
    const bool same = h.incarnation == m.incarnation && h.held != Held::nothing && h.held != Held::reserved;
    const auto reply = [&](Kind kind, bool ok) { send(s, kind, p, a, m.incarnation, ok ? 1 : 0, m.age); };
    switch (m.kind) {
      case Kind::commit: {
        const bool ok = h.bid > 0 && h.held == Held::nothing && machine(s, p).used < limits_.capacity;
        if (ok) {
          ++machine(s, p).used;
          h.held = Held::reserved;
          h.resources = 1;
          h.timer = static_cast<std::uint8_t>(limits_.bid);
        }
        reply(Kind::commit_reply, ok);
        return {};
      }
      case Kind::allocate: {
        const bool ok = h.held == Held::reserved;
        if (ok) {
          h.held = Held::allocated;
          h.incarnation = m.incarnation;
          h.lease = static_cast<std::uint8_t>(limits_.lease);
          h.timer = 0;
        }
        send(s, Kind::allocate_reply, p, a, m.incarnation, ok ? 1 : 0, m.age, ok && limits_.clocks ? 1 : 0);
        return {};
      }
      case Kind::start: {
        const bool again = same && h.held == Held::ended && mutated(Mutation::start_again);
        const bool ok = (same && h.held == Held::allocated && h.lease > 0) || again;
        if (!ok) {
          reply(Kind::start_reply, false);
          return {};
        }
        h.held = Held::starting;
        h.answer = 1;
        if (again) h.lease = static_cast<std::uint8_t>(limits_.lease);
        return {again ? "an incarnation runs once" : ""};
      }
      case Kind::renew: {
        const bool renewable = same && h.lease > 0 && h.held != Held::ended && h.held != Held::releasing;
        if (renewable && m.value != 0) extend(h, m);
        std::uint8_t found = 0;
        if (same)
          found = static_cast<std::uint8_t>(h.held);
        else if (h.incarnation != 0)
          found = static_cast<std::uint8_t>(kOther + h.incarnation);
        send(s, Kind::report, p, a, m.incarnation, found, m.age, limits_.clocks ? 1 : 0);
        return {};
      }
      case Kind::release: return serve_release(s, m, same);
      case Kind::ack:
        if (same && h.held == Held::ended) h.acknowledged = 1;
        return {};
      case Kind::logs: reply(Kind::logs_reply, same && h.held == Held::ended); return {};
      default: return {};
    }
  }

  void extend(Allocation& h, const Message& renewal) const {
    const bool from_receipt = renewal.clock == 0 || mutated(Mutation::count_from_receipt);
    const int since = from_receipt ? 0 : renewal.clock - 1;
    h.lease = std::max(h.lease, static_cast<std::uint8_t>(std::max(limits_.lease - since, 0)));
  }

  Violation serve_release(State& s, const Message& m, bool same) const {
    const int a = m.allocation;
    Allocation& h = held(s, m.provider, a);
    h.bid = 0;
    const bool other = h.held != Held::nothing && h.held != Held::reserved && !same;
    if (h.held == Held::nothing || (other && limits_.releases_name_incarnations)) {
      send(s, Kind::released, m.provider, a, m.incarnation, 1, m.age);
      return {};
    }
    Violation violation;
    const Task& t = task(s, a);
    const bool wanted = t.incarnation == h.incarnation && t.provider == m.provider &&
                        (t.phase == Phase::starting || t.phase == Phase::running || t.phase == Phase::collecting);
    if (h.held == Held::ended && wanted)
      violation.property = "the output of an ended run is kept until it is collected or the retention has passed";
    h.held = Held::releasing;
    h.answer = m.incarnation;
    return violation;
  }

  // --- the world -----------------------------------------------------------------------------------------------------

  void work_ends(int p, int a) {
    if (held(p, a).engine != Engine::running) return;
    State next = from_;
    held(next, p, a).engine = Engine::ended;
    emit(Class::work_ends, next,
         [&] { return fmt::format("engine of provider {}: the work of allocation {} ends by itself", p, a); });
  }

  void delivery(int i) {
    const Message m = from_.messages[static_cast<std::size_t>(i)];
    if (m.kind == Kind::none || m.seen != 0) return;
    const bool inbound = to_provider(m.kind);
    if (inbound ? machine(m.provider).up != 1 : from_.orchestrator_up != 1) return;
    for (const bool twice : {false, true}) {
      if (twice && from_.duplicates >= limits_.duplicates) return;
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

  static void count_down(std::uint8_t& timer) {
    if (timer > 0) --timer;
  }
  /// A clock that is older than a lease extends nothing.
  void older(std::uint8_t& clock) const {
    if (clock > 0 && clock <= limits_.lease) ++clock;
  }
  void tick() {
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
          h.engine = Engine::ended;
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

  void faults() {
    if (limits_.cancel && from_.cancelled == 0 && from_.orchestrator_up == 1 && !ended(from_, limits_)) {
      State next = from_;
      next.cancelled = 1;
      emit(Class::fault, next, [] { return std::string("user: shuts the deployment down"); });
    }
    if (from_.crashes >= limits_.crashes) return;
    if (from_.orchestrator_up == 1) crash_orchestrator();
    for (int p = 0; p < kProviders; ++p) {
      if (machine(p).up != 1) continue;
      crash_provider(p, false);
      crash_provider(p, true);
    }
  }

  static void forget_seen(State& s, bool of_provider, int p) {
    for (Message& m : s.messages)
      if (to_provider(m.kind) == of_provider && (!of_provider || m.provider == p)) m.seen = 0;
  }

  void crash_orchestrator() {
    State next = from_;
    ++next.crashes;
    next.orchestrator_up = 0;
    for (Task& t : next.tasks) t.pending = t.bound = t.clock = 0;
    forget_seen(next, false, 0);
    emit(Class::fault, next, [] { return std::string("orchestrator: crashes"); });
  }

  void crash_provider(int p, bool reboots) {
    State next = from_;
    ++next.crashes;
    Provider& n = machine(next, p);
    n.up = reboots ? 2 : 0;
    for (Allocation& h : n.allocations) {
      h.bid = h.answer = h.notified = 0;
      if (reboots) h.engine = Engine::nothing, h.runs = 0;
    }
    forget_seen(next, true, p);
    emit(Class::fault, next, [&] {
      return fmt::format("provider {}: {}", p, reboots ? "its machine loses power" : "its daemon is killed");
    });
  }

  void recoveries() {
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

  void recover_provider(int p) {
    State next = from_;
    Provider& n = machine(next, p);
    const bool rebooted = std::exchange(n.up, 1) == 2;
    for (Allocation& h : n.allocations) {
      const bool live = h.held == Held::allocated || h.held == Held::starting || h.held == Held::running;
      if (rebooted && live) h.lease = 0;
      if (rebooted && (h.held == Held::starting || h.held == Held::running)) end(h);
      if (live && !rebooted && mutated(Mutation::restart_extends_lease))
        h.lease = static_cast<std::uint8_t>(limits_.lease);
      if (h.held == Held::releasing && mutated(Mutation::release_twice)) --n.used, h.resources = 0;
      if (h.held == Held::releasing && mutated(Mutation::release_forgets)) h.held = Held::nothing;
    }
    if (mutated(Mutation::resources_in_memory)) n.used = 0;
    emit(Class::recovery, next, [&] { return fmt::format("provider {}: starts again", p); });
  }

  const State& from_;
  const Limits& limits_;
  bool with_text_;
  const Visit& visit_;
};

}  // namespace

void successors(const State& state, const Limits& limits, bool with_text, const Visit& visit) {
  Steps(state, limits, with_text, visit).all();
}

}  // namespace dms::sim::model
