#include "link/packet.hpp"

#include <arpa/inet.h>

#include <array>

namespace dms::testnet {
namespace {

constexpr std::size_t kLeastHeader = 20;
constexpr std::size_t kHeaderChecksum = 10;
constexpr std::uint16_t kMoreFragments = 0x2000;
constexpr std::uint16_t kFragmentOffset = 0x1fff;
constexpr std::uint8_t kEchoReply = 0;
constexpr std::uint8_t kEchoRequest = 8;
constexpr std::uint8_t kFin = 1;
constexpr std::uint8_t kSyn = 2;
constexpr std::uint8_t kReset = 4;
constexpr std::uint8_t kAck = 16;

/// The bytes that a header of this protocol has at least.
std::size_t least_size(std::uint8_t protocol) {
  switch (static_cast<Protocol>(protocol)) {
    case Protocol::tcp: return 20;
    case Protocol::udp:
    case Protocol::icmp: return 8;
  }
  return 0;
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  in_addr parsed{};
  if (text.size() >= INET_ADDRSTRLEN || inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1)
    return fail(Errc::invalid_argument, "expected an IPv4 address such as 198.18.1.2");
  return ntohl(parsed.s_addr);
}

std::string to_string(Address address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff, address & 0xff);
}

std::uint16_t internet_checksum(BytesView bytes, std::uint32_t sum) {
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += static_cast<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

Result<Packet> Packet::parse(Bytes bytes) {
  if (bytes.size() < kLeastHeader) return fail(Errc::invalid_argument, "{} bytes are no IPv4 packet", bytes.size());
  if (bytes[0] >> 4 != 4) return fail(Errc::invalid_argument, "version {} of the protocol is not IPv4", bytes[0] >> 4);
  const std::size_t header = static_cast<std::size_t>(bytes[0] & 0x0f) * 4;
  const std::size_t total = static_cast<std::size_t>(bytes[2] << 8 | bytes[3]);
  if (header < kLeastHeader || header > total || total > bytes.size())
    return fail(Errc::invalid_argument, "a header of {} bytes, {} in all, {} received", header, total, bytes.size());
  bytes.resize(total);
  const auto fragment = static_cast<std::uint16_t>(bytes[6] << 8 | bytes[7]);
  if ((fragment & (kMoreFragments | kFragmentOffset)) != 0) return Packet(std::move(bytes), header, false);
  const std::size_t least = least_size(bytes[9]);
  if (total - header < least)
    return fail(Errc::invalid_argument, "protocol {} with {} bytes, at least {} expected", bytes[9], total - header,
                least);
  bool flow = least != 0;
  if (static_cast<Protocol>(bytes[9]) == Protocol::icmp)
    flow = bytes[header] == kEchoRequest || bytes[header] == kEchoReply;
  return Packet(std::move(bytes), header, flow);
}

std::size_t Packet::port_at(bool of_source) const {
  if (protocol() != Protocol::icmp) return header_ + (of_source ? 0 : 2);
  return of_source == (bytes_[header_] == kEchoRequest) ? header_ + 4 : 0;
}

std::size_t Packet::flow_checksum_at() const {
  switch (protocol()) {
    case Protocol::tcp: return header_ + 16;
    case Protocol::udp: return half(header_ + 6) == 0 ? 0 : header_ + 6;
    case Protocol::icmp: break;
  }
  return header_ + 2;
}

Endpoint Packet::source() const {
  const std::size_t at = port_at(true);
  return {source_address(), at == 0 ? std::uint16_t{0} : half(at)};
}

Endpoint Packet::destination() const {
  const std::size_t at = port_at(false);
  return {destination_address(), at == 0 ? std::uint16_t{0} : half(at)};
}

void Packet::set_source(Endpoint to) { set(true, to); }
void Packet::set_destination(Endpoint to) { set(false, to); }

bool Packet::begins_connection() const { return (tcp_flags() & (kSyn | kAck)) == kSyn; }
bool Packet::ends_connection() const { return (tcp_flags() & (kFin | kReset)) != 0; }

void Packet::set(bool source, Endpoint to) {
  const std::size_t address = source ? 12 : 16;
  const std::size_t checksum = flow_checksum_at();
  const std::array<std::uint16_t, 2> halves = {static_cast<std::uint16_t>(to.address >> 16),
                                               static_cast<std::uint16_t>(to.address)};
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const std::uint16_t before = half(address + 2 * i);
    change(address + 2 * i, halves[i], kHeaderChecksum);
    // The checksums of UDP and TCP include the addresses, that of ICMP does not.
    if (protocol() != Protocol::icmp) correct(checksum, before, halves[i]);
  }
  if (const std::size_t port = port_at(source); port != 0) change(port, to.port, checksum);
}

void Packet::change(std::size_t at, std::uint16_t value, std::size_t checksum) {
  const std::uint16_t before = half(at);
  put(at, value);
  correct(checksum, before, value);
}

void Packet::correct(std::size_t checksum, std::uint16_t before, std::uint16_t after) {
  if (checksum == 0) return;
  std::uint32_t sum = static_cast<std::uint16_t>(~half(checksum));
  sum += static_cast<std::uint16_t>(~before);
  sum += after;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  auto corrected = static_cast<std::uint16_t>(~sum);
  if (corrected == 0 && checksum != kHeaderChecksum && protocol() == Protocol::udp) corrected = 0xffff;
  put(checksum, corrected);
}

void Packet::put(std::size_t at, std::uint16_t value) {
  bytes_[at] = static_cast<std::uint8_t>(value >> 8);
  bytes_[at + 1] = static_cast<std::uint8_t>(value);
}

}  // namespace dms::testnet
