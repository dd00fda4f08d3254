// One allocation: an actor and the work that it runs on this machine.
//
// Model
//  1. pending -> running -> completed | failed | terminated. start() runs the work once; a second call is refused.
//  2. When the work ends, its resources are freed, and then the orchestrator is notified with the exit code and the
//     tail of the output: up to kNotifyTries times, with growing pauses, until it acknowledges.
//  3. release() ends the work if it runs and removes its container or sandbox, its output and its actor. Allocations
//     calls it exactly once; afterwards the machine holds nothing of it.
//
// Threads: the node's lane; output is removed by a worker. Attacks: only the holder of the orchestrator's grant can
// start it; its output is bounded by the executor; its name has been checked to be a safe file name (keys.hpp).
#pragma once

#include <filesystem>

#include "actor/actor.hpp"
#include "executor/executor.hpp"
#include "protocol/allocation.hpp"
#include "protocol/manifest.hpp"
#include "provider/local_names.hpp"

namespace dms::provider {

inline constexpr int kNotifyTries = 4;
inline constexpr Duration kStopGrace = 10s;

class Allocation {
 public:
  struct Spec {
    std::string id;  ///< as the orchestrator knows it
    LocalName name;
    protocol::AllocationConfig config;
    actor::Handle orchestrator;
    std::filesystem::path results_dir;
    UnixTime created;
  };
  /// Called on the lane; not after release() has begun.
  struct Events {
    std::function<void(protocol::AllocationStatus)> status;
    std::function<Task<void>()> work_ended;  ///< awaited before the orchestrator is notified
    std::function<void()> settled;           ///< the notification was acknowledged or given up
  };

  Allocation(std::unique_ptr<actor::Actor> actor, executor::Executor& executor, Spec spec, Events events);
  /// Registers the behaviour protocol::kAllocationStart.
  Result<void> open();

  [[nodiscard]] const Spec& spec() const { return spec_; }
  [[nodiscard]] actor::Actor& actor() { return *actor_; }
  [[nodiscard]] protocol::AllocationStatus status() const { return status_; }
  [[nodiscard]] const executor::ExecutionId& execution_id() const { return execution_id_; }
  [[nodiscard]] UnixTime started() const { return started_; }
  /// True while the executor prepares the work, which may take minutes when an image has to be fetched.
  [[nodiscard]] bool starting() const { return starting_; }

  /// The tail of the output so far.
  Task<Result<executor::Logs>> logs();
  Task<void> release();

 private:
  Task<protocol::Ack> start(protocol::StartRequest request, const actor::Envelope& envelope);
  [[nodiscard]] Result<executor::Request> execution_request() const;
  Task<void> watch();
  Task<void> notify(executor::ExecutionResult result);
  void set_status(protocol::AllocationStatus status);

  std::unique_ptr<actor::Actor> actor_;
  executor::Executor& executor_;
  Spec spec_;
  executor::ExecutionId execution_id_;
  Events events_;
  protocol::AllocationStatus status_ = protocol::AllocationStatus::pending;
  UnixTime started_;
  bool start_called_ = false;
  bool starting_ = false;
};

}  // namespace dms::provider
