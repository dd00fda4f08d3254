// What a provider is built from, provided by the node. All of it outlives the provider.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "actor/actor.hpp"
#include "capability/location.hpp"
#include "executor/executor.hpp"
#include "network/network.hpp"
#include "provider/leases.hpp"
#include "provider/prices.hpp"
#include "resources/manager.hpp"
#include "runtime/stream.hpp"
#include "transfer/server.hpp"

namespace dms::provider {

struct Services {
  Lane& lane;
  network::Network& network;
  resources::Manager& resources;
  /// The executors of this machine, by type.
  std::map<std::string, executor::Executor*> executors;
  std::filesystem::path work_dir;
  capability::Location location;
  bool allow_privileged_docker = false;
  db::AsyncStore& store;
  /// Changes when the machine boots: a SteadyTime of another boot means nothing.
  std::string boot_id;
  LeaseBounds leases = {};
  /// How long the record and the output of work that has ended are kept.
  Duration retention = 24h;
  /// Null: inputs and results are not supported.
  transfer::Server* transfers = nullptr;
  /// Bytes of the results of one allocation.
  std::uint64_t max_results = 100ULL << 30;
  Prices prices = {};
  /// Makes the sockets of the work's actors. Null: work gets none.
  Net* net = nullptr;
  /// Allocations that are held, with those that have ended and are not released.
  std::size_t max_held = 4096;
  std::size_t max_held_by_owner = 1024;
  /// Bytes of their configurations.
  std::size_t max_held_bytes = std::size_t{64} << 20;
  std::size_t max_held_bytes_by_owner = std::size_t{16} << 20;
  /// `retention` of what its lease has ended before it was started: long enough for the notice of that.
  Duration unstarted_retention = 10min;
};

}  // namespace dms::provider
