// The messages between an orchestrator and a provider about allocations: reservation (commit), allocation, start,
// output, termination. Tokens authorise a message before its payload is read.
//
// Specification: the behaviours /dms/deployment, /dms/allocation, /dms/orchestrator and /dms/ensemble of NuNet DMS 0.5.x.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "actor/handle.hpp"
#include "capability/capability.hpp"
#include "encoding/json.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/declaration.hpp"

namespace dms::protocol {

/// The answer of most behaviours. `error` is empty exactly when `ok`.
struct Ack {
  bool ok = false;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("OK", &Ack::ok), json::field("Error", &Ack::error));
  }
};

/// Port numbers are JSON object keys, hence strings: public -> private; "0" requests a dynamic one.
using PortMapping = std::map<std::string, int>;

struct CommittedResources : capability::Resources {
  std::string allocation_id;
  static constexpr auto json_fields() {
    using R = CommittedResources;
    using capability::Resources;
    return std::tuple(json::field<R, capability::Cpu>("cpu", &R::cpu),
                      json::field<R, std::vector<capability::Gpu>>("gpus", &R::gpus, json::omit_empty),
                      json::field<R, capability::Ram>("ram", &R::ram),
                      json::field<R, capability::Disk>("disk", &R::disk),
                      json::field("allocationID", &R::allocation_id));
  }
};

struct CommitRequest {
  std::string ensemble_id;
  std::string allocation_name;
  std::string node_id;
  CommittedResources resources;
  PortMapping port_mapping;
  static constexpr auto json_fields() {
    using R = CommitRequest;
    return std::tuple(json::field("EnsembleID", &R::ensemble_id), json::field("AllocationName", &R::allocation_name),
                      json::field("NodeID", &R::node_id), json::field("Resources", &R::resources),
                      json::field("PortMapping", &R::port_mapping));
  }
};

struct AllocationConfig {
  jobs::AllocationType type = jobs::AllocationType::task;
  jobs::ExecutorType executor = jobs::ExecutorType::docker;
  capability::Resources resources;
  jobs::Execution execution;
  std::map<std::string, Bytes> provision_scripts;
  static constexpr auto json_fields() {
    using R = AllocationConfig;
    return std::tuple(json::field("Type", &R::type), json::field("Executor", &R::executor),
                      json::field("Resources", &R::resources), json::field("Execution", &R::execution),
                      json::field("ProvisionScripts", &R::provision_scripts));
  }
};

struct AllocateRequest {
  std::string ensemble_id;
  std::string node_id;
  std::map<std::string, AllocationConfig> allocations;
  static constexpr auto json_fields() {
    using R = AllocateRequest;
    return std::tuple(json::field("EnsembleID", &R::ensemble_id), json::field("NodeID", &R::node_id),
                      json::field("Allocations", &R::allocations));
  }
};

struct AllocateResponse {
  bool ok = false;
  std::string error;
  std::map<std::string, actor::Handle> allocations;
  static constexpr auto json_fields() {
    using R = AllocateResponse;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("Allocations", &R::allocations));
  }
};

struct RevertRequest {
  std::string ensemble_id;
  std::vector<std::string> allocations;
  static constexpr auto json_fields() {
    return std::tuple(json::field("EnsembleID", &RevertRequest::ensemble_id),
                      json::field("AllocsByName", &RevertRequest::allocations));
  }
};

struct StartRequest {
  std::string subnet_ip;
  std::string gateway_ip;
  PortMapping port_mapping;
  static constexpr auto json_fields() {
    using R = StartRequest;
    return std::tuple(json::field("SubnetIP", &R::subnet_ip), json::field("GatewayIP", &R::gateway_ip),
                      json::field("PortMapping", &R::port_mapping));
  }
};

struct AllocationShutdownRequest {
  std::string allocation_id;
  static constexpr auto json_fields() {
    return std::tuple(json::field("AllocationID", &AllocationShutdownRequest::allocation_id));
  }
};

struct AllocationLogsRequest {
  std::string allocation_name;
  static constexpr auto json_fields() {
    return std::tuple(json::field("AllocName", &AllocationLogsRequest::allocation_name));
  }
};

struct AllocationLogsResponse {
  Bytes out;
  Bytes err;
  std::string error;
  static constexpr auto json_fields() {
    using R = AllocationLogsResponse;
    return std::tuple(json::field("Stdout", &R::out), json::field("Stderr", &R::err), json::field("Error", &R::error));
  }
};

struct TerminationError {
  json::Value err;  // always null: NuNet's nodes cannot read a string here
  int exit_code = 0;
  bool killed = false;
  static constexpr auto json_fields() {
    using R = TerminationError;
    return std::tuple(json::field("err", &R::err), json::field("exit_code", &R::exit_code),
                      json::field("killed", &R::killed));
  }
};

/// A provider reports to the orchestrator that a task has ended. Output is limited to its last kTerminationOutput
/// bytes; the logs have all of it.
struct TaskTermination {
  std::string allocation_id;
  std::string status;
  TerminationError error;
  Bytes out;
  Bytes err;
  std::string reason;  // human-readable; an addition to DMS 0.5.x, whose nodes ignore it
  static constexpr auto json_fields() {
    using R = TaskTermination;
    return std::tuple(json::field("allocation_id", &R::allocation_id), json::field("status", &R::status),
                      json::field("error", &R::error), json::field("stdout", &R::out), json::field("stderr", &R::err),
                      json::field("reason", &R::reason, json::omit_empty));
  }
};
inline constexpr std::size_t kTerminationOutput = 256 * 1024;

/// Requests of newer nodes carry the whole id where others carry the allocation's name.
inline std::string full_allocation_id(std::string_view ensemble, std::string_view name) {
  return jobs::ensemble_id(name) == ensemble && name != ensemble ? std::string(name)
                                                                 : jobs::allocation_id(ensemble, name);
}

/// What a provider grants an ensemble's orchestrator over its own node, and over one allocation; what an orchestrator
/// grants its providers.
inline constexpr std::string_view kAllocationNamespace = "/dms/allocation";
inline constexpr std::string_view kOrchestratorNamespace = "/dms/orchestrator";
inline std::string ensemble_namespace(std::string_view ensemble) { return fmt::format("/dms/ensemble/{}", ensemble); }

/// Time limit: for each allocation of the node.
inline constexpr Behaviour<CommitRequest, Ack> kCommit{
    {.path = "/dms/deployment/commit", .help = "Reserve resources for an allocation", .timeout = 3s}};
/// Time limit: for each allocation of the node.
inline constexpr Behaviour<AllocateRequest, AllocateResponse> kAllocate{
    {.path = "/dms/deployment/allocate", .help = "Turn reservations into allocations", .timeout = 5s}};
inline constexpr Behaviour<RevertRequest, Ack> kRevert{
    {.path = "/dms/deployment/revert", .help = "Withdraw bids, reservations and allocations", .timeout = 30s}};
/// The time limit allows for an image that has to be pulled first.
inline constexpr Behaviour<StartRequest, Ack> kAllocationStart{
    {.path = "/dms/allocation/start", .help = "Start an allocation", .timeout = 5min}};
inline constexpr Behaviour<AllocationLogsRequest, AllocationLogsResponse> kAllocationLogs{
    {.path = "/dms/ensemble/{ensemble}/allocation/logs", .help = "Fetch the output of an allocation", .timeout = 2min}};
inline constexpr Behaviour<AllocationShutdownRequest, Ack> kAllocationShutdown{
    {.path = "/dms/ensemble/{ensemble}/allocation/shutdown", .help = "Stop and remove an allocation", .timeout = 15s}};
inline constexpr Behaviour<TaskTermination, Ack> kTaskTermination{
    {.path = "/dms/orchestrator/task-termination",
     .help = "Report the end of a task to its orchestrator",
     .timeout = 10s}};

}  // namespace dms::protocol
