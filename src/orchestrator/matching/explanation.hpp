// Why each machine that was heard in an auction was chosen or not.
//
// Model
//  1. A machine has one verdict for each node that it has bid for, that of the last round; a bid that did not count for
//     any node has one without a node. A machine that is chosen has none for another node that it could have as well,
//     if that has a machine. The first constraint that it does not keep is named with its numbers; if it keeps all, what
//     the chosen machine has before it in the order of preference (matcher.hpp, 2).
//  2. get() is bounded: kMaxVerdicts, those chosen first; the others are counted. A reason has at most kMaxVerdict
//     bytes; one that is cut ends with the number of those that are left out. At most kMaxHeard are remembered.
//  3. Of each edge with limits it says for each pair of machines that was measured for it what was asked for, what was
//     measured, or why that failed; kMaxVerdicts pairs at most.
//  4. A connected machine that may not bid, and of which there is no other verdict, has one without a node, with the
//     reason that is known. It was not heard. They are the last ones of get().
//  5. against() counts the machines without a node by reason, for what is told of nodes without one
//     (auction/shortage.hpp).
//
// Attacks: names and texts of other machines are made printable here, once for all that show them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/matching/matcher.hpp"
#include "protocol/deployment.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kMaxVerdicts = 64;
inline constexpr std::size_t kMaxVerdict = 1024;
inline constexpr std::size_t kMaxHeard = 4096;

class Explanation {
 public:
  /// Replaces what was said of these nodes; of those that are placed already nothing is said. `links` are those of the
  /// market.
  void add_match(const Market& market, const Wanted& wanted, const Match& match, const std::vector<Link>& links = {});
  /// Of a bid that does not count; with `node`, for that.
  void add_refusal(const std::string& peer, std::string_view why, const std::string& node = {});
  /// Replaces which connected machines may not bid: why, by peer.
  void set_excluded(const std::map<std::string, std::string>& why);
  [[nodiscard]] protocol::Choice get() const;

  struct Reason {
    std::string text;
    bool counts = true;  ///< their bids
    std::size_t machines = 0;
  };
  /// Why the machines that were heard have none of these nodes, the reason of most of them first.
  [[nodiscard]] std::vector<Reason> against(const std::set<std::string>& nodes) const;
  /// Machines that were heard.
  [[nodiscard]] std::size_t heard() const;

 private:
  void add_edges(const Market& market, const Wanted& wanted, const std::vector<Link>& links);
  void add(const std::string& peer, const std::string& node, bool chosen, std::string_view reason);

  std::map<std::pair<std::string, std::string>, protocol::MachineVerdict> verdicts_;  ///< by peer and node
  std::map<std::string, std::string> excluded_;                                       ///< peer -> why
  std::vector<protocol::EdgeVerdict> edges_;
  bool optimal_ = true;
};

/// Of these nodes `latest` counts, and of bids that did not and of what is excluded, unless the machine has a node.
void merge(protocol::Choice& all, const protocol::Choice& latest, const std::set<std::string>& nodes);

}  // namespace dms::orchestrator
