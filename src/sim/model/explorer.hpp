// Explores every state that the protocol model reaches, breadth first, and reports the shortest way to a fault.
//
// Model: of states that differ in the numbers of providers or allocations alone (images() of protocol_model.hpp) one is
// explored. Steps and properties do not tell numbers apart, so a fault is reached from it exactly if one is from the
// others. The trace is one of real steps: under the same numbers from the first to the last.
//
// Properties
//  1. In every state: check() of protocol_model.hpp. On every step: the properties that name steps.
//  2. From every state, if no more faults happen and each party is started again, the deployment ends and the providers
//     hold nothing. Shown by following one schedule in which every party acts.
//  3. From every state in which the orchestrator is down, if it never starts again, the providers come to hold nothing.
//
// Cost: about 125 bytes for each state. Some 500,000 states per second on one core.
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

/// Which states are one.
enum class Symmetry { none, of_numbers };
/// Visits at most `max_states`.
[[nodiscard]] Exploration explore(const Limits& limits, std::size_t max_states = 20'000'000,
                                  Symmetry symmetry = Symmetry::of_numbers);

}  // namespace dms::sim::model
