#include "actor/replay_filter.hpp"

#include "base/assert.hpp"

namespace dms::actor {

ReplayFilter::Outcome ReplayFilter::check(const Id& sender, std::uint64_t nonce, UnixTime now) {
  drop_expired(now);
  const auto it = senders_.find(sender);
  if (it == senders_.end()) return Outcome::fresh;
  const Sender& known = it->second;
  const bool seen = (known.has_floor && nonce <= known.floor) || known.nonces.contains(nonce);
  return seen ? Outcome::seen : Outcome::fresh;
}

ReplayFilter::Outcome ReplayFilter::admit(const did::Did& account, ucan::Trust trust) const {
  const std::size_t quota = trust == ucan::Trust::full ? limits_.senders / 2 : limits_.per_account;
  const auto held = by_account_.find(account);
  if (held != by_account_.end() && held->second >= quota) return Outcome::over_quota;
  std::size_t kept_free = 0;
  if (trust != ucan::Trust::full) kept_free += limits_.reserved_full;
  if (trust == ucan::Trust::none) kept_free += limits_.reserved_named;
  return senders_.size() + kept_free < limits_.senders ? Outcome::fresh : Outcome::full;
}

ReplayFilter::Outcome ReplayFilter::remember(const Id& sender, std::uint64_t nonce, UnixTime expiry,
                                             const ucan::Authority& authority, ucan::Trust trust) {
  auto it = senders_.find(sender);
  const bool added = it == senders_.end();
  if (added) {
    const Outcome admitted = admit(authority.accountable, trust);
    if (admitted != Outcome::fresh) return admitted;
    it = senders_.try_emplace(sender).first;
    it->second.authority = authority;
    ++by_account_[authority.accountable];
  }
  Sender& known = it->second;
  known.authority.links = authority.links;  // the place stays with its account
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
  DMS_DEBUG_ASSERT(senders_.size() <= limits_.senders && by_expiry_.size() == senders_.size(),
                   "{} senders, {} expiries, at most {}", senders_.size(), by_expiry_.size(), limits_.senders);
  return Outcome::fresh;
}

void ReplayFilter::forget_revoked(const ucan::RevocationSet& revoked) {
  for (auto it = senders_.begin(); it != senders_.end();)
    it = it->second.authority.revoked(revoked) ? drop(it) : std::next(it);
}

void ReplayFilter::drop_expired(UnixTime now) {
  // An envelope is valid up to and including its expiry.
  while (!by_expiry_.empty() && by_expiry_.begin()->first < now) drop(senders_.find(by_expiry_.begin()->second));
}

ReplayFilter::Senders::iterator ReplayFilter::drop(Senders::iterator sender) {
  const auto account = by_account_.find(sender->second.authority.accountable);
  DMS_ASSERT(account != by_account_.end(), "a sender without an account");
  if (--account->second == 0) by_account_.erase(account);
  by_expiry_.erase({sender->second.last_expiry, sender->first});
  return senders_.erase(sender);
}

}  // namespace dms::actor
