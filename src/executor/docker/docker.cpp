#include "executor/docker/docker.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.hpp"
#include "executor/docker/docker_run.hpp"
#include "executor/probe.hpp"
#include "executor/sandbox/enter.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {
constexpr Duration kCountingTime = 5min;  // of the files in a container's layer
}  // namespace

Docker::Docker(Runtime runtime, DockerOptions options)
    : options_(std::move(options)), api_(runtime.net, options_.socket), nursery_(runtime.lane, "docker") {}
Docker::~Docker() = default;

Task<Result<std::string>> Docker::version() {
  awaits_engine_ = true;
  CO_TRY(const json::Value answer, co_await api_.call("GET", "/version", "", kFirstAnswer));
  std::string version = json_text(answer, {"Version"});
  if (version.empty()) co_return fail(Errc::unsupported, "the service at {} is not a Docker engine", api_.socket());
  awaits_engine_ = false;
  co_return std::move(version);
}

// ----------------------------------------------------------------------------------------------------------- starting

Result<void> Docker::check(const Request& request) const {
  TRY_VOID(validate(request));
  const EngineParams& params = request.engine.params;
  if (request.engine.type != "docker")
    return fail(Errc::invalid_argument, "execution type '{}': this executor runs 'docker'", request.engine.type);
  if (request.image_archive.empty()) {
    TRY_VOID(check_image_name(params.image));
    TRY_VOID(check_registry(params.image, options_.registries));
  } else if (!params.image.empty()) {
    return fail(Errc::invalid_argument, "image: it comes as an archive, and is not named");
  }
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
  if (awaits_engine_)
    co_return fail(Errc::unsupported, "the Docker engine has not answered yet: start it or use executor sandbox");
  auto run = std::make_shared<Run>();
  run->request = std::move(request);
  run->name = docker_container_name(run->request, options_);
  CO_TRY_VOID(add(run));
  Result<void> begun = co_await begin(run);
  run->progress.reset();
  if (begun) co_return Result<void>();
  ++metrics_.start_failures;
  nursery_.spawn(discard(run));  // continues if this start is cancelled
  while (!run->over && !run->lingers) (void)co_await run->changed.wait_shielded();
  while (!run->over) CO_TRY_VOID(co_await run->changed.wait());
  co_return fail(begun.error(), "start execution '{}' in a container", run->request.execution_id.value);
}

namespace {
/// The engine does not make what it mounts. Any user of the image may write its work folder, as who that is may change while
/// it runs; no other user of the machine comes to it.
Result<void> make_folders(const Request& request) {
  for (const fs::path& folder : {request.results_dir, request.work_dir}) {
    if (folder.empty()) continue;
    std::error_code ec;
    fs::create_directories(folder, ec);
    if (!ec && folder == request.work_dir) {
      fs::permissions(folder.parent_path(), fs::perms::owner_all, ec);
      if (!ec) {
        fs::permissions(folder, fs::perms::all, ec);
        if (ec == std::errc::operation_not_permitted) ec.clear();  // a run before has given it to another user
      }
    }
    if (ec) return fail(Errc::io, "make the folder {}: {}", folder.string(), ec.message());
  }
  return {};
}
}  // namespace

Task<Result<void>> Docker::begin(RunPtr run) {
  auto making = [request = &run->request] { return make_folders(*request); };
  CO_TRY_VOID(co_await offload(making));
  CO_TRY(DockerLog log, DockerLog::open(run->request.results_dir, run->request.log_limit, LogFile::Begin::fresh));
  if (run->request.image_archive.empty()) {
    CO_TRY_VOID(co_await ensure_image(run));
    std::string body = docker_create_body(run->request, options_);
    CO_TRY_VOID(co_await create_container(run, std::move(body)));
  } else {
    CO_TRY_VOID(co_await create_from_archive(run));
  }
  run->progress.reset();  // the image is here
  // In force from the start on: no daemon may be left to set it.
  if (run->request.deadline && has_deadlines()) CO_TRY_VOID(co_await watch_deadline(run, *run->request.deadline));
  const std::string begin_path = "/containers/" + run->name + "/start";
  CO_TRY_VOID(co_await api_.call("POST", begin_path));
  run->state = State::running;
  begin_supervision(run, std::move(log));
  co_return Result<void>();
}

/// What came with the work cannot be removed before a container uses it.
Task<Result<void>> Docker::create_from_archive(RunPtr run) {
  run->progress = ImageProgress{.phase = ImageProgress::Phase::loading};
  const Mutex::Lock lock = co_await loading_.lock();
  CO_TRY_VOID(co_await load_image(run));
  std::string body = docker_create_body(run->request, options_, run->image);
  co_return co_await create_container(run, std::move(body));
}

Task<Result<void>> Docker::create_container(RunPtr run, std::string body) {
  const std::string create = "/containers/create?name=" + url_encode(run->name);
  CO_TRY(const json::Value created, co_await api_.call("POST", create, std::move(body)));
  run->container = json_text(created, {"Id"});
  if (!is_container_id(run->container)) co_return fail(Errc::io, "Docker engine: a container without an id");
  co_return Result<void>();
}

Task<Result<void>> Docker::delete_container(std::string name) {
  const std::string path = "/containers/" + name + "?force=1&v=1";
  Result<json::Value> gone = co_await api_.call("DELETE", path);
  if (!gone && !gone.error().is(Errc::not_found)) co_return std::unexpected(gone.error());
  co_return Result<void>();
}

/// A container that the engine has made may run although its start has failed, so its watcher stays until it is gone.
Task<void> Docker::discard(RunPtr run) {
  Result<void> gone = co_await delete_container(run->name);
  for (Duration pause = kFirstPause; !gone && !run->container.empty(); pause = std::min(2 * pause, kLongestPause)) {
    log::warn("executor", "remove container {}, which is tried again: {}", run->name, gone.error().to_string());
    run->lingers = true;
    run->changed.notify_all();
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) break;  // the next daemon removes it, or its watcher does
    gone = co_await delete_container(run->name);
  }
  if (gone || run->container.empty()) {
    const Result<bool> watcher = co_await disarm(run);
    if (!watcher) log::error("executor", "the watcher of {}: {}", run->name, watcher.error().to_string());
  }
  run->over = true;
  runs_.erase(run->request.execution_id);
  co_await release_image_logged(run->image);
  run->changed.notify_all();
}

// ----------------------------------------------------------------------------------------------------------- stopping

Task<void> Docker::request_stop(RunPtr run, Duration grace) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::clamp<Duration>(grace, 0s, 24h)).count();
  // The engine delivers no signal to a paused container.
  if (run->state == State::paused) {
    const std::string unpause = "/containers/" + run->name + "/unpause";
    (void)co_await api_.call("POST", unpause);
  }
  const std::string path = fmt::format("/containers/{}/stop?t={}", run->name, seconds);
  for (Duration pause = kFirstPause; !run->over; pause = std::min(2 * pause, kLongestPause)) {
    const Result<json::Value> stopped = co_await api_.call("POST", path, "", std::chrono::seconds(seconds) + 60s);
    if (stopped || run->over) co_return;
    log::warn("executor", "stop container {}, which is tried again: {}", run->name, stopped.error().to_string());
    // An engine that answers and cannot stop it may remove it.
    Result<void> removed = fail(Errc::unsupported, "no engine");
    if (!stopped.error().is(Errc::unsupported)) removed = co_await delete_container(run->name);
    if (removed) co_return;
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
  }
}

/// What the engine has not been asked about yet may run.
Result<Docker::RunPtr> Docker::find_ended(const ExecutionId& id) const {
  Result<RunPtr> run = find<Run>(id);
  if (!run && awaits_engine_)
    return fail(Errc::unsupported, "execution '{}': the Docker engine has not answered yet", id.value);
  return run;
}

Task<Result<void>> Docker::stop(ExecutionId id, Duration grace) {
  CO_TRY(RunPtr run, find_ended(id));
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
  CO_TRY(RunPtr run, find_ended(id));
  if (!run->over && run->kill_reason.empty()) run->kill_reason = "removed while it ran";
  CO_TRY_VOID(co_await delete_container(run->name));
  CO_TRY_VOID(co_await until_over(run));
  runs_.erase(id);
  co_await release_image_logged(run->image);
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
      stats.network_rx =
          stats.network_rx.value_or(0) + static_cast<std::uint64_t>(json_int(network.value(), {"rx_bytes"}));
      stats.network_tx =
          stats.network_tx.value_or(0) + static_cast<std::uint64_t>(json_int(network.value(), {"tx_bytes"}));
    }
  co_return stats;
}

Task<Result<std::optional<Elsewhere>>> Docker::written_elsewhere(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  const std::string path = "/containers/" + run->name + "/json?size=1";
  CO_TRY(const json::Value details, co_await api_.call("GET", path, "", kCountingTime));
  std::optional<Elsewhere> elsewhere(std::in_place);
  elsewhere->bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(json_int(details, {"SizeRw"}), 0));
  const json::Value* mounts = json_at(details, {"Mounts"});
  if (mounts == nullptr || !mounts->is_array()) co_return std::move(elsewhere);
  for (const json::Value& mount : mounts->get_array())
    if (json_text(mount, {"Type"}) == "volume") elsewhere->folders.emplace_back(json_text(mount, {"Source"}));
  co_return std::move(elsewhere);
}

std::string Docker::unenforced() const {
  if (options_.user == 0) return {};
  return "disk is limited but for what a container keeps from the user of the daemon: run the daemon as root";
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

Task<void> Docker::close() {
  closing_ = true;
  co_await nursery_.close();
  runs_.clear();
}

}  // namespace dms::executor
