// Packets for the tests of the link: made whole, with right checksums, and read back.
#pragma once

#include <optional>

#include "link/packet.hpp"

namespace dms::testnet {

inline Address address(std::string_view text) { return parse_address(text).value(); }

inline Endpoint at(std::string_view text, std::uint16_t port) { return {address(text), port}; }

namespace detail {

inline void put16(Bytes& out, std::size_t at, std::uint32_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

inline void put32(Bytes& out, std::size_t at, std::uint32_t value) {
  put16(out, at, value >> 16);
  put16(out, at + 2, value & 0xffff);
}

/// The sum of the pseudo header.
inline std::uint32_t pseudo(const Bytes& packet) {
  std::uint32_t sum = packet[9] + static_cast<std::uint32_t>(packet.size() - 20);
  for (std::size_t i = 12; i < 20; i += 2) sum += static_cast<std::uint32_t>(packet[i] << 8 | packet[i + 1]);
  return sum;
}

}  // namespace detail

inline Bytes ip_packet(Protocol protocol, Address from, Address to, std::size_t content) {
  Bytes out(20 + content);
  out[0] = 0x45;
  detail::put16(out, 2, static_cast<std::uint32_t>(out.size()));
  out[8] = 64;
  out[9] = static_cast<std::uint8_t>(protocol);
  detail::put32(out, 12, from);
  detail::put32(out, 16, to);
  detail::put16(out, 10, internet_checksum(BytesView(out).first(20)));
  return out;
}

inline Bytes udp_packet(Endpoint from, Endpoint to, std::string_view content = "hello") {
  Bytes out = ip_packet(Protocol::udp, from.address, to.address, 8 + content.size());
  detail::put16(out, 20, from.port);
  detail::put16(out, 22, to.port);
  detail::put16(out, 24, static_cast<std::uint32_t>(8 + content.size()));
  std::copy(content.begin(), content.end(), out.begin() + 28);
  detail::put16(out, 26, internet_checksum(BytesView(out).subspan(20), detail::pseudo(out)));
  return out;
}

inline Bytes tcp_packet(Endpoint from, Endpoint to, std::uint8_t flags) {
  Bytes out = ip_packet(Protocol::tcp, from.address, to.address, 20);
  detail::put16(out, 20, from.port);
  detail::put16(out, 22, to.port);
  out[32] = 0x50;
  out[33] = flags;
  detail::put16(out, 36, internet_checksum(BytesView(out).subspan(20), detail::pseudo(out)));
  return out;
}

/// An echo request, or its reply.
inline Bytes echo_packet(Address from, Address to, std::uint16_t identifier, bool reply = false) {
  Bytes out = ip_packet(Protocol::icmp, from, to, 12);
  out[20] = reply ? 0 : 8;
  detail::put16(out, 24, identifier);
  detail::put16(out, 22, internet_checksum(BytesView(out).subspan(20)));
  return out;
}

/// Whether the checksums of the header and of the flow are right.
inline bool checksums_right(const Packet& packet) {
  const Bytes& bytes = packet.bytes();
  const bool icmp = packet.protocol() == Protocol::icmp;
  return internet_checksum(BytesView(bytes).first(20)) == 0 &&
         internet_checksum(BytesView(bytes).subspan(20), icmp ? 0 : detail::pseudo(bytes)) == 0;
}

}  // namespace dms::testnet
