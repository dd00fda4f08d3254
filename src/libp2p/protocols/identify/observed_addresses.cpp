#include "libp2p/protocols/identify/observed_addresses.hpp"

namespace dms::libp2p {
namespace {

/// Who shares these bits is one place: one house has one IPv4 address, or one IPv6 /56.
Bytes place_of(const IpAddress& ip) { return to_bytes(ip.bytes().first(ip.is_v6() ? 7 : 4)); }

}  // namespace

std::size_t ObservedAddresses::places(const Multiaddr& address) const {
  std::set<Bytes> seen_from;
  for (const auto& [observer, opinion] : opinions_)
    if (opinion.seen == address) seen_from.insert(opinion.place);
  return seen_from.size();
}

bool ObservedAddresses::reconsider(const Multiaddr& address) {
  const std::size_t count = places(address);
  if (count == 0) return confirmed_.erase(address) > 0;
  if (count < needed_ || confirmed_.size() >= kMaxConfirmed) return false;
  return confirmed_.insert(address).second;
}

bool ObservedAddresses::report(const crypto::PeerId& observer, const IpAddress& from, const Multiaddr& seen) {
  const Multiaddr before = std::exchange(opinions_[observer], Opinion{place_of(from), seen}).seen;
  const bool went = before != seen && reconsider(before);
  const bool came = reconsider(seen);
  return went || came;
}

bool ObservedAddresses::forget(const crypto::PeerId& observer) {
  const auto it = opinions_.find(observer);
  if (it == opinions_.end()) return false;
  const Multiaddr seen = std::move(it->second.seen);
  opinions_.erase(it);
  return reconsider(seen);
}

}  // namespace dms::libp2p
