// Whether a choice of machines is the best one of the bids in hand: in small markets every other one is tried.
//
// Model: the constraints and the order of preference of orchestrator/matching/matcher.hpp, (1) and (2), without edges,
// copies and areas, which simulated users do not ask for: the tests of the matcher try those. Nothing is shared with the
// matcher but what a single bid costs.
//
// Threads: a pure function. Cost: kMostChoices steps at most.
#pragma once

#include <optional>
#include <string>

#include "orchestrator/matching/matcher.hpp"

namespace dms::sim {

/// Beyond these, or with what the model leaves out, a choice is not compared.
inline constexpr std::size_t kMostChoices = 20'000;

/// What is wrong with the choice; empty if nothing is, no value if it is not compared.
[[nodiscard]] std::optional<std::string> compare_with_all(const orchestrator::Market& market,
                                                          const orchestrator::Wanted& wanted,
                                                          const orchestrator::Match& match);

}  // namespace dms::sim
