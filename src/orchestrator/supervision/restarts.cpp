#include "orchestrator/supervision/restarts.hpp"

#include "base/log.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/supervision/reconcile.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

using namespace protocol;

bool Restarts::needed(const std::string& name, const AllocationManifest& entry) const {
  if (!parts_.record->ensemble.allocations.contains(name) || is_final(entry.status)) return false;
  return parts_.record->restarting.contains(name) ||
         (entry.status == AllocationStatus::running && entry.health == Health::unhealthy);
}

Task<void> Restarts::run() {
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    const SteadyTime now = parts_.now();
    SteadyTime next = now + kMaxPause;
    for (const auto& [name, entry] : parts_.record->manifest.allocations) {
      if (!needed(name, entry) || under_way_.contains(name)) continue;
      if (const SteadyTime due = pauses_.due(name); due > now) {
        next = std::min(next, due);
        continue;
      }
      (void)pauses_.next(name, now);
      under_way_.insert(name);
      work_.spawn(restart(name, entry.incarnation));
    }
    endings_.fetch_rests();
    const Result<void> waited = co_await parts_.record.changed().wait_past(seen, next);
    if (!waited) co_return;
  }
}

/// A provider without leases has no pages.
Task<void> Restarts::fetch_output(std::string name) {
  if (parts_.allocation(name)->lease_ns == 0) co_return;
  Task<Result<void>> fetching = collector_.fetch(name, false);
  const Result<void> fetched = co_await with_timeout(kRestartOutput, std::move(fetching));
  if (!fetched)
    log::info("orchestrator", "{}: {} is restarted before all of its output is here: {}", parts_.id(), name,
              fetched.error().to_string());
}

AllocationReport Restarts::end_of(const RestartReply& reply) {
  AllocationReport report;
  report.status = AllocationStatus::failed;
  report.incarnation = reply.incarnation;
  report.exit_code = kNeverRanOrLost;
  report.reason = reply.error;
  report.restart_failed = true;
  return report;
}

Task<void> Restarts::restart(std::string name, std::string run) {
  const auto is_run = [&](const DeploymentRecord& record) {
    const auto found = record.manifest.allocations.find(name);
    return found != record.manifest.allocations.end() && found->second.incarnation == run &&
           !is_final(found->second.status);
  };
  const auto intend = [&](DeploymentRecord& record) {
    if (!is_run(record)) return;
    if (!record.restarting.contains(name)) note_restart_in_place(record, name);
    record.restarting[name] = run;
    forget_earlier_output(record, name);
    AllocationManifest& entry = record.manifest.allocations.at(name);
    entry.status = AllocationStatus::restarting;
    if (!entry.reason.starts_with(kFailedCheck)) entry.reason = kFailedCheck;
  };
  const Result<void> intended = co_await parts_.record.update_until_stored(intend);
  if (intended && is_run(parts_.record.get())) co_await fetch_output(name);
  if (intended && is_run(parts_.record.get())) {  // it may have ended meanwhile
    const actor::Handle handle = parts_.allocation(name)->handle;
    Result<RestartReply> reply = co_await parts_.providers.restart(handle, run);
    if (!reply && reply.error().is(Errc::permission_denied))
      reply = RestartReply{false, reply.error().to_string(), run};
    const std::string refusal = reply ? reply->error : reply.error().to_string();  // the latter for the log only
    log::info("orchestrator", "{}: restart of {}: {}", parts_.id(), name,
              refusal.empty() ? reply->incarnation : refusal);
    const bool replaced = reply && !reply->incarnation.empty() && reply->incarnation != run;
    // The provider is being stopped, or its machine has lost the next run: the next reply or report says.
    const bool undecided = replaced && !reply->ok;
    const auto settle = [&](DeploymentRecord& record) {
      if (!is_run(record) || !record.restarting.contains(name)) return;
      AllocationManifest& entry = record.manifest.allocations.at(name);
      entry.status = AllocationStatus::running;
      entry.reason = refusal;
      if (replaced && take_over_restart(record, name, reply->incarnation)) entry.health = Health::starting;
      record.restarting.erase(name);
    };
    if (reply && reply->restart_failed) {
      AllocationReport end = end_of(*reply);
      co_await endings_.on_report(name, std::move(end), run);
    } else if (reply && !undecided) {
      (void)co_await parts_.record.update_until_stored(settle);
    }
  }
  under_way_.erase(name);
  parts_.record.changed().raise();
}

}  // namespace dms::orchestrator
