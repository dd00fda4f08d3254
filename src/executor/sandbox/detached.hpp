// What the processes that outlive the daemon have in common: how they are started, and the clock of their deadlines.
//
// A detached process is a child of a helper (helper.hpp) that the daemon waits for: it is in a session of its own, with
// nothing of the daemon open and all signals blocked, so that a request is read when the process is ready for it.
// Threads: one.
#pragma once

#include <functional>
#include <string>

#include "runtime/process.hpp"

namespace dms::executor {

/// One end of a pipe to the helper: says once how the start went.
class Readiness {
 public:
  explicit Readiness(Fd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] bool open() const { return static_cast<bool>(fd_); }
  void succeed();
  void fail(std::string_view error);

 private:
  Fd fd_;
};

/// Runs `become` in a detached process called `name`, and returns the exit code of the helper: 0 once it has succeeded;
/// otherwise the reason is on standard error.
int run_detached(const char* name, const std::function<void(Readiness)>& become);

/// All signals of this process, to be read from a descriptor.
Result<Fd> receive_signals();

/// The time of CLOCK_BOOTTIME: a detached process has no lane.
Duration boot_now();

/// A descriptor that becomes readable at a time of CLOCK_BOOTTIME, the clock of the lanes.
class BootTimer {
 public:
  BootTimer();
  [[nodiscard]] int fd() const { return fd_.get(); }
  void at(std::int64_t nanoseconds);
  void after(Duration duration);
  void every(Duration duration);
  void stop();
  bool due();

 private:
  void set(int flags, std::int64_t first, std::int64_t interval);
  Fd fd_;
};

}  // namespace dms::executor
