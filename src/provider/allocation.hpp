// The Allocation actor: one piece of work on this machine, from its allocation to its end.
//
// Model
//  1. pending -> running -> completed | failed | terminated. start() runs the work once; a second call is refused.
//  2. When the work ends, its resources are free at once, and the orchestrator is told with the exit code and the end
//     of the output: kNotifyTries times, with growing pauses, until it acknowledges.
//  3. release() ends the work if it runs, forgets its container or sandbox, its output and its actor. Whoever owns the
//     allocation calls it exactly once; afterwards nothing of it is left on the machine.
//
// Threads: the node's lane. Attacks: only the holder of the orchestrator's grant can start it; its output is bounded by
// the executor; it is named by ids that jobs/ensemble/ensemble.hpp and the provider have checked to be safe file names.
#pragma once

#include <filesystem>

#include "actor/actor.hpp"
#include "executor/executor.hpp"
#include "protocol/allocation.hpp"
#include "protocol/manifest.hpp"

namespace dms::provider {

inline constexpr int kNotifyTries = 4;
inline constexpr Duration kStopGrace = 10s;

class Allocation {
 public:
  struct Spec {
    std::string id;
    protocol::AllocationConfig config;
    actor::Handle orchestrator;
    std::filesystem::path results_dir;
    UnixTime created;
  };
  /// `ended` is called once, from the lane, when the work has ended and the orchestrator was told or could not be.
  static Result<std::unique_ptr<Allocation>> create(std::unique_ptr<actor::Actor> actor, executor::Executor& executor,
                                                    Spec spec, std::function<void()> work_ended,
                                                    std::function<void()> settled);

  [[nodiscard]] const Spec& spec() const { return spec_; }
  [[nodiscard]] actor::Actor& actor() { return *actor_; }
  [[nodiscard]] protocol::AllocationStatus status() const { return status_; }
  [[nodiscard]] const executor::ExecutionId& execution_id() const { return execution_id_; }
  [[nodiscard]] UnixTime started() const { return started_; }
  /// True while the executor prepares the work, which may take minutes when an image has to be fetched.
  [[nodiscard]] bool starting() const { return starting_; }

  /// The end of the output so far.
  Task<Result<executor::Logs>> logs();
  Task<void> release();

 private:
  Allocation(std::unique_ptr<actor::Actor> actor, executor::Executor& executor, Spec spec,
             std::function<void()> work_ended, std::function<void()> settled);
  Task<protocol::Ack> start(protocol::StartRequest request, const actor::Envelope& envelope);
  Task<void> watch();
  Task<void> notify(executor::ExecutionResult result);

  std::unique_ptr<actor::Actor> actor_;
  executor::Executor& executor_;
  Spec spec_;
  executor::ExecutionId execution_id_;
  std::function<void()> work_ended_;
  std::function<void()> settled_;
  protocol::AllocationStatus status_ = protocol::AllocationStatus::pending;
  UnixTime started_;
  bool start_called_ = false;
  bool starting_ = false;
};

}  // namespace dms::provider
