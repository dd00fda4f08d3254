#include "runtime/stoppable.hpp"

#include <exception>
#include <optional>

#include "runtime/nursery.hpp"

namespace dms {
namespace {

struct Outcome {
  std::optional<Result<void>> result;
  std::exception_ptr thrown;
  Notify over;
};

Task<void> run_stoppable(const Stoppable& work, std::stop_token stop, Outcome& outcome) {
  const auto running = [&] { return work(stop); };
  try {
    outcome.result = co_await offload(running);
  } catch (...) {
    outcome.thrown = std::current_exception();
  }
  outcome.over.notify_all();
}

}  // namespace

Task<Result<void>> offload_stoppable(const Stoppable& work) {
  const TaskContext context = co_await this_task();
  std::stop_source stop;
  Outcome outcome;
  Nursery working(*context.lane, "stoppable work");  // it runs to its end, which `stop` brings near
  working.spawn(run_stoppable(work, stop.get_token(), outcome));
  while (!outcome.result && !outcome.thrown) {
    const Result<void> waited = co_await outcome.over.wait();
    if (waited) continue;
    stop.request_stop();
    break;
  }
  co_await working.join();
  if (outcome.thrown) std::rethrow_exception(outcome.thrown);
  co_return std::move(*outcome.result);
}

}  // namespace dms
