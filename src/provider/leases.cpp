#include "provider/leases.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/log.hpp"

namespace dms::provider {
Lease Leases::grant(std::int64_t requested_ns) const {
  Lease lease;
  lease.boot_id = boot_id_;
  lease.by_contact = requested_ns == 0;
  Duration length = bounds_.silence;
  if (requested_ns > 0) length = std::clamp(Duration(requested_ns), bounds_.shortest, bounds_.longest);
  if (requested_ns < 0) length = bounds_.usual;
  lease.length_ns = length.count();
  lease.end_ns = (lane_.now() + length).time_since_epoch().count();
  return lease;
}

void Leases::add(const std::string& name, did::Did owner, Lease lease) {
  DMS_ASSERT(!held_.contains(name), "{} has a lease already", name);
  // A stored end may be damaged; whatever it says, no lease is longer than its length.
  const SteadyTime now = lane_.now();
  lease.length_ns = std::clamp<std::int64_t>(lease.length_ns, Duration(1s).count(), jobs::Node::kLongestLease.count());
  // Of another boot: its end means nothing here, and it is over.
  const SteadyTime end = lease.boot_id == boot_id_ ? std::min(lease.end(), now + lease.length()) : now;
  lease.end_ns = end.time_since_epoch().count();
  ends_.emplace(lease.end(), name);
  held_.emplace(name, Held{std::move(owner), std::move(lease)});
  changed_.notify_all();
}

void Leases::remove(const std::string& name) {
  const auto held = held_.find(name);
  if (held == held_.end()) return;
  ends_.erase({held->second.lease.end(), name});
  held_.erase(held);
}

Task<Result<void>> Leases::renew(std::vector<std::string> names, SteadyTime from) {
  const std::shared_ptr<Batch> batch = open_;
  from = std::min(from, lane_.now());
  bool later = false;
  for (const std::string& name : names) {
    const auto held = held_.find(name);
    if (held == held_.end()) continue;
    Lease renewed = held->second.lease;
    renewed.boot_id = boot_id_;
    renewed.end_ns = (from + renewed.length()).time_since_epoch().count();
    if (renewed.end() <= held->second.lease.end()) continue;
    later = true;
    Lease& change = batch->changes.try_emplace(name, renewed).first->second;
    if (change.end() < renewed.end()) change = std::move(renewed);
  }
  if (!later) co_return Result<void>();
  for (const std::string& name : names)
    if (const auto held = held_.find(name); held != held_.end()) ++held->second.renewing;
  Mutex::Lock lock = co_await writing_.lock();
  if (!batch->written) co_await write(batch);
  for (const std::string& name : names)
    if (const auto held = held_.find(name); held != held_.end() && held->second.renewing > 0) --held->second.renewing;
  changed_.notify_all();
  co_return batch->outcome;
}

Task<void> Leases::write(std::shared_ptr<Batch> batch) {
  open_ = std::make_shared<Batch>();
  batch->written = true;
  // What was removed meanwhile must not come back: its document is erased after this is queued. And the batch before may
  // have moved an end further.
  std::erase_if(batch->changes, [this](const auto& change) {
    const Lease* current = find(change.first);
    return current == nullptr || change.second.end() <= current->end();
  });
  if (batch->changes.empty()) co_return;
  std::map<std::string, std::string> documents;
  for (const auto& [name, lease] : batch->changes) documents.emplace(name, json::encode(lease));
  db::AsyncStore::Change change = [documents = std::move(documents)](db::Store& store) -> Result<void> {
    for (const auto& [name, text] : documents) TRY_VOID(store.put(kLeaseCollection, name, text));
    return {};
  };
  batch->outcome = co_await store_.transaction(std::move(change));
  if (!batch->outcome) co_return;
  for (auto& [name, lease] : batch->changes) {
    const auto held = held_.find(name);
    if (held == held_.end()) continue;
    ends_.erase({held->second.lease.end(), name});
    ends_.emplace(lease.end(), name);
    held->second.lease = std::move(lease);
    held->second.reported = false;
  }
}

bool Leases::is_silent(const Held& held) const {
  return held.lease.by_contact && !held.reported &&
         held.lease.end() - lane_.now() < held.lease.length() - held.lease.length() / kSilenceSteps;
}

Task<std::vector<std::string>> Leases::heard_from(did::Did owner) {
  std::vector<std::string> names;
  for (const auto& [name, held] : held_)
    if (held.owner == owner && is_silent(held)) names.push_back(name);
  if (names.empty()) co_return std::move(names);
  const Result<void> renewed = co_await renew(names);
  if (renewed) co_return std::move(names);
  log::warn("provider", "what {} has here is not renewed: {}", owner.uri(), renewed.error().to_string());
  co_return std::vector<std::string>();
}

std::set<did::Did> Leases::silent_owners() const {
  std::set<did::Did> owners;
  for (const auto& [name, held] : held_)
    if (is_silent(held)) owners.insert(held.owner);
  return owners;
}

const Lease* Leases::find(const std::string& name) const {
  const auto held = held_.find(name);
  return held == held_.end() ? nullptr : &held->second.lease;
}

Duration Leases::left(const std::string& name) const {
  const Lease* lease = find(name);
  return lease == nullptr ? 0ns : std::max<Duration>(0ns, lease->end() - lane_.now());
}

void Leases::report_ends() {
  std::vector<std::string> over;
  for (const auto& [end, name] : ends_) {
    if (end > lane_.now()) break;
    if (held_.at(name).renewing == 0) over.push_back(name);
  }
  for (const std::string& name : over) {
    Held& held = held_.at(name);
    held.reported = true;
    ends_.erase({held.lease.end(), name});
    over_(name);
  }
}

std::optional<SteadyTime> Leases::next_end() const {
  const auto next = std::ranges::find_if(ends_, [&](const auto& entry) { return entry.first > lane_.now(); });
  if (next == ends_.end()) return std::nullopt;
  return next->first;
}

Task<void> Leases::watch() {
  for (;;) {
    report_ends();
    std::optional<ScopedTimer> timer;
    if (const auto next = next_end()) timer.emplace(lane_, *next, [this] { changed_.notify_all(); });
    const Result<void> waited = co_await changed_.wait();
    if (!waited) co_return;
  }
}

}  // namespace dms::provider
