// How a Docker follows what its containers write, and learns how they end.
#include <signal.h>

#include <filesystem>

#include "base/log.hpp"
#include "executor/docker/docker_run.hpp"

namespace dms::executor {

namespace {

constexpr int kLogTries = 5;  // to read the log of a container that has ended from an engine that answers

bool is_passing(const Error& error) { return !error.is(Errc::not_found) && !error.is(Errc::cancelled); }

auto opening_of(std::shared_ptr<Execution> run, LogFile::Begin begin) {
  return [run, begin] { return DockerLog::open(run->request.results_dir, run->request.log_limit, begin); };
}

}  // namespace

void Docker::begin_supervision(const RunPtr& run, DockerLog log) {
  run->follower = std::make_unique<Nursery>(nursery_.lane(), "docker log");
  run->follower->spawn(follow(run, std::move(log)));
  nursery_.spawn(supervise(run));
}

Task<Result<void>> Docker::copy_log(RunPtr run, DockerLog& log, bool follow) {
  const std::string path = fmt::format("/containers/{}/logs?follow={}&stdout=1&stderr=1&timestamps=1&since={}",
                                       run->name, follow ? 1 : 0, since_of(log.positions()));
  CO_TRY(DockerApi::Stream stream, co_await api_.stream("GET", path));
  Bytes chunk(64 * 1024);
  for (;;) {
    CO_TRY(const std::size_t got, co_await stream.body->read_some(chunk));
    if (got == 0) co_return Result<void>();
    auto feeding = [&log, part = BytesView(chunk).first(got)] { return log.feed(part); };  // writes to the disk
    CO_TRY_VOID(co_await offload(feeding));
  }
}

void Docker::count_log(Run& run, const DockerLog& log) {
  const LogFile& out = log.log(LogStream::out);
  const LogFile& err = log.log(LogStream::err);
  metrics_.dropped_bytes.add(out.dropped() + err.dropped());
  run.out_total = out.total();
  run.err_total = err.total();
}

/// Until it is cancelled, at the end of the container: the engine's follow may end before, and not with it.
Task<void> Docker::follow(RunPtr run, DockerLog log) {
  std::optional<DockerLog> open(std::move(log));
  for (Duration pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    if (open) {
      const Result<void> copied = co_await copy_log(run, *open, true);
      count_log(*run, *open);
      if (!copied && !is_passing(copied.error())) co_return;
      if (copied)
        pause = kFirstPause;
      else
        log::debug("executor", "the log of container {} is followed anew: {}", run->name, copied.error().to_string());
    }
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    open.reset();
    auto opening = opening_of(run, LogFile::Begin::resume);
    Result<DockerLog> opened = co_await offload(opening);
    if (opened) open.emplace(*std::move(opened));
  }
}

/// What a follower has missed. The engine has the whole log of a container that has ended, while its follow may end
/// early, without an error, if the container ends soon after it has begun. `cut`: the engine may have lost the end.
Task<void> Docker::complete_log(RunPtr run, bool cut) {
  co_await run->follower->close();
  Duration pause = kFirstPause;
  for (int tries = 0;; pause = std::min(2 * pause, kLongestPause)) {
    auto opening = opening_of(run, LogFile::Begin::resume);
    Result<DockerLog> log = co_await offload(opening);
    Result<void> copied;
    if (log)
      copied = co_await copy_log(run, *log, false);
    else
      copied = std::unexpected(log.error());
    if (!copied && !copied.error().is(Errc::unsupported)) ++tries;  // the engine answers
    const bool is_over = copied || !is_passing(copied.error()) || tries >= kLogTries;
    const bool is_cancelled = !copied && copied.error().is(Errc::cancelled);
    if (is_over && !copied && !is_cancelled)
      log::warn("executor", "the log of container {} is incomplete: {}", run->name, copied.error().to_string());
    if (is_over && !is_cancelled && log) {
      auto marking = [&marked = *log, unsent = !copied, cut]() -> Result<void> {
        if (!unsent) marked.mark_unreached();
        if (unsent || cut) marked.mark_end();
        return {};
      };
      (void)co_await offload(marking);
    }
    if (log) count_log(*run, *log);
    if (is_over) co_return;
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
  }
}

Task<Result<int>> Docker::request_exit(RunPtr run) {
  const std::string path = "/containers/" + run->name + "/wait";
  CO_TRY(DockerApi::Stream stream, co_await api_.stream("POST", path));
  CO_TRY(const std::string text, co_await stream.body->read_all(64 * 1024));
  CO_TRY(const json::Value answer, json::parse(text));
  if (const std::string error = json_text(answer, {"Error", "Message"}); !error.empty())
    co_return fail(Errc::io, "{}", error);
  if (json_at(answer, {"StatusCode"}) == nullptr)
    co_return fail(Errc::io, "the engine did not report how container {} ended", run->name);
  co_return static_cast<int>(json_int(answer, {"StatusCode"}));
}

/// An engine that does not answer, or is restarted, does not decide: the container may run on without it. It is lost if
/// the engine answers and does not know it.
Task<Result<int>> Docker::wait_for_exit(RunPtr run) {
  for (Duration pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    Result<int> code = co_await request_exit(run);
    if (code || !is_passing(code.error())) co_return code;
    if (!std::exchange(run->interrupted, true))
      log::warn("executor", "container {} is not watched at this moment, which is tried again: {}", run->name,
                code.error().to_string());
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return std::unexpected(slept.error());
  }
}

Task<void> Docker::supervise(RunPtr run) {
  metrics_.running.add();
  Result<int> code = co_await wait_for_exit(run);
  // The engine was away, and perhaps its container ended with it, see explain().
  if (!closing_) co_await complete_log(run, run->interrupted && code && *code > 128);
  if (closing_) {
    co_await run->follower->close();
    metrics_.running.sub();
    co_return;
  }
  co_await conclude(run, std::move(code));
  metrics_.running.sub();
  count_end(run->result);
  run->over = true;
  run->changed.notify_all();
}

Task<void> Docker::conclude(RunPtr run, Result<int> code) {
  ExecutionResult& result = run->result;
  Logs logs = co_await read_logs(run->request.results_dir, kResultOutputLimit);
  result.out = std::move(logs.out);
  result.err = std::move(logs.err);
  const Result<bool> deadline = co_await disarm(run);
  if (!deadline) log::error("executor", "the watcher of {}: {}", run->name, deadline.error().to_string());
  if (deadline && *deadline && (!code || *code == 128 + SIGKILL)) {
    ++metrics_.deadlines;
    if (run->kill_reason.empty()) run->kill_reason = "its deadline has passed and was not extended";
  }
  if (!code) {
    result.error_msg = fmt::format("the container is lost: {}", code.error().to_string());
    result.killed = true;
    run->state = State::failed;
    co_return;
  }
  result.exit_code = *code;
  co_await explain(run);
  run->state = *code == 0 ? State::success : State::failed;
}

/// Why it ended so, as far as that is not the work's own doing.
Task<void> Docker::explain(RunPtr run) {
  ExecutionResult& result = run->result;
  const int code = result.exit_code;
  result.killed = run->stopping || !run->kill_reason.empty();
  const std::string path = "/containers/" + run->name + "/json";
  const Result<json::Value> details = co_await api_.call("GET", path);
  if (details && json_bool(*details, {"State", "OOMKilled"}) && code != 0) {
    result.killed = true;
    result.error_msg =
        fmt::format("memory limit: the work used more than {} bytes and was ended", run->request.limits.memory_bytes);
  } else if (!run->kill_reason.empty()) {
    result.error_msg = run->kill_reason;
  } else if (run->stopping) {
    result.error_msg = code == 128 + SIGKILL ? "did not end within the grace and was killed" : "stopped on request";
  } else if (run->interrupted && code > 128) {
    result.killed = true;
    result.error_msg = fmt::format("{}; the Docker engine was stopped or restarted meanwhile", describe_exit(code));
  } else if (code != 0) {
    result.error_msg = describe_exit(code);
  }
}

}  // namespace dms::executor
