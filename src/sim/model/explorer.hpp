// Explores every state that the protocol model reaches, breadth first, and reports the shortest way to a fault.
//
// Properties
//  1. In every state: check() of protocol_model.hpp. On every step: the properties that name steps.
//  2. From every state, if no more faults happen and each party is started again, the deployment ends and the providers
//     hold nothing. Shown by following one schedule in which every party acts.
//  3. From every state in which the orchestrator is down, if it never starts again, the providers come to hold nothing.
//
// Cost: about 130 bytes for each state. Some 500,000 states per second on one core.
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
  std::size_t states = 0;
  std::size_t transitions = 0;
  bool complete = false;  ///< every state was visited
  std::optional<Counterexample> fault;
};

/// Visits at most `max_states`.
[[nodiscard]] Exploration explore(const Limits& limits, std::size_t max_states = 20'000'000);

}  // namespace dms::sim::model
