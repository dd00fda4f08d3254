#include "db/async_store.hpp"

#include "base/assert.hpp"

namespace dms::db {

void AsyncStore::Metrics::register_with(metrics::Registry& registry) {
  group_.in(registry)
      .counter("nunet_db_operations_total", "Operations on the document store.", operations)
      .counter("nunet_db_refused_total", "Operations refused because too many are queued.", refused)
      .gauge("nunet_db_queued", "Operations that wait or are being carried out.", queued)
      .histogram("nunet_db_wait_seconds", "Time from the start of an operation to its result.", wait);
}

/// In the frame of the coroutine that waits for it.
struct AsyncStore::Operation {
  std::move_only_function<void(Store&)> work;
  bool done = false;
  Notify finished;
};

AsyncStore::AsyncStore(Lane& lane, Store store) : lane_(lane), store_(std::move(store)) {}
AsyncStore::~AsyncStore() {
  DMS_ASSERT(queue_.empty(), "the store is destroyed with {} operations under way", queue_.size());
}

void AsyncStore::start_next() {
  if (busy_ || queue_.empty()) return;
  busy_ = true;
  lane_.offload_short([this, operation = queue_.front()] { operation->work(store_); },
                      [this, operation = queue_.front()] {
                        busy_ = false;
                        queue_.pop_front();
                        operation->done = true;
                        operation->finished.notify_all();
                        if (queue_.empty()) idle_.notify_all();
                        start_next();
                      });
}

Task<Result<void>> AsyncStore::run(std::move_only_function<void(Store&)> work) {
  if (closed_) co_return fail(dms::Errc::closed, "the database is closed");
  if (queue_.size() >= kMaxQueued) {
    ++metrics_.refused;
    co_return fail(dms::Errc::limit_exceeded, "{} operations wait for the database already", queue_.size());
  }
  const SteadyTime begun = lane_.now();
  Operation operation{.work = std::move(work)};
  queue_.push_back(&operation);
  ++metrics_.operations;
  metrics_.queued.add();
  start_next();
  while (!operation.done) (void)co_await operation.finished.wait_shielded();
  metrics_.queued.sub();
  metrics_.wait.observe(lane_.now() - begun);
  co_return Result<void>();
}

// The lambdas below are no coroutines; what they refer to lives in the frame that awaits run().

Task<Result<void>> AsyncStore::put(std::string collection, std::string id, std::string json) {
  Result<void> result;
  CO_TRY_VOID(co_await run([&](Store& store) {
    result = may_write();
    if (result) result = store.put(collection, id, json);
  }));
  co_return std::move(result);
}

Task<Result<std::optional<std::string>>> AsyncStore::get(std::string collection, std::string id) {
  Result<std::optional<std::string>> result;
  CO_TRY_VOID(co_await run([&](Store& store) { result = store.get(collection, id); }));
  co_return std::move(result);
}

Task<Result<bool>> AsyncStore::erase(std::string collection, std::string id) {
  Result<bool> result = false;
  CO_TRY_VOID(co_await run([&](Store& store) {
    if (const Result<void> may = may_write(); !may)
      result = std::unexpected(may.error());
    else
      result = store.erase(collection, id);
  }));
  co_return std::move(result);
}

Task<Result<std::vector<Document>>> AsyncStore::list(std::string collection) {
  Result<std::vector<Document>> result;
  CO_TRY_VOID(co_await run([&](Store& store) { result = store.list(collection); }));
  co_return std::move(result);
}

Task<Result<void>> AsyncStore::transaction(Change change) {
  Result<void> result;
  CO_TRY_VOID(co_await run([&](Store& store) {
    result = may_write();
    if (result) result = store.transaction([&]() -> Result<void> { return change(store); });
  }));
  co_return std::move(result);
}

Task<void> AsyncStore::close() {
  closed_ = true;
  while (!queue_.empty()) (void)co_await idle_.wait_shielded();
}

}  // namespace dms::db
