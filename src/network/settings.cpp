#include "network/settings.hpp"

#include <algorithm>
#include <array>

#include "libp2p/multiaddr/multiaddr.hpp"
#include "libp2p/security/noise/noise.hpp"
#include "libp2p/security/tls/tls.hpp"

namespace dms::network {
namespace {

Result<void> check_addresses(std::string_view key, const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses)
    if (const auto parsed = libp2p::Multiaddr::parse(address); !parsed)
      return config::refuse(key, parsed.error().to_string());
  return {};
}

}  // namespace

Result<void> Settings::check() {
  TRY_VOID(check_addresses("p2p.listen_address", listen_address));
  TRY_VOID(check_addresses("p2p.bootstrap_peers", bootstrap_peers));
  constexpr std::array<std::string_view, 2> kProtocols{libp2p::noise::Noise::kProtocol, libp2p::tls::Tls::kProtocol};
  const std::string expected =
      fmt::format("expected one or more of {}, each once, the preferred one first", fmt::join(kProtocols, ", "));
  if (security.empty()) return config::refuse("p2p.security", expected + "; found an empty list");
  for (const std::string& name : security) {
    if (std::ranges::find(kProtocols, name) == kProtocols.end())
      return config::refuse("p2p.security", fmt::format("{}; found \"{}\"", expected, name.substr(0, 128)));
    if (std::ranges::count(security, name) > 1)
      return config::refuse("p2p.security", fmt::format("{}; found \"{}\" twice", expected, name));
  }
  return {};
}

}  // namespace dms::network
