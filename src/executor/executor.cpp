#include "executor/executor.hpp"

#include <cstring>

#include "executor/log_file.hpp"

namespace dms::executor {

std::string_view to_string(State state) {
  switch (state) {
    case State::pending: return "pending";
    case State::running: return "running";
    case State::paused: return "paused";
    case State::failed: return "failed";
    case State::success: return "success";
  }
  return "failed";
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::success: return "success";
    case Outcome::failed: return "failed";
    case Outcome::killed: return "killed";
  }
  return "failed";
}

void Executor::register_with(metrics::Registry& registry) {
  const metrics::Labels labels{{"executor", std::string(type())}};
  registered_.in(registry)
      .gauge("nunet_executor_running", "Executions that run now.", metrics_.running, labels)
      .counter("nunet_executor_start_failures_total", "Executions that could not be started.", metrics_.start_failures,
               labels)
      .counter("nunet_executor_dropped_bytes_total", "Output beyond the log limit.", metrics_.dropped_bytes, labels)
      .counter("nunet_executor_recovered_total", "Executions of an earlier daemon that were taken up.",
               metrics_.recovered, labels)
      .counter("nunet_executor_deadlines_total", "Executions that were ended by their deadline.", metrics_.deadlines,
               labels);
  for (const Outcome outcome : {Outcome::success, Outcome::failed, Outcome::killed}) {
    metrics::Labels with_outcome = labels;
    with_outcome.emplace_back("outcome", std::string(to_string(outcome)));
    registered_.counter("nunet_executor_executions_total", "Executions that ended.", metrics_.executions[outcome],
                        std::move(with_outcome));
  }
}

void Executor::count_end(const ExecutionResult& result) {
  ++metrics_.executions[result.killed ? Outcome::killed : result.exit_code == 0 ? Outcome::success : Outcome::failed];
}

std::string describe_exit(int exit_code) {
  const char* signal = exit_code > 128 ? ::sigabbrev_np(exit_code - 128) : nullptr;
  return signal == nullptr ? fmt::format("exit code {}", exit_code)
                           : fmt::format("exit code {}, perhaps SIG{}", exit_code, signal);
}

namespace {
bool usable_id(std::string_view id) {
  if (id.empty() || id.size() > 128 || id.front() == '.' || id.front() == '-') return false;
  return std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

Result<void> check_text(std::string_view field, const std::vector<std::string>& values) {
  std::size_t total = 0;
  for (const std::string& value : values) {
    if (value.find('\0') != std::string::npos)
      return fail(Errc::invalid_argument, "{}: a value holds a NUL byte", field);
    total += value.size() + 1;
  }
  // What execve() takes is bounded too; refusing here names the field.
  if (total > 1024 * 1024) return fail(Errc::limit_exceeded, "{}: {} bytes, more than 1 MiB", field, total);
  return {};
}
}  // namespace

Result<void> validate(const Request& request) {
  if (!usable_id(request.execution_id.value))
    return fail(Errc::invalid_argument,
                "execution id '{}': expected 1 to 128 of [A-Za-z0-9_.-], not starting with '.' or '-'",
                request.execution_id.value);
  if (!request.results_dir.is_absolute())
    return fail(Errc::invalid_argument, "results_dir '{}': expected an absolute path", request.results_dir.string());
  if (!request.work_dir.empty() && !request.work_dir.is_absolute())
    return fail(Errc::invalid_argument, "work_dir '{}': expected an absolute path", request.work_dir.string());
  if (!request.actor_dir.empty() && !request.actor_dir.is_absolute())
    return fail(Errc::invalid_argument, "actor_dir '{}': expected an absolute path", request.actor_dir.string());
  const EngineParams& params = request.engine.params;
  TRY_VOID(check_text("entrypoint", params.entrypoint));
  TRY_VOID(check_text("cmd", params.cmd));
  TRY_VOID(check_text("environment", params.environment));
  TRY_VOID(check_text("working_directory", {params.working_directory}));
  for (const std::string& entry : params.environment)
    if (const auto eq = entry.find('='); eq == std::string::npos || eq == 0)
      return fail(Errc::invalid_argument, "environment: '{}' is not KEY=value", entry);
  if (!(request.limits.cpu_cores >= 0) || request.limits.cpu_cores > 4096)
    return fail(Errc::invalid_argument, "cpu cores: {} is not between 0 and 4096", request.limits.cpu_cores);
  if (request.limits.memory_bytes != 0 && request.limits.memory_bytes < 4 * 1024 * 1024)
    return fail(Errc::invalid_argument, "memory: {} bytes are too few to start any program; ask for 4 MiB or more",
                request.limits.memory_bytes);
  return {};
}

Task<Logs> read_logs(std::filesystem::path results_dir, std::size_t limit) {
  auto reading = [&] {
    return Logs{read_log_tail(results_dir, kOutLog, limit), read_log_tail(results_dir, kErrLog, limit)};
  };
  co_return co_await offload(reading);
}

Task<Result<LogPage>> Executor::read_kept_log(std::filesystem::path results_dir, LogStream stream, std::uint64_t offset,
                                              std::size_t max_bytes) {
  const auto reading = [&]() -> Result<LogPage> {
    std::error_code ec;
    if (!std::filesystem::is_directory(results_dir, ec))
      return fail(Errc::not_found, "{} does not exist", results_dir.string());
    LogPage page = read_log_page(results_dir, stream == LogStream::out ? kOutLog : kErrLog, offset, max_bytes);
    page.ended = true;
    return page;
  };
  co_return co_await offload(reading);
}

}  // namespace dms::executor
