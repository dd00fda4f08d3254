// The children of a process, as the kernel reports them, and pidfds that cannot be of another process.
#pragma once

#include <vector>

#include "runtime/process.hpp"

namespace dms::executor {

/// Oldest first.
std::vector<int> children_of(int pid);
/// A pidfd of `child`, verified to be the child of `parent` and not a later process with the same pid; empty if it is
/// not.
Fd open_child(int parent, int child);

}  // namespace dms::executor
