#include "libp2p/protocols/identify/observed_addresses.hpp"

namespace dms::libp2p {
namespace {

/// Observers that share these bits are one network location: a site has one IPv4 address, or one IPv6 /56.
Bytes location_of(const IpAddress& ip) { return to_bytes(ip.bytes().first(ip.is_v6() ? 7 : 4)); }

}  // namespace

std::size_t ObservedAddresses::observers(const Multiaddr& address) const {
  std::set<Bytes> seen_from;
  for (const auto& [observer, observation] : observations_)
    if (observation.seen == address) seen_from.insert(observation.location);
  return seen_from.size();
}

bool ObservedAddresses::update(const Multiaddr& address) {
  const std::size_t count = observers(address);
  if (count == 0) return confirmed_.erase(address) > 0;
  if (count < needed_ || confirmed_.size() >= kMaxConfirmed) return false;
  return confirmed_.insert(address).second;
}

bool ObservedAddresses::report(const crypto::PeerId& observer, const IpAddress& from, const Multiaddr& seen) {
  const Multiaddr before = std::exchange(observations_[observer], Observation{location_of(from), seen}).seen;
  const bool went = before != seen && update(before);
  const bool came = update(seen);
  return went || came;
}

bool ObservedAddresses::forget(const crypto::PeerId& observer) {
  const auto it = observations_.find(observer);
  if (it == observations_.end()) return false;
  const Multiaddr seen = std::move(it->second.seen);
  observations_.erase(it);
  return update(seen);
}

}  // namespace dms::libp2p
