// The provider's side of an auction: which bid request gets a bid, and which bids are open.
//
// Model
//  1. choose_requests() decides: from the state of the machine it selects the node requests to bid for, or returns the
//     reason not to bid. It changes nothing. One bid is for all of them (protocol/bid.hpp, 2), for each with its terms.
//     A bid means that what is free at that moment suffices for any of them, resources as well as places for
//     allocations; it reserves neither. What the node uses here already counts as free for it: a bid is for all of a
//     node.
//  2. Bids keeps the open bids, by the requester's DID and the ensemble's id, for kBidTime. A later bid for the same
//     ensemble replaces an earlier one: a machine serves one node of an ensemble. A commit names the node (Open::of()).
//  3. A round (requester, ensemble, nonce) is answered once.
//  4. A request without a bid gets no reply, because the reason describes the machine; the reason is counted and logged
//     at debug. This node's own orchestrator gets the reason as an error reply (actor/error_reply.hpp, 4), and it is
//     logged at info. No bid is made for what would not be honoured: a lease out of bounds, graphics cards, what is
//     asked beyond what is read (protocol/bid.hpp). A bid grants results of the size asked for, or of job.max_results
//     if that is less.
//  5. A bid states the price of the node, the load of the machine (of cores, memory and disk that it offers, the part in
//     use of the one that is used most), and which limits the executors of the node do not hold here.
//
// Threads: the node's lane. Cost: linear in the node requests of a message (at most kMaxNodeRequests). Failure: no bid.
// Attacks: the state that a requester can create on this node is bounded, in number (kMaxBidsPerOwner, kMaxBids,
// kMaxRounds) and in bytes: of a request the names and the resources of the chosen nodes are kept, of one bid
// kMaxResources (admission.hpp) of JSON at most, for kMaxAlso + 1 nodes at most.
// DIDs cost nothing, and the holder of one grant can delegate it to many; the last kReservedBids are therefore kept for
// requesters that the operator has named as anchors. A requester that copies the ensemble id from another requester's
// broadcast gets a bid of its own and has no access to the other bid.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actor/actor.hpp"
#include "base/random.hpp"
#include "crypto/peer_id.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/bid.hpp"
#include "provider/keys.hpp"
#include "provider/metrics.hpp"
#include "provider/prices.hpp"

namespace dms::provider {

/// The machine at the moment of a request, for the ensemble that it is of.
struct Offering {
  /// For all of this node: with what it uses here.
  [[nodiscard]] Result<capability::Resources> free_for(const std::string& node) const;

  crypto::PeerId self;
  bool onboarded = false;
  Result<void> room;  ///< whether another allocation can be held
  capability::Location location;
  std::set<std::string> executors;
  capability::Resources share;                        ///< that is onboarded
  capability::Resources free;                         ///< of it
  std::map<std::string, capability::Resources> held;  ///< by nodes of the ensemble; by "" if the node is not known
  bool privileged_docker = false;
  std::vector<protocol::Feature> features;
  Duration min_lease = 0ns;
  Duration max_lease = 0ns;
  std::uint64_t max_results = 0;  ///< bytes, of one allocation
  Prices prices;
  std::map<std::string, std::string> unenforced;  ///< by executor, which limits it does not hold
  /// Whether these public ports are available now; without it, none is.
  std::function<Result<void>(const protocol::PublicPorts&)> ports_available;
};

struct NoBid {
  BidRefusal reason;
  std::string text;
};

/// At most this many node requests of one message are considered; an ensemble has no more nodes and standbys than this.
inline constexpr std::size_t kMaxNodeRequests = jobs::kMaxMachines;

struct ChosenRequests {
  std::vector<const protocol::NodeRequest*> nodes;
  bool is_cut = false;  ///< others are left out for the size of their resources
};
/// The node requests that this machine can serve, in random order; each node once. Of many the first kMaxAlso + 1 that
/// have kMaxResources of JSON at most, all together. Without one, the text has the reason for each node, and the code
/// is that of the node considered first. They are those of `request`, which outlives them.
std::expected<ChosenRequests, NoBid> choose_requests(const protocol::EnsembleBidRequest& request,
                                                     const Offering& offering, Random& random);

inline constexpr Duration kBidTime = 5min;
inline constexpr std::size_t kMaxBids = 4096;
inline constexpr std::size_t kReservedBids = 1024;
inline constexpr std::size_t kMaxBidsPerOwner = 256;
inline constexpr std::size_t kMaxRounds = 256;  // of one ensemble

class Bids {
 public:
  struct Open {
    /// What was bid for a node. Of one that was not bid for it is that of the first node: all that orchestrators of DMS
    /// 0.5.x know of.
    [[nodiscard]] const capability::Resources& of(const std::string& node) const;

    std::vector<std::pair<std::string, capability::Resources>> nodes;  ///< the first is that of V1
    SteadyTime expires;
  };
  using Describe = std::function<Result<Offering>(const EnsembleKey& ensemble)>;

  /// `root` signs the bids and is the provider that they name; `describe` is called for each request.
  Bids(actor::Actor& root, Describe describe, Metrics& metrics)
      : root_(root), describe_(std::move(describe)), metrics_(metrics) {}

  /// Behaviour protocol::kBidRequest.
  Task<void> on_request(actor::Envelope envelope);
  std::expected<protocol::Bid, NoBid> answer(const protocol::EnsembleBidRequest& request, const did::Did& requester);

  /// Errc::not_found if there is none or it has expired.
  [[nodiscard]] Result<Open> open(const EnsembleKey& key) const;
  void withdraw(const EnsembleKey& key);
  /// Removes expired bids and rounds.
  void sweep();
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Answered {
    Open bid;
    std::set<std::uint64_t> rounds;
  };
  using OfOwner = std::map<std::string, Answered>;  // by ensemble

  [[nodiscard]] std::expected<void, NoBid> admit(const protocol::EnsembleBidRequest& request,
                                                 const did::Did& requester) const;
  void count();
  [[nodiscard]] bool is_own(const did::Did& requester) const { return requester == root_.handle().did; }
  [[nodiscard]] SteadyTime now() const { return root_.lane().now(); }

  actor::Actor& root_;
  Describe describe_;
  Metrics& metrics_;
  std::map<did::Did, OfOwner> bids_;
  std::set<std::pair<std::string, BidRefusal>> told_;  ///< of deployments of this node, to log each of them once
  std::size_t size_ = 0;
};

}  // namespace dms::provider
