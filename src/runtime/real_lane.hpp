// The lane of RealRuntime: a thread that runs an event loop, with the system's clocks and randomness. Internal to the
// runtime.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <optional>
#include <thread>

#include "runtime/lane.hpp"
#include "runtime/timer_queue.hpp"

namespace dms {

/// Work posted from the lane's own thread goes to a queue of the lane; only posts from other threads go through the
/// event loop. So a chain of posts does not poll the sockets in between.
class RealLane final : public Lane {
 public:
  RealLane(boost::asio::io_context& io, boost::asio::thread_pool& workers, boost::asio::thread_pool& short_worker)
      : io_(io), workers_(workers), short_worker_(short_worker), alarm_(io) {}

  void post(Callback work) override {
    if (thread_.load(std::memory_order_relaxed) == std::this_thread::get_id())
      ready_.push_back(std::move(work));
    else
      boost::asio::post(io_, std::move(work));
  }
  /// From now on the calling thread is the lane's.
  void adopt_thread() { thread_.store(std::this_thread::get_id(), std::memory_order_relaxed); }
  /// Runs what is ready, and what becomes ready meanwhile, but at most kBatch items, so that sockets and timers are
  /// served. False if something is left.
  bool run_ready() {
    for (std::size_t i = 0; i < kBatch && !ready_.empty(); ++i) {
      Callback work = std::move(ready_.front());
      ready_.pop_front();
      work();
    }
    return ready_.empty();
  }

  TimerId call_at(SteadyTime when, Callback work) override {
    on_lane();
    const TimerId id = timers_.add(when, std::move(work));
    arm();
    return id;
  }
  void cancel_timer(TimerId id) override {
    on_lane();
    timers_.cancel(id);
  }

  [[nodiscard]] SteadyTime now() const override;
  [[nodiscard]] UnixTime unix_now() const override;
  Random& random() override { return random_; }

  void offload(Callback work, Callback done) override { offload_to(workers_, std::move(work), std::move(done)); }
  void offload_short(Callback work, Callback done) override {
    offload_to(short_worker_, std::move(work), std::move(done));
  }

 private:
  static constexpr std::size_t kBatch = 256;

  /// Timers belong to the lane (fatal).
  void on_lane() const;
  void offload_to(boost::asio::thread_pool& pool, Callback work, Callback done);
  void arm();

  boost::asio::io_context& io_;
  boost::asio::thread_pool& workers_;
  boost::asio::thread_pool& short_worker_;
  boost::asio::steady_timer alarm_;
  std::optional<SteadyTime> armed_;
  TimerQueue timers_;
  SystemRandom random_;
  std::atomic<std::thread::id> thread_ = std::this_thread::get_id();
  std::deque<Callback> ready_;
};

}  // namespace dms
