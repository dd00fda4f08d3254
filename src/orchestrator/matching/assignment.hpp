// The cost of a choice of machines, and the cheapest assignment of machines to slots that do not depend on each other.
//
// Model
//  1. Costs are compared member by member: what comes first decides. They add up member by member.
//  2. assign() gives each slot one of its options or leaves it without, for what that costs (more than any option); no
//     two slots get the same machine. The sum is the least there is: shortest augmenting paths (the Hungarian method),
//     whose arguments hold for any ordered sums.
//
// Pure functions. Cost: slots^2 * options of a slot at worst, about linear if few slots want the same machines.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace dms::orchestrator {

struct Cost {
  std::int64_t unplaced = 0;       ///< nodes without a machine for their primary
  std::int64_t copies = 0;         ///< other copies without a machine
  std::int64_t unknown_offer = 0;  ///< machines of which it is not known whether the node fits
  std::int64_t price = 0;          ///< millionths an hour
  std::int64_t load = 0;           ///< tenths of a machine
  std::int64_t distance = 0;       ///< ms: round trips to the machines, and of edges
  std::int64_t waste = 0;          ///< steps of kWasteStep
  std::int64_t lot = 0;            ///< of otherwise equal bids

  friend auto operator<=>(const Cost&, const Cost&) = default;
  Cost& operator+=(const Cost& o) {
    unplaced += o.unplaced, copies += o.copies, unknown_offer += o.unknown_offer, price += o.price, load += o.load;
    distance += o.distance, waste += o.waste, lot += o.lot;
    return *this;
  }
  Cost& operator-=(const Cost& o) {
    unplaced -= o.unplaced, copies -= o.copies, unknown_offer -= o.unknown_offer, price -= o.price, load -= o.load;
    distance -= o.distance, waste -= o.waste, lot -= o.lot;
    return *this;
  }
  friend Cost operator+(Cost a, const Cost& b) { return a += b; }
  friend Cost operator-(Cost a, const Cost& b) { return a -= b; }
};

struct Option {
  std::uint32_t bid = 0;   ///< of the market
  std::uint32_t peer = 0;  ///< of the market
  Cost cost;
};

struct Assignment {
  static constexpr std::uint32_t kNone = 0xffffffff;
  std::vector<std::uint32_t> options;  ///< of each slot: the index of its option, or kNone
  Cost cost;
  std::uint64_t work = 0;  ///< options looked at
};

struct Choices {
  std::vector<Option> options;
  Cost without;  ///< a machine
};

[[nodiscard]] Assignment assign(std::span<const Choices> slots);

}  // namespace dms::orchestrator
