// The scripted executor of the simulation: runs that take virtual time and end as scripted. Also the "null" type.
//
// A run follows the first rule that matches, in this order: the script set for its job id; environment entries of the
// request (FAKE_SECONDS, FAKE_EXIT_CODE, FAKE_OUT, FAKE_ERR, FAKE_START_ERROR, FAKE_IGNORE_TERM), so that an ensemble
// can choose; the default script. It starts no process and writes no file.
//
// Threads and cancellation: as executor.hpp says. Limits are stored and reported, not enforced.
#pragma once

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
  std::string out;  // written at the start of the run
  std::string err;
  bool ignores_term = false;  // stop() has to wait for the grace
};

class Fake final : public ExecutorBase {
 public:
  explicit Fake(Lane& lane, std::string type = "null", FakeScript script = {});
  ~Fake() override;

  /// The script of the next runs of that job.
  void script(std::string job_id, FakeScript script) { scripts_[std::move(job_id)] = std::move(script); }
  /// The number of known executions, for tests of leaks.
  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  [[nodiscard]] std::size_t started() const { return started_; }

  [[nodiscard]] std::string_view type() const override { return type_; }
  [[nodiscard]] std::string_view enforcement() const override { return "none"; }
  Task<Result<void>> start(Request request) override;
  Task<Result<void>> stop(ExecutionId id, Duration grace) override;
  Task<Result<void>> pause(ExecutionId id) override;
  Task<Result<void>> resume(ExecutionId id) override;
  Task<Result<void>> remove(ExecutionId id) override;
  Task<Result<Logs>> logs(ExecutionId id, std::size_t tail_bytes) override;
  Task<Result<Stats>> stats(ExecutionId id) override;
  Task<Result<ExecOutput>> exec(ExecutionId id, std::vector<std::string> argv) override;
  Task<Result<void>> cleanup() override;
  Task<void> close() override;

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;
  [[nodiscard]] Result<FakeScript> choose(const Request& request) const;
  Task<void> live(RunPtr run);
  void end(Execution& run, int exit_code, std::string error, bool killed);

  Lane& lane_;
  std::string type_;
  FakeScript default_;
  std::map<std::string, FakeScript> scripts_;
  std::size_t started_ = 0;
  Nursery nursery_;
};

}  // namespace dms::executor
