// Why an auction has found no machine for a node: what is known of the machines that were asked, as one text for users.
//
// Model
//  1. A provider that cannot run a node does not bid and does not say why. So the text says what the node asks for, how
//     many peers were asked and have bid, why those have none of the nodes (matching/explanation.hpp), that a provider
//     bids only if it has free all that the node asks for, and how to see the rest. This node's own provider does say
//     why (provider/bids.hpp, 4), and the text tells it.
//  2. Of peers that have not bid in a round because requests have expired when they arrive there (auction.hpp, 5), the
//     text says how many there are, and how far their clocks are ahead.
//  3. The kMaxShownReasons reasons of the most machines are told, each with their number; for the others, how many
//     machines they are of.
//  4. Of nodes that are kept apart (anti_affinity) it says from which ones, and if the machines that are known are in
//     fewer areas than are needed, in which they are and what would help.
//
// Threads: the actor's lane.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "orchestrator/auction/choice.hpp"
#include "orchestrator/matching/explanation.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kMaxShownReasons = 3;
inline constexpr std::size_t kMaxDeclined = 1024;  ///< bytes of why this machine does not bid

class Shortage {
 public:
  void begin_round() {
    unreached_.clear();
    self_declined_.clear();
    clocks_.clear();
  }
  /// The peer that the node is pinned to was not asked in this round.
  void add_unreached(const std::string& node, std::string why) { unreached_[node] = std::move(why); }
  /// This node's own provider does not bid in this round.
  void set_self_declined(std::string_view why);
  /// The clock of a peer that has not bid in this round is ahead by this.
  void add_clock(Duration ahead) { clocks_.push_back(ahead); }
  /// What is known of such clocks; empty if nothing is.
  [[nodiscard]] std::string clocks() const;

  /// This many peers are connected, of which `left_out` may not bid.
  void set_peers(std::size_t connected, std::size_t left_out) {
    connected_ = connected;
    left_out_ = left_out;
  }

  void set_areas(std::vector<TooFewAreas> areas) { areas_ = std::move(areas); }

  /// Whether this node's own provider may not bid.
  void set_self_left_out(bool left_out) { self_left_out_ = left_out; }

  /// About the nodes of `ensemble` in `missing`. `chosen` machines have other nodes.
  [[nodiscard]] std::string describe(const jobs::Ensemble& ensemble, const std::set<std::string>& missing,
                                     const Explanation& explanation, std::size_t chosen) const;

 private:
  [[nodiscard]] std::string asked(std::size_t bidders) const;

  std::size_t connected_ = 0;
  std::size_t left_out_ = 0;
  bool self_left_out_ = false;
  std::string self_declined_;
  std::map<std::string, std::string> unreached_;
  std::vector<Duration> clocks_;
  std::vector<TooFewAreas> areas_;
};

}  // namespace dms::orchestrator
