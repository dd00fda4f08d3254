// What the orchestrator of a node is built from, provided by the node. All of it outlives the orchestrator.
#pragma once

#include <filesystem>
#include <functional>

#include "db/async_store.hpp"
#include "network/network.hpp"
#include "runtime/lane.hpp"
#include "transfer/server.hpp"

namespace dms::orchestrator {

class Market;
struct Wanted;
struct Match;
/// Told of each choice of machines, and what it was made from (matching/matcher.hpp).
using Matched = std::function<void(const Market&, const Wanted&, const Match&)>;

struct Services {
  Lane& lane;
  network::Network& network;
  db::AsyncStore& store;
  std::filesystem::path work_dir;
  std::string boot_id;
  /// Null: inputs and results are not supported.
  transfer::Server* transfers = nullptr;
  /// Whether the executor that only simulations have may be asked for.
  bool simulated = false;
  /// For simulations, which compare each choice with all others.
  Matched matched = {};
};

}  // namespace dms::orchestrator
