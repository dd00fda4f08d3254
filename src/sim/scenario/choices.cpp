#include "sim/scenario/choices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace dms::sim {
namespace {

using orchestrator::Cost;
using orchestrator::Market;
using orchestrator::Wanted;
using orchestrator::WantedNode;

/// Tries each machine, or none, for each node.
class AllChoices {
 public:
  AllChoices(const Market& market, const Wanted& wanted) : market_(market), wanted_(wanted) {
    for (std::size_t n = 0; n < wanted.nodes.size(); ++n) {
      std::vector<std::uint32_t>& bids = allowed_.emplace_back();
      for (std::uint32_t b = 0; b < market.machines().size(); ++b)
        if (may_have(n, b)) bids.push_back(b);
    }
  }

  [[nodiscard]] bool are_few() const {
    std::size_t choices = 1;
    for (const std::vector<std::uint32_t>& bids : allowed_)
      if (choices *= bids.size() + 1; choices > kMostChoices) return false;
    return true;
  }
  [[nodiscard]] bool is_allowed(std::size_t node, std::uint32_t bid) const {
    return std::ranges::count(allowed_[node], bid) > 0;
  }
  /// Of a node that has no machine.
  [[nodiscard]] Cost without(std::size_t node) const {
    return {.unplaced = wanted_.nodes[node].placed ? orchestrator::kPlacedWorth : 1};
  }
  [[nodiscard]] Cost best() {
    best_.reset();
    choose(0, Cost{});
    return *best_;
  }

 private:
  [[nodiscard]] bool may_have(std::size_t n, std::uint32_t b) const {
    const WantedNode& node = wanted_.nodes[n];
    const orchestrator::Machine& bid = market_.machines()[b];
    if (wanted_.excluded.contains(bid.peer) || !node.location.allows(bid.location)) return false;
    if (bid.free && !capability::covers(*bid.free, node.resources)) return false;
    if (!node.peer.empty() && node.peer != bid.peer) return false;
    for (std::size_t other = 0; other < wanted_.nodes.size(); ++other)
      if (other != n && wanted_.nodes[other].peer == bid.peer) return false;
    if (!bid.node.empty()) return bid.node == node.name;
    return std::ranges::none_of(market_.machines(), [&](const orchestrator::Machine& own) {
      return own.peer == bid.peer && own.node == node.name;
    });
  }

  void choose(std::size_t n, const Cost& so_far) {
    if (n == allowed_.size()) {
      if (!best_ || so_far < *best_) best_ = so_far;
      return;
    }
    choose(n + 1, so_far + without(n));
    for (const std::uint32_t bid : allowed_[n]) {
      const auto [peer, is_free] = taken_.insert(market_.peer(bid));
      if (!is_free) continue;
      choose(n + 1, so_far + orchestrator::cost_of(market_, bid, wanted_, n));
      taken_.erase(market_.peer(bid));
    }
  }

  const Market& market_;
  const Wanted& wanted_;
  std::vector<std::vector<std::uint32_t>> allowed_;  ///< bids, of each node
  std::set<std::uint32_t> taken_;                    ///< peers
  std::optional<Cost> best_;
};

std::string cost_text(const Cost& cost) {
  return fmt::format("{} without a machine, {} unknown offers, price {}, load {}, distance {} ms, waste {}, lot {}",
                     cost.unplaced, cost.unknown_offer, cost.price, cost.load, cost.distance, cost.waste, cost.lot);
}

}  // namespace

std::optional<std::string> compare_with_all(const Market& market, const Wanted& wanted,
                                            const orchestrator::Match& match) {
  const bool has_copies = std::ranges::any_of(wanted.nodes, [](const WantedNode& node) { return node.copies != 1; });
  if (has_copies || !wanted.edges.empty() || !wanted.apart.empty()) return std::nullopt;
  AllChoices all(market, wanted);
  if (!all.are_few()) return std::nullopt;
  if (match.chosen.size() != wanted.nodes.size()) return "it has other nodes than were asked for";
  Cost cost;
  std::set<std::string> peers;
  for (std::size_t n = 0; n < wanted.nodes.size(); ++n) {
    const std::string& name = wanted.nodes[n].name;
    if (match.chosen[n].empty()) {
      cost += all.without(n);
      continue;
    }
    const std::uint32_t bid = match.chosen[n].front();
    const std::string& peer = market.machines()[bid].peer;
    if (!all.is_allowed(n, bid)) return fmt::format("node {} may not have machine {}", name, peer);
    if (!peers.insert(peer).second) return fmt::format("node {} has machine {}, as another one", name, peer);
    cost += orchestrator::cost_of(market, bid, wanted, n);
  }
  const Cost best = all.best();
  if (cost == best) return "";
  return fmt::format("the choice costs {}; the best one {}", cost_text(cost), cost_text(best));
}

}  // namespace dms::sim
