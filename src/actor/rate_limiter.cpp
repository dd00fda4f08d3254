#include "actor/rate_limiter.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace dms::actor {
namespace {

constexpr Duration kSweepEvery = 100ms;

template <class K>
std::size_t count_of(const std::map<K, std::size_t>& counts, const K& key) {
  const auto it = counts.find(key);
  return it == counts.end() ? 0 : it->second;
}

template <class K>
void decrement(std::map<K, std::size_t>& counts, const K& key) {
  const auto it = counts.find(key);
  DMS_ASSERT(it != counts.end(), "a place is released that was not reserved");
  if (--it->second == 0) counts.erase(it);
}

}  // namespace

void RateLimiter::refill(Bucket& bucket, SteadyTime now) const {
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(limits_.burst, bucket.tokens + seconds * limits_.rate);
  bucket.filled = now;
}

void RateLimiter::sweep(SteadyTime now) {
  if (swept_ && now - *swept_ < kSweepEvery) return;
  swept_ = now;
  std::erase_if(buckets_, [&](const auto& entry) {
    Bucket bucket = entry.second;
    refill(bucket, now);
    return bucket.tokens >= limits_.burst;
  });
}

bool RateLimiter::use_expected(const crypto::PeerId& peer) {
  const auto replies = expected_.find(peer);
  if (replies == expected_.end() || replies->second.used >= std::min(replies->second.waiting, limits_.free_per_peer))
    return false;
  ++replies->second.used;
  return true;
}

void RateLimiter::forget(const crypto::PeerId& peer) {
  const auto replies = expected_.find(peer);
  DMS_ASSERT(replies != expected_.end(), "a reply is forgotten that was not expected");
  if (replies->second.used > 0) --replies->second.used;
  if (--replies->second.waiting == 0) expected_.erase(replies);
}

bool RateLimiter::charge(const crypto::PeerId& peer, SteadyTime now, std::size_t bytes) {
  if (peer == self_) return true;
  const std::size_t units = std::max<std::size_t>((bytes + kBytesPerCharge - 1) / kBytesPerCharge, 1);
  if (units > 1 && use_expected(peer)) return true;
  auto it = buckets_.find(peer);
  if (it == buckets_.end()) {
    if (buckets_.size() >= limits_.peers) sweep(now);
    if (buckets_.size() >= limits_.peers) return use_expected(peer);
    it = buckets_.emplace(peer, Bucket{limits_.burst, now}).first;
  }
  refill(it->second, now);
  const double cost = std::min(static_cast<double>(units), limits_.burst);
  if (it->second.tokens < cost) return use_expected(peer);
  it->second.tokens -= cost;
  return true;
}

std::optional<RateLimiter::Permit> RateLimiter::admit(const crypto::PeerId& peer, const Envelope& envelope) {
  if (active_ >= limits_.active || count_of(active_by_peer_, peer) >= limits_.active_per_peer) return std::nullopt;
  std::optional<std::string> topic;
  bool is_public = false;
  if (envelope.is_broadcast()) {
    topic = envelope.options.topic;
    const auto own_limit = limits_.topics.find(*topic);
    const std::size_t topic_limit = own_limit == limits_.topics.end() ? limits_.active_per_topic : own_limit->second;
    if (active_broadcast_ >= limits_.active_broadcast || count_of(active_by_topic_, *topic) >= topic_limit)
      return std::nullopt;
    ++active_broadcast_;
    ++active_by_topic_[*topic];
  } else if (envelope.behaviour.starts_with("/public/")) {
    if (active_public_ >= limits_.active_public) return std::nullopt;
    is_public = true;
    ++active_public_;
  }
  ++active_;
  ++active_by_peer_[peer];
  return Permit(*this, peer, is_public, std::move(topic));
}

void RateLimiter::release(const Permit& permit) {
  --active_;
  decrement(active_by_peer_, permit.peer_);
  if (permit.public_) --active_public_;
  if (!permit.topic_) return;
  --active_broadcast_;
  decrement(active_by_topic_, *permit.topic_);
}

}  // namespace dms::actor
