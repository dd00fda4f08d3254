#include "orchestrator/deployment/deployment.hpp"

#include <array>
#include <fstream>

#include "base/log.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// The first error of several results.
Result<void> first_error(const std::vector<Result<void>>& results) {
  for (const auto& result : results)
    if (!result) return result;
  return {};
}

/// An answer that arrived and says no is an error like one that did not arrive.
Result<void> accepted(const Result<Ack>& answer, std::string_view what) {
  if (!answer) return fail(answer.error(), "{}", what);
  if (!answer->ok) return fail(Errc::permission_denied, "{}: refused: {}", what, answer->error);
  return {};
}

}  // namespace

Deployment::Deployment(Services services, std::unique_ptr<actor::Actor> actor, DeploymentRecord record)
    : services_(std::move(services)),
      actor_(std::move(actor)),
      record_(std::move(record)),
      status_(parse_deployment_status(record_.status).value_or(DeploymentStatus::preparing)),
      work_(actor_->lane(), "deployment " + record_.id),
      clearing_(actor_->lane(), "clearing away " + record_.id) {}

Deployment::~Deployment() = default;

Result<std::unique_ptr<Deployment>> Deployment::create(Services services, std::unique_ptr<actor::Actor> actor,
                                                       DeploymentRecord record) {
  std::unique_ptr<Deployment> made(new Deployment(std::move(services), std::move(actor), std::move(record)));
  Deployment* self = made.get();
  self->record_.manifest.id = self->record_.id;
  self->record_.manifest.metadata = self->record_.ensemble.metadata;
  self->record_.manifest.orchestrator = self->actor_->handle();
  TRY_VOID(self->actor_->add_behaviour(std::string(kTaskTermination.path), [self](actor::Envelope envelope) {
    return self->on_termination(std::move(envelope));
  }));
  return made;
}

void Deployment::start() { work_.spawn(deploy()); }
void Deployment::abandon() { clearing_.spawn(abandon_now()); }

Task<void> Deployment::close() {
  ended_ = nullptr;
  co_await work_.close();
  co_await clearing_.close();
  co_await actor_->stop();
}

// --- deploying ---------------------------------------------------------------------------------------------------------

Task<void> Deployment::deploy() {
  Result<std::unique_ptr<Auction>> auction = Auction::open(*actor_, record_.id, record_.ensemble);
  if (!auction) co_return set_status(DeploymentStatus::failed, auction.error().to_string());
  std::set<std::string> excluded;
  for (;;) {
    failed_provider_.clear();
    Result<void> deployed = co_await attempt(**auction, excluded);
    if (deployed) break;
    if (work_.cancelled()) co_return;  // shutdown() or close() goes on from here
    log::warn("orchestrator", "{}: {}", record_.id, deployed.error().to_string());
    co_await revert();
    if (work_.cancelled()) co_return;
    if (failed_provider_.empty()) {  // no machine is to blame: another attempt would end the same way
      const std::string before = record_.error.empty() ? "" : "; before that: " + record_.error;
      co_return set_status(DeploymentStatus::failed, deployed.error().to_string() + before);
    }
    excluded.insert(failed_provider_);
    record_.error = deployed.error().to_string();
  }
  auction->reset();
  work_.spawn(keep_granted());
  co_await supervise();
}

Task<Result<void>> Deployment::attempt(Auction& auction, std::set<std::string>& excluded) {
  set_status(DeploymentStatus::preparing, record_.error);
  const UnixTime deadline{record_.deadline};
  CO_TRY(Candidate candidate, co_await auction.run(deadline, excluded));
  adopt(candidate);
  set_status(DeploymentStatus::committing);
  CO_TRY_VOID(save());  // machines that are asked for anything must be known to the next start
  CO_TRY_VOID(co_await commit(candidate));

  std::vector<Task<Result<void>>> allocations;
  for (const auto& [node, bid] : candidate) allocations.push_back(allocate(node, bid.handle));
  std::vector<Result<void>> allocated = co_await when_all(std::move(allocations));
  CO_TRY_VOID(first_error(allocated));

  set_status(DeploymentStatus::provisioning);
  std::vector<Task<Result<void>>> starts;
  for (const auto& [node, bid] : candidate) starts.push_back(start_node(node));
  std::vector<Result<void>> started = co_await when_all(std::move(starts));
  CO_TRY_VOID(first_error(started));
  set_status(DeploymentStatus::running);
  co_return Result<void>();
}

void Deployment::adopt(const Candidate& candidate) {
  EnsembleManifest& manifest = record_.manifest;
  manifest.nodes.clear();
  manifest.allocations.clear();
  for (const auto& [name, bid] : candidate) {
    const jobs::Node& node = record_.ensemble.nodes.at(name);
    NodeManifest& made = manifest.nodes[name];
    made.id = name;
    made.peer = bid.peer;
    made.handle = bid.handle;
    made.location = bid.location;
    made.allocations = node.allocations;
    for (const std::string& allocation : node.allocations) {
      const jobs::Allocation& spec = record_.ensemble.allocations.at(allocation);
      AllocationManifest& entry = manifest.allocations[allocation];
      entry.id = jobs::allocation_id(record_.id, allocation);
      entry.type = jobs::to_string(spec.type);
      entry.node_id = name;
      entry.dns_name = spec.dns_name;
      for (const jobs::Port& port : record_.ensemble.ports_of(allocation))
        entry.ports[std::to_string(port.public_port)] = port.private_port;
    }
  }
}

Task<Result<void>> Deployment::commit(const Candidate& candidate) {
  std::vector<Task<Result<void>>> commits;
  for (const auto& [node, bid] : candidate)
    for (const std::string& allocation : record_.ensemble.nodes.at(node).allocations)
      commits.push_back(commit_one(node, allocation, bid.handle));
  std::vector<Result<void>> committed = co_await when_all(std::move(commits));
  co_return first_error(committed);
}

Task<Result<void>> Deployment::commit_one(std::string node, std::string allocation, actor::Handle provider) {
  CommitRequest request;
  request.ensemble_id = record_.id;
  request.allocation_name = allocation;
  request.node_id = node;
  static_cast<capability::Resources&>(request.resources) = record_.ensemble.allocations.at(allocation).resources;
  request.resources.allocation_id = jobs::allocation_id(record_.id, allocation);
  request.port_mapping = record_.manifest.allocations.at(allocation).ports;
  const auto timeout = kCommit.timeout * static_cast<int>(record_.ensemble.nodes.at(node).allocations.size());
  Result<Ack> answer = co_await call(*actor_, kCommit, provider, request, remaining(timeout));
  Result<void> fine = accepted(answer, fmt::format("committing {} on {}", allocation, provider.address.host));
  if (!fine) failed_provider_ = provider.address.host;
  co_return fine;
}

Task<Result<void>> Deployment::allocate(std::string node, actor::Handle provider) {
  AllocateRequest request;
  request.ensemble_id = record_.id;
  request.node_id = node;
  for (const std::string& name : record_.ensemble.nodes.at(node).allocations) {
    const jobs::Allocation& spec = record_.ensemble.allocations.at(name);
    AllocationConfig& config = request.allocations[name];
    config.type = spec.type;
    config.executor = spec.executor;
    config.resources = spec.resources;
    config.execution = spec.execution;
    for (const std::string& script : spec.provision)
      config.provision_scripts[script] = record_.ensemble.scripts.at(script);
  }
  const auto timeout = kAllocate.timeout * static_cast<int>(request.allocations.size());
  Result<AllocateResponse> answer = co_await call(*actor_, kAllocate, provider, request, remaining(timeout));
  Result<void> fine;
  const std::string what = fmt::format("allocating node {} on {}", node, provider.address.host);
  if (!answer)
    fine = fail(answer.error(), "{}", what);
  else if (!answer->ok)
    fine = fail(Errc::permission_denied, "{}: refused: {}", what, answer->error);
  else
    for (const auto& [name, config] : request.allocations) {
      const auto handle = answer->allocations.find(name);
      if (handle == answer->allocations.end() || handle->second.address.host != provider.address.host) {
        fine = fail(Errc::invalid_argument, "{}: the answer has no handle for {}", what, name);
        break;
      }
      record_.manifest.allocations.at(name).handle = handle->second;
    }
  if (!fine) failed_provider_ = provider.address.host;
  if (fine) fine = grant(provider.did);
  co_return fine;
}

Result<void> Deployment::grant(const did::Did& provider) {
  // Allocations speak with their node's DID; this lets them report to this deployment's own actor and nobody else.
  if (grants_.contains(provider)) return {};
  TRY(auto given, ucan::StandingGrant::give(actor_->security().capabilities(), provider, actor_->security().id_did(),
                                            kOrchestratorNamespace, actor_->lane().unix_now()));
  grants_.emplace(provider, std::move(given));
  return {};
}

Task<void> Deployment::keep_granted() {
  for (;;) {
    const Result<void> slept = co_await sleep_for(ucan::kStandingGrantRenewal);
    if (!slept) co_return;
    for (auto& [provider, given] : grants_)
      if (Result<void> renewed = given.renew(actor_->lane().unix_now()); !renewed)
        log::warn("orchestrator", "{}: renewing a grant: {}", record_.id, renewed.error().to_string());
  }
}

Task<Result<void>> Deployment::start_node(std::string node) {
  for (const std::string& name : record_.ensemble.start_order(node)) {
    AllocationManifest& allocation = record_.manifest.allocations.at(name);
    StartRequest request;
    request.port_mapping = allocation.ports;
    Result<Ack> answer = co_await call_while_alive(
        allocation.handle.address.host,
        message(*actor_, kAllocationStart, allocation.handle, request, remaining(kAllocationStart.timeout)));
    Result<void> fine = accepted(answer, fmt::format("starting {} on {}", name, allocation.handle.address.host));
    if (!fine) {
      failed_provider_ = allocation.handle.address.host;
      co_return fine;
    }
    // A short task may have ended, and told us so, before its start was answered.
    if (!is_final(allocation.status)) allocation.status = AllocationStatus::running;
  }
  co_return Result<void>();
}

Task<Result<Ack>> Deployment::call_while_alive(std::string peer, actor::Envelope request) {
  // A start may take minutes (an image has to be fetched); a provider that has died must not be waited for as long.
  CO_TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
  const TaskContext context = co_await this_task();
  CancelScope scope(context.scope);
  Nursery watcher(*context.lane, "watching " + peer, context.scope);
  watcher.spawn(watch_peer(id, scope));
  Task<Result<Ack>> call = actor_->call<Ack>(std::move(request));
  call.set_context({context.lane, &scope});
  Result<Ack> answer = co_await std::move(call);
  co_await watcher.close();
  if (!answer && scope.reason() == Errc::closed)
    co_return fail(Errc::closed, "provider {} is lost: it does not answer pings", peer);
  co_return std::move(answer);
}

Task<void> Deployment::watch_peer(crypto::PeerId peer, CancelScope& call) {
  for (int missed = 0; missed < kLostAfter;) {
    const Result<void> slept = co_await sleep_for(kPingInterval);
    if (!slept) co_return;
    const Result<Duration> answer = co_await with_timeout(kPingTimeout, services_.network.ping(peer));
    missed = answer ? 0 : missed + 1;
  }
  call.cancel(Errc::closed);
}

// --- running -----------------------------------------------------------------------------------------------------------

Task<void> Deployment::supervise() {
  end_if_all_ended();
  SteadyTime next_ping = actor_->lane().now() + kPingInterval;
  while (status_ == DeploymentStatus::running) {
    Result<void> waited = co_await with_deadline(
        next_ping, [](Notify& changed) -> Task<Result<void>> { co_return co_await changed.wait(); }(changed_));
    if (waited) continue;
    if (!waited.error().is(Errc::deadline_exceeded)) co_return;
    std::vector<Task<Result<void>>> pings;
    for (const auto& [name, node] : record_.manifest.nodes) pings.push_back(ping(name));
    (void)co_await when_all(std::move(pings));
    end_if_all_ended();
    next_ping = actor_->lane().now() + kPingInterval;
  }
}

Task<Result<void>> Deployment::ping(std::string name) {
  const NodeManifest node = record_.manifest.nodes.at(name);
  const bool idle = std::ranges::all_of(node.allocations, [&](const std::string& allocation) {
    return is_final(record_.manifest.allocations.at(allocation).status);
  });
  if (idle) co_return Result<void>();
  CO_TRY(const crypto::PeerId peer, crypto::PeerId::parse(node.peer));
  Result<Duration> answer = co_await with_timeout(kPingTimeout, services_.network.ping(peer));
  if (answer) {
    missed_pings_[name] = 0;
    co_return Result<void>();
  }
  if (answer.error().is(Errc::cancelled)) co_return std::unexpected(answer.error());
  if (++missed_pings_[name] < kLostAfter) co_return Result<void>();
  for (const std::string& allocation : node.allocations) {
    AllocationManifest& lost = record_.manifest.allocations.at(allocation);
    if (is_final(lost.status)) continue;
    lost.status = AllocationStatus::failed;
    lost.reason = fmt::format("provider {} is lost: {}", node.peer, answer.error().to_string());
    log::warn("orchestrator", "{}: {}: {}", record_.id, allocation, lost.reason);
  }
  (void)save();
  co_return Result<void>();
}

Task<void> Deployment::on_termination(actor::Envelope envelope) {
  Result<TaskTermination> ended = actor::payload<TaskTermination>(envelope);
  if (!ended) {
    log::debug("orchestrator", "{}: {}", record_.id, ended.error().to_string());
    co_return;
  }
  const std::string name(jobs::allocation_name(ended->allocation_id));
  const auto entry = record_.manifest.allocations.find(name);
  if (entry == record_.manifest.allocations.end() || entry->second.handle.id != envelope.from.id) {
    log::debug("orchestrator", "{}: a termination of '{}' from {} does not count", record_.id, ended->allocation_id,
               envelope.from.to_string());
    co_return;
  }
  if (!is_final(entry->second.status)) {
    if (Result<void> kept = write_output(name, ended->out, ended->err); !kept) {
      // Unanswered, the provider keeps the output and tries again.
      log::error("orchestrator", "{}: keeping the output of {}: {}", record_.id, name, kept.error().to_string());
      co_return;
    }
    AllocationManifest& allocation = entry->second;
    allocation.status = parse_allocation_status(ended->status);
    if (!is_final(allocation.status)) allocation.status = AllocationStatus::failed;
    allocation.exit_code = ended->error.exit_code;
    allocation.reason = ended->reason;
    log::info("orchestrator",
              {{"deployment", record_.id},
               {"allocation", name},
               {"status", to_string(allocation.status)},
               {"exit_code", allocation.exit_code}},
              "{}: {} ended", record_.id, name);
    if (!save()) co_return;
    changed_.notify_all();
  }
  ++terminations_under_way_;
  const Ack received{.ok = true};  // named: GCC 12 copies aggregates in an awaiting expression bit by bit
  Result<void> acknowledged = co_await actor_->reply(envelope, received);
  if (!acknowledged) log::debug("orchestrator", "{}: {}", record_.id, acknowledged.error().to_string());
  Result<void> released = co_await stop_allocation(name);
  if (!released) log::debug("orchestrator", "{}: releasing {}: {}", record_.id, name, released.error().to_string());
  --terminations_under_way_;
  end_if_all_ended();
}

void Deployment::end_if_all_ended() {
  if (status_ != DeploymentStatus::running || terminations_under_way_ > 0) return;
  std::string reason;
  for (const auto& [name, allocation] : record_.manifest.allocations) {
    if (!is_final(allocation.status)) return;
    if (allocation.status == AllocationStatus::failed && reason.empty())
      reason = fmt::format(
          "{} failed: {}", name,
          allocation.reason.empty() ? fmt::format("exit code {}", allocation.exit_code) : allocation.reason);
  }
  set_status(reason.empty() ? DeploymentStatus::completed : DeploymentStatus::failed, reason);
}

// --- ending ------------------------------------------------------------------------------------------------------------

Task<Result<void>> Deployment::shutdown() {
  if (is_final(status_))
    co_return fail(Errc::invalid_argument, "deployment {} is {} already", id(), to_string(status_));
  if (status_ == DeploymentStatus::shutting_down)
    co_return fail(Errc::already_exists, "deployment {} is being shut down", id());
  const bool was_running = status_ == DeploymentStatus::running;
  set_status(DeploymentStatus::shutting_down);
  co_await work_.close();
  if (!was_running) {
    co_await revert();
    set_status(DeploymentStatus::completed);
    co_return Result<void>();
  }
  std::vector<Task<Result<void>>> stops;
  for (const auto& [name, allocation] : record_.manifest.allocations)
    if (!is_final(allocation.status)) stops.push_back(stop_allocation(name));
  const std::vector<Result<void>> stopped = co_await when_all(std::move(stops));
  const Result<void> outcome = first_error(stopped);
  if (!outcome && outcome.error().is(Errc::closed)) co_return outcome;  // the daemon stops; its next start goes on
  if (!outcome) {
    // Somebody did not answer, and may still be at work: he is asked until he does.
    set_status(DeploymentStatus::shutting_down, outcome.error().to_string());
    clearing_.spawn(abandon_now());
    co_return fail(outcome.error(),
                   "not every machine has answered; they are asked again, see `nunet deployment status`");
  }
  for (auto& [name, allocation] : record_.manifest.allocations)
    if (!is_final(allocation.status)) allocation.status = AllocationStatus::terminated;
  set_status(DeploymentStatus::completed);
  co_return Result<void>();
}

Task<Result<void>> Deployment::stop_allocation(std::string name) {
  // By the time it is asked for, a revert may have cleared the manifest.
  const auto allocation = record_.manifest.allocations.find(name);
  if (allocation == record_.manifest.allocations.end()) co_return fail(Errc::not_found, "{} has no machine", name);
  const auto node = record_.manifest.nodes.find(allocation->second.node_id);
  if (node == record_.manifest.nodes.end()) co_return fail(Errc::not_found, "{} has no machine", name);
  const std::string peer = node->second.peer;
  AllocationShutdownRequest request;
  request.allocation_id = allocation->second.id;
  Result<Ack> answer = co_await call(*actor_, kAllocationShutdown, node->second.handle, request, {},
                                     path_of(kAllocationShutdown, record_.id));
  co_return accepted(answer, fmt::format("stopping {} on {}", name, peer));
}

Task<void> Deployment::revert() {
  std::vector<Task<Result<void>>> reverts;
  for (const auto& [name, node] : record_.manifest.nodes) reverts.push_back(revert_node(name));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(reverts));
  for (const Result<void>& reverted : outcomes)
    if (!reverted) log::info("orchestrator", "{}: {}", record_.id, reverted.error().to_string());
  for (const Result<void>& reverted : outcomes)
    if (!reverted && reverted.error().is(Errc::cancelled)) co_return;  // who cancelled goes on with the same machines
  grants_.clear();
  record_.manifest.nodes.clear();
  record_.manifest.allocations.clear();
  (void)save();
}

Task<Result<void>> Deployment::revert_node(std::string name) {
  const NodeManifest node = record_.manifest.nodes.at(name);
  RevertRequest request;
  request.ensemble_id = record_.id;
  for (const std::string& allocation : node.allocations) request.allocations.push_back(allocation);
  // Older nodes revert without a word. So does one that has died; its promises expire by themselves.
  const Duration timeout = node.peer == failed_provider_ ? kPingTimeout : kRevert.timeout;
  Result<Ack> answer = co_await call(*actor_, kRevert, node.handle, request, timeout);
  co_return accepted(answer, fmt::format("reverting node {} on {}", name, node.peer));
}

Task<void> Deployment::abandon_now() {
  const std::string why =
      status_ == DeploymentStatus::shutting_down
          ? "it was shut down, and some machines had to be asked again"
          : fmt::format("the daemon was restarted while the deployment was {}; deploy it again", to_string(status_));
  set_status(DeploymentStatus::shutting_down, why);
  // Right after a start no peer may be connected yet: each machine is asked until it has answered.
  std::vector<Task<Result<void>>> reverts;
  for (const auto& [name, node] : record_.manifest.nodes) reverts.push_back(revert_until_answered(name));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(reverts));
  const Result<void> all = first_error(outcomes);
  if (!all && all.error().is(Errc::cancelled)) co_return;
  set_status(DeploymentStatus::failed, why + (all ? "" : " (" + all.error().to_string() + ")"));
}

Task<Result<void>> Deployment::revert_until_answered(std::string node) {
  Result<void> answered;
  for (int attempt = 0; attempt < kAbandonTries; ++attempt) {
    answered = co_await revert_node(node);
    if (answered) break;
    const Result<void> slept = co_await sleep_for(kAbandonPause);
    if (!slept) co_return slept;
  }
  co_return answered;
}

// --- output ------------------------------------------------------------------------------------------------------------

Task<Result<std::filesystem::path>> Deployment::logs(std::string name) {
  const auto entry = record_.manifest.allocations.find(name);
  if (entry == record_.manifest.allocations.end())
    co_return fail(Errc::not_found, "deployment {} has no allocation '{}' on any machine (it is {})", id(), name,
                   to_string(status_));
  const AllocationManifest allocation = entry->second;
  const std::filesystem::path folder = output_dir(name);
  std::error_code ec;
  if (is_final(allocation.status)) {
    if (std::filesystem::exists(folder, ec)) co_return folder;
    co_return fail(Errc::not_found, "{} is {}, and none of its output was kept", name, to_string(allocation.status));
  }
  AllocationLogsRequest request;
  request.allocation_name = name;
  Result<AllocationLogsResponse> answer =
      co_await call(*actor_, kAllocationLogs, record_.manifest.nodes.at(allocation.node_id).handle, request, {},
                    path_of(kAllocationLogs, record_.id));
  if (!answer) co_return fail(answer.error(), "fetching the logs of {}", name);
  if (!answer->error.empty()) co_return fail(Errc::not_found, "fetching the logs of {}: {}", name, answer->error);
  const auto now = record_.manifest.allocations.find(name);
  const bool ended = now == record_.manifest.allocations.end() || is_final(now->second.status);
  if (ended) co_return folder;  // while the answer was under way; the whole output has come and is kept
  CO_TRY_VOID(write_output(name, answer->out, answer->err));
  co_return folder;
}

std::filesystem::path Deployment::output_dir(const std::string& allocation) const {
  return services_.work_dir / "deployments" / record_.id / allocation;
}

Result<void> Deployment::write_output(const std::string& allocation, BytesView out, BytesView err) {
  const std::filesystem::path folder = output_dir(allocation);
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  for (const auto& [name, data] : {std::pair("stdout.log", out), std::pair("stderr.log", err)}) {
    std::ofstream file(folder / name, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    if (!file.flush()) return fail(Errc::io, "write {}", (folder / name).string());
  }
  return {};
}

// --- the record --------------------------------------------------------------------------------------------------------

void Deployment::set_status(DeploymentStatus status, std::string error) {
  if (status_ != status)
    log::info("orchestrator", {{"deployment", record_.id}, {"from", to_string(status_)}, {"to", to_string(status)}},
              "{}: {} -> {}{}{}", record_.id, to_string(status_), to_string(status), error.empty() ? "" : ": ", error);
  status_ = status;
  record_.status = to_string(status);
  record_.error = std::move(error);
  (void)save();
  changed_.notify_all();
  if (is_final(status_) && ended_) std::exchange(ended_, nullptr)();
}

Result<void> Deployment::save() {
  record_.status = to_string(status_);
  Result<void> saved = services_.store.put_value(kDeployments, record_.id, record_);
  if (!saved) log::error("orchestrator", "{}: {}", record_.id, saved.error().to_string());
  return saved;
}

Duration Deployment::remaining(Duration at_most) const {
  const UnixTime now = actor_->lane().unix_now();
  if (now.nanos >= record_.deadline) return Duration(0);
  return std::min(at_most, UnixTime{record_.deadline} - now);
}

}  // namespace dms::orchestrator
