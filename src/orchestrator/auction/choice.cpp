#include "orchestrator/auction/choice.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "orchestrator/matching/explanation.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// No more of it than is shown.
std::string unenforced_text(const Offer& offer) {
  std::string text;
  for (const auto& [executor, limits] : offer.unenforced) {
    if (text.size() >= kMaxVerdict) break;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", shortened(executor, kMaxVerdict),
                        shortened(limits, kMaxVerdict));
  }
  return text;
}

}  // namespace

Market market_of(const RoundBids& bids, const Placed& placed, const std::vector<Link>& links) {
  std::vector<Machine> machines;
  for (const auto& [node, made] : bids) {
    for (const Bid& bid : made) {
      Machine& machine = machines.emplace_back();
      machine.peer = bid.peer;
      machine.node = node;
      machine.location = bid.location;
      if (!bid.offer) continue;
      machine.free = bid.offer->free;
      machine.price = bid.offer->price;
      machine.load = bid.offer->load;
      machine.unenforced = unenforced_text(*bid.offer);
    }
  }
  for (const auto& [node, peer] : placed) {
    Machine& machine = machines.emplace_back();
    machine.peer = peer;
    machine.node = node;
  }
  return Market(std::move(machines), links);
}

Result<Wanted> wanted_of(const jobs::Ensemble& ensemble, const std::set<std::string>& nodes,
                         const std::string& deployment, const Placed& placed) {
  Wanted wanted;
  wanted.deployment = deployment;
  std::map<std::string, std::size_t> index;
  for (const std::string& name : nodes) {
    index.emplace(name, wanted.nodes.size());
    const jobs::Node& node = ensemble.nodes.at(name);
    WantedNode& one = wanted.nodes.emplace_back();
    one.name = name;
    TRY(one.resources, ensemble.node_requirement(name));
    one.location = node.location;
    one.peer = node.peer;
  }
  const auto find = [&](const std::string& name, const std::string& other) {
    const auto machine = placed.find(name);
    if (index.contains(name) || machine == placed.end() || !nodes.contains(other)) return index.contains(name);
    index.emplace(name, wanted.nodes.size());
    WantedNode& one = wanted.nodes.emplace_back();
    one.name = name;
    one.peer = machine->second;
    one.placed = true;
    return true;
  };
  for (const jobs::Edge& edge : ensemble.edges) {
    if (!edge.has_limits() || (!nodes.contains(edge.s) && !nodes.contains(edge.t))) continue;
    if (!find(edge.s, edge.t) || !find(edge.t, edge.s)) continue;
    wanted.edges.push_back({.s = index.at(edge.s),
                            .t = index.at(edge.t),
                            .rtt = std::chrono::milliseconds(edge.rtt),
                            .bandwidth = edge.bw});
  }
  return wanted;
}

Candidate chosen_bids(const Market& market, const Wanted& wanted, const Match& match, const RoundBids& bids) {
  Candidate candidate;
  for (std::size_t n = 0; n < wanted.nodes.size(); ++n) {
    if (match.chosen[n].empty() || wanted.nodes[n].placed) continue;
    const std::string& peer = market.machines()[match.chosen[n].front()].peer;
    const std::vector<Bid>& made = bids.at(wanted.nodes[n].name);
    const auto last = std::find_if(made.rbegin(), made.rend(), [&](const Bid& bid) { return bid.peer == peer; });
    candidate.emplace(wanted.nodes[n].name, *last);
  }
  return candidate;
}

}  // namespace dms::orchestrator
