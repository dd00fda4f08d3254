#include "executor/sandbox/shim.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <sstream>

#include "base/file.hpp"
#include "executor/log_file.hpp"
#include "executor/sandbox/detached.hpp"
#include "executor/sandbox/launch.hpp"
#include "executor/sandbox/process_tree.hpp"
#include "executor/sandbox/shim_files.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr Duration kStartPoll = 1ms;     // until the work's first process exists: some ten milliseconds
constexpr Duration kMemoryPoll = 200ms;  // cgroup v1 reports an out-of-memory kill only when read
constexpr Duration kKillAgain = 100ms;
constexpr Duration kDrain = 10s;   // a process that does not die may keep the output open
constexpr int kEmptyTries = 2000;  // of 5 ms: until a control group is empty
constexpr std::size_t kStatusBytes = 4096;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kMessage = 400;

/// The number after `"key":` in bubblewrap's status lines.
std::optional<int> status_number(const std::string& text, std::string_view key) {
  const auto at = text.find(fmt::format("\"{}\":", key));
  if (at == std::string::npos || text.find('\n', at) == std::string::npos) return std::nullopt;  // incomplete
  std::istringstream in(text.substr(at + key.size() + 3));
  int value = 0;
  if (!(in >> value)) return std::nullopt;
  return value;
}

int send_signal(const Fd& pidfd, int signal) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0));
}

struct Pipe {
  Fd read;
  Fd write;
};
Result<Pipe> make_pipe(int flags) {
  int ends[2];
  if (::pipe2(ends, flags) != 0) return fail(Errc::io, "make a pipe: {}", std::strerror(errno));
  Pipe made;
  made.read = Fd(ends[0]);
  made.write = Fd(ends[1]);
  return made;
}

class Shim {
 public:
  Shim(fs::path folder, Readiness ready) : folder_(std::move(folder)), ready_(std::move(ready)) {}

  void run() {
    Result<void> begun = prepare();
    if (begun) begun = launch();
    if (!begun) return ready_.fail(begun.error().to_string());
    ::malloc_trim(0);
    while (!finished()) step();
    conclude();
  }

 private:
  Result<void> prepare();
  Result<void> reserve_status();
  Result<void> launch();
  void step();
  void read_signals();
  void handle(const signalfd_siginfo& signal);
  bool read_report();
  void look_for_work();
  void started();
  void copy(Fd& from, LogFile& log);
  [[nodiscard]] bool may_copy();
  void kill(std::string_view reason);
  void force_end();
  void reap();
  void reap_rest();
  void bubblewrap_ended(int status);
  void count_usage(const rusage& usage);
  void count_group();
  void conclude();
  void remove_group();
  void write_status();
  [[nodiscard]] bool finished() const { return ended_ && ((!out_ && !err_) || drained_); }

  fs::path folder_;
  Readiness ready_;
  Fd lock_;
  ShimSpec spec_;
  std::optional<Cgroup> cgroup_;
  std::optional<LogFile> out_log_;
  std::optional<LogFile> err_log_;
  std::optional<OutputBudget> budget_;
  Fd draft_;
  Fd signals_;
  Fd reports_;
  Fd out_;
  Fd err_;
  BootTimer deadline_;
  BootTimer limit_;   // of the grace of a stop, of a kill, then of the last output
  BootTimer search_;  // for the work's first process
  BootTimer memory_;
  std::string text_;  // bubblewrap's reports
  int bwrap_ = 0;
  int init_pid_ = 0;
  Fd init_;
  Fd main_;
  bool ended_ = false;  // bubblewrap has
  bool drained_ = false;
  std::int64_t grace_ms_ = 0;
  ShimStatus status_;
};

Result<void> Shim::prepare() {
  TRY(lock_, hold_lock(folder_));
  TRY(spec_, read_spec(folder_));
  if (!spec_.cgroups.empty()) cgroup_ = Cgroup({spec_.cgroups.begin(), spec_.cgroups.end()}, spec_.cgroup_v2);
  TRY(out_log_, LogFile::open(spec_.results_dir, kOutLog, spec_.log_limit));
  TRY(err_log_, LogFile::open(spec_.results_dir, kErrLog, spec_.log_limit));
  OutputRate rate;
  rate.bytes_per_second = spec_.output_rate;
  rate.burst = spec_.output_burst;
  budget_.emplace(rate, boot_now());
  TRY(signals_, receive_signals());
  return reserve_status();
}

Result<void> Shim::reserve_status() {
  const fs::path path = folder_ / kStatusDraft;
  draft_ = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!draft_) return fail(Errc::io, "create {}: {}", path.string(), std::strerror(errno));
  if (const int error = ::posix_fallocate(draft_.get(), 0, kStatusBytes); error != 0)
    return fail(Errc::io, "reserve {}: {}", path.string(), std::strerror(error));
  return {};
}

Result<void> Shim::launch() {
  TRY(Pipe reports, make_pipe(O_CLOEXEC));
  TRY(Pipe out, make_pipe(O_CLOEXEC));
  TRY(Pipe err, make_pipe(O_CLOEXEC));
  const int self = ::getpid();
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 1);
  bwrap_ = ::fork();
  if (bwrap_ < 0) return fail(Errc::io, "fork: {}", std::strerror(errno));
  if (bwrap_ == 0) {
    if (::dup2(out.write.get(), 1) < 0 || ::dup2(err.write.get(), 2) < 0) ::_exit(127);
    const std::string why = become_bubblewrap(spec_, reports.write.get(), self).to_string();
    (void)!::write(2, why.data(), why.size());
    ::_exit(127);
  }
  (void)::setpgid(bwrap_, bwrap_);  // the child does too: whoever comes first
  for (Fd* end : {&reports.read, &out.read, &err.read}) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
  reports_ = std::move(reports.read);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  if (cgroup_ && !cgroup_->read(spec_.cgroup_v2 ? "memory.events" : "memory.oom_control").empty())
    memory_.every(kMemoryPoll);
  if (spec_.deadline != 0) deadline_.at(spec_.deadline);
  return {};
}

void Shim::step() {
  // A negative descriptor is ignored. While the budget is short, only the output waits.
  const bool copying = may_copy();
  const int wait = copying ? -1 : static_cast<int>(budget_->wait().count());
  std::array<pollfd, 8> set{{{signals_.get(), POLLIN, 0},
                             {reports_.get(), POLLIN, 0},
                             {copying ? out_.get() : -1, POLLIN, 0},
                             {copying ? err_.get() : -1, POLLIN, 0},
                             {deadline_.fd(), POLLIN, 0},
                             {limit_.fd(), POLLIN, 0},
                             {search_.fd(), POLLIN, 0},
                             {memory_.fd(), POLLIN, 0}}};
  if (::poll(set.data(), set.size(), wait) < 0) return;
  if (set[2].revents != 0) copy(out_, *out_log_);
  if (set[3].revents != 0) copy(err_, *err_log_);
  if (set[1].revents != 0) (void)read_report();
  if (search_.due()) look_for_work();
  if (memory_.due() && cgroup_->oom_kills() > 0) {
    status_.out_of_memory = true;
    kill("memory limit");
  }
  if (deadline_.due() && !ended_) {
    status_.deadline = true;
    kill("its deadline has passed and was not extended");
  }
  if (limit_.due()) {
    drained_ = ended_;
    kill(fmt::format("did not end within {} ms of SIGTERM and was killed", grace_ms_));
  }
  if (set[0].revents != 0) read_signals();
}

void Shim::read_signals() {
  signalfd_siginfo signal{};
  while (::read(signals_.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) handle(signal);
}

void Shim::handle(const signalfd_siginfo& signal) {
  const auto number = static_cast<int>(signal.ssi_signo);
  if (number == SIGCHLD) return reap();
  if (signal.ssi_code != SI_QUEUE || signal.ssi_uid != ::getuid() || ended_) return;
  const auto value = static_cast<std::int64_t>(signal.ssi_ptr);
  if (number == number_of(ShimSignal::kill)) kill("killed on request");
  if (number == number_of(ShimSignal::deadline)) deadline_.at(value);
  if (number != number_of(ShimSignal::stop) || status_.stopping) return;
  status_.stopping = true;
  grace_ms_ = std::clamp<std::int64_t>(value, 0, 24LL * 3600 * 1000);
  limit_.after(std::chrono::milliseconds(grace_ms_));
  if (cgroup_) (void)cgroup_->freeze(false);
  if (main_) (void)send_signal(main_, SIGTERM);
}

/// "child-pid" is process 1 of the sandbox: when it ends, all end. False if there is nothing more now.
bool Shim::read_report() {
  std::array<char, 512> chunk;
  const ssize_t n = ::read(reports_.get(), chunk.data(), chunk.size());
  if (n > 0 && text_.size() < kStatusBytes) text_.append(chunk.data(), static_cast<std::size_t>(n));
  if (n == 0) reports_.reset();
  if (const auto code = status_number(text_, "exit-code"); code && !status_.reported) {
    status_.reported = true;
    status_.exit_code = *code;
    started();
  }
  if (const auto pid = status_number(text_, "child-pid"); pid && init_pid_ == 0) {
    init_pid_ = *pid;
    init_ = open_child(bwrap_, *pid);
    look_for_work();
  }
  return n > 0;
}

void Shim::look_for_work() {
  if (!ready_.open() || !init_) return;
  const std::vector<int> inside = children_of(init_pid_);
  if (!inside.empty()) main_ = open_child(init_pid_, inside.front());
  if (!main_) return search_.after(kStartPoll);
  if (status_.stopping) (void)send_signal(main_, SIGTERM);
  started();
}

void Shim::started() {
  search_.stop();
  ready_.succeed();
}

/// Once nothing runs any more, what is left in the pipes is little and is copied at once.
bool Shim::may_copy() { return ended_ || (!out_ && !err_) || budget_->enough(boot_now()); }

void Shim::copy(Fd& from, LogFile& log) {
  static std::array<std::uint8_t, OutputBudget::kMostChunk> chunk;
  const ssize_t n = ::read(from.get(), chunk.data(), budget_->chunk());
  if (n >= 0) budget_->spend(static_cast<std::size_t>(n));
  if (n > 0) return log.write(BytesView(chunk).first(static_cast<std::size_t>(n)));
  if (n == 0 || (errno != EAGAIN && errno != EINTR)) from.reset();
}

void Shim::kill(std::string_view reason) {
  if (ended_) return;
  if (status_.kill_reason.empty()) status_.kill_reason = reason;
  force_end();
  limit_.after(kKillAgain);  // a process that joined the group meanwhile
}

void Shim::force_end() {
  if (cgroup_) cgroup_->kill_all();
  if (init_) (void)send_signal(init_, SIGKILL);
  // Until its first process is known, the whole sandbox is one process group and is signalled at once: if only the
  // parent is killed before its child has set PR_SET_PDEATHSIG, the child survives.
  if (!init_ && !ended_) (void)::kill(-bwrap_, SIGKILL);
}

/// Bubblewrap ends without waiting for process 1 of the sandbox, which then is a child of this process (PR_SET_CHILD_SUBREAPER).
void Shim::reap() {
  int status = 0;
  rusage usage{};
  for (int pid = 0; (pid = ::wait4(-1, &status, WNOHANG, &usage)) > 0;) {
    count_usage(usage);
    if (pid == bwrap_ && !ended_) bubblewrap_ended(status);
  }
}

void Shim::bubblewrap_ended(int status) {
  while (reports_ && read_report()) {
  }
  ended_ = true;
  if (WIFSIGNALED(status)) status_.signal = WTERMSIG(status);
  if (!status_.reported && WIFEXITED(status)) status_.exit_code = WEXITSTATUS(status);
  force_end();
  memory_.stop();
  limit_.after(kDrain);
}

/// Of a child and all that it has waited for; the memory is that of the largest process.
void Shim::count_usage(const rusage& usage) {
  const auto time = [](const timeval& t) { return t.tv_sec * kSecond + t.tv_usec * 1000; };
  status_.cpu_ns += time(usage.ru_utime) + time(usage.ru_stime);
  status_.memory_peak = std::max(status_.memory_peak, static_cast<std::uint64_t>(usage.ru_maxrss) * 1024);
}

/// A control group counts all processes together.
void Shim::count_group() {
  if (!cgroup_) return;
  const auto counted = static_cast<std::int64_t>(cgroup_->stats().cpu_seconds * static_cast<double>(kSecond));
  status_.cpu_ns = std::max(status_.cpu_ns, counted);
  if (const std::uint64_t peak = cgroup_->memory_peak(); peak > 0) status_.memory_peak = peak;
}

void Shim::reap_rest() {
  for (int i = 0; i < kEmptyTries; ++i) {
    reap();
    siginfo_t nothing{};
    if (::waitid(P_ALL, 0, &nothing, WEXITED | WNOHANG | WNOWAIT) != 0) return;  // none is left
    (void)::poll(nullptr, 0, 5);
  }
}

void Shim::conclude() {
  if (cgroup_ && cgroup_->oom_kills() > 0) {
    status_.out_of_memory = true;
    if (status_.kill_reason.empty()) status_.kill_reason = "memory limit";
  }
  reap_rest();
  count_group();
  remove_group();
  const bool ran = status_.reported || main_;
  if (!ran) {
    status_.start_error =
        status_.kill_reason.empty() ? read_log_tail(spec_.results_dir, kErrLog, kMessage) : status_.kill_reason;
    if (status_.start_error.empty()) status_.start_error = "bubblewrap ended without a reason";
  }
  status_.out_total = out_log_->total();
  status_.err_total = err_log_->total();
  status_.dropped = out_log_->dropped() + err_log_->dropped();
  write_status();
  ready_.fail(status_.start_error);
}

void Shim::remove_group() {
  for (int i = 0; cgroup_ && !cgroup_->remove() && i < kEmptyTries; ++i) {
    cgroup_->kill_all();
    (void)::poll(nullptr, 0, 5);
  }
}

void Shim::write_status() {
  std::string text = json::encode(status_);
  text.resize(std::max(text.size(), kStatusBytes), ' ');
  const auto written = ::pwrite(draft_.get(), text.data(), text.size(), 0);
  if (written != static_cast<ssize_t>(text.size())) return;
  (void)::fsync(draft_.get());
  (void)::rename((folder_ / kStatusDraft).c_str(), (folder_ / kStatusFile).c_str());
  const Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  (void)::fsync(folder.get());
}

}  // namespace

int run_shim(const fs::path& folder) {
  return run_detached("nunet-shim", [&](Readiness ready) { Shim(folder, std::move(ready)).run(); });
}

}  // namespace dms::executor
