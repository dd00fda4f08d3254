#include "orchestrator/matching/matcher.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>

namespace dms::orchestrator {
namespace {

std::int64_t rounded_ms(Duration rtt) {
  return std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(rtt).count(), 0, 60'000);
}

/// What of a node is compared often, in its plainest form.
struct Need {
  explicit Need(const capability::Resources& r)
      : cores(r.cpu.cores.millis),
        ram(r.ram.size.bytes),
        disk(r.disk.size.bytes),
        plain(r.gpus.empty() && r.cpu.architecture.empty() && r.cpu.clock_speed.empty()) {
    constexpr std::uint64_t kNever = ~std::uint64_t{0};
    const auto step = [](std::uint64_t x) { return x == 0 || x > kNever / kWasteStep ? kNever : x * kWasteStep; };
    for (std::size_t i = 0; i < wasted_cores.size(); ++i) {
      wasted_cores[i] = step(i == 0 ? cores : wasted_cores[i - 1]);
      wasted_ram[i] = step(i == 0 ? ram : wasted_ram[i - 1]);
    }
  }
  [[nodiscard]] std::int64_t waste(std::uint64_t free_cores, std::uint64_t free_ram) const {
    std::int64_t steps = 0;
    for (std::size_t i = 0; i < wasted_cores.size(); ++i)
      steps += free_cores >= wasted_cores[i] || free_ram >= wasted_ram[i] ? 1 : 0;
    return steps;
  }

  std::uint64_t cores, ram, disk;
  bool plain;  ///< the three say all
  std::array<std::uint64_t, kMostWaste> wasted_cores{}, wasted_ram{};
};

std::uint64_t seed_of(const Wanted& wanted, std::size_t node) {
  return mix(hash_of(wanted.deployment) ^ hash_of(wanted.nodes[node].name));
}

std::int64_t lot_of(std::uint64_t seed, std::uint64_t peer) {
  return static_cast<std::int64_t>(mix(seed ^ peer) >> 24);
}

Cost full_cost(const Market& market, std::size_t bid, std::int64_t waste, std::int64_t lot) {
  const Market::Preference& p = market.preference(bid);
  return {.unknown_offer = p.unknown_offer ? 1 : 0,
          .price = static_cast<std::int64_t>(p.price),
          .load = p.load,
          .distance = p.distance,
          .waste = waste,
          .lot = lot};
}

/// What a request says of peers, by their numbers.
class Peers {
 public:
  Peers(const Market& market, const Wanted& wanted) {
    for (const std::string& name : wanted.excluded)
      if (const auto peer = market.find_peer(name)) set(market, *peer, kExcluded);
    for (std::size_t n = 0; n < wanted.nodes.size(); ++n)
      if (const auto peer = market.find_peer(wanted.nodes[n].peer); peer && !wanted.nodes[n].peer.empty())
        if (state_.empty() || state_[*peer] == kFree) set(market, *peer, n);
  }
  /// Whether the slot may have it: the primary of the node that it is pinned to, or, unpinned, any.
  [[nodiscard]] bool allows(std::uint32_t peer, std::size_t node, bool is_primary) const {
    return state_.empty() || state_[peer] == kFree || (is_primary && state_[peer] == node);
  }

 private:
  static constexpr std::size_t kFree = ~std::size_t{0};
  static constexpr std::size_t kExcluded = kFree - 1;
  void set(const Market& market, std::uint32_t peer, std::size_t to) {
    if (state_.empty()) state_.assign(market.peers(), kFree);
    state_[peer] = to;
  }
  std::vector<std::size_t> state_;
};

/// One decision. A slot is a copy of a node.
class Matcher {
 public:
  Matcher(const Market& market, const Wanted& wanted) : market_(market), wanted_(wanted), peers_(market, wanted) {
    for (std::size_t n = 0; n < wanted.nodes.size(); ++n) {
      first_slot_.push_back(slots_.size());
      for (std::uint32_t copy = 0; copy < std::clamp(wanted.nodes[n].copies, 1U, kMaxCopies); ++copy)
        slots_.push_back({n, copy == 0 && !wanted.nodes[n].peer.empty(), {}, {}});
    }
    first_slot_.push_back(slots_.size());
    join_slots();
    if (!wanted.apart.empty()) separate_slots();
  }

  Match run() {
    const bool coupled = std::ranges::any_of(slots_, [](const Slot& slot) { return !slot.pairs.empty(); });
    // A slot without pairs never needs more than as many of its best machines as there are slots, since each of the
    // others takes one at most.
    std::vector<std::vector<Option>> domains;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      domains.push_back(options_of(s, slots_[s].pairs.empty()));
      if (!slots_[s].pairs.empty() && !slots_[s].has_edges) keep_few_of_each_place(domains.back());
    }
    best_.assign(slots_.size(), kNone);
    if (coupled) {
      choice_.assign(slots_.size(), kUndecided);
      taken_.assign(market_.peers(), false);
      near_.assign(market_.peers(), nullptr);
      domains_ = std::move(domains);
      greedy();
      search(Cost{});
      return result();
    }
    std::vector<Choices> choices;
    for (std::size_t s = 0; s < slots_.size(); ++s) choices.push_back({std::move(domains[s]), without(s)});
    const Assignment found = assign(choices);
    work_ += found.work;
    best_cost_ = found.cost;
    for (std::size_t s = 0; s < slots_.size(); ++s)
      if (found.options[s] != kNone) best_[s] = choices[s].options[found.options[s]].bid;
    return result();
  }

 private:
  static constexpr std::uint32_t kNone = Assignment::kNone;
  static constexpr std::uint32_t kUndecided = kNone - 1;
  static constexpr std::size_t kNoApart = ~std::size_t{0};
  static constexpr std::size_t kPairsOfOption = 16;  ///< that are looked at in the time of one option
  struct Pair {
    std::size_t other;       ///< slot
    const WantedEdge* edge;  ///< or null:
    capability::Area area;   ///< apart by it
  };
  struct Slot {
    std::size_t node;
    bool pinned;  ///< to the peer of the node
    std::vector<Pair> pairs;
    std::vector<std::size_t> same;  ///< slots with the same options and pairs
    bool has_edges = false;         ///< among its pairs
    std::size_t apart = kNoApart;   ///< the one of the request that bounds it, see (4)
  };

  /// The slot has no machine.
  [[nodiscard]] Cost without(std::size_t s) const {
    const bool is_primary = first_slot_[slots_[s].node] == s;
    if (!is_primary) return {.copies = 1};
    return {.unplaced = wanted_.nodes[slots_[s].node].placed ? kPlacedWorth : 1};
  }

  void join_slots() {
    for (const WantedEdge& edge : wanted_.edges) {
      if (edge.s == edge.t) continue;
      for (std::size_t a = first_slot_[edge.s]; a < first_slot_[edge.s + 1]; ++a)
        for (std::size_t b = first_slot_[edge.t]; b < first_slot_[edge.t + 1]; ++b) {
          join(a, b, &edge, capability::Area::machine);
          slots_[a].has_edges = slots_[b].has_edges = true;
        }
    }
    for (std::size_t n = 0; n < wanted_.nodes.size(); ++n)
      for (std::size_t a = first_slot_[n]; a < first_slot_[n + 1]; ++a)
        for (std::size_t b = a + 1; b < first_slot_[n + 1]; ++b)
          if (!slots_[a].pinned) slots_[a].same.push_back(b), slots_[b].same.push_back(a);
  }

  void join(std::size_t a, std::size_t b, const WantedEdge* edge, capability::Area area) {
    slots_[a].pairs.push_back({b, edge, area});
    slots_[b].pairs.push_back({a, edge, area});
  }

  /// As the request has something apart. Two slots have one pair by an area, however many lists name both.
  void separate_slots() {
    std::vector<std::size_t> sizes(wanted_.apart.size(), 0);
    std::array<std::vector<bool>, 4> joined;  // by Area: pairs of slots, the lesser first
    for (std::size_t i = 0; i < wanted_.apart.size(); ++i) {
      const WantedApart& apart = wanted_.apart[i];
      if (apart.area == capability::Area::machine) continue;
      number_areas(apart.area);
      std::vector<std::size_t> slots;
      for (const std::size_t n : apart.nodes)
        for (std::size_t s = first_slot_[n]; s < first_slot_[n + 1]; ++s) slots.push_back(s);
      sizes[i] = slots.size();
      std::vector<bool>& known = joined[static_cast<std::size_t>(apart.area)];
      known.resize(slots_.size() * slots_.size(), false);
      for (std::size_t a = 0; a < slots.size(); ++a)
        for (std::size_t b = a + 1; b < slots.size(); ++b) {
          const std::size_t pair = std::min(slots[a], slots[b]) * slots_.size() + std::max(slots[a], slots[b]);
          if (known[pair] || (is_placed(slots[a]) && is_placed(slots[b]))) continue;
          known[pair] = true;
          join(slots[a], slots[b], nullptr, apart.area);
        }
      for (const std::size_t s : slots)
        if (!is_placed(s) && (slots_[s].apart == kNoApart || sizes[slots_[s].apart] < sizes[i])) slots_[s].apart = i;
    }
  }

  [[nodiscard]] bool is_placed(std::size_t s) const { return wanted_.nodes[slots_[s].node].placed; }

  /// Of each bid; 0 of those that do not state theirs.
  void number_areas(capability::Area area) {
    std::vector<std::uint32_t>& numbers = areas_[static_cast<std::size_t>(area)];
    if (!numbers.empty()) return;
    constexpr std::uint32_t kUnseen = ~std::uint32_t{0};
    std::map<std::string, std::uint32_t> known{{"", 0}};
    std::vector<std::uint32_t> of_location(market_.locations(), kUnseen);
    for (std::size_t bid = 0; bid < market_.machines().size(); ++bid) {
      std::uint32_t& number = of_location[market_.location(bid)];
      if (number == kUnseen) {
        std::string key = capability::area_key(area, market_.machines()[bid].location);
        number = known.try_emplace(std::move(key), static_cast<std::uint32_t>(known.size())).first->second;
      }
      numbers.push_back(number);
    }
    most_areas_ = std::max(most_areas_, static_cast<std::uint32_t>(known.size()));
  }

  [[nodiscard]] std::uint32_t area_of(capability::Area area, std::uint32_t bid) const {
    return areas_[static_cast<std::size_t>(area)][bid];
  }

  /// A slot without edges needs no more machines of one place than there are slots: the others take one each, and
  /// nothing but the place of the machine matters to them.
  void keep_few_of_each_place(std::vector<Option>& options) const {
    std::vector<std::size_t> kept(market_.locations(), 0);
    std::erase_if(options, [&](const Option& option) { return ++kept[market_.location(option.bid)] > slots_.size(); });
  }

  /// The machines that the slot may have, cheapest first: all of them, or only as many as there are slots.
  std::vector<Option> options_of(std::size_t s, bool few) {
    const Slot& slot = slots_[s];
    for (const std::size_t other : slot.same)  // the same, if it was asked for before
      if (other < s && few) return last_options_;
    const WantedNode& node = wanted_.nodes[slot.node];
    const std::size_t most = few ? slots_.size() : market_.machines().size();
    std::vector<Option> options;
    const std::uint32_t id = market_.find_node(node.name);
    const std::uint64_t seed = seed_of(wanted_, slot.node);
    const Need need(node.resources);
    const std::vector<const std::vector<std::uint32_t>*> areas = areas_to_state(slot.node);
    constexpr std::uint8_t kUnseen = 2;
    std::vector<std::uint8_t> places(
        node.location.accept.empty() && node.location.reject.empty() ? 0 : market_.locations(), kUnseen);
    const bool anywhere = places.empty() && areas.empty();
    const auto is_allowed = [&](std::size_t bid) {
      if (anywhere) return true;
      if (std::ranges::any_of(areas, [&](const auto* numbers) { return (*numbers)[bid] == 0; })) return false;
      if (places.empty()) return true;
      std::uint8_t& place = places[market_.location(bid)];
      if (place == kUnseen) place = node.location.allows(market_.machines()[bid].location) ? 1 : 0;
      return place == 1;
    };
    const auto pinned = slot.pinned ? market_.find_peer(node.peer) : std::nullopt;
    if (slot.pinned && !pinned) return options;

    const auto cheaper = [](const Option& a, const Option& b) { return a.cost < b.cost; };
    const std::size_t count = market_.machines().size();
    for (std::size_t begin = 0; begin < count && options.size() < most;) {
      const std::size_t end = market_.end_of_group(begin);
      const std::size_t room = most - options.size();
      const bool known = !market_.preference(begin).unknown_offer;
      const auto first = static_cast<std::ptrdiff_t>(options.size());  // of this group: a heap, the dearest on top
      for (std::size_t bid = begin; bid < end; ++bid) {
        if (market_.cores(bid) < need.cores || market_.ram(bid) < need.ram || market_.disk(bid) < need.disk) continue;
        const std::uint32_t peer = market_.peer(bid);
        if (pinned ? peer != *pinned : !peers_.allows(peer, slot.node, slot.pinned)) continue;
        if (pinned && !peers_.allows(peer, slot.node, true)) continue;
        if (!market_.is_for(bid, id)) continue;
        if (!is_allowed(bid)) continue;
        const std::int64_t waste = known ? need.waste(market_.cores(bid), market_.ram(bid)) : 0;
        const bool is_full = options.size() - static_cast<std::size_t>(first) == room;
        if (is_full && waste > options[static_cast<std::size_t>(first)].cost.waste) continue;
        const std::int64_t lot = lot_of(seed, market_.hash(bid));
        if (is_full && std::pair(waste, lot) >= std::pair(options[static_cast<std::size_t>(first)].cost.waste,
                                                          options[static_cast<std::size_t>(first)].cost.lot))
          continue;
        const Machine& machine = market_.machines()[bid];
        if (!need.plain && machine.free && !capability::covers(*machine.free, node.resources)) continue;
        if (is_full) {
          std::pop_heap(options.begin() + first, options.end(), cheaper);
          options.pop_back();
        }
        options.push_back({static_cast<std::uint32_t>(bid), peer, full_cost(market_, bid, waste, lot)});
        if (few) std::push_heap(options.begin() + first, options.end(), cheaper);
      }
      std::sort(options.begin() + first, options.end(), cheaper);
      work_ += end - begin;
      begin = end;
    }
    if (few) last_options_ = options;
    return options;
  }

  /// The numbers of bids of which none may be 0 for the node.
  [[nodiscard]] std::vector<const std::vector<std::uint32_t>*> areas_to_state(std::size_t node) const {
    std::vector<const std::vector<std::uint32_t>*> areas;
    if (wanted_.nodes[node].placed) return areas;
    for (const WantedApart& apart : wanted_.apart)
      if (apart.area != capability::Area::machine && std::ranges::count(apart.nodes, node) > 0)
        areas.push_back(&areas_[static_cast<std::size_t>(apart.area)]);
    std::ranges::sort(areas);
    const auto repeated = std::ranges::unique(areas);
    areas.erase(repeated.begin(), repeated.end());
    return areas;
  }

  /// What the pair adds to the cost of two machines; nothing if they may not have it.
  [[nodiscard]] std::optional<std::int64_t> pair_cost(const Pair& pair, const Option& a, const Option& b) const {
    static const Market::Measured kNothing;
    if (pair.edge == nullptr) return pair_cost(pair, a, b, kNothing);
    return pair_cost(pair, a, b, market_.measured(market_.peer(a.bid), market_.peer(b.bid)));
  }
  [[nodiscard]] std::optional<std::int64_t> pair_cost(const Pair& pair, const Option& a, const Option& b,
                                                      const Market::Measured& measured) const {
    if (pair.edge == nullptr) {
      const std::uint32_t here = area_of(pair.area, a.bid);
      const std::uint32_t there = area_of(pair.area, b.bid);
      if (here == 0 || there == 0 || here == there) return std::nullopt;
      return 0;
    }
    const WantedEdge& edge = *pair.edge;
    if (measured.failed) return std::nullopt;
    if (edge.rtt > 0ns && (measured.rtt ? *measured.rtt > edge.rtt : !wanted_.unmeasured_holds)) return std::nullopt;
    if (edge.bandwidth > 0 && (measured.bandwidth ? *measured.bandwidth < edge.bandwidth : !wanted_.unmeasured_holds))
      return std::nullopt;
    return measured.rtt ? rounded_ms(*measured.rtt) : 0;
  }

  /// Slot after slot takes the cheapest machine that is left for it: something to be better than.
  void greedy() {
    std::vector<Option> found(slots_.size());
    std::vector<bool> has(slots_.size(), false);
    std::vector<bool> used(market_.peers(), false);
    Cost total;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      for (const Option& option : domains_[s]) {
        if (work_ > wanted_.budget) break;
        ++work_;
        if (used[option.peer]) continue;
        Cost cost = option.cost;
        bool fits = true;
        for (const Pair& pair : slots_[s].pairs) {
          ++work_;
          if (!has[pair.other]) continue;
          const auto extra = pair_cost(pair, option, found[pair.other]);
          fits = extra.has_value();
          if (!fits) break;
          cost.distance += *extra;
        }
        if (!fits) continue;
        total += cost;
        found[s] = option;
        has[s] = used[option.peer] = true;
        break;
      }
      if (!has[s]) total += without(s);
    }
    best_cost_ = total;
    for (std::size_t s = 0; s < slots_.size(); ++s)
      if (has[s]) best_[s] = found[s].bid;
  }

  /// The cheapest machines of the slots that are not decided, as if there were no pairs between them, except that of
  /// one Apart each area is given to one slot.
  struct Relaxed {
    std::vector<std::size_t> slots;
    std::vector<Choices> choices;  ///< the `peer` of an option is what no two slots get: a machine, or an area
    Assignment assignment;
    bool by_area = false;  ///< of some slots
  };
  Relaxed relax(std::size_t except) {
    Relaxed relaxed;
    std::vector<std::size_t> members(wanted_.apart.size(), 0);
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      if (choice_[s] != kUndecided || s == except) continue;
      relaxed.slots.push_back(s);
      if (slots_[s].apart != kNoApart) ++members[slots_[s].apart];
    }
    for (const std::size_t s : relaxed.slots) {
      std::vector<Option>& options = relaxed.choices.emplace_back(std::vector<Option>(), without(s)).options;
      const std::size_t apart = slots_[s].apart;
      const bool by_area = apart != kNoApart && members[apart] > 1;
      relaxed.by_area = relaxed.by_area || by_area;
      for (const Option& option : domains_[s]) {
        ++work_;
        if (taken_[option.peer]) continue;
        const std::uint32_t column = by_area ? area_column(apart, option.bid) : option.peer;
        if (by_area && std::ranges::count(options, column, &Option::peer) > 0) continue;  // by a dearer machine
        options.push_back({option.bid, column, option.cost});
        if (options.size() == relaxed.slots.size()) break;
      }
    }
    relaxed.assignment = assign(relaxed.choices);
    work_ += relaxed.assignment.work;
    return relaxed;
  }

  /// Behind the numbers of peers.
  [[nodiscard]] std::uint32_t area_column(std::size_t apart, std::uint32_t bid) const {
    return static_cast<std::uint32_t>(market_.peers() + apart * most_areas_) + area_of(wanted_.apart[apart].area, bid);
  }

  /// Whether the relaxed choice keeps the pairs as well, and has no machine twice; then what they add to its cost.
  [[nodiscard]] std::optional<std::int64_t> pairs_of(const Relaxed& relaxed) {
    std::vector<const Option*> option_of(slots_.size(), nullptr);
    std::vector<std::uint32_t> peers;
    for (std::size_t i = 0; i < relaxed.slots.size(); ++i)
      if (const std::uint32_t o = relaxed.assignment.options[i]; o != kNone) {
        option_of[relaxed.slots[i]] = &relaxed.choices[i].options[o];
        if (relaxed.by_area) peers.push_back(market_.peer(relaxed.choices[i].options[o].bid));
      }
    std::ranges::sort(peers);
    if (std::ranges::adjacent_find(peers) != peers.end()) return std::nullopt;
    std::int64_t sum = 0;
    for (const std::size_t s : relaxed.slots) {
      work_ += slots_[s].pairs.size() / kPairsOfOption;
      for (const Pair& pair : slots_[s].pairs) {
        if (pair.other < s || option_of[s] == nullptr || option_of[pair.other] == nullptr) continue;
        const auto extra = pair_cost(pair, *option_of[s], *option_of[pair.other]);
        if (!extra) return std::nullopt;
        sum += *extra;
      }
    }
    return sum;
  }

  void keep(const Relaxed& relaxed, const Cost& cost) {
    best_cost_ = cost;
    for (std::size_t s = 0; s < slots_.size(); ++s) best_[s] = choice_[s] == kUndecided ? kNone : choice_[s];
    for (std::size_t i = 0; i < relaxed.slots.size(); ++i)
      if (const std::uint32_t o = relaxed.assignment.options[i]; o != kNone)
        best_[relaxed.slots[i]] = relaxed.choices[i].options[o].bid;
  }

  /// The undecided slot with the fewest options among those that have a pair with another undecided one; kNone if no
  /// pair is left.
  [[nodiscard]] std::size_t next_slot() const {
    std::size_t next = kNone;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      if (choice_[s] != kUndecided) continue;
      const bool is_open =
          std::ranges::any_of(slots_[s].pairs, [&](const Pair& pair) { return choice_[pair.other] == kUndecided; });
      if (is_open && (next == kNone || domains_[s].size() < domains_[next].size())) next = s;
    }
    return next;
  }

  /// Copies of a node are alike: only the choices in which their bids ascend are looked at, kNone last.
  [[nodiscard]] bool is_mirrored(std::size_t s, std::uint32_t bid) const {
    return std::ranges::any_of(slots_[s].same, [&](std::size_t other) {
      const std::uint32_t theirs = choice_[other];
      return theirs != kUndecided && (other < s ? bid < theirs : bid > theirs);
    });
  }

  void search(const Cost& partial) {
    if (work_ > wanted_.budget) {
      exhausted_ = true;
      return;
    }
    const Relaxed relaxed = relax(kNone);
    const Cost bound = partial + relaxed.assignment.cost;
    if (!(bound < best_cost_)) return;
    if (const auto extra = pairs_of(relaxed)) {
      Cost cost = bound;
      cost.distance += *extra;
      if (cost < best_cost_) keep(relaxed, cost);
      if (*extra == 0) return;
    }
    const std::size_t s = next_slot();
    if (s == kNone) return;
    const Cost rest = relax(s).assignment.cost;
    const std::vector<Option>& options = domains_[s];  // of a slot that is decided, so it stays as it is
    for (const Option& option : options) {
      ++work_;
      if (!(partial + option.cost + rest < best_cost_)) break;
      if (taken_[option.peer] || is_mirrored(s, option.bid)) continue;
      take(s, option, partial + option.cost);
      if (exhausted_) return;
    }
    if (is_mirrored(s, kNone)) return;
    choice_[s] = kNone;
    search(partial + without(s));
    choice_[s] = kUndecided;
  }

  /// With the machine for the slot; of the options of its neighbours those stay that go with it.
  void take(std::size_t s, const Option& option, const Cost& partial) {
    choice_[s] = option.bid;
    taken_[option.peer] = true;
    std::vector<std::pair<std::size_t, std::vector<Option>>> before;
    static const Market::Measured kNothing;
    for (const auto& [peer, measured] : market_.measured(option.peer)) near_[peer] = &measured;
    for (const Pair& pair : slots_[s].pairs) {
      if (choice_[pair.other] != kUndecided) continue;
      std::vector<Option>& domain = domains_[pair.other];
      std::vector<Option> left;
      bool dearer = false;
      for (const Option& other : domain) {
        ++work_;
        const Market::Measured* const measured = near_[other.peer];
        const auto extra = pair_cost(pair, option, other, measured == nullptr ? kNothing : *measured);
        if (!extra) continue;
        left.push_back(other);
        left.back().cost.distance += *extra;
        dearer = dearer || *extra > 0;
      }
      if (dearer) std::ranges::sort(left, {}, &Option::cost);
      before.emplace_back(pair.other, std::exchange(domain, std::move(left)));
    }
    for (const auto& [peer, measured] : market_.measured(option.peer)) near_[peer] = nullptr;
    search(partial);
    while (!before.empty()) {
      domains_[before.back().first] = std::move(before.back().second);
      before.pop_back();
    }
    taken_[option.peer] = false;
    choice_[s] = kUndecided;
  }

  Match result() const {
    Match match;
    match.chosen.resize(wanted_.nodes.size());
    for (std::size_t s = 0; s < slots_.size(); ++s)
      if (best_[s] != kNone) match.chosen[slots_[s].node].push_back(best_[s]);
    for (std::size_t n = 0; n < match.chosen.size(); ++n) {
      const bool pinned = !wanted_.nodes[n].peer.empty();
      std::ranges::sort(match.chosen[n], {}, [&](std::uint32_t bid) {
        const bool is_pin = pinned && market_.machines()[bid].peer == wanted_.nodes[n].peer;
        return std::pair(!is_pin, cost_of(market_, bid, wanted_, n));
      });
    }
    match.cost = best_cost_;
    match.complete = best_cost_.unplaced == 0 && best_cost_.copies == 0;
    match.optimal = !exhausted_;
    match.work = work_;
    if (wanted_.unmeasured_holds) add_unmeasured(match);
    return match;
  }

  void add_unmeasured(Match& match) const {
    for (const WantedEdge& edge : wanted_.edges)
      for (const std::uint32_t a : match.chosen[edge.s])
        for (const std::uint32_t b : match.chosen[edge.t]) {
          const Market::Measured& measured = market_.measured(market_.peer(a), market_.peer(b));
          if ((edge.rtt > 0ns && !measured.rtt) || (edge.bandwidth > 0 && !measured.bandwidth))
            match.unmeasured.emplace_back(market_.machines()[a].peer, market_.machines()[b].peer);
        }
  }

  const Market& market_;
  const Wanted& wanted_;
  Peers peers_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> first_slot_;              ///< of each node, and the end
  std::array<std::vector<std::uint32_t>, 4> areas_;  ///< by Area: of each bid, its number; empty unless it is needed
  std::uint32_t most_areas_ = 0;                     ///< beyond the numbers of all kinds
  std::vector<Option> last_options_;
  std::vector<std::vector<Option>> domains_;   ///< of each slot
  std::vector<std::uint32_t> choice_;          ///< of each slot: its bid, kNone or kUndecided
  std::vector<bool> taken_;                    ///< by peer
  std::vector<const Market::Measured*> near_;  ///< by peer: to the machine that a slot takes at this moment
  std::vector<std::uint32_t> best_;            ///< of each slot: its bid, or kNone
  Cost best_cost_;
  std::uint64_t work_ = 0;
  bool exhausted_ = false;
};

}  // namespace

Match match(const Market& market, const Wanted& wanted) { return Matcher(market, wanted).run(); }

Cost cost_of(const Market& market, std::uint32_t bid, const Wanted& wanted, std::size_t node) {
  const Need need(wanted.nodes[node].resources);
  const std::int64_t waste = market.preference(bid).unknown_offer ? 0 : need.waste(market.cores(bid), market.ram(bid));
  return full_cost(market, bid, waste, lot_of(seed_of(wanted, node), market.hash(bid)));
}

namespace {
double ms(Duration d) { return static_cast<double>(d.count()) / 1e6; }

std::string both(std::string first, const std::string& second) {
  return first + (first.empty() || second.empty() ? "" : ", ") + second;
}
}  // namespace

std::string limits_text(const WantedEdge& edge) {
  return both(edge.rtt > 0ns ? fmt::format("{:.4g} ms at most", ms(edge.rtt)) : "",
              edge.bandwidth > 0 ? fmt::format("{} bit/s at least", edge.bandwidth) : "");
}

std::string measured_text(const WantedEdge& edge, const Market::Measured& measured) {
  return both(edge.rtt > 0ns && measured.rtt ? fmt::format("{:.4g} ms", ms(*measured.rtt)) : "",
              edge.bandwidth > 0 && measured.bandwidth ? fmt::format("{} bit/s", *measured.bandwidth) : "");
}

std::string explain_edge(const WantedEdge& edge, const Market::Measured& measured, bool unmeasured_holds) {
  if (measured.failed) return "the way there could not be measured";
  if (edge.rtt > 0ns && measured.rtt && *measured.rtt > edge.rtt)
    return fmt::format("a round trip of {:.4g} ms, {:.4g} ms at most is asked for", ms(*measured.rtt), ms(edge.rtt));
  if (edge.bandwidth > 0 && measured.bandwidth && *measured.bandwidth < edge.bandwidth)
    return fmt::format("{} bit/s, {} bit/s at least is asked for", *measured.bandwidth, edge.bandwidth);
  if (unmeasured_holds) return {};
  if (edge.rtt > 0ns && !measured.rtt) return "a round trip that was not measured: only pairs of the best choices are";
  if (edge.bandwidth > 0 && !measured.bandwidth)
    return "a bandwidth that was not measured: only pairs of the best choices are";
  return {};
}

}  // namespace dms::orchestrator
