// A signal that is not lost: a task that was busy when it was raised does not wait.
//
//     std::uint64_t seen = signal.count();   // before looking at the state
//     ...
//     co_await signal.wait_past(seen);
//
// Threads: one lane. Cost: no allocation but the task.
#pragma once

#include "runtime/task.hpp"

namespace dms::orchestrator {

class Signal {
 public:
  [[nodiscard]] std::uint64_t count() const { return count_; }
  void raise() {
    ++count_;
    raised_.notify_all();
  }
  /// Until it has been raised since it had counted `seen`.
  Task<Result<void>> wait_past(std::uint64_t seen) {
    while (count_ == seen) CO_TRY_VOID(co_await raised_.wait());
    co_return Result<void>();
  }
  /// The same, until `when` at most, which is a success. Fails only when the caller is cancelled.
  Task<Result<void>> wait_past(std::uint64_t seen, SteadyTime when) {
    Task<Result<void>> waiting = wait_past(seen);
    Result<void> waited = co_await with_deadline(when, std::move(waiting));
    if (!waited && waited.error().is(Errc::deadline_exceeded)) co_return Result<void>();
    co_return waited;
  }

 private:
  std::uint64_t count_ = 0;
  Notify raised_;
};

}  // namespace dms::orchestrator
