#include "orchestrator/deployment/deployments.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"
#include "jobs/ensemble/supported.hpp"
#include "orchestrator/deployment/views.hpp"

namespace dms::orchestrator {

using namespace protocol;

Deployments::Deployments(Services services, actor::Actor& root)
    : services_(std::move(services)),
      records_(services_.store),
      output_(services_.work_dir),
      blobs_(services_.work_dir),
      heartbeats_(services_.lane, services_.network),
      root_(root),
      work_(services_.lane, "deployments") {}

Task<Result<void>> Deployments::start() {
  CO_TRY_VOID(serve(root_, kDeploymentNew, *this, &Deployments::create));
  CO_TRY_VOID(serve(root_, kDeploymentList, *this, &Deployments::list));
  CO_TRY_VOID(serve(root_, kDeploymentStatus, *this, &Deployments::status));
  CO_TRY_VOID(serve(root_, kDeploymentInfo, *this, &Deployments::info));
  CO_TRY_VOID(serve(root_, kDeploymentExplain, *this, &Deployments::explain));
  CO_TRY_VOID(serve(root_, kDeploymentPlan, *this, &Deployments::plan));
  CO_TRY_VOID(serve(root_, kDeploymentManifest, *this, &Deployments::manifest));
  CO_TRY_VOID(serve(root_, kDeploymentLogs, *this, &Deployments::logs));
  CO_TRY_VOID(serve(root_, kDeploymentInput, *this, &Deployments::input));
  CO_TRY_VOID(serve(root_, kDeploymentUpdate, *this, &Deployments::update));
  CO_TRY_VOID(serve(root_, kDeploymentShutdown, *this, &Deployments::shutdown));
  CO_TRY_VOID(serve(root_, kDeploymentDelete, *this, &Deployments::remove));
  CO_TRY_VOID(serve(root_, kDeploymentPrune, *this, &Deployments::prune));

  CO_TRY(RecordStore::Loaded loaded, co_await records_.load_all());
  for (const auto& [id, why] : loaded.unreadable)
    log::error("orchestrator", {{"deployment", id}},
               "the record of deployment {} cannot be read and is skipped; its providers release it: {}", id, why);
  for (DeploymentRecord& record : loaded.records) {
    if (is_final(record.status) && !record.unsettled()) continue;
    const std::string id = record.id;
    log::info("orchestrator", "deployment {} was {} when the daemon ended; it goes on", id, to_string(record.status));
    co_await output_.remove_unfinished(id);
    Result<Deployment*> unfinished = co_await adopt(std::move(record));
    if (unfinished)
      (*unfinished)->resume();
    else
      log::error("orchestrator", "deployment {} cannot be resumed and is skipped: {}", id,
                 unfinished.error().to_string());
  }
  work_.spawn(prune_regularly());
  work_.spawn(remove_unreferred_inputs());
  co_return Result<void>();
}

Task<void> Deployments::close() {
  closed_ = true;
  for (const auto path : {kDeploymentNew.path, kDeploymentUpdate.path, kDeploymentShutdown.path, kDeploymentLogs.path,
                          kDeploymentPlan.path, kDeploymentInput.path, kDeploymentDelete.path, kDeploymentPrune.path})
    root_.remove_behaviour(std::string(path));
  for (auto& [id, deployment] : active_) deployment->on_end(nullptr);
  co_await work_.close();
  while (!active_.empty()) {  // requests that are under way take from it, too
    const auto node = active_.extract(active_.begin());
    co_await node.mapped()->close();
  }
  co_await heartbeats_.close();
}

/// The record is not stored here: what a restart finds is stored already, and a new one is stored by its caller.
Task<Result<Deployment*>> Deployments::adopt(DeploymentRecord record) {
  if (closed_) co_return fail(Errc::closed, "the daemon stops");
  const std::string id = record.id;
  actor::ChildOptions options;
  options.key = root_.security().key().derive("deployment/" + id);
  CO_TRY(auto child, root_.create_child(id, std::move(options)));
  CO_TRY(auto made, Deployment::create(services_, records_, heartbeats_, std::move(child), std::move(record)));
  const Found deployment = std::move(made);
  deployment->on_end([this, id] { work_.spawn(retire(id)); });
  active_[id] = deployment;
  co_return deployment.get();
}

Task<void> Deployments::retire(std::string id) {
  auto node = active_.extract(id);
  if (!node.empty()) co_await node.mapped()->close();
}

std::set<std::string> Deployments::providers() const {
  std::set<std::string> peers;
  for (const auto& [id, deployment] : active_) {
    for (const auto& [name, node] : deployment->record().manifest.nodes) peers.insert(node.peer);
    for (const Superseded& entry : deployment->record().superseded) peers.insert(entry.peer);
  }
  peers.erase("");
  return peers;
}

Deployments::Found Deployments::active(const std::string& id) const {
  const auto found = active_.find(id);
  return found == active_.end() ? nullptr : found->second;
}

Task<void> Deployments::prune_regularly() {
  for (;;) {
    const Result<std::vector<std::string>> expired = co_await records_.expired(services_.lane.unix_now());
    if (!expired) log::warn("orchestrator", "pruning deployments: {}", expired.error().to_string());
    if (expired)
      for (const std::string& id : *expired) {
        const Result<void> gone = co_await erase(id);
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

Result<void> Deployments::check(const jobs::Ensemble& ensemble) const {
  TRY_VOID(ensemble.validate());
  TRY_VOID(jobs::check_supported(ensemble));
  return services_.simulated ? Result<void>() : jobs::check_offered(ensemble);
}

std::string Deployments::new_id() const {
  return encode(Base::hex, crypto::sha256(as_bytes(services_.network.self().to_string() +
                                                   encode(Base::hex, services_.lane.random().bytes(16)))));
}

Task<Result<std::string>> Deployments::try_create(NewDeploymentRequest request, UnixTime expiry) {
  Lane& lane = services_.lane;
  const UnixTime now = lane.unix_now();
  if (expiry < now + kMinDeploymentTime)
    co_return fail(Errc::invalid_argument, "a deployment needs at least {} s to find machines; give a longer --timeout",
                   std::chrono::duration_cast<std::chrono::seconds>(kMinDeploymentTime).count());
  const auto running =
      std::ranges::count_if(active_, [](const auto& pair) { return !is_final(pair.second->status()); });
  if (static_cast<std::size_t>(running) >= kMaxDeployments)
    co_return fail(Errc::limit_exceeded, "{} deployments are active, which is the limit; shut one down first", running);
  CO_TRY_VOID(check(request.ensemble));
  CO_TRY_VOID(co_await check_inputs(blobs_, request.ensemble));

  DeploymentRecord record;
  record.id = new_id();
  record.ensemble = std::move(request.ensemble);
  record.created = now.nanos;
  record.deadline = expiry.nanos - static_cast<std::uint64_t>(Duration(kDeploymentReserve).count());
  const std::string id = record.id;
  CO_TRY_VOID(co_await adopt(std::move(record)));
  const Found deployment = active(id);
  if (deployment == nullptr) co_return fail(Errc::closed, "the daemon stops");
  const Result<void> saved = co_await deployment->save();
  if (!saved) {
    if (!closed_) work_.spawn(retire(id));  // it owns a running actor, which only close() can end
    co_return std::unexpected(saved.error());
  }
  if (closed_)
    co_return fail(Errc::closed, "the daemon stops; deployment {} is stored, and begins when the daemon is started",
                   id);
  deployment->start();
  co_return id;
}

namespace {

Error no_such(const std::string& id) {
  return {Errc::not_found, fmt::format("there is no deployment '{}'; `nunet deployment list` shows the deployments",
                                       shortened(id, kMaxReportedId))};
}

/// The store has no other names.
Result<void> check_id(const std::string& id, std::string_view member) {
  if (id.empty())
    return fail(Errc::invalid_argument,
                "{}: expected the id of a deployment, found nothing; `nunet deployment list` "
                "shows the ids",
                member);
  if (id.size() > db::Store::kMaxName || id.find('\0') != std::string::npos) return std::unexpected(no_such(id));
  return {};
}

}  // namespace

Task<Result<DeploymentRecord>> Deployments::record(std::string id, std::string_view member) {
  CO_TRY_VOID(check_id(id, member));
  if (const Found deployment = active(id)) co_return deployment->record();
  CO_TRY(std::optional<DeploymentRecord> stored, co_await records_.load(id));
  if (!stored) co_return std::unexpected(no_such(id));
  co_return std::move(*stored);
}

/// Why there is nothing to update: the deployment is unknown, or has ended, or the daemon stops.
Task<Result<void>> Deployments::refuse_to_act(std::string id) {
  Task<Result<DeploymentRecord>> loading = record(id, "EnsembleID");
  CO_TRY(const DeploymentRecord found, co_await std::move(loading));
  if (!is_final(found.status)) co_return fail(Errc::closed, "the daemon stops");
  co_return fail(Errc::invalid_argument,
                 "deployment {} is {} already, and what has ended cannot be updated; deploy the new ensemble with "
                 "`nunet deploy`",
                 id, to_string(found.status));
}

Task<Ack> Deployments::update(DeploymentUpdateRequest request, const actor::Envelope&) {
  Result<void> done = check(request.ensemble);
  if (done) done = co_await check_inputs(blobs_, request.ensemble);
  const Found deployment = active(request.ensemble_id);
  if (done && deployment == nullptr) done = co_await refuse_to_act(request.ensemble_id);
  Ack reply;
  if (done) {
    reply.unchanged = deployment->record().ensemble == request.ensemble;
    Task<Result<void>> updating = deployment->update(std::move(request.ensemble));
    done = co_await std::move(updating);
  }
  reply.ok = done.has_value();
  reply.unchanged = reply.unchanged && reply.ok;
  if (!done) reply.error = done.error().to_string();
  co_return reply;
}

Task<DeploymentShutdownReply> Deployments::shutdown(DeploymentId request, const actor::Envelope&) {
  const Found deployment = active(request.id);
  DeploymentShutdownReply reply;
  Result<void> done;
  if (deployment != nullptr && !is_final(deployment->status())) {
    Task<Result<void>> ending = deployment->shutdown();
    done = co_await std::move(ending);
  } else {
    Task<Result<DeploymentRecord>> loading = record(request.id);
    const Result<DeploymentRecord> found = co_await std::move(loading);
    if (!found)
      done = std::unexpected(found.error());
    else if (is_final(found->status))
      reply.status = to_string(found->status);
    else
      done = fail(Errc::closed, "the daemon stops");
  }
  reply.ok = done.has_value();
  if (!done) reply.error = done.error().to_string();
  co_return reply;
}

Task<Result<void>> Deployments::erase(std::string id) {
  if (const Found deployment = active(id)) {
    if (!is_final(deployment->status()))
      co_return fail(Errc::invalid_argument,
                     "deployment {} is {}: only a deployment that has ended can be removed; shut it down first", id,
                     to_string(deployment->status()));
    co_await retire(id);  // what a lost provider keeps of it expires there
  }
  CO_TRY_VOID(check_id(id, "ID"));
  CO_TRY(const bool exists, co_await records_.exists(id));
  if (!exists) co_return std::unexpected(no_such(id));
  CO_TRY_VOID(co_await output_.remove(id));  // first: without a record nobody would find it
  co_return co_await records_.erase(id);
}

Task<Ack> Deployments::remove(DeploymentId request, const actor::Envelope&) {
  const Result<void> done = co_await erase(request.id);
  Ack reply;
  reply.ok = done.has_value();
  if (!done) reply.error = done.error().to_string();
  co_return reply;
}

Task<DeploymentPruneReply> Deployments::prune(DeploymentPruneRequest request, const actor::Envelope&) {
  DeploymentPruneReply reply;
  if (request.older_than_ns < 0) {
    reply.error = "OlderThan: expected 0 or more nanoseconds";
    co_return reply;
  }
  const Result<RecordStore::Loaded> loaded = co_await records_.load_all();
  if (!loaded) {
    reply.error = loaded.error().to_string();
    co_return reply;
  }
  const UnixTime now = services_.lane.unix_now();
  for (const DeploymentRecord& record : loaded->records) {
    const std::uint64_t ended = record.ended != 0 ? record.ended : record.created;
    const bool wanted = is_final(record.status) && !record.unsettled() && has_metadata(record, request.metadata) &&
                        UnixTime{ended} + Duration(request.older_than_ns) <= now;
    if (!wanted) continue;
    const Result<void> erased = co_await erase(record.id);
    if (erased)
      reply.deployments.push_back(record.id);
    else if (reply.error.empty())
      reply.error = erased.error().to_string();
  }
  co_return reply;
}

}  // namespace dms::orchestrator
