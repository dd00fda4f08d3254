#include "api/quota.hpp"

#include <algorithm>
#include <utility>

namespace dms::api {

UserQuota::Admission UserQuota::connect(User user) {
  const auto found = by_user_.find(user);
  const std::size_t mine = found == by_user_.end() ? 0 : found->second;
  const std::size_t for_foreign = limits_.connections > limits_.per_user ? limits_.connections - limits_.per_user : 0;
  const std::size_t all = is_operator(user) ? limits_.connections : for_foreign;
  // Foreign connections above their share are answered 503; they take no place of an operator.
  const std::size_t taken = is_operator(user) ? operators_ + std::min(foreign_, for_foreign) : foreign_;
  if (mine >= 2 * limits_.per_user || taken >= 2 * all) return Admission::close;
  ++by_user_[user];
  ++(is_operator(user) ? operators_ : foreign_);
  return mine >= limits_.per_user || taken >= all ? Admission::busy : Admission::serve;
}

void UserQuota::disconnect(User user) {
  const auto found = by_user_.find(user);
  if (found == by_user_.end()) return;
  if (--found->second == 0) by_user_.erase(found);
  --(is_operator(user) ? operators_ : foreign_);
}

bool UserQuota::hold(User user, std::uint64_t bytes) {
  if (!is_operator(user)) {
    const auto found = bodies_.find(user);
    const std::uint64_t own = found == bodies_.end() ? 0 : found->second;
    if (bytes > limits_.bodies - own || bytes > limits_.all_foreign_bodies - foreign_bodies_) return false;
    bodies_[user] += bytes;
    foreign_bodies_ += bytes;
  }
  all_bodies_ += bytes;
  most_bodies_ = std::max(most_bodies_, all_bodies_);
  return true;
}

bool UserQuota::let_go(User user, std::uint64_t bytes) {
  if (!is_operator(user)) {
    const auto found = bodies_.find(user);
    found->second -= bytes;
    if (found->second == 0) bodies_.erase(found);
    foreign_bodies_ -= bytes;
  }
  all_bodies_ -= bytes;
  if (all_bodies_ > 0) return false;
  return std::exchange(most_bodies_, 0) > kManyBytes;
}

bool UserQuota::take(Bucket& bucket, const RequestRate& rate, double cost, SteadyTime now) {
  const std::chrono::duration<double> since = now - bucket.filled;
  bucket.tokens = std::min(rate.burst, bucket.tokens + since.count() * rate.rate);
  bucket.filled = now;
  if (bucket.tokens < cost) return false;
  bucket.tokens -= cost;
  return true;
}

/// A bucket that would be full by now holds no information.
void UserQuota::drop_full(SteadyTime now) {
  std::erase_if(buckets_, [&](const auto& item) {
    const RequestRate& rate = is_operator(item.first) ? limits_.operators : limits_.foreign;
    const std::chrono::duration<double> since = now - item.second.filled;
    return item.second.tokens + since.count() * rate.rate >= rate.burst;
  });
}

bool UserQuota::charge(User user, SteadyTime now, std::size_t body) {
  const RequestRate& rate = is_operator(user) ? limits_.operators : limits_.foreign;
  // At most the burst, so that a full bucket pays for the largest body.
  const std::size_t charges = 1 + body / kBytesPerCharge;
  const double cost = std::min(rate.burst, static_cast<double>(charges));
  if (!buckets_.contains(user) && buckets_.size() >= kMaxBuckets) drop_full(now);
  if (!buckets_.contains(user) && buckets_.size() >= kMaxBuckets && !is_operator(user)) return false;
  if (!take(buckets_.try_emplace(user, Bucket{rate.burst, now}).first->second, rate, cost, now)) return false;
  if (is_operator(user)) return true;
  if (!all_foreign_) all_foreign_ = Bucket{limits_.all_foreign.burst, now};
  return take(*all_foreign_, limits_.all_foreign, cost, now);
}

}  // namespace dms::api
