#include "orchestrator/deployment/record.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace dms::orchestrator {

Result<DeploymentRecord> read_record(std::string_view id, std::string_view text) {
  TRY(DeploymentRecord record, db::Store::read<DeploymentRecord>(kDeploymentCollection, id, text));
  if (record.id != id) return fail(Errc::invalid_argument, "id: expected {}, found another", id);
  if (record.ensemble.allocations.empty()) return fail(Errc::invalid_argument, "ensemble: expected one, found nothing");
  return record;
}

Task<Result<void>> RecordStore::save(DeploymentRecord record) {
  const std::string collection(kDeploymentCollection);
  co_return co_await store_.put_value(collection, record.id, record);
}

Task<Result<std::optional<DeploymentRecord>>> RecordStore::load(std::string id) {
  const std::string collection(kDeploymentCollection);
  CO_TRY(const std::optional<std::string> text, co_await store_.get(collection, id));
  if (!text) co_return std::nullopt;
  CO_TRY(DeploymentRecord record, read_record(id, *text));
  co_return record;
}

Task<Result<RecordStore::Loaded>> RecordStore::load_all() {
  const std::string collection(kDeploymentCollection);
  CO_TRY(const std::vector<db::Document> documents, co_await store_.list(collection));
  Loaded loaded;
  for (const auto& [id, text] : documents) {
    if (Result<DeploymentRecord> record = read_record(id, text)) {
      loaded.records.push_back(std::move(*record));
    } else {
      loaded.unreadable[id] = record.error().to_string();
    }
  }
  co_return loaded;
}

Task<Result<bool>> RecordStore::exists(std::string id) {
  const std::string collection(kDeploymentCollection);
  CO_TRY(const std::optional<std::string> text, co_await store_.get(collection, std::move(id)));
  co_return text.has_value();
}

Task<Result<void>> RecordStore::erase(std::string id) {
  const std::string collection(kDeploymentCollection);
  CO_TRY_VOID(co_await store_.erase(collection, std::move(id)));
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> RecordStore::expired(UnixTime now) {
  Task<Result<Loaded>> loading = load_all();
  CO_TRY(Loaded loaded, co_await std::move(loading));
  std::vector<const DeploymentRecord*> ended;
  for (const DeploymentRecord& record : loaded.records)
    if (is_final(record.status) && !record.unsettled()) ended.push_back(&record);
  const auto end_of = [](const DeploymentRecord& r) { return r.ended != 0 ? r.ended : r.created; };
  std::ranges::sort(ended, [&](const auto* a, const auto* b) { return end_of(*a) > end_of(*b); });
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < ended.size(); ++i)
    if (i >= kMaxEndedDeployments || UnixTime{end_of(*ended[i])} + kEndedRetention < now) ids.push_back(ended[i]->id);
  co_return ids;
}

Task<Result<void>> DurableRecord::update(Change change) {
  Mutex::Lock lock = co_await changing_.lock();
  if (closed_) co_return fail(Errc::closed, "deployment {} is not held any more", record_.id);
  DeploymentRecord next = record_;
  change(next);
  if (stamp_) stamp_(next);
  Task<Result<void>> saving = store_.save(next);
  CO_TRY_VOID(co_await std::move(saving));
  const auto before = std::exchange(record_, std::move(next)).status;
  if (const auto now = record_.status; now != before)
    log::info("orchestrator", {{"deployment", record_.id}, {"from", to_string(before)}, {"to", to_string(now)}},
              "{}: {} -> {}{}{}", record_.id, to_string(before), to_string(now), record_.error.empty() ? "" : ": ",
              record_.error);
  changed_.raise();
  co_return Result<void>();
}

Task<void> DurableRecord::close() {
  const Mutex::Lock lock = co_await changing_.lock();
  closed_ = true;
}

Task<Result<void>> DurableRecord::update_until_stored(Change change) {
  Duration pause = kSaveRetry;
  for (;;) {
    Result<void> saved = co_await update(change);
    if (saved || saved.error().is(Errc::cancelled) || saved.error().is(Errc::deadline_exceeded) || closed_)
      co_return saved;
    log::error("orchestrator", "{}: the record cannot be stored, trying again in {} s: {}", record_.id,
               std::chrono::duration_cast<std::chrono::seconds>(pause).count(), saved.error().to_string());
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return slept;
    pause = std::min(2 * pause, kMaxSaveRetry);
  }
}

}  // namespace dms::orchestrator
