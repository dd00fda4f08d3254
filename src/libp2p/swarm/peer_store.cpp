#include "libp2p/swarm/peer_store.hpp"

#include <algorithm>
#include <tuple>

namespace dms::libp2p {
namespace {

SteadyTime end_of(Duration ttl, SteadyTime now) {
  return ttl == PeerStore::kWhileConnected ? SteadyTime::max() : now + ttl;
}

}  // namespace

void PeerStore::evict() {
  const auto oldest = std::ranges::min_element(
      peers_, {}, [](const auto& item) { return std::tuple(item.second.held, item.second.touched); });
  if (oldest != peers_.end()) peers_.erase(oldest);
}

PeerStore::Entry& PeerStore::touch(const crypto::PeerId& peer) {
  if (!peers_.contains(peer) && peers_.size() >= options_.max_peers) evict();
  Entry& entry = peers_[peer];
  entry.touched = ++touches_;
  return entry;
}

void PeerStore::put(Entry& entry, const Multiaddr& address, SteadyTime until, bool certified) {
  const auto known = std::ranges::find(entry.addresses, address, &Address::address);
  if (known == entry.addresses.end()) {
    entry.addresses.push_back({address, until, certified});
    return;
  }
  known->until = std::max(known->until, until);
  known->certified = known->certified || certified;
}

void PeerStore::tidy(Entry& entry, SteadyTime now) {
  std::erase_if(entry.addresses, [now](const Address& address) { return address.until <= now; });
  std::ranges::stable_sort(entry.addresses, [](const Address& a, const Address& b) {
    return std::tuple(a.certified, a.until) > std::tuple(b.certified, b.until);
  });
  if (entry.addresses.size() > options_.max_addresses)
    entry.addresses.erase(entry.addresses.begin() + static_cast<std::ptrdiff_t>(options_.max_addresses),
                          entry.addresses.end());
  entry.held = std::ranges::any_of(entry.addresses, [](const Address& a) { return a.until == SteadyTime::max(); });
}

void PeerStore::add_addresses(const crypto::PeerId& peer, const std::vector<Multiaddr>& addresses, Duration ttl,
                              SteadyTime now) {
  if (addresses.empty() || ttl <= Duration::zero()) return;
  Entry& entry = touch(peer);
  for (const Multiaddr& address : addresses) put(entry, address.without_peer(), end_of(ttl, now), false);
  tidy(entry, now);
}

bool PeerStore::add_certified(CertifiedRecord record, Duration ttl, SteadyTime now) {
  if (const auto it = peers_.find(record.record.peer); it != peers_.end()) {
    const auto& last = it->second.record;
    const bool again = last && last->envelope == record.envelope;
    if (last && !again && last->record.seq >= record.record.seq) return false;
    if (!again) std::erase_if(it->second.addresses, [](const Address& address) { return address.certified; });
  }
  Entry& entry = touch(record.record.peer);
  for (const Multiaddr& address : record.record.addresses) put(entry, address.without_peer(), end_of(ttl, now), true);
  entry.record = std::move(record);
  tidy(entry, now);
  return true;
}

void PeerStore::release(const crypto::PeerId& peer, Duration ttl, SteadyTime now) {
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  for (Address& address : it->second.addresses)
    if (address.until == SteadyTime::max()) address.until = now + ttl;
  tidy(it->second, now);
}

void PeerStore::remove_addresses(const crypto::PeerId& peer) {
  if (const auto it = peers_.find(peer); it != peers_.end()) it->second.addresses.clear();
}

std::vector<Multiaddr> PeerStore::addresses(const crypto::PeerId& peer, SteadyTime now) const {
  std::vector<Multiaddr> out;
  if (const auto it = peers_.find(peer); it != peers_.end())
    for (const Address& address : it->second.addresses)
      if (address.until > now) out.push_back(address.address);
  return out;
}

const CertifiedRecord* PeerStore::certified(const crypto::PeerId& peer, SteadyTime now) const {
  const auto it = peers_.find(peer);
  if (it == peers_.end() || !it->second.record) return nullptr;
  const bool valid = std::ranges::any_of(
      it->second.addresses, [now](const Address& address) { return address.certified && address.until > now; });
  return valid ? &*it->second.record : nullptr;
}

void PeerStore::set_protocols(const crypto::PeerId& peer, std::vector<std::string> protocols) {
  if (protocols.size() > options_.max_protocols) protocols.resize(options_.max_protocols);
  touch(peer).protocols = std::move(protocols);
}

std::vector<std::string> PeerStore::protocols(const crypto::PeerId& peer) const {
  const auto it = peers_.find(peer);
  return it == peers_.end() ? std::vector<std::string>() : it->second.protocols;
}

Result<void> PeerStore::set_key(const crypto::PeerId& peer, const crypto::PublicKey& key) {
  if (!peer.matches(key)) return fail(Errc::permission_denied, "{} is the id of another key", peer.to_string());
  touch(peer).key = key;
  return {};
}

std::optional<crypto::PublicKey> PeerStore::key(const crypto::PeerId& peer) const {
  const auto it = peers_.find(peer);
  if (it != peers_.end() && it->second.key) return it->second.key;
  return peer.public_key();
}

std::vector<crypto::PeerId> PeerStore::peers() const {
  std::vector<crypto::PeerId> out;
  for (const auto& [peer, entry] : peers_) out.push_back(peer);
  return out;
}

void PeerStore::forget(const crypto::PeerId& peer) { peers_.erase(peer); }

}  // namespace dms::libp2p
