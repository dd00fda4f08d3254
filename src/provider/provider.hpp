// The provider role of a node: registers the behaviours of its parts, starts and stops them.
//
// The parts, in the order of a deployment: Bids, Reservations, Allocations; beside them Grants, LocalNames and
// Housekeeping. Each header is the contract of its part.
//
// Every reply is sent after the change that it reports is stored (resources/manager.hpp). Threads: the node's lane.
// Attacks: a request reaches a part only with tokens that allow its behaviour; what an orchestrator holds here is
// looked up by its DID (keys.hpp).
#pragma once

#include "provider/housekeeping.hpp"

namespace dms::provider {

class Provider {
 public:
  Provider(Services services, actor::Actor& root);
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;

  /// Removes what an earlier run left, registers the behaviours, subscribes to the deployment topic.
  Task<Result<void>> start();
  /// Releases every reservation and allocation.
  Task<void> close();

  [[nodiscard]] std::size_t allocations() const { return allocations_.size(); }
  [[nodiscard]] std::size_t bids() const { return bids_.size(); }
  [[nodiscard]] Metrics& metrics() { return metrics_; }

 private:
  /// Withdraws the bid, cancels reservations and releases allocations of the sender.
  Task<protocol::Ack> revert(protocol::RevertRequest request, const actor::Envelope& envelope);
  [[nodiscard]] Result<Offering> offering() const;

  Services services_;
  actor::Actor& root_;
  Metrics metrics_;
  LocalNames names_;
  Grants grants_;
  Bids bids_;
  Reservations reservations_;
  Allocations allocations_;
  Housekeeping housekeeping_;
  Nursery work_;
};

}  // namespace dms::provider
