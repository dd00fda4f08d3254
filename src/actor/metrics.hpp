// Metrics of the actors of one node.
#pragma once

#include "actor/refusal.hpp"
#include "base/metrics.hpp"

namespace dms::actor {

class RateLimiter;
class Registry;

struct Metrics {
  metrics::Counter accepted;  ///< envelopes handed to a behaviour
  metrics::CounterArray<Refusal, kRefusals> refused;
  metrics::Counter sent;
  metrics::Counter published;
  metrics::Counter signature_checks;  ///< of envelopes received
  metrics::Counter error_replies;
  metrics::Histogram handling{metrics::kSeconds};  ///< from acceptance to the end of the behaviour

  /// `limiter` and `inboxes` outlive the metrics.
  void register_with(metrics::Registry& registry, const RateLimiter& limiter, const Registry& inboxes);

 private:
  metrics::Group group_;
};

}  // namespace dms::actor
