// What a deployment does about lost machines and runs, and about starts that failed.
#include "base/log.hpp"
#include "orchestrator/deployment/deployment.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

using namespace protocol;

/// Whether a loss ends an attempt to deploy, see (1).
bool Deployment::fails_attempt(const std::string& node, const std::string& reason) {
  const NodeManifest* placed = parts().node(node);
  if (status() != DeploymentStatus::provisioning || placed == nullptr) return false;
  if (!attempt_failed_) attempt_failed_ = Failure{reason, placed->peer};
  record_.changed().raise();
  return true;
}

Task<void> Deployment::on_lost(std::string node, std::string reason, bool ended) {
  const auto placed = record_->manifest.nodes.find(node);
  if (placed == record_->manifest.nodes.end()) co_return;
  log::warn("orchestrator", "{}: node {}: {}", id(), node, reason);
  if (fails_attempt(node, reason) || status() != DeploymentStatus::running) co_return;
  const std::string peer = placed->second.peer;
  if (ended) replacer_.backoff().failed(peer, actor_->lane().now());
  const bool leased = granted_lease(record_.get(), node) > Duration(0);
  const jobs::OnLoss policy = on_loss(record_->ensemble, node);
  const auto change = [&](DeploymentRecord& record) {
    const auto still = record.manifest.nodes.find(node);
    if (still == record.manifest.nodes.end() || still->second.peer != peer) return;
    if (policy == jobs::OnLoss::fail || (policy == jobs::OnLoss::exclusive && !leased && !ended))
      return fail_lost_node(record, node, reason);
    if (policy == jobs::OnLoss::fast || ended) {
      const std::uint64_t before = record.last_number;
      supersede_node(record, node, false);
      if (ended) mark_over_since(record, before);
      return;
    }
    for (const std::string& name : still->second.allocations) {
      const auto entry = record.manifest.allocations.find(name);
      if (entry == record.manifest.allocations.end() || is_final(entry->second.status)) continue;
      if (entry->second.status == AllocationStatus::running) entry->second.status = AllocationStatus::restarting;
      entry->second.reason = reason;
      add_reason(entry->second.reason, "it is replaced when its lease has ended");
    }
  };
  (void)co_await record_.update_until_stored(change);
  endings_.resume();
}

Task<void> Deployment::on_run_lost(std::string name, std::string run, std::string reason) {
  const AllocationManifest* entry = parts().allocation(name);
  if (entry == nullptr || entry->incarnation != run) co_return;
  const bool fails = on_loss(record_->ensemble, entry->node_id) == jobs::OnLoss::fail;
  co_await give_up_run(std::move(name), std::move(run), std::move(reason), fails, false);
  endings_.resume();
}

Task<void> Deployment::on_start_failed(std::string name, std::string reason, bool may_run) {
  const AllocationManifest* entry = parts().allocation(name);
  if (entry == nullptr) co_return;
  const std::string run = entry->incarnation;
  const bool fails = status() == DeploymentStatus::running && ++start_failures_[name] >= kMaxStartFailures;
  co_await give_up_run(std::move(name), run, std::move(reason), fails, may_run);
}

/// `fails`: its allocation does; otherwise it is placed anew. `may_run`: it is not known to have ended.
Task<void> Deployment::give_up_run(std::string name, std::string run, std::string reason, bool fails, bool may_run) {
  const std::string node = record_->manifest.allocations.at(name).node_id;
  if (fails_attempt(node, reason) || status() != DeploymentStatus::running) co_return;
  const NodeManifest* placed = parts().node(node);
  if (placed == nullptr) co_return;
  log::warn("orchestrator", "{}: {}", id(), reason);
  replacer_.backoff().failed(placed->peer, actor_->lane().now());
  const auto change = [&](DeploymentRecord& record) {
    const auto entry = record.manifest.allocations.find(name);
    if (entry == record.manifest.allocations.end() || entry->second.incarnation != run) return;
    if (fails) return fail_allocation(record, name, reason);
    if (is_final(entry->second.status)) return;
    const std::uint64_t before = record.last_number;
    supersede_run(record, name, may_run && on_loss(record.ensemble, node) == jobs::OnLoss::exclusive);
    if (!may_run) mark_over_since(record, before);
    record.error = reason;
  };
  (void)co_await record_.update_until_stored(change);
}

}  // namespace dms::orchestrator
