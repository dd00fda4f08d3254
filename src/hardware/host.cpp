#include "hardware/host.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <netpacket/packet.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <span>

namespace dms::hardware {
namespace {

/// The length of a netmask's prefix.
int prefix_of(std::span<const std::uint8_t> mask) {
  int bits = 0;
  for (const std::uint8_t byte : mask) bits += std::popcount(byte);
  return bits;
}

/// Of AF_INET and AF_INET6: the address or the mask in `from`.
template <class Sockaddr, class Address>
std::span<const std::uint8_t> bytes_of(const sockaddr* from, Address Sockaddr::*member) {
  const auto& address = reinterpret_cast<const Sockaddr*>(from)->*member;
  return {reinterpret_cast<const std::uint8_t*>(&address), sizeof(address)};
}

std::string text_of(int family, std::span<const std::uint8_t> address, std::span<const std::uint8_t> mask) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(family, address.data(), text.data(), text.size()) == nullptr) return {};
  return fmt::format("{}/{}", text.data(), prefix_of(mask));
}

void add(Interface& interface, const ifaddrs& entry) {
  const sockaddr* address = entry.ifa_addr;
  if (address->sa_family == AF_PACKET) {
    const auto* link = reinterpret_cast<const sockaddr_ll*>(address);
    const std::span<const unsigned char> mac(link->sll_addr, std::min<std::size_t>(link->sll_halen, 8));
    const bool any = std::ranges::any_of(mac, [](unsigned char byte) { return byte != 0; });
    if (any) interface.mac_address = fmt::format("{:02x}", fmt::join(mac, ":"));
    return;
  }
  const sockaddr* mask = entry.ifa_netmask;
  std::string text;
  if (address->sa_family == AF_INET)
    text = text_of(AF_INET, bytes_of(address, &sockaddr_in::sin_addr),
                   mask == nullptr ? std::span<const std::uint8_t>() : bytes_of(mask, &sockaddr_in::sin_addr));
  if (address->sa_family == AF_INET6)
    text = text_of(AF_INET6, bytes_of(address, &sockaddr_in6::sin6_addr),
                   mask == nullptr ? std::span<const std::uint8_t>() : bytes_of(mask, &sockaddr_in6::sin6_addr));
  if (!text.empty()) interface.addresses.push_back(std::move(text));
}

}  // namespace

Result<std::string> hostname() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0)
    return fail(dms::Errc::io, "the name of this machine: {}", std::strerror(errno));
  return std::string(name.data());
}

Result<std::vector<Interface>> network_interfaces() {
  ifaddrs* head = nullptr;
  if (::getifaddrs(&head) != 0) return fail(dms::Errc::io, "the network interfaces: {}", std::strerror(errno));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(head, &::freeifaddrs);
  std::map<std::string, Interface> by_name;
  for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
    Interface& interface = by_name[entry->ifa_name];
    interface.name = entry->ifa_name;
    if (entry->ifa_addr != nullptr) add(interface, *entry);
  }
  std::vector<Interface> all;
  for (auto& [name, interface] : by_name) all.push_back(std::move(interface));
  return all;
}

}  // namespace dms::hardware
