// Why an auction has found no machine for a node: what is known of the machines that were asked, as one text for users.
//
// Model
//  1. A provider that cannot run a node does not bid and does not say why. So the text says what the node asks for, how
//     many peers were asked and have bid, why bids did not count, by the number of peers, and how to see the rest. While
//     no peer is connected, it says what is known of this node's own provider.
//  2. Of peers that have not bid because requests have expired when they arrive there (auction.hpp, 4), the text says
//     how many there are, and how far their clocks are ahead.
//  3. Of the reasons the first kMaxShownReasons are told, each with its number of peers; later ones are counted.
//
// Threads: the actor's lane. Attacks: a reason may hold text of a peer, so its length is bounded by the caller; peers
// are counted up to kMaxCountedPeers for each reason.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/bid.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kMaxShownReasons = 3;
inline constexpr std::size_t kMaxCountedPeers = 256;

class Shortage {
 public:
  using Bids = std::map<std::string, std::vector<protocol::Bid>>;  // node -> bids

  void begin_round() { unreached_.clear(); }
  /// The peer that the node is pinned to was not asked in this round.
  void add_unreached(const std::string& node, std::string why) { unreached_[node] = std::move(why); }
  /// A bid of `peer` does not count.
  void add_refusal(const std::string& peer, const std::string& why);

  /// The clock of a peer that has not bid is ahead by this.
  void add_clock(Duration ahead) { clocks_.push_back(ahead); }
  /// What is known of such clocks; empty if nothing is.
  [[nodiscard]] std::string clocks() const;

  /// This many peers are connected, of which `left_out` may not bid.
  void set_peers(std::size_t connected, std::size_t left_out) {
    connected_ = connected;
    left_out_ = left_out;
  }

  /// Whether this node's own provider may not bid.
  void set_self_left_out(bool left_out) { self_left_out_ = left_out; }

  /// About the nodes of `ensemble` in `missing`, of which every bid in `bids` offers too little. `chosen` machines have
  /// other nodes.
  [[nodiscard]] std::string describe(const jobs::Ensemble& ensemble, const std::set<std::string>& missing,
                                     const Bids& bids, std::size_t chosen) const;

 private:
  [[nodiscard]] std::string asked(const Bids& bids) const;

  std::size_t connected_ = 0;
  std::size_t left_out_ = 0;
  bool self_left_out_ = false;
  std::map<std::string, std::string> unreached_;
  std::vector<std::pair<std::string, std::set<std::string>>> refusals_;  // why, peers
  std::size_t other_refusals_ = 0;
  std::vector<Duration> clocks_;
};

}  // namespace dms::orchestrator
