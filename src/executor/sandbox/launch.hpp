// From the specification of an execution to a running bubblewrap: the last steps of the child that becomes it.
#pragma once

#include <string>

#include "executor/sandbox/shim_files.hpp"

namespace dms::executor {

/// Replaces this process, a single-threaded child of the shim whose standard streams are connected, by bubblewrap:
/// joins the control group, sets what it limits otherwise, and ends with `parent`. Returns why that failed.
Error become_bubblewrap(const ShimSpec& spec, int status_fd, int parent);

/// This process joins the control group of the execution, if it has one.
Result<void> join_group(const ShimSpec& spec);
/// What no control group limits.
Result<void> set_rlimits(const ShimSpec& spec);

}  // namespace dms::executor
