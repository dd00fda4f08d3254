#include "actor/metrics.hpp"

#include "actor/rate_limiter.hpp"
#include "actor/registry.hpp"

namespace dms::actor {

void Metrics::register_with(metrics::Registry& registry, const RateLimiter& limiter, const Registry& inboxes) {
  constexpr const char* kHelp = "Envelopes received, by result.";
  group_.in(registry)
      .counter("nunet_actor_envelopes_total", kHelp, accepted, {{"verdict", "accepted"}})
      .counters("nunet_actor_envelopes_total", kHelp, "verdict", refused)
      .counter("nunet_actor_sent_total", "Envelopes sent to one actor.", sent)
      .counter("nunet_actor_published_total", "Broadcasts published.", published)
      .counter("nunet_actor_signature_checks_total", "Signatures of received envelopes that were checked.",
               signature_checks)
      .counter("nunet_actor_error_replies_total", "Refusals reported to local operators.", error_replies)
      .histogram("nunet_actor_handling_seconds", "Time from the acceptance of an envelope to the end of its behaviour.",
                 handling)
      .gauge("nunet_actor_in_progress", "Envelopes in progress.",
             [&limiter] { return static_cast<std::int64_t>(limiter.active()); })
      .gauge("nunet_actor_inboxes", "Actors with an inbox.",
             [&inboxes] { return static_cast<std::int64_t>(inboxes.actors().size()); });
}

}  // namespace dms::actor
