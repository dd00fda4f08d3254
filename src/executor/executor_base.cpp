#include "executor/executor_base.hpp"

#include "executor/log_file.hpp"

namespace dms::executor {

Result<void> ExecutorBase::add(ExecutionPtr run) {
  const ExecutionId id = run->request.execution_id;
  if (!runs_.try_emplace(id, std::move(run)).second)
    return fail(Errc::already_exists, "execution '{}' exists already", id.value);
  return {};
}

std::unexpected<Error> ExecutorBase::unknown(const ExecutionId& id) const {
  return fail(Errc::not_found, "execution '{}' is not known to executor {}", id.value, type());
}

Result<void> ExecutorBase::check_state(const Execution& run, State expected) {
  if (run.state != expected)
    return fail(Errc::invalid_argument, "execution '{}' is {}, not {}", run.request.execution_id.value,
                to_string(run.state), to_string(expected));
  return {};
}

Task<Result<void>> ExecutorBase::until_over(ExecutionPtr run) {
  while (!run->over) CO_TRY_VOID(co_await run->changed.wait());
  co_return Result<void>();
}

std::optional<ImageProgress> ExecutorBase::progress(const ExecutionId& id) const {
  const auto it = runs_.find(id);
  if (it == runs_.end() || it->second->state != State::pending) return std::nullopt;
  return it->second->progress;
}

Task<Result<ExecutionResult>> ExecutorBase::wait(ExecutionId id) {
  CO_TRY(ExecutionPtr run, find(id));
  CO_TRY_VOID(co_await until_over(run));
  co_return run->result;
}

Task<Result<Logs>> ExecutorBase::logs(ExecutionId id, std::size_t tail_bytes) {
  CO_TRY(ExecutionPtr run, find(id));
  Logs logs = co_await read_logs(run->request.results_dir, std::min(tail_bytes, kResultOutputLimit));
  co_return std::move(logs);
}

Status ExecutorBase::describe(const Execution& run) const {
  Status status;
  status.id = run.request.execution_id;
  status.job_id = run.request.job_id;
  status.state = run.state;
  status.enforcement = enforcement();
  return status;
}

Task<Result<Status>> ExecutorBase::status(ExecutionId id) {
  CO_TRY(ExecutionPtr run, find(id));
  co_return describe(*run);
}

Task<Result<std::vector<Status>>> ExecutorBase::list() {
  std::vector<Status> all;
  for (const auto& [id, run] : runs_) all.push_back(describe(*run));
  co_return std::move(all);
}

Task<Result<LogPage>> ExecutorBase::read_log(ExecutionId id, LogStream stream, std::uint64_t offset,
                                             std::size_t max_bytes) {
  CO_TRY(ExecutionPtr run, find(id));
  const bool out = stream == LogStream::out;
  auto reading = [run, name = out ? kOutLog : kErrLog, offset, max_bytes] {
    return read_log_page(run->request.results_dir, name, offset, max_bytes);
  };
  const bool ended = run->over;
  LogPage page = co_await offload(reading);
  page.ended = ended;
  if (const std::uint64_t total = out ? run->out_total : run->err_total; ended && total > page.total) {
    if (page.data.empty()) page.offset = total;  // the last bytes could not be written
    page.total = total;
  }
  co_return std::move(page);
}

Task<Result<ProbeResult>> ExecutorBase::probe(ExecutionId id, Probe) {
  CO_TRY(const ExecutionPtr run, find(id));
  co_return fail(Errc::unsupported, "executor {} does not probe the network of an execution", type());
}

Task<Result<void>> ExecutorBase::set_deadline(ExecutionId id, SteadyTime) {
  CO_TRY(const ExecutionPtr run, find(id));
  co_return fail(Errc::unsupported, "executor {} does not end executions by itself", type());
}

}  // namespace dms::executor
