// A NAT box of one of the four classic kinds, in the terms of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP).
//
// Model
//  1. Between a private network and one public address. outbound() translates the source of a packet, inbound() the
//     destination; false: the packet is dropped, and nothing has changed.
//  2. Mapping: which public port a private endpoint gets. Cones map independently of the destination; the symmetric
//     kind makes a mapping for each destination endpoint. The private port is kept if it is free (and the kind is a
//     cone), else a port is drawn.
//  3. Filtering: which packets pass inwards through a mapping. full_cone: all; restricted_cone: those of addresses
//     that the private endpoint has sent to; port_restricted and symmetric: those of endpoints that it has sent to.
//  4. A mapping ends when nothing has been sent outwards for a time; each peer's permission ends the same way. For TCP
//     packets of both directions count; the time is that of an established connection once one has come back, and
//     that of one in transition before, and after FIN or RST.
//  5. Bounds: mappings of a box, and peers of a mapping. At a bound the packet that would need one more is dropped.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/random.hpp"
#include "base/time.hpp"
#include "link/packet.hpp"

namespace dms::testnet {

enum class NatKind { full_cone, restricted_cone, port_restricted, symmetric };

struct NatTimeouts {
  Duration udp = 5min;
  Duration tcp_established = 124min;
  Duration tcp_transitory = 4min;
  Duration icmp = 1min;
};

class Nat {
 public:
  static constexpr std::size_t kMaxMappings = 16'384;
  static constexpr std::size_t kMaxPeers = 4'096;

  /// `random` outlives the box.
  Nat(NatKind kind, Address address, Random& random, NatTimeouts timeouts = {});

  [[nodiscard]] NatKind kind() const { return kind_; }
  [[nodiscard]] Address address() const { return address_; }
  bool outbound(Packet& packet, SteadyTime now);
  bool inbound(Packet& packet, SteadyTime now);
  /// The mappings that have not ended.
  [[nodiscard]] std::size_t mappings(SteadyTime now) const;

 private:
  struct Key {
    Protocol protocol;
    Endpoint inside;
    Endpoint remote;  // of the symmetric kind; none otherwise
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Mapping {
    std::uint16_t outside = 0;
    bool answered = false, ending = false;
    SteadyTime end;
    std::map<Endpoint, SteadyTime> peers;
  };
  using Outside = std::pair<Protocol, std::uint16_t>;
  using Mappings = std::map<Key, Mapping>;

  [[nodiscard]] Duration lifetime(Protocol protocol, const Mapping& mapping) const;
  [[nodiscard]] bool passes(const Mapping& mapping, Endpoint from, SteadyTime now) const;
  /// The mapping of this key, made if there is none; null at a bound.
  Mapping* mapping_for(const Key& key, SteadyTime now);
  std::optional<std::uint16_t> free_port(const Key& key);
  void erase(Mappings::iterator mapping);
  void erase_ended(SteadyTime now);
  static bool remember(Mapping& mapping, Endpoint peer, SteadyTime end, SteadyTime now);

  NatKind kind_;
  Address address_;
  Random& random_;
  NatTimeouts timeouts_;
  Mappings mappings_;
  std::map<Outside, Mappings::iterator> outside_;
};

}  // namespace dms::testnet
