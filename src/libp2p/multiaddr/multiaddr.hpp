// Multiaddresses: self-describing network addresses such as /ip4/192.0.2.1/tcp/9000/p2p/12D3KooW...
//
// Model
//  1. A Multiaddr that exists is valid: its components have well-formed values. It is held in binary form; equal
//     addresses have equal bytes.
//  2. Text and binary round-trip: parse(to_string()) and from_bytes(bytes()) give the same address. The old text name
//     `ipfs` is read as `p2p`; IPv6 is written in its canonical form.
//  3. A protocol that the table (protocols.hpp) does not know is kept, not interpreted: the end of its value is
//     unknown, so it and everything behind it form one last component, written /unknown-<code>/<multibase>. It is
//     passed on unchanged; nothing here dials it.
//  4. The empty address is valid and names nothing.
//
// Failures: Errc::invalid_argument says which component is wrong and what was expected; Errc::unsupported names an
// unknown protocol of a text; Errc::limit_exceeded.
//
// Attacks: addresses come from untrusted peers (identify, gossip, DNS). Both forms are limited to kMaxBytes or kMaxText
// and kMaxComponents, parsing is linear, and values that could carry control characters (host names) are refused.
//
// Specification: libp2p addressing; multiformats/multiaddr.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/peer_id.hpp"
#include "libp2p/multiaddr/protocols.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p {

class Multiaddr {
 public:
  static constexpr std::size_t kMaxText = 2048;
  static constexpr std::size_t kMaxBytes = 1024;
  static constexpr std::size_t kMaxComponents = 32;

  /// One component; `value` points into the address it came from and is empty for protocols without a value. For an
  /// unknown protocol it is everything behind the code.
  struct Component {
    Protocol protocol;
    BytesView value;
    /// The value of /ip4 and /ip6.
    [[nodiscard]] std::optional<IpAddress> ip() const;
  };

  Multiaddr() = default;
  static Result<Multiaddr> parse(std::string_view text);
  static Result<Multiaddr> from_bytes(BytesView bytes);
  /// /ip4|ip6/<address>/tcp/<port>, with /ip6zone/<zone> in front if the endpoint has one.
  static Multiaddr tcp(const IpEndpoint& endpoint);

  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] std::vector<Component> components() const;

  /// The components from index `first` on.
  [[nodiscard]] Multiaddr tail(std::size_t first) const;
  /// True if the last components are those of `suffix`. Every address ends with the empty one.
  [[nodiscard]] bool ends_with(const Multiaddr& suffix) const;
  /// This address followed by `inner`.
  [[nodiscard]] Multiaddr with(const Multiaddr& inner) const;
  /// This address followed by /p2p/<peer>.
  [[nodiscard]] Multiaddr with_peer(const crypto::PeerId& peer) const;
  /// This address without a /p2p component at its end.
  [[nodiscard]] Multiaddr without_peer() const;
  /// The value of a /p2p component at its end.
  [[nodiscard]] std::optional<crypto::PeerId> peer() const;
  /// The endpoint, if the address is exactly an IP address (IPv6 optionally with a zone) and a TCP port, with or
  /// without a peer.
  [[nodiscard]] std::optional<IpEndpoint> tcp_endpoint() const;

  friend bool operator==(const Multiaddr&, const Multiaddr&) = default;
  friend auto operator<=>(const Multiaddr&, const Multiaddr&) = default;

 private:
  Bytes bytes_;
};

/// An address with /p2p/<peer> at its end, as users and configuration write it.
struct PeerAddress {
  crypto::PeerId peer;
  Multiaddr address;  ///< without the peer
  /// Errc::invalid_argument if the address does not end in /p2p/<peer id>.
  static Result<PeerAddress> parse(std::string_view text);
};

}  // namespace dms::libp2p
