#include "daemon/address_book.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "db/readable.hpp"

namespace dms {
namespace {

std::optional<IpAddress> ip_of(const libp2p::Multiaddr& address) {
  const auto parts = address.components();
  return parts.empty() ? std::nullopt : parts.front().ip();
}

bool is_name(const libp2p::Multiaddr& address) {
  const auto parts = address.components();
  if (parts.empty()) return false;
  using libp2p::Protocol;
  const Protocol first = parts.front().protocol;
  return first == Protocol::dns || first == Protocol::dns4 || first == Protocol::dns6 || first == Protocol::dnsaddr;
}

/// Multiaddrs that can be read, of `texts`.
std::vector<libp2p::Multiaddr> parsed(const std::vector<std::string>& texts) {
  std::vector<libp2p::Multiaddr> addresses;
  for (const std::string& text : texts)
    if (auto address = libp2p::Multiaddr::parse(text)) addresses.push_back(*std::move(address));
  return addresses;
}

}  // namespace

AddressBook::AddressBook(Lane& lane, libp2p::Host& host, db::AsyncStore& store, Partners partners)
    : lane_(lane),
      host_(host),
      store_(store),
      partners_of_(std::move(partners)),
      changes_(std::make_shared<Changes>()),
      nursery_(lane, "address book") {}

Result<void> AddressBook::start() {
  TRY(auto kept, db::list_readable<KnownPeer>(store_.blocking(), kCollection));
  for (auto& [id, known] : kept) {
    const Result<crypto::PeerId> peer = crypto::PeerId::parse(id);
    if (!peer || peers_.size() >= kMaxPeers) continue;
    host_.peer_store().add_addresses(*peer, parsed(known.addresses), libp2p::PeerStore::kRecentlyConnected,
                                     lane_.now());
    peers_[*peer] = {.known = std::move(known), .due = lane_.now()};
  }
  const auto note = [changes = changes_] { changes->note(); };
  notifications_.push_back(host_.on_peer_connected([note](const crypto::PeerId&) { note(); }));
  notifications_.push_back(host_.on_peer_disconnected([note](const crypto::PeerId&) { note(); }));
  host_.identify().on_identified([note](const crypto::PeerId&, const libp2p::IdentifyInfo&) { note(); });
  nursery_.spawn(run());
  return {};
}

Task<void> AddressBook::close() {
  for (const libp2p::NotificationId id : notifications_) host_.remove_notification(id);
  notifications_.clear();
  co_await nursery_.close();
}

std::vector<std::string> AddressBook::addresses(const crypto::PeerId& peer) const {
  const auto it = peers_.find(peer);
  return it == peers_.end() ? std::vector<std::string>() : it->second.known.addresses;
}

Task<Result<void>> AddressBook::wait_for_change() {
  while (!changes_->any) CO_TRY_VOID(co_await changes_->notify.wait());
  co_return Result<void>();
}

Task<void> AddressBook::run() {
  for (;;) {
    changes_->any = false;
    co_await look();
    const Result<void> changed = co_await with_timeout(kLook, wait_for_change());
    if (!changed && !changed.error().is(Errc::deadline_exceeded)) co_return;
    // Connections come in groups.
    const Result<void> settled = co_await sleep_for(kSettle);
    if (!settled) co_return;
  }
}

Task<void> AddressBook::look() {
  const std::optional<std::set<crypto::PeerId>> told = partners_of_();
  const std::set<crypto::PeerId> partners = told.value_or(std::set<crypto::PeerId>());
  if (told) co_await forget_expired(partners);
  const std::vector<crypto::PeerId> connected = host_.peers();
  for (const crypto::PeerId& peer : connected) {
    const bool partner = partners.contains(peer);
    const auto connection = host_.connection(peer);
    if (!connection || (!partner && connection->side != libp2p::Side::dialer && !peers_.contains(peer))) continue;
    if (!peers_.contains(peer)) {
      if (!told || lane_.now() < write_from_ || reachable(peer, *connection).empty()) continue;
      const bool room = co_await make_room(partners, partner);
      if (!room) continue;
    }
    co_await learn(peer, partner);
  }
  const SteadyTime now = lane_.now();
  for (auto& [peer, entry] : peers_) {
    const bool is = host_.connected(peer);
    if (!entry.connected && is) entry.since = now;
    if (entry.connected && !is) {
      if (now - entry.since >= kPartnerPause) entry.pause = kFirstPause;
      entry.due = now + entry.pause;
    }
    entry.connected = is;
  }
  dial_due(partners);
}

std::vector<std::string> AddressBook::reachable(const crypto::PeerId& peer,
                                                const libp2p::ConnectionInfo& connection) const {
  std::vector<libp2p::Multiaddr> candidates;
  if (connection.side == libp2p::Side::dialer) candidates.push_back(connection.remote.without_peer());
  libp2p::PeerStore& store = host_.peer_store();
  const SteadyTime now = lane_.now();
  for (const libp2p::Multiaddr& address : store.addresses(peer, now))
    if (is_name(address)) candidates.push_back(address);
  if (const libp2p::CertifiedRecord* record = store.certified(peer, now))
    candidates.insert(candidates.end(), record->record.addresses.begin(), record->record.addresses.end());
  else if (const libp2p::IdentifyInfo* info = host_.identify().info(peer))
    candidates.insert(candidates.end(), info->listen_addresses.begin(), info->listen_addresses.end());
  const auto from = ip_of(connection.remote);
  const bool here = from && from->is_loopback();
  std::vector<std::string> texts;
  for (const libp2p::Multiaddr& candidate : candidates) {
    if (texts.size() >= kMaxAddresses) break;
    const auto ip = ip_of(candidate);
    if (ip && (ip->is_unspecified() || (ip->is_loopback() && !here))) continue;
    std::string text = candidate.without_peer().to_string();
    if (std::ranges::find(texts, text) == texts.end()) texts.push_back(std::move(text));
  }
  return texts;
}

/// Before a peer has identified itself, what is kept of it is not replaced.
Task<void> AddressBook::learn(crypto::PeerId peer, bool partner) {
  const auto connection = host_.connection(peer);
  if (!connection || lane_.now() < write_from_) co_return;
  const auto kept = peers_.find(peer);
  const bool known = kept != peers_.end();
  KnownPeer found{.addresses = reachable(peer, *connection), .seen = lane_.unix_now().nanos};
  if (known && host_.identify().info(peer) == nullptr) found.addresses = kept->second.known.addresses;
  if (found.addresses.empty()) co_return;
  const bool again = known && found.addresses == kept->second.known.addresses &&
                     lane_.unix_now() - UnixTime{kept->second.known.seen} < kRefresh;
  if (again) co_return;
  Task<Result<void>> storing = store_.put_value(std::string(kCollection), peer.to_string(), found);
  const Result<void> stored = co_await std::move(storing);
  if (!stored) {
    write_from_ = lane_.now() + kWriteAgain;
    log::warn("daemon", "the addresses of {} are not kept: {}", peer.to_string(), stored.error().to_string());
    co_return;
  }
  if (!known) log::debug("daemon", "the addresses of {} {} are kept", partner ? "partner" : "peer", peer.to_string());
  peers_[peer].known = std::move(found);
}

std::optional<crypto::PeerId> AddressBook::longest_unconnected(const std::set<crypto::PeerId>& partners) const {
  std::optional<crypto::PeerId> oldest;
  std::uint64_t since = 0;
  for (const auto& [peer, entry] : peers_) {
    if (partners.contains(peer) || entry.dialing || host_.connected(peer)) continue;
    if (oldest && entry.known.seen >= since) continue;
    oldest = peer;
    since = entry.known.seen;
  }
  return oldest;
}

std::size_t AddressBook::others(const std::set<crypto::PeerId>& partners) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(peers_, [&](const auto& item) { return !partners.contains(item.first); }));
}

Task<bool> AddressBook::make_room(const std::set<crypto::PeerId>& partners, bool partner) {
  const bool full = peers_.size() >= kMaxPeers || (!partner && others(partners) >= kMaxOthers);
  if (!full) co_return true;
  const std::optional<crypto::PeerId> oldest = longest_unconnected(partners);
  if (!oldest) co_return false;
  const Result<void> removed = co_await remove(*oldest);
  co_return removed.has_value();
}

Task<void> AddressBook::forget_expired(const std::set<crypto::PeerId>& partners) {
  const UnixTime now = lane_.unix_now();
  std::vector<crypto::PeerId> expired;
  for (const auto& [peer, entry] : peers_)
    if (!partners.contains(peer) && !entry.dialing && !host_.connected(peer) &&
        now - UnixTime{entry.known.seen} > kForget)
      expired.push_back(peer);
  for (const crypto::PeerId& peer : expired) (void)co_await remove(peer);
  while (others(partners) > kMaxOthers) {  // partners whose work has ended
    const std::optional<crypto::PeerId> oldest = longest_unconnected(partners);
    if (!oldest) co_return;
    const Result<void> removed = co_await remove(*oldest);
    if (!removed) co_return;
  }
}

Task<Result<void>> AddressBook::remove(crypto::PeerId peer) {
  Task<Result<bool>> erasing = store_.erase(std::string(kCollection), peer.to_string());
  const Result<bool> erased = co_await std::move(erasing);
  if (!erased) {
    log::warn("daemon", "the addresses of {} are kept on: {}", peer.to_string(), erased.error().to_string());
    co_return std::unexpected(erased.error());
  }
  peers_.erase(peer);
  co_return Result<void>();
}

void AddressBook::dial_due(const std::set<crypto::PeerId>& partners) {
  const SteadyTime now = lane_.now();
  // Partners first: others wait while there are kMaxDials.
  for (const bool partner : {true, false})
    for (auto& [peer, entry] : peers_) {
      if (dials_ >= kMaxDials) return;
      if (partners.contains(peer) != partner || entry.connected || entry.dialing || entry.due > now) continue;
      entry.dialing = true;
      ++dials_;
      nursery_.spawn(dial(peer, partner ? kPartnerPause : kOtherPause));
    }
}

/// The addresses are named, so that they are tried although they have failed a moment ago. An entry that is being dialed is not
/// removed.
Task<void> AddressBook::dial(crypto::PeerId peer, Duration longest) {
  std::vector<libp2p::Multiaddr> addresses = parsed(peers_[peer].known.addresses);
  Task<Result<void>> connecting = host_.connect(peer, std::move(addresses));
  const Result<void> done = co_await with_timeout(kDialTimeout, std::move(connecting));
  if (dials_-- == kMaxDials) changes_->note();  // others wait for a place
  Entry& entry = peers_[peer];
  entry.dialing = false;
  entry.pause = std::min(entry.pause * 2, longest);
  entry.due = lane_.now() + entry.pause;
  if (done)
    log::info("daemon", "connected again to {}", peer.to_string());
  else
    log::debug("daemon", "dialing {}: {}", peer.to_string(), done.error().to_string());
}

}  // namespace dms
