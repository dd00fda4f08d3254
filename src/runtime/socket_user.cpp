#include "runtime/socket_user.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cstring>

namespace dms {
namespace {

constexpr std::uint8_t kListening = 10;  // TCP_LISTEN

struct Question {
  nlmsghdr header;
  inet_diag_req_v2 request;
};

/// Copies address and port; false unless the address is loopback.
bool copy_end(const sockaddr_storage& end, __be32 (&address)[4], __be16& port) {
  if (end.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(end);
    address[0] = four.sin_addr.s_addr;
    port = four.sin_port;
    return (ntohl(four.sin_addr.s_addr) >> 24) == 127;
  }
  if (end.ss_family != AF_INET6) return false;
  const auto& six = reinterpret_cast<const sockaddr_in6&>(end);
  std::memcpy(address, &six.sin6_addr, sizeof address);
  port = six.sin6_port;
  return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
}

/// The socket at the other end: its local end is the remote end here.
std::optional<inet_diag_req_v2> other_end(int socket) {
  sockaddr_storage local{};
  sockaddr_storage remote{};
  socklen_t size = sizeof local;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&local), &size) != 0) return std::nullopt;
  size = sizeof remote;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&remote), &size) != 0) return std::nullopt;
  inet_diag_req_v2 request{};
  request.sdiag_family = static_cast<__u8>(local.ss_family);
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~0U;
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  const bool local_inside = copy_end(local, request.id.idiag_dst, request.id.idiag_dport);
  const bool remote_inside = copy_end(remote, request.id.idiag_src, request.id.idiag_sport);
  return local_inside && remote_inside ? std::optional(request) : std::nullopt;
}

/// The kernel's answer is in its queue when send() returns.
std::optional<inet_diag_msg> ask(const inet_diag_req_v2& request) {
  const int netlink = ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
  if (netlink < 0) return std::nullopt;
  Question question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.request = request;
  alignas(nlmsghdr) char answer[1024];
  ssize_t got = ::send(netlink, &question, sizeof question, 0);
  if (got > 0) got = ::recv(netlink, answer, sizeof answer, 0);
  ::close(netlink);
  nlmsghdr header{};
  inet_diag_msg found{};
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof found))) return std::nullopt;
  std::memcpy(&header, answer, sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
  std::memcpy(&found, answer + NLMSG_HDRLEN, sizeof found);
  return found;
}

}  // namespace

std::optional<UserId> socket_peer_user(int socket) {
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return std::nullopt;
  if (domain == AF_UNIX) {
    ucred peer{};
    size = sizeof peer;
    const bool known = ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    return known && peer.pid != 0 ? std::optional<UserId>(peer.uid) : std::nullopt;
  }
  const auto request = other_end(socket);
  const auto found = request ? ask(*request) : std::nullopt;
  // A socket without an owner (inode 0) belongs to no process any more; a listening one is another that took the port.
  if (!found || found->idiag_inode == 0 || found->idiag_state == kListening) return std::nullopt;
  return found->idiag_uid;
}

}  // namespace dms
