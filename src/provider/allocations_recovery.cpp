// What a start of the daemon finds, and what it makes of it: see Allocations (3).
#include <algorithm>
#include <iterator>

#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "provider/allocations.hpp"

namespace dms::provider {

Task<Result<void>> Allocations::recover() {
  CO_TRY(std::vector<AllocationStore::Loaded> loaded, store_.load());
  for (AllocationStore::Loaded& entry : loaded) {
    const std::string id = entry.record.id;
    std::optional<LocalName> name = parts_.names.take_up(entry.record.name);
    Result<AllocationPtr> allocation = fail(Errc::already_exists, "its name is taken");
    if (name && !allocations_.contains(AllocationKey{entry.record.orchestrator.did, id}))
      allocation = take_up(std::move(entry.record), std::move(*name), std::move(entry.lease));
    if (!allocation) log::error("provider", "allocation {} cannot be taken up: {}", id, allocation.error().to_string());
  }
  const std::set<executor::ExecutionId> known = co_await recover_executors();
  CO_TRY_VOID(co_await keep_only_recorded());
  for (const auto& [key, allocation] : allocations_) {
    const AllocationRecord& record = allocation->record();
    const Result<void> opened = open(*allocation);
    if (!opened) log::error("provider", "allocation {}: {}", key.id, opened.error().to_string());
    log::info("provider", {{"allocation", key.id}, {"phase", to_string(record.phase)}}, "allocation {} is taken up: {}",
              key.id, to_string(record.phase));
    if (!allocation->awaits_engine()) allocation->resume(known.contains(executor::ExecutionId(record.incarnation)));
    if (record.stopping && allocation->active())
      work_.spawn(stop_into(allocation, std::nullopt, std::make_shared<std::optional<Result<void>>>()));
    if (record.phase == Phase::releasing) work_.spawn(release_logged(key));
  }
  for (const auto& [type, engine] : parts_.services.executors)
    if (!engine->ready()) work_.spawn(recover_later(type, engine));
  work_.spawn(leases_.watch());
  co_return Result<void>();
}

std::vector<executor::Request> Allocations::requests_of(const std::string& type) const {
  std::vector<executor::Request> requests;
  for (const auto& [key, allocation] : allocations_) {
    const AllocationRecord& record = allocation->record();
    if (record.phase == Phase::allocated || record.config.execution.type != type) continue;
    Result<std::vector<executor::Request>> known = allocation->known_requests();
    if (known)
      std::ranges::move(*known, std::back_inserter(requests));
    else
      log::warn("provider", "allocation {}: {}", key.id, known.error().to_string());
  }
  return requests;
}

Task<std::set<executor::ExecutionId>> Allocations::recover_executors() {
  std::set<executor::ExecutionId> known;
  for (const auto& [type, engine] : parts_.services.executors) {
    std::vector<executor::Request> own = requests_of(type);
    const std::size_t count = own.size();
    // The start does not wait again for an engine that has not answered the daemon before.
    Result<std::vector<executor::ExecutionId>> taken = fail(Errc::unsupported, "its engine does not answer");
    if (engine->ready()) taken = co_await engine->recover(std::move(own));
    if (taken)
      known.insert(taken->begin(), taken->end());
    else if (count > 0 || engine->ready())
      log::warn("provider", "taking up {} executions of executor {}{}: {}", count, type,
                engine->ready() ? "" : ", which is tried again until its engine answers", taken.error().to_string());
  }
  co_return std::move(known);
}

/// The engine did not answer when the daemon started. What it runs is not lost for that.
Task<void> Allocations::recover_later(std::string type, executor::Executor* engine) {
  std::map<AllocationKey, std::string> waiting;
  for (const auto& [key, allocation] : allocations_)
    if (allocation->record().config.execution.type == type && allocation->awaits_engine())
      waiting.emplace(key, allocation->record().incarnation);
  Result<std::vector<executor::ExecutionId>> taken = fail(Errc::unsupported, "not tried yet");
  for (Duration pause = kFirstRetry; !taken; pause = std::min(2 * pause, kLongestRetry)) {
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    std::vector<executor::Request> own = requests_of(type);
    taken = co_await engine->recover(std::move(own));
    if (!taken) log::debug("provider", "executor {}: {}", type, taken.error().to_string());
  }
  log::info("provider", "the engine of executor {} answers: {} executions are taken up", type, taken->size());
  const std::set<executor::ExecutionId> known(taken->begin(), taken->end());
  for (const auto& [key, incarnation] : waiting) {
    const auto found = allocations_.find(key);
    if (found == allocations_.end()) continue;
    const AllocationRecord& record = found->second->record();
    // Otherwise it has been released or replaced meanwhile, by what waits for the engine itself.
    if (record.incarnation == incarnation && (record.phase == Phase::starting || record.phase == Phase::running))
      found->second->resume(known.contains(executor::ExecutionId(incarnation)));
  }
}

Task<Result<void>> Allocations::keep_only_recorded() {
  std::set<std::string> recorded;
  for (const auto& [key, allocation] : allocations_) recorded.insert(allocation->name());
  // On a full disk it cannot be stored; sweep() frees what is left.
  const Result<void> released = co_await parts_.services.resources.release_all(recorded);
  if (!released)
    log::warn("provider", "resources of an earlier run are not freed, which is tried again: {}",
              released.error().to_string());
  for (const auto& [key, allocation] : allocations_) {
    if (allocation->record().phase == Phase::ended) co_await free_after_end(allocation->name());
    if (!allocation->active() || parts_.services.resources.find(allocation->name())) continue;
    const Result<void> taken = co_await take_resources(allocation->name(), allocation->record().config.resources);
    if (!taken) log::error("provider", "the resources of {}: {}", key.id, taken.error().to_string());
  }
  auto removal = [jobs = parts_.services.work_dir / "jobs", recorded] { return quarantine_entries(jobs, recorded); };
  const Result<void> removed = co_await offload(std::move(removal));
  if (!removed) log::warn("provider", "removing folders of an earlier run: {}", removed.error().to_string());
  std::set<std::string> actors;
  for (const std::string& name : recorded) actors.insert(actor_folder_name(name));
  auto clearing = [folders = parts_.services.work_dir / kActorFolders, actors] {
    return remove_actor_folders(folders, actors);
  };
  const Result<void> cleared = co_await offload(std::move(clearing));
  if (!cleared) log::warn("provider", "removing sockets of an earlier run: {}", cleared.error().to_string());
  work_.spawn(empty_quarantine());
  co_return Result<void>();
}

/// It may take hours: a job may have left millions of files. An engine that does not answer can give none yet.
Task<void> Allocations::empty_quarantine() {
  std::vector<executor::Executor*> ready;
  std::vector<executor::Executor*> away;
  for (const auto& [type, engine] : parts_.services.executors) (engine->ready() ? ready : away).push_back(engine);
  co_await empty_quarantine_with(std::move(ready));
  for (executor::Executor* engine : away) {
    for (Duration pause = kFirstRetry; !engine->ready(); pause = std::min(2 * pause, kLongestRetry)) {
      const Result<void> slept = co_await sleep_for(pause);
      if (!slept) co_return;
    }
    std::vector<executor::Executor*> one(1, engine);
    co_await empty_quarantine_with(std::move(one));
  }
}

Task<void> Allocations::empty_quarantine_with(std::vector<executor::Executor*> engines) {
  const std::filesystem::path jobs = parts_.services.work_dir / "jobs";
  auto listing = [jobs] { return quarantined_entries(jobs); };
  const std::vector<std::filesystem::path> entries = co_await offload(std::move(listing));
  for (executor::Executor* engine : engines)
    for (const std::filesystem::path& entry : entries) {
      if (closing_.stop_requested()) co_return;
      const Result<void> taken = co_await engine->take_files(entry);
      if (!taken && !taken.error().is(Errc::cancelled)) log::warn("provider", "{}", taken.error().to_string());
    }
  auto removal = [jobs, stop = closing_.get_token()] { return sweep_quarantine(jobs, stop); };
  (void)co_await offload(std::move(removal));
}

}  // namespace dms::provider
