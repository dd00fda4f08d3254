// Child processes: started without a shell, waited for without blocking a lane, and never left as zombies.
//
// Model
//  1. A program is an argument vector; no shell reads it. The child gets exactly the given environment, descriptors 0,
//     1 and 2, and nothing else that this process has open.
//  2. A process is held by its pidfd, so a signal never reaches another process that reused its number.
//  3. Destroying a Process that still runs kills it. Every child is reaped by the launcher's own thread,
//     which waits on the pidfds of all children. SIGCHLD is not used; other code in the program may fork.
//     A program that is to outlive this one forks and ends; until_ended() waits for such a process.
//  4. kill() reaches the process itself; signal_group() its whole process group (with new_session).
//
// Threads: a launcher and its processes belong to one lane; the launcher is destroyed after its processes and before
// the lane. Cancellation: a cancelled wait() leaves the process running.
// Cost: one thread for all children; start is a fork, which blocks the lane for a fraction of a millisecond.
// Failure: Errc::not_found or permission_denied when the program cannot be executed, io for the rest, with the reason.
//
// Only the real runtime has processes: code that needs them takes a ProcessLauncher; a simulation has none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/stream.hpp"

namespace dms {

/// Owns a file descriptor. All descriptors made here are close-on-exec.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }
  void reset();
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// What a descriptor of the child is connected to.
struct ProcessOutput {
  enum class Kind { null, pipe, file, inherit };
  Kind kind = Kind::null;
  std::filesystem::path path;  // file: created or truncated, mode 0640

  static ProcessOutput null() { return {Kind::null, {}}; }
  static ProcessOutput pipe() { return {Kind::pipe, {}}; }
  static ProcessOutput inherit() { return {Kind::inherit, {}}; }
  static ProcessOutput file(std::filesystem::path path) { return {Kind::file, std::move(path)}; }
};

struct ProcessRlimit {
  int resource = 0;  // RLIMIT_...
  std::uint64_t value = 0;
};

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] with a slash is a path, without one is looked up in PATH
  std::vector<std::string> env;   // "KEY=value", all of it
  std::filesystem::path cwd;      // empty: the parent's
  ProcessOutput out;              // standard input is /dev/null
  ProcessOutput err;
  bool new_session = true;       // setsid(): signals from a terminal do not reach it
  bool kill_with_parent = true;  // SIGKILL when the lane's thread ends, however it ends
  std::vector<ProcessRlimit> rlimits;
  std::vector<std::filesystem::path> cgroups;  // `cgroup.procs` files to join before the program starts
  std::vector<int> keep_fds;                   // open descriptors that the child keeps under the same number

  ProcessSpec() = default;
};

struct ProcessExit {
  int code = 0;    // if it exited
  int signal = 0;  // if a signal ended it, else 0
  /// As a shell reports it: the code, or 128 + signal.
  [[nodiscard]] int shell_code() const { return signal != 0 ? 128 + signal : code; }
};

class Process {
 public:
  virtual ~Process() = default;
  [[nodiscard]] virtual pid_t pid() const = 0;
  /// Until it has ended. Any number of waiters; also after the end.
  virtual Task<Result<ProcessExit>> wait() = 0;
  [[nodiscard]] virtual std::optional<ProcessExit> exited() const = 0;
  /// Success if it has ended already.
  virtual Result<void> kill(int signal) = 0;
  virtual Result<void> signal_group(int signal) = 0;
  /// The reading end of a piped output, once; null otherwise. Outlives the Process if taken.
  virtual std::unique_ptr<ByteStream> take_out() = 0;
  virtual std::unique_ptr<ByteStream> take_err() = 0;
};

class ProcessLauncher {
 public:
  virtual ~ProcessLauncher() = default;
  virtual Result<std::unique_ptr<Process>> spawn(ProcessSpec spec) = 0;
  /// Until the process of a pidfd has ended, which need not be a child of this one.
  virtual Task<Result<void>> until_ended(int pidfd) = 0;
};

class RealProcesses final : public ProcessLauncher {
 public:
  explicit RealProcesses(Lane& lane);
  RealProcesses(const RealProcesses&) = delete;
  RealProcesses& operator=(const RealProcesses&) = delete;
  ~RealProcesses() override;
  Result<std::unique_ptr<Process>> spawn(ProcessSpec spec) override;
  Task<Result<void>> until_ended(int pidfd) override;

 private:
  class Watcher;
  class Child;
  class PipeStream;
  struct Waiting;
  static Task<Result<void>> until_readable(std::shared_ptr<Watcher> watcher, int fd, std::shared_ptr<Waiting> waiting);
  std::shared_ptr<Watcher> watcher_;
};

struct ProcessRun {
  ProcessExit exit;
  std::string out;
  std::string err;
  bool truncated = false;
};

/// Runs a program to its end, keeping the first `limit` bytes of each output (the rest is read and dropped). Kills it
/// when cancelled, with a new session its whole process group.
Task<Result<ProcessRun>> run_process(ProcessLauncher& launcher, ProcessSpec spec, std::size_t limit = 256 * 1024);

}  // namespace dms
