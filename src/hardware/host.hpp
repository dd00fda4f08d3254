// The name of this machine and its network interfaces.
//
// Read anew at each call, in microseconds. Threads: any. Failure: Errc::io.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace dms::hardware {

struct Interface {
  std::string name;
  std::vector<std::string> addresses;  ///< "192.168.1.2/24", "fe80::1/64"
  std::string mac_address;             ///< "02:42:ac:11:00:02"; empty without one
};

[[nodiscard]] Result<std::string> hostname();
/// By name. Interfaces that are down are included.
[[nodiscard]] Result<std::vector<Interface>> network_interfaces();

}  // namespace dms::hardware
