#include "runtime/task.hpp"

namespace dms {

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

}  // namespace dms
