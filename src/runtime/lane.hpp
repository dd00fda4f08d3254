// A lane: a single-threaded executor, with the clock and the randomness of the code that runs on it.
//
// Model
//  1. Work posted to a lane runs on that lane, one item at a time; items from one thread run in the order they were
//     posted. Timers run at or after their instant, equal instants in the order they were set.
//  2. An object that belongs to a lane is accessed only from it and needs no lock. post() may be called from any
//     thread; every other method only from the lane itself.
//  3. A real lane is a thread that runs an event loop; a simulated lane shares one thread and a virtual clock with the
//     others of its simulation (simulation/sim_world.hpp). Code behaves the same on both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/random.hpp"
#include "base/time.hpp"

namespace dms {

using Callback = std::move_only_function<void()>;

enum class TimerId : std::uint64_t {};

class Lane {
 public:
  virtual ~Lane() = default;

  virtual void post(Callback work) = 0;
  virtual TimerId call_at(SteadyTime when, Callback work) = 0;
  /// The callback will not run once this returns. Unknown and expired ids are ignored.
  virtual void cancel_timer(TimerId id) = 0;

  [[nodiscard]] virtual SteadyTime now() const = 0;
  [[nodiscard]] virtual UnixTime unix_now() const = 0;
  virtual Random& random() = 0;

  /// Runs `work` where it may block (a worker thread; inline in a simulation), then posts `done` to this lane.
  /// Work that was accepted is always run, and `done` always follows.
  virtual void offload(Callback work, Callback done) = 0;
  /// The same for work of milliseconds that much waits for, such as the database's: it never waits for what offload()
  /// runs, however long that takes.
  virtual void offload_short(Callback work, Callback done) { offload(std::move(work), std::move(done)); }
};

}  // namespace dms
