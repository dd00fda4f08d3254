// The system calls that sandboxed work may make, as a seccomp filter made by libseccomp.
//
// Model: an allow-list, taken from the default profile of Docker and cut where a sandbox needs less.
//  1. A call on the list is allowed. For some the arguments count: clone() without namespace flags; socket() of the
//     families unix, inet and inet6, and of netlink only NETLINK_ROUTE, which getifaddrs() and getaddrinfo() use;
//     personality() with the values that emulate older kernels.
//  2. A call that changes or inspects the kernel, mounts, namespaces, keyrings or other processes fails with EPERM,
//     another socket family EAFNOSUPPORT: programs read this as a missing privilege.
//  3. Everything else, clone3() and calls that are newer than the list included, fails with ENOSYS: programs read this
//     as an older kernel and use the call's predecessor. The flags of clone3() are in memory, which a filter cannot
//     read.
//  4. Calls of a foreign architecture (32-bit code on a 64-bit machine, x32) fail with EPERM.
//
// Why these errors: docs/decisions/0201-seccomp-allow-list.md. Threads: any. Cost: some milliseconds to make, once; a
// binary search over the call's number for each call of the work.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::executor {

/// An array of struct sock_filter, as bubblewrap's --seccomp reads it. Made once; the error stays the same.
const Result<Bytes>& seccomp_filter();

}  // namespace dms::executor
