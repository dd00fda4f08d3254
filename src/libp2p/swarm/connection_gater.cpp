#include "libp2p/swarm/connection_gater.hpp"

#include <charconv>

namespace dms::libp2p {
namespace {

/// The first IP address in `address`.
std::optional<IpAddress> ip_of(const Multiaddr& address) {
  for (const auto& component : address.components()) {
    if (component.protocol == Protocol::ip4 && component.value.size() == 4) {
      std::array<std::uint8_t, 4> bytes{};
      std::ranges::copy(component.value, bytes.begin());
      return IpAddress::v4(bytes);
    }
    if (component.protocol == Protocol::ip6 && component.value.size() == 16) {
      std::array<std::uint8_t, 16> bytes{};
      std::ranges::copy(component.value, bytes.begin());
      return IpAddress::v6(bytes);
    }
  }
  return std::nullopt;
}

/// An IPv4 address written as IPv6 (::ffff:a.b.c.d) is that IPv4 address.
IpAddress unmapped(const IpAddress& ip) {
  static constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!ip.is_v6() || !std::ranges::equal(ip.bytes().first(12), kPrefix)) return ip;
  std::array<std::uint8_t, 4> bytes{};
  std::ranges::copy(ip.bytes().last(4), bytes.begin());
  return IpAddress::v4(bytes);
}

std::uint8_t mask_of(unsigned bits, std::size_t byte) {
  const unsigned before = static_cast<unsigned>(byte) * 8;
  if (bits >= before + 8) return 0xff;
  return bits <= before ? 0 : static_cast<std::uint8_t>(0xff << (8 - (bits - before)));
}

}  // namespace

Result<Subnet> Subnet::parse(std::string_view text) {
  const auto slash = text.find('/');
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return fail(address.error(), "subnet '{}': expected something like 10.0.0.0/8", text);
  const auto most = static_cast<unsigned>(address->bytes().size() * 8);
  Subnet subnet{*address, most};
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), subnet.bits);
    if (error != std::errc() || end != digits.data() + digits.size() || subnet.bits > most)
      return fail(Errc::invalid_argument, "subnet '{}': expected 0 to {} bits after the slash", text, most);
  }
  const BytesView bytes = subnet.address.bytes();
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if ((bytes[i] & ~mask_of(subnet.bits, i) & 0xff) != 0)
      return fail(Errc::invalid_argument, "subnet '{}': the address has bits below its mask of {}", text, subnet.bits);
  return subnet;
}

bool Subnet::contains(const IpAddress& given) const {
  const IpAddress ip = unmapped(given);
  if (ip.is_v6() != address.is_v6()) return false;
  for (std::size_t i = 0; i < ip.bytes().size(); ++i)
    if ((ip.bytes()[i] & mask_of(bits, i)) != address.bytes()[i]) return false;
  return true;
}

std::string Subnet::to_string() const { return fmt::format("{}/{}", address.to_string(), bits); }

Result<void> DenyList::check(const crypto::PeerId& peer) const {
  if (!peers_.contains(peer)) return {};
  return fail(Errc::permission_denied, "peer {} is on the deny list", peer.to_string());
}

Result<void> DenyList::check(const Multiaddr& address) const {
  const auto ip = ip_of(address);
  if (!ip) return {};
  for (const Subnet& subnet : subnets_)
    if (subnet.contains(*ip))
      return fail(Errc::permission_denied, "{} is in {}, which is on the deny list", ip->to_string(),
                  subnet.to_string());
  return {};
}

Result<void> DenyList::dial(const crypto::PeerId& peer, const Multiaddr& address) {
  TRY_VOID(check(peer));
  return check(address);
}

Result<void> DenyList::secured(Side, const crypto::PeerId& peer, const Multiaddr& remote) {
  TRY_VOID(check(peer));
  return check(remote);
}

}  // namespace dms::libp2p
