// IPv4 packets as they cross the link: checked once, read and translated in place.
//
// Model
//  1. parse() accepts what a kernel writes to a TUN device: an IPv4 header without errors and, unless the packet is a
//     fragment, a whole UDP or TCP header, or the first 8 bytes of ICMP. Bytes behind the total length are cut off.
//  2. A flow is what a NAT box translates: UDP, TCP, and ICMP echo, whose identifier takes the place of a port: that of
//     the source in a request, that of the destination in a reply; the other port is 0. Fragments and other ICMP
//     messages are no flow: public hosts exchange them, NAT boxes drop them.
//  3. set_source() and set_destination() correct the checksums by the difference (RFC 1624). A UDP packet without a
//     checksum stays without one.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::testnet {

/// An IPv4 address in the host's byte order.
using Address = std::uint32_t;

Result<Address> parse_address(std::string_view text);
std::string to_string(Address address);

struct Endpoint {
  Address address = 0;
  std::uint16_t port = 0;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

enum class Protocol : std::uint8_t { icmp = 1, tcp = 6, udp = 17 };

class Packet {
 public:
  static Result<Packet> parse(Bytes bytes);

  [[nodiscard]] Address source_address() const { return word(12); }
  [[nodiscard]] Address destination_address() const { return word(16); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] Bytes release() && { return std::move(bytes_); }

  /// Whether a NAT box can translate it, see (2). The functions below are for flows only.
  [[nodiscard]] bool is_flow() const { return flow_; }
  [[nodiscard]] Protocol protocol() const { return static_cast<Protocol>(bytes_[9]); }
  [[nodiscard]] Endpoint source() const;
  [[nodiscard]] Endpoint destination() const;
  void set_source(Endpoint to);
  void set_destination(Endpoint to);
  /// TCP with SYN and without ACK.
  [[nodiscard]] bool begins_connection() const;
  /// TCP with FIN or RST: the connection is about to end.
  [[nodiscard]] bool ends_connection() const;

 private:
  Packet(Bytes bytes, std::size_t header, bool flow) : bytes_(std::move(bytes)), header_(header), flow_(flow) {}

  [[nodiscard]] std::uint16_t half(std::size_t at) const {
    return static_cast<std::uint16_t>(bytes_[at] << 8 | bytes_[at + 1]);
  }
  [[nodiscard]] std::uint32_t word(std::size_t at) const {
    return static_cast<std::uint32_t>(half(at)) << 16 | half(at + 2);
  }
  [[nodiscard]] std::uint8_t tcp_flags() const { return protocol() == Protocol::tcp ? bytes_[header_ + 13] : 0; }
  /// Where the port of the source or the destination is; 0: it has none.
  [[nodiscard]] std::size_t port_at(bool of_source) const;
  /// Where the checksum of the flow's protocol is; 0: it has none.
  [[nodiscard]] std::size_t flow_checksum_at() const;
  void set(bool source, Endpoint to);
  /// Writes 16 bits and corrects the checksum at `checksum`, if there is one.
  void change(std::size_t at, std::uint16_t value, std::size_t checksum);
  void correct(std::size_t checksum, std::uint16_t before, std::uint16_t after);
  void put(std::size_t at, std::uint16_t value);

  Bytes bytes_;
  std::size_t header_;
  bool flow_;
};

/// The checksum of the Internet protocols over `bytes`, beginning with `sum`.
std::uint16_t internet_checksum(BytesView bytes, std::uint32_t sum = 0);

}  // namespace dms::testnet
