#include "network/settings.hpp"

#include <algorithm>
#include <array>

#include "libp2p/security/noise/noise.hpp"
#include "libp2p/security/tls/tls.hpp"

namespace dms::network {

Result<void> Settings::check() {
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
