// Resolves the addresses and texts of a name by the operating system. Both calls block: run them on a worker thread.
//
// Time: a text query is sent to each server once, with a timeout of kTextQuerySeconds. The timeout for addresses is the
// system's (resolv.conf; its defaults are 5 s and two attempts for each server).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/stream.hpp"

namespace dms {

inline constexpr int kTextQuerySeconds = 3;
/// Of a name server; useful sets of text records are far smaller.
inline constexpr std::size_t kMaxNameAnswer = 16 * 1024;

/// As Net::resolve_host().
Result<std::vector<IpAddress>> lookup_host(const std::string& name, IpFamily family);
/// As Net::resolve_text(). Queries `server` (IPv4) if given, else the system's servers.
Result<std::vector<std::string>> lookup_text(const std::string& name, const std::optional<IpEndpoint>& server);

}  // namespace dms
