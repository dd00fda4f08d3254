#include "orchestrator/supervision/standbys.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/supervision/lease_watch.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// The runs that its provider has made.
json::StringMap runs_of(const Standby& standby) {
  json::StringMap runs;
  for (const auto& [name, entry] : standby.allocations) runs[name] = entry.incarnation;
  return runs;
}

/// Why it is no standby any more, as its provider reports; empty if it is.
std::string what_is_lost(const json::StringMap& runs, const RenewReply& reply) {
  for (const auto& [name, run] : runs) {
    const auto report = reply.allocations.find(name);
    if (report == reply.allocations.end() || report->second.incarnation != run)
      return fmt::format("its provider no longer has {}", name);
    if (report->second.status != AllocationStatus::pending)
      return fmt::format("its provider reports {} as {}", name, to_string(report->second.status));
  }
  return {};
}

bool is_ended_by_owner(const RenewReply& reply) {
  return std::ranges::any_of(reply.allocations, [](const auto& held) { return held.second.ended_by_owner; });
}

}  // namespace

Task<void> Standbys::run() {
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    keep_ready_ones();
    SteadyTime next = parts_.now() + kMaxRenewal;
    const std::optional<MissingStandby> wanted = due(next);
    if (!wanted) {
      const Result<void> waited = co_await parts_.record.changed().wait_past(seen, next);
      if (!waited) co_return;
      continue;
    }
    Task<Result<void>> placing = place(*wanted);
    const Result<void> placed = co_await std::move(placing);
    if (work_.cancelled()) co_return;
    if (placed) {
      waits_.erase(*wanted);
      continue;
    }
    log::info("orchestrator", "{}: {}: {}", parts_.id(), wanted->id(), placed.error().to_string());
    Wait& wait = waits_[*wanted];
    wait.until = parts_.now() + wait.pause;
    wait.pause = std::min(2 * wait.pause, kMaxReplacePause);
    wait.why = placed.error().is(Errc::closed) ? std::string() : network::plain(placed.error());
  }
}

std::optional<MissingStandby> Standbys::due(SteadyTime& next) {
  const std::vector<MissingStandby> missing = missing_standbys(parts_.record.get());
  std::erase_if(waits_, [&](const auto& pair) { return std::ranges::count(missing, pair.first) == 0; });
  if (missing.empty() || replacer_.seeks()) return std::nullopt;
  for (const MissingStandby& one : missing) {
    const auto wait = waits_.find(one);
    if (wait == waits_.end() || wait->second.until <= parts_.now()) return one;
    next = std::min(next, wait->second.until);
  }
  return std::nullopt;
}

std::string Standbys::trouble() const {
  std::string text;
  for (const auto& [wanted, wait] : waits_)
    if (!wait.why.empty()) add_reason(text, fmt::format("{}: {}", wanted.id(), wait.why));
  return text;
}

Task<Result<void>> Standbys::place(MissingStandby wanted) {
  const jobs::Ensemble part = standby_part(parts_.record->ensemble, wanted);
  Task<Result<Candidate>> bidding = replacer_.find_standby(part);
  CO_TRY(const Candidate candidate, co_await std::move(bidding));
  const Bid bid = candidate.at(wanted.id());
  bool is_added = false;
  const auto add = [&](DeploymentRecord& record) {
    const std::vector<MissingStandby> missing = missing_standbys(record);
    is_added = std::ranges::count(missing, wanted) > 0 && standby_part(record.ensemble, wanted) == part &&
               !replacer_.seeks() && !occupied(record, {}).contains(bid.peer);
    if (is_added) add_standby(record, wanted, bid);
  };
  CO_TRY_VOID(co_await parts_.record.update_until_stored(add));
  if (!is_added) co_return fail(Errc::closed, "the deployment has changed meanwhile");
  Task<Result<void>> reserving = reserve(wanted, part, bid.handle);
  const Result<void> reserved = co_await std::move(reserving);
  if (reserved || work_.cancelled()) co_return reserved;
  replacer_.backoff().failed(bid.peer, parts_.now());
  std::string why = reserved.error().to_string();
  Task<void> dropping = drop(wanted.id(), bid.peer, std::move(why), false);
  co_await std::move(dropping);
  co_return reserved;
}

Task<Result<void>> Standbys::reserve(MissingStandby wanted, jobs::Ensemble part, actor::Handle provider) {
  const std::string id = wanted.id();
  const std::vector<std::string> names = part.nodes.at(id).allocations;
  std::vector<Task<Result<void>>> commits;
  for (const std::string& name : names) {
    capability::Resources resources = part.allocations.at(name).resources;
    commits.push_back(commit(id, name, provider, std::move(resources)));
  }
  const std::vector<Result<void>> committed = co_await when_all(std::move(commits), kRequestsAtOnce);
  CO_TRY_VOID(first_error(committed));
  const Duration timeout = kAllocate.timeout * static_cast<int>(names.size());
  const Result<AllocateResponse> made = co_await parts_.providers.allocate(provider, part, id, names, timeout);
  if (!made) co_return std::unexpected(made.error());
  CO_TRY_VOID(grants_.give(provider.did));
  bool is_kept = false;
  const auto store = [&](DeploymentRecord& record) {
    const auto found = record.standbys.find(id);
    is_kept = found != record.standbys.end() && found->second.node.peer == provider.address.host;
    if (!is_kept) return supersede_unknown(record, provider, made->incarnations);
    if (made->lease_ns <= 0) return;
    for (const std::string& name : names) {
      const auto entry = found->second.allocations.find(name);
      if (entry != found->second.allocations.end()) note_allocated(entry->second, name, *made);
    }
  };
  CO_TRY_VOID(co_await parts_.record.update_until_stored(store));
  if (!is_kept) co_return fail(Errc::closed, "the deployment has changed meanwhile");
  if (made->lease_ns <= 0) co_return fail(Errc::unsupported, "provider {} grants no lease", provider.address.host);
  co_return Result<void>();
}

Task<Result<void>> Standbys::commit(std::string id, std::string allocation, actor::Handle provider,
                                    capability::Resources resources) {
  const Duration timeout = kCommit.timeout;
  PortMapping ports;
  co_return co_await parts_.providers.commit(std::move(provider), std::move(id), std::move(allocation),
                                             std::move(resources), std::move(ports), timeout);
}

void Standbys::keep_ready_ones() {
  for (const auto& [id, standby] : parts_.record->standbys)
    if (standby.ready() && kept_.emplace(id, standby.node.peer).second) work_.spawn(keep(id, standby.node.peer));
}

const Standby* Standbys::find(const std::string& id, const std::string& peer) const {
  const auto found = parts_.record->standbys.find(id);
  const bool is_same = found != parts_.record->standbys.end() && found->second.node.peer == peer;
  return is_same && found->second.ready() ? &found->second : nullptr;
}

Task<void> Standbys::keep(std::string id, std::string peer) {
  std::optional<LeaseWatch> watch;
  bool is_missed = false;
  for (;;) {
    const Standby* standby = find(id, peer);
    if (standby == nullptr) break;
    if (!watch) watch.emplace(Duration(standby->allocations.begin()->second.lease_ns), parts_.now());
    const actor::Handle provider = standby->node.handle;
    const json::StringMap held = runs_of(*standby);
    const bool renews = watch->renews();
    json::StringMap runs;
    if (renews) runs = held;
    const Duration timeout = std::clamp(watch->interval(), Duration(2 * kMinRenewal), kRenew.timeout);
    const SteadyTime expected = parts_.now() + timeout;
    if (renews) watch->renewal_sent(expected);
    const Result<RenewReply> reply =
        co_await parts_.providers.renew(provider, std::move(runs), watch->clock(), timeout);
    if (work_.cancelled()) co_return;
    const bool is_late = note_timer(*watch, expected);
    std::string lost;
    if (reply) {
      watch->answered(parts_.now(), reply->clock_ns);
      lost = what_is_lost(held, *reply);
    } else if (!is_late) {
      if (!watch->suspected()) {  // if its clock is ahead, that is known from now on, and renewals last longer
        Task<Result<RenewReply>> asking = parts_.providers.patient_reports(provider, timeout);
        (void)co_await std::move(asking);
        if (work_.cancelled()) co_return;
      }
      watch->not_answered(network::plain(reply.error()), parts_.now());
      if (watch->silent()) {
        Task<bool> asking = liveness_.is_own_fault(peer);
        const bool own_fault = co_await std::move(asking);
        if (work_.cancelled()) co_return;
        if (!own_fault) lost = watch->error();
      }
    }
    standby = find(id, peer);
    if (standby == nullptr) break;
    if (!lost.empty() && runs_of(*standby) == held) {
      Task<void> dropping = drop(id, peer, lost, reply && is_ended_by_owner(*reply));
      co_await std::move(dropping);
      break;
    }
    // A question renews nothing, and a renewal after one that was missed counts from the clock before that.
    if (const bool was_missed = std::exchange(is_missed, !reply); reply && (!renews || was_missed)) continue;
    const SteadyTime due = parts_.now() + watch->interval();
    const Result<void> slept = co_await sleep_until(due);
    if (!slept) co_return;
    (void)note_timer(*watch, due);
  }
  kept_.erase({id, peer});
}

bool Standbys::note_timer(LeaseWatch& watch, SteadyTime due) {
  if (!liveness_.note_timer(due, parts_.now())) return false;
  log::warn("orchestrator", "{}: this node's own timers are late; no standby is given up for what it has missed",
            parts_.id());
  watch.forgive();
  return true;
}

Task<void> Standbys::drop(std::string id, std::string peer, std::string why, bool by_owner) {
  log::info("orchestrator", "{}: {} on {} is given up: {}", parts_.id(), id, peer, why);
  const auto change = [&](DeploymentRecord& record) {
    const auto found = record.standbys.find(id);
    if (found == record.standbys.end() || found->second.node.peer != peer) return;
    drop_standby(record, id);
    if (by_owner && !is_barred(record, peer)) record.barred.push_back(peer);
  };
  (void)co_await parts_.record.update_until_stored(change);
}

}  // namespace dms::orchestrator
