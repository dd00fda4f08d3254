// What a node is built from, provided by the daemon (real) or by a simulation.
#pragma once

#include <functional>

#include "hardware/host.hpp"
#include "orchestrator/services.hpp"
#include "provider/services.hpp"

namespace dms::node {

/// All of it outlives the node.
struct Services {
  Runtime runtime;
  network::Network& network;
  db::AsyncStore& store;
  resources::Manager& resources;
  /// The executors of this machine, by type.
  std::map<std::string, executor::Executor*> executors;
  /// The resources of this machine, and how much of them is in use.
  std::function<Result<capability::Resources>()> machine;
  std::function<Result<capability::Resources>()> usage;
  /// Changes when the machine boots: a SteadyTime of another boot means nothing.
  std::string boot_id;
  /// Of this machine, for its status.
  std::function<Result<std::string>()> hostname = {};
  std::function<Result<std::vector<hardware::Interface>>()> interfaces = {};
  /// In simulations.
  orchestrator::Matched matched = {};
};

struct Options {
  std::filesystem::path work_dir;
  capability::Location location;
  bool allow_privileged_docker = false;
  /// Of the work of other nodes' orchestrators here, and of what it leaves.
  provider::LeaseBounds leases = {};
  Duration retention = 24h;
  std::uint64_t max_results = 100ULL << 30;  ///< bytes, of one allocation
  provider::Prices prices = {};
  /// Where the capability context is kept; empty in simulations.
  std::filesystem::path capabilities_file;
  /// The settings that the node's status shows: config::Loaded::shown().
  json::Value config = json::Object();
};

}  // namespace dms::node
