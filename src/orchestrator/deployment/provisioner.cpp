#include "orchestrator/deployment/provisioner.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {

/// Assigns the allocations to machines.
void place(DeploymentRecord& record, const Candidate& candidate) {
  EnsembleManifest& manifest = record.manifest;
  manifest.nodes.clear();
  manifest.allocations.clear();
  for (const auto& [name, bid] : candidate) {
    const jobs::Node& node = record.ensemble.nodes.at(name);
    NodeManifest& made = manifest.nodes[name];
    made.id = name;
    made.peer = bid.peer;
    made.handle = bid.handle;
    made.location = bid.location;
    made.allocations = node.allocations;
    for (const std::string& allocation : node.allocations) {
      const jobs::Allocation& spec = record.ensemble.allocations.at(allocation);
      AllocationManifest& entry = manifest.allocations[allocation];
      entry.id = jobs::allocation_id(record.id, allocation);
      entry.type = jobs::to_string(spec.type);
      entry.node_id = name;
      entry.dns_name = spec.dns_name;
      for (const jobs::Port& port : record.ensemble.ports_of(allocation))
        entry.ports[std::to_string(port.public_port)] = port.private_port;
    }
  }
}

}  // namespace

Result<void> first_error(const std::vector<Result<void>>& results) {
  for (const auto& result : results)
    if (!result) return result;
  return {};
}

Task<Result<void>> Provisioner::run(Candidate candidate) {
  // The daemon's next start must know every provider that received a request.
  const auto commit_state = [&candidate](DeploymentRecord& record) {
    place(record, candidate);
    record.status = DeploymentStatus::committing;
  };
  CO_TRY_VOID(co_await record_.update_until_stored(commit_state));

  std::vector<Task<Result<void>>> commits;
  for (const auto& [node, bid] : candidate)
    for (const std::string& allocation : record_->ensemble.nodes.at(node).allocations)
      commits.push_back(commit(node, allocation, bid.handle));
  const std::vector<Result<void>> committed = co_await when_all(std::move(commits));
  CO_TRY_VOID(first_error(committed));

  std::vector<Task<Result<void>>> allocations;
  for (const auto& [node, bid] : candidate) allocations.push_back(allocate(node, bid.handle));
  const std::vector<Result<void>> allocated = co_await when_all(std::move(allocations));
  CO_TRY_VOID(first_error(allocated));

  const auto provision_state = [](DeploymentRecord& record) { record.status = DeploymentStatus::provisioning; };
  CO_TRY_VOID(co_await record_.update_until_stored(provision_state));
  std::vector<Task<Result<void>>> starts;
  for (const auto& [node, bid] : candidate) starts.push_back(start(node, bid.peer));
  const std::vector<Result<void>> started = co_await when_all(std::move(starts));
  co_return first_error(started);
}

Task<Result<void>> Provisioner::commit(std::string node, std::string allocation, actor::Handle provider) {
  const jobs::Ensemble& ensemble = record_->ensemble;
  const Duration timeout = remaining(kCommit.timeout * static_cast<int>(ensemble.nodes.at(node).allocations.size()));
  Result<void> done =
      co_await providers_.commit(provider, node, allocation, ensemble.allocations.at(allocation).resources,
                                 record_->manifest.allocations.at(allocation).ports, timeout);
  if (!done) failed_provider_ = provider.address.host;
  co_return done;
}

Task<Result<void>> Provisioner::allocate(std::string node, actor::Handle provider) {
  const Duration timeout =
      remaining(kAllocate.timeout * static_cast<int>(record_->ensemble.nodes.at(node).allocations.size()));
  auto handles = co_await providers_.allocate(provider, record_->ensemble, node, timeout);
  if (!handles) {
    failed_provider_ = provider.address.host;
    co_return std::unexpected(handles.error());
  }
  const auto keep_handles = [&handles](DeploymentRecord& record) {
    for (const auto& [name, handle] : *handles)
      if (const auto entry = record.manifest.allocations.find(name); entry != record.manifest.allocations.end())
        entry->second.handle = handle;
  };
  CO_TRY_VOID(co_await record_.update_until_stored(keep_handles));
  co_return grants_.give(provider.did);
}

Task<Result<void>> Provisioner::start(std::string node, std::string provider) {
  for (const std::string& name : record_->ensemble.start_order(node)) {
    const AllocationManifest& allocation = record_->manifest.allocations.at(name);
    actor::Envelope request = providers_.start_message(allocation, remaining(kAllocationStart.timeout));
    const Result<Ack> reply = co_await liveness_.call<Ack>(actor_, provider, std::move(request));
    if (Result<void> started = accepted(reply, fmt::format("starting {} on {}", name, provider)); !started) {
      failed_provider_ = provider;
      co_return started;
    }
    // The notice that a short task has ended may arrive before the reply to its start.
    const auto mark_running = [&name](DeploymentRecord& record) {
      AllocationStatus& status = record.manifest.allocations.at(name).status;
      if (!is_final(status)) status = AllocationStatus::running;
    };
    CO_TRY_VOID(co_await record_.update_until_stored(mark_running));
  }
  co_return Result<void>();
}

Duration Provisioner::remaining(Duration at_most) const {
  const UnixTime now = actor_.lane().unix_now();
  if (now.nanos >= record_->deadline) return Duration(0);
  return std::min(at_most, UnixTime{record_->deadline} - now);
}

}  // namespace dms::orchestrator
