// The document store for code that runs on a lane: the operations of Store, each awaited, carried out by a worker.
//
// Model
//  1. Operations are carried out one at a time, in the order in which they were started (awaited or spawned; a Task
//     that has not been started has no place). A read sees every write that was started before it.
//  2. When a write has returned success, it is on the disk (store.hpp, 2). Until then the lane runs other code: a
//     caller that depends on the write, such as one that replies to a peer, awaits it first and then checks its state
//     again.
//  3. An operation that has been started is carried out to its end; cancellation does not reach it. The wait is as long
//     as the disk takes for what is queued before it.
//  4. transaction() runs `change` on the worker, with exclusive access to the store. `change` owns what it uses: by
//     value, or by reference to what the awaiting coroutine keeps; nothing that the lane accesses meanwhile.
//  5. In a simulation the work is done inline, at one virtual instant, so runs replay.
//  6. At most kMaxQueued operations wait; one more fails with Errc::limit_exceeded and changes nothing.
//  7. Faults, for tests and simulations: a WriteFault is asked before each write; its error is the result of the write,
//     which then changes nothing. So a disk is full, or a machine fails at its n-th write.
//
// Threads: one lane; the worker is that of Lane::offload_short(), so no long work on files delays it. blocking() is for
// the start, before requests are served. Cost: a write waits for the disk
// (store_bench.cpp: 1.7 ms on an SSD, of which 0.1 ms is processor time of the worker; ten documents in one transaction
// 2.5 ms), a read two changes of thread. Failure: as Store. close() waits for what is queued; destruction before that
// is a bug (fatal).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics.hpp"
#include "db/store.hpp"
#include "runtime/task.hpp"

namespace dms::db {

class AsyncStore {
 public:
  static constexpr std::size_t kMaxQueued = 4096;
  using Change = std::move_only_function<Result<void>(Store&)>;
  using WriteFault = std::function<Result<void>()>;

  struct Metrics {
    metrics::Counter operations;
    metrics::Counter refused;
    metrics::Gauge queued;
    metrics::Histogram wait{metrics::kSeconds};
    void register_with(metrics::Registry& registry);

   private:
    metrics::Group group_;
  };

  AsyncStore(Lane& lane, Store store);
  AsyncStore(const AsyncStore&) = delete;
  AsyncStore& operator=(const AsyncStore&) = delete;
  ~AsyncStore();

  Task<Result<void>> put(std::string collection, std::string id, std::string json);
  Task<Result<std::optional<std::string>>> get(std::string collection, std::string id);
  /// True if the document existed.
  Task<Result<bool>> erase(std::string collection, std::string id);
  Task<Result<std::vector<Document>>> list(std::string collection);
  /// Several changes as one; what `change` returns as an error undoes them.
  Task<Result<void>> transaction(Change change);

  /// Values with a JSON form; they are encoded and decoded on the lane. The value is read before the first wait.
  template <class T>
  Task<Result<void>> put_value(std::string collection, std::string id, const T& value) {
    return put(std::move(collection), std::move(id), json::encode(value));
  }
  template <class T>
  Task<Result<std::optional<T>>> get_value(std::string collection, std::string id) {
    Result<std::optional<std::string>> text = co_await get(collection, id);
    if (!text) co_return std::unexpected(text.error());
    if (!*text) co_return std::optional<T>();
    Result<T> value = Store::read<T>(collection, id, **text);
    if (!value) co_return std::unexpected(value.error());
    co_return std::optional<T>(*std::move(value));
  }
  template <class T>
  Task<Result<std::vector<std::pair<std::string, T>>>> list_values(std::string collection) {
    Result<std::vector<Document>> documents = co_await list(collection);
    if (!documents) co_return std::unexpected(documents.error());
    std::vector<std::pair<std::string, T>> values;
    for (Document& document : *documents) {
      Result<T> value = Store::read<T>(collection, document.id, document.json);
      if (!value) co_return std::unexpected(value.error());
      values.emplace_back(std::move(document.id), *std::move(value));
    }
    co_return std::move(values);
  }

  /// The store itself, whose calls block the lane.
  [[nodiscard]] Store& blocking() { return store_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  /// See (7). Called by a worker; not for blocking(). While no operation is under way.
  void set_write_fault(WriteFault fault) { write_fault_ = std::move(fault); }
  /// Waits for what has been started. Later operations fail with Errc::closed.
  Task<void> close();

 private:
  struct Operation;
  Task<Result<void>> run(std::move_only_function<void(Store&)> work);
  void start_next();
  [[nodiscard]] Result<void> may_write() const { return write_fault_ ? write_fault_() : Result<void>(); }

  Lane& lane_;
  Store store_;
  WriteFault write_fault_;
  Metrics metrics_;
  std::deque<Operation*> queue_;  ///< the first one is being carried out if busy_
  bool busy_ = false;
  bool closed_ = false;
  Notify idle_;
};

}  // namespace dms::db
