// The daemon's side of a probe: a helper process connects inside the network namespace of an execution
// (sandbox/enter.hpp), and what it copies is read here by the HTTP client.
//
// Attacks: the server is untrusted: one connection, to the loopback of its own namespace; no redirects; at most 16 KiB
// of head and kResultOutputLimit of body are read. The path is checked before it becomes part of a request.
#pragma once

#include "executor/executor.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

/// Errc::invalid_argument for a port of 0, or a path that does not begin with '/' or holds more than printable ASCII.
Result<void> check_probe(const Probe& probe);

/// `inside` is a process of the execution; `uid` is what the helper becomes, 0 if it enters a user namespace.
Task<Result<ProbeResult>> probe_inside(ProcessLauncher& processes, std::vector<std::string> helper, Fd inside,
                                       std::uint32_t uid, Probe probe);

}  // namespace dms::executor
