// The provider role of a node: registers the behaviours of its parts, starts and stops them.
//
// The parts, in the order of a deployment: Bids, Edges, Reservations, Allocations; beside them Grants, LocalNames and
// Housekeeping. Each header is the contract of its part.
//
// Every reply is sent after the change that it reports is stored. Allocations survive the daemon: close() leaves them
// running, start() takes them up (record.hpp). Bids and reservations do not; they expire soon. Threads: the node's
// lane.
// Attacks: a request reaches a part only with tokens that allow its behaviour; what an orchestrator holds here is
// looked up by its DID (keys.hpp).
#pragma once

#include "provider/edges.hpp"
#include "provider/housekeeping.hpp"

namespace dms::provider {

class Provider {
 public:
  Provider(Services services, actor::Actor& root);
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;

  /// Takes up what an earlier run left and removes the rest, registers the behaviours, subscribes to the deployment
  /// topic.
  Task<Result<void>> start();
  /// Cancels every reservation and lets go of every allocation: its work continues.
  Task<void> close();

  [[nodiscard]] std::size_t allocations() const { return allocations_.size(); }
  /// The hosts of those whose allocations are here.
  [[nodiscard]] std::set<std::string> orchestrators() const;
  /// Adds what is known of an allocation, if the actor is that of one.
  void describe(protocol::ActorInfo& actor) const { allocations_.describe(actor); }
  /// A sign of life of an orchestrator that no behaviour of the provider has received: see leases.hpp (2).
  Task<void> heard_from(did::Did owner) { return allocations_.heard_from(std::move(owner)); }
  [[nodiscard]] std::size_t bids() const { return bids_.size(); }
  /// Of what is served here, see OwnFolder.
  template <class Reply>
  void before_reply(Reply& reply, const actor::Envelope& request) const {
    allocations_.before_reply(reply, request);
  }
  [[nodiscard]] Metrics& metrics() { return metrics_; }

 private:
  Task<protocol::Ack> commit(protocol::CommitRequest request, const actor::Envelope& envelope);
  Task<protocol::AllocateResponse> allocate(protocol::AllocateRequest request, const actor::Envelope& envelope);
  Task<void> on_bid_request(actor::Envelope envelope);
  Task<protocol::EdgeReply> measure_edge(protocol::EdgeRequest request, const actor::Envelope& envelope);
  /// Withdraws the bid, cancels reservations and releases allocations of the sender; at most kMaxAllocations are named.
  Task<protocol::Ack> revert(protocol::RevertRequest request, const actor::Envelope& envelope);
  /// Whether a bid to the orchestrator is open, or work of it is here.
  [[nodiscard]] Result<void> takes_part(const EnsembleKey& ensemble) const;
  [[nodiscard]] Result<Offering> offering(const EnsembleKey& ensemble) const;

  Services services_;
  actor::Actor& root_;
  Metrics metrics_;
  LocalNames names_;
  Grants grants_;
  Bids bids_;
  Reservations reservations_;
  Allocations allocations_;
  Edges edges_;
  Housekeeping housekeeping_;
  Nursery work_;
  std::map<std::string, std::string> unenforced_;  ///< by executor, which limits it does not hold here
};

}  // namespace dms::provider
