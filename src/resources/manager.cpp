#include "resources/manager.hpp"

namespace dms::resources {

using capability::Resources;

namespace {
constexpr std::string_view kShare = "onboarding";  // collections
constexpr std::string_view kEntries = "resources";
constexpr std::string_view kOnly = "share";
}  // namespace

Result<Manager> Manager::open(db::Store& store, std::function<UnixTime()> now) {
  Manager manager(store, std::move(now));
  TRY(manager.share_, store.get_value<Resources>(kShare, kOnly));
  TRY(auto entries, store.list_values<Entry>(kEntries));
  for (auto& [id, entry] : entries) manager.entries_.emplace(std::move(id), std::move(entry));
  return manager;
}

Result<void> Manager::onboard(const Resources& share, const Resources& machine) {
  if (share.cpu.cores.empty()) return fail(Errc::invalid_argument, "cpu.cores: more than 0 expected");
  if (share.ram.size.empty()) return fail(Errc::invalid_argument, "ram.size: more than 0 expected");
  if (!capability::covers(machine, share))
    return fail(Errc::limit_exceeded, "more than the machine has: {}", capability::explain_shortage(machine, share));
  if (Result<Resources> rest = remaining_of(share); !rest)
    return fail(rest.error(), "less than is promised and in use; shut those deployments down first");
  TRY_VOID(store_->put_value(kShare, kOnly, share));
  share_ = share;
  return {};
}

Result<void> Manager::offboard() {
  for (const auto& [id, entry] : entries_)
    if (counts(entry)) return fail(Errc::invalid_argument, "allocation {} still holds resources; wait for its end or shut its deployment down", id);
  TRY_VOID(store_->erase(kShare, kOnly));
  share_.reset();
  return {};
}

Result<void> Manager::commit(const std::string& id, const Resources& wanted, UnixTime expires) {
  if (const auto it = entries_.find(id); it != entries_.end()) {
    if (counts(it->second)) return fail(Errc::already_exists, "{} holds resources already", id);
    TRY_VOID(erase(it));
  }
  TRY(const Resources available, free());
  if (!capability::covers(available, wanted))
    return fail(Errc::limit_exceeded, "not enough is free: {}", capability::explain_shortage(available, wanted));
  Entry entry{false, wanted, expires.nanos};
  TRY(entry.resources.gpus, capability::assign_gpus(available.gpus, wanted.gpus));
  TRY_VOID(store_->put_value(kEntries, id, entry));
  entries_.emplace(id, std::move(entry));
  return {};
}

Result<void> Manager::uncommit(const std::string& id) {
  const auto it = entries_.find(id);
  if (it == entries_.end() || it->second.allocated) return fail(Errc::not_found, "nothing is promised to {}", id);
  return erase(it);
}

Result<void> Manager::allocate(const std::string& id) {
  const auto it = entries_.find(id);
  if (it == entries_.end() || !counts(it->second)) return fail(Errc::not_found, "nothing is promised to {}, or no longer", id);
  if (it->second.allocated) return fail(Errc::already_exists, "{} is allocated already", id);
  Entry entry = it->second;
  entry.allocated = true;
  TRY_VOID(store_->put_value(kEntries, id, entry));
  it->second = std::move(entry);
  return {};
}

Result<void> Manager::deallocate(const std::string& id) {
  const auto it = entries_.find(id);
  if (it == entries_.end() || !it->second.allocated) return fail(Errc::not_found, "nothing is allocated to {}", id);
  return erase(it);
}

Result<void> Manager::release_all() {
  TRY_VOID(store_->transaction([&]() -> Result<void> {
    for (const auto& [id, entry] : entries_) TRY_VOID(store_->erase(kEntries, id));
    return {};
  }));
  entries_.clear();
  return {};
}

Result<void> Manager::erase(std::map<std::string, Entry>::iterator it) {
  TRY_VOID(store_->erase(kEntries, it->first));
  entries_.erase(it);
  return {};
}

Result<Resources> Manager::remaining_of(const Resources& share) const {
  Resources rest = share;
  for (const auto& [id, entry] : entries_)
    if (counts(entry)) { TRY(rest, capability::subtract(rest, entry.resources)); }
  return rest;
}

Result<Resources> Manager::free() const {
  if (!share_) return fail(Errc::not_found, "this machine is not onboarded");
  return remaining_of(*share_);
}

Result<Resources> Manager::sum(Use use) const {
  Resources total;
  for (const auto& [id, entry] : entries_)
    if (counts(entry) && entry.allocated == (use == Use::allocated)) { TRY(total, capability::add(total, entry.resources)); }
  return total;
}

Result<Resources> Manager::held(const std::string& id) const {
  const auto it = entries_.find(id);
  if (it == entries_.end() || !counts(it->second)) return fail(Errc::not_found, "{} holds nothing", id);
  return it->second.resources;
}

}  // namespace dms::resources
