#include "runtime/real_runtime.hpp"

#include <boost/asio/signal_set.hpp>
#include <thread>

#include "runtime/busy_poll.hpp"
#include "runtime/nursery.hpp"
#include "runtime/real_lane.hpp"
#include "runtime/real_net.hpp"

namespace dms {
namespace asio = boost::asio;
using boost::system::error_code;

struct RealRuntime::Impl {
  explicit Impl(const Options& options)
      : workers(options.workers), lane(io, workers, short_worker), net(make_real_net(io, lane, options)), signals(io) {}
  ~Impl() {
    workers.join();
    short_worker.join();
  }

  void wait_signal() {
    signals.async_wait([this](error_code ec, int number) {
      if (ec) return;
      on_signal(number);
      wait_signal();
    });
  }

  /// Waits for the next event and runs its handler.
  void wait_for_event() {
    const SteadyTime since = lane.now();
    bool found = false;
    if (several_processors && busy_poll.expects(since)) found = poll_for_event(since);
    if (!found) io.run_one();
    busy_poll.event(since, lane.now(), found);
  }
  bool poll_for_event(SteadyTime since) {
    for (;;) {
      if (io.poll_one() > 0) return true;
      const SteadyTime before = lane.now();
      if (before - since >= BusyPoll::kPollTime) return false;
      std::this_thread::yield();
      if (!busy_poll.keep_polling(before, lane.now())) return false;
    }
  }

  asio::io_context io{1};
  asio::thread_pool workers;
  asio::thread_pool short_worker{1};
  RealLane lane;
  std::unique_ptr<Net> net;
  asio::signal_set signals;
  std::function<void(int)> on_signal;
  const bool several_processors = std::thread::hardware_concurrency() > 1;
  BusyPoll busy_poll;
};

RealRuntime::RealRuntime(Options options) : impl_(std::make_unique<Impl>(options)) {}
RealRuntime::~RealRuntime() = default;

Runtime RealRuntime::runtime() { return {impl_->lane, *impl_->net}; }

void RealRuntime::run(Task<void> task) {
  impl_->lane.adopt_thread();
  Nursery nursery(impl_->lane, "main");
  nursery.spawn(std::move(task));
  auto work = asio::make_work_guard(impl_->io);
  impl_->io.restart();
  for (;;) {
    const bool idle = impl_->lane.run_ready();
    if (nursery.size() == 0) return;
    if (idle)
      impl_->wait_for_event();
    else
      impl_->io.poll_one();
  }
}

void RealRuntime::on_signal(std::vector<int> signals, std::function<void(int)> handler) {
  impl_->on_signal = std::move(handler);
  for (int number : signals) impl_->signals.add(number);
  impl_->wait_signal();
}

}  // namespace dms
