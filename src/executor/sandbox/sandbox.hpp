// The `sandbox` executor: programs of this machine, isolated by bubblewrap, that can write to their own folder only.
//
// Environment of the work
//  1. User, process, mount, IPC, host-name and (unless Request::network) network namespaces of its own. The machine's
//     /usr, /bin and /lib* read-only; a generated /etc in which localhost and the host name `sandbox` resolve to the
//     loopback; empty /tmp and /dev/shm, each at most its memory limit large; its folder as /work.
//  2. As root the daemon runs it under a separate user id (kFirstUid + slot) that owns nothing else; without root, in a
//     user namespace as 1000. Either way: no capabilities, no new privileges, and the filter of seccomp.hpp.
//  3. Exactly the environment of the request, plus PATH and HOME if absent. Only the work receives the environment: no
//     program that still has privileges runs with it.
//  4. argv = entrypoint + cmd, found in its PATH; no shell reads it. Exit codes are those of a shell, 127: not found,
//     126: not executable; and 125: its working directory cannot be entered.
//
// Limits: control groups where they are writable (cgroup.hpp), otherwise rlimits: memory per process instead of in
// total, CPU not enforced; Status::enforcement says which. Work that passes its memory limit ends: failed, killed,
// "memory limit".
//
// Ending: stop() sends SIGTERM to the work's first process, and after the grace SIGKILL to its process namespace. When
// the first process ends, all others end too. If the daemon dies, the kernel kills the work. The folder of an execution
// is removed by remove_tree(); what cannot be removed is quarantined, and cleanup() removes the residue of earlier
// daemons in the background.
//
// Threads: one lane; making and removing folders, and reading and writing logs, is offloaded. What stays on the lane:
// the files of control groups and of /proc, in memory (13 us each, 28 us at the 99th percentile), and at start the
// opening of both logs and the status file (19 us each, 44 us at the 99th percentile on ext4). The ProcessLauncher
// outlives the Sandbox. exec() is not supported.
//
// Attacks by the work: reading files of the machine or of another job (not mounted; other user ids), reaching the
// network (none), seeing or signalling other processes (own namespace), continuing after the end (the namespace ends as
// one), filling the disk by output (log limit) or memory by /tmp (bounded, and part of its memory limit), exhausting
// the process table (pids limit), becoming root by a set-user-id program or a system call (no new privileges, filter),
// leaving files that resist removal (quarantine). Not prevented: filling the disk below /work (a quota is planned), and
// using CPU up to its limit.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "executor/executor_base.hpp"
#include "executor/log_file.hpp"
#include "executor/sandbox/cgroup.hpp"
#include "executor/sandbox/residue.hpp"
#include "runtime/nursery.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

struct SandboxOptions {
  /// The executor's own folder: one per daemon. Holds work folders of running executions.
  std::filesystem::path state_dir;
  std::string bwrap = "bwrap";
  std::filesystem::path cgroup_root = "/sys/fs/cgroup";
};

class Sandbox final : public ExecutorBase {
 public:
  static constexpr std::uint32_t kFirstUid = 700'000'000;

  Sandbox(Lane& lane, ProcessLauncher& processes, SandboxOptions options);
  ~Sandbox() override;

  /// Whether programs can be sandboxed on this machine; the error says what is missing.
  Task<Result<void>> probe();

  [[nodiscard]] std::string_view type() const override { return "sandbox"; }
  Task<Result<void>> start(Request request) override;
  Task<Result<void>> stop(ExecutionId id, Duration grace) override;
  Task<Result<void>> pause(ExecutionId id) override;
  Task<Result<void>> resume(ExecutionId id) override;
  Task<Result<void>> remove(ExecutionId id) override;
  Task<Result<Stats>> stats(ExecutionId id) override;
  Task<Result<ExecOutput>> exec(ExecutionId id, std::vector<std::string> argv) override;
  Task<Result<std::vector<ExecutionId>>> recover(std::vector<Request> known) override;
  Task<void> close() override;

  /// The control group of a running execution, for tests and diagnosis.
  [[nodiscard]] const Cgroup* cgroup(const ExecutionId& id) const;
  [[nodiscard]] std::string_view enforcement() const override { return enforcement_; }

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;

  Result<void> prepare(Run& run);
  Result<void> launch(const RunPtr& run);
  Task<Result<void>> until_running(RunPtr run);
  Task<void> copy_output(RunPtr run, std::unique_ptr<ByteStream> from, LogFile log);
  Task<void> supervise(RunPtr run);
  Task<void> watch_memory(RunPtr run);
  Task<void> release(RunPtr run);
  Task<void> remove_folder(RunPtr run);
  Task<void> end(RunPtr run, Duration grace);
  Task<Result<void>> freeze(ExecutionId id, State from, State to);
  void kill(Run& run, std::string reason);
  void conclude(Run& run, const ProcessExit& exit, Logs logs);
  [[nodiscard]] std::uint32_t free_uid() const;

  ProcessLauncher& processes_;
  SandboxOptions options_;
  bool root_ = false;
  std::optional<CgroupTree> cgroups_;
  std::string enforcement_;
  Residue residue_;
  Nursery nursery_;
};

}  // namespace dms::executor
