// The protocols of multiaddresses: codes, names, and values as bytes and as text.
//
// Model
//  1. Values are validated on both ways in (check_value for bytes, value_from_text), and value_to_text of a valid value
//     is read back as the same bytes.
//  2. Each value has one canonical text: a port without leading zeros, IPv6 in its canonical form, a certificate hash
//     in base64url. Other forms are read: any multibase for hashes, any form of a peer id.
//  3. The path of /unix takes the rest of a text. If it is not the last component, it is written as one segment with
//     %2F for '/' (as js-libp2p does), which is read everywhere.
//
// Specification: the protocol table of multiformats/multiaddr.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::libp2p {

/// Multicodec codes. Values beyond those named here are possible.
enum class Protocol : std::uint64_t {
  ip4 = 4,
  tcp = 6,
  dccp = 33,
  ip6 = 41,
  ip6zone = 42,
  ipcidr = 43,
  dns = 53,
  dns4 = 54,
  dns6 = 55,
  dnsaddr = 56,
  sctp = 132,
  udp = 273,
  p2p_webrtc_direct = 276,
  webrtc_direct = 280,
  webrtc = 281,
  p2p_circuit = 290,
  udt = 301,
  utp = 302,
  unix = 400,
  p2p = 421,
  https = 443,
  tls = 448,
  sni = 449,
  noise = 454,
  quic = 460,
  quic_v1 = 461,
  webtransport = 465,
  certhash = 466,
  ws = 477,
  wss = 478,
  http = 480,
  memory = 777,
};

/// The kind of a protocol's value.
enum class ValueKind { none, ip4, ip6, prefix, port, number, host, zone, peer, multihash, path };

struct ProtocolInfo {
  Protocol protocol;
  std::string_view name;
  ValueKind kind;
};

[[nodiscard]] const ProtocolInfo* find_protocol(std::uint64_t code);
/// Also knows `ipfs`, the old name of p2p.
[[nodiscard]] const ProtocolInfo* find_protocol(std::string_view name);

/// Size in bytes, or nothing if the value is length-prefixed.
[[nodiscard]] std::optional<std::size_t> fixed_size(ValueKind kind);
Result<void> check_value(const ProtocolInfo& info, BytesView value);
Result<Bytes> value_from_text(const ProtocolInfo& info, std::string_view text);
/// `value` is valid. For a path: "/a/b", or one segment if it is not `last`.
[[nodiscard]] std::string value_to_text(ValueKind kind, BytesView value, bool last = true);

}  // namespace dms::libp2p
