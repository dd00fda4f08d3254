// What a swarm counts: connections, streams, bytes, dials by outcome, refusals by scope. base/metrics.hpp is the
// contract.
#pragma once

#include "base/metrics.hpp"
#include "libp2p/swarm/dialer.hpp"
#include "libp2p/swarm/resource_limits.hpp"

namespace dms::libp2p {

struct SwarmMetrics {
  metrics::Gauge connections;
  metrics::CounterArray<Direction, 2> connections_opened;
  metrics::CounterArray<Direction, 2> streams_opened;
  metrics::Counter bytes_received;  ///< by the muxers of all connections, frame headers included
  metrics::Counter bytes_sent;

  /// `dials` and `refusals` are counted by the dialer and the resource manager.
  void register_with(metrics::Registry& registry, const DialCounters& dials, const RefusalCounters& refusals) {
    group_.in(registry)
        .gauge("nunet_libp2p_connections", "Open connections.", connections)
        .counters("nunet_libp2p_connections_opened_total", "Connections opened.", "direction", connections_opened)
        .counters("nunet_libp2p_streams_opened_total", "Streams opened.", "direction", streams_opened)
        .counter("nunet_libp2p_received_bytes_total", "Bytes received by muxers.", bytes_received)
        .counter("nunet_libp2p_sent_bytes_total", "Bytes sent by muxers.", bytes_sent)
        .counters("nunet_libp2p_dials_total", "Dials of peers by outcome.", "outcome", dials)
        .counters("nunet_libp2p_refusals_total", "Connections, streams and memory refused by limits.", "scope",
                  refusals);
  }

 private:
  metrics::Group group_;  ///< the last member: it withdraws the metrics before they are destroyed
};

}  // namespace dms::libp2p
