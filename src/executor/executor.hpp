// How an allocation's work runs: one interface for containers, sandboxes and the simulator's scripted runs.
//
// Model
//  1. An Executor is one engine on one machine; it runs many executions, each named by the ExecutionId of its Request.
//  2. States: pending (being prepared) -> running (<-> paused) -> success (exit code 0) | failed (anything else). The
//     last two are final, and the execution stays known with its result and logs until remove().
//  3. start() returns once the work runs, or reports why it does not; a failed start leaves nothing. progress() tells
//     meanwhile what a start that takes long waits for: an image.
//  4. Output is kept in files: `stdout.log` and `stderr.log` in Request::results_dir. They rotate: the newest
//     Request::log_limit bytes are kept. Work waits in its write() only where it writes faster than its engine copies
//     (sandbox.hpp); it never fails by that, and nothing is lost. read_log() reads them by offsets that count
//     from the first byte of the run. The logs outlive remove(): they belong to the caller.
//  5. An execution outlives its daemon. recover(), called once at start, takes up the known executions that still
//     exist: running or ended, with their limits, logs and exit code. It removes or quarantines everything else that
//     carries the executor's mark; residue that cannot be removed never makes an executor unavailable.
//
// Threads and cancellation: one lane; file work that may block is offloaded. Every waiting call can be cancelled; a
// cancelled start() undoes itself, a cancelled wait() or logs() changes nothing, a cancelled stop() continues in the
// background. Failure: Errc::not_found for an unknown id, already_exists for a repeated one, invalid_argument for an
// engine spec that this executor cannot run, permission_denied for one that the provider does not allow, io when the
// engine refuses; messages name the engine and the remedy.
//
// Attacks: the work is an untrusted program. Each engine states its own isolation (sandbox.hpp, docker.hpp); common to
// all are bounded logs, bounded results, and limits that are enforced or reported as not enforced. Specification: the
// engine spec {type, params} of an ensemble; states and results as NuNet's Go implementation reports them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.hpp"
#include "base/time.hpp"
#include "encoding/json.hpp"
#include "runtime/task.hpp"

namespace dms::executor {

/// Names one run of one allocation on this machine; unique among those known to an executor. [A-Za-z0-9_.-]{1,128}
struct ExecutionId {
  std::string value;
  ExecutionId() = default;
  explicit ExecutionId(std::string text) : value(std::move(text)) {}
  friend auto operator<=>(const ExecutionId&, const ExecutionId&) = default;
};

enum class State { pending, running, paused, failed, success };
std::string_view to_string(State state);
constexpr bool is_final(State state) { return state == State::failed || state == State::success; }

/// The parameters of every engine, named as in an ensemble's `execution.params`. An engine refuses what it does not
/// support and ignores none.
struct EngineParams {
  std::string image;                     // docker only, required there
  std::vector<std::string> entrypoint;   // docker: replaces the image's; sandbox: put before cmd
  std::vector<std::string> cmd;          // argv; no shell
  std::vector<std::string> environment;  // "KEY=value"
  std::string working_directory;         // inside; sandbox: below /work, its default
  std::string user;                      // docker only
  bool privileged = false;               // docker only; needs the provider's opt-in (DockerOptions)

  static constexpr auto json_fields() {
    using P = EngineParams;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("image", &P::image, omit), json::field("entrypoint", &P::entrypoint, omit),
                      json::field("cmd", &P::cmd, omit), json::field("environment", &P::environment, omit),
                      json::field("working_directory", &P::working_directory, omit),
                      json::field("user", &P::user, omit), json::field("privileged", &P::privileged, omit));
  }
};

/// `execution` of an allocation: {type, params}. Types: "docker", "sandbox", "null".
struct EngineSpec {
  std::string type;
  EngineParams params;

  static constexpr auto json_fields() {
    return std::tuple(json::field("type", &EngineSpec::type), json::field("params", &EngineSpec::params));
  }
};

/// What the work may use. 0 leaves that resource unlimited.
struct Limits {
  double cpu_cores = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t pids = 1024;
};

/// Where the work of an allocation finds the socket of its actor, and its name there.
inline constexpr std::string_view kActorFolder = "/run/nunet";
inline constexpr std::string_view kActorSocket = "actor.sock";

struct Request {
  std::string job_id;  // the allocation's id
  ExecutionId execution_id;
  EngineSpec engine;
  Limits limits;
  /// Where stdout.log and stderr.log go; made if missing. Absolute.
  std::filesystem::path results_dir;
  /// The allocation's own writable folder, mounted as /work. Empty: the executor makes one below its own data folder
  /// and deletes it at remove(). Docker opens it to every user, and closes the folder above it, which is the
  /// allocation's alone, to all but the daemon's.
  std::filesystem::path work_dir;
  /// A folder of the provider that the work sees at kActorFolder and cannot change: the socket of its actor is there.
  /// Empty: it has none.
  std::filesystem::path actor_dir;
  /// docker: the image, instead of one that the parameters name, as an archive (docker save, or an OCI layout of one
  /// image). It stays there until remove().
  std::filesystem::path image_archive;
  std::uint64_t log_limit = 64 * 1024 * 1024;  // of each stream
  bool network = false;                        // sandbox: false leaves only its own loopback; docker: false is "none"
  /// As set_deadline(), in force from the start on; of no effect where that is unsupported.
  std::optional<SteadyTime> deadline;

  Request() = default;
};

/// How a run ended. Wire names: stdout, stderr, exit_code, error_msg, killed.
struct ExecutionResult {
  std::string out;  // the last kResultOutputLimit bytes of each log
  std::string err;
  int exit_code = -1;     // of the work; 128 + signal if a signal ended it; -1 if it never ran or the engine lost it
  std::string error_msg;  // why it failed; empty on success
  bool killed = false;    // ended from outside: stop(), a limit, or the engine
  // Of the whole run, where the engine knows it; 0 otherwise. Not on the wire.
  double cpu_seconds = 0;
  std::uint64_t memory_bytes = 0;  // the most at a time

  static constexpr auto json_fields() {
    using R = ExecutionResult;
    return std::tuple(json::field("stdout", &R::out), json::field("stderr", &R::err),
                      json::field("exit_code", &R::exit_code), json::field("error_msg", &R::error_msg),
                      json::field("killed", &R::killed));
  }
};
inline constexpr std::size_t kResultOutputLimit = 256 * 1024;

struct Status {
  ExecutionId id;
  std::string job_id;
  State state = State::pending;
  /// How the limits are held: "cgroup v2", "cgroup v1", "rlimit (…)", "docker", "none".
  std::string enforcement;
};

/// 0 is what the engine does not count.
struct Stats {
  double cpu_seconds = 0;  // used since the start
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_limit = 0;  // 0 also without a limit
  std::uint64_t pids = 0;
  std::optional<std::uint64_t> network_rx;
  std::optional<std::uint64_t> network_tx;
};

struct Elsewhere {
  std::uint64_t bytes = 0;
  std::vector<std::filesystem::path> folders;  // that are its own, and whose files do not count in `bytes`
};

enum class LogStream { out, err };

/// A page of a log. It starts after the requested offset if the bytes there were dropped by rotation.
struct LogPage {
  std::uint64_t offset = 0;
  std::string data;
  std::uint64_t total = 0;  // bytes written so far
  bool ended = false;       // no more will be written
};

/// A check of the network of an execution, from inside its network namespace: a TCP connection to its loopback, or an
/// HTTP GET.
struct Probe {
  std::uint16_t port = 0;
  std::string http_path;  // empty: TCP only
};
struct ProbeResult {
  bool connected = false;
  int http_status = 0;
  std::string body;     // at most kResultOutputLimit
  std::string message;  // why it failed
};

struct Logs {
  std::string out;
  std::string err;
};

struct ExecOutput {
  int exit_code = -1;
  std::string out;  // at most kResultOutputLimit each, the first bytes
  std::string err;
};

/// How far an image is that a start waits for, in bytes. `total` is 0 while it is not known, and may grow; `done` is at
/// most that.
struct ImageProgress {
  enum class Phase { pulling, loading, extracting };
  Phase phase = Phase::pulling;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  friend bool operator==(const ImageProgress&, const ImageProgress&) = default;
};

/// Of an error of Executor::take_files(): the engine has not tried it, so it is to be tried again.
inline bool is_not_tried(const Error& error) {
  return error.is(Errc::unsupported) || error.is(Errc::cancelled) || error.is(Errc::deadline_exceeded);
}

/// How an execution ended, for the metrics. `killed`: from outside, as ExecutionResult says.
enum class Outcome { success, failed, killed };
std::string_view to_string(Outcome outcome);

struct Metrics {
  metrics::CounterArray<Outcome, 3> executions;
  metrics::Gauge running;           // between a successful start and the end
  metrics::Counter start_failures;  // start() that failed
  metrics::Counter dropped_bytes;   // of output, beyond the log limit
  metrics::Counter recovered;       // taken up by recover()
  metrics::Counter deadlines;       // ended by their deadline
};

class Executor {
 public:
  virtual ~Executor() = default;

  /// Lists the metrics, labelled with the engine type. Once.
  void register_with(metrics::Registry& registry);
  [[nodiscard]] const Metrics& metrics() const { return metrics_; }

  /// The engine type it runs: "docker", "sandbox", "null".
  [[nodiscard]] virtual std::string_view type() const = 0;

  virtual Task<Result<void>> start(Request request) = 0;
  /// Of an execution that is being started; nothing of any other, and where nothing takes long.
  [[nodiscard]] virtual std::optional<ImageProgress> progress(const ExecutionId& /*id*/) const { return std::nullopt; }
  /// Until the execution ends; its result. Any number of waiters, also after the end.
  virtual Task<Result<ExecutionResult>> wait(ExecutionId id) = 0;
  /// Sends SIGTERM to the work, and after `grace` SIGKILL to all its processes. Returns when it has ended. Success if
  /// it had ended before.
  virtual Task<Result<void>> stop(ExecutionId id, Duration grace) = 0;
  virtual Task<Result<void>> pause(ExecutionId id) = 0;
  virtual Task<Result<void>> resume(ExecutionId id) = 0;
  /// Removes an execution and everything it left except its logs. Ends it first if it still runs.
  virtual Task<Result<void>> remove(ExecutionId id) = 0;

  /// The last `tail_bytes` of each log so far (at most kResultOutputLimit).
  virtual Task<Result<Logs>> logs(ExecutionId id, std::size_t tail_bytes = kResultOutputLimit) = 0;
  virtual Task<Result<Status>> status(ExecutionId id) = 0;
  virtual Task<Result<std::vector<Status>>> list() = 0;
  virtual Task<Result<Stats>> stats(ExecutionId id) = 0;
  /// What it has written to the machine's disk outside of its work folder and its logs; none where it can write
  /// nowhere else. Takes as long as the files are many.
  virtual Task<Result<std::optional<Elsewhere>>> written_elsewhere(ExecutionId /*id*/) {
    co_return std::optional<Elsewhere>();
  }
  /// At most `max_bytes` of a log, from `offset` on.
  virtual Task<Result<LogPage>> read_log(ExecutionId id, LogStream stream, std::uint64_t offset,
                                         std::size_t max_bytes) = 0;
  /// The same of an execution that is not known any more, while its results folder is there; Errc::not_found if not.
  virtual Task<Result<LogPage>> read_kept_log(std::filesystem::path results_dir, LogStream stream, std::uint64_t offset,
                                              std::size_t max_bytes);
  /// Runs one more command inside a running execution (health checks), to its end or the caller's deadline.
  virtual Task<Result<ExecOutput>> exec(ExecutionId id, std::vector<std::string> argv) = 0;
  /// Errc::invalid_argument if the execution does not run; a probe that fails is a result.
  virtual Task<Result<ProbeResult>> probe(ExecutionId id, Probe probe) = 0;

  /// An execution ends by itself at this time unless it is extended before, also when no daemon runs. Errc::unsupported
  /// if the engine cannot do that.
  virtual Task<Result<void>> set_deadline(ExecutionId id, SteadyTime deadline) = 0;

  /// Whether its work can reach a socket in Request::actor_dir.
  [[nodiscard]] virtual bool binds_actor_dir() const { return false; }
  /// Which limits of Request::limits it does not hold on this machine, and the remedy; empty if it holds all.
  [[nodiscard]] virtual std::string unenforced() const { return {}; }
  /// Afterwards the daemon may read and remove all in that folder. Nothing writes to it at that time: the executions
  /// that have it as their work folder have ended. It takes as long as the files are many. Errc::unsupported while the
  /// engine does not answer; any other error but a cancellation: the engine has tried, and would fail again.
  virtual Task<Result<void>> take_files(std::filesystem::path /*folder*/) { co_return Result<void>(); }

  /// False from when the engine did not answer until recover() succeeds: it is to be called again, in the background,
  /// and nothing is to be started or decided before.
  [[nodiscard]] virtual bool ready() const { return true; }
  /// See (5): the executions that were taken up. Before the first start(). The others of `known` are gone. If
  /// the engine does not answer, ready() is false from then on.
  virtual Task<Result<std::vector<ExecutionId>>> recover(std::vector<Request> known) = 0;
  /// Stops managing the executions, which continue. Before the destructor.
  virtual Task<void> close() = 0;

 protected:
  void count_end(const ExecutionResult& result);
  Metrics metrics_;

 private:
  metrics::Group registered_;
};

/// "exit code 3". A code above 128 may be the number of a signal or the program's own: it is reported as a code, with
/// the signal of that number, if there is one, as a possibility: "exit code 143, perhaps SIGTERM".
std::string describe_exit(int exit_code);

/// The rules every engine shares: a usable id, an absolute results_dir, KEY=value entries without NUL bytes, valid
/// limits.
Result<void> validate(const Request& request);

/// The last `limit` bytes of each log in a results folder, read off the lane; empty if it does not exist.
Task<Logs> read_logs(std::filesystem::path results_dir, std::size_t limit);

}  // namespace dms::executor
