// What a provider counts about itself.
#pragma once

#include <array>

#include "base/metrics.hpp"
#include "protocol/manifest.hpp"

namespace dms::provider {

/// Why a bid request gets no bid. It is not reported to the requester.
enum class BidRefusal : std::uint8_t {
  malformed,          ///< the request cannot be read
  repeated,           ///< this round has been answered
  too_many,           ///< bids of this requester, or of all
  not_onboarded,      ///< this machine offers no resources
  excluded,           ///< the request names this machine as one that must not bid
  location,           ///< the node may not run here
  executor,           ///< an executor is missing
  privileged_docker,  ///< privileged containers are not allowed here
  resources,          ///< not enough is free
  full,               ///< no more allocations or reservations can be held
  ports,              ///< public ports are not available
  unsupported,        ///< the request asks for something that nothing here does
  lease,              ///< longer or shorter than any that is granted here
  results,            ///< nothing is returned from here
  internal,           ///< an error of this machine
};
inline constexpr std::size_t kBidRefusals = static_cast<std::size_t>(BidRefusal::internal) + 1;

constexpr std::string_view to_string(BidRefusal reason) {
  constexpr std::array<std::string_view, kBidRefusals> kNames = {
      "malformed", "repeated", "too_many", "not_onboarded", "excluded", "location", "executor", "privileged_docker",
      "resources", "full",     "ports",    "unsupported",   "lease",    "results",  "internal"};
  return kNames[static_cast<std::size_t>(reason)];
}

struct Metrics {
  static constexpr std::size_t kStatuses = static_cast<std::size_t>(protocol::AllocationStatus::terminated) + 1;

  metrics::Counter bids;
  metrics::CounterArray<BidRefusal, kBidRefusals> bid_refusals;
  metrics::Counter reservations;
  metrics::Counter reservations_refused;
  metrics::CounterArray<protocol::AllocationStatus, kStatuses> allocations;  ///< by status entered
  metrics::Counter renewals;
  metrics::Counter leases_ended;
  metrics::Gauge open_bids;
  metrics::Gauge open_reservations;
  metrics::Gauge current_allocations;
  metrics::Gauge releasing;

  void register_with(metrics::Registry& registry) {
    group_.in(registry)
        .counter("nunet_provider_bids_total", "Bids that were made.", bids)
        .counters("nunet_provider_bid_refusals_total", "Bid requests without a bid, by reason.", "reason", bid_refusals)
        .counter("nunet_provider_reservations_total", "Reservations that were made.", reservations)
        .counter("nunet_provider_reservations_refused_total", "Commit requests that were refused.",
                 reservations_refused)
        .counters("nunet_provider_allocations_total", "Allocations, by status entered.", "status", allocations)
        .counter("nunet_provider_lease_renewals_total", "Leases that were renewed by their orchestrators.", renewals)
        .counter("nunet_provider_leases_ended_total", "Leases that ended because nobody renewed them.", leases_ended)
        .gauge("nunet_provider_open_bids", "Bids that have not expired.", open_bids)
        .gauge("nunet_provider_open_reservations", "Reservations without an allocation.", open_reservations)
        .gauge("nunet_provider_allocations", "Allocations that exist.", current_allocations)
        .gauge("nunet_provider_releasing", "Allocations that are being removed.", releasing);
  }

 private:
  metrics::Group group_;
};

}  // namespace dms::provider
