#include "runtime/stoppable.hpp"

#include <optional>

#include "runtime/nursery.hpp"

namespace dms {
namespace {

Task<void> run_stoppable(const Stoppable& work, std::stop_token stop, std::optional<Result<void>>& result,
                         Notify& over) {
  const auto running = [&] { return work(stop); };
  result = co_await offload(running);
  over.notify_all();
}

}  // namespace

Task<Result<void>> offload_stoppable(const Stoppable& work) {
  const TaskContext context = co_await this_task();
  std::stop_source stop;
  std::optional<Result<void>> result;
  Notify over;
  Nursery working(*context.lane, "stoppable work");  // it runs to its end, which `stop` brings near
  working.spawn(run_stoppable(work, stop.get_token(), result, over));
  while (!result) {
    const Result<void> waited = co_await over.wait();
    if (waited) continue;
    stop.request_stop();
    break;
  }
  co_await working.join();
  co_return std::move(*result);
}

}  // namespace dms
