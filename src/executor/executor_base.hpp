// What every executor does in the same way: finds an execution by its id, waits for its end and reports on it.
//
// An engine derives its own record of an execution from Execution and keeps it in runs_, from start() until remove().
// Threads: one lane.
#pragma once

#include <map>
#include <memory>

#include "executor/executor.hpp"

namespace dms::executor {

struct Execution {
  Request request;
  State state = State::pending;
  std::optional<ImageProgress> progress;  ///< of its start
  bool stopping = false;                  ///< stop() has been called
  bool over = false;                      ///< nothing of it runs any more, and `result` is complete
  std::string kill_reason;                ///< set: ended from outside, and why
  ExecutionResult result;
  std::uint64_t out_total = 0;  ///< bytes written in all, once `over`; 0 if that is not known
  std::uint64_t err_total = 0;
  Notify changed;
};

class ExecutorBase : public Executor {
 public:
  [[nodiscard]] std::optional<ImageProgress> progress(const ExecutionId& id) const override;
  Task<Result<ExecutionResult>> wait(ExecutionId id) override;
  Task<Result<Logs>> logs(ExecutionId id, std::size_t tail_bytes) override;
  Task<Result<Status>> status(ExecutionId id) override;
  Task<Result<std::vector<Status>>> list() override;
  Task<Result<LogPage>> read_log(ExecutionId id, LogStream stream, std::uint64_t offset,
                                 std::size_t max_bytes) override;
  Task<Result<ProbeResult>> probe(ExecutionId id, Probe probe) override;
  Task<Result<void>> set_deadline(ExecutionId id, SteadyTime deadline) override;

  /// How limits are enforced, as Status reports it.
  [[nodiscard]] virtual std::string_view enforcement() const = 0;

 protected:
  using ExecutionPtr = std::shared_ptr<Execution>;

  /// Errc::already_exists if the id is known.
  Result<void> add(ExecutionPtr run);
  /// Errc::not_found if the id is unknown. `Run` is the engine's type of record.
  template <class Run = Execution>
  [[nodiscard]] Result<std::shared_ptr<Run>> find(const ExecutionId& id) const {
    const auto it = runs_.find(id);
    if (it == runs_.end()) return unknown(id);
    return std::static_pointer_cast<Run>(it->second);
  }
  /// Errc::invalid_argument if the execution is not in state `expected`.
  static Result<void> check_state(const Execution& run, State expected);
  static Task<Result<void>> until_over(ExecutionPtr run);

  std::map<ExecutionId, ExecutionPtr> runs_;

 private:
  [[nodiscard]] std::unexpected<Error> unknown(const ExecutionId& id) const;
  [[nodiscard]] Status describe(const Execution& run) const;
};

}  // namespace dms::executor
