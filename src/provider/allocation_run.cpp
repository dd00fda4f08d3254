// The tasks of one run of an allocation: its start, its health checks, its end and the notices of that.
#include <algorithm>

#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "base/text.hpp"
#include "protocol/serve.hpp"
#include "provider/allocation.hpp"
#include "provider/inputs.hpp"
#include "provider/results.hpp"

namespace dms::provider {

using protocol::Ack;
using protocol::AllocationStatus;

namespace {

constexpr std::size_t kMaxEndReason = 1024;  // bytes: renewals and notices repeat it

/// A change by something that belongs to another run, or comes after the end.
Result<void> check_current(const AllocationRecord& record, const std::string& incarnation) {
  if (record.incarnation == incarnation && record.phase < Phase::ended) return {};
  return fail(Errc::cancelled, "the run {} of {} is not the current one", incarnation, record.id);
}

executor::ExecutionResult never_ran(std::string reason) {
  executor::ExecutionResult result;
  result.error_msg = std::move(reason);
  return result;
}

bool let_go(const Error& error) { return error.is(Errc::cancelled) || error.is(Errc::closed); }

protocol::StartPhase phase_of(const executor::ImageProgress& image) {
  using ImagePhase = executor::ImageProgress::Phase;
  switch (image.phase) {
    case ImagePhase::pulling: return protocol::StartPhase::pulling;
    case ImagePhase::loading: return protocol::StartPhase::loading;
    case ImagePhase::extracting: return protocol::StartPhase::extracting;
  }
  return protocol::StartPhase::unknown;
}

}  // namespace

// --------------------------------------------------------------------------------------------------------- starting

bool Allocation::awaits_engine() const {
  const bool may_run = record_.phase == Phase::starting || record_.phase == Phase::running;
  return may_run && record_.boot_id == parts_.boot_id && parts_.engine != nullptr && !parts_.engine->ready();
}

void Allocation::resume(bool known) {
  const std::string& incarnation = record_.incarnation;
  const bool same_boot = record_.boot_id == parts_.boot_id;
  switch (record_.phase) {
    case Phase::allocated:
      if (!same_boot)
        run_->spawn(finish(incarnation, never_ran("lost: the machine was restarted before the start")));
      else
        hint(true);  // its start may be lost with the daemon before
      break;
    case Phase::starting:
    case Phase::running:
      if (known) hint(true);  // the reply to its start may be lost with the daemon before
      if (known)
        run_->spawn(watch(incarnation));
      else if (!same_boot)
        run_->spawn(finish(incarnation, never_ran("lost by a restart of the machine")));
      else if (record_.phase == Phase::starting && record_.previous.empty())
        run_->spawn(launch(incarnation));  // it never ran: the executor keeps what did
      else if (record_.phase == Phase::starting)
        run_->spawn(relaunch(nullptr, record_.previous, incarnation));
      else
        run_->spawn(finish(incarnation,
                           never_ran(fmt::format(
                               "lost by a restart of the daemon: executor '{}' {}", record_.config.execution.type,
                               parts_.engine == nullptr ? "is not available any more" : "does not know it any more"))));
      break;
    case Phase::ended:
      if (!same_boot) {  // the clock of the retention has begun anew
        record_.boot_id = parts_.boot_id;
        record_.end->at_ns = lane_.now().time_since_epoch().count();
      }
      if (!record_.end->acknowledged) run_->spawn(notify(incarnation));
      break;
    case Phase::releasing: break;
  }
}

Task<void> Allocation::launch(std::string incarnation) {
  if (parts_.leases.is_over(name())) {  // its end, which is reported once, was reported before this run
    executor::ExecutionResult result;
    result.killed = true;
    co_return co_await finish(incarnation, std::move(result));
  }
  run_->spawn(tell_progress(incarnation));
  Result<executor::Request> request = execution_request();
  if (request && parts_.engine == nullptr)
    request = fail(Errc::unsupported, "executor '{}' is not available here", record_.config.execution.type);
  if (request && !record_.config.inputs.empty()) {
    brought_ = {};
    brought_.phase = protocol::StartPhase::inputs;
    OnBrought on_brought = [this](std::uint64_t here, std::uint64_t of_all) {
      brought_.done = here;
      brought_.total = of_all;
    };
    Task<Result<void>> bringing = bring_inputs(parts_.network, *actor_, record_, parts_.folder, std::move(on_brought));
    bringing_inputs_ = true;
    const Result<void> brought = co_await std::move(bringing);
    bringing_inputs_ = false;
    if (!brought) request = std::unexpected(brought.error());
  }
  elsewhere_ = 0;
  if (request && !record_.previous.empty()) {
    const Look look = co_await look_at_disk();
    if (look.given_up) co_return;
    if (!look.over.empty()) request = fail(Errc::limit_exceeded, "{}", look.over);
  }
  if (request) co_await open_socket();
  if (request) show_socket(*request);
  // From the start on: no daemon may be left to extend() it.
  if (const Lease* lease = parts_.leases.find(name()); request && lease != nullptr) request->deadline = lease->end();
  Result<void> started;
  if (request)
    started = co_await parts_.engine->start(std::move(*request));
  else
    started = std::unexpected(request.error());
  if (!started) {
    if (let_go(started.error())) co_return;
    executor::ExecutionResult failed = never_ran(started.error().to_string());
    const bool restart_failed = !record_.previous.empty() && parts_.engine != nullptr;
    co_return co_await finish(incarnation, std::move(failed), restart_failed);
  }
  co_await extend();
  Change enter = [incarnation, now = lane_.unix_now().nanos](AllocationRecord& record) -> Result<void> {
    TRY_VOID(check_current(record, incarnation));
    record.phase = Phase::running;
    record.started_ns = now;
    return {};
  };
  const Result<void> stored = co_await update(enter);
  if (!stored) {
    // The record says that it is being started, which finds it as well.
    log::warn("provider", "storing that {} runs: {}", record_.id, stored.error().to_string());
    AllocationRecord running = record_;
    if (!enter(running)) co_return;
    set_record(std::move(running));
  }
  if (starters_ == 0 || !record_.previous.empty()) hint(starters_ == 0);  // who asked for a restart may have given up
  co_await watch(std::move(incarnation));
}

std::optional<protocol::StartProgress> Allocation::progress() const {
  if (record_.phase != Phase::starting) return std::nullopt;
  protocol::StartProgress progress = brought_;
  if (!bringing_inputs_) {
    if (parts_.engine == nullptr) return std::nullopt;
    const std::optional<executor::ImageProgress> image = parts_.engine->progress(run_id());
    if (!image) return std::nullopt;
    progress.phase = phase_of(*image);
    progress.done = image->done;
    progress.total = image->total;
  }
  return progress.is_sound() ? std::optional(progress) : std::nullopt;
}

Task<void> Allocation::tell_progress(std::string incarnation) {
  const Lease* lease = parts_.leases.find(name());
  if (lease == nullptr || lease->by_contact) co_return;
  std::optional<protocol::StartProgress> told;
  for (;;) {
    const Result<void> slept = co_await sleep_for(kProgressPause);
    if (!slept || !is_starting(incarnation)) co_return;
    const std::optional<protocol::StartProgress> now = progress();
    if (!now || now == told) continue;
    protocol::AllocationProgress change;
    change.allocation_id = record_.id;
    change.incarnation = incarnation;
    change.progress = *now;
    actor::Envelope envelope = message(*actor_, protocol::kAllocationProgress, record_.orchestrator, change);
    const Result<void> sent = co_await actor_->send(std::move(envelope));
    if (sent) told = now;
  }
}

Task<void> Allocation::relaunch(std::shared_ptr<Nursery> earlier, std::string previous, std::string incarnation) {
  if (earlier) co_await earlier->close();
  co_await close_socket();
  co_await hooks_.end_packing(parts_.folder / previous);
  for (Duration pause = kFirstRetry;; pause = std::min(2 * pause, kLongestRetry)) {
    const Result<void> removed = co_await remove_run(previous, kStopGrace);
    if (removed) break;
    if (let_go(removed.error())) co_return;
    log::warn("provider", "restarting {}, which waits for the end of its previous run: {}", record_.id,
              removed.error().to_string());
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
  }
  auto removal = [folder = folder_of_results(parts_.folder / previous)] { return discard_tree(folder); };
  const Result<void> gone = co_await offload(std::move(removal));
  if (!gone) log::warn("provider", "{}", gone.error().to_string());
  co_await launch(std::move(incarnation));
}

// ---------------------------------------------------------------------------------------------------- running, ended

Task<void> Allocation::watch(std::string incarnation) {
  if (record_.phase == Phase::starting) {  // taken up; it had been started
    AllocationRecord running = record_;
    running.phase = Phase::running;
    running.started_ns = lane_.unix_now().nanos;
    set_record(std::move(running));
  }
  co_await open_socket();
  co_await extend();
  watching_ = true;
  co_await begin_checks();
  if (record_.incarnation == incarnation) {
    run_->spawn(count_elsewhere(incarnation));
    run_->spawn(guard_disk(incarnation));
  }
  Result<executor::ExecutionResult> result = co_await parts_.engine->wait(executor::ExecutionId(incarnation));
  watching_ = false;
  co_await end_checks();
  if (!result) {
    if (let_go(result.error())) co_return;
    result = never_ran("lost: the executor does not know the execution any more");
  }
  co_await finish(std::move(incarnation), std::move(*result));
}

Task<void> Allocation::begin_checks() {
  while (checks_) co_await end_checks();
  const auto& check = record_.config.health_check;
  if (!watching_ || !check || !check->present()) co_return;
  checks_ = std::shared_ptr<Checks>(
      new Checks{{lane_, *parts_.engine, run_id(), *check, [this] { on_health(); }}, {lane_, "health checks"}});
  checks_->tasks.spawn(checks_->monitor.run());
}

void Allocation::on_health() {
  if (checks_ && checks_->monitor.health() == protocol::Health::unhealthy)
    log::info("provider", {{"allocation", record_.id}}, "allocation {} is unhealthy: {}", record_.id,
              checks_->monitor.message());
  hint();
}

Task<void> Allocation::end_checks() {
  const std::shared_ptr<Checks> checks = std::exchange(checks_, nullptr);
  if (checks) co_await checks->tasks.close();
}

std::string Allocation::lease_reason() const {
  const Lease* lease = parts_.leases.find(name());
  const auto seconds = lease == nullptr ? 0 : lease->length() / 1s;
  if (lease != nullptr && lease->by_contact)
    return fmt::format("the lease has ended: nothing was heard from the orchestrator for {} s", seconds);
  return fmt::format("the lease has ended: it was not renewed for {} s", seconds);
}

End Allocation::describe_end(const executor::ExecutionResult& result) const {
  End end;
  end.exit_code = result.exit_code;
  end.killed = result.killed;
  end.reason = shortened(result.error_msg, kMaxEndReason);
  end.at_ns = lane_.now().time_since_epoch().count();
  end.cpu_seconds = std::max(result.cpu_seconds, usage_.cpu_seconds);
  end.memory_bytes = std::max(result.memory_bytes, usage_.memory_bytes);
  end.status = result.exit_code == 0 && !result.killed ? AllocationStatus::completed : AllocationStatus::failed;
  if (result.killed && record_.owner_grace_ns) {
    end.status = AllocationStatus::terminated;
    end.reason = kEndedByOwner;
    end.by_owner = true;
  } else if (result.killed && parts_.leases.is_over(name())) {
    end.status = AllocationStatus::terminated;
    end.reason = lease_reason();
  } else if (result.killed && record_.stopping) {
    end.status = AllocationStatus::stopped;
  } else if (result.killed && !record_.over_disk.empty()) {
    end.reason = record_.over_disk;
  }
  return end;
}

Task<void> Allocation::finish(std::string incarnation, executor::ExecutionResult result, bool restart_failed) {
  co_await close_socket();
  End end = describe_end(result);
  end.restart_failed = restart_failed;
  end.out_size = co_await size_of(executor::LogStream::out);
  end.err_size = co_await size_of(executor::LogStream::err);
  Change enter = [this, incarnation, end](AllocationRecord& record) -> Result<void> {
    TRY_VOID(check_current(record, incarnation));
    record.end = end;
    const bool told_by_start = record.started_ns == 0 && record.phase == Phase::starting && starters_ > 0;
    record.end->acknowledged = (told_by_start || record.stopping) && !record.owner_grace_ns;
    record.phase = Phase::ended;
    return {};
  };
  const Result<void> stored = co_await update_until_stored(std::move(enter));
  if (!stored) co_return;
  log::info("provider",
            {{"allocation", record_.id},
             {"status", to_string(status())},
             {"exit_code", end.exit_code},
             {"reason", end.reason}},
            "allocation {} {}", record_.id, to_string(status()));
  co_await hooks_.free_resources();
  if (record_.incarnation == incarnation && !record_.end->acknowledged) run_->spawn(notify(std::move(incarnation)));
}

Task<void> Allocation::notify(std::string incarnation) {
  for (Duration pause = kFirstNoticePause;; pause = std::min(2 * pause, kLongestNoticePause)) {
    if (record_.incarnation != incarnation || record_.phase != Phase::ended) co_return;
    const Result<void> told = co_await tell_end();
    if (told) break;
    log::debug("provider", "notifying {} of the end of {}: {}", record_.orchestrator.address.to_string(), record_.id,
               told.error().to_string());
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
  }
  Change acknowledge = [incarnation](AllocationRecord& record) -> Result<void> {
    if (record.incarnation != incarnation || record.phase != Phase::ended)
      return fail(Errc::cancelled, "the run {} is not the last one", incarnation);
    record.end->acknowledged = true;
    return {};
  };
  if (const Result<void> stored = co_await update(std::move(acknowledge));
      !stored && !stored.error().is(Errc::cancelled))
    log::warn("provider", "storing that the end of {} is acknowledged: {}", record_.id, stored.error().to_string());
}

Task<Result<void>> Allocation::tell_end() {
  const protocol::TaskTermination ended = co_await notice();
  const Lease* lease = parts_.leases.find(name());
  if (lease != nullptr && lease->by_contact) {
    actor::Envelope message = protocol::message(*actor_, protocol::kTaskTermination, record_.orchestrator, ended);
    co_return co_await actor_->send(std::move(message));
  }
  CO_TRY(const Ack answer, co_await call(*actor_, protocol::kTaskTermination, record_.orchestrator, ended));
  if (!answer.ok) co_return fail(Errc::io, "{}", answer.error);
  co_return Result<void>();
}

void Allocation::hint(bool until_sent) {
  const Lease* lease = parts_.leases.find(name());
  if (lease == nullptr || lease->by_contact) return;
  run_->spawn(send_hint(until_sent));
}

/// Lost, it is made up for by the next renewal.
Task<void> Allocation::send_hint(bool until_sent) {
  const protocol::AllocationChanged change{record_.id, record_.incarnation};
  for (Duration pause = kFirstNoticePause; active() && record_.incarnation == change.incarnation;
       pause = std::min(2 * pause, kLongestNoticePause)) {
    actor::Envelope envelope = message(*actor_, protocol::kAllocationChanged, record_.orchestrator, change);
    const Result<void> sent = co_await actor_->send(std::move(envelope));
    if (!sent) log::debug("provider", "hinting at a change of {}: {}", record_.id, sent.error().to_string());
    if (sent || !until_sent) co_return;
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
  }
}

Task<protocol::TaskTermination> Allocation::notice() const {
  const auto tail = [](const std::string& text) {
    return to_bytes(std::string_view(text).substr(text.size() - std::min(text.size(), protocol::kTerminationOutput)));
  };
  const End end = *record_.end;
  protocol::TaskTermination ended;
  ended.allocation_id = record_.id;
  ended.status = to_string(end.status);
  ended.error.exit_code = end.exit_code;
  ended.error.killed = end.killed;
  ended.reason = end.reason;
  parts_.own_folder.leave_out(ended, record_.orchestrator.did);
  ended.incarnation = record_.incarnation;
  ended.out_size = end.out_size;
  ended.err_size = end.err_size;
  ended.cpu_seconds = end.cpu_seconds;
  ended.memory_bytes = end.memory_bytes;
  ended.restart_failed = end.restart_failed;
  ended.ended_by_owner = end.by_owner;
  if (parts_.engine == nullptr) co_return ended;
  const Result<executor::Logs> logs = co_await parts_.engine->logs(run_id());
  if (!logs) co_return ended;
  ended.out = tail(logs->out);
  ended.err = tail(logs->err);
  co_return ended;
}

// ------------------------------------------------------------------------------------------------------ stopping

Task<void> Allocation::extend() {
  const Lease* lease = parts_.leases.find(name());
  if (lease == nullptr || parts_.engine == nullptr) co_return;
  const Result<void> set = co_await parts_.engine->set_deadline(run_id(), lease->end());
  if (set || set.error().is(Errc::unsupported) || set.error().is(Errc::not_found) || let_go(set.error())) co_return;
  log::warn("provider", "the executor does not know the new end of the lease of {}: {}", record_.id,
            set.error().to_string());
}

Task<void> Allocation::end_lease() {
  log::info("provider", {{"allocation", record_.id}}, "allocation {}: {}", record_.id, lease_reason());
  std::function<bool()> wanted = [this] { return parts_.leases.is_over(name()); };
  co_await end_run(kLeaseGrace, std::move(wanted));
}

Task<Result<void>> Allocation::stop() { co_return co_await stop_with(std::nullopt); }

Task<Result<void>> Allocation::stop_by_owner(Duration grace) {
  log::info("provider", {{"allocation", record_.id}}, "the owner of this machine ends allocation {}", record_.id);
  co_return co_await stop_with(grace);
}

Task<Result<void>> Allocation::stop_with(std::optional<Duration> owner_grace) {
  const std::shared_ptr<Allocation> self = shared_from_this();
  while (active() || (record_.phase == Phase::ended && !record_.stopping)) {
    const std::string incarnation = record_.incarnation;
    Change enter = [incarnation, owner_grace](AllocationRecord& record) -> Result<void> {
      if (record.incarnation != incarnation || record.phase == Phase::releasing)
        return fail(Errc::cancelled, "another run has begun");
      const bool runs = record.phase < Phase::ended;
      if (owner_grace && runs && !record.stopping) record.owner_grace_ns = owner_grace->count();
      record.stopping = true;
      return {};
    };
    const Result<void> stored = co_await update(std::move(enter));
    if (!stored && record_.incarnation == incarnation && record_.phase != Phase::releasing)
      co_return fail(stored.error(), "stopping {}", record_.id);
    if (!stored) continue;  // a restart came first
    std::function<bool()> wanted = [this] { return record_.stopping; };
    const Duration grace = record_.owner_grace_ns ? Duration(*record_.owner_grace_ns) : kStopGrace;
    co_await end_run(grace, std::move(wanted));
    while (record_.incarnation == incarnation && active()) CO_TRY_VOID(co_await changed_.wait());
  }
  co_return Result<void>();
}

Task<void> Allocation::end_run(Duration grace, std::function<bool()> wanted) {
  const std::shared_ptr<Allocation> self = shared_from_this();
  const std::string incarnation = record_.incarnation;
  for (Duration pause = kFirstRetry; record_.incarnation == incarnation; pause = std::min(2 * pause, kLongestRetry)) {
    if (!active() || !wanted()) co_return;
    if (parts_.engine == nullptr && record_.phase != Phase::allocated) co_return;  // resume() has its end stored
    Result<void> stopped;
    if (record_.phase == Phase::running) {
      stopped = co_await parts_.engine->stop(run_id(), grace);
      if (stopped) co_return;  // watch() goes on
    } else {
      co_await close_run();
      if (record_.phase == Phase::running) {  // it began meanwhile
        run_->spawn(watch(incarnation));
        continue;
      }
      if (record_.phase == Phase::starting) stopped = co_await remove_run(incarnation, grace);
      if (stopped) stopped = co_await remove_run(record_.previous, grace);  // a restart was waiting for its end
    }
    if (stopped) {
      executor::ExecutionResult result;
      result.killed = true;
      co_return co_await finish(incarnation, std::move(result));
    }
    if (!stopped && let_go(stopped.error())) co_return;
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
  }
}

Task<Result<void>> Allocation::remove_run(std::string incarnation, Duration grace) {
  if (parts_.engine == nullptr || incarnation.empty()) co_return Result<void>();
  const executor::ExecutionId id(incarnation);
  Result<void> done = co_await parts_.engine->stop(id, grace);
  if (done) done = co_await parts_.engine->remove(id);
  if (!done && done.error().is(Errc::not_found)) co_return Result<void>();
  co_return done;
}

Task<void> Allocation::close_run() {
  const std::shared_ptr<Nursery> run = run_;
  co_await run->close();
  if (run_ == run) run_ = std::make_shared<Nursery>(lane_, "run of " + record_.id);
}

// ------------------------------------------------------------------------------------------- the socket of the work

Task<void> Allocation::open_socket() {
  if (socket_ || !offers_actor()) co_return;
  WorkActor::Parts actor{*actor_, record_.orchestrator, record_.id, hooks_.siblings_here};
  WorkSocket::Parts parts{*parts_.net, parts_.actor_folder, std::move(actor)};
  const auto socket = std::make_shared<WorkSocket>(std::move(parts));
  socket_ = socket;
  const Result<void> opened = co_await socket->open();
  if (opened) co_return;
  if (!let_go(opened.error()))
    log::warn("provider", "{} runs without the socket of its actor: {}", record_.id, opened.error().to_string());
  if (socket_ == socket) co_await close_socket();
}

Task<void> Allocation::close_socket() {
  const std::shared_ptr<WorkSocket> socket = std::exchange(socket_, nullptr);
  if (socket) co_await socket->close();
}

void Allocation::show_socket(executor::Request& request) const {
  if (!socket_) return;
  request.actor_dir = socket_->folder();
  std::vector<std::string>& environment = request.engine.params.environment;
  const auto set = [&](const std::string& name, const std::string& value) {
    const bool given = std::ranges::any_of(
        environment, [start = name + "="](const std::string& entry) { return entry.starts_with(start); });
    if (!given) environment.push_back(name + "=" + value);
  };
  set("NUNET_ACTOR_SOCKET", fmt::format("{}/{}", executor::kActorFolder, executor::kActorSocket));
  set("NUNET_DID", socket_->did().uri());
  set("NUNET_ENSEMBLE", std::string(jobs::ensemble_id(record_.id)));
  set("NUNET_ALLOCATION", std::string(jobs::allocation_name(record_.id)));
}

}  // namespace dms::provider
