#include "runtime/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/close_range.h>

extern "C" {
#include <sys/pidfd.h>  // glibc 2.36 forgot to say so itself
}

#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/log.hpp"
#include "runtime/nursery.hpp"

namespace dms {

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

namespace {

std::unexpected<Error> os_error(std::string what, int number = errno) {
  Errc code = Errc::io;
  if (number == ENOENT || number == ENOTDIR) code = Errc::not_found;
  if (number == EACCES || number == EPERM) code = Errc::permission_denied;
  return fail(code, "{}: {}", what, std::strerror(number));
}

/// A descriptor above the standard three, so that installing those overwrites nothing.
Fd above_standard(Fd fd) {
  if (!fd || fd.get() > 2) return fd;
  return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

struct PipeEnds {
  Fd read;
  Fd write;
};

Result<PipeEnds> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("make a pipe");
  PipeEnds made;
  made.read = above_standard(Fd(ends[0]));
  made.write = above_standard(Fd(ends[1]));
  return made;
}

Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = ::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    if (folder.empty()) continue;
    std::string candidate = std::string(folder) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(Errc::not_found, "program '{}' is not in PATH; install it or give its path", name);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// Everything the child needs, prepared before the fork: after it only async-signal-safe calls are allowed.
struct Prepared {
  std::string program;
  std::vector<char*> argv;
  std::vector<char*> env;
  const char* cwd = nullptr;
  std::array<int, 3> standard{};
  std::vector<Fd> cgroups;
  std::vector<int> keep;
  std::vector<ProcessRlimit> rlimits;
  bool new_session = true;
  bool kill_with_parent = true;
  pid_t parent = 0;
  int report = -1;
};

/// What the child sends to its parent when it cannot start the program.
struct Failure {
  enum Step : int { session, cgroup, limits, descriptors, directory, execute };
  Step step = execute;
  int number = 0;
};

std::string_view to_string(Failure::Step step) {
  switch (step) {
    case Failure::session: return "make a session";
    case Failure::cgroup: return "join the control group";
    case Failure::limits: return "set resource limits";
    case Failure::descriptors: return "connect the standard streams";
    case Failure::directory: return "enter the working directory";
    case Failure::execute: break;
  }
  return "execute the program";
}

[[noreturn]] void give_up(const Prepared& p, Failure::Step step) {
  const Failure failure{step, errno};
  (void)!::write(p.report, &failure, sizeof failure);
  ::_exit(127);
}

/// The child's side of the fork. Signals are blocked on entry.
[[noreturn]] void become(const Prepared& p) {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (p.new_session && ::setsid() < 0) give_up(p, Failure::session);
  if (p.kill_with_parent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(p, Failure::session);
    if (::getppid() != p.parent) ::_exit(127);  // the parent ended before prctl() took effect
  }
  for (const Fd& group : p.cgroups)
    if (::write(group.get(), "0", 1) != 1) give_up(p, Failure::cgroup);
  for (const ProcessRlimit& limit : p.rlimits) {
    const rlimit value{limit.value, limit.value};
    if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &value) != 0) give_up(p, Failure::limits);
  }
  for (int i = 0; i < 3; ++i)
    if (p.standard[static_cast<std::size_t>(i)] != i && ::dup2(p.standard[static_cast<std::size_t>(i)], i) < 0)
      give_up(p, Failure::descriptors);
  // Libraries open descriptors without close-on-exec too.
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) give_up(p, Failure::descriptors);
  for (const int fd : p.keep)
    if (::fcntl(fd, F_SETFD, 0) != 0) give_up(p, Failure::descriptors);
  if (p.cwd != nullptr && ::chdir(p.cwd) != 0) give_up(p, Failure::directory);
  ::execve(p.program.c_str(), p.argv.data(), p.env.data());
  give_up(p, Failure::execute);
}

/// One output of the child: the descriptor it writes to, and for a pipe the end that is read here.
struct Output {
  Fd child;
  int child_number = -1;
  Fd read_end;
};

Result<Output> open_output(const ProcessOutput& spec, int standard) {
  Output output;
  switch (spec.kind) {
    case ProcessOutput::Kind::inherit: output.child_number = standard; return output;
    case ProcessOutput::Kind::null: output.child = above_standard(Fd(::open("/dev/null", O_WRONLY | O_CLOEXEC))); break;
    case ProcessOutput::Kind::file:
      output.child = above_standard(Fd(::open(spec.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640)));
      if (!output.child) return os_error(fmt::format("open {} for a process's output", spec.path.string()));
      break;
    case ProcessOutput::Kind::pipe: {
      TRY(PipeEnds ends, make_pipe());
      ::fcntl(ends.read.get(), F_SETFL, O_NONBLOCK);
      output.child = std::move(ends.write);
      output.read_end = std::move(ends.read);
    }
  }
  if (!output.child) return os_error("open /dev/null");
  output.child_number = output.child.get();
  return output;
}

struct ChildState {
  pid_t pid = 0;
  Fd pidfd;
  // Only on the lane:
  std::optional<ProcessExit> exit;
  Notify ended;
};

ProcessExit reap(const ChildState& child) {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED) != 0 && errno == EINTR) {
  }
  if (info.si_code == CLD_EXITED) return {info.si_status, 0};
  return {0, info.si_status != 0 ? info.si_status : SIGKILL};
}

}  // namespace

/// The thread that waits on descriptors for the lane and reaps the children.
class RealProcesses::Watcher {
 public:
  explicit Watcher(Lane& lane)
      : lane_(lane), epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = 0;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
    thread_ = std::thread([this] { run(); });
  }

  ~Watcher() { stop(); }

  /// Kills and reaps what is left. Nothing is watched from then on.
  void stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    thread_.join();
    for (auto& [id, entry] : entries_) {
      if (!entry.child) continue;
      ::pidfd_send_signal(entry.child->pidfd.get(), SIGKILL, nullptr, 0);
      reap(*entry.child);
    }
    entries_.clear();
  }

  bool watch(std::shared_ptr<ChildState> child) {
    const int fd = child->pidfd.get();
    return add(fd, {fd, std::move(child), {}}) != 0;
  }

  /// Posts `ready` once, when there is something to read or all writers are closed. 0 if that is impossible.
  std::uint64_t watch(int fd, Callback ready) { return add(fd, {fd, nullptr, std::move(ready)}); }

  void cancel(std::uint64_t id) {
    std::lock_guard lock(mutex_);
    if (auto it = entries_.find(id); it != entries_.end()) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second.fd, nullptr);
      entries_.erase(it);
    }
  }

 private:
  struct Entry {
    int fd = -1;
    std::shared_ptr<ChildState> child;
    Callback ready;
  };

  std::uint64_t add(int fd, Entry entry) {
    std::lock_guard lock(mutex_);
    const std::uint64_t id = ++last_;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = id;
    if (stopping_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return 0;
    entries_.emplace(id, std::move(entry));
    return id;
  }

  void run() {
    std::array<epoll_event, 64> events;
    while (!stopping_) {
      const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < n; ++i) handle(events[static_cast<std::size_t>(i)].data.u64);
    }
  }

  void handle(std::uint64_t id) {
    Entry entry;
    {
      std::lock_guard lock(mutex_);
      const auto it = entries_.find(id);
      if (it == entries_.end()) return;
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second.fd, nullptr);
      entry = std::move(it->second);
      entries_.erase(it);
    }
    if (!entry.child) return lane_.post(std::move(entry.ready));
    const ProcessExit exit = reap(*entry.child);
    lane_.post([child = std::move(entry.child), exit] {
      child->exit = exit;
      child->ended.notify_all();
    });
  }

  Lane& lane_;
  Fd epoll_;
  Fd wake_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Entry> entries_;
  std::uint64_t last_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

struct RealProcesses::Waiting {
  std::uint64_t id = 0;
  bool ready = false;
  Notify notify;
};

Task<Result<void>> RealProcesses::until_readable(std::shared_ptr<Watcher> watcher, int fd,
                                                 std::shared_ptr<Waiting> waiting) {
  waiting->id = watcher->watch(fd, [waiting] {
    waiting->ready = true;
    waiting->notify.notify_all();
  });
  if (waiting->id == 0) co_return fail(Errc::closed, "the process launcher is closed");
  Result<void> outcome;
  while (!waiting->ready && outcome) outcome = co_await waiting->notify.wait();
  watcher->cancel(waiting->id);
  co_return outcome;
}

class RealProcesses::PipeStream final : public ByteStream {
 public:
  PipeStream(std::shared_ptr<Watcher> watcher, Fd fd) : watcher_(std::move(watcher)), fd_(std::move(fd)) {}
  ~PipeStream() override { abort(); }

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    for (;;) {
      if (!fd_) co_return fail(Errc::closed, "the pipe is closed");
      const ssize_t got = ::read(fd_.get(), into.data(), into.size());
      if (got >= 0) co_return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return os_error("read a process's output");
      CO_TRY_VOID(co_await readable());
    }
  }
  Task<Result<void>> write(BytesView) override { co_return fail(Errc::unsupported, "this pipe is only read"); }
  Task<Result<void>> close_write() override { co_return Result<void>(); }
  void abort() override {
    if (waiting_) {
      watcher_->cancel(waiting_->id);
      waiting_->ready = true;
      waiting_->notify.notify_all();
    }
    fd_.reset();
  }

 private:
  Task<Result<void>> readable() {
    auto waiting = std::make_shared<Waiting>();
    waiting_ = waiting;
    Result<void> outcome = co_await until_readable(watcher_, fd_.get(), waiting);
    waiting_.reset();
    co_return outcome;
  }

  std::shared_ptr<Watcher> watcher_;
  Fd fd_;
  std::shared_ptr<Waiting> waiting_;
};

class RealProcesses::Child final : public Process {
 public:
  Child(std::shared_ptr<ChildState> state, std::unique_ptr<ByteStream> out, std::unique_ptr<ByteStream> err)
      : state_(std::move(state)), out_(std::move(out)), err_(std::move(err)) {}
  ~Child() override { (void)kill(SIGKILL); }

  [[nodiscard]] pid_t pid() const override { return state_->pid; }
  [[nodiscard]] std::optional<ProcessExit> exited() const override { return state_->exit; }

  Task<Result<ProcessExit>> wait() override {
    auto state = state_;
    while (!state->exit) CO_TRY_VOID(co_await state->ended.wait());
    co_return *state->exit;
  }

  Result<void> kill(int signal) override {
    if (state_->exit) return {};
    if (::pidfd_send_signal(state_->pidfd.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return {};
    return os_error(fmt::format("send signal {} to process {}", signal, state_->pid));
  }
  Result<void> signal_group(int signal) override {
    // The number cannot have been reused: the child is reaped only after its exit was posted here, or is a moment from
    // it.
    if (state_->exit) return {};
    if (::kill(-state_->pid, signal) == 0 || errno == ESRCH) return {};
    return os_error(fmt::format("send signal {} to process group {}", signal, state_->pid));
  }
  std::unique_ptr<ByteStream> take_out() override { return std::move(out_); }
  std::unique_ptr<ByteStream> take_err() override { return std::move(err_); }

 private:
  std::shared_ptr<ChildState> state_;
  std::unique_ptr<ByteStream> out_;
  std::unique_ptr<ByteStream> err_;
};

RealProcesses::RealProcesses(Lane& lane) : watcher_(std::make_shared<Watcher>(lane)) {}
RealProcesses::~RealProcesses() { watcher_->stop(); }

Task<Result<void>> RealProcesses::until_ended(int pidfd) {
  const Fd own(::fcntl(pidfd, F_DUPFD_CLOEXEC, 3));  // watched under a number of its own
  if (!own) co_return os_error("watch a process");
  auto waiting = std::make_shared<Waiting>();
  CO_TRY_VOID(co_await until_readable(watcher_, own.get(), waiting));
  // Of a process whose parents have ended, the first process of a container becomes the parent: this one, perhaps.
  siginfo_t info{};
  (void)::waitid(P_PIDFD, static_cast<id_t>(own.get()), &info, WEXITED | WNOHANG);
  co_return Result<void>();
}

namespace {

/// Forks; the child becomes the program. Returns its pid once the program runs.
Result<pid_t> start(const Prepared& prepared, Fd report_write, const Fd& report_read) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(prepared);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return os_error(fmt::format("start {}", prepared.program), fork_error);
  report_write.reset();
  Failure failure;
  ssize_t got = 0;
  do got = ::read(report_read.get(), &failure, sizeof failure);
  while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof failure)) return pid;  // closed by a successful exec
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return os_error(fmt::format("start {}: {}", prepared.program, to_string(failure.step)), failure.number);
}

Result<void> prepare_cgroups(Prepared& prepared, const std::vector<std::filesystem::path>& paths) {
  for (const std::filesystem::path& path : paths) {
    Fd fd = above_standard(Fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC)));
    if (!fd) return os_error(fmt::format("open {}", path.string()));
    prepared.cgroups.push_back(std::move(fd));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Process>> RealProcesses::spawn(ProcessSpec spec) {
  if (spec.argv.empty()) return fail(Errc::invalid_argument, "argv: expected at least the program's name");
  Prepared prepared;
  TRY(prepared.program, find_program(spec.argv.front()));
  TRY_VOID(prepare_cgroups(prepared, spec.cgroups));
  const Fd input = above_standard(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  if (!input) return os_error("open /dev/null");
  TRY(Output out, open_output(spec.out, 1));
  TRY(Output err, open_output(spec.err, 2));
  TRY(PipeEnds report, make_pipe());
  prepared.argv = pointers(spec.argv);
  prepared.env = pointers(spec.env);
  prepared.cwd = spec.cwd.empty() ? nullptr : spec.cwd.c_str();
  prepared.standard = {input.get(), out.child_number, err.child_number};
  prepared.keep = spec.keep_fds;
  prepared.rlimits = spec.rlimits;
  prepared.new_session = spec.new_session;
  prepared.kill_with_parent = spec.kill_with_parent;
  prepared.parent = ::getpid();
  prepared.report = report.write.get();

  auto state = std::make_shared<ChildState>();
  TRY(state->pid, start(prepared, std::move(report.write), report.read));
  // Not reaped yet, so the number is still this child's.
  state->pidfd = Fd(::pidfd_open(state->pid, 0));
  if (!state->pidfd || !watcher_->watch(state)) {
    const int number = errno;
    ::kill(state->pid, SIGKILL);
    ::waitpid(state->pid, nullptr, 0);
    return os_error(fmt::format("watch process {}", state->pid), number);
  }
  std::unique_ptr<ByteStream> out_stream;
  std::unique_ptr<ByteStream> err_stream;
  if (out.read_end) out_stream = std::make_unique<PipeStream>(watcher_, std::move(out.read_end));
  if (err.read_end) err_stream = std::make_unique<PipeStream>(watcher_, std::move(err.read_end));
  return std::make_unique<Child>(std::move(state), std::move(out_stream), std::move(err_stream));
}

namespace {
Task<void> drain(ByteStream& from, std::string& into, std::size_t limit, bool& truncated) {
  Bytes chunk(16 * 1024);
  for (;;) {
    Result<std::size_t> got = co_await from.read_some(chunk);
    if (!got || *got == 0) co_return;
    const std::size_t keep = std::min(*got, limit - into.size());
    into.append(as_text(BytesView(chunk).first(keep)));
    if (keep < *got) truncated = true;
  }
}
}  // namespace

Task<Result<ProcessRun>> run_process(ProcessLauncher& launcher, ProcessSpec spec, std::size_t limit) {
  TaskContext context = co_await this_task();
  spec.out = ProcessOutput::pipe();
  spec.err = ProcessOutput::pipe();
  const bool group = spec.new_session;
  CO_TRY(std::unique_ptr<Process> process, launcher.spawn(std::move(spec)));
  auto out = process->take_out();
  auto err = process->take_err();
  ProcessRun run;
  Nursery readers(*context.lane, "process output", context.scope);
  readers.spawn(drain(*out, run.out, limit, run.truncated));
  readers.spawn(drain(*err, run.err, limit, run.truncated));
  Result<ProcessExit> exit = co_await process->wait();
  if (!exit) {
    (void)(group ? process->signal_group(SIGKILL) : process->kill(SIGKILL));
    readers.cancel();
  }
  {
    // A grandchild may keep the pipes open; what it writes later is not the output of the program.
    ScopedTimer late(*context.lane, context.lane->now() + 2s, [&readers] { readers.cancel(); });
    co_await readers.join();
  }
  if (!exit) co_return std::unexpected(exit.error());
  run.exit = *exit;
  co_return std::move(run);
}

}  // namespace dms
