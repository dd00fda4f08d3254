// What a deployment does about lost machines and runs, and about starts that failed.
#include "base/log.hpp"
#include "orchestrator/deployment/deployment.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/standby.hpp"

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
  const std::string_view waits =
      is_sought_elsewhere(record_.get(), node)
          ? "another machine is sought for it; if this one answers before one is found, it goes on there"
          : "it is replaced when its lease has ended";
  const auto change = [&](DeploymentRecord& record) {
    const auto still = record.manifest.nodes.find(node);
    if (still == record.manifest.nodes.end() || still->second.peer != peer) return;
    if (policy == jobs::OnLoss::fail || (policy == jobs::OnLoss::exclusive && !leased && !ended))
      return fail_lost_node(record, node, reason);
    if (ended || (policy == jobs::OnLoss::fast && (!leased || has_standby(record, node)))) {
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
      add_reason(entry->second.reason, waits);
    }
  };
  (void)co_await record_.update_until_stored(change);
  endings_.resume();
}

Task<void> Deployment::on_run_lost(std::string name, std::string run, std::string reason) {
  const AllocationManifest* entry = parts().allocation(name);
  if (entry == nullptr || entry->incarnation != run) co_return;
  RunLoss loss;
  loss.fails =
      status() == DeploymentStatus::running && on_loss(record_->ensemble, entry->node_id) == jobs::OnLoss::fail;
  if (!loss.fails) replacer_.on_run_lost(name, run, reason);
  loss.allocation = std::move(name);
  loss.run = std::move(run);
  loss.reason = std::move(reason);
  co_await give_up_run(std::move(loss));
  endings_.resume();
}

Task<void> Deployment::on_start_failed(std::string name, std::string reason, bool may_run) {
  const AllocationManifest* entry = parts().allocation(name);
  if (entry == nullptr) co_return;
  StartFailures& failures = start_failures_[name];
  if (const std::uint64_t start = starts_of(record_.get(), name); start != failures.start) {
    failures = StartFailures();
    failures.start = start;
  }
  failures.last = reason;
  ++failures.count;
  failures.pinned = is_pinned(record_.get(), entry->node_id);
  if (may_run)
    failures.refusals = 0;
  else if (failures.refusals++ == 0)
    failures.refused_since = actor_->lane().now();
  if (status() == DeploymentStatus::provisioning && failures.pinned && failures.refusals >= kMaxStartFailures &&
      actor_->lane().now() - failures.refused_since >= kStartRefusalPatience) {
    refused_start_ = std::move(name);
    record_.changed().raise();
    co_return;
  }
  RunLoss loss;
  loss.fails = status() == DeploymentStatus::running && failures.count >= kMaxStartFailures;
  loss.moves = status() == DeploymentStatus::provisioning && failures.count % kMaxStartFailures == 0;
  loss.run = entry->incarnation;
  loss.allocation = std::move(name);
  loss.reason = std::move(reason);
  loss.may_run = may_run;
  co_await give_up_run(std::move(loss));
}

Task<void> Deployment::give_up_run(RunLoss loss) {
  const std::string& name = loss.allocation;
  const std::string node = record_->manifest.allocations.at(name).node_id;
  const bool nothing_else = !others_have_begun(record_.get(), name) && unplaced(record_.get()).empty();
  if (nothing_else && fails_attempt(node, loss.reason)) co_return;
  if (status() != DeploymentStatus::provisioning && status() != DeploymentStatus::running) co_return;
  const NodeManifest* placed = parts().node(node);
  if (placed == nullptr) co_return;
  log::warn("orchestrator", "{}: {}", id(), loss.reason);
  replacer_.backoff().failed(placed->peer, actor_->lane().now());
  const bool is_known = record_->ensemble.nodes.contains(node);
  const bool moves = loss.moves && is_known && !is_pinned(record_.get(), node);
  const auto change = [&](DeploymentRecord& record) {
    const auto entry = record.manifest.allocations.find(name);
    if (entry == record.manifest.allocations.end() || entry->second.incarnation != loss.run) return;
    if (loss.fails) return fail_allocation(record, name, loss.reason);
    if (is_final(entry->second.status)) return;
    record.error = loss.reason;
    if (moves && !is_collecting(record, node))
      return supersede_node(record, node, on_loss(record.ensemble, node) != jobs::OnLoss::fast);
    const std::uint64_t before = record.last_number;
    supersede_run(record, name, loss.may_run && on_loss(record.ensemble, node) == jobs::OnLoss::exclusive);
    if (!loss.may_run) mark_over_since(record, before);
  };
  (void)co_await record_.update_until_stored(change);
}

}  // namespace dms::orchestrator
