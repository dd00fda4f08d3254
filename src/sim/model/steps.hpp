// Enumerates the steps from one state, in a fixed order. Internal to this module.
//
// Each step copies the state, changes the copy and emits it; each actor's steps are in a file of their own:
// orchestrator_steps.cpp, provider_steps.cpp, world_steps.cpp.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "sim/model/protocol_model.hpp"

namespace dms::sim::model {

inline constexpr std::array<std::string_view, 11> kPhases = {"placing",   "committing", "allocating", "starting",
                                                             "running",   "reverting",  "waiting",    "collecting",
                                                             "releasing", "done",       "failed"};
inline constexpr std::array<std::string_view, 7> kHeld = {"nothing", "reserved", "allocated", "starting",
                                                          "running", "ended",    "releasing"};
inline constexpr std::array<std::string_view, 15> kKinds = {
    "",       "commit",  "commit reply", "allocate", "allocate reply",  "start", "start reply", "renew",
    "report", "release", "released",     "notice",   "acknowledgement", "logs",  "logs reply"};

/// Task::maybe_running once a release was sent: what becomes of the run is not wanted.
inline constexpr std::uint8_t kUnwanted = 2;

/// What a report or a notice says of a run that was not run to its end.
inline constexpr std::uint8_t kCutShort = 8;

/// A report of another incarnation than the requested one.
inline constexpr std::uint8_t kOther = 16;

/// A message in the words of a trace.
std::string describe(const Message& m);

class Steps {
 public:
  Steps(const State& from, const Limits& limits, bool with_text, const Visit& visit)
      : from_(from), limits_(limits), with_text_(with_text), visit_(visit) {}

  void all();

 private:
  using Class = Step::Class;

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

  // --- the orchestrator
  void request(Class type, int a, Kind kind, std::uint8_t value = 1);
  void enter(Class type, int a, Phase phase, std::string_view why);
  static void enter(State& s, int a, Phase phase);
  /// The attempt has failed, or its run is over or lost, and the provider has not confirmed that nothing runs.
  [[nodiscard]] Phase after_unconfirmed(const Task& t) const;
  void place(int a);
  void orchestrator(int a);
  /// What the orchestrator does with a message.
  void receive(State& s, const Message& m) const;
  /// Renewals repeat the clock of this reply from now on: none extends the lease further than from its receipt.
  void learn_clock(State& s, const Message& m) const;
  void receive_notice(State& s, const Message& m, bool current) const;
  void receive_report(State& s, const Message& m) const;
  /// The run of the current attempt is over.
  void learn_end(State& s, int a, bool cut_short) const;
  void crash_orchestrator();

  // --- a provider
  void provider(int p, int a);
  void starting(int p, int a);
  void engine(int p, int a, Engine state, std::string_view what);
  void end(int p, int a, bool cut_short, std::string_view why);
  void end(Allocation& h, bool cut_short) const;
  void free(int p, int a);
  void notify(int p, int a);
  void release(int p, int a, std::string_view why);
  void releasing(int p, int a);
  /// What a provider does with a message.
  Violation serve(State& s, const Message& m) const;
  void extend(Allocation& h, const Message& renewal) const;
  Violation serve_release(State& s, const Message& m, bool same) const;
  void crash_provider(int p, bool reboots);
  void recover_provider(int p);

  // --- the world
  void send(State& s, Kind kind, int p, int a, std::uint8_t incarnation, std::uint8_t value, std::uint8_t age = 0,
            std::uint8_t clock = 0) const;
  void work_ends(int p, int a);
  void delivery(int i);
  static void count_down(std::uint8_t& timer) {
    if (timer > 0) --timer;
  }
  /// A clock that is older than a lease extends nothing.
  void older(std::uint8_t& clock) const;
  void tick();
  void faults();
  static void forget_seen(State& s, bool of_provider, int p);
  void recoveries();

  const State& from_;
  const Limits& limits_;
  bool with_text_;
  const Visit& visit_;
};

}  // namespace dms::sim::model
