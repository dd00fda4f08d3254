#include "orchestrator/deployment/cleaner.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "orchestrator/deployment/provisioner.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<void> Cleaner::run() {
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    for (const Superseded& entry : parts_.record->superseded)
      if (begun_.insert(entry.number).second) work_.spawn(release(entry));
    const Result<void> waited = co_await parts_.record.changed().wait_past(seen);
    if (!waited) co_return;
  }
}

Task<void> Cleaner::release(Superseded entry) {
  const SteadyTime begun = parts_.now();
  const auto is_known = [](const auto& held) { return !held.second.empty(); };
  const bool leased = std::ranges::any_of(entry.allocations, is_known);
  const bool removable = entry.ended || std::ranges::all_of(entry.allocations, is_known);
  const Duration hold(entry.hold_ns);
  const Duration patience = leased ? std::max(kResidueTime, hold) : hold;
  Duration pause = kReleasePause;
  bool shutdown = entry.ended;
  for (;;) {
    const Result<void> released = co_await request(entry, shutdown);
    if (released) break;
    if (work_.cancelled()) co_return;  // a code does not say so: a peer can close a stream
    log::info("orchestrator", "{}: {}", parts_.id(), released.error().to_string());
    if (!entry.ended && entry.problem.empty()) {
      entry.problem = released.error().to_string();
      const Result<void> recorded = co_await record(entry);
      if (!recorded) co_return;
    }
    const Duration waited = parts_.now() - begun;
    if (waited >= patience) break;
    if (!entry.over && waited >= hold) {
      log::warn("orchestrator", "{}: {} does not answer; what it ran has ended by itself", parts_.id(), entry.peer);
      entry.over = true;
      const Result<void> recorded = co_await record(entry);
      if (!recorded) co_return;
    }
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    pause = std::min(2 * pause, kMaxReleasePause);
    shutdown = removable && !shutdown;
  }
  const auto forget = [&entry](DeploymentRecord& record) {
    std::erase_if(record.superseded, [&](const Superseded& other) { return other.number == entry.number; });
  };
  (void)co_await parts_.record.update_until_stored(forget);
}

Task<Result<void>> Cleaner::record(Superseded entry) {
  const auto keep = [&entry](DeploymentRecord& record) {
    for (Superseded& other : record.superseded)
      if (other.number == entry.number) {
        other.problem = entry.problem;
        other.over = other.over || entry.over;
      }
  };
  co_return co_await parts_.record.update_until_stored(keep);
}

Task<Result<void>> Cleaner::request(const Superseded& entry, bool shutdown) {
  std::vector<Task<Result<void>>> requests;
  if (shutdown)
    for (const auto& [name, incarnation] : entry.allocations)
      requests.push_back(parts_.providers.remove(entry.handle, jobs::allocation_id(parts_.id(), name), incarnation));
  else
    requests.push_back(parts_.providers.revert(entry.handle, entry.allocations, kReleaseTimeout));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(requests));
  co_return first_error(outcomes);
}

}  // namespace dms::orchestrator
