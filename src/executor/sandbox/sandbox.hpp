// The `sandbox` executor: programs of this machine, isolated by bubblewrap, that can write to their own folder only.
//
// Environment of the work
//  1. User, process, mount, IPC, host-name and (unless Request::network) network namespaces of its own. The machine's
//     /usr, /bin and /lib* read-only; a generated /etc in which localhost and the host name `sandbox` resolve to the
//     loopback; empty /tmp and /dev/shm, each at most its memory limit large; its folder as /work.
//  2. As root the daemon runs it under a separate user id that owns nothing else: one of a range that follows from the
//     daemon's folder, under which no process runs, also not one of another daemon: the kernel counts the processes of
//     a user together. Without root, in a user namespace as 1000. Either way: no capabilities, no new privileges, and
//     the filter of seccomp.hpp.
//  3. Exactly the environment of the request, plus PATH and HOME if absent. Only the work receives the environment: no
//     program that still has privileges runs with it.
//  4. argv = entrypoint + cmd, found in its PATH; no shell reads it. Exit codes are those of a shell, 127: not found,
//     126: not executable; and 125: its working directory cannot be entered. One that is missing is made, as Docker
//     does; a file in its place is refused.
//
// Limits: control groups where they are writable (cgroup.hpp), otherwise rlimits: memory per process instead of in
// total, CPU not enforced; Status::enforcement says which. Work that passes its memory limit ends: failed, killed,
// "memory limit".
//
// Output is copied by the shim, whose time and writes do not count as the work's. So it is copied at 16 MiB/s at most,
// of both streams together, after a burst of 16 MiB (output_budget.hpp). Work that writes faster waits in its write();
// nothing is lost. What is in the pipes when the work ends is copied at once.
//
// Life: each execution has a shim (shim.hpp), a process of its own that outlives the daemon: it holds the work, writes
// the logs, ends the work at its deadline, and writes how it ended. The daemon holds the shim by a pidfd.
//  1. A start is complete or leaves nothing, also if the daemon is killed in between: recover() finds the folder of the
//     execution, which is made first, and with it the control group and the shim.
//  2. close() lets go. recover() takes up the known executions whose shim lives or has written how they ended; of
//     others it ends the shim, the control group and all in it, and quarantines the folder.
//  3. If a shim is killed, its work ends with it, and the result says so. What was in the pipes then is lost: both logs
//     say that their end may be missing.
//
// Ending: stop() has the shim send SIGTERM to the work's first process, and after the grace SIGKILL to its process
// namespace. When the first process ends, all others end too. The folder of an execution is removed by remove_tree();
// what cannot be removed is quarantined, and recover() removes the residue of earlier daemons in the background.
//
// Threads: one lane; making and removing folders, and reading logs, is offloaded. What stays on the lane: the files of
// control groups and of /proc, in memory (13 us each, 28 us at the 99th percentile). The ProcessLauncher outlives the
// Sandbox.
//
// Attacks by the work: reading files of the machine or of another job (not mounted; other user ids), reaching the
// network (none), seeing or signalling other processes (own namespace), continuing after the end (the namespace ends as
// one), filling the disk by output (log limit) or memory by /tmp (bounded, and part of its memory limit), using the
// shim's processor time or disk writes by output (bounded rate; a read of few bytes counts as a page), exhausting the
// process table (pids limit), becoming root by a set-user-id program or a system call (no new privileges, filter),
// leaving files that resist removal (quarantine) or a folder of any depth for its next run (refused above 128 levels,
// by a start that fails). Not prevented: using CPU up to its limit. The provider
// counts what is below /work and ends the run (provider/allocation.hpp, 10); a file without a name that the work holds
// open is not counted.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "executor/executor_base.hpp"
#include "executor/helper.hpp"
#include "executor/sandbox/cgroup.hpp"
#include "executor/sandbox/residue.hpp"
#include "executor/sandbox/shim_files.hpp"
#include "runtime/nursery.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

struct SandboxOptions {
  /// How this program runs itself as a helper.
  std::vector<std::string> helper = helper_command();
  /// The executor's own folder: one per daemon. Holds work folders of running executions.
  std::filesystem::path state_dir;
  std::string bwrap = "bwrap";
  std::filesystem::path cgroup_root = "/sys/fs/cgroup";
  OutputRate output;  // of each execution
};

class Sandbox final : public ExecutorBase {
 public:
  static constexpr std::uint32_t kFirstUid = 700'000'000;
  static constexpr std::uint32_t kRanges = 16 * 1024;
  static constexpr std::uint32_t kUsers = 8 * 1024;  ///< of a range

  Sandbox(Lane& lane, ProcessLauncher& processes, SandboxOptions options);
  ~Sandbox() override;

  /// Whether programs can be sandboxed on this machine; the error says what is missing.
  Task<Result<void>> probe();

  [[nodiscard]] std::string_view type() const override { return "sandbox"; }
  [[nodiscard]] bool binds_actor_dir() const override { return true; }
  Task<Result<void>> start(Request request) override;
  Task<Result<void>> stop(ExecutionId id, Duration grace) override;
  Task<Result<void>> pause(ExecutionId id) override;
  Task<Result<void>> resume(ExecutionId id) override;
  Task<Result<void>> remove(ExecutionId id) override;
  Task<Result<Stats>> stats(ExecutionId id) override;
  Task<Result<ExecOutput>> exec(ExecutionId id, std::vector<std::string> argv) override;
  /// Errc::unsupported if the execution has the machine's network.
  Task<Result<ProbeResult>> probe(ExecutionId id, Probe probe) override;
  Task<Result<void>> set_deadline(ExecutionId id, SteadyTime deadline) override;
  Task<Result<std::vector<ExecutionId>>> recover(std::vector<Request> known) override;
  Task<void> close() override;

  /// The control group of a running execution, for tests and diagnosis.
  [[nodiscard]] const Cgroup* cgroup(const ExecutionId& id) const;
  [[nodiscard]] std::string_view enforcement() const override { return enforcement_; }
  [[nodiscard]] std::string unenforced() const override;

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;

  Result<void> prepare(Run& run);
  [[nodiscard]] ShimSpec spec_of(const Run& run) const;
  Task<Result<void>> launch(RunPtr run);
  Task<Result<void>> attach(RunPtr run);
  Task<void> undo(RunPtr run);
  Task<void> supervise(RunPtr run);
  Task<void> conclude(RunPtr run);
  Task<void> escalate(RunPtr run, Duration patience);
  Task<Result<void>> freeze(ExecutionId id, State from, State to);
  void kill(const RunPtr& run, std::string reason);
  void force_end(Run& run);
  Task<Result<bool>> take_up(RunPtr run);
  [[nodiscard]] std::optional<Cgroup> group_of(const ShimSpec& spec) const;
  [[nodiscard]] std::vector<Cgroup> left_groups(const std::vector<std::string>& folders) const;
  [[nodiscard]] std::uint32_t free_uid(const std::set<std::uint32_t>& busy) const;

  ProcessLauncher& processes_;
  SandboxOptions options_;
  bool root_ = false;
  std::optional<CgroupTree> cgroups_;
  std::string enforcement_;
  Residue residue_;
  Nursery undoing_;   // starts that failed; close() waits for them
  Nursery watching_;  // the executions; close() leaves them running
};

}  // namespace dms::executor
