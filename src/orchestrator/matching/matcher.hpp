// Which machine each node of an ensemble gets: the best choice that keeps all constraints, among the bids of a round.
//
// Model
//  1. Constraints. A machine runs one node, and bids for it. It is neither excluded nor pinned to another node, is at a
//     location that the node accepts, and has free what the node asks for. The copies of a node (`copies`, of which the
//     cheapest is the primary) are on different machines. Edges hold between every copy of one node and every copy of
//     the other, as a copy may take the place of its primary. A pinned node has its primary on the peer, and other
//     copies elsewhere. The machines of an Apart, of all copies of its nodes, state their areas, and these are pairwise
//     different.
//  2. Order of preference, of the whole choice. First that as many nodes as possible have a
//     machine, then that as many further copies have one. Then, summed over
//     the machines: fewer offers that are not known; the price; the load, in tenths of the machine; the round trips to
//     the machines and of the edges, in ms; the waste; a lot drawn by a hash of the deployment, the peer and the node.
//  3. The waste is coarse: how often kWasteStep fits into the multiple of what is asked for that the machine has free
//     (of cores or of memory, whichever is more), up to kMostWaste. A machine that claims exactly what was asked for is
//     worth no more than one that has up to kWasteStep times as much; between such machines the lot decides, on which
//     neither the claim nor the moment of the bid has any influence.
//  4. Exact. Without edges and areas the choice is an assignment (assignment.hpp). Otherwise branch and bound: the
//     bound of a partial choice is the cheapest assignment of the rest that ignores the edges between machines of it,
//     and of areas that of the largest Apart of each node. In that each area is taken once, as a machine otherwise is:
//     so too few areas are seen at once. The work is bounded by `budget`, in options looked at (kBudget: some tens of
//     ms); `optimal` says whether the choice is known to be the best, or only the best that was found by then.
//  5. What was not measured between two machines does not keep an edge. With `unmeasured_holds` it does, and
//     `unmeasured` lists the pairs of the choice that are still to be measured: measured and matched again until it is
//     empty, few pairs need be measured. A pair whose measurement has failed keeps none.
//  6. A node that is `placed` has its machine already, the only one of its bids. It keeps that, and its edges and its
//     area are constraints of the others.
//
// Pure functions. Cost: one pass over the bids until the first group of equal preference that has enough machines.
// Attacks: a false offer, load or location leads to a refused commit or to work that a provider did not want; a price
// is what a provider can be held to. A measurement is taken of both sides, and the worse counts (market.hpp, 3).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "orchestrator/matching/assignment.hpp"
#include "orchestrator/matching/market.hpp"

namespace dms::orchestrator {

inline constexpr std::uint64_t kWasteStep = 4;
inline constexpr std::int64_t kMostWaste = 3;
inline constexpr std::uint64_t kBudget = 1'000'000;
/// A placed node is worth as many others.
inline constexpr std::int64_t kPlacedWorth = 1'000'000;
/// Of a node; more are not looked for.
inline constexpr std::uint32_t kMaxCopies = 64;

struct WantedNode {
  std::string name;
  capability::Resources resources;
  capability::LocationConstraints location;
  std::string peer;          ///< that it is pinned to; empty: any
  std::uint32_t copies = 1;  ///< with the primary
  bool placed = false;       ///< on `peer`, see (6)
};
/// Between two nodes, by their index. 0: no limit.
struct WantedEdge {
  std::size_t s = 0;
  std::size_t t = 0;
  Duration rtt{0};
  std::uint64_t bandwidth = 0;  ///< bits per second
};
/// Nodes, by their index, each once, and the area that no two machines of them share, those of all copies.
struct WantedApart {
  std::vector<std::size_t> nodes;
  capability::Area area = capability::Area::machine;
};

struct Wanted {
  std::string deployment;  ///< its id: the seed of the lots
  std::vector<WantedNode> nodes;
  std::vector<WantedEdge> edges;
  std::vector<WantedApart> apart;
  std::set<std::string> excluded;  ///< peers
  bool unmeasured_holds = false;
  std::uint64_t budget = kBudget;
};

struct Match {
  /// Of each node: the bids (Market::machines()) of its copies, primary first. Fewer than asked for if some have none.
  std::vector<std::vector<std::uint32_t>> chosen;
  bool complete = false;  ///< no copy is without a machine
  bool optimal = false;
  Cost cost;
  std::uint64_t work = 0;
  /// Pairs of peers whose edges hold only because nothing was measured.
  std::vector<std::pair<std::string, std::string>> unmeasured;
};

[[nodiscard]] Match match(const Market& market, const Wanted& wanted);

/// What a bid costs a node, edges apart; for explanations.
[[nodiscard]] Cost cost_of(const Market& market, std::uint32_t bid, const Wanted& wanted, std::size_t node);
/// What the edge asks for.
[[nodiscard]] std::string limits_text(const WantedEdge& edge);
/// What was measured, as far as the edge asks for it.
[[nodiscard]] std::string measured_text(const WantedEdge& edge, const Market::Measured& measured);
/// Why the edge does not hold between two machines, with numbers; empty if it holds.
[[nodiscard]] std::string explain_edge(const WantedEdge& edge, const Market::Measured& measured, bool unmeasured_holds);

}  // namespace dms::orchestrator
