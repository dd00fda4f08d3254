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
//  3. In the life of a survey four pairs are measured for each edge, kLeastPairs at least and kMostPairs at most; one
//     run takes kSurveyTime at most. What is measured is not measured again.
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

class EdgeSurvey {
 public:
  EdgeSurvey(actor::Actor& actor, std::string ensemble_id) : actor_(actor), ensemble_id_(std::move(ensemble_id)) {}

  /// What is referred to stays as it is meanwhile.
  Task<void> run(const RoundBids& bids, const Placed& placed, const Wanted& wanted);
  [[nodiscard]] const std::vector<Link>& links() const { return links_; }

 private:
  using Pairs = std::set<std::pair<std::string, std::string>>;
  [[nodiscard]] Pairs next(const RoundBids& bids, const Placed& placed, const Wanted& wanted) const;
  Task<Link> measure(std::string a, std::string b, std::uint64_t bandwidth, SteadyTime until);
  Task<Result<protocol::EdgeReply>> ask(std::string s, std::string t, std::uint64_t bandwidth);

  actor::Actor& actor_;
  std::string ensemble_id_;
  std::vector<Link> links_;
};

}  // namespace dms::orchestrator
