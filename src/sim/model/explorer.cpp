#include "sim/model/explorer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace dms::sim::model {
namespace {

static_assert(std::has_unique_object_representations_v<State>, "states are compared and hashed as bytes");
constexpr std::uint32_t kNone = 0xffffffff;

class Explorer {
 public:
  Explorer(const Limits& limits, std::size_t max_states, Symmetry symmetry)
      : limits_(limits), max_states_(max_states), symmetry_(symmetry) {
    grow(1 << 16);
  }

  Exploration run() {
    add(initial_state(limits_), kNone);
    for (std::uint32_t at = 0; at < states_.size() && !fault_ && states_.size() < max_states_; ++at) expand(at);
    result_.complete = !fault_ && states_.size() < max_states_;
    if (result_.complete) {
      check_that_all_end(false);
      if (!fault_) check_that_all_end(true);
    }
    result_.states = states_.size();
    result_.fault = std::move(fault_);
    return std::move(result_);
  }

 private:
  static std::uint64_t hash(const State& state) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&state);
    std::uint64_t value = 0x9e3779b97f4a7c15ULL;
    std::size_t i = 0;
    for (; i + 8 <= sizeof(State); i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + i, 8);
      value = (value ^ word) * 0xff51afd7ed558ccdULL;
      value ^= value >> 32;
    }
    for (; i < sizeof(State); ++i) value = (value ^ bytes[i]) * 0x100000001b3ULL;
    return value ^ (value >> 29);
  }

  void grow(std::size_t slots) {
    table_.assign(slots, kNone);
    for (std::uint32_t i = 0; i < states_.size(); ++i) table_[slot(states_[i])] = i;
  }
  /// Where the state is, or where it belongs.
  [[nodiscard]] std::size_t slot(const State& state) const {
    std::size_t at = hash(state) & (table_.size() - 1);
    while (table_[at] != kNone && std::memcmp(&states_[table_[at]], &state, sizeof(State)) != 0)
      at = (at + 1) & (table_.size() - 1);
    return at;
  }
  /// The state that stands for this one.
  [[nodiscard]] State representative(const State& state) const {
    return symmetry_ == Symmetry::none ? state : canonical(state, limits_);
  }
  void add(const State& found, std::uint32_t parent) {
    const State state = representative(found);
    const std::size_t at = slot(state);
    if (table_[at] != kNone) return;
    const auto number = static_cast<std::uint32_t>(states_.size());
    table_[at] = number;
    states_.push_back(state);
    parents_.push_back(parent);
    if (states_.size() * 2 > table_.size()) grow(table_.size() * 2);
    if (const Violation broken = check(state, limits_); broken && !fault_) fault_ = trace(number, broken.property);
  }

  void expand(std::uint32_t at) {
    const State from = states_[at];
    successors(from, limits_, false, [&](const Step&, const State& next, const Violation& violation) {
      add(next, at);
      ++result_.transitions;
      if (!violation || fault_) return;
      Walk walk = walk_to(at);
      take(walk, [&](const State&, const Violation& broken) { return broken.property == violation.property; });
      fault_ = Counterexample{violation.property, std::move(walk.steps)};
    });
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
  void follow(Walk& walk, std::uint32_t to) const {
    take(walk, [&](const State& next, const Violation&) { return representative(next) == states_[to]; });
  }
  [[nodiscard]] Walk walk_to(std::uint32_t to) const {
    std::vector<std::uint32_t> way;
    for (std::uint32_t at = to; parents_[at] != kNone; at = parents_[at]) way.push_back(at);
    Walk walk{initial_state(limits_), {}};
    for (; !way.empty(); way.pop_back()) follow(walk, way.back());
    return walk;
  }
  [[nodiscard]] Counterexample trace(std::uint32_t to, std::string property) const {
    return {std::move(property), walk_to(to).steps};
  }

  // --- properties 2 and 3 --------------------------------------------------------------------------------------------

  [[nodiscard]] bool arrived(const State& state, bool orchestrator_vanished) const {
    return empty(state, limits_) && (orchestrator_vanished || ended(state, limits_));
  }

  /// Where the step of the schedule leads: the first of the most urgent class, in which no fault happens any more.
  [[nodiscard]] std::uint32_t choose(std::uint32_t at, bool orchestrator_vanished) const {
    static constexpr auto kUrgency = [](Step::Class type) {
      switch (type) {
        case Step::Class::recovery: return 0;
        case Step::Class::work_ends: return 1;
        case Step::Class::delivery: return 2;
        case Step::Class::internal: return 3;
        case Step::Class::tick: return 4;
        case Step::Class::fault: break;
      }
      return 5;
    };
    int best = 5;
    State chosen;
    successors(states_[at], limits_, false, [&](const Step& found, const State& next, const Violation&) {
      const bool excluded = orchestrator_vanished && next.orchestrator_up != 0;
      if (const int urgency = kUrgency(found.type); urgency < best && !excluded) {
        best = urgency;
        chosen = next;
      }
    });
    return best < 5 ? table_[slot(representative(chosen))] : kNone;
  }

  void check_that_all_end(bool orchestrator_vanished) {
    enum : std::uint8_t { unknown, on_the_way, arrives };
    std::vector<std::uint8_t> known(states_.size(), unknown);
    std::vector<std::uint32_t> way;
    for (std::uint32_t start = 0; start < states_.size() && !fault_; ++start) {
      if (orchestrator_vanished && states_[start].orchestrator_up != 0) continue;
      way.clear();
      std::uint32_t at = start;
      while (known[at] == unknown && !arrived(states_[at], orchestrator_vanished)) {
        known[at] = on_the_way;
        way.push_back(at);
        at = choose(at, orchestrator_vanished);
      }
      way.push_back(at);
      if (known[at] == on_the_way) return report_endless(way, orchestrator_vanished);
      for (const std::uint32_t passed : way) known[passed] = arrives;
    }
  }

  void report_endless(const std::vector<std::uint32_t>& way, bool orchestrator_vanished) {
    Walk walk = walk_to(way.front());
    walk.steps.emplace_back("-- from here on without faults, without end:");
    for (std::size_t i = 1; i < way.size() && i <= 40; ++i) follow(walk, way[i]);
    fault_ = Counterexample{orchestrator_vanished
                                ? "if the orchestrator vanishes, the providers come to hold nothing"
                                : "if no more faults happen, the deployment ends and the providers hold nothing",
                            std::move(walk.steps)};
  }

  const Limits& limits_;
  std::size_t max_states_;
  Symmetry symmetry_;
  std::vector<State> states_;
  std::vector<std::uint32_t> parents_;
  std::vector<std::uint32_t> table_;
  std::optional<Counterexample> fault_;
  Exploration result_;
};

}  // namespace

std::string Counterexample::to_string() const {
  std::string text = fmt::format("does not hold: {}\n", property);
  for (std::size_t i = 0; i < steps.size(); ++i) text += fmt::format("{:4} {}\n", i + 1, steps[i]);
  return text;
}

Exploration explore(const Limits& limits, std::size_t max_states, Symmetry symmetry) {
  return Explorer(limits, max_states, symmetry).run();
}

}  // namespace dms::sim::model
