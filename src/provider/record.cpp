#include "provider/record.hpp"

#include "base/log.hpp"
#include "db/readable.hpp"
#include "provider/keys.hpp"

namespace dms::provider {

std::string actor_key_label(const AllocationRecord& record) {
  return fmt::format("allocation/{}/{}", record.name, record.created_ns);
}

bool is_unstarted(const AllocationRecord& record) {
  return record.phase == Phase::ended && record.end && record.end->status == protocol::AllocationStatus::terminated &&
         record.started_ns == 0 && record.previous.empty();
}

Result<void> check(const AllocationRecord& record) {
  TRY_VOID(check_id("id", record.id));
  TRY_VOID(check_id("name", record.name, kMaxLocalName));
  TRY_VOID(check_id("incarnation", record.incarnation));
  if (!record.previous.empty()) TRY_VOID(check_id("previous", record.previous));
  if ((record.phase == Phase::ended) != record.end.has_value() && record.phase != Phase::releasing)
    return fail(Errc::invalid_argument, "end: present exactly in the phase ended");
  return {};
}

Task<Result<void>> AllocationStore::create(AllocationRecord record, Lease lease) {
  db::AsyncStore::Change change = [name = record.name, text = json::encode(record),
                                   lease_text = json::encode(lease)](db::Store& store) -> Result<void> {
    TRY_VOID(store.put(kAllocationCollection, name, text));
    return store.put(kLeaseCollection, name, lease_text);
  };
  co_return co_await store_.transaction(std::move(change));
}

Task<Result<void>> AllocationStore::save(AllocationRecord record) {
  co_return co_await store_.put_value(std::string(kAllocationCollection), record.name, record);
}

Task<Result<void>> AllocationStore::erase(std::string name) {
  db::AsyncStore::Change change = [name](db::Store& store) -> Result<void> {
    TRY_VOID(store.erase(kAllocationCollection, name));
    TRY_VOID(store.erase(kLeaseCollection, name));
    return {};
  };
  co_return co_await store_.transaction(std::move(change));
}

Result<std::vector<AllocationStore::Loaded>> AllocationStore::load() {
  db::Store& store = store_.blocking();
  const auto valid = [](const std::string& name, const AllocationRecord& record) -> Result<void> {
    TRY_VOID(check(record));
    if (record.name != name) return fail(Errc::invalid_argument, "name: expected {}", name);
    return {};
  };
  TRY(auto records, db::list_readable<AllocationRecord>(store, kAllocationCollection, valid));
  TRY(auto stored, db::list_readable<Lease>(store, kLeaseCollection));
  std::map<std::string, Lease> leases(std::make_move_iterator(stored.begin()), std::make_move_iterator(stored.end()));
  std::vector<Loaded> loaded;
  for (auto& [name, record] : records) {
    auto lease = leases.extract(name);
    loaded.push_back({std::move(record), lease.empty() ? Lease{} : std::move(lease.mapped())});
  }
  for (const auto& [name, lease] : leases)
    if (const Result<bool> erased = store.erase(kLeaseCollection, name); !erased)
      log::warn("provider", "the lease {} belongs to nothing and is not erased: {}", name, erased.error().to_string());
  return loaded;
}

}  // namespace dms::provider
