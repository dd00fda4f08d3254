// The orchestrator's side of an auction: requests bids and selects a machine for each node of an ensemble, or of a part
// of one (deployment/placement.hpp).
//
// Model
//  1. A round requests bids for the nodes without a machine: from the peer of a pinned node directly, for the others by
//     broadcast, and from the provider of this node by a message to it, as a broadcast does not reach its sender. That
//     provider bids by the same rules as any other. A round lasts kBidRound at most, and ends early once its bids
//     give every node of the round a machine and everyone has answered who is known to have been asked: the peers of
//     pinned nodes, and for the others this node and each connected peer that may bid. A bid is an answer whether it
//     counts or not, and so is the reason of this node's own provider. Other peers say nothing if they do not bid, so
//     they are waited for until kBidSettle after every node has a machine. Bids of peers that are not connected, which
//     a broadcast reaches through others, count until the round ends. Bids that are worth nothing do not end it: rounds
//     in quick succession would flood the network with requests.
//  2. A bid counts if it is signed by its peer, for this ensemble, and if its peer has not bid in this round and is not
//     excluded. A bid names one node or several (protocol/bid.hpp, 2), and counts for each that is in the round, if it
//     is from a location that the node accepts, from the pinned peer where there is one, with the features that the
//     node needs, the lease and the size of results that the ensemble asks for. At most kMaxBidsPerNode of a round are
//     kept for a node; of one that is to be in another area than others (anti_affinity) the bid of an area that has few
//     takes the place of the last one of the area that has most. Who is excluded is asked at each round.
//  3. After a round as many nodes as possible get a machine, by the best choice among the bids (matching/), and keep
//     it. Bids that name all nodes that their machines can serve need one round; other bidders, such as those of DMS
//     0.5.x, may bid for the remaining nodes in the next one. Rounds continue until every node has a machine or the
//     deadline is too near, which is monotonic. At the end the bidders that were not chosen are told, so that their
//     bids stay open no longer.
//  4. For edges with limits the ways between machines are measured after a round (edge_survey.hpp), which may take
//     kSurveyTime longer than the deadline. Bids give every node a machine, (1), if they do where every way that is not
//     measured keeps its limits. Nodes that have a machine, of this run or by join(), are measured with those that
//     bid, and edges to them hold as well. If a node has bids and none that keeps them, the nodes of this run that
//     edges join to it, directly or through others, give up their machines before the next round. So do those that
//     anti_affinity joins to it, but only after a round that has given no node a machine: until then those that have
//     bid for other nodes in vain may bid for it. Nodes are kept apart from those that have a machine, whether that
//     answers or not.
//  5. A provider whose clock is ahead by more than a round takes requests for bids for expired, and gives no reply
//     (decisions 0913, 0922). With tell_shortage(), peers that have not bid kClockQuestion after the begin of a round,
//     while its bids do not give every node a machine, are asked a question that is valid for longer
//     (ProviderClient::patient_reports), whose reply has their clock: each once in a run, kMaxClockQuestions in all, as
//     each question takes a place in the memory of its receiver until it expires. From the next round on messages to
//     them last longer (actor/clocks.hpp), and each is asked for a bid by a message.
//
// Threads: the actor's lane. Cancellation: between and within rounds; nothing needs undoing, bids are not binding.
// Attacks: a flood of bids fills a queue of kBidQueue and is dropped beyond; signatures are checked before anything is
// kept, once for a bid. What is kept of a bid is at most what it states for its nodes, and kMaxShared for each of them.
// A connected peer that does not answer delays each round by kBidSettle at most.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actor/actor.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "network/network.hpp"
#include "orchestrator/auction/choice.hpp"
#include "orchestrator/auction/edge_survey.hpp"
#include "orchestrator/auction/shortage.hpp"
#include "orchestrator/matching/explanation.hpp"
#include "protocol/bid.hpp"
#include "runtime/channel.hpp"

namespace dms::orchestrator {

inline constexpr Duration kBidRound = 5s;
/// A bid comes within a round trip and the time of some signatures: that long is enough from another continent. Every
/// auction with a connected peer that does not bid takes that much longer.
inline constexpr Duration kBidSettle = 400ms;
inline constexpr std::size_t kMaxBidsPerNode = 64;
inline constexpr std::size_t kBidQueue = 256;
/// Bytes, as JSON, of what a bid states for all of its nodes: its location, its handle and what is free.
inline constexpr std::size_t kMaxShared = 16 * 1024;
inline constexpr Duration kClockQuestion = 1s;
inline constexpr Duration kClockAnswer = 3s;
inline constexpr std::size_t kMaxClockQuestions = 8;
/// A clock that is ahead by this leaves a request for bids no time to arrive.
inline constexpr Duration kClockAhead = kBidRound - 1s;

/// What is asked of a machine for all of a node. Errc::invalid_argument if no machine can have it.
Result<protocol::NodeRequest> node_request(const jobs::Ensemble& ensemble, const std::string& name);

class Auction {
 public:
  using Peers = std::function<std::set<std::string>()>;
  /// Registers the bid behaviour with `actor`, as long as the auction exists.
  static Result<std::unique_ptr<Auction>> open(actor::Actor& actor, const network::Network& network,
                                               std::string ensemble_id);
  ~Auction();
  Auction(const Auction&) = delete;
  Auction& operator=(const Auction&) = delete;

  /// `told` is called after each round of a run that leaves a node without a machine, with what is known of the reason.
  void tell_shortage(std::function<void(std::string)> told) { told_ = std::move(told); }

  /// `why` says why a peer is excluded, so that its bid does not count; empty if it does not know.
  void explain_exclusions(std::function<std::string(const std::string& peer)> why) { why_excluded_ = std::move(why); }

  /// `told` is called after each round of a run.
  void tell_choice(std::function<void(protocol::Choice)> told) { choice_told_ = std::move(told); }

  /// `told` is called with each choice, and what it was made from.
  void tell_match(std::function<void(const Market&, const Wanted&, const Match&)> told) {
    match_told_ = std::move(told);
  }

  /// Later runs end after a round unless a machine without a node has bid and may bid for another node in the next one,
  /// as its bid has named one of several. Machines that have not bid are not waited for.
  void end_early() { ends_early_ = true; }

  /// Edges and anti_affinity of later runs hold to these nodes as well, which are not in the ensembles of those.
  void join(Placed placed) { placed_ = std::move(placed); }

  /// What is measured between machines is kept there for the next auctions (edge_survey.hpp, 3). It outlives this.
  void share(MeasuredLinks& measured) { measured_ = &measured; }

  /// Errc::deadline_exceeded names the nodes without a machine, and what is known of those asked (shortage.hpp).
  Task<Result<Candidate>> run(jobs::Ensemble ensemble, SteadyTime deadline, Peers excluded);

  /// Tells all bidders of the last run, the chosen ones as well, that their bids need not stay open.
  Task<void> release_all();

  /// What is known of the machines that have bid in the last run, and of the connected ones that may not bid.
  [[nodiscard]] protocol::Choice choice() const;
  /// The nodes without a machine at the end of the last run.
  [[nodiscard]] const std::set<std::string>& missing() const { return missing_; }

 private:
  Auction(actor::Actor& actor, const network::Network& network, std::string ensemble_id);
  struct Answer {
    std::string peer;
    std::optional<protocol::Bid> bid;  ///< nothing: there is none, or it cannot be read
  };
  Task<void> receive(actor::Envelope envelope);
  /// Those of this run as well.
  [[nodiscard]] Placed placed_with(const Candidate& candidate) const;
  void give_up_neighbours(Candidate& candidate, bool has_progress) const;
  void release_others(const Candidate& chosen);
  std::string describe_shortage(const std::set<std::string>& missing, const std::set<std::string>& left_out,
                                std::size_t chosen);
  Task<Result<void>> round(const std::set<std::string>& missing, SteadyTime deadline,
                           const std::set<std::string>& excluded);
  Task<Result<void>> request_bids(const std::set<std::string>& nodes, UnixTime expires,
                                  const std::set<std::string>& excluded);
  Task<Result<void>> request_from(std::string peer, protocol::EnsembleBidRequest request,
                                  actor::MessageOptions options);
  Task<Result<void>> request_from_pinned(std::string peer, protocol::NodeRequest wanted, actor::MessageOptions options);
  /// Whether the bids of the round do.
  [[nodiscard]] bool give_every_node_a_machine(const std::set<std::string>& nodes) const;
  /// Who is known to have been asked in a round.
  [[nodiscard]] std::set<std::string> asked_for(const std::set<std::string>& nodes,
                                                const std::set<std::string>& excluded) const;
  Task<Result<void>> collect(const std::set<std::string>& nodes, SteadyTime until, std::set<std::string> taken);
  Task<void> ask_clocks(std::set<std::string> excluded);
  Task<Result<void>> ask_clock(std::string peer);
  [[nodiscard]] std::string why_taken(const std::string& peer) const;
  /// Which connected machines may not bid, and why; this one as well.
  [[nodiscard]] std::map<std::string, std::string> excluded_now(const std::set<std::string>& taken) const;
  struct Refused {
    std::string peer;
    std::string node;
    std::string why;
  };
  struct Counted {
    std::vector<protocol::Bid> bids;  ///< one for each node, not empty
    std::vector<Refused> refused;     ///< of the nodes of the round
  };
  [[nodiscard]] Result<Counted> check(const protocol::Bid& bid, const std::set<std::string>& nodes,
                                      const std::set<std::string>& taken) const;
  [[nodiscard]] Result<void> check_node(const protocol::Bid& bid, const std::vector<std::string>& features) const;
  void keep(protocol::Bid bid);
  [[nodiscard]] bool is_in_vain(const Candidate& candidate) const;

  actor::Actor& actor_;
  const network::Network& network_;
  std::string ensemble_id_;
  jobs::Ensemble ensemble_;  ///< of the last run
  Channel<Answer> incoming_{kBidQueue};
  RoundBids bids_;                ///< of the round, by node; none is empty
  std::vector<Refused> refused_;  ///< of bids of the round that count for other nodes
  Placed placed_;                 ///< by join()
  Placed neighbours_;             ///< of the round: what has a machine already
  MeasuredLinks own_measured_;
  MeasuredLinks* measured_ = &own_measured_;
  std::optional<EdgeSurvey> survey_;              ///< of the last run
  bool is_enough_ = false;                        ///< they give every node of the round a machine
  std::map<std::string, actor::Handle> bidders_;  ///< of the last run, by peer
  std::set<std::string> undecided_;               ///< of them, those that may bid for another node in the next round
  std::set<std::string> missing_;
  Shortage shortage_;            ///< of the last run
  std::set<std::string> asked_;  ///< for their clocks, in the last run
  std::function<void(std::string)> told_;
  std::function<std::string(const std::string& peer)> why_excluded_;
  Explanation explanation_;  ///< of the last run
  std::function<void(protocol::Choice)> choice_told_;
  std::function<void(const Market&, const Wanted&, const Match&)> match_told_;
  bool ends_early_ = false;
};

}  // namespace dms::orchestrator
