#include "orchestrator/deployment/cleaner.hpp"

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
  const SteadyTime over = parts_.now() + Duration(entry.hold_ns);
  Duration pause = kReleasePause;
  bool shutdown = entry.ended;
  for (;;) {
    const Result<void> released = co_await request(entry, shutdown);
    if (released) break;
    if (released.error().is(Errc::cancelled) || released.error().is(Errc::closed)) co_return;
    log::info("orchestrator", "{}: {}", parts_.id(), released.error().to_string());
    if (parts_.now() >= over) {
      log::warn("orchestrator", "{}: {} does not answer; what it held has ended by itself", parts_.id(), entry.peer);
      break;
    }
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    pause = std::min(2 * pause, kMaxReleasePause);
    shutdown = entry.ended && !shutdown;
  }
  const auto forget = [&entry](DeploymentRecord& record) {
    std::erase_if(record.superseded, [&](const Superseded& other) { return other.number == entry.number; });
  };
  (void)co_await parts_.record.update_until_stored(forget);
}

Task<Result<void>> Cleaner::request(const Superseded& entry, bool shutdown) {
  std::vector<Task<Result<void>>> requests;
  if (shutdown)
    for (const auto& [name, incarnation] : entry.allocations)
      requests.push_back(parts_.providers.stop(entry.handle, jobs::allocation_id(parts_.id(), name), incarnation));
  else
    requests.push_back(parts_.providers.revert(entry.handle, entry.allocations, kReleaseTimeout));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(requests));
  co_return first_error(outcomes);
}

}  // namespace dms::orchestrator
