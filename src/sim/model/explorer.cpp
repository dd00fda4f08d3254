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
  Explorer(const Limits& limits, std::size_t max_states) : limits_(limits), max_states_(max_states) { grow(1 << 16); }

  Exploration run() {
    add(initial_state(limits_), kNone, 0);
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
  struct Origin {
    std::uint32_t parent;
    std::uint32_t step;  ///< its number among the parent's successors
  };

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
  /// The number of the state.
  std::uint32_t add(const State& state, std::uint32_t parent, std::uint32_t step) {
    const std::size_t at = slot(state);
    if (table_[at] != kNone) return table_[at];
    const auto number = static_cast<std::uint32_t>(states_.size());
    table_[at] = number;
    states_.push_back(state);
    origins_.push_back({parent, step});
    if (states_.size() * 2 > table_.size()) grow(table_.size() * 2);
    if (const Violation broken = check(state, limits_); broken && !fault_) fault_ = trace(number, broken.property);
    return number;
  }

  void expand(std::uint32_t at) {
    const State from = states_[at];
    std::uint32_t step = 0;
    successors(from, limits_, false, [&](const Step&, const State& next, const Violation& violation) {
      const std::uint32_t number = add(next, at, step++);
      ++result_.transitions;
      if (violation && !fault_) {
        fault_ = trace(at, violation.property);
        fault_->steps.push_back(text_of(at, step - 1));
      }
      (void)number;
    });
  }

  [[nodiscard]] std::string text_of(std::uint32_t from, std::uint32_t wanted) const {
    std::string text;
    std::uint32_t step = 0;
    const State state = states_[from];
    successors(state, limits_, true, [&](const Step& found, const State&, const Violation&) {
      if (step++ == wanted) text = found.text;
    });
    return text;
  }
  [[nodiscard]] Counterexample trace(std::uint32_t to, std::string property) const {
    Counterexample example{std::move(property), {}};
    for (std::uint32_t at = to; origins_[at].parent != kNone; at = origins_[at].parent)
      example.steps.push_back(text_of(origins_[at].parent, origins_[at].step));
    std::ranges::reverse(example.steps);
    return example;
  }

  // --- properties 2 and 3 --------------------------------------------------------------------------------------------

  [[nodiscard]] bool arrived(const State& state, bool orchestrator_vanished) const {
    return empty(state, limits_) && (orchestrator_vanished || ended(state, limits_));
  }

  struct Choice {
    std::uint32_t state = kNone;
    std::uint32_t step = 0;
  };
  /// The step of the schedule: the first of the most urgent class, in which no fault happens any more.
  [[nodiscard]] Choice choose(std::uint32_t at, bool orchestrator_vanished) const {
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
    Choice choice;
    std::uint32_t step = 0;
    successors(states_[at], limits_, false, [&](const Step& found, const State& next, const Violation&) {
      const bool excluded = orchestrator_vanished && next.orchestrator_up != 0;
      if (const int urgency = kUrgency(found.type); urgency < best && !excluded) {
        best = urgency;
        chosen = next;
        choice.step = step;
      }
      ++step;
    });
    if (best < 5) choice.state = table_[slot(chosen)];
    return choice;
  }

  void check_that_all_end(bool orchestrator_vanished) {
    enum : std::uint8_t { unknown, on_the_way, arrives };
    std::vector<std::uint8_t> known(states_.size(), unknown);
    std::vector<Choice> way;
    for (std::uint32_t start = 0; start < states_.size() && !fault_; ++start) {
      if (orchestrator_vanished && states_[start].orchestrator_up != 0) continue;
      way.clear();
      Choice at{start, 0};
      while (known[at.state] == unknown && !arrived(states_[at.state], orchestrator_vanished)) {
        known[at.state] = on_the_way;
        way.push_back(at);
        const Choice next = choose(at.state, orchestrator_vanished);
        way.back().step = next.step;
        at = {next.state, 0};
      }
      if (known[at.state] == on_the_way) return report_endless(start, way, orchestrator_vanished);
      for (const Choice& passed : way) known[passed.state] = arrives;
    }
  }

  void report_endless(std::uint32_t start, const std::vector<Choice>& way, bool orchestrator_vanished) {
    fault_ = trace(start, orchestrator_vanished
                              ? "if the orchestrator vanishes, the providers come to hold nothing"
                              : "if no more faults happen, the deployment ends and the providers hold nothing");
    fault_->steps.emplace_back("-- from here on without faults, without end:");
    for (std::size_t i = 0; i < way.size() && i < 40; ++i) fault_->steps.push_back(text_of(way[i].state, way[i].step));
  }

  const Limits& limits_;
  std::size_t max_states_;
  std::vector<State> states_;
  std::vector<Origin> origins_;
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

Exploration explore(const Limits& limits, std::size_t max_states) { return Explorer(limits, max_states).run(); }

}  // namespace dms::sim::model
