#include "orchestrator/supervision/supervisor.hpp"

#include "base/log.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// How the clock of the machine that has just replied differs from `now`; empty if renewals are valid for longer.
/// `known`: by how much it was known to be ahead.
std::string difference_of(const RenewReply& reply, UnixTime now, Duration known) {
  if (reply.wall_ns == 0) return "perhaps its clock differs from that of this machine";
  const bool ahead = reply.wall_ns > now.nanos;
  const std::uint64_t by = ahead ? reply.wall_ns - now.nanos : now.nanos - reply.wall_ns;
  const Duration covered = 2 * kMinRenewal + (ahead ? known : Duration(0));
  if (by < static_cast<std::uint64_t>(covered.count())) return {};
  const std::uint64_t seconds = by / 1'000'000'000 + (by % 1'000'000'000 >= 500'000'000 ? 1 : 0);
  return fmt::format("its clock is {} s {} that of this machine", seconds, ahead ? "ahead of" : "behind");
}

}  // namespace

Task<void> Supervisor::run() {
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    const SteadyTime next = check_due();
    const Result<void> waited = co_await parts_.record.changed().wait_past(seen, next);
    if (!waited) break;
    (void)note_timer(next);
  }
  for (auto& [node, watch] : watches_) watch->beats.reset();
}

SteadyTime Supervisor::check_due() {
  watch_placed_nodes();
  const SteadyTime now = parts_.now();
  SteadyTime next = now + kMaxRenewal;
  for (auto& [node, watch] : watches_) {
    if (const std::optional<SteadyTime> due = heed_beats(node, watch)) next = std::min(next, *due);
    if (watch->busy) continue;
    if (health_is_awaited(node) && !watch->lease.suspected()) watch->due = std::min(watch->due, now + kMinRenewal);
    if (watch->due > now) {
      next = std::min(next, watch->due);
    } else {
      watch->busy = true;
      work_.spawn(check(node, watch));
    }
  }
  return next;
}

void Supervisor::watch_placed_nodes() {
  std::map<std::string, std::string> wanted;
  for (const auto& [name, allocation] : parts_.record->manifest.allocations)
    if (const NodeManifest* node = parts_.node(allocation.node_id);
        node != nullptr && is_placed(allocation) && !is_final(allocation.status))
      wanted[allocation.node_id] = node->peer;
  const auto is_leased = [&](const std::string& node) {
    return granted_lease(parts_.record.get(), node) > Duration(0);
  };
  std::erase_if(watches_, [&](const auto& pair) {
    const auto& [node, watch] = pair;
    const auto found = wanted.find(node);
    return found == wanted.end() || found->second != watch->peer ||
           is_leased(node) != (watch->lease.lease() > Duration(0));
  });
  std::erase_if(unreconciled_, [&](const std::string& node) { return !wanted.contains(node); });
  const SteadyTime now = parts_.now();
  for (const auto& [node, peer] : wanted) {
    WatchPtr& watch = watches_[node];
    if (watch == nullptr) {
      const Duration lease = granted_lease(parts_.record.get(), node);
      const Duration first = lease == Duration(0) ? kPingInterval : renewal_interval(lease);
      watch = std::make_shared<Watch>(peer, lease, now, unreconciled_.contains(node) ? now : now + first);
    }
    count_leases(node, *watch);
    watch_beats(node, *watch);
  }
}

void Supervisor::count_leases(const std::string& node, Watch& watch) {
  json::StringMap runs = placed_on(*parts_.node(node));
  for (const auto& [name, run] : runs) {
    const auto known = watch.runs.find(name);
    const Duration lease(parts_.allocation(name)->lease_ns);
    if (lease > Duration(0) && (known == watch.runs.end() || known->second != run))
      watch.lease.placed(lease, parts_.now());
  }
  watch.runs = std::move(runs);
}

void Supervisor::watch_beats(const std::string& node, Watch& watch) {
  const DeploymentRecord& record = parts_.record.get();
  if (record.status == DeploymentStatus::running && is_sought_elsewhere(record, node)) {
    if (watch.beats == nullptr)
      watch.beats = std::make_unique<Heartbeats::Watch>(heartbeats_, watch.peer, parts_.record.changed());
  } else {
    watch.beats.reset();
    watch.sign = Heartbeats::Sign::answers;
  }
}

std::optional<SteadyTime> Supervisor::heed_beats(const std::string& node, const WatchPtr& watch) {
  if (watch->beats == nullptr) return std::nullopt;
  const Heartbeats::Sign before = std::exchange(watch->sign, watch->beats->sign());
  const bool is_gone = watch->sign == Heartbeats::Sign::gone;
  if (watch->sign != before && !is_gone) hint(node);
  if (!is_gone || watch->reported_lost) return std::nullopt;
  if (parts_.now() < liveness_.suspects_itself_until()) return liveness_.suspects_itself_until();
  watch->reported_lost = true;
  std::string reason = fmt::format("provider {} is lost: it answers no pings: {}", watch->peer, watch->beats->error());
  work_.spawn(declare_lost(node, watch, std::move(reason)));
  return std::nullopt;
}

Task<void> Supervisor::declare_lost(std::string node, WatchPtr watch, std::string reason) {
  Task<void> losing = events_.lost(node, std::move(reason), false);
  co_await std::move(losing);
  if (!watch->reported_lost) hint(node);  // it has answered meanwhile, and what is stored says that it is lost
}

void Supervisor::reconcile_first() {
  for (const auto& [name, node] : parts_.record->manifest.nodes)
    if (granted_lease(parts_.record.get(), name) > Duration(0)) unreconciled_.insert(name);
  liveness_.suspect_itself(parts_.now());  // not every connection is there again
}

Task<void> Supervisor::ask(std::string node) {
  watch_placed_nodes();
  const auto found = watches_.find(node);
  if (found == watches_.end() || found->second->lease.lease() == Duration(0)) co_return;
  const WatchPtr watch = found->second;
  while (watch->busy) {
    const std::uint64_t seen = parts_.record.changed().count();
    const Result<void> waited = co_await parts_.record.changed().wait_past(seen, parts_.now() + kRenew.timeout);
    if (!waited) co_return;
  }
  watch->busy = true;
  co_await check(node, watch);
}

void Supervisor::hint(const std::string& node) {
  const auto found = watches_.find(node);
  if (found == watches_.end() || found->second->lease.lease() == Duration(0)) return;
  Watch& watch = *found->second;
  watch.hinted = watch.busy;
  const SteadyTime due = watch.asked + kMinRenewal;
  if (watch.busy || watch.due <= due) return;
  watch.due = due;
  parts_.record.changed().raise();
}

bool Supervisor::lost(const std::string& node) const {
  const auto found = watches_.find(node);
  const NodeManifest* placed = parts_.node(node);
  return found != watches_.end() && placed != nullptr && placed->peer == found->second->peer &&
         found->second->reported_lost;
}

bool Supervisor::refused(const std::string& node) const {
  const auto found = watches_.find(node);
  return found != watches_.end() && found->second->refusals >= kRefusalsUntilRefused;
}

std::string Supervisor::doubt(const Watch& watch) {
  if (watch.refusals < kRefusalsUntilRefused) return watch.clocks;
  return fmt::format(
      "it answers pings but no renewals: perhaps this node's capability is revoked, or the clocks of both machines "
      "differ by more than {} h",
      kPatientLifetime / 1h);
}

std::string Supervisor::doubt(const std::string& node) const {
  const auto found = watches_.find(node);
  return found == watches_.end() ? std::string() : doubt(*found->second);
}

bool Supervisor::known(const std::string& node) const { return !unreconciled_.contains(node); }

std::optional<Supervisor::Silence> Supervisor::silence(const std::string& node) const {
  const auto found = watches_.find(node);
  if (found == watches_.end()) return std::nullopt;
  const Watch& watch = *found->second;
  const bool leased = watch.lease.lease() > Duration(0);
  if (leased ? !watch.lease.suspected() : liveness_.answers(watch.peer)) return std::nullopt;
  Silence silence;
  silence.clocks = watch.clocks;
  const SteadyTime beaten = watch.beats == nullptr ? SteadyTime() : watch.beats->last_answer();
  silence.lasts = parts_.now() - std::max(watch.heard, beaten);
  if (leased) silence.ends = watch.lease.ends(kLeaseMargin);
  return silence;
}

const AllocationReport* Supervisor::report(const std::string& allocation) const {
  const auto found = reports_.find(allocation);
  return found == reports_.end() ? nullptr : &found->second;
}

void Supervisor::note_progress(const std::string& allocation, const std::string& run,
                               std::optional<StartProgress> progress) {
  const AllocationManifest* entry = parts_.allocation(allocation);
  if (entry == nullptr || entry->incarnation != run) return;
  if (progress && progress->is_sound())
    starts_[allocation] = {run, *progress};
  else
    starts_.erase(allocation);
}

std::optional<StartProgress> Supervisor::progress(const std::string& allocation) const {
  const auto found = starts_.find(allocation);
  const AllocationManifest* entry = parts_.allocation(allocation);
  if (found == starts_.end() || entry == nullptr) return std::nullopt;
  const bool starts = is_placed(*entry) && entry->status == AllocationStatus::pending;
  return starts && entry->incarnation == found->second.run ? std::optional(found->second.progress) : std::nullopt;
}

Task<void> Supervisor::check(std::string node, WatchPtr watch) {
  const bool leased = watch->lease.lease() > Duration(0);
  if (leased)
    co_await renew(node, watch);
  else
    co_await ping(node, watch);
  watch->due = parts_.now() + (leased ? watch->lease.interval() : kPingInterval);
  watch->busy = false;
  if (std::exchange(watch->hinted, false)) hint(node);
  parts_.record.changed().raise();
}

Task<void> Supervisor::ping(std::string node, WatchPtr watch) {
  const Result<bool> lost = co_await liveness_.ping(watch->peer);
  if (liveness_.answers(watch->peer)) watch->heard = parts_.now();
  if (!lost || !*lost || watch->reported_lost) co_return;
  Task<bool> asking = suspects_itself(watch->peer);
  const bool own_fault = co_await std::move(asking);
  if (own_fault) co_return;
  watch->reported_lost = true;
  const std::string reason = fmt::format("provider {} is lost: {}", watch->peer, liveness_.last_error(watch->peer));
  co_await events_.lost(node, reason, false);
}

json::StringMap Supervisor::placed_on(const NodeManifest& node) const {
  json::StringMap runs;
  for (const std::string& name : node.allocations)
    if (const AllocationManifest* entry = parts_.allocation(name);
        entry != nullptr && entry->node_id == node.id && is_placed(*entry) && !is_final(entry->status))
      runs[name] = entry->incarnation;
  return runs;
}

Task<void> Supervisor::renew(std::string node, WatchPtr watch) {
  const NodeManifest* placed = parts_.node(node);
  if (placed == nullptr || placed->peer != watch->peer) co_return;
  const actor::Handle provider = placed->handle;
  json::StringMap asked = placed_on(*placed);
  json::StringMap runs;
  const bool renews = watch->lease.renews();
  const bool names_old_clock = watch->missed;
  if (renews) runs = asked;
  const Duration timeout = std::clamp(watch->lease.interval(), Duration(2 * kMinRenewal), kRenew.timeout);
  watch->asked = parts_.now();
  const SteadyTime expected = watch->asked + timeout;
  if (renews) watch->lease.renewal_sent(parts_.now() + timeout);
  const std::int64_t clock = watch->lease.clock();
  Result<RenewReply> reply = co_await parts_.providers.renew(provider, std::move(runs), clock, timeout);
  if (!reply && work_.cancelled()) co_return;  // a code does not say so: a peer can close a stream
  const bool is_late = note_timer(expected);
  if (reply) {
    watch->lease.answered(parts_.now(), reply->clock_ns);
    watch->heard = parts_.now();
    if (watch->beats != nullptr) watch->beats->heard();
    watch->reported_lost = watch->reported_ended = false;
    watch->refusals = 0;
    watch->missed = false;
    co_await take_in(node, watch->peer, std::move(asked), std::move(*reply));
    if (!renews || names_old_clock) co_await renew(node, watch);
    co_return;
  }
  if (!std::exchange(watch->missed, true)) watch->clocks.clear();
  if (!is_late) {
    watch->lease.not_answered(network::plain(reply.error()), parts_.now());
    work_.spawn(count_refusal(node, provider, watch));
  }
  if (watch->lease.suspected() && !watch->lease.silent())
    log::info("orchestrator", "{}: provider {} is suspected: {}", parts_.id(), watch->peer, reply.error().to_string());
  co_await judge(node, watch);
}

/// After a renewal without a reply.
Task<void> Supervisor::count_refusal(std::string node, actor::Handle provider, WatchPtr watch) {
  const Result<bool> lost = co_await liveness_.ping(watch->peer);
  if (!lost || !liveness_.answers(watch->peer) || !watch->lease.suspected()) {
    watch->refusals = 0;
    co_return;
  }
  watch->heard = parts_.now();
  const Duration timeout = std::clamp(watch->lease.interval(), Duration(2 * kMinRenewal), kPingTimeout);
  const SteadyTime expected = parts_.now() + timeout;
  const Duration known = parts_.actor.system().clocks.ahead(watch->peer);
  Task<Result<RenewReply>> asking = parts_.providers.patient_reports(std::move(provider), timeout);
  const Result<RenewReply> reply = co_await std::move(asking);
  if (work_.cancelled() || !watch->lease.suspected()) co_return;
  if (reply) {
    watch->refusals = 0;
    if (!watch->clocks.empty()) co_return;
    watch->clocks = difference_of(*reply, parts_.services.lane.unix_now(), known);
    if (watch->clocks.empty()) co_return;
    log::warn("orchestrator", "{}: provider {} answers no renewals: {}", parts_.id(), watch->peer, watch->clocks);
    parts_.record.changed().raise();
    hint(node);
    co_return;
  }
  if (note_timer(expected)) co_return;
  if (++watch->refusals == kRefusalsUntilRefused)
    log::warn("orchestrator", "{}: provider {}: {}", parts_.id(), watch->peer, doubt(*watch));
}

Task<void> Supervisor::take_in(std::string node, std::string peer, json::StringMap asked, RenewReply reply) {
  const auto compare = [&](DeploymentRecord& record) {
    const auto placed = record.manifest.nodes.find(node);
    const bool is_there = placed != record.manifest.nodes.end() && placed->second.peer == peer;
    return is_there ? reconcile(record, node, reply) : Findings();
  };
  DeploymentRecord trial = parts_.record.get();
  Findings findings = compare(trial);
  if (findings.changed) {
    const auto change = [&](DeploymentRecord& record) { findings = compare(record); };
    const Result<void> stored = co_await parts_.record.update_until_stored(change);
    if (!stored) co_return;
  }
  if (const NodeManifest* placed = parts_.node(node); placed == nullptr || placed->peer != peer) co_return;
  unreconciled_.erase(node);
  for (auto& [name, report] : reply.allocations) {
    if (parts_.allocation(name) == nullptr) continue;
    note_progress(name, report.incarnation, report.progress);
    reports_[name] = report;
  }
  for (auto& [name, report] : findings.ended) co_await events_.ended(name, report);
  std::erase_if(findings.missing, [&](const auto& run) {
    const auto then = asked.find(run.first);
    return then == asked.end() || then->second != run.second;
  });
  std::erase_if(findings.others, [&](const auto& run) { return !findings.missing.contains(run.first); });
  if (!findings.others.empty()) {
    const auto supersede_others = [&](DeploymentRecord& record) {
      const auto placed = record.manifest.nodes.find(node);
      if (placed != record.manifest.nodes.end())
        supersede_unknown(record, placed->second.handle, findings.others,
                          on_loss(record.ensemble, node) == jobs::OnLoss::exclusive);
    };
    const Result<void> stored = co_await parts_.record.update_until_stored(supersede_others);
    if (!stored) co_return;
  }
  for (const auto& [name, run] : findings.missing) {
    const std::string reason = fmt::format("the provider no longer has {}", name);
    co_await events_.missing(name, run, reason);
  }
}

Task<void> Supervisor::judge(std::string node, WatchPtr watch) {
  const auto is_judged = [&] {
    watch_placed_nodes();
    const auto found = watches_.find(node);
    return watch->lease.silent() && found != watches_.end() && found->second == watch;
  };
  if (!is_judged()) co_return;
  const bool ended = watch->lease.surely_ended(parts_.now(), kLeaseMargin);
  bool& reported = ended ? watch->reported_ended : watch->reported_lost;
  if (reported) co_return;
  if (!ended) {
    Task<bool> asking = suspects_itself(watch->peer);
    const bool own_fault = co_await std::move(asking);
    if (own_fault || reported || !is_judged()) co_return;
  }
  reported = true;
  std::string reason = fmt::format("provider {} is lost: {}", watch->peer, watch->lease.error());
  add_reason(reason, doubt(*watch));
  co_await events_.lost(node, reason, ended);
}

Task<bool> Supervisor::suspects_itself(std::string peer) {
  Task<bool> asking = liveness_.is_own_fault(std::move(peer));
  const bool own_fault = co_await std::move(asking);
  if (own_fault && parts_.now() >= liveness_.suspects_itself_until() && !work_.cancelled())
    log::info("orchestrator",
              "{}: no other peer answers this node either; no machine is declared lost before its lease has ended",
              parts_.id());
  co_return own_fault;
}

bool Supervisor::note_timer(SteadyTime due) {
  if (!liveness_.note_timer(due, parts_.now())) return false;
  log::warn("orchestrator",
            "{}: this node's own timers are late; no machine is declared lost before its lease has ended", parts_.id());
  for (auto& [node, watch] : watches_) watch->lease.forgive();
  return true;
}

bool Supervisor::health_is_awaited(const std::string& node) const {
  for (const auto& [name, spec] : parts_.record->ensemble.allocations) {
    const AllocationManifest* waiting = parts_.allocation(name);
    if (waiting == nullptr || waiting->status != AllocationStatus::pending || !is_placed(*waiting)) continue;
    for (const std::string& needed : spec.depends_on) {
      const AllocationManifest* entry = parts_.allocation(needed);
      if (spec.condition(needed) == jobs::Condition::healthy && entry != nullptr && entry->node_id == node &&
          entry->health != Health::healthy)
        return true;
    }
  }
  return false;
}

}  // namespace dms::orchestrator
