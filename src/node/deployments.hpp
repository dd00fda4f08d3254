// The deployments that this node orchestrates for its user: /dms/node/deployment/...
//
// Model
//  1. new answers as soon as the deployment exists and is written down; its progress and its end are asked for with
//     status.
//  2. A deployment that has ended keeps its record and its output; its actor goes.
//  3. What an earlier run of the daemon left unfinished is reverted on its machines and marked failed.
//
// Threads: the node's lane. Bounds: kMaxDeployments that have not ended.
#pragma once

#include <map>

#include "node/serve.hpp"
#include "node/services.hpp"
#include "orchestrator/deployment/deployment.hpp"

namespace dms::node {

inline constexpr std::size_t kMaxDeployments = 256;
/// A new deployment's message must live this long; the rest of its life, less kDeploymentReserve, is the deployment's deadline.
inline constexpr Duration kMinDeploymentTime = 59s;
inline constexpr Duration kDeploymentReserve = 15s;

struct NewDeploymentRequest {
  jobs::Ensemble ensemble;
  static constexpr auto json_fields() { return std::tuple(json::field("Ensemble", &NewDeploymentRequest::ensemble)); }
};
struct NewDeploymentReply {
  std::string status = "ERROR";
  std::string ensemble_id;
  std::string error;
  static constexpr auto json_fields() {
    using R = NewDeploymentReply;
    return std::tuple(json::field("Status", &R::status), json::field("EnsembleID", &R::ensemble_id, json::omit_empty),
                      json::field("Error", &R::error, json::omit_empty));
  }
};

struct DeploymentListRequest {
  std::map<std::string, std::string> metadata;  // all must match
  static constexpr auto json_fields() { return std::tuple(json::field("Metadata", &DeploymentListRequest::metadata)); }
};
struct DeploymentListReply {
  std::map<std::string, std::string> deployments;  // id -> status
  static constexpr auto json_fields() {
    return std::tuple(json::field("Deployments", &DeploymentListReply::deployments));
  }
};

struct DeploymentId {
  std::string id;
  static constexpr auto json_fields() { return std::tuple(json::field("ID", &DeploymentId::id)); }
};
struct AllocationState {
  orchestrator::AllocationStatus status{};
  std::string peer;
  int exit_code = 0;
  std::string reason;
  static constexpr auto json_fields() {
    using S = AllocationState;
    return std::tuple(json::field("status", &S::status), json::field("peer", &S::peer),
                      json::field("exit_code", &S::exit_code), json::field("reason", &S::reason, json::omit_empty));
  }
};
/// `error` is why the deployment failed, or why it is not known. `allocations` and `reason` are ours.
struct DeploymentStatusReply {
  std::string status;
  std::string error;
  std::map<std::string, AllocationState> allocations;
  static constexpr auto json_fields() {
    using R = DeploymentStatusReply;
    return std::tuple(json::field("Status", &R::status), json::field("Error", &R::error),
                      json::field("Allocations", &R::allocations, json::omit_empty));
  }
};
struct DeploymentManifestReply {
  orchestrator::EnsembleManifest manifest;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("manifest", &DeploymentManifestReply::manifest),
                      json::field("error", &DeploymentManifestReply::error, json::omit_empty));
  }
};
struct DeploymentLogsRequest {
  std::string ensemble_id;
  std::string allocation_name;
  static constexpr auto json_fields() {
    return std::tuple(json::field("EnsembleID", &DeploymentLogsRequest::ensemble_id),
                      json::field("AllocationName", &DeploymentLogsRequest::allocation_name));
  }
};
struct DeploymentLogsReply {
  std::string written_to;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("LogsWrittenTo", &DeploymentLogsReply::written_to),
                      json::field("Error", &DeploymentLogsReply::error));
  }
};

class Deployments {
 public:
  Deployments(Services& services, const Options& options, actor::Actor& root);
  Deployments(const Deployments&) = delete;
  Deployments& operator=(const Deployments&) = delete;

  Result<void> start();
  Task<void> close();

  /// Deployments that have not ended.
  [[nodiscard]] std::size_t active() const { return active_.size(); }

 private:
  Task<NewDeploymentReply> create(NewDeploymentRequest request, const actor::Envelope& envelope);
  Result<std::string> try_create(NewDeploymentRequest request, UnixTime expiry);
  Task<DeploymentListReply> list(DeploymentListRequest request, const actor::Envelope& envelope);
  Task<DeploymentStatusReply> status(DeploymentId request, const actor::Envelope& envelope);
  Task<DeploymentManifestReply> manifest(DeploymentId request, const actor::Envelope& envelope);
  Task<DeploymentLogsReply> logs(DeploymentLogsRequest request, const actor::Envelope& envelope);
  Task<orchestrator::Ack> shutdown(DeploymentId request, const actor::Envelope& envelope);

  Result<orchestrator::Deployment*> adopt(orchestrator::DeploymentRecord record);
  Result<orchestrator::DeploymentRecord> record(const std::string& id) const;
  Task<void> retire(std::string id);

  Services& services_;
  const Options& options_;
  actor::Actor& root_;
  std::map<std::string, std::shared_ptr<orchestrator::Deployment>> active_;  // shared with handlers that wait on one
  Nursery work_;
};

}  // namespace dms::node
