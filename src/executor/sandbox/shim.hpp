// The shim of a sandboxed execution: a small process between the daemon and bubblewrap that outlives the daemon.
//
// Model
//  1. run_shim() is the reserved entry of the program (helper.hpp). It forks; the child is the shim, in a session of
//     its own and with nothing of the daemon open. The parent reports to the daemon whether the work runs, and ends.
//  2. The shim starts bubblewrap, copies its output to the logs (log_file.hpp) at a bounded rate (output_budget.hpp),
//     and ends the work when it is told to, at its deadline, or when the kernel has killed a part of it for its memory
//     limit. Once nothing of the work runs any more it removes the control group, writes `status.json`, and ends. It is
//     the parent of what bubblewrap leaves (PR_SET_CHILD_SUBREAPER), so it waits for process 1 of the sandbox, and
//     knows what all have used without a control group.
//  3. The daemon asks by signals with values (shim_files.hpp): stop with a grace, kill, a new deadline. What it asked
//     for happens, and is part of the status, whether it lives or not.
//  4. If the shim is killed, bubblewrap and the work end with it (PR_SET_PDEATHSIG). There is no status then.
//
// Threads: one. Cost: what README.md says; no wake-up without a cause but one every 200 ms under a memory limit. While
// output is held back, signals, the deadline and the end of the work are answered as ever.
// Failure: a full disk costs output, which is counted, and nothing else. Attacks: the work cannot reach the shim:
// another pid namespace, another user or none of its capabilities; of bubblewrap's reports only two numbers are read.
#pragma once

#include <filesystem>

namespace dms::executor {

/// The exit code of the program: 0 once the work runs; otherwise the reason is on standard error.
int run_shim(const std::filesystem::path& folder);

}  // namespace dms::executor
