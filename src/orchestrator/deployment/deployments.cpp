#include "orchestrator/deployment/deployments.hpp"

#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"

namespace dms::orchestrator {

using namespace protocol;

Deployments::Deployments(Services services, actor::Actor& root)
    : services_(std::move(services)), root_(root), work_(services_.lane, "deployments") {}

Result<void> Deployments::start() {
  TRY_VOID(serve(root_, kDeploymentNew, *this, &Deployments::create));
  TRY_VOID(serve(root_, kDeploymentList, *this, &Deployments::list));
  TRY_VOID(serve(root_, kDeploymentStatus, *this, &Deployments::status));
  TRY_VOID(serve(root_, kDeploymentManifest, *this, &Deployments::manifest));
  TRY_VOID(serve(root_, kDeploymentLogs, *this, &Deployments::logs));
  TRY_VOID(serve(root_, kDeploymentShutdown, *this, &Deployments::shutdown));

  TRY(const auto stored, services_.store.list(kDeployments));
  for (const auto& [id, text] : stored) {
    Result<DeploymentRecord> found = json::decode<DeploymentRecord>(text);
    if (!found) {
      log::error("orchestrator", "deployment {} cannot be read back: {}", id, found.error().to_string());
      continue;
    }
    const auto status = parse_deployment_status(found->status);
    if (status && is_final(*status)) continue;
    log::warn("orchestrator", "deployment {} was {} when the daemon ended; reverting it", id, found->status);
    TRY(Deployment * left, adopt(std::move(*found)));
    left->abandon();
  }
  return {};
}

Task<void> Deployments::close() {
  for (const auto path : {kDeploymentNew.path, kDeploymentShutdown.path, kDeploymentLogs.path})
    root_.remove_behaviour(std::string(path));
  for (auto& [id, deployment] : active_) deployment->on_end(nullptr);
  co_await work_.close();
  for (auto& [id, deployment] : active_) co_await deployment->close();
  active_.clear();
}

Result<Deployment*> Deployments::adopt(DeploymentRecord record) {
  const std::string id = record.id;
  TRY(auto child, root_.create_child(id));
  TRY(auto deployment, Deployment::create(services_, std::move(child), std::move(record)));
  deployment->on_end([this, id] { work_.spawn(retire(id)); });
  Deployment* adopted = (active_[id] = std::move(deployment)).get();
  if (Result<void> saved = adopted->save(); !saved) {
    work_.spawn(retire(id));  // it owns a running actor, which only close() can end
    return std::unexpected(saved.error());
  }
  return adopted;
}

Task<void> Deployments::retire(std::string id) {
  auto node = active_.extract(id);
  if (!node.empty()) co_await node.mapped()->close();
}

Task<NewDeploymentReply> Deployments::create(NewDeploymentRequest request, const actor::Envelope& envelope) {
  NewDeploymentReply reply;
  Result<std::string> id = try_create(std::move(request), envelope.expiry());
  if (id) {
    reply.status = "OK";
    reply.ensemble_id = *id;
  } else {
    reply.error = id.error().to_string();
  }
  co_return reply;
}

Result<std::string> Deployments::try_create(NewDeploymentRequest request, UnixTime expiry) {
  Lane& lane = services_.lane;
  const UnixTime now = lane.unix_now();
  if (expiry < now + kMinDeploymentTime)
    return fail(Errc::invalid_argument, "the message must live at least {} s for a deployment; give a longer --timeout",
                std::chrono::duration_cast<std::chrono::seconds>(kMinDeploymentTime).count());
  if (active_.size() >= kMaxDeployments)
    return fail(Errc::limit_exceeded, "{} deployments are active, which is the limit; shut one down first",
                active_.size());
  TRY_VOID(request.ensemble.validate());

  DeploymentRecord record;
  record.id = encode(Base::hex, crypto::sha256(as_bytes(services_.network.self().to_string() +
                                                        encode(Base::hex, lane.random().bytes(16)))));
  record.ensemble = std::move(request.ensemble);
  record.status = to_string(DeploymentStatus::preparing);
  record.created = now.nanos;
  record.deadline = expiry.nanos - static_cast<std::uint64_t>(Duration(kDeploymentReserve).count());
  TRY(Deployment * deployment, adopt(std::move(record)));
  deployment->start();
  return deployment->id();
}

Result<DeploymentRecord> Deployments::record(const std::string& id) const {
  if (const auto it = active_.find(id); it != active_.end()) return it->second->record();
  TRY(const auto stored, services_.store.get(kDeployments, id));
  if (!stored)
    return fail(Errc::not_found, "there is no deployment '{}'; `nunet deployment list` shows those that there are", id);
  return json::decode<DeploymentRecord>(*stored);
}

Task<DeploymentListReply> Deployments::list(DeploymentListRequest request, const actor::Envelope&) {
  DeploymentListReply reply;
  auto stored = services_.store.list(kDeployments);
  if (!stored) {
    log::error("orchestrator", "listing deployments: {}", stored.error().to_string());
    co_return reply;
  }
  for (const auto& [id, text] : *stored) {
    Result<DeploymentRecord> found = json::decode<DeploymentRecord>(text);
    if (!found) continue;  // reported at start-up
    const bool wanted = std::ranges::all_of(request.metadata, [&](const auto& pair) {
      const auto it = found->ensemble.metadata.find(pair.first);
      return it != found->ensemble.metadata.end() && it->second == pair.second;
    });
    if (wanted) reply.deployments[id] = found->status;
  }
  co_return reply;
}

Task<DeploymentStatusReply> Deployments::status(DeploymentId request, const actor::Envelope&) {
  DeploymentStatusReply reply;
  Result<DeploymentRecord> found = record(request.id);
  if (!found) {
    reply.error = found.error().to_string();
    co_return reply;
  }
  reply.status = found->status;
  reply.error = found->error;
  for (const auto& [name, allocation] : found->manifest.allocations) {
    AllocationState& state = reply.allocations[name];
    state.status = allocation.status;
    state.exit_code = allocation.exit_code;
    state.reason = allocation.reason;
    if (const auto node = found->manifest.nodes.find(allocation.node_id); node != found->manifest.nodes.end())
      state.peer = node->second.peer;
  }
  co_return reply;
}

Task<DeploymentManifestReply> Deployments::manifest(DeploymentId request, const actor::Envelope&) {
  DeploymentManifestReply reply;
  Result<DeploymentRecord> found = record(request.id);
  if (found)
    reply.manifest = std::move(found->manifest);
  else
    reply.error = found.error().to_string();
  co_return reply;
}

Task<DeploymentLogsReply> Deployments::logs(DeploymentLogsRequest request, const actor::Envelope&) {
  DeploymentLogsReply reply;
  if (const auto active = active_.find(request.ensemble_id); active != active_.end()) {
    const std::shared_ptr<Deployment> deployment = active->second;
    Result<std::filesystem::path> folder = co_await deployment->logs(request.allocation_name);
    if (folder)
      reply.written_to = folder->string();
    else
      reply.error = folder.error().to_string();
    co_return reply;
  }
  Result<DeploymentRecord> found = record(request.ensemble_id);
  if (!found) {
    reply.error = found.error().to_string();
  } else if (!found->manifest.allocations.contains(request.allocation_name)) {
    reply.error = fmt::format("deployment {} has no allocation '{}' on any machine (it is {})", request.ensemble_id,
                              request.allocation_name, found->status);
  } else {
    const auto folder = services_.work_dir / "deployments" / request.ensemble_id / request.allocation_name;
    std::error_code ec;
    if (std::filesystem::exists(folder, ec))
      reply.written_to = folder.string();
    else
      reply.error = fmt::format("none of the output of {} was kept", request.allocation_name);
  }
  co_return reply;
}

Task<Ack> Deployments::shutdown(DeploymentId request, const actor::Envelope&) {
  const auto active = active_.find(request.id);
  if (active == active_.end()) {
    Result<DeploymentRecord> found = record(request.id);
    co_return Ack{.error = found ? fmt::format("deployment {} is {} already", request.id, found->status)
                                 : found.error().to_string()};
  }
  const std::shared_ptr<Deployment> deployment = active->second;
  Result<void> done = co_await deployment->shutdown();
  co_return done ? Ack{.ok = true} : Ack{.error = done.error().to_string()};
}

}  // namespace dms::orchestrator
