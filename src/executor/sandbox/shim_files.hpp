// What the daemon and the shim of an execution agree on: the files in the folder of the execution, and the signals by
// which the daemon asks the shim for something (shim.hpp).
//
// Model
//  1. `spec.json` is what runs, written by the daemon before the shim starts. `status.json` is how it ended, written by
//     the shim once nothing runs any more; its blocks on the disk are reserved when the work starts, as `status.new`,
//     so a full disk does not lose it.
//  2. The shim holds the record lock of the file `lock` for as long as it lives. The kernel reports the process that
//     holds it, and releases it with that process: find_shim() cannot take another process for the shim, or a dead one.
//  3. After seize_shim() has succeeded without a process, no shim of that folder exists or will start: the lock file is
//     gone, and a shim begins by locking it.
//
// Threads: any; small files. Failure: read_spec() and read_status() take any bytes, as a crash or a full disk may leave
// them: Errc::invalid_argument. The folder is accessible to the daemon's user only, not to the work.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "executor/executor.hpp"
#include "executor/sandbox/cgroup.hpp"
#include "executor/sandbox/output_budget.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

inline constexpr std::string_view kSpecFile = "spec.json";
inline constexpr std::string_view kLockFile = "lock";
inline constexpr std::string_view kStatusFile = "status.json";
inline constexpr std::string_view kStatusDraft = "status.new";

/// Until a shim that was told to end its work is ended itself.
inline constexpr Duration kShimPatience = std::chrono::seconds(10);

struct ShimSpec {
  std::string execution;
  EngineSpec engine;
  double cpu_cores = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t pids = 0;
  std::uint64_t log_limit = 0;
  std::uint64_t output_rate = OutputRate().bytes_per_second;
  std::uint64_t output_burst = OutputRate().burst;
  bool network = false;
  std::string results_dir;
  std::string work_dir;
  std::string actor_dir;  // empty: none
  std::string bwrap;
  std::uint32_t uid = 0;             // the daemon is root: the work's user; 0: it is not
  std::vector<std::string> cgroups;  // the folders of its control group
  bool cgroup_v2 = false;
  std::int64_t deadline = 0;  // nanoseconds of CLOCK_BOOTTIME; 0: none

  static constexpr auto json_fields() {
    using S = ShimSpec;
    return std::tuple(json::field("execution", &S::execution), json::field("engine", &S::engine),
                      json::field("cpu_cores", &S::cpu_cores), json::field("memory_bytes", &S::memory_bytes),
                      json::field("pids", &S::pids), json::field("log_limit", &S::log_limit),
                      json::field("output_rate", &S::output_rate), json::field("output_burst", &S::output_burst),
                      json::field("network", &S::network), json::field("results_dir", &S::results_dir),
                      json::field("work_dir", &S::work_dir), json::field("actor_dir", &S::actor_dir, json::omit_empty),
                      json::field("bwrap", &S::bwrap), json::field("uid", &S::uid), json::field("cgroups", &S::cgroups),
                      json::field("cgroup_v2", &S::cgroup_v2), json::field("deadline", &S::deadline));
  }

  [[nodiscard]] Limits limits() const;
};

struct ShimStatus {
  std::string start_error;  // the work never ran
  bool reported = false;    // bubblewrap reported `exit_code`
  int exit_code = -1;
  int signal = 0;           // that ended bubblewrap
  bool stopping = false;    // stop() had been asked for
  std::string kill_reason;  // set: ended from outside, and why
  bool out_of_memory = false;
  bool deadline = false;  // ended by its deadline
  std::uint64_t out_total = 0;
  std::uint64_t err_total = 0;
  std::uint64_t dropped = 0;  // of both
  std::int64_t cpu_ns = 0;    // that the whole run has used
  std::uint64_t memory_peak = 0;

  static constexpr auto json_fields() {
    using S = ShimStatus;
    return std::tuple(json::field("start_error", &S::start_error), json::field("reported", &S::reported),
                      json::field("exit_code", &S::exit_code), json::field("signal", &S::signal),
                      json::field("stopping", &S::stopping), json::field("kill_reason", &S::kill_reason),
                      json::field("out_of_memory", &S::out_of_memory), json::field("deadline", &S::deadline),
                      json::field("out_total", &S::out_total), json::field("err_total", &S::err_total),
                      json::field("dropped", &S::dropped), json::field("cpu_ns", &S::cpu_ns, json::omit_empty),
                      json::field("memory_peak", &S::memory_peak, json::omit_empty));
  }
};

/// The names in a state folder that `is_meant` takes: those of the folders of executions.
std::vector<std::string> list_folders(const std::filesystem::path& state_dir, bool (*is_meant)(std::string_view));
Result<void> write_spec(const std::filesystem::path& folder, const ShimSpec& spec);
Result<ShimSpec> read_spec(const std::filesystem::path& folder);
Result<ShimSpec> parse_spec(std::string_view text);
Result<ShimStatus> read_status(const std::filesystem::path& folder);
Result<ShimStatus> parse_status(std::string_view text);

/// A pidfd of the shim; an empty Fd if none lives.
Result<Fd> find_shim(const std::filesystem::path& folder);
/// See (3): a pidfd of the shim that still lives, or an empty Fd.
Result<Fd> seize_shim(const std::filesystem::path& folder);
/// The shim's side of (2): holds the lock of the folder from here on. Errc::closed if another process does, or if the
/// folder has been seized.
Result<Fd> hold_lock(const std::filesystem::path& folder);
/// Ends the shim of a folder, and with it what it holds. No shim of that folder starts later.
Task<Result<void>> end_shim(ProcessLauncher& processes, std::filesystem::path folder);
/// The pid of the shim; 0 if there is none.
int shim_pid(const std::filesystem::path& folder);

/// Real-time signals: they queue, with a value each.
enum class ShimSignal { stop, kill, deadline };
int number_of(ShimSignal signal);
/// stop: milliseconds of grace; deadline: nanoseconds of the clock of the lanes (CLOCK_BOOTTIME). False if the shim has
/// ended.
bool tell_shim(const Fd& shim, ShimSignal signal, std::int64_t value = 0);

}  // namespace dms::executor
