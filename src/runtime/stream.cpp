#include "runtime/stream.hpp"

#include <arpa/inet.h>

namespace dms {

Task<Result<void>> read_exactly(ByteStream& stream, MutableBytes into) {
  while (!into.empty()) {
    CO_TRY(std::size_t got, co_await stream.read_some(into));
    if (got == 0) co_return fail(Errc::closed, "the stream ended with {} bytes still expected", into.size());
    into = into.subspan(got);
  }
  co_return Result<void>();
}

Task<Result<Bytes>> read_to_end(ByteStream& stream, std::size_t limit) {
  Bytes all;
  for (;;) {
    const std::size_t had = all.size();
    // Reads one byte beyond the limit, to distinguish too much from exactly enough.
    all.resize(std::min(limit + 1, had + 16 * 1024));
    CO_TRY(std::size_t got, co_await stream.read_some(MutableBytes(all).subspan(had)));
    all.resize(had + got);
    if (got == 0) co_return std::move(all);
    if (all.size() > limit) co_return fail(Errc::limit_exceeded, "more than {} bytes", limit);
  }
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  std::array<std::uint8_t, 4> four;
  if (::inet_pton(AF_INET, copy.c_str(), four.data()) == 1) return v4(four);
  std::array<std::uint8_t, 16> sixteen;
  if (::inet_pton(AF_INET6, copy.c_str(), sixteen.data()) == 1) return v6(sixteen);
  return fail(Errc::invalid_argument, "'{}' is not an IPv4 or IPv6 address", text);
}

bool IpAddress::is_private() const {
  if (is_loopback() || is_link_local()) return true;
  if (v6_) return (bytes_[0] & 0xfe) == 0xfc;
  const auto [a, b] = std::pair(bytes_[0], bytes_[1]);
  return a == 10 || (a == 172 && (b & 0xf0) == 16) || (a == 192 && b == 168) || (a == 100 && (b & 0xc0) == 64);
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), text.data(), text.size());
  return text.data();
}

std::string IpEndpoint::to_string() const {
  if (!address.is_v6()) return fmt::format("{}:{}", address.to_string(), port);
  return fmt::format("[{}{}{}]:{}", address.to_string(), zone.empty() ? "" : "%", zone.text(), port);
}

Result<std::unique_ptr<Listener>> Net::listen_unix(const std::string& path, unsigned) {
  return fail(Errc::unsupported, "listen on {}: there are no Unix sockets here", path);
}

Task<Result<Accepted>> Net::connect_tcp_from(IpEndpoint, IpEndpoint to) { return connect_tcp(to); }

// The default of a Net without a name service.
Task<Result<std::vector<IpAddress>>> Net::resolve_host(std::string name, IpFamily) {
  co_return fail(Errc::unsupported, "look up {}: this network has no names", name);
}
Task<Result<std::vector<std::string>>> Net::resolve_text(std::string name) {
  co_return fail(Errc::unsupported, "look up the texts of {}: this network has no names", name);
}

}  // namespace dms
