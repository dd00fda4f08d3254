// What the orchestrator of a node is built from, provided by the node. All of it outlives the orchestrator.
#pragma once

#include <filesystem>

#include "db/async_store.hpp"
#include "network/network.hpp"
#include "runtime/lane.hpp"
#include "transfer/server.hpp"

namespace dms::orchestrator {

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
};

}  // namespace dms::orchestrator
