// The provider's side of an auction: which bid request gets a bid, and which bids are open.
//
// Model
//  1. choose_request() is the decision: what the machine is and has goes in; the node request that it can serve, or the reason
//     for silence, comes out. It changes nothing.
//  2. Bids remembers what was bid, by the requester's DID and the ensemble's id, for kBidTime. A later bid for the same
//     ensemble replaces an earlier one: a machine serves one node of an ensemble.
//  3. A round (requester, ensemble, nonce) is answered once.
//  4. Silence is not explained to the network, because the reason describes the machine; it is counted and logged at debug.
//
// Threads: the node's lane. Cost: linear in the node requests of a message (at most kMaxNodeRequests). Failure: no bid.
// Attacks: what a requester can make this node remember is bounded (kMaxBidsPerOwner, kMaxBids, kMaxRounds). DIDs cost
// nothing, and the holder of one grant can delegate it to many; the last kReservedBids are therefore kept for requesters
// that the operator has named as anchors. A requester that copies the ensemble id of another's broadcast gets a bid of its
// own and does not reach the other's.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <set>

#include "actor/actor.hpp"
#include "base/random.hpp"
#include "crypto/peer_id.hpp"
#include "protocol/bid.hpp"
#include "provider/keys.hpp"
#include "provider/metrics.hpp"

namespace dms::provider {

/// The machine at the moment of a request.
struct Offering {
  crypto::PeerId self;
  bool onboarded = false;
  capability::Location location;
  std::set<std::string> executors;
  capability::Resources free;
  bool privileged_docker = false;
  /// Whether these public ports are available now.
  std::function<Result<void>(const protocol::PublicPorts&)> ports_available;
};

struct NoBid {
  BidRefusal reason;
  std::string text;
};

/// The most node requests in one message that are looked at; an ensemble has no more nodes than this.
inline constexpr std::size_t kMaxNodeRequests = 256;

/// Picks, in random order, the first node request that this machine can serve. Otherwise the text has the reason for each
/// node, and the reason is that of the node looked at first.
std::expected<protocol::NodeRequest, NoBid> choose_request(const protocol::EnsembleBidRequest& request,
                                                           const Offering& offering, Random& random);

inline constexpr Duration kBidTime = 5min;
inline constexpr std::size_t kMaxBids = 4096;
inline constexpr std::size_t kReservedBids = 1024;
inline constexpr std::size_t kMaxBidsPerOwner = 256;
inline constexpr std::size_t kMaxRounds = 256;  // of one ensemble

class Bids {
 public:
  struct Open {
    protocol::NodeRequest request;
    UnixTime expires;
  };
  using Describe = std::function<Result<Offering>()>;

  /// `root` signs the bids and is the provider that they name; `describe` is asked for each request.
  Bids(actor::Actor& root, Describe describe, Metrics& metrics)
      : root_(root), describe_(std::move(describe)), metrics_(metrics) {}

  /// Behaviour protocol::kBidRequest.
  Task<void> on_request(actor::Envelope envelope);
  std::expected<protocol::Bid, NoBid> answer(const protocol::EnsembleBidRequest& request, const did::Did& requester);

  /// Errc::not_found if there is none or it has expired.
  [[nodiscard]] Result<Open> open(const EnsembleKey& key) const;
  void withdraw(const EnsembleKey& key);
  /// Forgets what has expired.
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
  [[nodiscard]] UnixTime now() const { return root_.lane().unix_now(); }

  actor::Actor& root_;
  Describe describe_;
  Metrics& metrics_;
  std::map<did::Did, OfOwner> bids_;
  std::size_t size_ = 0;
};

}  // namespace dms::provider
