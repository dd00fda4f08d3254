#include "sim/scenario/tree_checkers.hpp"

#include <utility>

#include "sim/scenario/checkers.hpp"

namespace dms::sim {

void TreeCheckers::deploys(const Order& order, Machine& user) {
  deployments_.try_emplace(order.id, user, order.sent_at, order);
}

void TreeCheckers::begins(const Machine& machine, const executor::Request& request) {
  const auto found = deployments_.find(std::string(jobs::ensemble_id(request.job_id)));
  if (found == deployments_.end()) return;
  found->second.checker.begins(std::string(jobs::allocation_name(request.job_id)), request.execution_id.value,
                               machine.name(), cluster_.world().now());
}

void TreeCheckers::ends(const executor::Request& request, const executor::ExecutionResult& result) {
  const auto found = deployments_.find(std::string(jobs::ensemble_id(request.job_id)));
  if (found == deployments_.end()) return;
  found->second.checker.ends(std::string(jobs::allocation_name(request.job_id)), request.execution_id.value,
                             result.exit_code, result.killed, cluster_.world().now());
}

bool TreeCheckers::may_fail(const std::string& deployment) const {
  const auto found = deployments_.find(deployment);
  return found != deployments_.end() && found->second.checker.may_fail();
}

const std::string& TreeCheckers::peer_of(const Machine& machine) {
  std::string& peer = peers_[&machine];
  if (peer.empty()) peer = machine.peer().to_string();
  return peer;
}

void TreeCheckers::look_at_machines() {
  for (auto& [id, deployment] : deployments_) deployment.running.clear();
  const SteadyTime now = cluster_.world().now();
  for (const auto& machine : cluster_.machines()) {
    for (const auto& [id, work] : machine->work().works) {
      if (!runs(work, now)) continue;
      const auto found = deployments_.find(std::string(jobs::ensemble_id(work.request.job_id)));
      if (found == deployments_.end()) continue;
      found->second.running.push_back(
          {std::string(jobs::allocation_name(work.request.job_id)), id.value, peer_of(*machine), machine->name()});
    }
  }
}

TreeCheckers::Free TreeCheckers::free_machines() {
  const SteadyTime now = cluster_.world().now();
  Free free;
  for (const auto& machine : cluster_.machines()) {
    if (!machine->up() || !machine->resources().onboarded()) continue;
    const crypto::PeerId peer = machine->peer();
    if (causes_.is_liar(peer) || causes_.had_fault(peer, now - kWithoutFault, now)) continue;
    Result<capability::Resources> resources = machine->resources().free();
    if (resources) free.push_back({peer_of(*machine), machine->name(), std::move(*resources)});
  }
  return free;
}

void TreeCheckers::check() {
  look_at_machines();
  std::optional<Free> free;
  if (++looks_ % kFreeEvery == 0 && scenario_.reach >= 1) free = free_machines();
  for (auto& [id, deployment] : deployments_) {
    if (deployment.ended && cluster_.world().now() > *deployment.ended + scenario_.lease + 2 * TreeChecker::kStops)
      continue;
    check(id, deployment, free ? &*free : nullptr);
  }
  count();
}

/// False if nothing is stored of it.
bool TreeCheckers::read(const std::string& id, Deployment& deployment) {
  const Result<std::optional<std::string>> text =
      deployment.user->stored().get(orchestrator::kDeploymentCollection, id);
  if (!text || !*text) return false;
  if (**text == deployment.text) return true;
  Result<orchestrator::DeploymentRecord> record = orchestrator::read_record(id, **text);
  if (!record) return false;  // the node itself says so
  deployment.text = **text;
  deployment.record = std::move(*record);
  return true;
}

void TreeCheckers::check(const std::string& id, Deployment& deployment, const Free* free) {
  if (!read(id, deployment)) return;
  const SteadyTime now = cluster_.world().now();
  if (protocol::is_final(deployment.record->status) && !deployment.ended) deployment.ended = now;
  const crypto::PeerId user = deployment.user->peer();
  TreeChecker::Seen seen;
  seen.now = now;
  seen.record = &*deployment.record;
  seen.running = std::move(deployment.running);
  seen.is_calm = causes_.is_calm(user, id, deployment.since, now);
  seen.looks_for_free = free != nullptr;
  if (free != nullptr && !causes_.had_fault(user, now - TreeChecker::kSought, now)) seen.free = free;
  for (TreeChecker::Wrong& wrong : deployment.checker.check(seen)) {
    if (!reported_.emplace(wrong.property, wrong.about).second) continue;
    report_.add(std::chrono::duration<double>(now.time_since_epoch()).count(), std::move(wrong.property),
                std::move(wrong.detail));
  }
}

void TreeCheckers::count() {
  report_.supervised = deployments_.size();
  report_.failures = report_.comparisons = 0;
  for (const auto& [id, deployment] : deployments_) {
    report_.failures += deployment.checker.failures();
    report_.comparisons += deployment.checker.compared();
  }
}

}  // namespace dms::sim
