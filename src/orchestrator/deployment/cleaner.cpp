#include "orchestrator/deployment/cleaner.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "orchestrator/deployment/endings.hpp"
#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/provisioner.hpp"
#include "orchestrator/output/results.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {

/// Whether the work had begun: it may have written.
bool has_run(const AllocationReport& report) {
  if (!is_final(report.status)) return report.status != AllocationStatus::pending;
  return report.exit_code != kNeverRanOrLost || report.out_size > 0 || report.err_size > 0;
}

/// Whether its provider has answered, and has not stored all of it yet. That a peer cannot be reached has a code of its
/// own, and such a cause.
bool is_to_come(const Error& error) { return error.code() == describe(Errc::not_found); }

}  // namespace

void Cleaner::answers_since(const std::string& allocation, const std::string& run, SteadyTime begun) {
  answering_[{allocation, run}] = begun;
}

Task<void> Cleaner::run() {
  const std::uint64_t earlier = parts_.record->last_number;
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    for (const Superseded& entry : parts_.record->superseded)
      if (begun_.insert(entry.number).second) work_.spawn(release(entry, entry.number <= earlier));
    const Result<void> waited = co_await parts_.record.changed().wait_past(seen);
    if (!waited) co_return;
  }
}

Task<void> Cleaner::release(Superseded entry, bool earlier) {
  const SteadyTime begun = parts_.now();
  const auto is_known = [](const auto& held) { return !held.second.empty(); };
  const bool leased = std::ranges::any_of(entry.allocations, is_known);
  const bool all_known = std::ranges::all_of(entry.allocations, is_known);
  const bool removable = entry.ended || all_known;
  const Duration hold(entry.hold_ns);
  const Duration patience = leased ? std::max(kResidueTime, hold) : hold;
  Duration pause = kReleasePause;
  bool shutdown = entry.ended && !(earlier && all_known);
  for (;;) {
    Task<Result<void>> collecting = collect(entry);
    const SteadyTime until = begun + (entry.over ? patience : hold);  // what follows is due then
    Result<void> released = co_await with_deadline(until, std::move(collecting));
    if (const Superseded* now = find(entry.number)) entry.allocations = now->allocations;  // see (3), restarts
    if (released) released = co_await request(entry, shutdown);
    if (released) break;
    if (work_.cancelled()) co_return;  // a code does not say so: a peer can close a stream
    log::info("orchestrator", "{}: {}", parts_.id(), released.error().to_string());
    if (!entry.ended && entry.problem.empty()) {
      entry.problem = network::plain(released.error());
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
    Task<Result<bool>> waiting = wait_for(entry.peer, pause);
    const Result<bool> appeared = co_await std::move(waiting);
    if (!appeared) co_return;
    pause = *appeared ? kReleasePause : std::min(2 * pause, kMaxReleasePause);
    shutdown = removable && !shutdown;
  }
  const auto forget = [&entry](DeploymentRecord& record) {
    const std::string why = fmt::format("{} did not send it", entry.peer);
    for (const auto& [name, run] : entry.allocations) {
      end_awaiting(record, entry.number, name, why);
      give_up_left_rest(record, entry.number, name, why);
    }
    std::erase_if(record.superseded, [&](const Superseded& other) { return other.number == entry.number; });
  };
  (void)co_await parts_.record.update_until_stored(forget);
}

Task<Result<bool>> Cleaner::wait_for(std::string peer, Duration pause) {
  const Result<crypto::PeerId> id = crypto::PeerId::parse(peer);
  const network::Network& network = parts_.actor.system().network;
  const SteadyTime until = parts_.now() + pause;
  bool was_connected = true;
  while (parts_.now() < until) {
    const bool connected = id && network.connected(*id);
    if (connected && !was_connected) co_return true;
    was_connected = connected;
    CO_TRY_VOID(co_await sleep_until(std::min(until, parts_.now() + kReleasePause)));
  }
  co_return false;
}

/// See (3) and (4).
Task<Result<void>> Cleaner::collect(const Superseded& entry) {
  const Superseded* now = find(entry.number);
  if (now == nullptr) co_return Result<void>();
  std::set<std::string> names(now->unfetched.begin(), now->unfetched.end());
  for (const Rest& rest : parts_.record->rests)
    if (rest.number == entry.number && rest.missing.empty()) names.insert(rest.allocation);
  std::vector<Task<Result<void>>> runs;
  for (const std::string& name : names)
    if (const auto run = now->allocations.find(name); run != now->allocations.end())
      runs.push_back(collect_run(entry.number, name, run->second, entry.handle));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(runs));
  co_return first_error(outcomes);
}

Task<Result<void>> Cleaner::collect_run(std::uint64_t number, std::string name, std::string run,
                                        actor::Handle provider) {
  std::string id = jobs::allocation_id(parts_.id(), name);
  const Result<void> stopped = co_await parts_.providers.stop(provider, std::move(id), run, kReleaseTimeout);
  const bool refused = !stopped && stopped.error().is(Errc::permission_denied);
  Task<void> noting = note_stop(number, name, stopped);
  co_await std::move(noting);
  const Key key(number, name);
  if (!stopped && !refused) {
    answers_.erase(key);
    refuses_.erase(key);
    answering_.erase({name, run});
    Task<bool> asking = parts_.providers.lacks(provider, name, kReleaseTimeout);
    const bool gone = co_await std::move(asking);
    if (!gone) co_return stopped;
    log::info("orchestrator", "{}: the output of {} on {}: {}", parts_.id(), name, provider.address.host, kGone);
    const auto give_up = [&](DeploymentRecord& record) {
      give_up_left_rest(record, number, name, std::string(kGone));
      end_awaiting(record, number, name, std::string(kGone));
    };
    co_return co_await parts_.record.update_until_stored(give_up);
  }
  const auto known = answering_.find({name, run});
  const SteadyTime since = known == answering_.end() ? parts_.now() : known->second;
  const SteadyTime answers = answers_.try_emplace(key, since).first->second;
  const SteadyTime limit = answers + kLastOutput;
  Task<Result<std::optional<std::string>>> asking = find_run(number, name, run, provider, stopped);
  Result<std::optional<std::string>> asked = co_await std::move(asking);
  if (asked && !*asked) co_return Result<void>();
  if (asked) {
    run = **asked;
    Task<Result<void>> fetching = fetch_rest(number, name, limit);
    CO_TRY_VOID(co_await std::move(fetching));
  }
  const AllocationManifest* entry = parts_.allocation(name);
  const bool ends = entry != nullptr && entry->incarnation == run;  // otherwise it is replaced or removed
  Result<void> fetched;
  if (asked) {
    const SteadyTime until = ends ? SteadyTime::max() : limit;
    Task<Result<void>> fetching = collector_.fetch_superseded(name, run, provider, stopped.has_value(), until);
    fetched = co_await std::move(fetching);
  } else {
    fetched = std::unexpected(asked.error());
  }
  if (work_.cancelled()) co_return fail(Errc::cancelled, "the daemon stops");
  if (!fetched) log::info("orchestrator", "{}: {}", parts_.id(), fetched.error().to_string());
  if (!fetched && ends && !is_useless(key, fetched.error(), refused, answers)) co_return fetched;
  if (!asked && !ends && parts_.now() - answers <= kLastOutput) co_return fetched;
  std::string given_up;
  if (!fetched) given_up = network::plain(fetched.error());
  answers_.erase(key);
  refuses_.erase(key);
  if (fetched && refused) given_up = network::plain(stopped.error());
  const auto end = [&](DeploymentRecord& record) { end_awaiting(record, number, name, given_up); };
  co_return co_await parts_.record.update_until_stored(end);
}

/// See (5). If it cannot be stored, the next one is.
Task<void> Cleaner::note_stop(std::uint64_t number, std::string name, Result<void> stopped) {
  const Superseded* entry = find(number);
  if (entry == nullptr) co_return;
  const auto told = entry->stopping.find(name);
  if (told == entry->stopping.end()) co_return;
  const std::string why = stopped ? "" : network::plain(stopped.error());
  if (!stopped && told->second == why) co_return;
  const auto note = [&](DeploymentRecord& record) {
    for (Superseded& other : record.superseded) {
      if (other.number != number) continue;
      other.stopping.erase(name);
      if (!stopped) other.stopping[name] = why;
    }
  };
  (void)co_await parts_.record.update(note);
}

/// See (4). If its provider does not answer, the next stop shows whether it is away; once the time is up, this ends it.
Task<Result<void>> Cleaner::fetch_rest(std::uint64_t number, std::string name, SteadyTime until) {
  const Rest* rest = find_left_rest(parts_.record.get(), number, name);
  if (rest == nullptr) co_return Result<void>();
  const std::string run = rest->run;
  const bool is_last = parts_.now() >= until;
  until = std::max(until, parts_.now() + kReleaseTimeout);
  Result<void> fetched;
  for (;;) {
    Task<Result<void>> fetching = collector_.fetch_rest(name, run);
    fetched = co_await with_deadline(until, std::move(fetching));
    if (work_.cancelled()) co_return fail(Errc::cancelled, "the daemon stops");
    if (fetched || fetched.error().is(Errc::permission_denied) || fetched.error().is(Errc::unsupported)) break;
    if (!is_last && !is_to_come(fetched.error())) co_return fetched;
    if (parts_.now() + kRestPause >= until) break;
    CO_TRY_VOID(co_await sleep_for(kRestPause));
  }
  const std::string missing = fetched ? "" : network::plain(fetched.error());
  if (!fetched)
    log::info("orchestrator", "{}: the last output of run {} of {}: {}", parts_.id(), run, name,
              fetched.error().to_string());
  const auto settle = [&](DeploymentRecord& record) { settle_rests(record, name, run, missing); };
  co_return co_await parts_.record.update_until_stored(settle);
}

const Superseded* Cleaner::find(std::uint64_t number) const {
  const auto entry = std::ranges::find(parts_.record->superseded, number, &Superseded::number);
  return entry == parts_.record->superseded.end() ? nullptr : &*entry;
}

/// The run whose output is to be fetched, null if it had not begun. What a run whose start, or whose restart, was not
/// answered has come to is asked for, and stored.
Task<Result<std::optional<std::string>>> Cleaner::find_run(std::uint64_t number, std::string name, std::string run,
                                                           actor::Handle provider, Result<void> stopped) {
  const Superseded* entry = find(number);
  const bool unstarted = entry != nullptr && std::ranges::count(entry->unstarted, name) > 0;
  const bool restarting = entry != nullptr && std::ranges::count(entry->restarting, name) > 0;
  std::optional<std::string> found(run);
  if (!unstarted && !restarting) co_return std::move(found);
  const Result<RenewReply> reply = co_await parts_.providers.reports(std::move(provider), kReleaseTimeout);
  if (!reply) co_return std::unexpected(reply.error());
  const auto report = reply->allocations.find(name);
  const bool is_listed = report != reply->allocations.end();
  if (is_listed && restarting && !report->second.incarnation.empty() &&
      report->second.incarnation.size() <= kMaxReportedId)
    found = report->second.incarnation;
  const bool is_held = is_listed && report->second.incarnation == *found;
  if (is_held && !stopped && report->second.status == AllocationStatus::pending)
    co_return fail(Errc::closed, "{} may still begin: {}", name, stopped.error().to_string());
  const bool begun = restarting || (is_held && has_run(report->second));
  const bool is_last_before = *found != run && is_held && is_final(report->second.status) && !has_run(report->second);
  const auto note = [&](DeploymentRecord& record) {
    if (!begun) return end_awaiting(record, number, name, "");
    if (unstarted) note_begun(record, number, name);
    if (stopped || *found != run) settle_restart(record, number, name, *found);  // what is stopped is not restarted
    const auto ended = record.manifest.allocations.find(name);
    if (is_last_before) end_awaiting(record, number, name, "");
    if (is_last_before && ended != record.manifest.allocations.end() && ended->second.incarnation == *found)
      give_up_results(record, name, "the work was ended while it was being restarted");
    if (is_held && ended != record.manifest.allocations.end() && ended->second.incarnation == *found &&
        is_final(report->second.status))
      record_end(ended->second, report->second);
  };
  const Result<void> stored = co_await parts_.record.update_until_stored(note);
  if (!stored) co_return std::unexpected(stored.error());
  if (!begun) found.reset();
  co_return std::move(found);
}

/// Whether the output is given up after this failure, see (3). `refused`: so was the stop.
bool Cleaner::is_useless(const Key& key, const Error& error, bool refused, SteadyTime answers) {
  const SteadyTime reached = collector_.reached(key.second);
  if (error.is(Errc::permission_denied)) {
    SteadyTime& refuses = refuses_.try_emplace(key, parts_.now()).first->second;
    if (reached > refuses) refuses = parts_.now();  // as a ticket that has expired, for results
    return refused || parts_.now() - refuses > kRefusalPatience;
  }
  refuses_.erase(key);
  if (error.is(Errc::io)) answers = answers_[key] = parts_.now();  // of this node's disk, which is waited out
  // What contradicts itself would come again and again.
  if (!error.is(Errc::invalid_argument)) answers = std::max(answers, reached);
  return parts_.now() - answers > kCollectPatience;
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
