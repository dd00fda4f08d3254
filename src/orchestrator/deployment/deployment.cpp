#include "orchestrator/deployment/deployment.hpp"

#include <algorithm>
#include <set>

#include "base/log.hpp"
#include "orchestrator/deployment/dependencies.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/update.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {

/// Why a deployment whose allocations have all ended has failed; empty if it has not.
std::string failure_of(const DeploymentRecord& record) {
  if (std::string escalation = escalation_of(record); !escalation.empty()) return escalation;
  const std::set<std::string> planned = ended_with_supervisor(record);
  for (const auto& [name, allocation] : record.manifest.allocations) {
    if (allocation.status == AllocationStatus::completed || planned.contains(name)) continue;
    std::string why = allocation.reason;
    if (why.empty() && allocation.exit_code != kNeverRanOrLost) why = fmt::format("exit code {}", allocation.exit_code);
    if (why.empty()) why = "it did not run to its end";
    return fmt::format("{} {}: {}", name, to_string(allocation.status), why);
  }
  return {};
}

/// See DeploymentRecord::unbegun. What waits for a machine has left its last one: a restart that counted there, and had
/// not begun, does not count.
void note_restarts(DeploymentRecord& record) {
  for (auto restart = record.unbegun.begin(); restart != record.unbegun.end();) {
    const auto found = record.manifest.allocations.find(restart->first);
    AllocationManifest* entry = found == record.manifest.allocations.end() ? nullptr : &found->second;
    const bool waits = entry != nullptr && entry->status == AllocationStatus::pending;
    if (waits && restart->second.empty() && entry->restarts > 0) --entry->restarts;
    if (entry == nullptr || waits || entry->status == AllocationStatus::running) {
      restart = record.unbegun.erase(restart);
      continue;
    }
    if (entry->incarnation != restart->second) restart->second.clear();
    ++restart;
  }
  for (const auto& [name, run] : record.restarting) record.unbegun[name] = run;
}

/// See DeploymentRecord::ran_on.
void note_moves(DeploymentRecord& record) {
  const auto is_gone = [&](const auto& noted) { return !record.ensemble.allocations.contains(noted.first); };
  std::erase_if(record.ran_on, is_gone);
  std::erase_if(record.moves, is_gone);
  for (const auto& [name, entry] : record.manifest.allocations) {
    const std::string& peer = entry.handle.address.host;
    const bool has_begun = entry.status == AllocationStatus::running || entry.status == AllocationStatus::completed;
    if (!has_begun || peer.empty() || is_gone(std::pair(name, 0))) continue;
    std::string& last = record.ran_on[name];
    if (!last.empty() && last != peer) ++record.moves[name];
    last = peer;
  }
}

bool is_deploying(DeploymentStatus status) {
  return status == DeploymentStatus::preparing || status == DeploymentStatus::committing ||
         status == DeploymentStatus::provisioning;
}

Result<void> check_running(const DeploymentRecord& record) {
  if (record.status == DeploymentStatus::running) return {};
  return fail(Errc::invalid_argument, "deployment {} is {}: only a running deployment can be updated; {}", record.id,
              to_string(record.status),
              is_deploying(record.status)
                  ? "wait until it runs, or shut it down and deploy the new ensemble with `nunet deploy`"
                  : "deploy the new ensemble with `nunet deploy`");
}

}  // namespace

Deployment::Deployment(Services services, RecordStore& records, Heartbeats& heartbeats,
                       std::unique_ptr<actor::Actor> actor, DeploymentRecord record)
    : services_(std::move(services)),
      output_(services_.work_dir),
      actor_(std::move(actor)),
      record_(records, std::move(record)),
      providers_(*actor_, record_->id),
      grants_(*actor_),
      liveness_(services_.network),
      collector_(parts()),
      inputs_(parts()),
      work_desk_(parts()),
      endings_(
          parts(), collector_, work_,
          [this](std::string allocation, std::string run, std::string reason) {
            return on_run_lost(std::move(allocation), std::move(run), std::move(reason));
          },
          [this](const std::string& node) { return supervisor_.refused(node); },
          [this](const std::string& node) { return supervisor_.doubt(node); }),
      supervisor_(
          parts(), liveness_, heartbeats, work_,
          {.lost = [this](std::string node, std::string reason,
                          bool ended) { return on_lost(std::move(node), std::move(reason), ended); },
           .missing =
               [this](std::string allocation, std::string run, std::string reason) {
                 return on_run_lost(std::move(allocation), std::move(run), std::move(reason));
               },
           .ended = [this](std::string allocation,
                           AllocationReport report) { return endings_.on_report(std::move(allocation), report, ""); }}),
      starter_(parts(), liveness_, supervisor_, work_,
               [this](std::string allocation, std::string reason, bool may_run) {
                 return on_start_failed(std::move(allocation), std::move(reason), may_run);
               }),
      restarts_(parts(), collector_, endings_, work_),
      replacer_(parts(), grants_, work_, [this](const std::string& node) { return supervisor_.lost(node); }),
      standbys_(parts(), replacer_, grants_, liveness_, work_),
      trees_(parts(), replacer_),
      cleaner_(parts(), collector_, clearing_),
      work_(actor_->lane(), "deployment " + record_->id),
      clearing_(actor_->lane(), "releasing " + record_->id) {
  set_deadline();
}

Result<std::unique_ptr<Deployment>> Deployment::create(Services services, RecordStore& records, Heartbeats& heartbeats,
                                                       std::unique_ptr<actor::Actor> actor, DeploymentRecord record) {
  record.manifest.id = record.id;
  record.manifest.metadata = record.ensemble.metadata;
  record.manifest.orchestrator = actor->handle();
  std::unique_ptr<Deployment> made(
      new Deployment(std::move(services), records, heartbeats, std::move(actor), std::move(record)));
  TRY_VOID(made->actor_->add_behaviour(
      std::string(kTaskTermination.path),
      [self = made.get()](actor::Envelope envelope) { return self->endings_.on_notice(std::move(envelope)); }));
  TRY_VOID(made->actor_->add_behaviour(
      std::string(kAllocationChanged.path),
      [self = made.get()](actor::Envelope envelope) { return self->on_hint(std::move(envelope)); }));
  TRY_VOID(made->actor_->add_behaviour(
      std::string(kAllocationProgress.path),
      [self = made.get()](actor::Envelope envelope) { return self->on_progress(std::move(envelope)); }));
  TRY_VOID(serve(*made->actor_, kOrchestratorInput, made->inputs_, &InputDesk::answer));
  TRY_VOID(serve(*made->actor_, kWorkGrant, made->work_desk_, &WorkDesk::answer));
  return made;
}

/// The deadline of this boot, see record.hpp (5).
void Deployment::set_deadline() {
  const SteadyTime now = actor_->lane().now();
  const UnixTime wall = actor_->lane().unix_now();
  if (record_->boot_id == services_.boot_id && record_->deploy_until_ns != 0)
    deadline_ = SteadyTime(Duration(record_->deploy_until_ns));
  else if (!record_->boot_id.empty())
    deadline_ = now + Duration(record_->remaining_ns);
  else if (record_->deadline > wall.nanos)
    deadline_ = now + (UnixTime{record_->deadline} - wall);
  else
    deadline_ = now;
  record_.stamp_with([this](DeploymentRecord& record) {
    use_standbys(record);
    orchestrator::supervise(record, services_.boot_id, actor_->lane().now());
    use_standbys(record);  // for what supervision has given up
    note_restarts(record);
    note_moves(record);
    record.choice = choice();
    record.boot_id = services_.boot_id;
    record.deploy_until_ns = deadline_.time_since_epoch().count();
    record.remaining_ns = std::max(deadline_ - actor_->lane().now(), Duration(0)).count();
    for (Superseded& entry : record.superseded)
      if (entry.until_ns == 0) entry.until_ns = (actor_->lane().unix_now() + Duration(entry.hold_ns)).nanos;
  });
}

Task<Result<void>> Deployment::save() {
  const auto unchanged = [](DeploymentRecord&) {};
  co_return co_await record_.update(unchanged);
}

void Deployment::start() {
  clearing_.spawn(cleaner_.run());
  clearing_.spawn(report_end());
  work_.spawn(drive(false));
}

void Deployment::resume() {
  grant_again();
  clearing_.spawn(cleaner_.run());
  clearing_.spawn(report_end());
  if (status() == DeploymentStatus::shutting_down)
    clearing_.spawn(shut_down());
  else if (!is_final(status()))
    work_.spawn(drive(true));
  else
    endings_.resume();
}

/// Providers may report to this actor again.
void Deployment::grant_again() {
  const auto grant = [this](const actor::Handle& provider) {
    if (const Result<void> given = grants_.give(provider.did); !given)
      log::warn("orchestrator", "{}: {}", id(), given.error().to_string());
  };
  for (const auto& [name, node] : record_->manifest.nodes) grant(node.handle);
  for (const auto& [id, standby] : record_->standbys) grant(standby.node.handle);
  for (const Superseded& entry : record_->superseded) grant(entry.handle);
}

Task<void> Deployment::close() {
  ended_ = nullptr;
  work_.cancel();
  clearing_.cancel();
  co_await actor_->stop();  // its handlers spawn into the nurseries
  co_await work_.join();
  co_await clearing_.join();
  inputs_.close();
  // Requests for output are not among those: what they still wait for must not be stored behind a removal.
  co_await collector_.close();
  co_await record_.close();
}

Task<Result<void>> Deployment::enter(DeploymentStatus status, std::string error) {
  const Change nothing = [](DeploymentRecord&) {};
  co_return co_await enter(status, std::move(error), nothing);
}

Task<Result<void>> Deployment::enter(DeploymentStatus status, std::string error, Change with) {
  const UnixTime now = actor_->lane().unix_now();
  const auto change = [&](DeploymentRecord& record) {
    // What the user requested meanwhile goes first.
    if (is_final(record.status) || record.status == DeploymentStatus::shutting_down) return;
    record.status = status;
    record.error = error;
    if (is_final(status)) record.ended = now.nanos;
    with(record);
  };
  co_return co_await record_.update_until_stored(change);
}

/// The owner is told when nothing is left to do.
Task<void> Deployment::report_end() {
  for (;;) {
    const std::uint64_t seen = record_.changed().count();
    if (is_final(status()) && !record_->unsettled()) break;
    const Result<void> waited = co_await record_.changed().wait_past(seen);
    if (!waited) co_return;
  }
  if (ended_) std::exchange(ended_, nullptr)();
}

// --- the state machine -----------------------------------------------------------------------------------------------

Task<void> Deployment::drive(bool resumed) {
  if (resumed) {
    const Result<void> taken_up = co_await take_up();
    if (!taken_up || is_final(status())) co_return;
  }
  work_.spawn(grants_.renew_until_cancelled());
  work_.spawn(supervisor_.run());
  work_.spawn(restarts_.run());
  work_.spawn(standbys_.run());
  work_.spawn(trees_.run());
  endings_.resume();
  for (;;) {
    const std::uint64_t seen = record_.changed().count();
    const DeploymentStatus before = status();
    Result<void> looked = co_await step();
    if (!looked || is_final(status()) || status() == DeploymentStatus::shutting_down) co_return;
    if (status() != before) continue;
    SteadyTime next = actor_->lane().now() + kMaxRenewal;
    if (is_deploying(status())) next = std::min(next, std::max(deadline_, actor_->lane().now()));
    if (all_ended_since_) next = std::min(next, *all_ended_since_ + kEndPatience);
    looked = co_await record_.changed().wait_past(seen, next);
    if (!looked) co_return;
  }
}

Task<Result<void>> Deployment::step() {
  if (status() == DeploymentStatus::provisioning) co_return co_await provision();
  if (status() == DeploymentStatus::running) co_return co_await supervise();
  co_return co_await deploy();
}

/// What a restart of the daemon finds.
Task<Result<void>> Deployment::take_up() {
  supervisor_.reconcile_first();
  if (record_->boot_id.empty() && status() != DeploymentStatus::preparing)
    co_return co_await give_up(
        fmt::format("an older version of the daemon had left the deployment {}; deploy it again", to_string(status())),
        json::StringMap());
  if (status() == DeploymentStatus::committing) {
    Failure interrupted{"the daemon was restarted while machines were reserved", {}};
    co_return co_await start_over(std::move(interrupted));
  }
  // Of a machine that was being added, it is not known what it has made.
  const auto supersede_unknown_outcomes = [](DeploymentRecord& record) {
    drop_unready_standbys(record);
    for (const auto& [node, allocations] : without_machine(record)) {
      std::vector<std::string> requested = allocations;
      std::erase_if(requested, [&](const std::string& name) { return !record.manifest.allocations.contains(name); });
      if (record.manifest.nodes.contains(node) && !requested.empty()) supersede(record, node, std::move(requested));
    }
  };
  co_return co_await record_.update_until_stored(supersede_unknown_outcomes);
}

Task<Result<void>> Deployment::deploy() {
  CO_TRY_VOID(co_await replacer_.idle());
  const Unplaced wanted = unplaced(record_.get());
  if (wanted.empty()) co_return co_await enter(DeploymentStatus::provisioning);  // all has completed
  const bool blocked = std::ranges::any_of(wanted, [&](const auto& n) { return is_blocked(record_.get(), n.first); });
  if (blocked && actor_->lane().now() < deadline_) co_return Result<void>();
  Task<Result<void>> deploying = replacer_.deploy(wanted, deadline_);
  const Result<void> deployed = co_await std::move(deploying);
  if (work_.cancelled()) co_return fail(Errc::cancelled, "the deployment is shut down");
  if (deployed) co_return co_await enter(DeploymentStatus::provisioning);
  const std::string why = network::plain(deployed.error());
  log::warn("orchestrator", "{}: {}", id(), deployed.error().to_string());
  if (status() == DeploymentStatus::preparing || replacer_.failed_provider().empty()) {
    // No machine in time, or another attempt would end the same way.
    const std::string before = record_->error.empty() ? std::string() : record_->error + "; after that: ";
    co_return co_await give_up(before + why, json::StringMap());
  }
  Failure failure{why, replacer_.failed_provider()};
  co_return co_await start_over(std::move(failure));
}

Task<Result<void>> Deployment::provision() {
  if (refused_start_) co_return co_await give_up_refused_start();
  if (attempt_failed_) {
    Failure failure = *std::exchange(attempt_failed_, std::nullopt);
    co_return co_await start_over(std::move(failure));
  }
  CO_TRY_VOID(co_await starter_.start_ready());
  if (!starter_.waits()) {
    start_failures_.clear();
    co_return co_await enter(DeploymentStatus::running);
  }
  if (actor_->lane().now() >= deadline_) co_return co_await give_up_starts();
  replacer_.begin();
  co_return Result<void>();
}

/// Names what is not started, and what that waits for.
Task<Result<void>> Deployment::give_up_starts() {
  json::StringMap late;
  std::vector<std::string> names;
  for (const auto& [name, allocation] : record_->manifest.allocations)
    if (allocation.status == AllocationStatus::pending) names.push_back(name);
  std::string reasons;
  std::map<std::string, std::vector<std::string>> waiting;  // for what -> names
  for (const std::string& name : names) {
    const std::string what = what_it_waits_for(name);
    late[name] = what.empty() ? "it could not be started in time" : "it could not be started in time: it waits " + what;
    if (!what.empty()) waiting[what].push_back(name);
    const auto failures = start_failures_.find(name);
    if (!what.empty() || failures == start_failures_.end()) continue;
    late[name] += ": " + failures->second.last;
    add_reason(reasons, failures->second.last);
  }
  for (const auto& [what, those] : waiting)
    add_reason(reasons, fmt::format("{} {} {}", names.size() == 1 ? "it" : few_of(those),
                                    those.size() == 1 ? "waits" : "wait", what));
  std::string reason = few_of(names) + " could not be started in time";
  if (!reasons.empty()) reason += ": " + reasons;
  co_return co_await give_up(std::move(reason), std::move(late));
}

Task<Result<void>> Deployment::give_up_refused_start() {
  const std::string name = *std::exchange(refused_start_, std::nullopt);
  const auto found = record_->manifest.allocations.find(name);
  if (found == record_->manifest.allocations.end() || is_final(found->second.status)) co_return Result<void>();
  const std::string why = fmt::format("could not be started on the only machine that node {} may have: {}",
                                      found->second.node_id, start_failures_[name].last);
  const auto has_not_begun = [&name](DeploymentRecord& record) { record.starts.erase(name); };
  CO_TRY_VOID(co_await record_.update_until_stored(has_not_begun));
  json::StringMap late;
  late[name] = "it " + why;
  co_return co_await give_up(fmt::format("{} {}", name, why), std::move(late));
}

/// Empty if it waits for no other allocation.
std::string Deployment::what_it_waits_for(const std::string& allocation) const {
  const Dependency waits = dependency(record_.get(), allocation);
  if (waits.readiness == Readiness::ready) return {};
  const std::string& needed = waits.needed;
  const std::string text = fmt::format("for {} to be {}", needed, to_string(waits.condition));
  const auto found = record_->manifest.allocations.find(needed);
  if (found == record_->manifest.allocations.end()) return fmt::format("{}; {} has no machine", text, needed);
  const AllocationManifest& entry = found->second;
  const bool has_health = entry.status == AllocationStatus::running && entry.health != Health::unknown;
  const std::string state(has_health ? to_string(entry.health) : to_string(entry.status));
  std::string why = entry.reason;
  if (const AllocationReport* last = report(needed); has_health && last != nullptr) why = last->health_message;
  return fmt::format("{}; {} is {}{}{}", text, needed, state, why.empty() ? "" : ": ", why);
}

Task<Result<void>> Deployment::supervise() {
  attempt_failed_.reset();
  refused_start_.reset();
  CO_TRY_VOID(co_await starter_.start_ready());
  replacer_.begin();
  if (!all_ended(record_.get())) {
    all_ended_since_.reset();
    co_return Result<void>();
  }
  co_return co_await end_when_released();
}

Task<Result<void>> Deployment::end_when_released() {
  const SteadyTime now = actor_->lane().now();
  if (!all_ended_since_) all_ended_since_ = now;
  if (record_->may_run_elsewhere() && now < *all_ended_since_ + kEndPatience) co_return Result<void>();
  const std::string reason = failure_of(record_.get());
  const DeploymentStatus end = reason.empty() ? DeploymentStatus::completed : DeploymentStatus::failed;
  co_return co_await enter(end, reason);
}

Task<Result<void>> Deployment::start_over(Failure failure) {
  const Mutex::Lock lock = co_await replacer_.changing();
  std::erase_if(start_failures_, [this](const auto& failures) {
    const auto entry = record_->manifest.allocations.find(failures.first);
    const bool began =
        entry != record_->manifest.allocations.end() && entry->second.status != AllocationStatus::pending;
    return began || !failures.second.pinned;
  });
  if (!failure.peer.empty()) replacer_.backoff().failed(failure.peer, actor_->lane().now());
  const bool may_run = status() == DeploymentStatus::provisioning;
  log::warn("orchestrator", "{}: starting over: {}", id(), failure.reason);
  const Change supersede_everything = [may_run](DeploymentRecord& record) { unplace_all(record, may_run); };
  co_return co_await enter(DeploymentStatus::preparing, failure.reason, supersede_everything);
}

Task<Result<void>> Deployment::give_up(std::string reason, json::StringMap late) {
  const Mutex::Lock lock = co_await replacer_.changing();
  // These are stored with every allocation.
  for (auto& [name, text] : late) text = shortened(std::move(text), kMaxReportedText);
  const std::string why = shortened("the deployment has failed: " + reason, kMaxReportedText);
  const Change end_everything = [&](DeploymentRecord& record) { end_attempt(record, late, why); };
  co_return co_await enter(DeploymentStatus::failed, std::move(reason), end_everything);
}

// --- what happens meanwhile ------------------------------------------------------------------------------------------

/// Of what is at the sender only, and nothing is believed but that a renewal is worth it.
Task<void> Deployment::on_hint(actor::Envelope envelope) {
  const Result<AllocationChanged> change = actor::payload<AllocationChanged>(envelope);
  if (!change) co_return;
  const auto entry = record_->manifest.allocations.find(std::string(jobs::allocation_name(change->allocation_id)));
  if (entry == record_->manifest.allocations.end() || entry->second.handle.id != envelope.from.id) co_return;
  if (!starter_.hint(entry->first)) supervisor_.hint(entry->second.node_id);
}

/// Of what is at the sender only, and of the run that is known to be there.
Task<void> Deployment::on_progress(actor::Envelope envelope) {
  const Result<AllocationProgress> told = actor::payload<AllocationProgress>(envelope);
  if (!told || !told->progress.is_sound()) co_return;
  const std::string name(jobs::allocation_name(told->allocation_id));
  const AllocationManifest* entry = parts().allocation(name);
  if (entry == nullptr || entry->handle.id != envelope.from.id || entry->incarnation != told->incarnation) co_return;
  supervisor_.note_progress(name, told->incarnation, told->progress);
}

// --- requests of the user --------------------------------------------------------------------------------------------

Task<Result<void>> Deployment::update(jobs::Ensemble ensemble) {
  CO_TRY_VOID(check_running(record_.get()));
  CO_TRY_VOID(check_update(record_.get(), ensemble));
  Task<Result<void>> finding = replacer_.find_places(ensemble);
  CO_TRY_VOID(co_await std::move(finding));
  const Mutex::Lock lock = co_await replacer_.changing();
  Result<void> accepted;
  const auto change = [&](DeploymentRecord& record) {
    accepted = check_running(record);
    if (accepted) accepted = check_update(record, ensemble);
    if (!accepted) return;
    apply_update(record, ensemble);
    record.error.clear();  // of what was wanted before
  };
  CO_TRY_VOID(co_await record_.update(change));
  if (!accepted) co_return accepted;
  start_failures_.clear();
  replacer_.on_update();
  co_return accepted;
}

Task<Result<void>> Deployment::shutdown() {
  const SteadyTime patience = actor_->lane().now() + kShutdownPatience;
  if (!is_final(status()) && status() != DeploymentStatus::shutting_down && !std::exchange(shutting_down_, true))
    clearing_.spawn(begin_shutdown());
  while (!is_final(status()) && actor_->lane().now() < patience) {
    const std::uint64_t seen = record_.changed().count();
    CO_TRY_VOID(co_await record_.changed().wait_past(seen, patience));
  }
  if (is_final(status())) co_return Result<void>();
  if (status() != DeploymentStatus::shutting_down)
    co_return fail(Errc::io, "the request cannot be stored yet; that is repeated, see the log of the daemon");
  co_return fail(Errc::deadline_exceeded,
                 "the deployment has not ended yet; what is missing is requested again, see `nunet deployment status`");
}

/// What takes time here is no part of what a request waits for.
Task<void> Deployment::begin_shutdown() {
  const Result<void> entered = co_await enter(DeploymentStatus::shutting_down);
  if (!entered || is_final(status())) co_return;
  co_await work_.close();
  co_await shut_down();
}

Task<void> Deployment::shut_down() {
  ShutdownReport learned;
  Task<Result<void>> collecting = end_and_collect_all(learned);
  const Result<void> collected = co_await with_timeout(kLastOutput, std::move(collecting));
  if (!collected) log::info("orchestrator", "{}: {}", id(), collected.error().to_string());
  const auto terminate = [&learned](DeploymentRecord& record) {
    for (const auto& [name, report] : learned.ends)
      if (const auto entry = record.manifest.allocations.find(name);
          entry != record.manifest.allocations.end() && entry->second.incarnation == report.incarnation)
        record_end(entry->second, report);
    std::set<std::string> run_on;
    for (const auto& [name, entry] : record.manifest.allocations)
      if (is_placed(entry) && !is_final(entry.status) && entry.status != AllocationStatus::pending &&
          !learned.ended.contains(name))
        run_on.insert(name);
    const std::uint64_t before = record.last_number;
    for (const auto& [name, node] : record.manifest.nodes)
      end_node(record, name, AllocationStatus::terminated, "it was shut down", learned.complete);
    for (Superseded& entry : record.superseded)
      for (const auto& [name, run] : entry.allocations)
        if (entry.number > before && run_on.contains(name)) entry.stopping[name] = learned.unstopped[name];
    end_unplaced(record, AllocationStatus::terminated, "it was shut down");
  };
  const Result<void> terminated = co_await record_.update_until_stored(terminate);
  if (!terminated) co_return;
  while (record_->may_run_elsewhere()) {
    const std::uint64_t seen = record_.changed().count();
    const Result<void> waited = co_await record_.changed().wait_past(seen);
    if (!waited) co_return;
  }
  const UnixTime now = actor_->lane().unix_now();
  const auto complete = [now](DeploymentRecord& record) {
    record.status = DeploymentStatus::completed;
    record.error.clear();
    record.ended = now.nanos;
  };
  (void)co_await record_.update_until_stored(complete);
}

/// What runs is ended, and the rest of all output collected: once it is released it is gone.
Task<Result<void>> Deployment::end_and_collect_all(ShutdownReport& learned) {
  std::vector<Task<Result<void>>> fetches;
  for (const auto& [name, allocation] : record_->manifest.allocations)
    if (is_placed(allocation) && allocation.lease_ns > 0 && allocation.status != AllocationStatus::pending &&
        !allocation.collected && !is_awaited(record_.get(), name, allocation.incarnation))
      fetches.push_back(end_and_collect(name, learned));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(fetches));
  co_return first_error(outcomes);
}

Task<Result<void>> Deployment::end_and_collect(std::string name, ShutdownReport& learned) {
  const SteadyTime begun = actor_->lane().now();
  const AllocationManifest entry = record_->manifest.allocations.at(name);
  const auto node = record_->manifest.nodes.find(entry.node_id);
  if (node == record_->manifest.nodes.end()) co_return fail(Errc::not_found, "{} has no machine", name);
  const actor::Handle provider = node->second.handle;
  bool ended = is_final(entry.status);
  Result<void> stopped;
  if (!ended) stopped = co_await end_run(entry, provider);
  if (stopped) {
    learned.ended.insert(name);
  } else {
    learned.unstopped[name] = network::plain(stopped.error());
    log::info("orchestrator", "{}: {}", id(), stopped.error().to_string());
  }
  if (stopped || stopped.error().is(Errc::permission_denied)) cleaner_.answers_since(name, entry.incarnation, begun);
  if (!ended && stopped) {
    ended = true;
    co_await ask_for_end(name, provider, learned.ends);
  }
  const Result<void> fetched = co_await collector_.fetch(name, ended);
  if (fetched && ended) learned.complete.insert(name);
  co_return fetched;
}

/// Repeated until there is a reply: either side may just have been started.
Task<Result<void>> Deployment::end_run(AllocationManifest entry, actor::Handle provider) {
  const bool restarting = record_->restarting.contains(std::string(jobs::allocation_name(entry.id)));
  const std::string run = restarting ? std::string() : entry.incarnation;
  const SteadyTime until = actor_->lane().now() + kLastWords;
  for (;;) {
    const Result<void> stopped = co_await providers_.stop(provider, entry.id, run, kReleaseTimeout);
    if (stopped || stopped.error().is(Errc::permission_denied) || actor_->lane().now() + kReleasePause >= until)
      co_return stopped;
    CO_TRY_VOID(co_await sleep_for(kReleasePause));
  }
}

Task<void> Deployment::ask_for_end(std::string name, actor::Handle provider, Reports& ends) {
  Result<RenewReply> reply = co_await providers_.reports(provider, kReleaseTimeout);
  if (!reply) co_return;
  const auto report = reply->allocations.find(name);
  if (report != reply->allocations.end() && is_final(report->second.status)) ends[name] = report->second;
}

std::string Deployment::trouble() const {
  if (status() == DeploymentStatus::running) return standbys_.trouble();
  return status() == DeploymentStatus::preparing ? replacer_.shortage() : std::string();
}

void Deployment::add_silence(AllocationState& state, const std::string& allocation) const {
  const auto entry = record_->manifest.allocations.find(allocation);
  if (entry == record_->manifest.allocations.end() || !is_placed(entry->second) || is_final(entry->second.status))
    return;
  const std::optional<Supervisor::Silence> silence = supervisor_.silence(entry->second.node_id);
  if (!silence) return;
  if (state.reason.find(silence->clocks) == std::string::npos) add_reason(state.reason, silence->clocks);
  const std::string refusal = providers_.renewal_refusal(entry->second.handle.address.host);
  if (state.reason.find(refusal) == std::string::npos) add_reason(state.reason, refusal);
  const SteadyTime now = actor_->lane().now();
  state.unreachable_ns = std::max(silence->lasts, Duration(1)).count();
  if (silence->ends && *silence->ends > now) state.lost_at = (actor_->lane().unix_now() + (*silence->ends - now)).nanos;
}

Task<Result<std::filesystem::path>> Deployment::logs(std::string allocation) {
  co_return co_await collector_.folder(std::move(allocation));
}

Task<Result<LogPage>> Deployment::page(DeploymentLogsRequest request) {
  const std::string name = request.allocation_name;
  const auto restarting = record_->restarting.find(name);
  const auto stored = record_->outputs.find(name);
  const bool is_stored = restarting != record_->restarting.end() && stored != record_->outputs.end() &&
                         stored->second == restarting->second;
  const std::string run = is_stored ? stored->second : "";
  const SteadyTime asked = actor_->lane().now();
  const auto silent = silent_pages_.find(name);
  if (is_stored && silent != silent_pages_.end() && silent->second.run == run && asked < silent->second.until) {
    CO_TRY_VOID(parse_stream(request.stream));
    Task<Result<LogPage>> reading = stored_page(output_, record_.get(), std::move(request));
    CO_TRY(LogPage page, co_await std::move(reading));
    page.eof = false;  // the next run comes
    co_return std::move(page);
  }
  Task<Result<LogPage>> reading = collector_.page(std::move(request));
  Result<LogPage> page = co_await std::move(reading);
  const SteadyTime now = actor_->lane().now();
  if (is_stored && page && now - asked >= kPageAnswer) silent_pages_[name] = {run, now + kPageAnswer};
  co_return page;
}

}  // namespace dms::orchestrator
