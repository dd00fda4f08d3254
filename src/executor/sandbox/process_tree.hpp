// Processes, as the kernel reports them: children, and pidfds that cannot be of another process; users.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "runtime/process.hpp"

namespace dms::executor {

/// Oldest first.
std::vector<int> children_of(int pid);
/// A pidfd of `child`, verified to be the child of `parent` and not a later process with the same pid; empty if it is
/// not.
Fd open_child(int parent, int child);

/// The real users of all processes, which RLIMIT_NPROC counts. Some ten microseconds for each process.
std::set<std::uint32_t> users_of_processes();

}  // namespace dms::executor
