#include "orchestrator/matching/explanation.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace dms::orchestrator {

using protocol::Choice;
using protocol::EdgeVerdict;
using protocol::MachineVerdict;
namespace {

std::string price_text(std::uint64_t millionths) { return fmt::format("{}", static_cast<double>(millionths) / 1e6); }

std::string place_text(const capability::Location& at) {
  std::string text;
  const auto add = [&](std::string_view part) {
    if (!part.empty()) text += fmt::format("{}{}", text.empty() ? "" : ", ", part);
  };
  add(at.continent);
  add(at.country);
  add(at.city);
  if (at.asn != 0) add(fmt::format("AS{}", at.asn));
  add(at.isp);
  return text.empty() ? "it states no location" : "it is in " + text;
}

std::string free_text(const Machine& machine) { return machine.free ? machine.free->to_string() : "not known"; }

std::string distance_text(const Machine& machine) {
  if (!machine.rtt) return "not measured";
  return fmt::format("{} ms", std::chrono::ceil<std::chrono::milliseconds>(*machine.rtt).count());
}

/// One line of at most kMaxVerdict bytes.
std::string verdict_text(std::string_view text) {
  constexpr std::size_t kEnd = std::string_view("... (1234567 more bytes)").size();
  std::string line = printable(text);
  if (line.size() <= kMaxVerdict) return line;
  const std::string kept = shortened(line, kMaxVerdict - kEnd);
  return fmt::format("{}... ({} more bytes)", kept, line.size() - kept.size());
}

/// One match, and where its machines are.
class Reasons {
 public:
  Reasons(const Market& market, const Wanted& wanted, const Match& match)
      : market_(market), wanted_(wanted), match_(match) {
    for (std::size_t n = 0; n < match.chosen.size(); ++n)
      for (const std::uint32_t bid : match.chosen[n]) node_of_.emplace(market.peer(bid), n);
  }

  [[nodiscard]] bool is_chosen(std::uint32_t bid, std::size_t n) const {
    return std::ranges::count(match_.chosen[n], bid) > 0;
  }

  /// Empty for a machine that only lacks the node because it has another one, if this one has a machine.
  [[nodiscard]] std::string of(std::uint32_t bid, std::size_t n) const {
    const Machine& machine = market_.machines()[bid];
    if (is_chosen(bid, n))
      return fmt::format("price {} an hour, load {}, round trip {}, free: {}{}{}", price_text(machine.price),
                         load_text(bid), distance_text(machine), free_text(machine),
                         machine.unenforced.empty() ? "" : ", not enforced: ", machine.unenforced);
    if (std::string why = unfit(machine, n); !why.empty()) return why;
    if (const auto other = node_of_.find(market_.peer(bid)); other != node_of_.end()) {
      if (!match_.chosen[n].empty()) return {};
      return fmt::format("it has node {}, and a machine runs one", wanted_.nodes[other->second].name);
    }
    if (std::string why = apart_from_chosen(bid, n); !why.empty()) return why;
    if (match_.chosen[n].empty()) return "no choice that keeps all constraints has it on this node";
    return behind(bid, match_.chosen[n].front(), n);
  }

 private:
  /// As it is compared, in tenths.
  [[nodiscard]] std::string load_text(std::uint32_t bid) const {
    if (!market_.machines()[bid].load) return "not stated";
    return fmt::format("{} %", market_.preference(bid).load * 10);
  }

  /// What it does not keep, whatever else is chosen.
  [[nodiscard]] std::string unfit(const Machine& machine, std::size_t n) const {
    const WantedNode& node = wanted_.nodes[n];
    if (wanted_.excluded.contains(machine.peer)) return "it is excluded";
    for (const WantedNode& other : wanted_.nodes)
      if (other.peer == machine.peer && other.name != node.name)
        return fmt::format("it is kept for node {}, which is pinned to it", other.name);
    if (!node.peer.empty() && node.peer != machine.peer && node.copies < 2)
      return fmt::format("the node is pinned to {}", node.peer);
    if (!node.location.allows(machine.location))
      return fmt::format("its location is not accepted: {}", place_text(machine.location));
    for (const WantedApart& apart : wanted_.apart)
      if (const std::string_view missing = capability::unstated(apart.area, machine.location);
          !missing.empty() && std::ranges::count(apart.nodes, n) > 0)
        return fmt::format("it does not state its {}, by which anti_affinity keeps nodes apart: {}", missing,
                           place_text(machine.location));
    if (machine.free && !capability::covers(*machine.free, node.resources)) {
      const std::string missing = capability::explain_shortage(*machine.free, node.resources);
      return missing.empty() ? "what it offers does not fit" : missing;
    }
    return {};
  }

  /// What is asked between the node and others, and does not hold with the machines that those have.
  [[nodiscard]] std::string apart_from_chosen(std::uint32_t bid, std::size_t n) const {
    for (const WantedEdge& edge : wanted_.edges) {
      if (edge.s != n && edge.t != n) continue;
      const std::size_t other = edge.s == n ? edge.t : edge.s;
      for (const std::uint32_t theirs : match_.chosen[other]) {
        const std::string why =
            explain_edge(edge, market_.measured(market_.peer(bid), market_.peer(theirs)), wanted_.unmeasured_holds);
        if (!why.empty())
          return fmt::format("to {}, which has node {}: {}", market_.machines()[theirs].peer, wanted_.nodes[other].name,
                             why);
      }
    }
    for (const WantedApart& apart : wanted_.apart) {
      if (std::ranges::count(apart.nodes, n) == 0) continue;
      for (const std::size_t other : apart.nodes)
        for (const std::uint32_t theirs : match_.chosen[other])
          if (std::string why = not_apart(apart.area, bid, theirs, wanted_.nodes[other].name); !why.empty()) return why;
    }
    return {};
  }

  [[nodiscard]] std::string not_apart(capability::Area area, std::uint32_t bid, std::uint32_t theirs,
                                      const std::string& node) const {
    const capability::Location& here = market_.machines()[bid].location;
    const Machine& other = market_.machines()[theirs];
    if (capability::are_apart(area, here, other.location)) return {};
    if (const std::string_view missing = capability::unstated(area, other.location); !missing.empty())
      return fmt::format("{}, which has node {}, does not state its {}", other.peer, node, missing);
    return fmt::format("it is in the {} of {}, which has node {}: {}", to_string(area), other.peer, node,
                       capability::area_text(area, here));
  }

  /// The first in the order of preference.
  [[nodiscard]] std::string behind(std::uint32_t bid, std::uint32_t chosen, std::size_t n) const {
    const Machine& machine = market_.machines()[bid];
    const Machine& better = market_.machines()[chosen];
    const Cost cost = cost_of(market_, bid, wanted_, n);
    const Cost best = cost_of(market_, chosen, wanted_, n);
    if (cost < best) return "the choice is better as a whole without it";
    if (cost.unknown_offer != best.unknown_offer) return "what it offers is not known";
    if (cost.price != best.price)
      return fmt::format("its price is {} an hour, that of the chosen machine {}", price_text(machine.price),
                         price_text(better.price));
    if (cost.load != best.load)
      return fmt::format("its load is {}, that of the chosen machine {}", load_text(bid), load_text(chosen));
    if (cost.distance != best.distance)
      return fmt::format("its round trip is {}, that of the chosen machine {}", distance_text(machine),
                         distance_text(better));
    if (cost.waste != best.waste)
      return fmt::format("it is larger than needed: {} free, on the chosen machine {}", free_text(machine),
                         free_text(better));
    return "it is as good as the chosen machine, and a lot decided";
  }

  const Market& market_;
  const Wanted& wanted_;
  const Match& match_;
  std::map<std::uint32_t, std::size_t> node_of_;  ///< peer -> node
};

}  // namespace

void Explanation::add_match(const Market& market, const Wanted& wanted, const Match& match,
                            const std::vector<Link>& links) {
  std::set<std::string> nodes;
  for (const WantedNode& node : wanted.nodes)
    if (!node.placed) nodes.insert(node.name);
  std::erase_if(verdicts_, [&](const auto& entry) { return nodes.contains(entry.first.second); });
  std::erase_if(edges_, [&](const EdgeVerdict& edge) { return nodes.contains(edge.s) || nodes.contains(edge.t); });
  add_edges(market, wanted, links);
  optimal_ = optimal_ && match.optimal;
  const Reasons reasons(market, wanted, match);
  for (const bool chosen : {true, false})
    for (std::size_t n = 0; n < wanted.nodes.size(); ++n) {
      if (wanted.nodes[n].placed) continue;
      const std::uint32_t id = market.find_node(wanted.nodes[n].name);
      for (std::uint32_t bid = 0; bid < market.machines().size() && verdicts_.size() < kMaxHeard; ++bid)
        if (market.is_for(bid, id) && reasons.is_chosen(bid, n) == chosen)
          if (const std::string reason = reasons.of(bid, n); !reason.empty())
            add(market.machines()[bid].peer, wanted.nodes[n].name, chosen, reason);
    }
}

void Explanation::add_edges(const Market& market, const Wanted& wanted, const std::vector<Link>& links) {
  const auto bids_for = [&](std::uint32_t peer, const std::string& node) {
    const std::uint32_t id = market.find_node(node);
    for (std::size_t bid = 0; bid < market.machines().size(); ++bid)
      if (market.peer(bid) == peer && market.is_for(bid, id)) return true;
    return false;
  };
  for (const WantedEdge& edge : wanted.edges)
    for (const Link& link : links) {
      const auto a = market.find_peer(link.a);
      const auto b = market.find_peer(link.b);
      if (!a || !b) continue;
      const std::string& s = wanted.nodes[edge.s].name;
      const std::string& t = wanted.nodes[edge.t].name;
      for (const bool forth : {true, false}) {
        if (edges_.size() >= kMaxVerdicts || !bids_for(forth ? *a : *b, s) || !bids_for(forth ? *b : *a, t)) continue;
        const Market::Measured& measured = market.measured(*a, *b);
        EdgeVerdict& made = edges_.emplace_back();
        made.s = s;
        made.t = t;
        made.a = forth ? link.a : link.b;
        made.b = forth ? link.b : link.a;
        made.asked = limits_text(edge);
        made.measured =
            link.failure.empty() ? measured_text(edge, measured) : verdict_text("not measured: " + link.failure);
        made.holds = explain_edge(edge, measured, false).empty();
      }
    }
}

void Explanation::add_refusal(const std::string& peer, std::string_view why, const std::string& node) {
  add(peer, node, false, why);
}

void Explanation::add(const std::string& peer, const std::string& node, bool chosen, std::string_view reason) {
  const std::pair key(shortened(printable(peer), kMaxVerdict), node);
  if (verdicts_.size() >= kMaxHeard && !verdicts_.contains(key)) return;
  verdicts_[key] = {key.first, node, chosen, verdict_text(reason)};
}

void Explanation::set_excluded(const std::map<std::string, std::string>& why) {
  excluded_.clear();
  for (const auto& [peer, reason] : why) excluded_[shortened(printable(peer), kMaxVerdict)] = verdict_text(reason);
}

Choice Explanation::get() const {
  Choice choice;
  choice.optimal = optimal_;
  choice.edges = edges_;
  const auto show = [&choice](MachineVerdict verdict) {
    if (choice.machines.size() < kMaxVerdicts)
      choice.machines.push_back(std::move(verdict));
    else
      ++choice.left_out;
  };
  for (const bool chosen : {true, false})
    for (const auto& [key, verdict] : verdicts_)
      if (verdict.chosen == chosen) show(verdict);
  for (const auto& [peer, why] : excluded_) {
    const auto said = verdicts_.lower_bound(std::pair(peer, std::string()));
    if (said == verdicts_.end() || said->first.first != peer) show({peer, {}, false, why});
  }
  return choice;
}

std::vector<Explanation::Reason> Explanation::against(const std::set<std::string>& nodes) const {
  std::set<std::string_view> have_nodes;
  for (const auto& [key, verdict] : verdicts_)
    if (verdict.chosen) have_nodes.insert(verdict.peer);
  std::map<std::pair<bool, std::string_view>, std::set<std::string_view>> machines;  // whether it counts, why
  for (const auto& [key, verdict] : verdicts_)
    if (!verdict.chosen &&
        (verdict.node.empty() || (nodes.contains(verdict.node) && !have_nodes.contains(verdict.peer))))
      machines[{!verdict.node.empty(), verdict.reason}].insert(verdict.peer);
  std::vector<Reason> reasons;
  for (const auto& [why, peers] : machines) reasons.push_back({std::string(why.second), why.first, peers.size()});
  std::ranges::stable_sort(reasons, std::greater(), &Reason::machines);
  return reasons;
}

std::size_t Explanation::heard() const {
  std::set<std::string_view> peers;
  for (const auto& [key, verdict] : verdicts_) peers.insert(verdict.peer);
  return peers.size();
}

void merge(Choice& all, const Choice& latest, const std::set<std::string>& nodes) {
  std::erase_if(all.machines,
                [&](const MachineVerdict& verdict) { return verdict.node.empty() || nodes.contains(verdict.node); });
  all.machines.insert(all.machines.end(), latest.machines.begin(), latest.machines.end());
  std::set<std::string> have_nodes;
  for (const MachineVerdict& verdict : all.machines)
    if (verdict.chosen) have_nodes.insert(verdict.peer);
  std::erase_if(all.machines, [&](const MachineVerdict& verdict) {
    return verdict.node.empty() && have_nodes.contains(verdict.peer);
  });
  std::ranges::stable_sort(all.machines, std::greater(), &MachineVerdict::chosen);
  std::erase_if(all.edges, [&](const EdgeVerdict& edge) { return nodes.contains(edge.s) || nodes.contains(edge.t); });
  all.edges.insert(all.edges.end(), latest.edges.begin(), latest.edges.end());
  if (all.edges.size() > kMaxVerdicts) all.edges.resize(kMaxVerdicts);
  all.left_out = latest.left_out;
  if (all.machines.size() > kMaxVerdicts) {
    all.left_out += static_cast<std::uint32_t>(all.machines.size() - kMaxVerdicts);
    all.machines.resize(kMaxVerdicts);
  }
  all.optimal = latest.optimal;
  all.at = latest.at;
}

}  // namespace dms::orchestrator
