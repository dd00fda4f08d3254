#include "runtime/real_lane.hpp"

#include <time.h>

#include "base/assert.hpp"

namespace dms {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {
/// The alarm is an event of CLOCK_MONOTONIC, which stands still while the machine is suspended. So it is set for this long at
/// most, and then compared with now().
constexpr Duration kMaxAlarm = 10s;
}  // namespace

// The time since boot with the time in suspension: a lease ends at the same instant for both of its parties.
SteadyTime RealLane::now() const {
  timespec time{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &time);
  return SteadyTime(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}
UnixTime RealLane::unix_now() const {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return {static_cast<std::uint64_t>(std::chrono::duration_cast<Duration>(since).count())};
}

void RealLane::offload_to(asio::thread_pool& pool, Callback work, Callback done) {
  asio::post(pool,
             [this, guard = asio::make_work_guard(io_), work = std::move(work), done = std::move(done)]() mutable {
               work();
               post(std::move(done));
             });
}

void RealLane::on_lane() const {
  DMS_ASSERT(thread_.load(std::memory_order_relaxed) == std::this_thread::get_id(),
             "a timer of a lane is used by another thread");
}

void RealLane::arm() {
  const auto earliest = timers_.earliest();
  if (!earliest || (armed_ && *armed_ <= *earliest)) return;
  armed_ = earliest;
  alarm_.expires_after(std::min(*earliest - now(), kMaxAlarm));
  alarm_.async_wait([this](error_code ec) {
    if (ec == asio::error::operation_aborted) return;  // replaced by an earlier one
    armed_.reset();
    while (auto due = timers_.pop_due(now())) (*due)();
    arm();
  });
}

}  // namespace dms
