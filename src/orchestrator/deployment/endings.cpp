#include "orchestrator/deployment/endings.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "orchestrator/deployment/cleaner.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/output/results.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<void> Endings::on_notice(actor::Envelope envelope) {
  Result<TaskTermination> notice = actor::payload<TaskTermination>(envelope);
  if (!notice) {
    log::debug("orchestrator", "{}: {}", parts_.id(), notice.error().to_string());
    co_return;
  }
  const std::string name(jobs::allocation_name(notice->allocation_id));
  if (notice->ended_by_owner) co_await bar(envelope.from.did);
  switch (sender_of(envelope, *notice, name)) {
    case Sender::unknown:
      log::debug("orchestrator", "{}: ignored the end of '{}', reported by {}", parts_.id(), notice->allocation_id,
                 envelope.from.to_string());
      co_return;
    case Sender::former: co_await acknowledge(std::move(envelope)); co_return;
    case Sender::current: break;
  }
  const AllocationManifest& entry = *parts_.allocation(name);
  if (!is_final(entry.status)) {
    const bool pages = entry.lease_ns > 0;
    End end = end_of(std::move(*notice), pages);
    const Result<void> concluded = co_await conclude(name, std::move(end));
    if (!concluded) {
      // Without an acknowledgement the provider keeps the output and repeats the notice.
      log::info("orchestrator", "{}: the end of {} is not acknowledged: {}", parts_.id(), name,
                concluded.error().to_string());
      co_return;
    }
  }
  co_await acknowledge(std::move(envelope));
}

Endings::Sender Endings::sender_of(const actor::Envelope& envelope, const TaskTermination& notice,
                                   const std::string& name) const {
  const DeploymentRecord& record = parts_.record.get();
  const AllocationManifest* entry = parts_.allocation(name);
  if (entry != nullptr && is_placed(*entry) && entry->handle.id == envelope.from.id) {
    if (notice.incarnation == entry->incarnation) return Sender::current;
    // A run that was restarted has ended for the next one. While that is not known here yet, nothing is decided.
    return record.restarting.contains(name) ? Sender::unknown : Sender::former;
  }
  if (!record.ensemble.allocations.contains(name)) return Sender::unknown;
  const auto is_sender = [&](const auto& held) { return held.handle.did == envelope.from.did; };
  const bool serves =
      std::ranges::any_of(record.manifest.nodes, [&](const auto& node) { return is_sender(node.second); });
  return !serves && std::ranges::any_of(record.superseded, is_sender) ? Sender::former : Sender::unknown;
}

Endings::End Endings::end_of(TaskTermination notice, bool pages) {
  End end;
  AllocationReport& report = end.report;
  report.incarnation = notice.incarnation;
  report.status = parse_enum<AllocationStatus>(notice.status).value_or(AllocationStatus::failed);
  if (!is_final(report.status)) report.status = AllocationStatus::failed;
  report.exit_code = notice.error.exit_code;
  report.reason = std::move(notice.reason);
  report.out_size = std::max<std::uint64_t>(notice.out_size, notice.out.size());
  report.err_size = std::max<std::uint64_t>(notice.err_size, notice.err.size());
  report.cpu_seconds = notice.cpu_seconds;
  report.memory_bytes = notice.memory_bytes;
  report.restart_failed = notice.restart_failed;
  report.ended_by_owner = notice.ended_by_owner;
  end.whole = !pages || (report.out_size == notice.out.size() && report.err_size == notice.err.size());
  end.out = std::move(notice.out);
  end.err = std::move(notice.err);
  return end;
}

Task<void> Endings::on_report(std::string name, AllocationReport report, std::string replaced) {
  End end;
  end.replaced = std::move(replaced);
  end.whole = report.out_size == 0 && report.err_size == 0;
  end.report = std::move(report);
  const Result<void> concluded = co_await conclude(name, std::move(end));
  if (!concluded)
    log::info("orchestrator", "{}: the end of {} is not stored yet: {}", parts_.id(), name,
              concluded.error().to_string());
}

/// The machine of this deployment that has this DID, see (6).
Task<void> Endings::bar(did::Did provider) {
  const auto add_barred = [provider](DeploymentRecord& record) {
    const auto add = [&](const std::string& peer, const actor::Handle& handle) {
      if (handle.did == provider && !is_barred(record, peer)) record.barred.push_back(peer);
    };
    for (const auto& [name, node] : record.manifest.nodes) add(node.peer, node.handle);
    for (const auto& [id, standby] : record.standbys) add(standby.node.peer, standby.node.handle);
    for (const Superseded& entry : record.superseded) add(entry.peer, entry.handle);
  };
  DeploymentRecord barred = parts_.record.get();
  add_barred(barred);
  if (barred.barred.size() == parts_.record->barred.size()) co_return;
  (void)co_await parts_.record.update_until_stored(add_barred);
}

Task<Result<void>> Endings::conclude(std::string name, End end) {
  if (!concluding_.insert(name).second) co_return fail(Errc::already_exists, "it is being stored");
  Result<void> concluded = co_await conclude_once(name, std::move(end));
  concluding_.erase(name);
  co_return concluded;
}

bool Endings::is_loss(const AllocationReport& report, const AllocationManifest& entry) const {
  if (report.status == AllocationStatus::failed) return report.exit_code == kNeverRanOrLost && !report.restart_failed;
  if (report.ended_by_owner && is_pinned(parts_.record.get(), entry.node_id)) return false;
  if (report.status == AllocationStatus::terminated) return !refused_(entry.node_id);
  // A machine that was declared lost, and is back after its lease.
  const bool was_lost = entry.status == AllocationStatus::restarting &&
                        !parts_.record->restarting.contains(std::string(jobs::allocation_name(entry.id)));
  return report.status == AllocationStatus::stopped &&
         (was_lost || parts_.record->status == DeploymentStatus::provisioning);
}

bool Endings::is_recovered(const std::string& node) const {
  const DeploymentStatus status = parts_.record->status;
  if (status == DeploymentStatus::provisioning) return true;
  return status == DeploymentStatus::running && on_loss(parts_.record->ensemble, node) != jobs::OnLoss::fail;
}

Task<Result<void>> Endings::conclude_once(std::string name, End end) {
  const AllocationManifest* entry = parts_.allocation(name);
  clean(end.report);
  if (entry != nullptr && end.report.status == AllocationStatus::terminated && !end.report.ended_by_owner)
    add_reason(end.report.reason, doubt_(entry->node_id));
  const AllocationReport& report = end.report;
  const auto is_meant = [&](const AllocationManifest& run) {
    const bool replaces = !end.replaced.empty() && run.incarnation == end.replaced;
    return !is_final(run.status) && (replaces || run.incarnation == report.incarnation);
  };
  if (entry == nullptr || !is_meant(*entry)) co_return Result<void>();
  if (const NodeManifest* node = parts_.node(entry->node_id); report.ended_by_owner && node != nullptr) {
    co_await bar(node->handle.did);
    entry = parts_.allocation(name);
    if (entry == nullptr || !is_meant(*entry)) co_return Result<void>();
  }
  if (entry->lease_ns > 0 && is_recovered(entry->node_id) && is_loss(report, *entry)) {
    const std::string reason = fmt::format("{} was not run to its end: {}", name, report.reason);
    co_await lost_(name, report.incarnation, reason);
    co_return Result<void>();
  }
  const auto spec = parts_.record->ensemble.allocations.find(name);
  const bool with_results = spec != parts_.record->ensemble.allocations.end() && spec->second.results.has_value();
  // What the run before has written last is fetched first (collect()): both are released together.
  const bool replaces = !end.replaced.empty() || has_open_rest(parts_.record.get(), name);
  if (with_results || replaces) end.whole = false;
  Task<Result<std::optional<Collector::Hold>>> keeping = keep(name, end, entry->lease_ns == 0);
  CO_TRY(const std::optional<Collector::Hold> files, co_await std::move(keeping));  // until the end is stored
  bool stored = false;
  const auto change = [&](DeploymentRecord& record) {
    const auto found = record.manifest.allocations.find(name);
    stored = found != record.manifest.allocations.end() && is_meant(found->second);
    if (stored && found->second.incarnation != report.incarnation)
      stored = take_over_restart(record, name, report.incarnation);
    if (!stored) return;  // reverted meanwhile
    AllocationManifest& ended = found->second;
    ended.status = report.status;
    ended.reason = report.reason;
    record_end(ended, report);
    ended.collected = end.whole;
    record.restarting.erase(name);
    if (!end.whole) return;
    record.outputs[name] = report.incarnation;
    supersede_ended(record, name);
  };
  CO_TRY_VOID(co_await parts_.record.update(change));
  if (!stored) co_return Result<void>();
  log::info("orchestrator",
            {{"deployment", parts_.id()},
             {"allocation", name},
             {"status", to_string(report.status)},
             {"exit_code", report.exit_code}},
            "{}: {} ended", parts_.id(), name);
  resume();
  co_return Result<void>();
}

/// Stores output that came whole, unless what has come before is being fetched: then the rest is fetched, too.
Task<Result<std::optional<Collector::Hold>>> Endings::keep(std::string name, End& end, bool only_source) {
  std::optional<Collector::Hold> files;
  end.whole = end.whole && (only_source || !collector_.is_held(name));
  if (!end.whole) co_return std::move(files);
  CO_TRY(Collector::Hold held, co_await collector_.hold(name));
  files.emplace(std::move(held));
  Task<Result<void>> keeping = collector_.keep(*files, end.report.incarnation, std::move(end.out), std::move(end.err));
  const Result<void> kept = co_await std::move(keeping);
  if (!kept && only_source) co_return std::unexpected(kept.error());
  end.whole = kept.has_value();
  co_return std::move(files);
}

Task<void> Endings::acknowledge(actor::Envelope envelope) {
  const Ack received{.ok = true};  // named: GCC 12 copies aggregates in an awaiting expression bit by bit
  const Result<void> sent = co_await parts_.actor.reply(envelope, received);
  if (!sent) log::debug("orchestrator", "{}: {}", parts_.id(), sent.error().to_string());
}

void Endings::resume() {
  fetch_rests();
  for (const auto& [name, entry] : parts_.record->manifest.allocations)
    if (is_final(entry.status) && !entry.collected && !is_awaited(parts_.record.get(), name, entry.incarnation) &&
        collecting_.insert(name).second)
      work_.spawn(collect(name));
}

void Endings::fetch_rests() {
  for (const Rest& rest : parts_.record->rests)
    if (rest.missing.empty() && rest.number == 0 && rests_.emplace(rest.allocation, rest.run).second)
      work_.spawn(fetch_rest(rest.allocation, rest.run));
}

Task<void> Endings::fetch_rest(std::string name, std::string run) {
  const SteadyTime until = parts_.now() + kRestPatience;
  Result<void> fetched;
  for (Duration pause = kRestPause;; pause = std::min(2 * pause, kMaxRestPause)) {
    Task<Result<void>> fetching = collector_.fetch_rest(name, run);
    fetched = co_await std::move(fetching);
    if (work_.cancelled()) co_return;
    if (fetched || fetched.error().is(Errc::permission_denied) || fetched.error().is(Errc::unsupported)) break;
    if (parts_.now() >= until) break;
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
  }
  const std::string missing = fetched ? "" : network::plain(fetched.error());
  if (!fetched)
    log::info("orchestrator", "{}: the last output of run {} of {}: {}", parts_.id(), run, name,
              fetched.error().to_string());
  const auto settle = [&](DeploymentRecord& record) { settle_rests(record, name, run, missing); };
  (void)co_await parts_.record.update_until_stored(settle);
  rests_.erase({name, run});
}

Task<Result<void>> Endings::rests_settled(std::string name) {
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    if (!has_open_rest(parts_.record.get(), name)) co_return Result<void>();
    CO_TRY_VOID(co_await parts_.record.changed().wait_past(seen));
  }
}

Task<void> Endings::collect(std::string name) {
  const Result<void> settled = co_await rests_settled(name);
  if (!settled) co_return;
  Duration pause = kCollectPause;
  const SteadyTime begun = parts_.now();
  SteadyTime reached = begun;
  std::optional<SteadyTime> refused_since;
  std::string given_up;
  for (;;) {
    // What runs on behind a loss that counts as a failure is not waited for: it is stopped once its output is here.
    const bool lost = std::ranges::count(parts_.record->lost, name) > 0;
    const Result<void> fetched = co_await collector_.fetch(name, !lost);
    const AllocationManifest* entry = parts_.allocation(name);
    const bool wanted = entry != nullptr && is_final(entry->status) && !entry->collected &&
                        !is_awaited(parts_.record.get(), name, entry->incarnation);  // by the cleaner
    if (fetched || !wanted) break;
    if (fetched.error().is(Errc::cancelled)) co_return;
    if (fetched.error().is(Errc::io)) reached = parts_.now();
    // What contradicts itself would come again and again.
    if (!fetched.error().is(Errc::invalid_argument)) reached = std::max(reached, collector_.reached(name));
    const std::string why = network::plain(fetched.error());
    if (!fetched.error().is(Errc::permission_denied))
      refused_since.reset();
    else if (!refused_since || collector_.reached(name) > *refused_since)
      refused_since = parts_.now();
    const bool refuses = refused_since && parts_.now() - *refused_since > kRefusalPatience;
    if (refuses || parts_.now() - reached > kCollectPatience || parts_.now() - begun > kLongestCollection) {
      given_up = why;
      break;
    }
    Task<bool> asking = is_gone(name);
    const bool gone = co_await std::move(asking);
    if (gone) {
      given_up = kGone;
      break;
    }
    co_await report_trouble(name, fetched.error());
    co_await ask_for_restart(name);
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    pause = std::min(2 * pause, kMaxCollectPause);
  }
  const auto change = [&](DeploymentRecord& record) {
    const auto found = record.manifest.allocations.find(name);
    if (found == record.manifest.allocations.end() || !is_final(found->second.status) || found->second.collected)
      return;
    if (is_awaited(record, name, found->second.incarnation)) return;
    found->second.collected = true;
    std::erase(record.lost, name);
    if (!is_final(record.status)) record.error.clear();
    if (!given_up.empty()) give_up_results(record, name, given_up);
    if (!given_up.empty())
      add_reason(found->second.reason, fmt::format("its output could not be fetched completely: {}", given_up));
    supersede_ended(record, name);
    record.restarting.erase(name);
  };
  (void)co_await parts_.record.update_until_stored(change);
  collecting_.erase(name);
}

/// Whether its provider reports that it has nothing of an allocation that has ended.
Task<bool> Endings::is_gone(std::string name) {
  const AllocationManifest* entry = parts_.allocation(name);
  const NodeManifest* node = entry == nullptr ? nullptr : parts_.node(entry->node_id);
  if (node == nullptr || entry->lease_ns == 0) co_return false;
  const std::string run = entry->incarnation;
  const actor::Handle provider = node->handle;
  Task<bool> asking = parts_.providers.lacks(provider, name, kReleaseTimeout);
  const bool lacks = co_await std::move(asking);
  if (!lacks) co_return false;
  const AllocationManifest* now = parts_.allocation(name);
  co_return now != nullptr && now->incarnation == run;
}

/// See (3). One run only is taken for the next one.
Task<void> Endings::ask_for_restart(std::string name) {
  const AllocationManifest* entry = parts_.allocation(name);
  const NodeManifest* node = entry == nullptr ? nullptr : parts_.node(entry->node_id);
  if (node == nullptr || !parts_.record->restarting.contains(name)) co_return;
  const std::string run = entry->incarnation;
  const actor::Handle provider = node->handle;
  const Result<RenewReply> reply = co_await parts_.providers.reports(provider, kReleaseTimeout);
  if (!reply) co_return;
  const auto report = reply->allocations.find(name);
  if (report == reply->allocations.end() || report->second.incarnation == run) co_return;
  const auto change = [&](DeploymentRecord& record) {
    const auto found = record.manifest.allocations.find(name);
    if (found != record.manifest.allocations.end() && found->second.incarnation == run)
      (void)take_over_restart(record, name, report->second.incarnation);
  };
  (void)co_await parts_.record.update_until_stored(change);
}

/// Told in the status, if that can be stored.
Task<void> Endings::report_trouble(std::string name, Error trouble) {
  std::string text = fmt::format("the output of {} is being collected: {}", name, network::plain(trouble));
  if (parts_.record->error == text || is_final(parts_.record->status)) co_return;
  log::warn("orchestrator", "{}: the output of {} is being collected: {}", parts_.id(), name, trouble.to_string());
  const auto change = [&text](DeploymentRecord& record) { record.error = text; };
  (void)co_await parts_.record.update(change);
}

}  // namespace dms::orchestrator
