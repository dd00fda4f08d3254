#include "orchestrator/deployment/deployments.hpp"

#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"

namespace dms::orchestrator {

using namespace protocol;

Deployments::Deployments(Services services, actor::Actor& root)
    : services_(std::move(services)),
      records_(services_.store),
      output_(services_.work_dir),
      root_(root),
      work_(services_.lane, "deployments") {}

Task<Result<void>> Deployments::start() {
  CO_TRY_VOID(serve(root_, kDeploymentNew, *this, &Deployments::create));
  CO_TRY_VOID(serve(root_, kDeploymentList, *this, &Deployments::list));
  CO_TRY_VOID(serve(root_, kDeploymentStatus, *this, &Deployments::status));
  CO_TRY_VOID(serve(root_, kDeploymentManifest, *this, &Deployments::manifest));
  CO_TRY_VOID(serve(root_, kDeploymentLogs, *this, &Deployments::logs));
  CO_TRY_VOID(serve(root_, kDeploymentShutdown, *this, &Deployments::shutdown));

  CO_TRY(RecordStore::Loaded loaded, co_await records_.load_all());
  for (const std::string& id : loaded.unreadable)
    log::error("orchestrator", "the record of deployment {} cannot be read and is skipped; its providers release it",
               id);
  for (DeploymentRecord& record : loaded.records) {
    if (is_final(record.status)) continue;
    const std::string id = record.id;
    log::warn("orchestrator", "deployment {} was {} when the daemon ended; reverting it", id, to_string(record.status));
    Result<Deployment*> unfinished = co_await adopt(std::move(record));
    if (unfinished)
      (*unfinished)->abandon();
    else
      log::error("orchestrator", "deployment {} cannot be resumed and is skipped: {}", id,
                 unfinished.error().to_string());
  }
  work_.spawn(prune_regularly());
  co_return Result<void>();
}

Task<void> Deployments::close() {
  for (const auto path : {kDeploymentNew.path, kDeploymentShutdown.path, kDeploymentLogs.path})
    root_.remove_behaviour(std::string(path));
  for (auto& [id, deployment] : active_) deployment->on_end(nullptr);
  co_await work_.close();
  for (auto& [id, deployment] : active_) co_await deployment->close();
  active_.clear();
}

Task<Result<Deployment*>> Deployments::adopt(DeploymentRecord record) {
  const std::string id = record.id;
  CO_TRY(auto child, root_.create_child(id));
  CO_TRY(auto made, Deployment::create(services_, records_, std::move(child), std::move(record)));
  const std::shared_ptr<Deployment> deployment = std::move(made);
  deployment->on_end([this, id] { work_.spawn(retire(id)); });
  active_[id] = deployment;
  const Result<void> saved = co_await deployment->save();
  if (!saved) {
    work_.spawn(retire(id));  // it owns a running actor, which only close() can end
    co_return std::unexpected(saved.error());
  }
  co_return deployment.get();
}

Task<void> Deployments::retire(std::string id) {
  auto node = active_.extract(id);
  if (!node.empty()) co_await node.mapped()->close();
}

Task<void> Deployments::prune_regularly() {
  for (;;) {
    const Result<std::vector<std::string>> removed = co_await records_.prune(services_.lane.unix_now());
    if (!removed) log::warn("orchestrator", "pruning deployments: {}", removed.error().to_string());
    if (removed)
      for (const std::string& id : *removed) {
        const Result<void> gone = co_await output_.remove(id);
        log::info("orchestrator", "deployment {} is pruned{}", id, gone ? "" : ": " + gone.error().to_string());
      }
    const Result<void> slept = co_await sleep_for(kPruneInterval);
    if (!slept) co_return;
  }
}

Task<NewDeploymentReply> Deployments::create(NewDeploymentRequest request, const actor::Envelope& envelope) {
  NewDeploymentReply reply;
  Task<Result<std::string>> creating = try_create(std::move(request), envelope.expiry());
  const Result<std::string> id = co_await std::move(creating);
  if (id) {
    reply.status = "OK";
    reply.ensemble_id = *id;
  } else {
    reply.error = id.error().to_string();
  }
  co_return reply;
}

Task<Result<std::string>> Deployments::try_create(NewDeploymentRequest request, UnixTime expiry) {
  Lane& lane = services_.lane;
  const UnixTime now = lane.unix_now();
  if (expiry < now + kMinDeploymentTime)
    co_return fail(Errc::invalid_argument,
                   "the message must live at least {} s for a deployment; give a longer --timeout",
                   std::chrono::duration_cast<std::chrono::seconds>(kMinDeploymentTime).count());
  if (active_.size() >= kMaxDeployments)
    co_return fail(Errc::limit_exceeded, "{} deployments are active, which is the limit; shut one down first",
                   active_.size());
  CO_TRY_VOID(request.ensemble.validate());

  DeploymentRecord record;
  record.id = encode(Base::hex, crypto::sha256(as_bytes(services_.network.self().to_string() +
                                                        encode(Base::hex, lane.random().bytes(16)))));
  record.ensemble = std::move(request.ensemble);
  record.created = now.nanos;
  record.deadline = expiry.nanos - static_cast<std::uint64_t>(Duration(kDeploymentReserve).count());
  CO_TRY(Deployment * deployment, co_await adopt(std::move(record)));
  deployment->start();
  co_return deployment->id();
}

Task<Result<DeploymentRecord>> Deployments::record(std::string id) {
  if (const auto it = active_.find(id); it != active_.end()) co_return it->second->record();
  CO_TRY(std::optional<DeploymentRecord> stored, co_await records_.load(id));
  if (!stored)
    co_return fail(Errc::not_found, "there is no deployment '{}'; `nunet deployment list` shows the deployments", id);
  co_return std::move(*stored);
}

Task<DeploymentListReply> Deployments::list(DeploymentListRequest request, const actor::Envelope&) {
  DeploymentListReply reply;
  const Result<RecordStore::Loaded> loaded = co_await records_.load_all();
  if (!loaded) {
    log::error("orchestrator", "listing deployments: {}", loaded.error().to_string());
    co_return reply;
  }
  for (const DeploymentRecord& record : loaded->records) {
    const bool wanted = std::ranges::all_of(request.metadata, [&](const auto& pair) {
      const auto it = record.ensemble.metadata.find(pair.first);
      return it != record.ensemble.metadata.end() && it->second == pair.second;
    });
    if (wanted) reply.deployments[record.id] = to_string(record.status);
  }
  for (const std::string& id : loaded->unreadable) reply.deployments[id] = "Unreadable";
  co_return reply;
}

Task<DeploymentStatusReply> Deployments::status(DeploymentId request, const actor::Envelope&) {
  DeploymentStatusReply reply;
  const Result<DeploymentRecord> found = co_await record(request.id);
  if (!found) {
    reply.error = found.error().to_string();
    co_return reply;
  }
  reply.status = to_string(found->status);
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
  const Result<DeploymentRecord> found = co_await record(request.id);
  if (found)
    reply.manifest = found->manifest;
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
  const Result<DeploymentRecord> found = co_await record(request.ensemble_id);
  if (!found) {
    reply.error = found.error().to_string();
  } else if (!found->manifest.allocations.contains(request.allocation_name)) {
    reply.error = fmt::format("deployment {} has no allocation '{}' on any machine (it is {})", request.ensemble_id,
                              request.allocation_name, to_string(found->status));
  } else {
    const Result<std::filesystem::path> folder = co_await output_.find(request.ensemble_id, request.allocation_name);
    if (folder)
      reply.written_to = folder->string();
    else
      reply.error = folder.error().to_string();
  }
  co_return reply;
}

Task<Ack> Deployments::shutdown(DeploymentId request, const actor::Envelope&) {
  const auto active = active_.find(request.id);
  if (active == active_.end()) {
    const Result<DeploymentRecord> found = co_await record(request.id);
    co_return Ack{.error = found ? fmt::format("deployment {} is {} already", request.id, to_string(found->status))
                                 : found.error().to_string()};
  }
  const std::shared_ptr<Deployment> deployment = active->second;
  Result<void> done = co_await deployment->shutdown();
  co_return done ? Ack{.ok = true} : Ack{.error = done.error().to_string()};
}

}  // namespace dms::orchestrator
