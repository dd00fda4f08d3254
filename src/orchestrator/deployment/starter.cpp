#include "orchestrator/deployment/starter.hpp"

#include <algorithm>

#include "orchestrator/deployment/dependencies.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {
/// A run: the actor has the same inbox in each attempt, and at each provider.
std::string key_of(const AllocationManifest& entry) {
  return fmt::format("{}/{}/{}", entry.handle.address.host, entry.handle.address.inbox, entry.incarnation);
}
}  // namespace

Task<Result<void>> Starter::start_ready() {
  json::StringMap never;                           // allocation -> reason
  json::StringMap ready;                           // allocation -> key
  std::map<std::string, std::size_t> in_progress;  // at a machine
  for (const std::string& key : starting_) ++in_progress[key.substr(0, key.find('/'))];
  json::StringMap asked;  // allocation -> run, of those whose start is not stored as requested
  for (const auto& [name, entry] : parts_.record->manifest.allocations) {
    if (entry.status != AllocationStatus::pending || !is_placed(entry)) continue;
    if (!may_start(parts_.record.get(), name)) continue;
    const std::string key = key_of(entry);
    if (starting_.contains(key)) continue;
    Dependency state = dependency(parts_.record.get(), name);
    if (state.readiness == Readiness::never) never[name] = std::move(state.reason);
    if (state.readiness != Readiness::ready || !supervisor_.known(entry.node_id)) continue;
    std::size_t& there = in_progress[entry.handle.address.host];
    if (there >= kRequestsAtOnce) continue;  // the end of one looks for the next
    ++there;
    ready[name] = key;
    const auto before = parts_.record->starts.find(name);
    const bool stored = before != parts_.record->starts.end() && before->second == entry.incarnation;
    if (entry.lease_ns > 0 && !stored) asked[name] = entry.incarnation;
  }
  const auto change = [&](DeploymentRecord& record) {
    for (const auto& [name, reason] : never) fail_allocation(record, name, reason);
    for (const auto& [name, run] : asked)
      if (const auto entry = record.manifest.allocations.find(name);
          entry != record.manifest.allocations.end() && entry->second.incarnation == run)
        record.starts[name] = run;
  };
  if (!never.empty() || !asked.empty()) CO_TRY_VOID(co_await parts_.record.update_until_stored(change));
  for (const auto& [name, key] : ready)
    if (starting_.insert(key).second) work_.spawn(start(name, key));
  co_return Result<void>();
}

bool Starter::waits() const {
  for (const auto& [name, entry] : parts_.record->manifest.allocations)
    if (entry.status == AllocationStatus::pending && !is_started_again(parts_.record.get(), name) &&
        dependency(parts_.record.get(), name).readiness != Readiness::waits_for_completion)
      return true;
  return false;
}

bool Starter::pending(const std::string& name, const std::string& run) const {
  const AllocationManifest* entry = parts_.allocation(name);
  return entry != nullptr && is_placed(*entry) && entry->incarnation == run &&
         entry->status == AllocationStatus::pending;
}

bool Starter::brings_inputs(const std::string& name, const std::string& run) const {
  const AllocationReport* report = supervisor_.report(name);
  return report != nullptr && report->incarnation == run && report->brings_inputs;
}

Task<void> Starter::start(std::string name, std::string key) {
  const AllocationManifest* entry = parts_.allocation(name);
  const NodeManifest* node = entry == nullptr ? nullptr : parts_.node(entry->node_id);
  if (node != nullptr && key_of(*entry) == key && pending(name, entry->incarnation)) {
    const std::string run = entry->incarnation;
    const std::string node_name = node->id;
    const std::string peer = node->peer;
    const Result<void> started = co_await request(name, run, peer);
    const bool answered = started || started.error().is(Errc::permission_denied);
    if (!answered && !started.error().is(Errc::cancelled)) co_await supervisor_.ask(node_name);
    if (started) {
      // The notice that a short task has ended may arrive before the reply to its start.
      const auto mark_running = [&](DeploymentRecord& record) {
        const auto found = record.manifest.allocations.find(name);
        if (found != record.manifest.allocations.end() && found->second.incarnation == run &&
            found->second.status == AllocationStatus::pending && is_placed(found->second))
          found->second.status = AllocationStatus::running;
      };
      if (pending(name, run)) (void)co_await parts_.record.update_until_stored(mark_running);
    } else if (pending(name, run) && !started.error().is(Errc::cancelled)) {
      log::info("orchestrator", "{}: {}", parts_.id(), started.error().to_string());
      co_await failed_(name, network::plain(started.error()), !answered);
    }
  }
  starting_.erase(key);
  parts_.record.changed().raise();
}

/// Whether a request has had no reply, for whichever reason: the code of a connection that fails is that of the peer's.
bool Starter::is_repeated(const Result<Ack>& reply) const {
  if (reply || work_.cancelled()) return false;
  return !reply.error().is(Errc::permission_denied) && !reply.error().is(Errc::invalid_argument);
}

/// A provider that grants leases takes a start that is repeated for the first one, which may have been lost.
Task<Result<void>> Starter::request(std::string name, std::string run, std::string peer) {
  SteadyTime until = parts_.now() + kAllocationStart.timeout;
  for (;;) {
    const AllocationManifest* entry = parts_.allocation(name);
    if (entry == nullptr) co_return fail(Errc::not_found, "{} is not wanted any more", name);
    const bool repeats = entry->lease_ns > 0;
    const Duration left = until - parts_.now();
    actor::Envelope message = parts_.providers.start_message(*entry, repeats ? std::min(left, kStartRepeat) : left);
    Task<Result<Ack>> calling = liveness_.call<Ack>(parts_.actor, peer, std::move(message));
    Task<Result<Ack>> waiting = until_hinted(key_of(*entry), peer, std::move(calling));
    const Result<Ack> reply = co_await std::move(waiting);
    const bool silent = !reply && reply.error().is(Errc::deadline_exceeded);
    if (silent && brings_inputs(name, run)) until = parts_.now() + kAllocationStart.timeout;
    const Duration pause = silent ? Duration(0) : kStartPause;
    if (!repeats || !is_repeated(reply) || parts_.now() + pause >= until || !pending(name, run))
      co_return accepted(reply, fmt::format("starting {} on {}", name, peer));
    if (!silent) CO_TRY_VOID(co_await sleep_for(pause));
    if (!pending(name, run)) co_return fail(Errc::not_found, "{} is not wanted any more", name);
  }
}

Task<Result<Ack>> Starter::until_hinted(std::string key, std::string peer, Task<Result<Ack>> call) {
  const TaskContext context = co_await this_task();
  CancelScope scope(context.scope);
  calls_[key] = &scope;
  call.set_context({context.lane, &scope});
  Result<Ack> reply = co_await std::move(call);
  calls_.erase(key);
  if (!reply && scope.reason() == Errc::closed)
    co_return fail(Errc::closed, "the daemon of provider {} was restarted before it had begun", peer);
  co_return std::move(reply);
}

bool Starter::hint(const std::string& name) {
  const AllocationManifest* entry = parts_.allocation(name);
  if (entry == nullptr || entry->lease_ns == 0) return false;
  std::string key = key_of(*entry);
  if (!calls_.contains(key) || !hinted_.insert(key).second) return false;
  work_.spawn(repeat_unless_begun(name, std::move(key)));
  return true;
}

Task<void> Starter::repeat_unless_begun(std::string name, std::string key) {
  const AllocationManifest* entry = parts_.allocation(name);
  if (entry != nullptr) {
    const std::string node = entry->node_id;
    co_await supervisor_.ask(node);
    entry = parts_.allocation(name);
  }
  const auto call = calls_.find(key);
  if (call != calls_.end() && entry != nullptr && key_of(*entry) == key && pending(name, entry->incarnation) &&
      !brings_inputs(name, entry->incarnation))
    call->second->cancel(Errc::closed);
  (void)co_await sleep_for(kStartPause);
  hinted_.erase(key);
}

}  // namespace dms::orchestrator
