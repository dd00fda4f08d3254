#include "orchestrator/auction/choice.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <set>

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
  for (const auto& [node, has] : placed) {
    Machine& machine = machines.emplace_back();
    machine.peer = has.peer;
    machine.node = node;
    machine.location = has.location;
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
  const auto find = [&](const std::string& name) {
    const auto machine = placed.find(name);
    if (index.contains(name) || machine == placed.end()) return index.contains(name);
    index.emplace(name, wanted.nodes.size());
    WantedNode& one = wanted.nodes.emplace_back();
    one.name = name;
    one.peer = machine->second.peer;
    one.placed = true;
    return true;
  };
  const auto is_measured = [&](const std::string& name) {
    const auto machine = placed.find(name);
    return nodes.contains(name) || (machine != placed.end() && machine->second.answers);
  };
  for (const jobs::Edge& edge : ensemble.edges) {
    if (!edge.has_limits() || (!nodes.contains(edge.s) && !nodes.contains(edge.t))) continue;
    if (!is_measured(edge.s) || !is_measured(edge.t) || !find(edge.s) || !find(edge.t)) continue;
    wanted.edges.push_back({.s = index.at(edge.s),
                            .t = index.at(edge.t),
                            .rtt = std::chrono::milliseconds(edge.rtt),
                            .bandwidth = edge.bw});
  }
  for (const jobs::AntiAffinity& apart : ensemble.anti_affinity) {
    const auto is_sought = [&](const std::string& name) { return nodes.contains(name); };
    if (apart.by == capability::Area::machine || std::ranges::none_of(apart.nodes, is_sought)) continue;
    WantedApart& made = wanted.apart.emplace_back();
    made.area = apart.by;
    for (const std::string& name : apart.nodes)
      if (find(name)) made.nodes.push_back(index.at(name));
  }
  return wanted;
}

std::vector<TooFewAreas> too_few_areas(const jobs::Ensemble& ensemble, const std::set<std::string>& missing,
                                       const RoundBids& bids, const Placed& placed) {
  std::vector<TooFewAreas> all;
  for (const jobs::AntiAffinity& apart : ensemble.anti_affinity) {
    const auto lacks = [&](const std::string& name) { return missing.contains(name) && bids.contains(name); };
    if (apart.by == capability::Area::machine || std::ranges::none_of(apart.nodes, lacks)) continue;
    TooFewAreas made;
    made.area = apart.by;
    std::map<std::string, std::string> areas;  // key -> text
    std::set<std::string> unstated;            // peers
    const auto add = [&](const std::string& peer, const capability::Location& at) {
      std::string key = capability::area_key(apart.by, at);
      if (key.empty())
        unstated.insert(peer);
      else
        areas.emplace(std::move(key), capability::area_text(apart.by, at));
    };
    for (const std::string& name : apart.nodes) {
      const auto has = placed.find(name);
      if (ensemble.nodes.contains(name) || has != placed.end()) ++made.needed;
      if (has != placed.end()) add(has->second.peer, has->second.location);
      if (const auto bid_for = bids.find(name); bid_for != bids.end())
        for (const Bid& bid : bid_for->second) add(bid.peer, bid.location);
    }
    made.unstated = unstated.size();
    if (areas.size() >= made.needed) continue;
    for (const auto& [key, text] : areas) made.known.push_back(text);
    all.push_back(std::move(made));
  }
  return all;
}

std::optional<std::size_t> find_crowded(const jobs::Ensemble& ensemble, const std::vector<Bid>& made, const Bid& bid) {
  std::set<capability::Area, std::greater<>> areas;  // the largest first
  for (const jobs::AntiAffinity& apart : ensemble.anti_affinity)
    if (apart.by != capability::Area::machine && std::ranges::count(apart.nodes, bid.node_id) > 0)
      areas.insert(apart.by);
  const auto lacks_one = [&](const Bid& one) {
    return std::ranges::any_of(areas, [&](capability::Area by) { return area_key(by, one.location).empty(); });
  };
  if (lacks_one(bid)) return std::nullopt;
  const auto unstated = std::find_if(made.rbegin(), made.rend(), lacks_one);
  if (unstated != made.rend()) return static_cast<std::size_t>(made.rend() - unstated) - 1;
  std::vector<std::size_t> like(made.size());  // those of the larger areas that the bid is in
  std::iota(like.begin(), like.end(), std::size_t{0});
  for (const capability::Area by : areas) {
    std::map<std::string, std::vector<std::size_t>> by_area;
    for (const std::size_t i : like) by_area[area_key(by, made[i].location)].push_back(i);
    like = by_area[area_key(by, bid.location)];
    const auto size = [](const auto& bids) { return bids.second.size(); };
    const std::vector<std::size_t>& most = std::ranges::max_element(by_area, {}, size)->second;
    if (most.size() > like.size() + 1) return most.back();
  }
  return std::nullopt;
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
