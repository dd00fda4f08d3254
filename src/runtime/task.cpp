#include "runtime/task.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace dms {

void detail::Waiter::wake() {
  in_notify.unlink();
  in_scope.unlink();
  lane->post([h = handle] { h.resume(); });
}

void detail::PromiseBase::unhandled_exception() noexcept { exception = std::current_exception(); }
void detail::PromiseBase::rethrow() const { std::rethrow_exception(exception); }

bool detail::PromiseBase::start(std::coroutine_handle<> self, std::coroutine_handle<> parent,
                                const TaskContext& inherited) {
  DMS_DEBUG_ASSERT(self && !self.done(), "a task is awaited that was moved from, or a second time");
  continuation = parent;
  if (context.lane == nullptr) context = inherited;
  starting = true;
  self.resume();
  starting = false;
  return !self.done();
}

CancelScope::CancelScope(CancelScope* parent) {
  hook_.owner = this;
  if (parent != nullptr) {
    parent->children_.push_back(hook_);
    reason_ = parent->reason_;
  }
}

void CancelScope::cancel(Errc reason) {
  if (reason_) return;
  reason_ = reason;
  while (waiters_.linked()) {
    auto* w = static_cast<detail::Waiter::Hook*>(waiters_.next)->owner;
    w->cancelled = reason;
    w->wake();
  }
  // Children stay in the list; cancel() of a cancelled child returns at once.
  for (auto* h = children_.next; h != &children_; h = h->next) static_cast<Hook*>(h)->owner->cancel(reason);
}

Result<void> Notify::Awaiter::cancelled() const { return std::unexpected(Error(*waiter_.cancelled, {})); }

Task<Result<void>> sleep_until(SteadyTime when) {
  TaskContext context = co_await this_task();
  bool elapsed = false;
  Notify notify;
  ScopedTimer timer(*context.lane, when, [&] {
    elapsed = true;
    notify.notify_all();
  });
  while (!elapsed) CO_TRY_VOID(co_await notify.wait());
  co_return Result<void>();
}

Task<Result<void>> sleep_for(Duration duration) {
  TaskContext context = co_await this_task();
  co_return co_await sleep_until(context.lane->now() + duration);
}

Task<Result<void>> sleep_unless_clock_is_set(Duration duration) {
  const TaskContext context = co_await this_task();
  const Lane& lane = *context.lane;
  const auto origin = [&lane] { return lane.unix_now() + -lane.now().time_since_epoch(); };
  const SteadyTime until = lane.now() + duration;
  const UnixTime before = origin();
  while (lane.now() < until && std::chrono::abs(origin() - before) < kClockSet)
    CO_TRY_VOID(co_await sleep_until(std::min(until, lane.now() + kClockLook)));
  co_return Result<void>();
}

}  // namespace dms
