#include "jobs/ensemble/health_endpoint.hpp"

#include <charconv>

namespace dms::jobs {
namespace {

constexpr std::string_view kScheme = "http://";
constexpr std::size_t kLongestEndpoint = 2048;

std::unexpected<Error> wrong_endpoint(std::string_view what) {
  return fail(Errc::invalid_argument,
              "{}; expected a path such as /health, or a URL such as http://localhost:8080/health", what);
}

}  // namespace

Result<HealthEndpoint> health_endpoint(const HealthCheck& check) {
  std::string_view rest = check.endpoint;
  if (rest.empty()) return wrong_endpoint("an http check needs one");
  if (rest.size() > kLongestEndpoint) return wrong_endpoint(fmt::format("longer than {} bytes", kLongestEndpoint));
  // It becomes part of a request line.
  if (std::any_of(rest.begin(), rest.end(), [](char c) { return c <= ' ' || c > '~'; }))
    return wrong_endpoint("only printable ASCII without spaces can be requested; write other characters as %XX");
  HealthEndpoint endpoint;
  if (check.port != 0) endpoint.port = check.port;
  if (!rest.starts_with('/')) {
    if (!rest.starts_with(kScheme)) return wrong_endpoint("this is not a path or an http URL");
    rest.remove_prefix(kScheme.size());
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    rest.remove_prefix(authority.size());
    const std::string_view host = authority.substr(0, authority.find(':'));
    if (host != "localhost" && host != "127.0.0.1" && !host.empty())
      return wrong_endpoint("a health check reaches the allocation only: localhost, 127.0.0.1 or no host");
    if (host.size() < authority.size()) {
      const std::string_view digits = authority.substr(host.size() + 1);
      std::uint16_t port = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
      if (error != std::errc() || end != digits.data() + digits.size() || port == 0)
        return wrong_endpoint("the port is a number from 1 to 65535");
      if (check.port != 0 && check.port != port)
        return wrong_endpoint(fmt::format("port says {}, the URL {}", check.port, port));
      endpoint.port = port;
    }
  }
  rest = rest.substr(0, rest.find('#'));
  if (!rest.empty()) endpoint.path = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return endpoint;
}

}  // namespace dms::jobs
