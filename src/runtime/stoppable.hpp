// Work on a worker thread that ends soon after it is asked to.
//
// Threads: called on a lane; the work runs on a worker. Cancellation: asks the work to stop, and waits for its end.
#pragma once

#include <functional>
#include <stop_token>

#include "runtime/task.hpp"

namespace dms {

/// Looks at the token between two steps, and ends with an error when it is asked to stop.
using Stoppable = std::function<Result<void>(const std::stop_token&)>;

/// Runs `work` on a worker, and asks it to stop when this is cancelled. Returns what it has returned, or throws what it
/// has thrown, when it has ended; `work` must stay valid until then.
Task<Result<void>> offload_stoppable(const Stoppable& work);

}  // namespace dms
