// The manifest of a deployment: which node runs which allocation, and its status. Members and names are those of
// NuNet's manifest. Those of features that are refused by name (subnets, contracts, ports) are there with the values
// that say so, as Go writes them. A standby is a node of its own beside those of the ensemble; its allocations have the
// keys `<standby>.<allocation>`.
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
  std::string priv_addr;  ///< in a subnet: empty
  PortMapping ports;
  jobs::HealthCheck healthcheck;
  std::string redundancy_group;
  bool is_standby = false;
  AllocationStatus status = AllocationStatus::pending;
  int exit_code = 0;  // of a task that has ended; not in DMS 0.5.x
  // Not in DMS 0.5.x.
  std::string reason;  ///< why it failed
  std::string incarnation;
  std::int64_t lease_ns = 0;        ///< granted
  std::uint64_t results_limit = 0;  ///< bytes, granted; 0: it has no results
  std::uint32_t restarts = 0;       ///< runs after the first; in a record also the one that is pending
  Health health = Health::unknown;
  std::uint64_t out_size = 0;  ///< bytes that the last run has written
  std::uint64_t err_size = 0;
  double cpu_seconds = 0;  ///< of the run that has ended
  std::uint64_t memory_bytes = 0;
  std::optional<actor::Handle> work;  ///< the actor of its work, if its provider offers one (work.hpp)
  bool collected = false;             ///< the output of a run that has ended is stored here, all that was kept
  static constexpr auto json_fields() {
    using M = AllocationManifest;
    return std::tuple(
        json::field("id", &M::id), json::field("type", &M::type), json::field("node_id", &M::node_id),
        json::field("handle", &M::handle), json::field("dns_name", &M::dns_name),
        json::field("priv_addr", &M::priv_addr), json::field("ports", &M::ports),
        json::field("healthcheck", &M::healthcheck), json::field("redundancy_group", &M::redundancy_group),
        json::field("is_standby", &M::is_standby), json::field("status", &M::status),
        json::field("exit_code", &M::exit_code, json::omit_empty), json::field("reason", &M::reason, json::omit_empty),
        json::field("incarnation", &M::incarnation, json::omit_empty),
        json::field("lease", &M::lease_ns, json::omit_empty),
        json::field("results_limit", &M::results_limit, json::omit_empty),
        json::field("restarts", &M::restarts, json::omit_empty), json::field("health", &M::health, json::omit_empty),
        json::field("stdout_size", &M::out_size, json::omit_empty),
        json::field("stderr_size", &M::err_size, json::omit_empty),
        json::field("cpu_seconds", &M::cpu_seconds, json::omit_empty),
        json::field("memory_bytes", &M::memory_bytes, json::omit_empty),
        json::field("work", &M::work, json::omit_empty), json::field("collected", &M::collected, json::omit_empty));
  }
};

struct NodeManifest {
  std::string id;
  std::string peer;
  actor::Handle handle;
  std::vector<std::string> pub_address;  ///< as its bid says; ours say nothing of it
  capability::Location location;
  std::vector<std::string> allocations;
  std::string redundancy_role = "primary";
  std::string primary_node;
  std::vector<std::string> standby_nodes;
  int standby_index = 0;
  std::string status = "active";
  static constexpr auto json_fields() {
    using M = NodeManifest;
    return std::tuple(json::field("id", &M::id), json::field("peer", &M::peer, json::omit_empty),
                      json::field("handle", &M::handle), json::field("pub_address", &M::pub_address),
                      json::field("location", &M::location), json::field("allocations", &M::allocations),
                      json::field("redundancy_role", &M::redundancy_role),
                      json::field("primary_node", &M::primary_node), json::field("standby_nodes", &M::standby_nodes),
                      json::field("standby_index", &M::standby_index), json::field("status", &M::status));
  }
};

struct EnsembleManifest {
  std::string id;
  std::map<std::string, std::string> metadata;
  actor::Handle orchestrator;
  std::map<std::string, AllocationManifest> allocations;  // by allocation name
  std::map<std::string, NodeManifest> nodes;              // by node name
  jobs::Subnet subnet;
  std::map<std::string, jobs::Contract> contracts;
  static constexpr auto json_fields() {
    using M = EnsembleManifest;
    return std::tuple(json::field("id", &M::id), json::field("metadata", &M::metadata, json::omit_empty),
                      json::field("orchestrator", &M::orchestrator), json::field("allocations", &M::allocations),
                      json::field("nodes", &M::nodes), json::field("subnet", &M::subnet),
                      json::field("contracts", &M::contracts));
  }
};

}  // namespace dms::protocol
