#include "executor/sandbox/sandbox.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>

#include "executor/log_file.hpp"
#include "executor/sandbox/sandbox_arguments.hpp"
#include "executor/sandbox/seccomp.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kDefaultTmp = 1024ULL * 1024 * 1024;
constexpr Duration kStartPoll = 2ms;     // until bubblewrap has built the sandbox: some ten milliseconds
constexpr Duration kMemoryPoll = 200ms;  // cgroup v1 reports an out-of-memory kill only when read
constexpr std::string_view kMemoryReason = "memory limit";

std::string slurp(const fs::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The number after `"key":` in bubblewrap's status lines.
std::optional<int> status_number(const std::string& text, std::string_view key) {
  const auto at = text.find(fmt::format("\"{}\":", key));
  if (at == std::string::npos) return std::nullopt;
  std::istringstream in(text.substr(at + key.size() + 3));
  int value = 0;
  if (!(in >> value) || text.find('\n', at) == std::string::npos) return std::nullopt;  // incomplete
  return value;
}

int send_signal(const Fd& pidfd, int signal) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0));
}

std::vector<int> children(int pid) {
  std::istringstream text(slurp(fmt::format("/proc/{}/task/{}/children", pid, pid)));
  std::vector<int> found;
  for (int child = 0; text >> child;) found.push_back(child);
  return found;
}

/// A pidfd of `child`, verified to be the child of `parent` and not a later process with the same pid.
Fd open_child(int parent, int child) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  const std::vector<int> known = children(parent);
  if (fd && std::find(known.begin(), known.end(), child) != known.end()) return fd;
  return {};
}

Result<Fd> memory_file(const char* name, BytesView content) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd || ::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()) ||
      ::lseek(fd.get(), 0, SEEK_SET) != 0)
    return fail(Errc::io, "make a memory file for {}: {}", name, std::strerror(errno));
  return fd;
}

/// FNV-1a: names the owner's control groups after its folder.
std::string owner_name(const fs::path& state_dir) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : state_dir.lexically_normal().string())
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return fmt::format("nunet-{:016x}", hash);
}

Result<void> make_folder(const fs::path& dir, fs::perms perms) {
  std::error_code ec;
  fs::create_directories(dir, ec);
  if (!ec) fs::permissions(dir, perms, ec);
  if (ec) return fail(Errc::io, "make folder {}: {}", dir.string(), ec.message());
  return {};
}

/// Changes the owner of a folder and its content to `uid`. Links are not followed.
Result<void> change_owner(const fs::path& dir, std::uint32_t uid) {
  if (::lchown(dir.c_str(), uid, uid) != 0)
    return fail(Errc::io, "change the owner of {}: {}", dir.string(), std::strerror(errno));
  std::error_code ec;
  for (const auto& entry : fs::recursive_directory_iterator(dir, ec)) (void)::lchown(entry.path().c_str(), uid, uid);
  return {};
}

}  // namespace

struct Sandbox::Run : Execution {
  fs::path dir;   // below state_dir
  fs::path work;  // becomes /work
  std::uint32_t uid = 0;
  std::optional<Cgroup> cgroup;
  std::unique_ptr<Process> process;  // bubblewrap itself
  Fd init;                           // process 1 of the sandbox: when it ends, all end
  int init_pid = 0;
  Fd main;  // the work's first process
  std::optional<int> reported_code;
  int outputs = 0;  // logs still being written
};

Sandbox::Sandbox(Lane& lane, ProcessLauncher& processes, SandboxOptions options)
    : processes_(processes),
      options_(std::move(options)),
      root_(::geteuid() == 0),
      residue_(lane, options_.state_dir),
      nursery_(lane, "sandbox") {
  cgroups_ = CgroupTree::detect(owner_name(options_.state_dir), options_.cgroup_root);
  enforcement_ = cgroups_ ? cgroups_->describe() : "rlimit (memory of each process, number of processes; not CPU)";
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

std::uint32_t Sandbox::free_uid() const {
  std::set<std::uint32_t> taken;
  for (const auto& [id, run] : runs_) taken.insert(static_cast<const Run&>(*run).uid);
  std::uint32_t uid = kFirstUid;
  while (taken.contains(uid)) ++uid;
  return uid;
}

// ----------------------------------------------------------------------------------------------------------- starting

/// Makes the folders and the control group. It may take long, so it runs on a worker.
Result<void> Sandbox::prepare(Run& run) {
  run.dir = options_.state_dir / run.request.execution_id.value;
  TRY_VOID(make_folder(run.dir, fs::perms::owner_all));
  run.work = run.request.work_dir.empty() ? run.dir / "work" : run.request.work_dir;
  TRY_VOID(make_folder(run.work, fs::perms::owner_all));
  if (root_) TRY_VOID(change_owner(run.work, run.uid));
  std::error_code ec;
  fs::create_directories(run.request.results_dir, ec);
  if (ec) return fail(Errc::io, "make results_dir {}: {}", run.request.results_dir.string(), ec.message());
  if (cgroups_) {
    TRY(run.cgroup, cgroups_->create(run.request.execution_id.value, run.request.limits));
  }
  return {};
}

namespace {

struct InnerFiles {
  Fd status;
  Fd seccomp;
  Fd passwd;
  Fd group;
  Fd hosts;
  Fd nsswitch;
  Fd host_conf;
};

/// /etc/hosts of the work; without a network no other host is reachable.
constexpr std::string_view kHosts = "127.0.0.1 localhost sandbox\n::1 localhost sandbox ip6-localhost ip6-loopback\n";
constexpr std::string_view kNsswitch = "passwd: files\ngroup: files\nhosts: files dns\n";
constexpr std::string_view kHostConf = "multi on\n";  // both addresses of localhost, not the first only

Result<InnerFiles> make_inner_files(const fs::path& status_path, std::uint32_t uid) {
  InnerFiles files;
  files.status = Fd(::open(status_path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!files.status) return fail(Errc::io, "open {}: {}", status_path.string(), std::strerror(errno));
  if (!seccomp_filter()) return std::unexpected(seccomp_filter().error());
  TRY(files.seccomp, memory_file("seccomp", *seccomp_filter()));
  const std::string passwd = fmt::format("root:x:0:0:root:/root:/bin/false\nwork:x:{}:{}::/work:/bin/sh\n", uid, uid);
  TRY(files.passwd, memory_file("passwd", as_bytes(passwd)));
  TRY(files.group, memory_file("group", as_bytes(fmt::format("root:x:0:\nwork:x:{}:\n", uid))));
  TRY(files.hosts, memory_file("hosts", as_bytes(kHosts)));
  TRY(files.nsswitch, memory_file("nsswitch.conf", as_bytes(kNsswitch)));
  TRY(files.host_conf, memory_file("host.conf", as_bytes(kHostConf)));
  return files;
}

void add_rlimits(ProcessSpec& spec, const Limits& limits, bool cgroups, bool own_uid) {
  spec.rlimits.push_back({RLIMIT_CORE, 0});
  if (cgroups) return;
  if (limits.memory_bytes > 0) spec.rlimits.push_back({RLIMIT_AS, limits.memory_bytes});
  if (limits.pids > 0 && own_uid) spec.rlimits.push_back({RLIMIT_NPROC, limits.pids});
}

}  // namespace

Result<void> Sandbox::launch(const RunPtr& shared) {
  Run& run = *shared;
  const EngineParams& params = run.request.engine.params;
  const std::uint32_t inner_uid = root_ ? run.uid : 1000;
  TRY(const InnerFiles files, make_inner_files(run.dir / "status", inner_uid));
  SandboxPlan plan;
  plan.command = params.entrypoint;
  plan.command.insert(plan.command.end(), params.cmd.begin(), params.cmd.end());
  plan.environment = full_environment(params.environment);
  plan.work_dir = run.work;
  TRY(plan.working_directory, inner_directory(params.working_directory));
  plan.tmp_bytes = run.request.limits.memory_bytes > 0 ? run.request.limits.memory_bytes : kDefaultTmp;
  plan.network = run.request.network;
  if (root_) plan.uid = run.uid;
  plan.status_fd = files.status.get();
  plan.seccomp_fd = files.seccomp.get();
  plan.passwd_fd = files.passwd.get();
  plan.group_fd = files.group.get();
  plan.hosts_fd = files.hosts.get();
  plan.nsswitch_fd = files.nsswitch.get();
  plan.host_conf_fd = files.host_conf.get();

  ProcessSpec spec;
  spec.argv = sandbox_arguments(plan);
  spec.argv.insert(spec.argv.begin(), options_.bwrap);
  spec.cwd = "/";
  spec.out = ProcessOutput::pipe();
  spec.err = ProcessOutput::pipe();
  for (const Fd* fd :
       {&files.status, &files.seccomp, &files.passwd, &files.group, &files.hosts, &files.nsswitch, &files.host_conf})
    spec.keep_fds.push_back(fd->get());
  if (run.cgroup) spec.cgroups = run.cgroup->procs_files();
  add_rlimits(spec, run.request.limits, run.cgroup.has_value(), root_);
  TRY(LogFile out, LogFile::open(run.out_log(), run.request.log_limit));
  TRY(LogFile err, LogFile::open(run.err_log(), run.request.log_limit));
  TRY(run.process, processes_.spawn(std::move(spec)));
  run.outputs = 2;
  nursery_.spawn(copy_output(shared, run.process->take_out(), std::move(out)));
  nursery_.spawn(copy_output(shared, run.process->take_err(), std::move(err)));
  return {};
}

Task<Result<void>> Sandbox::start(Request request) {
  CO_TRY_VOID(validate(request));
  CO_TRY_VOID(check_sandbox_engine(request.engine));
  CO_TRY_VOID(inner_directory(request.engine.params.working_directory));
  auto run = std::make_shared<Run>();
  run->request = std::move(request);
  run->uid = free_uid();
  CO_TRY_VOID(add(run));

  // Named, not a temporary: GCC 12 destroys the captures of a temporary in a co_await twice.
  auto preparation = [this, run] { return prepare(*run); };
  Result<void> outcome = co_await offload(preparation);
  if (outcome) outcome = launch(run);
  if (outcome) {
    nursery_.spawn(supervise(run));
    outcome = co_await until_running(run);
  } else {
    co_await release(run);
    run->over = true;
  }
  if (!outcome) {
    ++metrics_.start_failures;
    if (!run->over) kill(*run, "the start was cancelled");
    while (!run->over) (void)co_await run->changed.wait_shielded();  // no process survives the kill
    co_await remove_folder(run);
    runs_.erase(run->request.execution_id);
    co_return fail(outcome.error(), "start execution '{}' in a sandbox", run->request.execution_id.value);
  }
  co_return Result<void>();
}

/// Waits until the work's first process exists, or all is over.
Task<Result<void>> Sandbox::until_running(RunPtr run) {
  while (!run->over) {
    const std::string status = slurp(run->dir / "status");
    if (const auto pid = status_number(status, "child-pid"); pid && !run->init) {
      run->init = open_child(run->process->pid(), *pid);
      run->init_pid = *pid;
    }
    if (run->init) {
      const std::vector<int> inside = children(run->init_pid);
      if (!inside.empty()) run->main = open_child(run->init_pid, inside.front());
      if (run->main) {
        run->state = State::running;
        co_return Result<void>();
      }
    }
    CO_TRY_VOID(co_await sleep_for(kStartPoll));
  }
  if (run->reported_code) co_return Result<void>();  // it has run and ended
  const std::string& why = run->kill_reason.empty() ? run->result.err : run->kill_reason;
  co_return fail(Errc::io, "bubblewrap: {}", why.substr(0, 500));
}

// ------------------------------------------------------------------------------------------------- running and ending

Task<void> Sandbox::copy_output(RunPtr run, std::unique_ptr<ByteStream> from, LogFile log) {
  const std::uint64_t dropped = co_await copy_to_log(std::move(from), std::move(log));
  metrics_.dropped_bytes.add(dropped);
  --run->outputs;
  run->changed.notify_all();
}

Task<void> Sandbox::supervise(RunPtr run) {
  metrics_.running.add();
  if (run->cgroup && cgroups_->holds("memory")) nursery_.spawn(watch_memory(run));
  Result<ProcessExit> waited = co_await run->process->wait();
  const ProcessExit exit = waited ? *waited : ProcessExit{0, SIGKILL};
  // All writers died with the sandbox, so the logs end.
  while (run->outputs > 0) (void)co_await run->changed.wait_shielded();
  run->reported_code = status_number(slurp(run->dir / "status"), "exit-code");
  if (run->cgroup && run->cgroup->oom_kills() > 0 && run->kill_reason.empty())
    run->kill_reason = std::string(kMemoryReason);
  run->main = Fd();
  run->init = Fd();
  co_await release(run);
  Logs logs = co_await read_logs(run->request.results_dir, kResultOutputLimit);
  conclude(*run, exit, std::move(logs));
  metrics_.running.sub();
  run->changed.notify_all();
}

Task<void> Sandbox::release(RunPtr run) {
  if (run->cgroup) co_await residue_.end(*run->cgroup);
  run->cgroup.reset();
}

/// An out-of-memory kill of one process ends the work: it must not continue without that process.
Task<void> Sandbox::watch_memory(RunPtr run) {
  while (run->cgroup && !run->process->exited()) {
    if (run->cgroup->oom_kills() > 0) {
      kill(*run, std::string(kMemoryReason));
      co_return;
    }
    Result<void> over = co_await with_timeout(kMemoryPoll, until_over(run));
    if (over) co_return;
  }
}

void Sandbox::kill(Run& run, std::string reason) {
  if (run.kill_reason.empty()) run.kill_reason = std::move(reason);
  if (run.cgroup) run.cgroup->kill_all();
  if (run.init) (void)send_signal(run.init, SIGKILL);
  // Until its first process is known, the whole sandbox is one process group and is signalled at once: if only the
  // parent is killed before its child has set PR_SET_PDEATHSIG, the child survives.
  if (run.process && !run.init) (void)run.process->signal_group(SIGKILL);
}

void Sandbox::conclude(Run& run, const ProcessExit& exit, Logs logs) {
  ExecutionResult& result = run.result;
  result.out = std::move(logs.out);
  result.err = std::move(logs.err);
  result.exit_code = run.reported_code ? *run.reported_code : exit.shell_code();
  result.killed = !run.kill_reason.empty() || run.stopping;
  if (run.kill_reason == kMemoryReason) {
    if (result.exit_code == 0) result.exit_code = 128 + SIGKILL;
    result.error_msg =
        fmt::format("memory limit: the work used more than {} bytes and was ended", run.request.limits.memory_bytes);
  } else if (!run.kill_reason.empty()) {
    result.error_msg = run.kill_reason;
  } else if (run.stopping) {
    result.error_msg = "stopped on request";
  } else if (!run.reported_code && exit.signal != 0) {
    result.error_msg = fmt::format("bubblewrap was ended by signal {}", exit.signal);
  } else if (result.exit_code >= 125 && result.exit_code <= 127) {
    result.error_msg = fmt::format("exit code {}: {}", result.exit_code, result.err.substr(0, result.err.find('\n')));
  } else if (result.exit_code != 0) {
    result.error_msg = describe_exit(result.exit_code);
  }
  if (run.state != State::pending || run.reported_code) count_end(result);
  run.state = result.exit_code == 0 ? State::success : State::failed;
  run.over = true;
}

Task<void> Sandbox::end(RunPtr run, Duration grace) {
  if (run->state == State::paused) (void)run->cgroup->freeze(false);
  if (run->main) (void)send_signal(run->main, SIGTERM);
  Result<void> ended = co_await with_timeout(grace, until_over(run));
  if (!ended)
    kill(*run, fmt::format("did not end within {} ms of SIGTERM and was killed",
                           std::chrono::duration_cast<std::chrono::milliseconds>(grace).count()));
}

Task<Result<void>> Sandbox::stop(ExecutionId id, Duration grace) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!run->over && !run->stopping) {
    run->stopping = true;
    nursery_.spawn(end(run, grace));
  }
  co_return co_await until_over(run);
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
  if (!run->over) kill(*run, "removed while it ran");
  CO_TRY_VOID(co_await until_over(run));
  co_await remove_folder(run);
  runs_.erase(id);
  co_return Result<void>();
}

Task<void> Sandbox::remove_folder(RunPtr run) {
  if (!run->dir.empty()) co_await residue_.remove(run->dir);
}

// ------------------------------------------------------------------------------------------------------------ queries

Task<Result<Stats>> Sandbox::stats(ExecutionId id) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!run->cgroup)
    co_return fail(Errc::unsupported, "execution '{}': usage is counted by control groups while it runs", id.value);
  co_return run->cgroup->stats();
}

Task<Result<ExecOutput>> Sandbox::exec(ExecutionId id, std::vector<std::string>) {
  CO_TRY(const RunPtr run, find<Run>(id));
  co_return fail(Errc::unsupported, "executor sandbox does not run commands inside an execution; use executor docker");
}

const Cgroup* Sandbox::cgroup(const ExecutionId& id) const {
  const Result<RunPtr> run = find<Run>(id);
  return run && (*run)->cgroup ? &*(*run)->cgroup : nullptr;
}

Task<Result<std::vector<ExecutionId>>> Sandbox::recover(std::vector<Request>) {
  if (!runs_.empty()) co_return fail(Errc::invalid_argument, "recover() comes before the first start");
  std::vector<Cgroup> groups;
  if (cgroups_) groups = cgroups_->list();
  co_await residue_.adopt(std::move(groups));
  co_return std::vector<ExecutionId>();
}

Task<void> Sandbox::close() {
  for (auto& [id, run] : runs_)
    if (!run->over) kill(static_cast<Run&>(*run), "the executor was closed");
  co_await residue_.close();
  co_await nursery_.join();
  while (!runs_.empty()) {
    const ExecutionId id = runs_.begin()->first;
    (void)co_await remove(id);
    runs_.erase(id);
  }
}

}  // namespace dms::executor
