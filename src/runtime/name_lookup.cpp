#include "runtime/name_lookup.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dns/dns_message.hpp"

namespace dms {
namespace {

Result<void> check_name(const std::string& name) {
  if (name.empty() || name.size() > kMaxHostName || name.find('\0') != name.npos)
    return fail(Errc::invalid_argument, "a name has 1 to {} characters", kMaxHostName);
  return {};
}

std::unexpected<Error> host_failure(const std::string& name, int code, int system_error) {
  const char* why = code == EAI_SYSTEM ? std::strerror(system_error) : ::gai_strerror(code);
  if (code == EAI_NONAME || code == EAI_NODATA) return fail(Errc::not_found, "look up {}: {}", name, why);
  return fail(Errc::io, "look up {}: {}", name, why);
}

void append_address(std::vector<IpAddress>& to, const sockaddr* from) {
  if (from->sa_family == AF_INET) {
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in*>(from)->sin_addr, bytes.size());
    to.push_back(IpAddress::v4(bytes));
  } else if (from->sa_family == AF_INET6) {
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6*>(from)->sin6_addr, bytes.size());
    to.push_back(IpAddress::v6(bytes));
  }
}

/// The system's resolver, with its settings and its sockets, for one query.
class ResolverState {
 public:
  ResolverState() : ready_(::res_ninit(&state_) == 0) {}
  ResolverState(const ResolverState&) = delete;
  ResolverState& operator=(const ResolverState&) = delete;
  ~ResolverState() {
    if (ready_) ::res_nclose(&state_);
  }
  [[nodiscard]] bool ready() const { return ready_; }
  struct __res_state& operator*() { return state_; }

 private:
  struct __res_state state_ {};
  bool ready_;
};

void use_only(struct __res_state& state, const IpEndpoint& server) {
  sockaddr_in& slot = state.nsaddr_list[0];
  slot = {};
  slot.sin_family = AF_INET;
  slot.sin_port = htons(server.port);
  std::memcpy(&slot.sin_addr, server.address.bytes().data(), 4);
  state.nscount = 1;
}

}  // namespace

Result<std::vector<IpAddress>> lookup_host(const std::string& name, IpFamily family) {
  TRY_VOID(check_name(name));
  addrinfo hints{};
  hints.ai_family = family == IpFamily::v4 ? AF_INET : family == IpFamily::v6 ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(name.c_str(), nullptr, &hints, &list);
  if (code != 0) return host_failure(name, code, errno);
  std::vector<IpAddress> found;
  for (const addrinfo* it = list; it != nullptr && found.size() < kMaxHostAddresses; it = it->ai_next)
    append_address(found, it->ai_addr);
  ::freeaddrinfo(list);
  if (found.empty()) return fail(Errc::not_found, "look up {}: it has no address", name);
  return found;
}

Result<std::vector<std::string>> lookup_text(const std::string& name, const std::optional<IpEndpoint>& server) {
  TRY_VOID(check_name(name));
  ResolverState resolver;
  if (!resolver.ready()) return fail(Errc::io, "look up the texts of {}: the system's resolver has no settings", name);
  struct __res_state& state = *resolver;
  state.retrans = std::min(state.retrans, kTextQuerySeconds);
  state.retry = 1;
  if (server) use_only(state, *server);
  Bytes answer(kMaxNameAnswer);
  const int size =
      ::res_nquery(&state, name.c_str(), ns_c_in, ns_t_txt, answer.data(), static_cast<int>(answer.size()));
  if (size < 0) {
    if (state.res_h_errno == HOST_NOT_FOUND || state.res_h_errno == NO_DATA)
      return fail(Errc::not_found, "look up the texts of {}: there are none", name);
    return fail(Errc::io, "look up the texts of {}: {}", name, ::hstrerror(state.res_h_errno));
  }
  if (static_cast<std::size_t>(size) > answer.size())
    return fail(Errc::limit_exceeded, "look up the texts of {}: {} bytes; at most {} are read", name, size,
                answer.size());
  auto texts = parse_text_records(BytesView(answer).first(static_cast<std::size_t>(size)));
  if (!texts) return fail(texts.error(), "look up the texts of {}", name);
  if (texts->empty()) return fail(Errc::not_found, "look up the texts of {}: there are none", name);
  return texts;
}

}  // namespace dms
