#include "provider/allocation.hpp"

#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "encoding/multibase.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/refused.hpp"
#include "protocol/serve.hpp"
#include "provider/admission.hpp"
#include "provider/inputs.hpp"

namespace dms::provider {

using protocol::Ack;
using protocol::AllocationStatus;

Allocation::Allocation(std::unique_ptr<actor::Actor> actor, Parts parts, AllocationRecord record, LocalName name,
                       Hooks hooks)
    : lane_(actor->lane()),
      actor_(std::move(actor)),
      parts_(std::move(parts)),
      record_(std::move(record)),
      name_(std::move(name)),
      hooks_(std::move(hooks)),
      run_(std::make_shared<Nursery>(lane_, "run of " + record_.id)) {
  hooks_.entered(status());
}

Result<void> Allocation::open() {
  TRY_VOID(serve(*actor_, protocol::kAllocationStart, *this, &Allocation::start));
  TRY_VOID(serve(*actor_, protocol::kAllocationRestart, *this, &Allocation::restart));
  TRY_VOID(serve(*actor_, protocol::kAllocationStats, *this, &Allocation::stats));
  TRY_VOID(refuse_behaviours(*actor_, protocol::Holder::allocation));
  TRY_VOID(serve(*actor_, protocol::kHealthQuery, *this, &Allocation::ask_health));
  return serve(*actor_, protocol::kHealthCheckRegister, *this, &Allocation::register_check);
}

AllocationStatus Allocation::status() const {
  switch (record_.phase) {
    case Phase::allocated: return AllocationStatus::pending;
    case Phase::starting: return record_.previous.empty() ? AllocationStatus::pending : AllocationStatus::restarting;
    case Phase::running: return AllocationStatus::running;
    case Phase::ended: return record_.end->status;
    case Phase::releasing: break;
  }
  return record_.end ? record_.end->status : AllocationStatus::stopped;
}

Duration Allocation::ended_for() const {
  if (record_.phase != Phase::ended) return 0ns;
  return lane_.now().time_since_epoch() - Duration(record_.end->at_ns);
}

// ------------------------------------------------------------------------------------------------------- the record

Task<Result<void>> Allocation::update(Change change) {
  Mutex::Lock lock = co_await changing_.lock();
  AllocationRecord next = record_;
  CO_TRY_VOID(change(next));
  next.boot_id = parts_.boot_id;
  CO_TRY_VOID(co_await parts_.store.save(next));
  set_record(std::move(next));
  co_return Result<void>();
}

void Allocation::set_record(AllocationRecord record) {
  const AllocationStatus before = status();
  record_ = std::move(record);
  if (status() != before) hooks_.entered(status());
  changed_.notify_all();
}

Task<Result<void>> Allocation::update_until_stored(Change change) {
  for (Duration pause = kFirstRetry;; pause = std::min(2 * pause, kLongestRetry)) {
    const Result<void> stored = co_await update(change);
    if (stored || stored.error().is(Errc::cancelled)) co_return stored;
    log::warn("provider", "storing the state of {}, which is tried again: {}", record_.id, stored.error().to_string());
    CO_TRY_VOID(co_await sleep_for(pause));
  }
}

// --------------------------------------------------------------------------------------------------------- starting

Task<Ack> Allocation::start(protocol::StartRequest request, const actor::Envelope& envelope) {
  if (envelope.from.did != record_.orchestrator.did)
    co_return Ack{.error = "only the orchestrator of this allocation may start it"};
  if (const Result<void> honoured = check_start(request); !honoured)
    co_return Ack{.error = honoured.error().to_string()};
  co_await hooks_.heard_from();
  const std::string incarnation = record_.incarnation;
  Change enter = [](AllocationRecord& record) -> Result<void> {
    if (record.phase != Phase::allocated) return fail(Errc::already_exists, "it was started before");
    if (record.stopping) return fail(Errc::closed, "it is being stopped");
    record.phase = Phase::starting;
    return {};
  };
  const Result<void> entered = co_await update(std::move(enter));
  if (!entered && !entered.error().is(Errc::already_exists))
    co_return Ack{.error = fmt::format("storing the start: {}", entered.error().to_string())};
  if (entered) run_->spawn(launch(incarnation));
  const Result<void> started = co_await outcome_of_start(incarnation, envelope.expiry());
  if (!started) co_return Ack{.error = started.error().to_string()};
  co_return Ack{.ok = true};
}

bool Allocation::is_starting(const std::string& incarnation) const {
  return record_.phase == Phase::starting && record_.incarnation == incarnation;
}

Task<Result<void>> Allocation::outcome_of_start(std::string incarnation, UnixTime expiry) {
  const Duration left = std::max(expiry - lane_.unix_now(), Duration(0));
  const SteadyTime until = lane_.now() + left;
  const ScopedTimer timer(lane_, until, [this] { changed_.notify_all(); });
  Result<void> waited;
  ++starters_;
  while (waited && lane_.now() < until && is_starting(incarnation)) waited = co_await changed_.wait();
  --starters_;
  if (waited && is_starting(incarnation)) co_return fail(Errc::deadline_exceeded, "it is still being started");
  if (!waited) co_return fail(waited.error(), "the allocation or this node is being stopped");
  if (record_.phase == Phase::releasing) co_return fail(Errc::closed, "the allocation is being removed");
  if (record_.phase == Phase::ended && record_.started_ns == 0)
    co_return fail(Errc::io, "{}", record_.end->reason.empty() ? "it did not start" : record_.end->reason);
  co_return Result<void>();
}

Result<executor::Request> Allocation::execution_request() const {
  executor::Request request;
  request.job_id = record_.id;
  request.execution_id = run_id();
  request.results_dir = parts_.folder / record_.incarnation;
  request.work_dir = parts_.folder / "work";
  request.engine.type = record_.config.execution.type;
  TRY(request.engine.params, engine_params(record_.config.execution));
  if (const auto image = image_input(record_.config)) request.image_archive = input_file(parts_.folder, *image);
  request.limits.cpu_cores = record_.config.resources.cpu.cores.cores();
  request.limits.memory_bytes = record_.config.resources.ram.size.bytes;
  return request;
}

Result<std::vector<executor::Request>> Allocation::known_requests() const {
  std::vector<executor::Request> requests;
  TRY(executor::Request current, execution_request());
  if (record_.phase == Phase::starting && !record_.previous.empty()) {
    executor::Request before = current;
    before.execution_id = executor::ExecutionId(record_.previous);
    before.results_dir = parts_.folder / record_.previous;
    requests.push_back(std::move(before));
  }
  requests.push_back(std::move(current));
  return requests;
}

Task<protocol::RestartReply> Allocation::restart(protocol::RestartRequest request, const actor::Envelope& envelope) {
  protocol::RestartReply reply;
  if (envelope.from.did != record_.orchestrator.did) {
    reply.error = "only the orchestrator of this allocation may restart it";
    co_return reply;
  }
  const std::string target = request.incarnation.empty() ? record_.incarnation : request.incarnation;
  co_await hooks_.heard_from();
  Result<std::string> next = co_await replace_run(target, request.only_running);
  Result<void> started;
  if (next)
    started = co_await outcome_of_start(*next, envelope.expiry());
  else
    started = std::unexpected(next.error());
  reply.incarnation = record_.incarnation;
  reply.ok = started.has_value();
  reply.restart_failed = next && record_.incarnation == *next && record_.end && record_.end->restart_failed;
  if (!started) reply.error = started.error().to_string();
  co_return reply;
}

Task<Result<std::string>> Allocation::replace_run(std::string incarnation, bool only_running) {
  Result<void> waited;
  while (waited && is_starting(incarnation)) waited = co_await changed_.wait();
  if (!waited) co_return fail(waited.error(), "the allocation or this node is being stopped");
  Mutex::Lock lock = co_await replacing_.lock();
  if (record_.previous == incarnation) co_return record_.incarnation;  // the request is repeated
  if (record_.incarnation != incarnation)
    co_return fail(Errc::not_found, "incarnation: {} is not the current run", incarnation.substr(0, 64));
  if (record_.stopping) co_return fail(Errc::closed, "it has been stopped");
  const bool ended = record_.phase == Phase::ended;
  if (ended && only_running) co_return fail(Errc::closed, "it has ended");
  if (ended) {
    // A replacement may have been started.
    if (parts_.leases.is_over(name())) co_return fail(Errc::closed, "its lease has ended");
    const Result<void> taken = co_await hooks_.take_resources();
    if (!taken) co_return fail(taken.error(), "the resources of the run that has ended");
  }
  if (!record_.previous.empty()) {  // before its name is lost
    auto removal = [folder = parts_.folder / record_.previous] { return discard_tree(folder); };
    const Result<void> gone = co_await offload(std::move(removal));
    if (!gone) log::warn("provider", "{}", gone.error().to_string());
  }
  const std::string next = random_incarnation(lane_.random());
  Change enter = [incarnation, next, ended](AllocationRecord& record) -> Result<void> {
    // One that has ended since then has given its resources back.
    const bool as_seen = record.phase == (ended ? Phase::ended : Phase::running);
    if (record.incarnation != incarnation || !as_seen || record.stopping)
      return fail(Errc::cancelled, "it has just ended, or a stop or another restart came first");
    record.phase = Phase::starting;
    record.previous = incarnation;
    record.incarnation = next;
    ++record.restarts;
    record.started_ns = 0;
    record.over_disk.clear();
    record.end.reset();
    return {};
  };
  if (const Result<void> stored = co_await update(std::move(enter)); !stored) {
    if (ended && record_.phase == Phase::ended) co_await hooks_.free_resources();
    co_return fail(stored.error(), "restarting {}", record_.id);
  }
  std::shared_ptr<Nursery> earlier = std::exchange(run_, std::make_shared<Nursery>(lane_, "run of " + record_.id));
  earlier->cancel();
  usage_ = {};
  sample_.reset();
  sizes_ = {};
  run_->spawn(relaunch(std::move(earlier), std::move(incarnation), next));
  co_return next;
}

// ----------------------------------------------------------------------------------------- health, output, usage

Task<Ack> Allocation::ask_health(protocol::Nothing, const actor::Envelope& envelope) {
  if (envelope.from.did != record_.orchestrator.did)
    co_return Ack{.error = "only the orchestrator of this allocation may ask for its health"};
  co_await hooks_.heard_from();
  if (record_.phase != Phase::running) co_return Ack{.error = fmt::format("it is {}", to_string(status()))};
  if (checks_ && checks_->monitor.health() == protocol::Health::unhealthy)
    co_return Ack{.error = checks_->monitor.message()};
  co_return Ack{.ok = true};
}

Task<Ack> Allocation::register_check(protocol::HealthCheckRegistration request, const actor::Envelope& envelope) {
  if (envelope.from.did != record_.orchestrator.did)
    co_return Ack{.error = "only the orchestrator of this allocation may register its health check"};
  co_await hooks_.heard_from();
  if (const Result<void> honoured = check_health(request.check); !honoured)
    co_return Ack{.error = fmt::format("HealthCheck.{}", honoured.error().to_string())};
  if (record_.config.health_check == request.check) co_return Ack{.ok = true};
  protocol::AllocationConfig config = record_.config;
  config.health_check = request.check;
  if (const Result<void> kept = hooks_.make_room(config); !kept) co_return Ack{.error = kept.error().to_string()};
  Change enter = [check = request.check](AllocationRecord& record) -> Result<void> {
    record.config.health_check = check;
    return {};
  };
  const Result<void> stored = co_await update(std::move(enter));
  if (!stored) {
    (void)hooks_.make_room(record_.config);
    co_return Ack{.error = fmt::format("storing the health check: {}", stored.error().to_string())};
  }
  co_await begin_checks();
  co_return Ack{.ok = true};
}

Task<Result<executor::Logs>> Allocation::logs() {
  if (record_.phase == Phase::allocated)
    co_return fail(Errc::not_found, "{} has not been started", jobs::allocation_name(record_.id));
  if (parts_.engine == nullptr) co_return fail(Errc::unsupported, "its executor is not available here any more");
  co_return co_await parts_.engine->logs(run_id());
}

Task<Result<executor::LogPage>> Allocation::read_log(std::string run, executor::LogStream stream, std::uint64_t offset,
                                                     std::size_t max_bytes) {
  if (run.empty()) run = record_.incarnation;
  if (run != record_.incarnation && run != record_.previous)
    co_return fail(Errc::not_found, "the output of the run {} is not kept", run.substr(0, 64));
  if (record_.phase == Phase::allocated)
    co_return fail(Errc::not_found, "{} has not been started", jobs::allocation_name(record_.id));
  if (parts_.engine == nullptr) co_return fail(Errc::unsupported, "its executor is not available here any more");
  const executor::ExecutionId id(run);
  Result<executor::LogPage> page = co_await parts_.engine->read_log(id, stream, offset, max_bytes);
  if (page || !page.error().is(Errc::not_found)) co_return page;
  const bool current = run == record_.incarnation;
  const bool unstarted = current && record_.started_ns == 0;
  if (!current || (unstarted && record_.end))
    page = co_await parts_.engine->read_kept_log(parts_.folder / run, stream, offset, max_bytes);
  // An engine that has not answered yet may still know it, and run it.
  if (page) page->ended = parts_.engine->ready();
  if (page || !page.error().is(Errc::not_found) || !unstarted) co_return page;
  page = executor::LogPage();  // it has written nothing
  page->ended = record_.end.has_value();
  co_return page;
}

Task<std::uint64_t> Allocation::size_of(executor::LogStream stream) {
  std::uint64_t& known = stream == executor::LogStream::out ? sizes_.out : sizes_.err;
  if (parts_.engine == nullptr || record_.phase == Phase::allocated) co_return known;
  const std::string run = record_.incarnation;
  Result<executor::LogPage> page = co_await parts_.engine->read_log(executor::ExecutionId(run), stream, 0, 0);
  if (!page && page.error().is(Errc::not_found))
    page = co_await parts_.engine->read_kept_log(parts_.folder / run, stream, 0, 0);
  if (page && record_.incarnation == run) known = std::max(known, page->total);
  // Of 0 bytes none would be fetched.
  co_return page || page.error().is(Errc::not_found) ? known : std::max<std::uint64_t>(known, 1);
}

Task<protocol::AllocationReport> Allocation::report() {
  protocol::AllocationReport report;
  if (record_.phase == Phase::running) {
    Result<executor::Stats> stats = fail(Errc::unsupported, "no executor");
    if (parts_.engine != nullptr) stats = co_await with_timeout(kStatsTimeout, parts_.engine->stats(run_id()));
    if (stats) usage_ = *stats;
    report.cpu_seconds = usage_.cpu_seconds;
    report.memory_bytes = usage_.memory_bytes;
    report.out_size = co_await size_of(executor::LogStream::out);
    report.err_size = co_await size_of(executor::LogStream::err);
  }
  // No wait from here on: what is reported holds at one instant.
  report.status = status();
  report.incarnation = record_.incarnation;
  report.brings_inputs = record_.phase == Phase::starting && bringing_inputs_;
  report.progress = progress();
  if (active()) report.lease_ns = parts_.leases.left(name()).count();
  if (record_.phase == Phase::running && checks_) {
    report.health = checks_->monitor.health();
    report.health_message = checks_->monitor.message();
  }
  if (const auto& end = record_.end) {
    report.exit_code = end->exit_code;
    report.killed = end->killed;
    report.reason = end->reason;
    report.restart_failed = end->restart_failed;
    report.ended_by_owner = end->by_owner;
    report.out_size = end->out_size;
    report.err_size = end->err_size;
    report.cpu_seconds = end->cpu_seconds;
    report.memory_bytes = end->memory_bytes;
  }
  co_return report;
}

Task<protocol::AllocationStatsReply> Allocation::stats(protocol::Nothing, const actor::Envelope& envelope) {
  protocol::AllocationStatsReply reply;
  if (envelope.from.did != record_.orchestrator.did) {
    reply.error = "only the orchestrator of this allocation may ask for its stats";
    co_return reply;
  }
  co_await hooks_.heard_from();
  if (record_.phase != Phase::running) {
    reply.error = fmt::format("it is {}", to_string(status()));
    co_return reply;
  }
  if (parts_.engine == nullptr) {
    reply.error = "its executor is not available here any more";
    co_return reply;
  }
  const std::string run = record_.incarnation;
  const Result<executor::Stats> counted = co_await with_timeout(kStatsTimeout, parts_.engine->stats(run_id()));
  if (!counted && !counted.error().is(Errc::unsupported)) {
    reply.error = counted.error().to_string();
    co_return reply;
  }
  std::optional<executor::Stats> known;
  if (counted && record_.incarnation == run) known = *counted;
  reply.stats = co_await usage_now(known);
  reply.ok = true;
  co_return reply;
}

Task<protocol::AllocationStats> Allocation::usage_now(std::optional<executor::Stats> counted) {
  const auto positive = [](std::uint64_t value) {
    return value > 0 ? std::optional(value) : std::optional<std::uint64_t>();
  };
  protocol::AllocationStats stats;
  if (counted) {
    usage_ = *counted;
    const Sample now{lane_.now(), counted->cpu_seconds};
    // 0 is not counted.
    if (sample_ && now.at > sample_->at && counted->cpu_seconds > 0)
      stats.cpu_usage_percent = 100 * std::max(0.0, now.cpu_seconds - sample_->cpu_seconds) /
                                std::chrono::duration<double>(now.at - sample_->at).count();
    sample_ = now;
    if (counted->cpu_seconds > 0) stats.cpu_seconds = counted->cpu_seconds;
    stats.memory_used_bytes = positive(counted->memory_bytes);
    stats.memory_limit_bytes = positive(counted->memory_limit);
    stats.network_rx_bytes = counted->network_rx;
    stats.network_tx_bytes = counted->network_tx;
  }
  stats.disk_used_bytes = co_await disk_now();
  co_return stats;
}

// ------------------------------------------------------------------------------------------------------- releasing

Task<Result<void>> Allocation::release() {
  const std::shared_ptr<Allocation> self = shared_from_this();
  if (record_.phase != Phase::releasing) {
    Change enter = [](AllocationRecord& record) -> Result<void> {
      record.phase = Phase::releasing;
      return {};
    };
    const Result<void> stored = co_await update(std::move(enter));
    if (!stored) co_return fail(stored.error(), "storing the removal of {}", record_.id);
  }
  co_await close_run();
  co_await close_socket();
  co_await actor_->stop();
  CO_TRY_VOID(co_await remove_run(record_.incarnation, kStopGrace));
  CO_TRY_VOID(co_await remove_run(record_.previous, kStopGrace));
  // What cannot be removed keeps its resources.
  CO_TRY_VOID(co_await take_files());
  auto removal = [folder = parts_.folder, actor = parts_.actor_folder]() -> Result<void> {
    if (!actor.empty()) TRY_VOID(remove_tree(actor));
    return discard_tree(folder);
  };
  co_return co_await offload(std::move(removal));
}

/// Without success at last, what cannot be removed is quarantined: it would never succeed.
Task<Result<void>> Allocation::take_files() {
  if (parts_.engine == nullptr) co_return Result<void>();
  const std::filesystem::path work = parts_.folder / "work";
  const Result<void> taken = co_await parts_.engine->take_files(work);
  if (taken || executor::is_not_tried(taken.error()) || ++refused_takings_ < kTakings) co_return taken;
  log::warn("provider", "{}, which is not tried again", taken.error().to_string());
  co_return Result<void>();
}

Task<void> Allocation::close() {
  co_await close_run();
  co_await close_socket();
  co_await actor_->stop();
  co_await close_run();  // what a handler has begun meanwhile
  co_await close_socket();
}

}  // namespace dms::provider
