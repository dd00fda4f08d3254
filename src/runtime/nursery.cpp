#include "runtime/nursery.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"

namespace dms {

// The outermost coroutine of a spawned task: owns the task, and destroys itself at the end.
struct Nursery::Root {
  struct promise_type : detail::PromiseBase {
    Root get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() noexcept { DMS_ASSERT(false, "run() lets no exception out"); }
  };
  std::coroutine_handle<promise_type> handle;
};

Nursery::Nursery(Lane& lane, std::string name, CancelScope* parent)
    : lane_(lane), name_(std::move(name)), scope_(parent) {}

Nursery::~Nursery() { DMS_ASSERT(running_ == 0, "nursery '{}' destroyed with {} tasks running", name_, running_); }

Nursery::Root Nursery::run(Nursery& nursery, Task<void> task) {
  try {
    co_await std::move(task);
  } catch (const std::exception& e) {
    (void)DMS_EXPECT(false, "a task of nursery '{}' ended with an exception: {}", nursery.name_, e.what());
  } catch (...) {
    (void)DMS_EXPECT(false, "a task of nursery '{}' ended with an exception of unknown type", nursery.name_);
  }
  task = Task<void>({});  // the frame is destroyed before waiters are notified
  nursery.finished();
}

void Nursery::spawn(Task<void> task) {
  DMS_ASSERT(task.handle(), "a moved-from task is spawned in nursery '{}'", name_);
  Root root = run(*this, std::move(task));
  root.handle.promise().context = {&lane_, &scope_};
  ++running_;
  lane_.post([h = root.handle] { h.resume(); });
}

void Nursery::finished() {
  DMS_ASSERT(running_ > 0, "nursery '{}' has no task that could finish", name_);
  if (--running_ == 0) idle_.notify_all();
}

Task<void> Nursery::join() {
  while (running_ > 0) (void)co_await idle_.wait_shielded();
}

}  // namespace dms
