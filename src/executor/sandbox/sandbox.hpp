// The `sandbox` executor: programs of this machine, run by bubblewrap with nothing but their own folder to write to.
//
// What the work sees
//  1. Its own user, process, mount, IPC, host-name and (unless Request::network) network world. /usr, /bin, /lib* of
//     the machine read-only; a made-up /etc; empty /tmp and /dev/shm, each at most its memory limit large; /work, its
//     folder.
//  2. As root the daemon runs it under a user number of its own (kFirstUid + slot) that owns nothing else; without
//     root, in a user namespace as 1000. Either way: no capabilities, no new privileges, and the filter of seccomp.hpp.
//  3. Exactly the environment it asked for, plus PATH and HOME if it set none. The environment reaches only the work:
//     nothing that still has privileges ever runs with it.
//  4. argv = entrypoint + cmd, found in its PATH. Nothing is given to a shell. Exit codes 127 and 126 mean what they do
//     in a shell: not found, not executable; 125: its working directory cannot be entered.
//
// Limits: by control groups where they are writable (cgroup.hpp), otherwise by rlimits: memory per process rather than
// in all, CPU not at all; Status::enforcement says which. Passing the memory limit ends the work: failed, killed,
// "memory limit".
//
// Ending: stop() sends SIGTERM to the work's first process, and after the grace SIGKILL to its whole process namespace.
// When the first process ends, whatever else it started ends too. If the daemon dies, the kernel kills the work.
//
// Threads: one lane; slow file work is offloaded. The ProcessLauncher outlives the Sandbox. exec() is not supported
// yet.
//
// What an attacker could try, the work being his: read the machine's or another job's files (they are not mounted;
// other users' numbers), reach the network (none), see or signal other processes (own namespace), keep running after
// the end (the namespace dies as one), fill the disk by output (log limit), memory by /tmp (charged to him, and
// bounded), the process table (pids limit), become root by a set-user-id program or kernel call (no new privileges,
// filter). What he can still do: fill the disk below /work (a quota is a later step), and use up to his limits of CPU.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "executor/executor.hpp"
#include "executor/log_file.hpp"
#include "executor/sandbox/cgroup.hpp"
#include "runtime/nursery.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

struct SandboxOptions {
  /// The executor's own folder: one per daemon. Holds work folders of running executions.
  std::filesystem::path state_dir;
  std::string bwrap = "bwrap";
  std::filesystem::path cgroup_root = "/sys/fs/cgroup";
};

class Sandbox final : public Executor {
 public:
  static constexpr std::uint32_t kFirstUid = 700'000'000;

  Sandbox(Lane& lane, ProcessLauncher& processes, SandboxOptions options);
  ~Sandbox() override;

  /// Whether programs can be sandboxed on this machine; the error says what is missing.
  Task<Result<void>> probe();

  [[nodiscard]] std::string_view type() const override { return "sandbox"; }
  Task<Result<void>> start(Request request) override;
  Task<Result<ExecutionResult>> wait(ExecutionId id) override;
  Task<Result<void>> stop(ExecutionId id, Duration grace) override;
  Task<Result<void>> pause(ExecutionId id) override;
  Task<Result<void>> resume(ExecutionId id) override;
  Task<Result<void>> remove(ExecutionId id) override;
  Task<Result<Logs>> logs(ExecutionId id, std::size_t tail_bytes) override;
  Task<Result<Status>> status(ExecutionId id) override;
  Task<Result<std::vector<Status>>> list() override;
  Task<Result<Stats>> stats(ExecutionId id) override;
  Task<Result<ExecOutput>> exec(ExecutionId id, std::vector<std::string> argv) override;
  Task<Result<void>> cleanup() override;
  Task<void> close() override;

  /// The control group of a running execution, for tests and diagnosis.
  [[nodiscard]] const Cgroup* cgroup(const ExecutionId& id) const;
  [[nodiscard]] const std::string& enforcement() const { return enforcement_; }

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;

  Result<RunPtr> find(const ExecutionId& id) const;
  Result<void> prepare(Run& run);
  Result<void> launch(const RunPtr& run);
  Task<Result<void>> until_running(RunPtr run);
  Task<Result<void>> until_over(RunPtr run);
  Task<void> copy_output(RunPtr run, std::unique_ptr<ByteStream> from, LogFile log);
  Task<void> supervise(RunPtr run);
  Task<void> watch_memory(RunPtr run);
  Task<void> release(RunPtr run);
  Task<void> discard(RunPtr run);
  Task<void> sweep();
  Task<void> end(RunPtr run, Duration grace);
  Task<Result<void>> freeze(ExecutionId id, State from, State to);
  void kill(Run& run, std::string reason);
  void conclude(Run& run, const ProcessExit& exit) const;
  [[nodiscard]] Status describe(const Run& run) const;
  [[nodiscard]] std::uint32_t free_uid() const;

  ProcessLauncher& processes_;
  SandboxOptions options_;
  bool root_ = false;
  std::optional<CgroupTree> cgroups_;
  std::string enforcement_;
  std::map<ExecutionId, RunPtr> runs_;
  bool sweeping_ = false;
  std::stop_source stop_;
  Nursery nursery_;
};

/// What bubblewrap is to do, apart from its program: pure, so that a test can read it.
struct SandboxPlan {
  std::vector<std::string> command;
  std::vector<std::string> environment;  // exactly
  std::filesystem::path work_dir;        // of the machine, becomes /work
  std::string working_directory = "/work";
  std::uint64_t tmp_bytes = 0;
  bool network = false;
  std::optional<std::uint32_t> uid;  // set: run by root under this number; not set: in a user namespace
  int status_fd = -1;
  int seccomp_fd = -1;
  int passwd_fd = -1;
  int group_fd = -1;
};
std::vector<std::string> sandbox_arguments(const SandboxPlan& plan);

}  // namespace dms::executor
