// The manifest of a deployment: which node runs which allocation, and its status. Members and names are those of
// NuNet's manifest.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "actor/handle.hpp"
#include "capability/location.hpp"
#include "protocol/allocation.hpp"

namespace dms::protocol {

struct AllocationManifest {
  std::string id;
  std::string type;
  std::string node_id;
  actor::Handle handle;
  std::string dns_name;
  PortMapping ports;
  AllocationStatus status = AllocationStatus::pending;
  int exit_code = 0;  // of a task that has ended; not in DMS 0.5.x
  // Not in DMS 0.5.x.
  std::string reason;  ///< why it failed
  std::string incarnation;
  std::int64_t lease_ns = 0;        ///< granted
  std::uint64_t results_limit = 0;  ///< bytes, granted; 0: it has no results
  std::uint32_t restarts = 0;       ///< runs after the first, on any machine
  Health health = Health::unknown;
  std::uint64_t out_size = 0;  ///< bytes that the last run has written
  std::uint64_t err_size = 0;
  double cpu_seconds = 0;  ///< of the run that has ended
  std::uint64_t memory_bytes = 0;
  bool collected = false;  ///< the output of a run that has ended is stored here, all that was kept
  static constexpr auto json_fields() {
    using M = AllocationManifest;
    return std::tuple(
        json::field("id", &M::id), json::field("type", &M::type), json::field("node_id", &M::node_id),
        json::field("handle", &M::handle), json::field("dns_name", &M::dns_name),
        json::field("ports", &M::ports, json::omit_empty), json::field("status", &M::status),
        json::field("exit_code", &M::exit_code, json::omit_empty), json::field("reason", &M::reason, json::omit_empty),
        json::field("incarnation", &M::incarnation, json::omit_empty),
        json::field("lease", &M::lease_ns, json::omit_empty),
        json::field("results_limit", &M::results_limit, json::omit_empty),
        json::field("restarts", &M::restarts, json::omit_empty), json::field("health", &M::health, json::omit_empty),
        json::field("stdout_size", &M::out_size, json::omit_empty),
        json::field("stderr_size", &M::err_size, json::omit_empty),
        json::field("cpu_seconds", &M::cpu_seconds, json::omit_empty),
        json::field("memory_bytes", &M::memory_bytes, json::omit_empty),
        json::field("collected", &M::collected, json::omit_empty));
  }
};

struct NodeManifest {
  std::string id;
  std::string peer;
  actor::Handle handle;
  capability::Location location;
  std::vector<std::string> allocations;
  static constexpr auto json_fields() {
    using M = NodeManifest;
    return std::tuple(json::field("id", &M::id), json::field("peer", &M::peer, json::omit_empty),
                      json::field("handle", &M::handle), json::field("location", &M::location),
                      json::field("allocations", &M::allocations));
  }
};

struct EnsembleManifest {
  std::string id;
  std::map<std::string, std::string> metadata;
  actor::Handle orchestrator;
  std::map<std::string, AllocationManifest> allocations;  // by allocation name
  std::map<std::string, NodeManifest> nodes;              // by node name
  static constexpr auto json_fields() {
    using M = EnsembleManifest;
    return std::tuple(json::field("id", &M::id), json::field("metadata", &M::metadata, json::omit_empty),
                      json::field("orchestrator", &M::orchestrator), json::field("allocations", &M::allocations),
                      json::field("nodes", &M::nodes));
  }
};

}  // namespace dms::protocol
