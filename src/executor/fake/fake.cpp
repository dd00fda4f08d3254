#include "executor/fake/fake.hpp"

#include <algorithm>
#include <charconv>

namespace dms::executor {

struct Fake::Run : Execution {
  explicit Run(FakeHost::Work& work) : work(work) { request = work.request; }
  FakeHost::Work& work;
  /// The deadline changed, or the state.
  void changed_state(State now) {
    state = work.state = now;
    changed.notify_all();
  }
};

Fake::Fake(Lane& lane, std::string type, FakeScript script, std::shared_ptr<FakeHost> host)
    : lane_(lane),
      type_(std::move(type)),
      default_(std::move(script)),
      host_(std::move(host)),
      nursery_(lane, "fake executor") {}
Fake::~Fake() = default;

namespace {

Result<double> number(std::string_view key, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= -1e6 && value <= 1e9))
    return fail(Errc::invalid_argument, "{}: '{}' is not a number", key, text);
  return value;
}

Result<void> apply(FakeScript& script, std::string_view key, std::string value) {
  if (key == "FAKE_SECONDS") {
    TRY(const double seconds, number(key, value));
    script.runs_for.reset();
    if (seconds >= 0) script.runs_for = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  } else if (key == "FAKE_EXIT_CODE") {
    TRY(const double code, number(key, value));
    script.exit_code = static_cast<int>(code);
  } else if (key == "FAKE_OUT") {
    script.out = std::move(value);
  } else if (key == "FAKE_ERR") {
    script.err = std::move(value);
  } else if (key == "FAKE_WRITE_SECONDS") {
    TRY(const double seconds, number(key, value));
    script.writes_for = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  } else if (key == "FAKE_DISK_MIB" || key == "FAKE_IMAGE_MIB") {
    TRY(const double mib, number(key, value));
    if (mib < 0) return fail(Errc::invalid_argument, "{}: '{}' is less than 0", key, value);
    (key == "FAKE_DISK_MIB" ? script.disk_bytes : script.image_bytes) = static_cast<std::uint64_t>(mib) << 20;
  } else if (key == "FAKE_START_SECONDS") {
    TRY(const double seconds, number(key, value));
    script.startup = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  } else if (key == "FAKE_START_ERROR") {
    script.start_error = std::move(value);
  } else if (key == "FAKE_IGNORE_TERM") {
    script.ignores_term = true;
  } else if (key == "FAKE_HEALTHY_AFTER") {
    TRY(const double seconds, number(key, value));
    script.healthy_after = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  } else if (key == "FAKE_UNHEALTHY_AFTER") {
    TRY(const double seconds, number(key, value));
    script.unhealthy_after = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  return {};
}

/// A number from 0 to 1 that follows from the name.
double part_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93;
  return static_cast<double>((hash ^ (hash >> 32)) >> 11) / static_cast<double>(std::uint64_t{1} << 53);
}

/// `value`: as FAKE_CRASH has it.
Result<void> crash(FakeScript& script, std::string_view run, std::string_view value) {
  const std::size_t colon = std::min(value.find(':'), value.size());
  TRY(const double share, number("FAKE_CRASH", value.substr(0, colon)));
  TRY(const double seconds, number("FAKE_CRASH", value.substr(std::min(colon + 1, value.size()))));
  const auto after = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::max(seconds, 0.0)));
  if (part_of(run) >= share || (script.runs_for && *script.runs_for <= after)) return {};
  script.runs_for = after;
  script.exit_code = 1;
  return {};
}

std::string tail(const std::string& text, std::size_t limit) {
  return text.size() <= limit ? text : text.substr(text.size() - limit);
}

LogPage page_of(const std::string& text, std::uint64_t offset, std::size_t max_bytes) {
  LogPage page;
  page.total = text.size();
  page.offset = std::min<std::uint64_t>(offset, page.total);
  page.data = text.substr(page.offset, max_bytes);
  return page;
}

}  // namespace

std::string with_run(std::string text, std::string_view run) {
  for (std::size_t at = text.find(kRunMark); at != std::string::npos; at = text.find(kRunMark, at + run.size()))
    text.replace(at, kRunMark.size(), run);
  return text;
}

Result<FakeScript> Fake::choose(const Request& request) const {
  if (const auto it = scripts_.find(request.job_id); it != scripts_.end()) return it->second;
  FakeScript script = default_;
  for (const std::string& entry : request.engine.params.environment) {
    const auto eq = entry.find('=');
    TRY_VOID(apply(script, std::string_view(entry).substr(0, eq), entry.substr(eq + 1)));
  }
  for (const std::string_view entry : request.engine.params.environment)
    if (constexpr std::string_view kCrash = "FAKE_CRASH="; entry.starts_with(kCrash))
      TRY_VOID(crash(script, request.execution_id.value, entry.substr(kCrash.size())));
  script.out = with_run(std::move(script.out), request.execution_id.value);
  script.err = with_run(std::move(script.err), request.execution_id.value);
  return script;
}

Task<Result<void>> Fake::start(Request request) {
  CO_TRY_VOID(validate(request));
  CO_TRY(FakeScript script, choose(request));
  const ExecutionId id = request.execution_id;
  if (runs_.contains(id)) co_return fail(Errc::already_exists, "execution '{}' exists already", id.value);
  FakeHost::Work& work = host_->works[id];
  work.deadline = request.deadline;
  work.request = std::move(request);
  work.script = std::move(script);
  work.since = lane_.now();
  auto run = std::make_shared<Run>(work);
  CO_TRY_VOID(add(run));
  Result<void> slept;
  if (work.script.startup > 0ns) slept = co_await sleep_for(work.script.startup);
  // What was removed meanwhile is not on the host any more.
  if (slept && run->over) co_return fail(Errc::cancelled, "execution '{}' was ended while it started", id.value);
  if (slept && work.script.start_error) slept = fail(Errc::io, "{}", *work.script.start_error);
  if (!slept) {
    ++metrics_.start_failures;
    end(*run, -1, "never started", true);
    runs_.erase(id);
    host_->works.erase(id);
    co_return std::unexpected(slept.error());
  }
  ++started_;
  if (host_->begins) host_->begins(work.request);
  work.left = work.script.runs_for.value_or(0ns);
  work.since = lane_.now();
  run->state = State::running;
  write_what_is_due(*run);
  run->changed_state(State::running);
  metrics_.running.add();
  nursery_.spawn(live(run));
  co_return Result<void>();
}

std::optional<ImageProgress> Fake::progress(const ExecutionId& id) const {
  const Result<RunPtr> run = find<Run>(id);
  if (!run || (*run)->state != State::pending) return std::nullopt;
  const FakeHost::Work& work = (*run)->work;
  if (work.script.image_bytes == 0) return std::nullopt;
  const double part = work.script.startup > 0ns ? static_cast<double>((lane_.now() - work.since).count()) /
                                                      static_cast<double>(work.script.startup.count())
                                                : 1;
  ImageProgress progress;
  progress.total = work.script.image_bytes;
  progress.done = std::min(progress.total, static_cast<std::uint64_t>(part * static_cast<double>(progress.total)));
  return progress;
}

/// Waits until the running time has elapsed, of which paused time is no part, or the deadline has come.
Task<void> Fake::live(RunPtr run) {
  while (!run->over) {
    const bool ticking = run->state == State::running && run->work.script.runs_for;
    const SteadyTime end_of_run = run->work.since + run->work.left;
    const std::optional<SteadyTime> deadline = run->work.deadline;
    if (ticking && lane_.now() >= end_of_run && (!deadline || end_of_run <= *deadline)) {
      const int code = run->work.script.exit_code;
      run->work.ended_at = end_of_run;
      end(*run, code, code == 0 ? std::string() : describe_exit(code), false);
      co_return;
    }
    if (deadline && lane_.now() >= *deadline) {
      run->work.ended_at = *deadline;
      end(*run, 137, "its deadline has passed", true);
      co_return;
    }
    std::optional<ScopedTimer> timer;
    std::optional<SteadyTime> next = deadline;
    if (ticking) next = next ? std::min(*next, end_of_run) : end_of_run;
    if (next) timer.emplace(lane_, *next, [run] { run->changed.notify_all(); });
    const Result<void> waited = co_await run->changed.wait();
    if (!waited) co_return;  // close(): the work continues on the host
  }
}

/// Until it ends. The end may be earlier than it is seen.
void Fake::write_what_is_due(Run& run) const {
  const FakeScript& script = run.work.script;
  if (run.over || run.stopping || run.state == State::pending) return;
  Duration ran = script.runs_for.value_or(0ns) - run.work.left;
  if (run.state == State::running) ran += run.work.ended_at.value_or(lane_.now()) - run.work.since;
  const double part = script.writes_for > 0ns && ran < script.writes_for
                          ? static_cast<double>(ran.count()) / static_cast<double>(script.writes_for.count())
                          : 1;
  const auto write = [part](std::string& written, const std::string& text) {
    const auto due = static_cast<std::size_t>(part * static_cast<double>(text.size()));
    if (due > written.size()) written = text.substr(0, due);
  };
  write(run.work.result.out, script.out);
  write(run.work.result.err, script.err);
  run.result = run.work.result;
}

void Fake::end(Run& run, int exit_code, std::string error, bool killed) {
  if (run.over) return;
  write_what_is_due(run);
  const bool ran = run.state != State::pending;
  ExecutionResult& result = run.work.result;
  result.exit_code = exit_code;
  result.error_msg = std::move(error);
  result.killed = killed;
  run.over = run.work.over = true;
  if (!run.work.ended_at) run.work.ended_at = lane_.now();
  if (ran) result.cpu_seconds = std::chrono::duration<double>(*run.work.ended_at - run.work.since).count();
  run.result = result;
  if (ran && host_->ends) host_->ends(run.work.request, result);
  run.changed_state(exit_code == 0 ? State::success : State::failed);
  if (ran) {
    metrics_.running.sub();
    count_end(run.result);
  }
}

Result<Fake::RunPtr> Fake::find_ended(const ExecutionId& id) const {
  if (!ready_) return fail(Errc::unsupported, "the engine has not answered yet");
  return find<Run>(id);
}

Task<Result<void>> Fake::take_files(std::filesystem::path folder) {
  if (!host_->gives_files) co_return fail(host_->refusal, "the files are another user's");
  ++host_->giving_now;
  Result<void> slept;
  if (host_->giving > 0ns) slept = co_await sleep_for(host_->giving);
  --host_->giving_now;
  CO_TRY_VOID(slept);
  host_->given.push_back(std::move(folder));
  co_return Result<void>();
}

Task<Result<std::vector<ExecutionId>>> Fake::recover(std::vector<Request> known) {
  if (host_->recovering > 0ns) CO_TRY_VOID(co_await sleep_for(host_->recovering));
  ready_ = host_->answers;
  if (!ready_) co_return fail(Errc::unsupported, "the engine does not answer");
  std::vector<ExecutionId> taken;
  std::map<ExecutionId, FakeHost::Work> kept;
  for (const Request& request : known)
    if (auto work = host_->works.extract(request.execution_id); !work.empty() && work.mapped().state != State::pending)
      kept.insert(std::move(work));
  host_->works = std::move(kept);
  for (auto& [id, work] : host_->works) {
    auto run = std::make_shared<Run>(work);
    run->state = work.state;
    run->result = work.result;
    run->over = work.over;
    CO_TRY_VOID(add(run));
    taken.push_back(id);
    if (run->over) continue;
    metrics_.running.add();
    nursery_.spawn(live(run));
  }
  co_return std::move(taken);
}

Task<Result<void>> Fake::stop(ExecutionId id, Duration grace) {
  CO_TRY(RunPtr run, find_ended(id));
  if (run->over) co_return Result<void>();
  if (!host_->stops) {
    ++host_->stopping_now;
    Result<void> ended = co_await until_over(run);
    --host_->stopping_now;
    co_return ended;
  }
  write_what_is_due(*run);
  if (!std::exchange(run->stopping, true)) run->work.result.out += run->work.script.last_words;
  if (run->work.script.ignores_term) {
    Result<void> ended = co_await with_timeout(grace, until_over(run));
    if (!ended && !ended.error().is(Errc::deadline_exceeded)) co_return std::unexpected(ended.error());
    end(*run, 137, "did not end within the grace and was killed", true);
  } else {
    end(*run, 143, "stopped on request", true);
  }
  co_return Result<void>();
}

Task<Result<void>> Fake::pause(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (run->state == State::paused) co_return Result<void>();
  CO_TRY_VOID(check_state(*run, State::running));
  run->work.left -= lane_.now() - run->work.since;
  run->changed_state(State::paused);
  co_return Result<void>();
}

Task<Result<void>> Fake::resume(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (run->state == State::running) co_return Result<void>();
  CO_TRY_VOID(check_state(*run, State::paused));
  run->work.since = lane_.now();
  run->changed_state(State::running);
  co_return Result<void>();
}

Task<Result<void>> Fake::remove(ExecutionId id) {
  CO_TRY(RunPtr run, find_ended(id));
  end(*run, 137, "removed while it ran", true);
  if (!run->result.out.empty() || !run->result.err.empty())
    host_->kept[run->request.results_dir] = Logs{run->result.out, run->result.err};
  runs_.erase(id);
  host_->works.erase(id);
  co_return Result<void>();
}

Task<Result<Logs>> Fake::logs(ExecutionId id, std::size_t tail_bytes) {
  CO_TRY(RunPtr run, find<Run>(id));
  write_what_is_due(*run);
  Logs logs;
  logs.out = tail(run->result.out, tail_bytes);
  logs.err = tail(run->result.err, tail_bytes);
  co_return std::move(logs);
}

Task<Result<Stats>> Fake::stats(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  Stats stats;
  if (!run->over && run->state == State::running && run->work.script.counts_cpu)
    stats.cpu_seconds = std::chrono::duration<double>(lane_.now() - run->work.since).count();
  stats.memory_bytes = run->work.script.memory_bytes;
  stats.memory_limit = run->request.limits.memory_bytes;
  co_return stats;
}

Task<Result<std::optional<Elsewhere>>> Fake::written_elsewhere(ExecutionId id) {
  const Result<RunPtr> run = find<Run>(id);
  if (!run || (*run)->work.script.disk_bytes == 0) co_return host_->written_elsewhere;
  Elsewhere written;
  written.bytes = (*run)->work.script.disk_bytes;
  co_return written;
}

Task<Result<LogPage>> Fake::read_log(ExecutionId id, LogStream stream, std::uint64_t offset, std::size_t max_bytes) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!host_->logs_readable) co_return fail(Errc::io, "the log cannot be read");
  write_what_is_due(*run);
  LogPage page = page_of(stream == LogStream::out ? run->result.out : run->result.err, offset, max_bytes);
  page.ended = run->over;
  co_return std::move(page);
}

Task<Result<LogPage>> Fake::read_kept_log(std::filesystem::path results_dir, LogStream stream, std::uint64_t offset,
                                          std::size_t max_bytes) {
  const auto kept = host_->kept.find(results_dir);
  if (kept == host_->kept.end()) co_return fail(Errc::not_found, "{} has no output", results_dir.string());
  LogPage page = page_of(stream == LogStream::out ? kept->second.out : kept->second.err, offset, max_bytes);
  page.ended = true;
  co_return std::move(page);
}

bool Fake::healthy(const Run& run) const {
  const Duration ran = lane_.now() - run.work.since;
  return ran >= run.work.script.healthy_after &&
         (!run.work.script.unhealthy_after || ran < *run.work.script.unhealthy_after);
}

Task<Result<ExecOutput>> Fake::exec(ExecutionId id, std::vector<std::string> argv) {
  CO_TRY(RunPtr run, find<Run>(id));
  CO_TRY_VOID(check_state(*run, State::running));
  if (const Duration takes = run->work.script.check_takes; takes > 0ns) CO_TRY_VOID(co_await sleep_for(takes));
  ExecOutput output;
  output.exit_code = healthy(*run) ? 0 : 1;
  for (const std::string& arg : argv) output.out += (output.out.empty() ? "" : " ") + arg;
  co_return std::move(output);
}

Task<Result<ProbeResult>> Fake::probe(ExecutionId id, Probe probe) {
  CO_TRY(RunPtr run, find<Run>(id));
  CO_TRY_VOID(check_state(*run, State::running));
  if (const Duration takes = run->work.script.check_takes; takes > 0ns) CO_TRY_VOID(co_await sleep_for(takes));
  ProbeResult result;
  result.connected = healthy(*run);
  if (!result.connected) result.message = fmt::format("connect to 127.0.0.1:{}: Connection refused", probe.port);
  if (result.connected && !probe.http_path.empty()) result.http_status = run->work.script.http_status;
  co_return std::move(result);
}

Task<Result<void>> Fake::set_deadline(ExecutionId id, SteadyTime deadline) {
  CO_TRY(RunPtr run, find<Run>(id));
  run->work.deadline = deadline;
  run->changed.notify_all();
  co_return Result<void>();
}

Task<void> Fake::close() {
  for (const auto& [id, run] : runs_)
    if (!run->over && run->state != State::pending) metrics_.running.sub();
  runs_.clear();
  co_await nursery_.close();
}

}  // namespace dms::executor
