#include "orchestrator/deployment/provider_client.hpp"

#include "protocol/serve.hpp"

namespace dms::orchestrator {

using namespace protocol;

Result<void> accepted(const Result<Ack>& reply, std::string_view what) {
  if (!reply) return fail(reply.error(), "{}", what);
  if (!reply->ok) return fail(Errc::permission_denied, "{}: refused: {}", what, reply->error);
  return {};
}

Task<Result<void>> ProviderClient::commit(actor::Handle provider, std::string node, std::string allocation,
                                          capability::Resources resources, PortMapping ports, Duration timeout) {
  CommitRequest request;
  request.ensemble_id = deployment_;
  request.allocation_name = allocation;
  request.node_id = std::move(node);
  static_cast<capability::Resources&>(request.resources) = std::move(resources);
  request.resources.allocation_id = jobs::allocation_id(deployment_, allocation);
  request.port_mapping = std::move(ports);
  const Result<Ack> reply = co_await call(actor_, kCommit, provider, request, timeout);
  co_return accepted(reply, fmt::format("committing {} on {}", allocation, provider.address.host));
}

Task<Result<std::map<std::string, actor::Handle>>> ProviderClient::allocate(actor::Handle provider,
                                                                            const jobs::Ensemble& ensemble,
                                                                            std::string node, Duration timeout) {
  AllocateRequest request;
  request.ensemble_id = deployment_;
  request.node_id = node;
  for (const std::string& name : ensemble.nodes.at(node).allocations) {
    const jobs::Allocation& spec = ensemble.allocations.at(name);
    AllocationConfig& config = request.allocations[name];
    config.type = spec.type;
    config.executor = spec.executor;
    config.resources = spec.resources;
    config.execution = spec.execution;
    for (const std::string& script : spec.provision) config.provision_scripts[script] = ensemble.scripts.at(script);
  }
  const std::string what = fmt::format("allocating node {} on {}", node, provider.address.host);
  Result<AllocateResponse> reply = co_await call(actor_, kAllocate, provider, request, timeout);
  if (!reply) co_return fail(reply.error(), "{}", what);
  if (!reply->ok) co_return fail(Errc::permission_denied, "{}: refused: {}", what, reply->error);
  for (const auto& [name, config] : request.allocations) {
    const auto handle = reply->allocations.find(name);
    if (handle == reply->allocations.end() || handle->second.address.host != provider.address.host)
      co_return fail(Errc::invalid_argument, "{}: the reply has no handle for {}", what, name);
  }
  co_return std::move(reply->allocations);
}

actor::Envelope ProviderClient::start_message(const AllocationManifest& allocation, Duration timeout) const {
  StartRequest request;
  request.port_mapping = allocation.ports;
  return message(actor_, kAllocationStart, allocation.handle, request, timeout);
}

Task<Result<void>> ProviderClient::stop(actor::Handle provider, std::string allocation_id) {
  AllocationShutdownRequest request;
  request.allocation_id = allocation_id;
  const Result<Ack> reply = co_await call(actor_, kAllocationShutdown, provider, request, std::nullopt,
                                          path_of(kAllocationShutdown, deployment_));
  co_return accepted(reply,
                     fmt::format("stopping {} on {}", jobs::allocation_name(allocation_id), provider.address.host));
}

Task<Result<void>> ProviderClient::revert(NodeManifest node, Duration timeout) {
  RevertRequest request;
  request.ensemble_id = deployment_;
  request.allocations = node.allocations;
  const Result<Ack> reply = co_await call(actor_, kRevert, node.handle, request, timeout);
  co_return accepted(reply, fmt::format("reverting node {} on {}", node.id, node.peer));
}

Task<Result<AllocationLogsResponse>> ProviderClient::logs(actor::Handle provider, std::string allocation) {
  AllocationLogsRequest request;
  request.allocation_name = allocation;
  Result<AllocationLogsResponse> reply =
      co_await call(actor_, kAllocationLogs, provider, request, std::nullopt, path_of(kAllocationLogs, deployment_));
  if (!reply) co_return fail(reply.error(), "fetching the output of {}", allocation);
  if (!reply->error.empty()) co_return fail(Errc::not_found, "fetching the output of {}: {}", allocation, reply->error);
  co_return reply;
}

}  // namespace dms::orchestrator
