// Multiaddresses: self-describing network addresses such as /ip4/192.0.2.1/tcp/9000/p2p/12D3KooW...
//
// Model
//  1. A Multiaddr that exists is valid: every component is a known protocol with a well-formed value. It is held as its
//     binary form; equal addresses have equal bytes.
//  2. Text and binary are read back exactly: parse(to_string()) and from_bytes(bytes()) give the same address. The old
//     text name `ipfs` is read as `p2p`; IPv6 is written in its canonical form.
//  3. The empty address is valid and names nothing.
//
// Failures: Errc::invalid_argument says which component is wrong and what was expected; Errc::unsupported names a protocol
// that this table does not know (its length is unknown, so what follows cannot be read); Errc::limit_exceeded.
//
// Attacks: addresses come from strangers (identify, gossip). Both forms are limited to kMaxBytes or kMaxText and
// kMaxComponents, parsing is linear, and values that could carry control characters (host names) are refused.
//
// Specification: libp2p addressing; the multicodec table for codes.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/stream.hpp"
#include "crypto/peer_id.hpp"

namespace dms::libp2p {

/// The protocols an address may be made of, by multicodec.
enum class Protocol : std::uint32_t {
  ip4 = 4,
  tcp = 6,
  ip6 = 41,
  ip6zone = 42,
  dns = 53,
  dns4 = 54,
  dns6 = 55,
  dnsaddr = 56,
  udp = 273,
  webrtc_direct = 280,
  webrtc = 281,
  p2p_circuit = 290,
  p2p = 421,
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
  https = 443,
};

class Multiaddr {
 public:
  static constexpr std::size_t kMaxText = 2048;
  static constexpr std::size_t kMaxBytes = 1024;
  static constexpr std::size_t kMaxComponents = 32;

  /// One step of an address; `value` looks into the address it came from and is empty for protocols without a value.
  struct Component {
    Protocol protocol;
    BytesView value;
  };

  Multiaddr() = default;
  static Result<Multiaddr> parse(std::string_view text);
  static Result<Multiaddr> from_bytes(BytesView bytes);
  /// /ip4|ip6/<address>/tcp/<port>
  static Multiaddr tcp(const IpEndpoint& endpoint);

  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] std::vector<Component> components() const;

  /// This address followed by `inner`.
  [[nodiscard]] Multiaddr with(const Multiaddr& inner) const;
  /// This address followed by /p2p/<peer>.
  [[nodiscard]] Multiaddr with_peer(const crypto::PeerId& peer) const;
  /// This address without a /p2p component at its end.
  [[nodiscard]] Multiaddr without_peer() const;
  /// The peer it leads to: the value of a /p2p component at its end.
  [[nodiscard]] std::optional<crypto::PeerId> peer() const;
  /// The endpoint, if the address is exactly an IP address and a TCP port, with or without a peer.
  [[nodiscard]] std::optional<IpEndpoint> tcp_endpoint() const;

  friend bool operator==(const Multiaddr&, const Multiaddr&) = default;
  friend auto operator<=>(const Multiaddr&, const Multiaddr&) = default;

 private:
  Bytes bytes_;
};

/// `/p2p/<peer>` addresses as users and configuration write them: the peer and the way to it.
struct PeerAddress {
  crypto::PeerId peer;
  Multiaddr address;  ///< without the peer
  /// Errc::invalid_argument if the address does not end in /p2p/<peer id>.
  static Result<PeerAddress> parse(std::string_view text);
};

}  // namespace dms::libp2p
