// The deployments that this node orchestrates for its user: /dms/node/deployment/...
//
// Model
//  1. `new` replies as soon as the deployment exists and is stored; `status` reports its progress and its end.
//  2. A deployment that has ended keeps its record and its output until they are pruned (record.hpp, 4); its actor
//     ends.
//  3. Deployments that an earlier run of the daemon left unfinished are reverted on their providers and marked failed.
//     A record that cannot be read or resumed is reported and skipped.
//
// Threads: the node's lane. Bounds: kMaxDeployments that have not ended.
#pragma once

#include <map>

#include "orchestrator/deployment/deployment.hpp"
#include "orchestrator/services.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kMaxDeployments = 256;
inline constexpr Duration kPruneInterval = 24h;

class Deployments {
 public:
  Deployments(Services services, actor::Actor& root);
  Deployments(const Deployments&) = delete;
  Deployments& operator=(const Deployments&) = delete;

  Task<Result<void>> start();
  Task<void> close();

  /// Deployments that have not ended.
  [[nodiscard]] std::size_t active() const { return active_.size(); }

 private:
  Task<protocol::NewDeploymentReply> create(protocol::NewDeploymentRequest request, const actor::Envelope& envelope);
  Task<Result<std::string>> try_create(protocol::NewDeploymentRequest request, UnixTime expiry);
  Task<protocol::DeploymentListReply> list(protocol::DeploymentListRequest request, const actor::Envelope& envelope);
  Task<protocol::DeploymentStatusReply> status(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentManifestReply> manifest(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentLogsReply> logs(protocol::DeploymentLogsRequest request, const actor::Envelope& envelope);
  Task<protocol::Ack> shutdown(protocol::DeploymentId request, const actor::Envelope& envelope);

  /// Makes the deployment's actor and stores its record.
  Task<Result<Deployment*>> adopt(DeploymentRecord record);
  Task<Result<DeploymentRecord>> record(std::string id);
  Task<void> prune_regularly();
  Task<void> retire(std::string id);

  Services services_;
  RecordStore records_;
  OutputStore output_;
  actor::Actor& root_;
  std::map<std::string, std::shared_ptr<Deployment>> active_;  // shared with handlers that wait on one
  Nursery work_;
};

}  // namespace dms::orchestrator
