// Helpers that enter the namespaces of a running execution: to run one more command in it, and to connect to its
// network.
//
// Model
//  1. The daemon opens a pidfd of a process of the execution, verifies it, and passes it to the helper: the number
//     cannot be reused between the check and the use. The helper enters the namespaces of that process.
//  2. run_exec(): the command joins the control group before anything else, gets the user, the environment and the
//     folder of the work, no capabilities, no new privileges and the filter of seccomp.hpp. Between it and the helper
//     is a supervisor, in the work's process namespace and without privileges, which adopts what processes of the
//     command leave. It kills all of them when the command has ended or the helper has, by a pipe that the helper
//     holds: no session, process group or second fork leaves it. Helper, supervisor and command count against the
//     limits of the work.
//  3. run_probe(): enters the network namespace only (without root the user namespace too), gives up all privileges,
//     connects to the loopback there, writes '+', sends a GET if a path is given, and copies what comes back. It reads
//     none of it.
//
// Attacks: the work cannot trace a helper, which is not dumpable before it executes the command; the helper has no
// descriptor of the daemon open but its own output; nothing that the work wrote is executed or read with privileges.
#pragma once

#include <string>
#include <vector>

namespace dms::executor {

/// Exit codes of the helpers beside those of the command: it could not be entered; the connection failed.
inline constexpr int kEnterFailed = 125;
inline constexpr int kConnectFailed = 1;

/// The user of probes into namespaces that have no user of their own.
inline constexpr unsigned kNobody = 65534;

int run_exec(int pidfd, const std::string& folder, std::vector<std::string> command);
/// `uid` 0: the process of `pidfd` has a user namespace of this user.
int run_probe(int pidfd, unsigned uid, unsigned port, const std::string& http_path);

}  // namespace dms::executor
