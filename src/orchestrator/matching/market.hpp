// The bids of a round as the matcher reads them: verified, in the order of preference, and what is measured between
// machines.
//
// Model
//  1. A Machine is what one peer bids for one node, or for any node. Of several bids of a peer for the same node the
//     last counts, and one for any node does not count for a node that the peer has named. A peer runs one node.
//  2. A Market is built once for a round, and read by any number of decisions (matcher.hpp); between them links may be
//     added. It keeps the bids in the order of the parts of their cost that no decision changes, so that a decision
//     looks at no more of them than may be chosen. The order in which the bids came has no influence.
//  3. A Link is what was measured between two machines, whichever of them has measured; of several measurements the
//     worst counts, so that a machine gains nothing by reporting a better one. What is absent was not measured; of a
//     Link with a failure the measurement has failed.
//
// Threads: values, read only once built. Cost: n log n for n bids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "capability/capability.hpp"
#include "capability/location.hpp"

namespace dms::orchestrator {

struct Machine {
  std::string peer;
  std::string node;                           ///< that the bid is for; empty: any
  std::optional<capability::Resources> free;  ///< not known of bids of other implementations
  capability::Location location;
  std::uint64_t price = 0;            ///< of the node, millionths an hour; without a price it is free
  std::optional<std::uint32_t> load;  ///< thousandths of the machine that are in use; not known: it counts as full
  std::optional<Duration> rtt;        ///< from this node, if it was measured
  std::string unenforced;             ///< limits that it does not hold; decides nothing
};

struct Link {
  std::string a;
  std::string b;
  std::optional<Duration> rtt;
  std::optional<std::uint64_t> bandwidth;  ///< bits per second
  std::string failure = {};                ///< why it was not measured
};

class Market {
 public:
  /// A measured pair of machines.
  struct Measured {
    std::optional<Duration> rtt;
    std::optional<std::uint64_t> bandwidth;
    bool failed = false;
  };
  /// The parts of the cost of a bid that are the same for every decision, as they are compared (matcher.hpp, 2).
  struct Preference {
    bool unknown_offer = false;
    std::uint64_t price = 0;
    std::uint32_t load = 0;     ///< in tenths of the machine
    std::int64_t distance = 0;  ///< ms
    friend auto operator<=>(const Preference&, const Preference&) = default;
  };

  explicit Market(std::vector<Machine> machines, const std::vector<Link>& links = {});
  /// One more, as if it had been among those of the constructor.
  void add(const Link& link);

  /// In the order of preference.
  [[nodiscard]] const std::vector<Machine>& machines() const { return machines_; }
  [[nodiscard]] const Preference& preference(std::size_t bid) const { return preferences_[bid]; }
  /// Where the bids end that no preference tells apart from this one.
  [[nodiscard]] std::size_t end_of_group(std::size_t bid) const { return group_end_[bid]; }
  /// The number of the peer of a bid: below peers().
  [[nodiscard]] std::uint32_t peer(std::size_t bid) const { return peer_[bid]; }
  [[nodiscard]] std::size_t peers() const { return peer_names_.size(); }
  [[nodiscard]] std::optional<std::uint32_t> find_peer(std::string_view name) const;
  /// Whether the bid is for the node of this number; that of a name is find_node().
  [[nodiscard]] bool is_for(std::size_t bid, std::uint32_t node) const {
    return node_[bid] == node || (node_[bid] == kAny && !has_named(peer_[bid], node));
  }
  [[nodiscard]] std::uint32_t find_node(std::string_view name) const;
  /// Between two peers; empty if nothing was measured.
  [[nodiscard]] const Measured& measured(std::uint32_t a, std::uint32_t b) const;
  /// Of one peer to others, by their number.
  [[nodiscard]] const std::vector<std::pair<std::uint32_t, Measured>>& measured(std::uint32_t peer) const {
    return links_[peer];
  }
  /// Of the location of a bid: equal numbers, equal locations; below locations().
  [[nodiscard]] std::uint32_t location(std::size_t bid) const { return location_[bid]; }
  [[nodiscard]] std::size_t locations() const { return location_count_; }

  // For quick looks, before what is exact: of an unknown offer everything fits.
  [[nodiscard]] std::uint64_t cores(std::size_t bid) const { return cores_[bid]; }  ///< thousandths
  [[nodiscard]] std::uint64_t ram(std::size_t bid) const { return ram_[bid]; }
  [[nodiscard]] std::uint64_t disk(std::size_t bid) const { return disk_[bid]; }
  /// Of the peer's name.
  [[nodiscard]] std::uint64_t hash(std::size_t bid) const { return hash_[bid]; }

 private:
  static constexpr std::uint32_t kAny = 0xffffffff;
  static constexpr std::uint32_t kNoSuchNode = 0xfffffffe;
  [[nodiscard]] bool has_named(std::uint32_t peer, std::uint32_t node) const {
    return !named_.empty() && named_.contains(std::uint64_t{peer} << 32 | node);
  }

  std::vector<Machine> machines_;
  std::vector<Preference> preferences_;
  std::vector<std::size_t> group_end_;
  std::vector<std::uint32_t> peer_, node_, location_;
  std::vector<std::uint64_t> cores_, ram_, disk_, hash_;
  std::size_t location_count_ = 0;
  std::unordered_map<std::string, std::uint32_t> peer_names_, node_names_;
  std::unordered_map<std::uint64_t, bool> named_;  ///< peer and node, of peers that also bid for any node
  std::vector<std::vector<std::pair<std::uint32_t, Measured>>> links_;  ///< of each peer, in ascending order
};

/// The same for the same text, on every machine and in every version; not for secrets.
[[nodiscard]] std::uint64_t hash_of(std::string_view text);
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace dms::orchestrator
