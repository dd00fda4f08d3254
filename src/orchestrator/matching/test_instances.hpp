// For tests and benchmarks: small instances of matching, and the best choice of each, found by trying all.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "orchestrator/matching/matcher.hpp"

namespace dms::orchestrator {

/// Tries every machine for every copy, with the rules as matcher.hpp states them and nothing shared but the numbers of
/// a single bid.
class BruteForce {
 public:
  BruteForce(const Market& market, const Wanted& w) : market_(market), wanted_(w) {
    for (std::size_t n = 0; n < w.nodes.size(); ++n)
      for (std::uint32_t c = 0; c < w.nodes[n].copies; ++c) slots_.emplace_back(n, c);
    best_.unplaced = kPlacedWorth * (static_cast<std::int64_t>(slots_.size()) + 1);
    choose(0, Cost{});
  }
  [[nodiscard]] const Cost& best() const { return best_; }

  [[nodiscard]] bool may_have(std::size_t slot, std::size_t b) const {
    const auto& [n, copy] = slots_[slot];
    const WantedNode& wish = wanted_.nodes[n];
    const Machine& m = market_.machines()[b];
    if (wanted_.excluded.contains(m.peer) || !wish.location.allows(m.location)) return false;
    if (m.free && !capability::covers(*m.free, wish.resources)) return false;
    if (copy == 0 && !wish.peer.empty() && wish.peer != m.peer) return false;
    for (std::size_t o = 0; o < wanted_.nodes.size(); ++o)
      if (wanted_.nodes[o].peer == m.peer && (o != n || copy != 0)) return false;
    for (const WantedApart& apart : wanted_.apart)
      if (!wish.placed && has(apart, n) && !capability::unstated(apart.area, m.location).empty()) return false;
    if (!m.node.empty()) return m.node == wish.name;
    return std::ranges::none_of(market_.machines(),
                                [&](const Machine& x) { return x.peer == m.peer && x.node == wish.name; });
  }
  /// What an edge or an area between two slots adds; nothing if they may not be together.
  [[nodiscard]] std::optional<std::int64_t> between(std::size_t x, std::size_t y, std::size_t a, std::size_t b) const {
    const Machine& m = market_.machines()[a];
    const Machine& o = market_.machines()[b];
    const std::size_t n = slots_[x].first;
    const std::size_t k = slots_[y].first;
    if (m.peer == o.peer) return std::nullopt;
    for (const WantedApart& apart : wanted_.apart)
      if (has(apart, n) && has(apart, k) && !(wanted_.nodes[n].placed && wanted_.nodes[k].placed) &&
          !capability::are_apart(apart.area, m.location, o.location))
        return std::nullopt;
    std::int64_t sum = 0;
    for (const WantedEdge& edge : wanted_.edges) {
      if (std::minmax(edge.s, edge.t) != std::minmax(n, k)) continue;
      const auto& seen = market_.measured(market_.peer(a), market_.peer(b));
      if (!explain_edge(edge, seen, wanted_.unmeasured_holds).empty()) return std::nullopt;
      if (seen.rtt) sum += (seen.rtt->count() + 999'999) / 1'000'000;
    }
    return sum;
  }

 private:
  static bool has(const WantedApart& apart, std::size_t node) { return std::ranges::count(apart.nodes, node) > 0; }
  void choose(std::size_t slot, const Cost& so_far) {
    if (slot == slots_.size()) {
      best_ = std::min(best_, so_far);
      return;
    }
    chosen_.push_back(kNobody);
    const std::int64_t worth = wanted_.nodes[slots_[slot].first].placed ? kPlacedWorth : 1;
    choose(slot + 1, so_far + (slots_[slot].second == 0 ? Cost{.unplaced = worth} : Cost{.copies = 1}));
    for (std::size_t b = 0; b < market_.machines().size(); ++b) {
      if (!may_have(slot, b)) continue;
      Cost cost = so_far + cost_of(market_, static_cast<std::uint32_t>(b), wanted_, slots_[slot].first);
      bool fits = true;
      for (std::size_t other = 0; other < slot && fits; ++other) {
        if (chosen_[other] == kNobody) continue;
        const auto extra = between(slot, other, b, chosen_[other]);
        fits = extra.has_value();
        cost.distance += extra.value_or(0);
      }
      if (!fits) continue;
      chosen_.back() = b;
      choose(slot + 1, cost);
    }
    chosen_.pop_back();
  }

  static constexpr std::size_t kNobody = ~std::size_t{0};
  const Market& market_;
  const Wanted& wanted_;
  std::vector<std::pair<std::size_t, std::uint32_t>> slots_;
  std::vector<std::size_t> chosen_;
  Cost best_;
};

struct Instance {
  std::vector<Machine> machines;
  std::vector<Link> links;
  Wanted w;
};

inline Instance random_instance(SeededRandom& random) {
  Instance made;
  const auto flip = [&](std::uint64_t of) { return random.below(of) == 0; };
  const auto size = [&](std::uint64_t most) {
    capability::Resources of;
    of.cpu.cores = {1000 * (1 + random.below(most))};
    of.ram.size = of.disk.size = {capability::kGiB * (1 + random.below(most))};
    return of;
  };
  const std::uint64_t count = 1 + random.below(6);
  const std::uint64_t nodes = 1 + random.below(3);
  const auto place = [&] {
    capability::Location at;
    if (flip(8)) return at;
    at.continent = flip(2) ? "Europe" : "Asia";
    if (!flip(5)) at.country = std::string(1, static_cast<char>('A' + random.below(3)));
    if (!at.country.empty() && !flip(3)) at.city = std::string(1, static_cast<char>('a' + random.below(2)));
    return at;
  };
  for (std::uint64_t i = 0; i < count; ++i) {
    Machine m;
    m.peer = fmt::format("peer{}", i);
    if (!flip(6)) m.free = size(8);
    if (flip(3)) m.node = fmt::format("node{}", random.below(nodes));
    m.location = place();
    m.price = random.below(3);
    m.load = static_cast<std::uint32_t>(random.below(3)) * 150;
    if (flip(2)) m.rtt = Duration(random.below(50'000'000));
    made.machines.push_back(m);
    if (flip(6)) {  // the same peer bids for another node as well
      m.node = fmt::format("node{}", random.below(nodes));
      m.price += 1;
      made.machines.push_back(m);
    }
  }
  made.w.deployment = fmt::format("deployment{}", random.below(1000));
  for (std::uint64_t n = 0; n < nodes; ++n) {
    WantedNode one;
    one.name = fmt::format("node{}", n);
    one.resources = size(3);
    if (flip(5)) one.peer = fmt::format("peer{}", n);
    one.placed = !one.peer.empty() && flip(2);
    if (flip(4)) one.copies = 2 + static_cast<std::uint32_t>(random.below(nodes > 2 ? 1 : 2));
    if (flip(5)) one.location.accept.push_back({.continent = "Europe"});
    if (flip(5)) one.location.reject.push_back({.continent = "Asia", .country = "A"});
    made.w.nodes.push_back(std::move(one));
  }
  for (std::uint64_t a = 0; a < nodes; ++a)
    for (std::uint64_t b = a + 1; b < nodes; ++b) {
      if (flip(2)) {
        WantedEdge edge{.s = a, .t = b};
        if (flip(2)) edge.rtt = Duration(20'000'000 + random.below(40'000'000));
        if (flip(3)) edge.bandwidth = 100 + random.below(100);
        made.w.edges.push_back(edge);
      }
    }
  while (flip(2) && made.w.apart.size() < 3) {
    WantedApart& apart = made.w.apart.emplace_back();
    for (std::uint64_t n = 0; n < nodes; ++n)
      if (!flip(3)) apart.nodes.push_back(n);
    apart.area = std::array{capability::Area::machine, capability::Area::city, capability::Area::country,
                            capability::Area::continent}[random.below(4)];
  }
  for (std::uint64_t a = 0; a < count; ++a)
    for (std::uint64_t b = 0; b < count; ++b) {
      if (flip(3)) continue;
      Link link{fmt::format("peer{}", a), fmt::format("peer{}", b), {}, {}};
      if (!flip(4)) link.rtt = Duration(random.below(80'000'000));
      if (!flip(4)) link.bandwidth = 50 + random.below(200);
      if (flip(8)) link.failure = "it did not answer";
      made.links.push_back(std::move(link));
    }
  if (flip(6)) made.w.excluded.insert(fmt::format("peer{}", random.below(count)));
  made.w.unmeasured_holds = flip(3);
  return made;
}

}  // namespace dms::orchestrator
