// Which of several bids is best: a pure function.
//
// Model
//  1. A bid with an offer is scored by how well the job fills the machine: best fit, so that large machines stay free
//     for large jobs. The formula is the exponential one of bin packing schedulers (Google's best-fit-v3, also
//     Nomad's): 18 is a machine filled exactly, towards 0 an empty one.
//  2. An offer that does not cover the requirement is not a candidate. A bid without an offer (other implementations)
//     scores below every bid with one: whether it fits is known only after the commit.
//  3. Equal scores are decided by the peer id, so that the same bids give the same choice.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/bid.hpp"

namespace dms::orchestrator {

inline constexpr double kUnknownOfferScore = -1.0;

/// 0 to 18, kUnknownOfferScore without an offer; empty if the offer does not cover the requirement.
std::optional<double> score(const capability::Resources& required, const std::optional<protocol::Offer>& offer);

/// The index of the best bid; empty if none is a candidate.
std::optional<std::size_t> best_match(const capability::Resources& required, const std::vector<protocol::Bid>& bids);

}  // namespace dms::orchestrator
