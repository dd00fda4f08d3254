// The health of a run: a command, an HTTP request or a TCP connection, repeated from the start of the run to its end.
//
// Model
//  1. starting -> healthy <-> unhealthy. `success_threshold` passed checks in a row make a run healthy,
//     `failure_threshold` failed ones unhealthy. Failed checks within the grace after the start do not count.
//  2. One check at a time; it fails when it takes longer than its timeout. The next one begins an interval after the
//     previous one began, or at its end if that is later. While the run is starting, checks are made every
//     kStartingInterval, so that a dependant starts soon; a failed one counts at most once in an interval.
//  3. A check reaches the run only: the command runs inside it, a connection goes to its own loopback (executor.hpp).
//  4. A command passes if it ends with 0 and its output contains response.value; a request, if the status is 200 to 399
//     and the body equals response.value. An empty value is not compared.
//
// Threads: the node's lane. Cancellation: run() goes on until it is cancelled. Failure: what the executor reports is a
// failed check. Attacks: an orchestrator chooses the check: check_health() refuses other hosts, bounds the command and
// the rate; answers are bounded by the executor and are compared, not kept.
#pragma once

#include <functional>

#include "executor/executor.hpp"
#include "protocol/allocation.hpp"

namespace dms::provider {

inline constexpr Duration kStartingInterval = 1s;
inline constexpr Duration kShortestCheckInterval = 1s;
inline constexpr Duration kLongestCheckTimeout = 10min;
inline constexpr Duration kLongestCheckInterval = 24h;  ///< and grace

/// Errc::invalid_argument names the field that cannot be honoured.
Result<void> check_health(const jobs::HealthCheck& check);

class HealthMonitor {
 public:
  /// `check` has passed check_health(). The executor outlives this. `changed` is called when health() is another one.
  HealthMonitor(Lane& lane, executor::Executor& executor, executor::ExecutionId run, jobs::HealthCheck check,
                std::function<void()> changed)
      : lane_(lane),
        executor_(executor),
        run_(std::move(run)),
        check_(std::move(check)),
        changed_(std::move(changed)),
        since_(lane.now()) {}

  Task<void> run();
  [[nodiscard]] protocol::Health health() const { return health_; }
  /// Of the last check that failed: what was asked, and how it failed, in one line of at most 256 bytes.
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  Task<Result<void>> check_once();
  Task<Result<void>> check_command();
  Task<Result<void>> check_probe();
  void count(const Result<void>& outcome);

  Lane& lane_;
  executor::Executor& executor_;
  executor::ExecutionId run_;
  jobs::HealthCheck check_;
  std::function<void()> changed_;
  SteadyTime since_;
  SteadyTime next_counted_{};  ///< a failure before that does not count
  std::uint32_t passed_ = 0;   ///< in a row
  std::uint32_t failed_ = 0;
  protocol::Health health_ = protocol::Health::starting;
  std::string message_;
};

}  // namespace dms::provider
