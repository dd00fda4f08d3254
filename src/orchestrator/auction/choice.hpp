// The bids of a round in the matcher's terms, and its choice in those of the auction.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "jobs/ensemble/ensemble.hpp"
#include "orchestrator/matching/matcher.hpp"
#include "protocol/bid.hpp"

namespace dms::orchestrator {

/// A machine for each node: node name -> bid.
using Candidate = std::map<std::string, protocol::Bid>;

/// Nodes that have a machine already: node name -> peer.
using Placed = std::map<std::string, std::string>;
/// The bids of a round, by node.
using RoundBids = std::map<std::string, std::vector<protocol::Bid>>;

/// The last bid of a peer for a node counts.
Market market_of(const RoundBids& bids, const Placed& placed = {}, const std::vector<Link>& links = {});
/// What these nodes of the ensemble ask for, of each other and of the placed ones. Errc::invalid_argument if no machine
/// can have it.
Result<Wanted> wanted_of(const jobs::Ensemble& ensemble, const std::set<std::string>& nodes,
                         const std::string& deployment, const Placed& placed = {});
/// Each node that has a machine, with its bid.
Candidate chosen_bids(const Market& market, const Wanted& wanted, const Match& match, const RoundBids& bids);

}  // namespace dms::orchestrator
