// What an http health check requests: a port and a path of the allocation itself.
//
//  1. The endpoint is a URL (`http://localhost:8080/health`) or a path (`/health`). Its host is the allocation:
//     localhost, 127.0.0.1 or nothing. Without a port in the URL, HealthCheck::port counts, else 80.
//  2. A check of another host is refused: it would use the provider to reach addresses that only the provider can.
#pragma once

#include "jobs/ensemble/ensemble.hpp"

namespace dms::jobs {

struct HealthEndpoint {
  std::uint16_t port = 80;
  std::string path = "/";  ///< with the query
};

/// Whether members are given, but no type that reads them. For none, nodes of DMS 0.5.x send a check of zero values,
/// and may send their defaults of the interval and of the kind of response.
inline bool lacks_type(HealthCheck check) {
  if (check.present()) return false;
  check.interval_ns = 0;
  check.response.type.clear();
  return check != HealthCheck{};
}

/// Errc::invalid_argument says what is expected of the endpoint.
Result<HealthEndpoint> health_endpoint(const HealthCheck& check);

}  // namespace dms::jobs
