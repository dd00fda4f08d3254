// Asks the operating system for the addresses and texts of a name. Both calls block: they belong on a worker thread.
//
// Time: a text query asks each server once and gives it kTextQuerySeconds. How long the addresses take is the system's
// own setting (resolv.conf: 5 s a try and two tries for each server, unless it says otherwise).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/stream.hpp"

namespace dms {

inline constexpr int kTextQuerySeconds = 3;
/// Of a name server; no bundle of text records that is of use is anywhere near as large.
inline constexpr std::size_t kMaxNameAnswer = 16 * 1024;

/// As Net::resolve_host().
Result<std::vector<IpAddress>> lookup_host(const std::string& name, IpFamily family);
/// As Net::resolve_text(). Asks `server` (IPv4) if there is one, else those of the system.
Result<std::vector<std::string>> lookup_text(const std::string& name, const std::optional<IpEndpoint>& server);

}  // namespace dms
