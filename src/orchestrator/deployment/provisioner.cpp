#include "orchestrator/deployment/provisioner.hpp"

namespace dms::orchestrator {

using namespace protocol;

Result<void> first_error(const std::vector<Result<void>>& results) {
  for (const auto& result : results)
    if (!result) return result;
  return {};
}

Task<Result<void>> Provisioner::run(Unplaced wanted, Candidate candidate, std::optional<DeploymentStatus> status,
                                    SteadyTime deadline) {
  failed_provider_.clear();
  deadline_ = deadline;
  // The daemon's next start must know every provider that received a request.
  bool wanted_still = false;
  const auto assign = [&](DeploymentRecord& record) {
    wanted_still = !is_final(record.status) && record.status != DeploymentStatus::shutting_down;
    if (!wanted_still) return;
    place(record, wanted, candidate);
    if (status) record.status = *status;
  };
  CO_TRY_VOID(co_await record_.update_until_stored(assign));
  if (!wanted_still) co_return fail(Errc::cancelled, "the deployment is {}", to_string(record_->status));

  std::vector<Task<Result<void>>> commits;
  for (const auto& [node, bid] : candidate) {
    const Duration timeout = remaining(kCommit.timeout * static_cast<int>(wanted.at(node).size()));
    for (const std::string& allocation : wanted.at(node)) {
      capability::Resources resources = record_->ensemble.allocations.at(allocation).resources;
      PortMapping ports = record_->manifest.allocations.at(allocation).ports;
      commits.push_back(commit(node, allocation, bid.handle, std::move(resources), std::move(ports), timeout));
    }
  }
  const std::vector<Result<void>> committed = co_await when_all(std::move(commits), kRequestsAtOnce);
  CO_TRY_VOID(first_error(committed));

  std::vector<Task<Result<void>>> allocations;
  for (const auto& [node, bid] : candidate) {
    const Duration timeout = remaining(kAllocate.timeout * static_cast<int>(wanted.at(node).size()));
    allocations.push_back(allocate(node, wanted.at(node), bid.handle, timeout));
  }
  const std::vector<Result<void>> allocated = co_await when_all(std::move(allocations));
  co_return first_error(allocated);
}

Task<Result<void>> Provisioner::commit(std::string node, std::string allocation, actor::Handle provider,
                                       capability::Resources resources, PortMapping ports, Duration timeout) {
  timeout = remaining(timeout);  // others were sent before
  Result<void> done = co_await providers_.commit(provider, std::move(node), std::move(allocation), std::move(resources),
                                                 std::move(ports), timeout);
  if (!done) failed_provider_ = provider.address.host;
  co_return done;
}

Task<Result<void>> Provisioner::allocate(std::string node, std::vector<std::string> names, actor::Handle provider,
                                         Duration timeout) {
  jobs::Ensemble ensemble = record_->ensemble;
  for (const std::string& name : names) ensemble.allocations.at(name).results = granted_results(record_.get(), name);
  Result<AllocateResponse> made = co_await providers_.allocate(provider, ensemble, node, names, timeout);
  if (!made) {
    failed_provider_ = provider.address.host;
    co_return std::unexpected(made.error());
  }
  CO_TRY_VOID(grants_.give(provider.did));
  bool wanted_here = false;
  const auto keep = [&](DeploymentRecord& record) {
    const auto placed = record.manifest.nodes.find(node);
    wanted_here = placed != record.manifest.nodes.end() && placed->second.peer == provider.address.host;
    if (!wanted_here) return supersede_unknown(record, provider, made->incarnations);
    for (const std::string& name : names) {
      const auto entry = record.manifest.allocations.find(name);
      if (entry == record.manifest.allocations.end() || entry->second.node_id != node) continue;
      if (is_final(entry->second.status)) {  // its node was lost meanwhile
        if (const auto run = made->incarnations.find(name); run != made->incarnations.end())
          supersede_unknown(record, provider, {{name, run->second}});
        continue;
      }
      note_allocated(entry->second, name, *made);
    }
  };
  CO_TRY_VOID(co_await record_.update_until_stored(keep));
  if (!wanted_here) co_return fail(Errc::cancelled, "node {} was taken from {} meanwhile", node, provider.address.host);
  co_return Result<void>();
}

Duration Provisioner::remaining(Duration at_most) const {
  return std::clamp(deadline_ - actor_.lane().now(), Duration(1s), at_most);
}

}  // namespace dms::orchestrator
