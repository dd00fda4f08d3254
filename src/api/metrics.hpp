// Metrics of the REST API.
#pragma once

#include "base/metrics.hpp"

namespace dms::api {

enum class Route { health, handle, send, invoke, broadcast, file, other };
inline constexpr std::size_t kRoutes = 7;
enum class Refusal { remote, foreign_user, busy, closed, origin, rate, bodies };
inline constexpr std::size_t kRefusals = 7;

constexpr std::string_view to_string(Route route) {
  constexpr std::string_view kNames[] = {"health", "handle", "send", "invoke", "broadcast", "file", "other"};
  return kNames[static_cast<std::size_t>(route)];
}
/// remote: not from this machine; foreign_user: on the Unix socket; busy: answered 503; closed: beyond that; origin: of
/// another web page (403); rate: 429; bodies: too many bytes of bodies at once (503).
constexpr std::string_view to_string(Refusal refusal) {
  constexpr std::string_view kNames[] = {"remote", "foreign_user", "busy", "closed", "origin", "rate", "bodies"};
  return kNames[static_cast<std::size_t>(refusal)];
}

class Metrics {
 public:
  /// Of requests that were answered, by the first digit of the status.
  [[nodiscard]] metrics::Counter& requests(Route route, int status) { return requests_.at(class_of(status))[route]; }
  [[nodiscard]] std::uint64_t total_requests() const {
    std::uint64_t sum = 0;
    for (const auto& by_route : requests_) sum += by_route.total();
    return sum;
  }

  metrics::Counter received_bytes;  // bodies
  metrics::Counter sent_bytes;
  metrics::Gauge connections;
  metrics::Gauge held_bytes;  // of bodies
  metrics::CounterArray<Refusal, kRefusals> refusals;
  metrics::Counter relayed;
  metrics::Counter ignored_replies;

  void register_with(metrics::Registry& registry) {
    group_.in(registry)
        .counter("nunet_api_received_bytes_total", "Bytes of request bodies.", received_bytes)
        .counter("nunet_api_sent_bytes_total", "Bytes of response bodies.", sent_bytes)
        .gauge("nunet_api_connections", "Open connections.", connections)
        .gauge("nunet_api_held_bytes", "Bytes of request bodies that are read or answered at this moment.", held_bytes)
        .counters("nunet_api_refusals_total", "Connections and requests that were refused.", "reason", refusals)
        .counter("nunet_api_relayed_total", "Envelopes that were relayed.", relayed)
        .counter("nunet_api_ignored_replies_total", "Messages to a waiting caller that are not its reply.",
                 ignored_replies);
    for (std::size_t status = 0; status < kStatusClasses; ++status)
      for (std::size_t route = 0; route < kRoutes; ++route)
        group_.counter("nunet_api_requests_total", "Requests by route and status.",
                       requests_.at(status)[static_cast<Route>(route)],
                       {{"route", std::string(to_string(static_cast<Route>(route)))},
                        {"status", std::to_string(status + 2) + "xx"}});
  }

 private:
  static constexpr std::size_t kStatusClasses = 4;  // 2xx to 5xx
  static std::size_t class_of(int status) { return static_cast<std::size_t>(std::clamp(status / 100, 2, 5) - 2); }
  std::array<metrics::CounterArray<Route, kRoutes>, kStatusClasses> requests_;
  metrics::Group group_;  // last: it withdraws the metrics before they are destroyed
};

}  // namespace dms::api
