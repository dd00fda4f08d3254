// A nursery: the owner of tasks that run concurrently with their owner. No task outlives its nursery.
//
// Model
//  1. spawn() starts a task at the lane's next turn. The nursery owns it until it has finished.
//  2. cancel() asks all of them to stop; later spawns still run but their first wait fails.
//  3. join() waits until none is left; close() is cancel() and join(). The destructor insists that none is left:
//     an owner that forgets to close is a bug (fatal, base/assert.hpp).
//  4. A task that ends with an exception is a bug (counted): the others go on.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "runtime/task.hpp"

namespace dms {

class Nursery {
 public:
  /// `name` appears in reports. With a `parent` scope, cancelling that one cancels these tasks.
  Nursery(Lane& lane, std::string name, CancelScope* parent = nullptr);
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;
  ~Nursery();

  void spawn(Task<void> task);
  void cancel(Errc reason = Errc::cancelled) { scope_.cancel(reason); }
  [[nodiscard]] std::size_t size() const { return running_; }
  [[nodiscard]] bool cancelled() const { return scope_.reason().has_value(); }
  [[nodiscard]] Lane& lane() { return lane_; }

  /// Waits until no task is left. Cannot be cancelled: cancel() the nursery instead.
  Task<void> join();
  Task<void> close() {
    cancel();
    co_await join();
  }

 private:
  struct Root;
  static Root run(Nursery& nursery, Task<void> task);
  void finished();

  Lane& lane_;
  std::string name_;
  CancelScope scope_;
  std::size_t running_ = 0;
  Notify idle_;
};

namespace detail {
template <class T>
Task<void> store_result(Task<T> task, std::optional<T>& into) {
  into.emplace(co_await std::move(task));
}
/// Runs those that nobody has begun, one after the other.
template <class T>
Task<void> store_results(std::vector<Task<T>>& tasks, std::vector<std::optional<T>>& into, std::size_t& next) {
  while (next < tasks.size()) {
    const std::size_t own = next++;
    Task<T> task = std::move(tasks[own]);
    into[own].emplace(co_await std::move(task));
  }
}
}  // namespace detail

/// Runs all tasks, `at_once` of them at the same time, begun in order; their results, in order, when the last has
/// finished.
template <class T>
Task<std::vector<T>> when_all(std::vector<Task<T>> tasks, std::size_t at_once = SIZE_MAX) {
  TaskContext context = co_await this_task();
  Nursery nursery(*context.lane, "when_all", context.scope);
  std::vector<std::optional<T>> results(tasks.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < tasks.size() && i < at_once; ++i)
    nursery.spawn(detail::store_results(tasks, results, next));
  co_await nursery.join();
  std::vector<T> values;
  values.reserve(results.size());
  for (auto& result : results) values.push_back(std::move(*result));
  co_return std::move(values);
}

}  // namespace dms
