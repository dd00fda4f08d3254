// The name service of a simulated network; tests fill it in.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "runtime/stream.hpp"

namespace dms {

/// Names in lower case.
struct SimNames {
  std::map<std::string, std::vector<IpAddress>> hosts;
  std::map<std::string, std::vector<std::string>> texts;
  std::set<std::string> silent;  ///< queries for these are never answered
  Duration latency = 20ms;       ///< of a query and its answer
  std::size_t queries = 0;       ///< how many were made

  /// As Net::resolve_host() and Net::resolve_text(), without the time that they take.
  [[nodiscard]] Result<std::vector<IpAddress>> find_host(const std::string& name, IpFamily family) const;
  [[nodiscard]] Result<std::vector<std::string>> find_text(const std::string& name) const;
};

}  // namespace dms
