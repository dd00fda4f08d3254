// What a start of the daemon finds, and what it makes of it: see Allocations (3).
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
    allocation->resume(known.contains(executor::ExecutionId(record.incarnation)));
    if (record.phase == Phase::releasing) work_.spawn(release_logged(key));
  }
  work_.spawn(leases_.watch());
  co_return Result<void>();
}

Task<std::set<executor::ExecutionId>> Allocations::recover_executors() {
  std::map<std::string, std::vector<executor::Request>> requests;
  for (const auto& [key, allocation] : allocations_) {
    if (allocation->record().phase == Phase::allocated) continue;
    Result<executor::Request> request = allocation->execution_request();
    if (request)
      requests[request->engine.type].push_back(std::move(*request));
    else
      log::warn("provider", "allocation {}: {}", key.id, request.error().to_string());
  }
  std::set<executor::ExecutionId> known;
  for (const auto& [type, engine] : parts_.services.executors) {
    std::vector<executor::Request> own = std::move(requests[type]);
    const Result<std::vector<executor::ExecutionId>> taken = co_await engine->recover(std::move(own));
    if (taken)
      known.insert(taken->begin(), taken->end());
    else
      log::warn("provider", "taking up what runs, {}: {}", type, taken.error().to_string());
  }
  co_return std::move(known);
}

Task<Result<void>> Allocations::keep_only_recorded() {
  std::set<std::string> active;
  std::set<std::string> recorded;
  for (const auto& [key, allocation] : allocations_) {
    recorded.insert(allocation->name());
    if (allocation->active()) active.insert(allocation->name());
  }
  CO_TRY_VOID(co_await parts_.services.resources.release_all(active));
  for (const auto& [key, allocation] : allocations_) {
    if (!allocation->active() || parts_.services.resources.find(allocation->name())) continue;
    const Result<void> taken = co_await take_resources(allocation->name(), allocation->record().config.resources);
    if (!taken) log::error("provider", "the resources of {}: {}", key.id, taken.error().to_string());
  }
  auto removal = [jobs = parts_.services.work_dir / "jobs", recorded] {
    const Result<void> outcome = quarantine_entries(jobs, recorded);
    sweep_quarantine(jobs);
    return outcome;
  };
  const Result<void> removed = co_await offload(std::move(removal));
  if (!removed) log::warn("provider", "removing folders of an earlier run: {}", removed.error().to_string());
  co_return Result<void>();
}

}  // namespace dms::provider
