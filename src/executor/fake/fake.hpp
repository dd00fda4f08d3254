// The scripted executor of the simulation: runs that take virtual time and end as scripted. Also the "null" type.
//
// A run follows the first rule that matches, in this order: the script set for its job id; environment entries of the
// request (FAKE_SECONDS, FAKE_EXIT_CODE, FAKE_OUT, FAKE_ERR, FAKE_WRITE_SECONDS, FAKE_DISK_MIB, FAKE_IMAGE_MIB,
// FAKE_START_SECONDS, FAKE_START_ERROR, FAKE_IGNORE_TERM, FAKE_HEALTHY_AFTER, FAKE_UNHEALTHY_AFTER, FAKE_CRASH), so that
// an ensemble can choose; the default script. FAKE_CRASH=<share>:<seconds> makes that share of the runs, chosen by their
// names, end with 1 after so long, unless they have ended before. It starts no process and writes no file;
// FakeHost::begins may.
//
// kRunMark in FAKE_OUT and FAKE_ERR is replaced by the name of the run, so that the outputs of two runs differ.
//
// The work runs on a FakeHost, which stands for the machine: it outlives a Fake that is closed, and the next one takes
// the work up with recover(). What would have ended meanwhile has ended then, at its time.
//
// Threads and cancellation: as executor.hpp says. Limits are stored and reported, not enforced.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "executor/executor_base.hpp"
#include "runtime/nursery.hpp"

namespace dms::executor {

struct FakeScript {
  Duration startup = 0ns;                  // how long start() takes
  std::optional<std::string> start_error;  // set: start() fails with it
  std::optional<Duration> runs_for = 1s;   // not set: until it is stopped
  int exit_code = 0;
  std::string out;  // written from the start of the run on
  std::string err;
  Duration writes_for = 0ns;                // of running time, evenly; 0: all at once
  bool ignores_term = false;                // stop() has to wait for the grace
  std::string last_words;                   // written to its output when it is told to stop
  Duration healthy_after = 0ns;             // of running time: until then exec() ends with 1 and probe() fails
  std::optional<Duration> unhealthy_after;  // from then on they fail again
  std::uint64_t memory_bytes = 0;           // used while it runs
  std::uint64_t disk_bytes = 0;             // as Executor::written_elsewhere() says, until the run is removed
  std::uint64_t image_bytes = 0;            // pulled evenly while it starts, as progress() tells; 0: nothing is
  bool counts_cpu = true;                   // false: as an engine that does not count processor time
  Duration check_takes = 0ns;               // how long exec() and probe() take
  int http_status = 200;                    // of its answers
};

inline constexpr std::string_view kRunMark = "@RUN@";
/// The text with the name of the run in the place of each mark.
std::string with_run(std::string text, std::string_view run);

/// The executions of a machine, whether a daemon runs or not.
struct FakeHost {
  struct Work {
    Request request;
    FakeScript script;
    State state = State::pending;
    bool over = false;
    ExecutionResult result;
    Duration left = 0ns;                 // of running time
    SteadyTime since{};                  // when its start began, then when it ran or was resumed
    std::optional<SteadyTime> deadline;  // ends it
    std::optional<SteadyTime> ended_at;
  };
  std::map<ExecutionId, Work> works;
  std::map<std::filesystem::path, Logs> kept;  // of executions that were removed, by their results folders
  std::function<void(const Request&)> begins;  // what the work does as it begins, before it is seen to run
  std::function<void(const Request&, const ExecutionResult&)> ends;  // told of each run that ends, before others see it
  bool answers = true;                         // false: neither a new Fake nor recover() reaches it
  Duration recovering = 0ns;                   // how long recover() takes
  bool stops = true;                           // false: stop() waits until the work has ended by itself
  bool logs_readable = true;                   // false: as a disk that fails
  bool gives_files = true;                     // false: take_files() fails, as `refusal`
  Errc refusal = Errc::unsupported;            // which is an engine that does not answer
  Duration giving = 0ns;                       // how long take_files() takes
  int giving_now = 0;                          // calls of take_files() that have not returned
  int stopping_now = 0;                        // calls of stop() that wait as `stops` says
  std::vector<std::filesystem::path> given;    // the folders of take_files()
  std::string unenforced;                      // what Fake::unenforced() says
  bool binds_actor_dir = false;                // what Fake::binds_actor_dir() says
  std::optional<Elsewhere> written_elsewhere;  // by each execution that no script says it of
};

class Fake final : public ExecutorBase {
 public:
  explicit Fake(Lane& lane, std::string type = "null", FakeScript script = {},
                std::shared_ptr<FakeHost> host = std::make_shared<FakeHost>());
  ~Fake() override;

  /// The script of the next runs of that job.
  void script(std::string job_id, FakeScript script) { scripts_[std::move(job_id)] = std::move(script); }
  /// The number of known executions, for tests of leaks.
  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  [[nodiscard]] std::size_t started() const { return started_; }

  [[nodiscard]] std::string_view type() const override { return type_; }
  [[nodiscard]] std::string_view enforcement() const override { return "none"; }
  [[nodiscard]] std::string unenforced() const override { return host_->unenforced; }
  [[nodiscard]] bool binds_actor_dir() const override { return host_->binds_actor_dir; }
  Task<Result<void>> start(Request request) override;
  [[nodiscard]] std::optional<ImageProgress> progress(const ExecutionId& id) const override;
  Task<Result<void>> stop(ExecutionId id, Duration grace) override;
  Task<Result<void>> pause(ExecutionId id) override;
  Task<Result<void>> resume(ExecutionId id) override;
  Task<Result<void>> remove(ExecutionId id) override;
  Task<Result<Logs>> logs(ExecutionId id, std::size_t tail_bytes) override;
  Task<Result<LogPage>> read_log(ExecutionId id, LogStream stream, std::uint64_t offset,
                                 std::size_t max_bytes) override;
  Task<Result<LogPage>> read_kept_log(std::filesystem::path results_dir, LogStream stream, std::uint64_t offset,
                                      std::size_t max_bytes) override;
  Task<Result<Stats>> stats(ExecutionId id) override;
  Task<Result<std::optional<Elsewhere>>> written_elsewhere(ExecutionId id) override;
  Task<Result<ExecOutput>> exec(ExecutionId id, std::vector<std::string> argv) override;
  /// Connected if the script answers on the port.
  Task<Result<ProbeResult>> probe(ExecutionId id, Probe probe) override;
  Task<Result<void>> set_deadline(ExecutionId id, SteadyTime deadline) override;
  Task<Result<std::vector<ExecutionId>>> recover(std::vector<Request> known) override;
  Task<Result<void>> take_files(std::filesystem::path folder) override;
  [[nodiscard]] bool ready() const override { return ready_; }
  Task<void> close() override;

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;
  [[nodiscard]] Result<RunPtr> find_ended(const ExecutionId& id) const;
  [[nodiscard]] Result<FakeScript> choose(const Request& request) const;
  Task<void> live(RunPtr run);
  void end(Run& run, int exit_code, std::string error, bool killed);
  [[nodiscard]] bool healthy(const Run& run) const;
  void write_what_is_due(Run& run) const;

  Lane& lane_;
  std::string type_;
  FakeScript default_;
  std::map<std::string, FakeScript> scripts_;
  std::shared_ptr<FakeHost> host_;
  std::size_t started_ = 0;
  bool ready_ = host_->answers;
  Nursery nursery_;
};

}  // namespace dms::executor
