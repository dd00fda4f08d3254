// The system calls that sandboxed work may not make, as a filter for the kernel.
//
// A deny-list: what lets a program see or change the kernel, other mounts, other namespaces or other processes, and
// what has been the way into the kernel most often (keyrings, BPF, io_uring, userfaultfd, perf), answers EPERM. clone3
// answers ENOSYS, for its flags cannot be looked at; C libraries then fall back to clone, whose namespace flags can.
// Calls of a foreign architecture (32-bit code on a 64-bit machine, x32) are all refused.
#pragma once

#include "base/bytes.hpp"

namespace dms::executor {

/// An array of struct sock_filter, as bubblewrap's --seccomp reads it. Empty on an architecture it does not know.
Bytes seccomp_filter();

}  // namespace dms::executor
