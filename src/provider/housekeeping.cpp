#include "provider/housekeeping.hpp"

#include "base/log.hpp"
#include "base/remove_tree.hpp"

namespace dms::provider {

Task<Result<void>> Housekeeping::clean_up() {
  for (const auto& [type, engine] : services_.executors)
    if (auto cleaned = co_await engine->recover({}); !cleaned)
      log::warn("provider", "cleaning up after an earlier run, {}: {}", type, cleaned.error().to_string());
  CO_TRY_VOID(co_await services_.resources.release_all({}));
  auto removal = [jobs = services_.work_dir / "jobs"] {
    const Result<void> outcome = quarantine_entries(jobs);
    sweep_quarantine(jobs);
    return outcome;
  };
  if (const Result<void> removed = co_await offload(removal); !removed)
    log::warn("provider", "cleaning up after an earlier run: {}", removed.error().to_string());
  co_return Result<void>();
}

Task<void> Housekeeping::sweep_expired() {
  for (;;) {
    const Result<void> slept = co_await sleep_for(kSweepInterval);
    if (!slept) co_return;
    bids_.sweep();
    co_await reservations_.sweep();
    co_await allocations_.sweep();
  }
}

Task<void> Housekeeping::reconnect() {
  for (;;) {
    const Result<void> slept = co_await sleep_for(kReconnectInterval);
    if (!slept) co_return;
    std::set<std::string> lost = allocations_.orchestrators();
    for (const crypto::PeerId& peer : services_.network.peers()) lost.erase(peer.to_string());
    for (const std::string& host : lost) co_await contact(host);
  }
}

Task<void> Housekeeping::contact(std::string host) {
  const Result<crypto::PeerId> peer = crypto::PeerId::parse(host);
  if (!peer || *peer == services_.network.self()) co_return;
  const Result<Duration> answer = co_await with_timeout(kReconnectTimeout, services_.network.ping(*peer));
  if (answer) log::info("provider", "orchestrator {} is reachable again", host);
}

}  // namespace dms::provider
