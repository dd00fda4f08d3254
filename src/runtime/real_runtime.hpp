// The real runtime: lanes that are threads with an event loop, the system's clocks and randomness, and real sockets.
//
// A lane sleeps until the next event. While events follow each other quickly it polls first (busy_poll.hpp), if the
// machine has a second processor.
//
// Names are resolved on the worker threads, by at most half of them, so that a silent name server does not delay disk
// operations. A look-up whose caller is cancelled runs to its end; the destructor waits for it (name_lookup.hpp says
// how long).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/stream.hpp"

namespace dms {

class RealRuntime {
 public:
  struct Options {
    /// Threads for work that blocks (disk, containers), beside one for short work (SQLite).
    unsigned workers = 4;
    /// Queried for text records instead of the system's name servers. IPv4.
    std::optional<IpEndpoint> name_server;
  };
  RealRuntime() : RealRuntime(Options{}) {}
  explicit RealRuntime(Options options);
  RealRuntime(const RealRuntime&) = delete;
  RealRuntime& operator=(const RealRuntime&) = delete;
  ~RealRuntime();

  [[nodiscard]] Runtime runtime();

  /// Runs `task` and everything it starts on the calling thread until it has finished.
  void run(Task<void> task);
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    run(store(std::move(task), result));
    return std::move(*result);
  }

  /// Calls `handler` on the lane each time one of the signals arrives. Restored when the runtime is destroyed.
  void on_signal(std::vector<int> signals, std::function<void(int)> handler);

 private:
  template <class T>
  static Task<void> store(Task<T> task, std::optional<T>& into) {
    into.emplace(co_await std::move(task));
  }
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dms
