// Measures the ways between machines that have bid, as far as the limits of an ensemble's edges make it necessary: by
// the machines themselves (provider/edges.hpp).
//
// Model
//  1. A measurement is made only where it may give more nodes a machine, or lower the price or the load of the choice:
//     as long as the best choice, if every way that is not measured kept its limits, is better in that than the best
//     one of which everything is measured. Measured are the pairs of that choice, and of the next ones, until there are
//     kPairsAtOnce; these at the same time, then it is looked again.
//  2. A pair is measured from both sides, one after the other, and the worse counts. If one of them fails, or says
//     nothing in time, the way is not measured, and keeps no edge.
//  3. In the life of a survey, which is that of one run of an auction, four pairs are measured for each edge,
//     kLeastPairs at least and kMostPairs at most; one run() takes kSurveyTime at most. What is measured is not
//     measured again in its life, nor in that of the next ones with the same MeasuredLinks if they begin within
//     kMeasuredFor, or kFailureFor where the measurement has failed. What was measured for less bandwidth than is asked
//     for then is measured again, as fewer bytes were sent.
//
// Threads: the actor's lane. Cancellation: at any time; machines that measure end by themselves.
// Attacks: a machine may report what it likes of itself, but not of the other: (2). A machine that does not answer
// holds up a run for kSurveyTime at most.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "actor/actor.hpp"
#include "orchestrator/auction/choice.hpp"
#include "protocol/edge.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kPairsAtOnce = 4;
inline constexpr std::size_t kLeastPairs = 16;
inline constexpr std::size_t kMostPairs = 64;
inline constexpr Duration kSurveyTime = 20s;
inline constexpr Duration kAgreement = 5s;
inline constexpr Duration kMeasuredFor = 2min;
inline constexpr Duration kFailureFor = 30s;
/// Beyond it the oldest is forgotten.
inline constexpr std::size_t kMostKept = 4 * kMostPairs;

/// What surveys have measured, one after the other.
class MeasuredLinks {
 public:
  [[nodiscard]] std::vector<Link> links() const;
  void add(Link link, SteadyTime now, std::uint64_t bandwidth);
  void forget_old(SteadyTime now);
  /// What was measured for less.
  void forget_below(std::uint64_t bandwidth);

 private:
  struct Kept {
    Link link;
    SteadyTime at;
    std::uint64_t bandwidth = 0;  ///< that was asked for
  };
  std::vector<Kept> kept_;  ///< the oldest first
};

class EdgeSurvey {
 public:
  /// `measured` outlives it.
  EdgeSurvey(actor::Actor& actor, std::string ensemble_id, MeasuredLinks& measured)
      : actor_(actor), ensemble_id_(std::move(ensemble_id)), measured_(measured) {
    measured_.forget_old(actor_.lane().now());
  }

  /// What is referred to stays as it is meanwhile.
  Task<void> run(const RoundBids& bids, const Placed& placed, const Wanted& wanted);
  [[nodiscard]] std::vector<Link> links() const { return measured_.links(); }

 private:
  using Pairs = std::set<std::pair<std::string, std::string>>;
  [[nodiscard]] Pairs next(const RoundBids& bids, const Placed& placed, const Wanted& wanted) const;
  Task<Link> measure(std::string a, std::string b, std::uint64_t bandwidth, SteadyTime until);
  Task<Result<protocol::EdgeReply>> ask(std::string s, std::string t, std::uint64_t bandwidth);

  actor::Actor& actor_;
  std::string ensemble_id_;
  MeasuredLinks& measured_;
  std::size_t pairs_ = 0;  ///< that it has measured
};

}  // namespace dms::orchestrator
