#include "sim/model/explorer.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/assert.hpp"
#include "sim/model/state_table.hpp"

namespace dms::sim::model {
namespace {

constexpr std::uint32_t kNone = StateTable::kNone;
/// In place of the state that the schedule leads to: the properties 2 and 3 ask for no more.
constexpr std::uint32_t kArrived = kNone - 1;

class Explorer {
 public:
  Explorer(const Limits& limits, std::size_t max_states, Reduction reduction)
      : limits_(limits), max_states_(max_states), reduction_(reduction) {}

  Exploration run() {
    add(initial_state(limits_), kNone);
    for (; !fault_ && !exhausted() && !now_.empty(); ++faults_) {
      for (depth_ = 0; depth_ < now_.size() && !fault_ && !exhausted(); ++depth_)
        for (const std::uint32_t at : std::exchange(now_[depth_], {}))
          if (!fault_ && !exhausted()) visit(at);
      now_ = std::exchange(later_, {});
    }
    result_.complete = !fault_ && !exhausted();
    if (result_.complete) check_that_all_end(false);
    if (result_.complete && !fault_) check_that_all_end(true);
    result_.fault = std::move(fault_);
    return std::move(result_);
  }

 private:
  /// Of a state that was reached. `next`: where the schedule of property 2 leads from it; `next_vanished`: that of
  /// property 3, kNone if the orchestrator is up.
  struct Reached {
    std::uint32_t parent = kNone;
    std::uint32_t next = kNone;
    std::uint32_t next_vanished = kNone;
    std::uint16_t depth = 0;  // steps from the initial state
    bool visited = false;
  };

  [[nodiscard]] bool exhausted() const { return states_.size() >= max_states_; }
  /// The state that stands for this one.
  [[nodiscard]] State representative(const State& state) const {
    return reduction_ == Reduction::none ? state : canonical(state, limits_);
  }

  /// The number of the state that stands for `found`, which is a step away from `parent`.
  std::uint32_t add(const State& found, std::uint32_t parent) {
    const State state = representative(found);
    const auto [number, is_new] = states_.add(state, reduction_ == Reduction::of_faults);
    if (is_new) reached_.emplace_back();
    Reached& reached = reached_[number];
    const auto depth = static_cast<std::uint16_t>(parent == kNone ? 0 : reached_[parent].depth + 1);
    const bool shorter = !is_new && !reached.visited && depth < reached.depth;
    if (is_new || (shorter && states_.state(number) == state)) {
      reached.parent = parent;
      reached.depth = depth;
      const bool now = reduction_ != Reduction::of_faults || state.crashes + state.duplicates == faults_;
      Waiting& waiting = now ? now_ : later_;
      if (waiting.size() <= depth) waiting.resize(depth + std::size_t{1});
      waiting[depth].push_back(number);
    }
    if (!is_new) return number;
    if (const Violation broken = check(state, limits_); broken && !fault_) fault_ = trace(number, broken.property);
    return number;
  }

  void visit(std::uint32_t at) {
    if (std::exchange(reached_[at].visited, true)) return;
    const State from = states_.state(at);
    const bool vanished = from.orchestrator_up == 0;
    // All states with fewer faults are known.
    const std::uint32_t covering = reduction_ == Reduction::of_faults ? states_.covering(at) : kNone;
    if (covering != kNone) {
      reached_[at].next = covering;
      if (vanished) reached_[at].next_vanished = covering;
      return;
    }
    ++result_.states;
    Schedule schedule;
    Schedule schedule_vanished;
    successors(from, limits_, false, [&](const Step& step, const State& next, const Violation& violation) {
      const std::uint32_t to = add(next, at);
      ++result_.transitions;
      schedule.consider(step.type, to);
      if (vanished && next.orchestrator_up == 0) schedule_vanished.consider(step.type, to);
      if (!violation || fault_) return;
      Walk walk = walk_to(at);
      take(walk, [&](const State&, const Violation& broken) { return broken.property == violation.property; });
      fault_ = Counterexample{violation.property, std::move(walk.steps)};
    });
    const bool nothing_held = empty(from, limits_);
    reached_[at].next = nothing_held && ended(from, limits_) ? kArrived : schedule.next;
    if (vanished) reached_[at].next_vanished = nothing_held ? kArrived : schedule_vanished.next;
  }

  // --- traces --------------------------------------------------------------------------------------------------------

  /// Real steps, each from where the one before leads.
  struct Walk {
    State state;
    std::vector<std::string> steps;
  };
  /// The first step from there that is wanted.
  template <class Wanted>
  void take(Walk& walk, const Wanted& wanted) const {
    const State from = walk.state;
    bool taken = false;
    successors(from, limits_, true, [&](const Step& step, const State& next, const Violation& violation) {
      if (taken || !wanted(next, violation)) return;
      taken = true;
      walk.state = next;
      walk.steps.push_back(step.text);
    });
  }
  [[nodiscard]] Walk walk_to(std::uint32_t to) const {
    std::vector<std::uint32_t> way;
    for (std::uint32_t at = to; reached_[at].parent != kNone; at = reached_[at].parent) way.push_back(at);
    Walk walk{initial_state(limits_), {}};
    for (; !way.empty(); way.pop_back()) {
      const State wanted = states_.state(way.back());
      take(walk, [&](const State& next, const Violation&) { return representative(next) == wanted; });
    }
    return walk;
  }
  [[nodiscard]] Counterexample trace(std::uint32_t to, std::string property) const {
    return {std::move(property), walk_to(to).steps};
  }

  // --- properties 2 and 3 --------------------------------------------------------------------------------------------

  /// Where the step of the schedule leads: the first of the most urgent class, in which no fault happens any more.
  struct Schedule {
    std::uint32_t next = kNone;
    int best = 5;
    void consider(Step::Class type, std::uint32_t to) {
      const int urgency = urgency_of(type);
      if (urgency >= best) return;
      best = urgency;
      next = to;
    }
    static int urgency_of(Step::Class type) {
      switch (type) {
        case Step::Class::recovery: return 0;
        case Step::Class::work_ends: return 1;
        case Step::Class::delivery: return 2;
        case Step::Class::internal: return 3;
        case Step::Class::tick: return 4;
        case Step::Class::fault: break;
      }
      return 5;
    }
  };

  void check_that_all_end(bool vanished) {
    enum : std::uint8_t { unknown, on_the_way, arrives };
    std::vector<std::uint8_t> known(states_.size(), unknown);
    std::vector<std::uint32_t> way;
    const auto next = [&](std::uint32_t at) { return vanished ? reached_[at].next_vanished : reached_[at].next; };
    for (std::uint32_t start = 0; start < states_.size(); ++start) {
      if (vanished && next(start) == kNone) continue;
      way.clear();
      std::uint32_t at = start;
      for (; at < kArrived && known[at] == unknown; at = next(at)) {
        known[at] = on_the_way;
        way.push_back(at);
      }
      if (at == kNone || (at != kArrived && known[at] == on_the_way)) {
        way.push_back(at);
        return report_endless(way, vanished);
      }
      for (const std::uint32_t passed : way) known[passed] = arrives;
    }
  }

  void report_endless(const std::vector<std::uint32_t>& way, bool vanished) {
    Walk walk = walk_to(way.front());
    walk.steps.emplace_back("-- from here on without faults, without end:");
    for (std::size_t i = 1; i < way.size() && i <= 40 && way[i] < kArrived; ++i) {
      const State wanted = representative(without_faults(states_.state(way[i])));
      take(walk, [&](const State& next, const Violation&) { return representative(without_faults(next)) == wanted; });
    }
    fault_ = Counterexample{vanished ? "if the orchestrator vanishes, the providers come to hold nothing"
                                     : "if no more faults happen, the deployment ends and the providers hold nothing",
                            std::move(walk.steps)};
  }

  const Limits& limits_;
  std::size_t max_states_;
  Reduction reduction_;
  StateTable states_;
  std::vector<Reached> reached_;
  /// Of the states that were not visited, by their depth: with Reduction::of_faults those with as many faults as now,
  /// and with one more; otherwise all and none.
  using Waiting = std::vector<std::vector<std::uint32_t>>;
  Waiting now_;
  Waiting later_;
  int faults_ = 0;
  std::size_t depth_ = 0;
  std::optional<Counterexample> fault_;
  Exploration result_;
};

}  // namespace

std::string Counterexample::to_string() const {
  std::string text = fmt::format("does not hold: {}\n", property);
  for (std::size_t i = 0; i < steps.size(); ++i) text += fmt::format("{:4} {}\n", i + 1, steps[i]);
  return text;
}

Exploration explore(const Limits& limits, std::size_t max_states, Reduction reduction) {
  DMS_ASSERT(limits.in_flight + limits.duplicates <= kMaxMessages, "a duplicate takes the place of a message");
  return Explorer(limits, max_states, reduction).run();
}

}  // namespace dms::sim::model
