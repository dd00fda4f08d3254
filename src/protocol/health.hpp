// Health checks of allocations as DMS 0.5.x asks for them, at the allocation's actor. Nodes of this implementation
// declare them with the allocation (AllocationConfig::health_check) and read the result in AllocationReport::health.
//
// Specification: the behaviours /dms/actor/healthcheck of NuNet DMS 0.5.x. Known are the payload of the registration,
// and that a query names the allocation. Not known are the form of the query, which is therefore ignored (the actor is
// that of the allocation), and the replies, which are assumed to be those of the other behaviours of an allocation.
#pragma once

#include "protocol/allocation.hpp"

namespace dms::protocol {

struct HealthCheckRegistration {
  std::string ensemble_id;
  jobs::HealthCheck check;
  static constexpr auto json_fields() {
    using R = HealthCheckRegistration;
    return std::tuple(json::field("EnsembleID", &R::ensemble_id), json::field("HealthCheck", &R::check));
  }
};

/// Acknowledged by an allocation if its work runs and is not unhealthy, by every other actor (actor/actor.hpp) if it
/// answers.
inline constexpr Behaviour<Nothing, Ack> kHealthQuery{{.path = "/dms/actor/healthcheck",
                                                       .help = "Ask whether an actor is healthy",
                                                       .offered = Offered::command_line,
                                                       .timeout = 5s}};
/// Replaces the health check of the allocation.
inline constexpr Behaviour<HealthCheckRegistration, Ack> kHealthCheckRegister{
    {.path = "/dms/actor/healthcheck/register", .help = "Register the health check of an allocation", .timeout = 5s}};

}  // namespace dms::protocol
