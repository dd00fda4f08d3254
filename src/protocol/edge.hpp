// The measurement between two providers that an orchestrator asks for: for the limits of an ensemble's edges.
//
// Model
//  1. Each of the two is asked, by the same behaviour. Asked at T, it agrees to be measured by S, and its reply has a
//     ticket for that. Asked at S, with that ticket, it measures and replies with what it has measured.
//  2. OK says that the limits in the request are kept; what was measured is in the reply also if they are not.
//
// Specification: NuNet DMS 0.5.x, whose orchestrators ask S alone, and whose providers never answer. The ticket, the
// addresses and the figures are not in it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/declaration.hpp"

namespace dms::protocol {

struct EdgeRequest {
  std::string ensemble_id;
  std::string s;                       ///< peer id of the machine that measures
  std::string t;                       ///< of the other one
  std::uint64_t rtt = 0;               ///< milliseconds at most; 0: no limit
  std::uint64_t bw = 0;                ///< bits per second at least; 0: no limit, and not measured
  std::string ticket;                  ///< at S: of T
  std::vector<std::string> addresses;  ///< at S: of T
  static constexpr auto json_fields() {
    using R = EdgeRequest;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("EnsembleID", &R::ensemble_id), json::field("S", &R::s), json::field("T", &R::t),
                      json::field("RTT", &R::rtt), json::field("BW", &R::bw), json::field("ticket", &R::ticket, omit),
                      json::field("addresses", &R::addresses, omit));
  }
};

struct EdgeReply {
  bool ok = false;
  std::string error;
  std::string ticket;                      ///< of T
  std::optional<std::int64_t> rtt_ns;      ///< median of several
  std::optional<std::uint64_t> bandwidth;  ///< bits per second, there and back at the same time
  static constexpr auto json_fields() {
    using R = EdgeReply;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("ticket", &R::ticket, omit), json::field("rtt_ns", &R::rtt_ns, omit),
                      json::field("bandwidth", &R::bandwidth, omit));
  }
};

inline constexpr std::size_t kMaxEdgeAddresses = 16;

inline constexpr Behaviour<EdgeRequest, EdgeReply> kEdge{{.path = "/dms/deployment/constraint/edge",
                                                          .help = "Measure the way from one provider to another",
                                                          .timeout = 15s}};

}  // namespace dms::protocol
