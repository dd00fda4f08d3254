#include "executor/sandbox/sandbox.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <set>

#include "base/file.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "executor/log_file.hpp"
#include "executor/sandbox/process_tree.hpp"
#include "executor/sandbox/sandbox_arguments.hpp"
#include "executor/sandbox/sandbox_run.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr int kMaxDepth = 128;              // of a work folder; each level takes a descriptor
constexpr std::size_t kMaxFirstLine = 256;  // bytes of what the work has written, in a reason
constexpr std::string_view kMemoryReason = "memory limit";

/// FNV-1a: daemons of one machine have different folders, and after them control groups and users.
std::uint64_t owner_of(const fs::path& state_dir) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : state_dir.lexically_normal().string())
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

Result<void> make_folder(const fs::path& dir, fs::perms perms) {
  std::error_code ec;
  fs::create_directories(dir, ec);
  if (!ec) fs::permissions(dir, perms, ec);
  if (ec) return fail(Errc::io, "make folder {}: {}", dir.string(), ec.message());
  return {};
}

bool is_folder(int parent, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat info {};
  return ::fstatat(parent, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

/// Changes the owner of a folder and its content to `uid`. An earlier run may have written it: each step is relative to
/// an open folder, and links are not followed.
Result<void> change_owner(int parent, const char* name, std::uint32_t uid, int depth = 0) {
  const auto broken = [&] {
    return fail(Errc::io, "change the owner of {}: {}", printable(name), std::strerror(errno));
  };
  if (depth > kMaxDepth) return fail(Errc::limit_exceeded, "the work folder is more than {} levels deep", kMaxDepth);
  if (::fchownat(parent, name, uid, uid, AT_SYMLINK_NOFOLLOW) != 0) return broken();
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return broken();
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(fd), &::closedir);
  if (!folder) {
    ::close(fd);
    return broken();
  }
  for (errno = 0; const dirent* entry = ::readdir(folder.get()); errno = 0) {
    const std::string_view inner = entry->d_name;
    if (inner == "." || inner == "..") continue;
    if (is_folder(fd, *entry)) {
      TRY_VOID(change_owner(fd, entry->d_name, uid, depth + 1));
    } else {
      (void)::fchownat(fd, entry->d_name, uid, uid, AT_SYMLINK_NOFOLLOW);
    }
  }
  return errno == 0 ? Result<void>() : broken();
}

/// Makes the working directory, as far as it is missing, if it is below the work folder. An earlier run may have written
/// there: no link is followed. One that leads to a folder can be entered from inside.
Result<void> make_working_directory(const fs::path& work, const std::string& wanted) {
  TRY(const std::string inner, inner_directory(wanted));
  if (!inner.starts_with("/work/")) return {};
  constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  Fd at(::open(work.c_str(), kFolder));
  fs::path reached("/work");
  for (const fs::path& part : fs::path(inner).lexically_relative(reached)) {
    if (part.empty()) continue;
    reached /= part;
    const std::string name = printable(reached.string());
    if (::mkdirat(at.get(), part.c_str(), 0755) != 0 && errno != EEXIST)
      return fail(Errc::io, "working_directory '{}': make {}: {}", printable(wanted), name, std::strerror(errno));
    Fd next(::openat(at.get(), part.c_str(), kFolder));
    struct stat info {};
    const bool seen = ::fstatat(at.get(), part.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!next && (!seen || S_ISLNK(info.st_mode) || S_ISDIR(info.st_mode))) return {};  // as entering it will tell
    if (!next)
      return fail(Errc::invalid_argument,
                  "working_directory '{}': expected a folder, or nothing, which is made; {} is a file",
                  printable(wanted), name);
    at = std::move(next);
  }
  return {};
}

}  // namespace

Sandbox::Sandbox(Lane& lane, ProcessLauncher& processes, SandboxOptions options)
    : processes_(processes),
      options_(std::move(options)),
      root_(::geteuid() == 0),
      residue_(lane, options_.state_dir),
      undoing_(lane, "sandbox starts"),
      watching_(lane, "sandbox") {
  cgroups_ = CgroupTree::detect(fmt::format("nunet-{:016x}", owner_of(options_.state_dir)), options_.cgroup_root);
  enforcement_ = cgroups_ ? cgroups_->describe() : "rlimit (memory of each process, number of processes; not CPU)";
}

std::string Sandbox::unenforced() const {
  std::vector<std::string_view> missing;
  const auto held = [this](std::string_view controller) { return cgroups_ && cgroups_->holds(controller); };
  if (!held("cpu")) missing.emplace_back("processor time is not limited");
  if (!held("memory")) missing.emplace_back("memory is limited for each process, not for all of them together");
  if (missing.empty()) return {};
  return fmt::format("{}: {}", fmt::join(missing, ", "), CgroupTree::explain_missing(root_, options_.cgroup_root));
}

Sandbox::~Sandbox() {
  if (cgroups_) cgroups_->remove_base();
}

Task<Result<void>> Sandbox::probe() {
  for (const char* program : {"/usr/bin/setpriv", "/usr/bin/env"})
    if (::access(program, X_OK) != 0) co_return fail(Errc::unsupported, "executor sandbox: {} is missing", program);
  ProcessSpec spec;
  spec.argv = {options_.bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--ro-bind", "/", "/",
               "--proc",       "/proc"};
  if (!root_) spec.argv.emplace_back("--unshare-user");
  for (const char* arg : {"--", "/usr/bin/env", "true"}) spec.argv.emplace_back(arg);
  Result<ProcessRun> run = co_await run_process(processes_, std::move(spec), 1024);
  if (!run) co_return fail(run.error(), "executor sandbox: install bubblewrap");
  if (run->exit.shell_code() != 0)
    co_return fail(
        Errc::unsupported,
        "executor sandbox: bubblewrap cannot make namespaces here ({}); run as root or allow user namespaces",
        run->err.substr(0, run->err.find('\n')));
  co_return Result<void>();
}

/// `busy`: the users of the processes of this machine.
std::uint32_t Sandbox::free_uid(const std::set<std::uint32_t>& busy) const {
  std::set<std::uint32_t> taken;
  for (const auto& [id, run] : runs_) taken.insert(static_cast<const Run&>(*run).uid);
  const auto range = static_cast<std::uint32_t>(owner_of(options_.state_dir) % kRanges);
  std::uint32_t uid = kFirstUid + range * kUsers;
  while (taken.contains(uid) || busy.contains(uid)) ++uid;
  return uid;
}

// ----------------------------------------------------------------------------------------------------------- starting

ShimSpec Sandbox::spec_of(const Run& run) const {
  const Request& request = run.request;
  ShimSpec spec;
  spec.execution = request.execution_id.value;
  spec.engine = request.engine;
  spec.cpu_cores = request.limits.cpu_cores;
  spec.memory_bytes = request.limits.memory_bytes;
  spec.pids = request.limits.pids;
  spec.log_limit = request.log_limit;
  spec.output_rate = options_.output.bytes_per_second;
  spec.output_burst = options_.output.burst;
  spec.network = request.network;
  spec.results_dir = request.results_dir.string();
  spec.work_dir = run.work.string();
  spec.actor_dir = request.actor_dir.string();
  spec.bwrap = options_.bwrap;
  if (root_) spec.uid = run.uid;
  if (request.deadline) spec.deadline = request.deadline->time_since_epoch().count();
  if (cgroups_) {
    const Cgroup group = cgroups_->group(request.execution_id.value);
    for (const fs::path& folder : group.folders()) spec.cgroups.push_back(folder.string());
    spec.cgroup_v2 = group.v2();
  }
  return spec;
}

/// Makes the folders and the control group; first what recover() finds the rest by. It may take long, so it runs on a
/// worker.
Result<void> Sandbox::prepare(Run& run) {
  TRY_VOID(make_folder(run.dir, fs::perms::owner_all));
  TRY_VOID(write_spec(run.dir, spec_of(run)));
  TRY_VOID(write_file(run.dir / kLockFile, ""));
  TRY_VOID(make_folder(run.work, fs::perms::owner_all));
  TRY_VOID(make_working_directory(run.work, run.request.engine.params.working_directory));
  if (root_) TRY_VOID(change_owner(AT_FDCWD, run.work.c_str(), run.uid));
  std::error_code ec;
  fs::create_directories(run.request.results_dir, ec);
  if (ec) return fail(Errc::io, "make results_dir {}: {}", run.request.results_dir.string(), ec.message());
  if (cgroups_) {
    TRY(run.cgroup, cgroups_->create(run.request.execution_id.value, run.request.limits));
  }
  return {};
}

Task<Result<void>> Sandbox::launch(RunPtr run) {
  ProcessSpec spec;
  spec.argv = options_.helper;
  spec.argv.insert(spec.argv.end(), {"shim", run->dir.string()});
  const char* path = ::getenv("PATH");
  if (path != nullptr) spec.env = {fmt::format("PATH={}", path)};  // where bubblewrap is
  spec.cwd = "/";
  CO_TRY(const ProcessRun launched, co_await run_process(processes_, std::move(spec), 4096));
  if (launched.exit.shell_code() != 0)
    co_return fail(Errc::io, "bubblewrap: {}", launched.err.substr(0, launched.err.find_last_not_of('\n') + 1));
  co_return Result<void>();
}

Task<Result<void>> Sandbox::start(Request request) {
  CO_TRY_VOID(validate(request));
  CO_TRY_VOID(check_sandbox_engine(request.engine));
  CO_TRY_VOID(inner_directory(request.engine.params.working_directory));
  std::set<std::uint32_t> busy;
  if (root_) busy = co_await offload(&users_of_processes);
  auto run = std::make_shared<Run>();
  run->request = std::move(request);
  run->uid = free_uid(busy);
  run->dir = options_.state_dir / run->request.execution_id.value;
  run->work = run->request.work_dir.empty() ? run->dir / "work" : run->request.work_dir;
  if (std::error_code ec; fs::exists(run->dir, ec))
    co_return fail(Errc::already_exists, "{} is left from an earlier daemon: recover() comes first", run->dir.string());
  CO_TRY_VOID(add(run));

  // Named, not a temporary: GCC 12 destroys the captures of a temporary in a co_await twice.
  auto preparation = [this, run] { return prepare(*run); };
  Result<void> outcome = co_await offload(preparation);
  if (outcome) outcome = co_await launch(run);
  if (outcome) outcome = co_await attach(run);
  if (outcome) co_return Result<void>();
  ++metrics_.start_failures;
  undoing_.spawn(undo(run));  // also if this start is cancelled
  while (!run->over) (void)co_await run->changed.wait_shielded();
  co_return fail(outcome.error(), "start execution '{}' in a sandbox", run->request.execution_id.value);
}

/// From here on the execution is supervised. It may have ended already.
Task<Result<void>> Sandbox::attach(RunPtr run) {
  CO_TRY(run->shim, find_shim(run->dir));
  run->state = State::running;
  if (run->shim)
    watching_.spawn(supervise(run));
  else
    co_await conclude(run);
  co_return Result<void>();
}

Task<void> Sandbox::undo(RunPtr run) {
  const Result<void> ended = co_await end_shim(processes_, run->dir);
  if (!ended) log::error("executor", "{}", ended.error().to_string());
  if (run->cgroup) co_await residue_.end(*run->cgroup);
  co_await residue_.remove(run->dir);
  run->over = true;
  runs_.erase(run->request.execution_id);
  run->changed.notify_all();
}

// ------------------------------------------------------------------------------------------------- running and ending

Task<void> Sandbox::supervise(RunPtr run) {
  metrics_.running.add();
  const Result<void> ended = co_await processes_.until_ended(run->shim.get());
  if (ended) co_await conclude(run);
  metrics_.running.sub();
}

namespace {

std::string error_of(const Request& request, const ShimStatus& status, const ExecutionResult& result) {
  if (!status.start_error.empty()) return fmt::format("bubblewrap: {}", status.start_error);
  if (status.kill_reason == kMemoryReason)
    return fmt::format("memory limit: the work used more than {} bytes and was ended", request.limits.memory_bytes);
  if (!status.kill_reason.empty()) return status.kill_reason;
  if (status.stopping) return "stopped on request";
  if (!status.reported && status.signal != 0) return fmt::format("bubblewrap was ended by signal {}", status.signal);
  if (result.exit_code >= 125 && result.exit_code <= 127) {
    const std::string first = result.err.substr(0, std::min(result.err.find('\n'), kMaxFirstLine));
    const std::string told =
        fmt::format("exit code {}: {}", result.exit_code, shortened(printable(first), kMaxFirstLine));
    if (result.exit_code != 125 || first.find("cannot change directory") == std::string::npos) return told;
    return fmt::format("working_directory '{}': expected a folder that the work may enter; {}",
                       printable(request.engine.params.working_directory), told);
  }
  return result.exit_code != 0 ? describe_exit(result.exit_code) : std::string();
}

/// Of a shim that was killed: it has left no status, and what it had not copied of the output is lost with it.
ShimStatus lost(const Request& request, const Error& why) {
  log::warn("executor", "the shim of a sandbox has left no status: {}", why.to_string());
  ShimStatus status;
  status.kill_reason = "the shim of the execution was killed, and the work with it";
  status.out_total = mark_lost_end(request.results_dir, kOutLog, request.log_limit);
  status.err_total = mark_lost_end(request.results_dir, kErrLog, request.log_limit);
  return status;
}

}  // namespace

/// The shim has ended.
Task<void> Sandbox::conclude(RunPtr run) {
  if (run->cgroup) co_await residue_.end(*run->cgroup);
  run->cgroup.reset();
  run->shim.reset();
  auto reading = [run] {
    Result<ShimStatus> read = read_status(run->dir);
    return read ? *std::move(read) : lost(run->request, read.error());
  };
  ShimStatus status = co_await offload(reading);
  if (!run->kill_reason.empty()) status.kill_reason = run->kill_reason;
  Logs logs = co_await read_logs(run->request.results_dir, kResultOutputLimit);
  ExecutionResult& result = run->result;
  result.out = std::move(logs.out);
  result.err = std::move(logs.err);
  result.exit_code = status.signal != 0 && !status.reported ? 128 + status.signal : status.exit_code;
  if (status.kill_reason == kMemoryReason && result.exit_code == 0) result.exit_code = 128 + SIGKILL;
  if (!status.start_error.empty()) result.exit_code = -1;
  result.killed = !status.kill_reason.empty() || status.stopping;
  result.error_msg = error_of(run->request, status, result);
  result.cpu_seconds = static_cast<double>(std::max<std::int64_t>(status.cpu_ns, 0)) / 1e9;
  result.memory_bytes = status.memory_peak;
  run->out_total = status.out_total;
  run->err_total = status.err_total;
  metrics_.dropped_bytes.add(status.dropped);
  if (status.deadline) ++metrics_.deadlines;
  count_end(result);
  run->state = result.exit_code == 0 ? State::success : State::failed;
  run->over = true;
  run->changed.notify_all();
}

void Sandbox::kill(const RunPtr& run, std::string reason) {
  if (run->over) return;
  if (run->kill_reason.empty()) run->kill_reason = std::move(reason);
  if (run->shim) (void)tell_shim(run->shim, ShimSignal::kill);
  watching_.spawn(escalate(run, kShimPatience));
}

void Sandbox::force_end(Run& run) {
  if (run.shim) (void)::syscall(SYS_pidfd_send_signal, run.shim.get(), SIGKILL, nullptr, 0);
  if (run.cgroup) run.cgroup->kill_all();
}

/// Ends a shim that does not do what it was told.
Task<void> Sandbox::escalate(RunPtr run, Duration patience) {
  const Result<void> over = co_await with_timeout(patience, until_over(run));
  if (over || !over.error().is(Errc::deadline_exceeded) || run->over) co_return;
  log::warn("executor", "the shim of execution '{}' does not react and is killed", run->request.execution_id.value);
  force_end(*run);
}

Task<Result<void>> Sandbox::stop(ExecutionId id, Duration grace) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!run->over && !std::exchange(run->stopping, true)) {
    const Duration bounded = std::clamp<Duration>(grace, 0s, 24h);
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(bounded).count();
    if (run->shim) (void)tell_shim(run->shim, ShimSignal::stop, milliseconds);
    watching_.spawn(escalate(run, bounded + kShimPatience));
  }
  co_return co_await until_over(run);
}

Task<Result<void>> Sandbox::set_deadline(ExecutionId id, SteadyTime deadline) {
  CO_TRY(RunPtr run, find<Run>(id));
  // The lane's clock and the shim's timers are the same: they also count the time in suspension.
  const std::int64_t when = deadline.time_since_epoch().count();
  if (run->over || tell_shim(run->shim, ShimSignal::deadline, when)) co_return Result<void>();
  if (errno == ESRCH) co_return Result<void>();  // it is ending
  co_return fail(Errc::io, "extend execution '{}': {}", id.value, std::strerror(errno));
}

Task<Result<void>> Sandbox::freeze(ExecutionId id, State from, State to) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (run->state == to) co_return Result<void>();
  CO_TRY_VOID(check_state(*run, from));
  if (!run->cgroup)
    co_return fail(Errc::unsupported, "executor sandbox: pausing needs control groups, and none are writable here");
  CO_TRY_VOID(run->cgroup->freeze(to == State::paused));
  run->state = to;
  co_return Result<void>();
}

Task<Result<void>> Sandbox::pause(ExecutionId id) { return freeze(std::move(id), State::running, State::paused); }
Task<Result<void>> Sandbox::resume(ExecutionId id) { return freeze(std::move(id), State::paused, State::running); }

Task<Result<void>> Sandbox::remove(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  kill(run, "removed while it ran");
  CO_TRY_VOID(co_await until_over(run));
  co_await residue_.remove(run->dir);
  runs_.erase(id);
  co_return Result<void>();
}

// ------------------------------------------------------------------------------------------------------------ queries

Task<Result<Stats>> Sandbox::stats(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!run->cgroup)
    co_return fail(Errc::unsupported, "execution '{}': usage is counted by control groups while it runs", id.value);
  co_return run->cgroup->stats();
}

const Cgroup* Sandbox::cgroup(const ExecutionId& id) const {
  const Result<RunPtr> run = find<Run>(id);
  return run && (*run)->cgroup ? &*(*run)->cgroup : nullptr;
}

Task<void> Sandbox::close() {
  co_await undoing_.join();
  co_await watching_.close();
  co_await residue_.close();
  runs_.clear();
}

}  // namespace dms::executor
