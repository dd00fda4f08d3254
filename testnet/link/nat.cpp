#include "link/nat.hpp"

#include <algorithm>

namespace dms::testnet {
namespace {

constexpr std::uint16_t kFirstPort = 1024;

}  // namespace

Nat::Nat(NatKind kind, Address address, Random& random, NatTimeouts timeouts)
    : kind_(kind), address_(address), random_(random), timeouts_(timeouts) {}

bool Nat::outbound(Packet& packet, SteadyTime now) {
  if (!packet.is_flow()) return false;
  const Endpoint remote = packet.destination();
  const Key key{packet.protocol(), packet.source(), kind_ == NatKind::symmetric ? remote : Endpoint{}};
  if (key.protocol == Protocol::icmp && remote.port != 0) return false;  // a reply to nothing
  Mapping* mapping = mapping_for(key, now);
  if (mapping == nullptr) return false;
  if (packet.begins_connection()) mapping->answered = mapping->ending = false;
  mapping->ending = mapping->ending || packet.ends_connection();
  const SteadyTime end = now + lifetime(key.protocol, *mapping);
  if (!remember(*mapping, remote, end, now)) return false;
  mapping->end = end;
  packet.set_source({address_, mapping->outside});
  return true;
}

bool Nat::inbound(Packet& packet, SteadyTime now) {
  if (!packet.is_flow()) return false;
  const auto found = outside_.find({packet.protocol(), packet.destination().port});
  if (found == outside_.end()) return false;
  const Key& key = found->second->first;
  Mapping& mapping = found->second->second;
  const Endpoint from = packet.source();
  if (mapping.end <= now || !passes(mapping, from, now)) return false;
  if (key.protocol == Protocol::tcp) {
    mapping.answered = true;
    mapping.ending = mapping.ending || packet.ends_connection();
    mapping.end = now + lifetime(key.protocol, mapping);
    if (const auto peer = mapping.peers.find(from); peer != mapping.peers.end()) peer->second = mapping.end;
  }
  packet.set_destination(key.inside);
  return true;
}

std::size_t Nat::mappings(SteadyTime now) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(mappings_, [now](const auto& entry) { return entry.second.end > now; }));
}

Duration Nat::lifetime(Protocol protocol, const Mapping& mapping) const {
  switch (protocol) {
    case Protocol::udp: return timeouts_.udp;
    case Protocol::icmp: return timeouts_.icmp;
    case Protocol::tcp: break;
  }
  return mapping.answered && !mapping.ending ? timeouts_.tcp_established : timeouts_.tcp_transitory;
}

bool Nat::passes(const Mapping& mapping, Endpoint from, SteadyTime now) const {
  if (kind_ == NatKind::full_cone) return true;
  if (kind_ == NatKind::restricted_cone) {
    for (auto peer = mapping.peers.lower_bound({from.address, 0});
         peer != mapping.peers.end() && peer->first.address == from.address; ++peer)
      if (peer->second > now) return true;
    return false;
  }
  const auto peer = mapping.peers.find(from);
  return peer != mapping.peers.end() && peer->second > now;
}

Nat::Mapping* Nat::mapping_for(const Key& key, SteadyTime now) {
  auto found = mappings_.find(key);
  if (found != mappings_.end() && found->second.end <= now) {
    erase(found);
    found = mappings_.end();
  }
  if (found != mappings_.end()) return &found->second;
  if (mappings_.size() >= kMaxMappings) erase_ended(now);
  if (mappings_.size() >= kMaxMappings) return nullptr;
  std::optional<std::uint16_t> port = free_port(key);
  if (!port) {
    erase_ended(now);
    port = free_port(key);
  }
  if (!port) return nullptr;
  found = mappings_.emplace(key, Mapping{*port}).first;
  outside_.emplace(Outside{key.protocol, *port}, found);
  return &found->second;
}

std::optional<std::uint16_t> Nat::free_port(const Key& key) {
  const auto is_free = [&](std::uint16_t port) { return !outside_.contains({key.protocol, port}); };
  if (kind_ != NatKind::symmetric && key.inside.port >= kFirstPort && is_free(key.inside.port)) return key.inside.port;
  // There are more ports than mappings, so a free one follows any port.
  constexpr std::uint32_t kPorts = 65'536 - kFirstPort;
  const auto begin = static_cast<std::uint32_t>(random_.below(kPorts));
  for (std::uint32_t i = 0; i < kPorts; ++i) {
    const auto port = static_cast<std::uint16_t>(kFirstPort + (begin + i) % kPorts);
    if (is_free(port)) return port;
  }
  return std::nullopt;
}

void Nat::erase(Mappings::iterator mapping) {
  outside_.erase({mapping->first.protocol, mapping->second.outside});
  mappings_.erase(mapping);
}

void Nat::erase_ended(SteadyTime now) {
  for (auto mapping = mappings_.begin(); mapping != mappings_.end();) {
    const auto next = std::next(mapping);
    if (mapping->second.end <= now) erase(mapping);
    mapping = next;
  }
}

bool Nat::remember(Mapping& mapping, Endpoint peer, SteadyTime end, SteadyTime now) {
  if (mapping.peers.size() >= kMaxPeers && !mapping.peers.contains(peer)) {
    std::erase_if(mapping.peers, [now](const auto& entry) { return entry.second <= now; });
    if (mapping.peers.size() >= kMaxPeers) return false;
  }
  mapping.peers[peer] = end;
  return true;
}

}  // namespace dms::testnet
