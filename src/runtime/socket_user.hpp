// Which user runs the process at the other end of a socket inside this machine.
//
// A Unix socket: SO_PEERCRED, fixed when the connection was made. A TCP connection whose two addresses are loopback:
// the owner of the other socket, asked of the kernel by its four-tuple (NETLINK_SOCK_DIAG), so it is known only while a
// process has that socket: from accept() until it is closed. Nothing for other sockets, and where the kernel has no
// such interface (some sandboxes).
//
// Threads: any. Cost: a system call, or a netlink socket and one message both ways; does not block.
// Attacks: a process that passes its socket on to another user is still the one that is reported.
#pragma once

#include <optional>

#include "runtime/stream.hpp"

namespace dms {

[[nodiscard]] std::optional<UserId> socket_peer_user(int socket);

}  // namespace dms
