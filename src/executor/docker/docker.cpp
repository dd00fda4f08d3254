#include "executor/docker/docker.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.hpp"
#include "executor/probe.hpp"
#include "executor/sandbox/enter.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {
constexpr Duration kFollowGrace = 3s;  // without a byte, after the container has ended
}  // namespace

struct Docker::Run : Execution {
  std::string name;
  std::unique_ptr<Nursery> follower;
  bool following = false;      // the logs are still being read
  std::uint64_t followed = 0;  // bytes of them
};

Docker::Docker(Runtime runtime, DockerOptions options)
    : options_(std::move(options)), api_(runtime.net, options_.socket), nursery_(runtime.lane, "docker") {}
Docker::~Docker() = default;

Task<Result<std::string>> Docker::version() {
  CO_TRY(const json::Value answer, co_await api_.call("GET", "/version", "", 10s));
  std::string version = json_text(answer, {"Version"});
  if (version.empty()) co_return fail(Errc::unsupported, "the service at {} is not a Docker engine", api_.socket());
  co_return std::move(version);
}

// ----------------------------------------------------------------------------------------------------------- starting

Result<void> Docker::check(const Request& request) const {
  TRY_VOID(validate(request));
  const EngineParams& params = request.engine.params;
  if (request.engine.type != "docker")
    return fail(Errc::invalid_argument, "execution type '{}': this executor runs 'docker'", request.engine.type);
  TRY_VOID(check_image_name(params.image));
  TRY_VOID(check_registry(params.image, options_.registries));
  if (params.privileged && !options_.allow_privileged)
    return fail(Errc::permission_denied, "privileged: this provider does not run privileged containers");
  // The name of a container; the rule for execution ids is the engine's rule for names.
  Request named = request;
  named.execution_id = ExecutionId(request.job_id);
  if (Result<void> ok = validate(named); !ok)
    return fail(Errc::invalid_argument, "job id '{}': expected [A-Za-z0-9_.-]", request.job_id);
  return {};
}

Task<Result<void>> Docker::start(Request request) {
  CO_TRY_VOID(check(request));
  auto run = std::make_shared<Run>();
  run->request = std::move(request);
  run->name = docker_container_name(run->request, options_);
  CO_TRY_VOID(add(run));
  Result<void> begun = co_await begin(run);
  if (begun) co_return Result<void>();
  ++metrics_.start_failures;
  nursery_.spawn(discard(run));  // continues if this start is cancelled
  while (!run->over) (void)co_await run->changed.wait_shielded();
  co_return fail(begun.error(), "start execution '{}' in a container", run->request.execution_id.value);
}

Task<Result<void>> Docker::begin(RunPtr run) {
  auto making = [request = &run->request]() -> Result<void> {
    for (const fs::path& folder :
         {request->results_dir, request->work_dir}) {  // the engine does not make what it mounts
      if (folder.empty()) continue;
      std::error_code ec;
      fs::create_directories(folder, ec);
      if (ec) return fail(Errc::io, "make the folder {}: {}", folder.string(), ec.message());
    }
    return {};
  };
  CO_TRY_VOID(co_await offload(making));
  CO_TRY(DockerLog log, DockerLog::open(run->request.results_dir, run->request.log_limit, LogFile::Begin::fresh));
  CO_TRY_VOID(co_await ensure_image(tagged_image(run->request.engine.params.image)));
  const std::string create = "/containers/create?name=" + url_encode(run->name);
  std::string body = docker_create_body(run->request, options_);
  CO_TRY(const json::Value created, co_await api_.call("POST", create, std::move(body)));
  const std::string begin_path = "/containers/" + run->name + "/start";
  CO_TRY_VOID(co_await api_.call("POST", begin_path));
  run->state = State::running;
  begin_supervision(run, std::move(log));
  co_return Result<void>();
}

void Docker::begin_supervision(const RunPtr& run, DockerLog log) {
  run->following = true;
  run->follower = std::make_unique<Nursery>(nursery_.lane(), "docker log");
  run->follower->spawn(follow(run, std::move(log)));
  nursery_.spawn(supervise(run));
}

namespace {

/// Removes the complete lines from the front of `pending`. A pull reports progress and errors as one JSON object a
/// line.
Result<void> read_pull_lines(std::string& pending, const std::string& image) {
  for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
    const std::string line = pending.substr(0, end);
    pending.erase(0, end + 1);
    const Result<json::Value> parsed = json::parse(line);
    if (!parsed) continue;
    if (const std::string error = json_text(*parsed, {"error"}); !error.empty())
      return fail(Errc::not_found, "pull image '{}': {}", image, error.substr(0, 500));
    log::debug("executor", "pull {}: {}", image, json_text(*parsed, {"status"}));
  }
  if (pending.size() > 64 * 1024)
    return fail(Errc::limit_exceeded, "pull image '{}': a progress line without end", image);
  return {};
}

}  // namespace

Task<Result<void>> Docker::ensure_image(std::string image) {
  const std::string path = "/images/" + image + "/json";
  Result<json::Value> there = co_await api_.call("GET", path);
  if (there) co_return Result<void>();
  if (!there.error().is(Errc::not_found)) co_return std::unexpected(there.error());
  log::info("executor", "pulling image {}", image);
  const std::string pull = "/images/create?fromImage=" + url_encode(image);
  CO_TRY(DockerApi::Stream progress, co_await api_.stream("POST", pull));
  std::string pending;
  Bytes chunk(16 * 1024);
  for (;;) {
    CO_TRY(const std::size_t got, co_await progress.body->read_some(chunk));
    pending.append(as_text(BytesView(chunk).first(got)));
    if (got == 0) pending += '\n';
    CO_TRY_VOID(read_pull_lines(pending, image));
    if (got == 0) co_return Result<void>();
  }
}

Task<Result<void>> Docker::delete_container(std::string name) {
  const std::string path = "/containers/" + name + "?force=1&v=1";
  Result<json::Value> gone = co_await api_.call("DELETE", path);
  if (!gone && !gone.error().is(Errc::not_found)) co_return std::unexpected(gone.error());
  co_return Result<void>();
}

Task<void> Docker::discard(RunPtr run) {
  Result<void> gone = co_await delete_container(run->name);
  if (!gone && !gone.error().is(Errc::unsupported))
    log::warn("executor", "container {} may remain: {}", run->name, gone.error().to_string());
  run->over = true;
  runs_.erase(run->request.execution_id);
  run->changed.notify_all();
}

// ------------------------------------------------------------------------------------------------- running and ending

Task<Result<void>> Docker::copy_log(RunPtr run, DockerLog& log) {
  const std::string path = fmt::format("/containers/{}/logs?follow=1&stdout=1&stderr=1&timestamps=1&since={}",
                                       run->name, since_of(log.positions()));
  CO_TRY(DockerApi::Stream stream, co_await api_.stream("GET", path));
  Bytes chunk(64 * 1024);
  for (;;) {
    CO_TRY(const std::size_t got, co_await stream.body->read_some(chunk));
    if (got == 0) co_return Result<void>();
    run->followed += got;
    auto feeding = [&log, part = BytesView(chunk).first(got)] { return log.feed(part); };  // writes to the disk
    CO_TRY_VOID(co_await offload(feeding));
  }
}

Task<void> Docker::follow(RunPtr run, DockerLog log) {
  const Result<void> outcome = co_await copy_log(run, log);
  if (!outcome)
    log::warn("executor", "the log of container {} is incomplete: {}", run->name, outcome.error().to_string());
  const LogFile& out = log.log(LogStream::out);
  const LogFile& err = log.log(LogStream::err);
  metrics_.dropped_bytes.add(out.dropped() + err.dropped());
  run->out_total = out.total();
  run->err_total = err.total();
  run->following = false;
  run->changed.notify_all();
}

namespace {
Task<Result<void>> until_followed(const bool& following, Notify& changed) {
  while (following) CO_TRY_VOID(co_await changed.wait());
  co_return Result<void>();
}
}  // namespace

/// The engine's follow may not end with the container.
Task<void> Docker::end_following(RunPtr run) {
  while (run->following) {
    const std::uint64_t before = run->followed;
    const Result<void> followed = co_await with_timeout(kFollowGrace, until_followed(run->following, run->changed));
    if (!followed && run->followed == before) break;
  }
  co_await run->follower->close();
}

Task<Result<int>> Docker::wait_for_exit(RunPtr run) {
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

Task<void> Docker::supervise(RunPtr run) {
  metrics_.running.add();
  Result<int> code = co_await wait_for_exit(run);
  co_await end_following(run);
  if (closing_) {
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
  result.killed = run->stopping || !run->kill_reason.empty();
  if (!code) {
    result.error_msg = fmt::format("the container is lost: {}", code.error().to_string());
    result.killed = true;
    run->state = State::failed;
    co_return;
  }
  result.exit_code = *code;
  const std::string path = "/containers/" + run->name + "/json";
  Result<json::Value> details = co_await api_.call("GET", path);
  if (details && json_bool(*details, {"State", "OOMKilled"}) && *code != 0) {
    result.killed = true;
    result.error_msg =
        fmt::format("memory limit: the work used more than {} bytes and was ended", run->request.limits.memory_bytes);
  } else if (!run->kill_reason.empty()) {
    result.error_msg = run->kill_reason;
  } else if (run->stopping) {
    result.error_msg = *code == 137 ? "did not end within the grace and was killed" : "stopped on request";
  } else if (*code != 0) {
    result.error_msg = describe_exit(*code);
  }
  run->state = *code == 0 ? State::success : State::failed;
}

Task<void> Docker::request_stop(RunPtr run, Duration grace) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::clamp<Duration>(grace, 0s, 24h)).count();
  // The engine delivers no signal to a paused container.
  if (run->state == State::paused) {
    const std::string unpause = "/containers/" + run->name + "/unpause";
    (void)co_await api_.call("POST", unpause);
  }
  const std::string path = fmt::format("/containers/{}/stop?t={}", run->name, seconds);
  Result<json::Value> stopped = co_await api_.call("POST", path, "", std::chrono::seconds(seconds) + 60s);
  if (stopped || run->over) co_return;
  log::warn("executor", "stop container {}: {}; removing it", run->name, stopped.error().to_string());
  (void)co_await delete_container(run->name);
}

Task<Result<void>> Docker::stop(ExecutionId id, Duration grace) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!run->over && !run->stopping) {
    run->stopping = true;
    nursery_.spawn(request_stop(run, grace));
  }
  co_return co_await until_over(run);
}

Task<Result<void>> Docker::freeze(ExecutionId id, State from, State to, std::string_view verb) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (run->state == to) co_return Result<void>();
  CO_TRY_VOID(check_state(*run, from));
  const std::string path = fmt::format("/containers/{}/{}", run->name, verb);
  CO_TRY_VOID(co_await api_.call("POST", path));
  if (!run->over) run->state = to;
  co_return Result<void>();
}

Task<Result<void>> Docker::pause(ExecutionId id) {
  return freeze(std::move(id), State::running, State::paused, "pause");
}
Task<Result<void>> Docker::resume(ExecutionId id) {
  return freeze(std::move(id), State::paused, State::running, "unpause");
}

Task<Result<void>> Docker::remove(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!run->over && run->kill_reason.empty()) run->kill_reason = "removed while it ran";
  CO_TRY_VOID(co_await delete_container(run->name));
  CO_TRY_VOID(co_await until_over(run));
  runs_.erase(id);
  co_return Result<void>();
}

// ------------------------------------------------------------------------------------------------------------ queries

Task<Result<Stats>> Docker::stats(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  const std::string path = "/containers/" + run->name + "/stats?stream=0&one-shot=1";
  CO_TRY(const json::Value answer, co_await api_.call("GET", path));
  const auto count = [&](std::initializer_list<std::string_view> at) {
    return static_cast<std::uint64_t>(json_int(answer, at));
  };
  Stats stats;
  stats.cpu_seconds = static_cast<double>(count({"cpu_stats", "cpu_usage", "total_usage"})) / 1e9;
  stats.memory_bytes = count({"memory_stats", "usage"});
  stats.memory_limit = count({"memory_stats", "limit"});
  stats.pids = count({"pids_stats", "current"});
  if (const json::Value* networks = json_at(answer, {"networks"}); networks != nullptr && networks->is_object())
    for (const auto& network : networks->get_object()) {
      stats.network_rx += static_cast<std::uint64_t>(json_int(network.value(), {"rx_bytes"}));
      stats.network_tx += static_cast<std::uint64_t>(json_int(network.value(), {"tx_bytes"}));
    }
  co_return stats;
}

Task<Result<ExecOutput>> Docker::exec(ExecutionId id, std::vector<std::string> argv) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (argv.empty()) co_return fail(Errc::invalid_argument, "exec: expected a program and its arguments");
  json::Writer w;
  w.begin_object().key("AttachStdout").boolean(true).key("AttachStderr").boolean(true).key("Cmd");
  json::write(w, argv);
  w.end_object();
  const std::string create = "/containers/" + run->name + "/exec";
  CO_TRY(const json::Value created, co_await api_.call("POST", create, w.take()));
  const std::string exec_id = json_text(created, {"Id"});
  if (exec_id.empty() || exec_id.find_first_not_of("0123456789abcdef") != std::string::npos)
    co_return fail(Errc::io, "Docker engine: exec without an id");
  ExecOutput output;
  DockerDemux demux([&](DockerDemux::Channel channel, BytesView part, bool) {
    std::string& text = channel == DockerDemux::Channel::out ? output.out : output.err;
    text.append(as_text(part.first(std::min(part.size(), kResultOutputLimit - text.size()))));
  });
  const std::string begin_path = "/exec/" + exec_id + "/start";
  std::string begin_body = R"({"Detach":false,"Tty":false})";
  CO_TRY(DockerApi::Stream stream, co_await api_.stream("POST", begin_path, std::move(begin_body)));
  Bytes chunk(16 * 1024);
  for (;;) {
    CO_TRY(const std::size_t got, co_await stream.body->read_some(chunk));
    if (got == 0) break;
    CO_TRY_VOID(demux.feed(BytesView(chunk).first(got)));
  }
  const std::string inspect = "/exec/" + exec_id + "/json";
  CO_TRY(const json::Value details, co_await api_.call("GET", inspect));
  output.exit_code = static_cast<int>(json_int(details, {"ExitCode"}));
  co_return std::move(output);
}

/// A pidfd of the container's first process: it is that before and after it is opened.
Task<Result<Fd>> Docker::open_inside(RunPtr run) {
  const std::string path = "/containers/" + run->name + "/json";
  CO_TRY(const json::Value before, co_await api_.call("GET", path));
  const auto pid = json_int(before, {"State", "Pid"});
  if (pid <= 0) co_return fail(Errc::invalid_argument, "container {} does not run", run->name);
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  CO_TRY(const json::Value after, co_await api_.call("GET", path));
  if (!process || json_int(after, {"State", "Pid"}) != pid)
    co_return fail(Errc::invalid_argument, "container {} has ended", run->name);
  co_return std::move(process);
}

Task<Result<ProbeResult>> Docker::probe(ExecutionId id, Probe probe) {
  CO_TRY(RunPtr run, find<Run>(id));
  CO_TRY_VOID(check_state(*run, State::running));
  CO_TRY_VOID(check_probe(probe));
  if (options_.processes == nullptr || ::geteuid() != 0)
    co_return fail(Errc::unsupported, "executor docker: only root enters the network of a container");
  CO_TRY(Fd inside, co_await open_inside(run));
  co_return co_await probe_inside(*options_.processes, options_.helper, std::move(inside), kNobody, std::move(probe));
}

// ------------------------------------------------------------------------------------------------------- housekeeping

Task<Result<std::vector<ExecutionId>>> Docker::recover(std::vector<Request> known) {
  if (!runs_.empty()) co_return fail(Errc::invalid_argument, "recover() comes before the first start");
  std::map<std::string, Request> requests;
  for (Request& request : known)
    if (check(request)) requests.emplace(docker_container_name(request, options_), std::move(request));
  const std::string filter = fmt::format(R"({{"label":["nunet-executor={}"]}})", options_.id);
  const std::string path = "/containers/json?all=1&filters=" + url_encode(filter);
  CO_TRY(const json::Value answer, co_await api_.call("GET", path));
  const json::Array* containers = answer.if_array();
  if (containers == nullptr) co_return fail(Errc::io, "Docker engine: expected a list of containers");
  std::vector<ExecutionId> taken;
  std::vector<std::pair<RunPtr, DockerLog>> to_supervise;
  for (const json::Value& container : *containers) {
    const std::string id = json_text(container, {"Id"});
    if (id.empty() || id.find_first_not_of("0123456789abcdef") != std::string::npos) continue;
    const std::string name = json_text(container, {"Labels", "nunet-executionID"});
    if (const auto it = requests.find(name); it != requests.end()) {
      auto run = std::make_shared<Run>();
      run->request = it->second;
      run->name = name;
      Result<DockerLog> log = co_await take_up(run, id);
      if (log) {
        taken.push_back(run->request.execution_id);
        to_supervise.emplace_back(std::move(run), *std::move(log));
        continue;
      }
      log::error("executor", "container {} is not taken up: {}", name, log.error().to_string());
    }
    log::warn("executor", "removing container {} that an earlier daemon left", name);
    const Result<void> gone = co_await delete_container(id);
    if (!gone) log::error("executor", "container {} may remain: {}", name, gone.error().to_string());
  }
  for (auto& [run, log] : to_supervise) begin_supervision(run, std::move(log));
  co_return std::move(taken);
}

/// An error if the container never ran, or is not the one of that name.
Task<Result<DockerLog>> Docker::take_up(RunPtr run, std::string id) {
  const std::string path = "/containers/" + run->name + "/json";
  CO_TRY(const json::Value details, co_await api_.call("GET", path));
  const std::string status = json_text(details, {"State", "Status"});
  if (json_text(details, {"Id"}) != id) co_return fail(Errc::not_found, "another container has this name");
  if (status != "running" && status != "paused" && status != "exited")
    co_return fail(Errc::not_found, "its state is '{}'", status);
  auto opening = [run] {
    std::error_code ignored;
    fs::create_directories(run->request.results_dir, ignored);
    return DockerLog::open(run->request.results_dir, run->request.log_limit, LogFile::Begin::resume);
  };
  CO_TRY(DockerLog log, co_await offload(opening));
  CO_TRY_VOID(add(run));
  run->state = status == "paused" ? State::paused : State::running;
  ++metrics_.recovered;
  log::info("executor", "container {} is taken up: {}", run->name, status);
  co_return std::move(log);
}

Task<void> Docker::close() {
  closing_ = true;
  co_await nursery_.close();
  runs_.clear();
}

}  // namespace dms::executor
