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

#include "orchestrator/deployment/deployment.hpp"
#include "orchestrator/services.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kMaxDeployments = 256;
class Deployments {
 public:
  Deployments(Services services, actor::Actor& root);
  Deployments(const Deployments&) = delete;
  Deployments& operator=(const Deployments&) = delete;

  Result<void> start();
  Task<void> close();

  /// Deployments that have not ended.
  [[nodiscard]] std::size_t active() const { return active_.size(); }

 private:
  Task<protocol::NewDeploymentReply> create(protocol::NewDeploymentRequest request, const actor::Envelope& envelope);
  Result<std::string> try_create(protocol::NewDeploymentRequest request, UnixTime expiry);
  Task<protocol::DeploymentListReply> list(protocol::DeploymentListRequest request, const actor::Envelope& envelope);
  Task<protocol::DeploymentStatusReply> status(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentManifestReply> manifest(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentLogsReply> logs(protocol::DeploymentLogsRequest request, const actor::Envelope& envelope);
  Task<protocol::Ack> shutdown(protocol::DeploymentId request, const actor::Envelope& envelope);

  Result<Deployment*> adopt(DeploymentRecord record);
  Result<DeploymentRecord> record(const std::string& id) const;
  Task<void> retire(std::string id);

  Services services_;
  actor::Actor& root_;
  std::map<std::string, std::shared_ptr<Deployment>> active_;  // shared with handlers that wait on one
  Nursery work_;
};

}  // namespace dms::orchestrator
