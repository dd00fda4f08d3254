#include "actor/replay_filter.hpp"

namespace dms::actor {

ReplayFilter::Verdict ReplayFilter::check(const Id& sender, std::uint64_t nonce, UnixTime now) {
  drop_expired(now);
  const auto it = senders_.find(sender);
  if (it == senders_.end()) return senders_.size() < limits_.senders ? Verdict::fresh : Verdict::full;
  const Sender& known = it->second;
  const bool seen = (known.has_floor && nonce <= known.floor) || known.nonces.contains(nonce);
  return seen ? Verdict::seen : Verdict::fresh;
}

void ReplayFilter::remember(const Id& sender, std::uint64_t nonce, UnixTime expiry) {
  const auto [it, added] = senders_.try_emplace(sender);
  Sender& known = it->second;
  known.nonces.insert(nonce);
  if (known.nonces.size() > limits_.window) {
    known.floor = *known.nonces.begin();
    known.has_floor = true;
    known.nonces.erase(known.nonces.begin());
  }
  if (added || expiry > known.last_expiry) {
    if (!added) by_expiry_.erase({known.last_expiry, sender});
    known.last_expiry = expiry;
    by_expiry_.emplace(expiry, sender);
  }
}

void ReplayFilter::drop_expired(UnixTime now) {
  // An envelope is valid up to and including its expiry.
  while (!by_expiry_.empty() && by_expiry_.begin()->first < now) {
    senders_.erase(by_expiry_.begin()->second);
    by_expiry_.erase(by_expiry_.begin());
  }
}

}  // namespace dms::actor
