// The bids of a round in the matcher's terms, and its choice in those of the auction.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobs/ensemble/ensemble.hpp"
#include "orchestrator/matching/matcher.hpp"
#include "protocol/bid.hpp"

namespace dms::orchestrator {

/// A machine for each node: node name -> bid.
using Candidate = std::map<std::string, protocol::Bid>;

struct PlacedMachine {
  std::string peer;
  capability::Location location = {};  ///< as its bid has stated it
  bool answers = true;                 ///< else edges to it are not asked for: the way there cannot be measured
  friend bool operator==(const PlacedMachine&, const PlacedMachine&) = default;
};
/// Nodes that have a machine already: node name -> machine.
using Placed = std::map<std::string, PlacedMachine>;
/// The bids of a round, by node.
using RoundBids = std::map<std::string, std::vector<protocol::Bid>>;

/// The last bid of a peer for a node counts.
Market market_of(const RoundBids& bids, const Placed& placed = {}, const std::vector<Link>& links = {});
/// What these nodes of the ensemble ask for, of each other and of the placed ones. Errc::invalid_argument if no machine
/// can have it.
Result<Wanted> wanted_of(const jobs::Ensemble& ensemble, const std::set<std::string>& nodes,
                         const std::string& deployment, const Placed& placed = {});
/// An anti_affinity for which the machines that are known are in too few areas.
struct TooFewAreas {
  capability::Area area = capability::Area::machine;
  std::size_t needed = 0;
  std::vector<std::string> known;  ///< as machines state them
  std::size_t unstated = 0;        ///< machines
};
/// Of those that concern a node of `missing` that has bids.
std::vector<TooFewAreas> too_few_areas(const jobs::Ensemble& ensemble, const std::set<std::string>& missing,
                                       const RoundBids& bids, const Placed& placed);
/// Of the bids for a node that is kept apart from others: one whose place `bid`, which is for it as well, may take, as
/// it is in an area that has fewer. Of several lists that name the node the larger areas count first; the smaller ones
/// count among bids of the same larger one. Nothing if there is none.
std::optional<std::size_t> find_crowded(const jobs::Ensemble& ensemble, const std::vector<protocol::Bid>& made,
                                        const protocol::Bid& bid);
/// Each node that has a machine, with its bid.
Candidate chosen_bids(const Market& market, const Wanted& wanted, const Match& match, const RoundBids& bids);

}  // namespace dms::orchestrator
