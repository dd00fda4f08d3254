#include "libp2p/swarm/connection_manager.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace dms::libp2p {

ConnectionManager::ConnectionManager(Swarm& swarm, ConnectionManagerOptions options)
    : swarm_(swarm), options_(options), nursery_(swarm.runtime().lane, "libp2p connection manager") {
  connected_ = swarm_.on_peer_connected([this](const crypto::PeerId& peer) {
    since_.insert_or_assign(peer, swarm_.runtime().lane.now());
    if (options_.high > 0 && since_.size() > options_.high) trim();
  });
  disconnected_ = swarm_.on_peer_disconnected([this](const crypto::PeerId& peer) { since_.erase(peer); });
  if (options_.high > 0) nursery_.spawn(run());
}

Task<void> ConnectionManager::run() {
  for (;;) {
    Result<void> slept = co_await sleep_for(options_.interval);
    if (!slept) co_return;
    trim();
  }
}

Result<ConnectionManager::Peer*> ConnectionManager::entry(const crypto::PeerId& peer) {
  if (!peers_.contains(peer) && peers_.size() >= kMaxTagged)
    return fail(Errc::limit_exceeded, "{} peers have tags, which is the limit; untag others first", peers_.size());
  return &peers_[peer];
}

void ConnectionManager::tidy(const crypto::PeerId& peer) {
  const auto it = peers_.find(peer);
  if (it != peers_.end() && it->second.tags.empty() && it->second.protectors.empty()) peers_.erase(it);
}

Result<void> ConnectionManager::tag(const crypto::PeerId& peer, const std::string& tag, int weight) {
  TRY(Peer * known, entry(peer));
  if (!known->tags.contains(tag) && known->tags.size() >= kMaxTags)
    return fail(Errc::limit_exceeded, "{} has {} tags, which is the limit", peer.to_string(), kMaxTags);
  known->tags.insert_or_assign(tag, weight);
  return {};
}

void ConnectionManager::untag(const crypto::PeerId& peer, const std::string& tag) {
  if (const auto it = peers_.find(peer); it != peers_.end()) it->second.tags.erase(tag);
  tidy(peer);
}

Result<void> ConnectionManager::protect(const crypto::PeerId& peer, const std::string& tag) {
  TRY(Peer * known, entry(peer));
  if (!known->protectors.contains(tag) && known->protectors.size() >= kMaxTags)
    return fail(Errc::limit_exceeded, "{} has {} protectors, which is the limit", peer.to_string(), kMaxTags);
  known->protectors.insert(tag);
  return {};
}

void ConnectionManager::unprotect(const crypto::PeerId& peer, const std::string& tag) {
  if (const auto it = peers_.find(peer); it != peers_.end()) it->second.protectors.erase(tag);
  tidy(peer);
}

bool ConnectionManager::is_protected(const crypto::PeerId& peer) const {
  const auto it = peers_.find(peer);
  return it != peers_.end() && !it->second.protectors.empty();
}

std::int64_t ConnectionManager::weight(const crypto::PeerId& peer) const {
  std::int64_t sum = 0;
  if (const auto it = peers_.find(peer); it != peers_.end())
    for (const auto& [tag, weight] : it->second.tags) sum += weight;
  return sum;
}

std::vector<crypto::PeerId> ConnectionManager::superfluous() const {
  if (options_.high == 0 || since_.size() <= options_.high) return {};
  struct Candidate {
    std::int64_t weight;
    SteadyTime since;
    crypto::PeerId peer;
  };
  const SteadyTime now = swarm_.runtime().lane.now();
  std::vector<Candidate> candidates;
  std::size_t settled = 0;
  for (const auto& [peer, since] : since_) {
    if (now - since < options_.grace) continue;
    ++settled;
    if (!is_protected(peer)) candidates.push_back({weight(peer), since, peer});
  }
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    return std::tuple(a.weight, b.since, a.peer) < std::tuple(b.weight, a.since, b.peer);
  });
  candidates.resize(std::min(candidates.size(), settled - std::min(settled, options_.low)));
  std::vector<crypto::PeerId> out;
  for (const Candidate& candidate : candidates) out.push_back(candidate.peer);
  return out;
}

std::size_t ConnectionManager::trim() {
  const std::vector<crypto::PeerId> peers = superfluous();
  if (peers.empty()) return 0;
  log::info("libp2p", "disconnecting {} of {} peers: more than {} are connected (connection manager, high)",
            peers.size(), since_.size(), options_.high);
  for (const crypto::PeerId& peer : peers) {
    since_.erase(peer);
    swarm_.disconnect(peer);
  }
  return peers.size();
}

Task<void> ConnectionManager::close() {
  swarm_.remove_notification(connected_);
  swarm_.remove_notification(disconnected_);
  co_await nursery_.close();
}

}  // namespace dms::libp2p
