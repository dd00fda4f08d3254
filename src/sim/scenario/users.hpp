// What a user of the simulation does: signed calls to its own node, as commands make them.
//
// Cancellation: these end with the user's actor, when the daemon is killed; what then became of a request is not known.
// Threads: none.
#pragma once

#include <memory>

#include "actor/actor.hpp"
#include "sim/scenario/orders.hpp"

namespace dms::sim {

inline constexpr Duration kAnswer = 5min;  ///< to a new deployment, at most; its deadline, too
/// After an update, until the runs that it did not change are looked at again.
inline constexpr Duration kUndisturbed = 20s;

/// Uploads the order's files, submits it, and does what it plans for its life.
Task<void> submit(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order);
Task<void> shut_down(actor::Actor& user, actor::Handle node, std::string id);

}  // namespace dms::sim
