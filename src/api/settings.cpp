#include "api/settings.hpp"

#include "runtime/stream.hpp"

namespace dms::api {

Result<void> Settings::check() {
  if (IpAddress::parse(addr)) return {};
  return config::refuse("rest.addr",
                        fmt::format("expected an IP address such as 127.0.0.1, found \"{}\"", addr.substr(0, 128)));
}

}  // namespace dms::api
