#include "executor/fake/fake.hpp"

#include <charconv>

namespace dms::executor {

struct Fake::Run : Execution {
  FakeScript script;
  Duration left = 0ns;  // of running time
  SteadyTime since{};   // when it was started or resumed
};

Fake::Fake(Lane& lane, std::string type, FakeScript script)
    : lane_(lane), type_(std::move(type)), default_(std::move(script)), nursery_(lane, "fake executor") {}
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
  } else if (key == "FAKE_START_ERROR") {
    script.start_error = std::move(value);
  } else if (key == "FAKE_IGNORE_TERM") {
    script.ignores_term = true;
  }
  return {};
}

std::string tail(const std::string& text, std::size_t limit) {
  return text.size() <= limit ? text : text.substr(text.size() - limit);
}

}  // namespace

Result<FakeScript> Fake::choose(const Request& request) const {
  if (const auto it = scripts_.find(request.job_id); it != scripts_.end()) return it->second;
  FakeScript script = default_;
  for (const std::string& entry : request.engine.params.environment) {
    const auto eq = entry.find('=');
    TRY_VOID(apply(script, std::string_view(entry).substr(0, eq), entry.substr(eq + 1)));
  }
  return script;
}

Task<Result<void>> Fake::start(Request request) {
  CO_TRY_VOID(validate(request));
  auto run = std::make_shared<Run>();
  CO_TRY(run->script, choose(request));
  run->request = std::move(request);
  const ExecutionId id = run->request.execution_id;
  CO_TRY_VOID(add(run));
  Result<void> slept;
  if (run->script.startup > 0ns) slept = co_await sleep_for(run->script.startup);
  if (slept && run->script.start_error) slept = fail(Errc::io, "{}", *run->script.start_error);
  if (!slept) {
    ++metrics_.start_failures;
    end(*run, -1, "never started", true);
    runs_.erase(id);
    co_return std::unexpected(slept.error());
  }
  if (run->over) co_return fail(Errc::cancelled, "execution '{}' was ended while it started", id.value);
  ++started_;
  run->state = State::running;
  run->result.out = run->script.out;
  run->result.err = run->script.err;
  run->left = run->script.runs_for.value_or(0ns);
  run->since = lane_.now();
  metrics_.running.add();
  nursery_.spawn(live(run));
  co_return Result<void>();
}

/// Waits for the running time to elapse; paused time does not count.
Task<void> Fake::live(RunPtr run) {
  while (!run->over) {
    const bool ticking = run->state == State::running && run->script.runs_for;
    const Duration spent = lane_.now() - run->since;
    if (ticking && spent >= run->left) {
      const int code = run->script.exit_code;
      end(*run, code, code == 0 ? std::string() : describe_exit(code), false);
      co_return;
    }
    std::optional<ScopedTimer> timer;
    if (ticking) timer.emplace(lane_, run->since + run->left, [run] { run->changed.notify_all(); });
    (void)co_await run->changed.wait_shielded();
  }
}

void Fake::end(Execution& run, int exit_code, std::string error, bool killed) {
  if (run.over) return;
  const bool ran = run.state != State::pending;
  run.result.exit_code = exit_code;
  run.result.error_msg = std::move(error);
  run.result.killed = killed;
  if (ran) {
    metrics_.running.sub();
    count_end(run.result);
  }
  run.state = exit_code == 0 ? State::success : State::failed;
  run.over = true;
  run.changed.notify_all();
}

Task<Result<void>> Fake::stop(ExecutionId id, Duration grace) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (run->over) co_return Result<void>();
  if (run->script.ignores_term) {
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
  run->left -= lane_.now() - run->since;
  run->state = State::paused;
  run->changed.notify_all();
  co_return Result<void>();
}

Task<Result<void>> Fake::resume(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (run->state == State::running) co_return Result<void>();
  CO_TRY_VOID(check_state(*run, State::paused));
  run->since = lane_.now();
  run->state = State::running;
  run->changed.notify_all();
  co_return Result<void>();
}

Task<Result<void>> Fake::remove(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  end(*run, 137, "removed while it ran", true);
  runs_.erase(id);
  co_return Result<void>();
}

Task<Result<Logs>> Fake::logs(ExecutionId id, std::size_t tail_bytes) {
  CO_TRY(RunPtr run, find<Run>(id));
  Logs logs;
  logs.out = tail(run->result.out, tail_bytes);
  logs.err = tail(run->result.err, tail_bytes);
  co_return std::move(logs);
}

Task<Result<Stats>> Fake::stats(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  Stats stats;
  stats.memory_limit = run->request.limits.memory_bytes;
  co_return stats;
}

Task<Result<ExecOutput>> Fake::exec(ExecutionId id, std::vector<std::string> argv) {
  CO_TRY(RunPtr run, find<Run>(id));
  CO_TRY_VOID(check_state(*run, State::running));
  ExecOutput output;
  output.exit_code = 0;
  for (const std::string& arg : argv) output.out += (output.out.empty() ? "" : " ") + arg;
  co_return std::move(output);
}

Task<Result<void>> Fake::cleanup() { co_return Result<void>(); }

Task<void> Fake::close() {
  for (auto& [id, run] : runs_) end(*run, 137, "the executor was closed", true);
  runs_.clear();
  co_await nursery_.join();
}

}  // namespace dms::executor
