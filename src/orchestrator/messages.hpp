// The payloads that orchestrators and providers exchange, as NuNet's other nodes read and write them. Behaviours are in
// behaviours.hpp; who may send what is decided by tokens, before a payload is looked at.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "actor/handle.hpp"
#include "encoding/json.hpp"
#include "capability/capability.hpp"
#include "jobs/ensemble/ensemble.hpp"

namespace dms::orchestrator {

/// The answer of most behaviours. `error` is empty exactly when `ok`.
struct Ack {
  bool ok = false;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("OK", &Ack::ok), json::field("Error", &Ack::error));
  }
};

/// Port numbers are JSON object keys, hence texts: public -> private; "0" asks for a dynamic one.
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
  json::Value err;  // always null: the other implementation cannot read a text here
  int exit_code = 0;
  bool killed = false;
  static constexpr auto json_fields() {
    using R = TerminationError;
    return std::tuple(json::field("err", &R::err), json::field("exit_code", &R::exit_code),
                      json::field("killed", &R::killed));
  }
};

/// A provider tells the orchestrator that a task has ended. Output beyond kTerminationOutput bytes is cut from the front;
/// all of it can be had as logs.
struct TaskTermination {
  std::string allocation_id;
  std::string status;
  TerminationError error;
  Bytes out;
  Bytes err;
  std::string reason;  // in words; ours, ignored by others
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

}  // namespace dms::orchestrator
