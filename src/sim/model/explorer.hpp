// Explores every state that the protocol model reaches. The way to a fault that it reports has the fewest crashes and
// duplicates, and of such ways the fewest steps.
//
// Model
//  1. Of states that differ in the numbers of providers or allocations alone (images() of protocol_model.hpp) one is
//     explored. Steps and properties do not tell numbers apart, so a fault is reached from it exactly if one is from
//     the others.
//  2. A state covers another if they differ in the counts of crashes and duplicates alone, and it has no more of
//     either. The other is not explored: what may follow from it may follow from the one that covers it, which has
//     more faults left. A duplicate that the one has and the other cannot have any more hinders nothing: until a crash
//     it takes no place among the messages under way.
//  3. States are visited in the order of crashes and duplicates together, then of steps. When a state is visited, every
//     one that could cover it is known.
//  4. A trace is one of real steps: under the same numbers from the first to the last.
//
// Properties
//  1. In every state: check() of protocol_model.hpp. On every step: the properties that name steps.
//  2. From every state, if no more faults happen and each party is started again, the deployment ends and the providers
//     hold nothing. Shown by following one schedule in which every party acts; where it leads from a state is noted
//     when the state is visited. From a covered state it leads to the same as from the one that covers it.
//  3. From every state in which the orchestrator is down, if it never starts again, the providers come to hold nothing.
//
// Cost: about 50 bytes for each state. Some 150,000 states per second on one core.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/model/protocol_model.hpp"

namespace dms::sim::model {

struct Counterexample {
  std::string property;
  std::vector<std::string> steps;  ///< from the initial state
  [[nodiscard]] std::string to_string() const;
};

struct Exploration {
  std::size_t states = 0;  ///< explored
  std::size_t transitions = 0;
  bool complete = false;  ///< every state was visited
  std::optional<Counterexample> fault;
};

/// Which states are not explored. Without `of_faults` states are visited in the order of steps alone: a fault that few
/// steps lead to is found sooner, all states later.
enum class Reduction {
  none,
  of_numbers,  ///< those that differ from another in the numbers of parties alone
  of_faults,   ///< these, and those that another covers: it differs in having had fewer faults alone
};
/// Reaches at most `max_states`. At most kMaxMessages are under way, duplicates included.
[[nodiscard]] Exploration explore(const Limits& limits, std::size_t max_states = 20'000'000,
                                  Reduction reduction = Reduction::of_faults);

}  // namespace dms::sim::model
