// The provider's side of deployments: bids, promises, allocations.
//
// Model
//  1. A bid request is answered when this machine can serve one of its nodes (orchestrator/bidding/bidder.hpp). What
//     was bid is remembered for kBidTime, with the DID that asked; a round (ensemble and nonce) is answered once.
//  2. commit turns a bid into a promise of resources for one allocation, at most what was bid for in all; allocate
//     turns promises into allocations. Only the DID that got the bid may do either, or revert them.
//  3. A promise that is not used expires with its bid. An allocation that is not started within kRetention
//     is released.
//  4. When work ends its resources are free; when its orchestrator has been told, or cannot be for kRetention, the rest
//     goes.
//  5. While it has allocations of an orchestrator that it has lost sight of, it tries to reach it again.
//  6. What an earlier run of the daemon left is removed by start(): promises, allocations, containers, sandboxes,
//     output.
//
// Every answer is sent after what it says is true on disk (resources/manager.hpp). Threads: the node's lane. Attacks:
// bids and promises are bounded (kMaxBids, kMaxBidsPerOwner; the machine's own resources); a stranger's commit,
// allocate, revert or log request is refused by its tokens, another orchestrator's by the owner's DID. Allocation names
// are checked before they become file names.
#pragma once

#include <filesystem>
#include <map>
#include <set>

#include "protocol/node.hpp"
#include "protocol/serve.hpp"
#include "provider/allocation.hpp"
#include "provider/bidder.hpp"
#include "provider/services.hpp"
#include "ucan/standing_grant.hpp"

namespace dms::provider {

inline constexpr Duration kBidTime = 5min;
inline constexpr std::size_t kMaxBids = 4096;
inline constexpr std::ptrdiff_t kMaxBidsPerOwner = 256;
inline constexpr std::size_t kMaxRounds = 256;  // of one ensemble
inline constexpr Duration kRetention = 30min;
inline constexpr Duration kReconnectInterval = 10s;
inline constexpr Duration kReconnectTimeout = 5s;

class Provider {
 public:
  Provider(Services services, actor::Actor& root);
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;

  /// Cleans up after an earlier run, registers the behaviours, follows the deployment topic.
  Task<Result<void>> start();
  /// Releases every allocation.
  Task<void> close();

  [[nodiscard]] std::size_t allocations() const { return allocations_.size(); }
  [[nodiscard]] std::size_t bids() const { return bids_.size(); }

 private:
  struct OpenBid {
    did::Did owner;
    protocol::NodeRequest request;
    UnixTime expires;
  };
  struct Promise {
    did::Did owner;
    std::string ensemble;
    capability::Resources resources;
    UnixTime expires;
  };

  Task<void> on_bid_request(actor::Envelope envelope);
  Result<protocol::Bid> make_bid(const protocol::EnsembleBidRequest& request, const actor::Envelope& envelope);
  Task<protocol::Ack> commit(protocol::CommitRequest request, const actor::Envelope& envelope);
  Result<void> try_commit(const protocol::CommitRequest& request, const did::Did& owner);
  Task<protocol::AllocateResponse> allocate(protocol::AllocateRequest request, const actor::Envelope& envelope);
  Result<actor::Handle> allocate_one(const std::string& ensemble, const std::string& id,
                                     const protocol::AllocationConfig& config, const actor::Handle& owner);
  Task<protocol::Ack> revert(protocol::RevertRequest request, const actor::Envelope& envelope);
  Task<protocol::Ack> shutdown(protocol::AllocationShutdownRequest request, const actor::Envelope& envelope);
  Task<protocol::AllocationLogsResponse> logs(protocol::AllocationLogsRequest request, const actor::Envelope& envelope);
  Task<protocol::AllocationsReply> list(protocol::Nothing request, const actor::Envelope& envelope);

  Result<std::shared_ptr<Allocation>> owned(const std::string& id, const did::Did& owner);
  Task<void> release(std::string id);
  Task<void> release_later(std::string id, Duration after);
  void free_resources(const std::string& id);
  void forget_promise(std::string id);
  Result<void> open_ensemble(const std::string& ensemble);
  void close_ensemble_if_empty(const std::string& ensemble);
  Result<void> grant(const std::string& key, const did::Did& owner, const did::Did& audience, std::string_view scope);
  Task<void> sweep();
  Task<void> renew_grants();
  Task<void> keep_in_touch();
  [[nodiscard]] UnixTime now() const { return services_.lane.unix_now(); }

  Services services_;
  actor::Actor& root_;
  std::map<std::string, OpenBid> bids_;                             // by ensemble
  std::map<std::string, std::set<std::uint64_t>> answered_;         // by ensemble: rounds
  std::map<std::string, ucan::StandingGrant> grants_;               // by ensemble and by allocation id
  std::map<std::string, Promise> promises_;                         // by allocation id
  std::map<std::string, std::shared_ptr<Allocation>> allocations_;  // shared with handlers that wait on one
  std::set<std::string> releasing_;                                 // allocations on their way out
  Notify released_;
  Nursery work_;
};

}  // namespace dms::provider
