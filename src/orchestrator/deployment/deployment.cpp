#include "orchestrator/deployment/deployment.hpp"

#include "base/log.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {

using namespace protocol;

Deployment::Deployment(Services services, RecordStore& records, std::unique_ptr<actor::Actor> actor,
                       DeploymentRecord record)
    : services_(std::move(services)),
      output_(services_.work_dir),
      actor_(std::move(actor)),
      record_(records, std::move(record)),
      providers_(*actor_, record_->id),
      grants_(*actor_),
      liveness_(services_.network),
      provisioner_(*actor_, record_, providers_, grants_, liveness_),
      work_(actor_->lane(), "deployment " + record_->id),
      clearing_(actor_->lane(), "reverting " + record_->id) {}

Result<std::unique_ptr<Deployment>> Deployment::create(Services services, RecordStore& records,
                                                       std::unique_ptr<actor::Actor> actor, DeploymentRecord record) {
  record.manifest.id = record.id;
  record.manifest.metadata = record.ensemble.metadata;
  record.manifest.orchestrator = actor->handle();
  std::unique_ptr<Deployment> made(new Deployment(std::move(services), records, std::move(actor), std::move(record)));
  TRY_VOID(made->actor_->add_behaviour(
      std::string(kTaskTermination.path),
      [self = made.get()](actor::Envelope envelope) { return self->on_termination(std::move(envelope)); }));
  return made;
}

Task<Result<void>> Deployment::save() {
  const auto unchanged = [](DeploymentRecord&) {};
  co_return co_await record_.update(unchanged);
}

Task<void> Deployment::close() {
  ended_ = nullptr;
  co_await work_.close();
  co_await clearing_.close();
  co_await actor_->stop();
}

Task<Result<void>> Deployment::enter(DeploymentStatus status, std::string error) {
  const UnixTime now = actor_->lane().unix_now();
  const auto change = [status, &error, now](DeploymentRecord& record) {
    record.status = status;
    record.error = error;
    if (is_final(status)) record.ended = now.nanos;
  };
  CO_TRY_VOID(co_await record_.update_until_stored(change));
  changed_.notify_all();
  if (is_final(status) && ended_) std::exchange(ended_, nullptr)();
  co_return Result<void>();
}

// --- deploying -------------------------------------------------------------------------------------------------------

Task<void> Deployment::deploy() {
  Result<std::unique_ptr<Auction>> auction = Auction::open(*actor_, id(), record_->ensemble);
  if (!auction) {
    const std::string why = auction.error().to_string();
    (void)co_await enter(DeploymentStatus::failed, why);
    co_return;
  }
  std::set<std::string> excluded;
  for (;;) {
    const Result<void> deployed = co_await attempt(**auction, excluded);
    if (deployed) break;
    if (work_.cancelled()) co_return;  // shutdown() or close() continues from here
    const std::string why = deployed.error().to_string();
    log::warn("orchestrator", "{}: {}", id(), why);
    co_await revert();
    if (work_.cancelled()) co_return;
    const std::string& failed = provisioner_.failed_provider();
    if (failed.empty()) {  // another attempt would end the same way
      const std::string all = record_->error.empty() ? why : why + "; before that: " + record_->error;
      (void)co_await enter(DeploymentStatus::failed, all);
      co_return;
    }
    excluded.insert(failed);
    const Result<void> again = co_await enter(DeploymentStatus::preparing, why);
    if (!again) co_return;
  }
  auction->reset();
  work_.spawn(grants_.renew_until_cancelled());
  co_await supervise();
}

Task<Result<void>> Deployment::attempt(Auction& auction, std::set<std::string>& excluded) {
  provisioner_.reset();
  const UnixTime deadline{record_->deadline};
  Result<Candidate> candidate = co_await auction.run(deadline, excluded);
  if (!candidate) co_return std::unexpected(candidate.error());
  Task<Result<void>> provisioning = provisioner_.run(std::move(*candidate));
  CO_TRY_VOID(co_await std::move(provisioning));
  co_return co_await enter(DeploymentStatus::running);
}

// --- running ---------------------------------------------------------------------------------------------------------

Task<void> Deployment::supervise() {
  co_await end_if_all_ended();
  SteadyTime next_ping = actor_->lane().now() + kPingInterval;
  while (status() == DeploymentStatus::running) {
    Result<void> waited = co_await with_deadline(
        next_ping, [](Notify& changed) -> Task<Result<void>> { co_return co_await changed.wait(); }(changed_));
    if (waited) continue;
    if (!waited.error().is(Errc::deadline_exceeded)) co_return;
    std::vector<Task<Result<void>>> checks;
    for (const auto& [name, node] : record_->manifest.nodes) checks.push_back(check_provider(name));
    (void)co_await when_all(std::move(checks));
    co_await end_if_all_ended();
    next_ping = actor_->lane().now() + kPingInterval;
  }
}

Task<Result<void>> Deployment::check_provider(std::string name) {
  const NodeManifest node = record_->manifest.nodes.at(name);
  const bool idle = std::ranges::all_of(node.allocations, [&](const std::string& allocation) {
    return is_final(record_->manifest.allocations.at(allocation).status);
  });
  if (idle) co_return Result<void>();
  CO_TRY(const bool lost, co_await liveness_.ping(node.peer));
  if (!lost) co_return Result<void>();
  const std::string reason = fmt::format("provider {} is lost: {}", node.peer, liveness_.last_error(node.peer));
  log::warn("orchestrator", "{}: node {}: {}", id(), name, reason);
  const auto fail_all = [&](DeploymentRecord& record) {
    for (const std::string& allocation : node.allocations) {
      AllocationManifest& entry = record.manifest.allocations.at(allocation);
      if (is_final(entry.status)) continue;
      entry.status = AllocationStatus::failed;
      entry.reason = reason;
    }
  };
  co_return co_await record_.update_until_stored(fail_all);
}

Task<void> Deployment::on_termination(actor::Envelope envelope) {
  Result<TaskTermination> notice = actor::payload<TaskTermination>(envelope);
  if (!notice) {
    log::debug("orchestrator", "{}: {}", id(), notice.error().to_string());
    co_return;
  }
  const std::string name(jobs::allocation_name(notice->allocation_id));
  const auto entry = record_->manifest.allocations.find(name);
  if (entry == record_->manifest.allocations.end() || entry->second.handle.id != envelope.from.id) {
    log::debug("orchestrator", "{}: ignored the end of '{}', reported by {}", id(), notice->allocation_id,
               envelope.from.to_string());
    co_return;
  }
  if (concluding_.contains(name)) co_return;  // a repeated notice; the provider repeats it until it is acknowledged
  ++terminations_under_way_;
  if (!is_final(entry->second.status)) {
    concluding_.insert(name);
    const Result<void> concluded = co_await conclude(name, *notice);
    concluding_.erase(name);
    if (!concluded) {
      // Without an acknowledgement the provider keeps the output and repeats the notice.
      log::error("orchestrator", "{}: keeping the end of {}: {}", id(), name, concluded.error().to_string());
      --terminations_under_way_;
      co_return;
    }
    changed_.notify_all();
  }
  const Ack received{.ok = true};  // named: GCC 12 copies aggregates in an awaiting expression bit by bit
  Result<void> acknowledged = co_await actor_->reply(envelope, received);
  if (!acknowledged) log::debug("orchestrator", "{}: {}", id(), acknowledged.error().to_string());
  Result<void> removed = co_await stop_allocation(name);
  if (!removed) log::debug("orchestrator", "{}: removing {}: {}", id(), name, removed.error().to_string());
  --terminations_under_way_;
  co_await end_if_all_ended();
}

Task<Result<void>> Deployment::conclude(std::string name, const TaskTermination& notice) {
  CO_TRY_VOID(co_await output_.write(id(), name, notice.out, notice.err));
  AllocationStatus status = parse_enum<AllocationStatus>(notice.status).value_or(AllocationStatus::failed);
  if (!is_final(status)) status = AllocationStatus::failed;
  const auto change = [&](DeploymentRecord& record) {
    const auto entry = record.manifest.allocations.find(name);
    if (entry == record.manifest.allocations.end()) return;  // reverted meanwhile
    entry->second.status = status;
    entry->second.exit_code = notice.error.exit_code;
    entry->second.reason = notice.reason;
  };
  CO_TRY_VOID(co_await record_.update(change));
  log::info("orchestrator",
            {{"deployment", id()},
             {"allocation", name},
             {"status", to_string(status)},
             {"exit_code", notice.error.exit_code}},
            "{}: {} ended", id(), name);
  co_return Result<void>();
}

Task<void> Deployment::end_if_all_ended() {
  if (status() != DeploymentStatus::running || terminations_under_way_ > 0) co_return;
  std::string reason;
  for (const auto& [name, allocation] : record_->manifest.allocations) {
    if (!is_final(allocation.status)) co_return;
    if (allocation.status == AllocationStatus::failed && reason.empty())
      reason = fmt::format(
          "{} failed: {}", name,
          allocation.reason.empty() ? fmt::format("exit code {}", allocation.exit_code) : allocation.reason);
  }
  const DeploymentStatus end = reason.empty() ? DeploymentStatus::completed : DeploymentStatus::failed;
  (void)co_await enter(end, reason);
}

// --- ending ----------------------------------------------------------------------------------------------------------

Task<Result<void>> Deployment::shutdown() {
  if (is_final(status()))
    co_return fail(Errc::invalid_argument, "deployment {} is {} already", id(), to_string(status()));
  if (status() == DeploymentStatus::shutting_down)
    co_return fail(Errc::already_exists, "deployment {} is being shut down", id());
  const bool was_running = status() == DeploymentStatus::running;
  CO_TRY_VOID(co_await enter(DeploymentStatus::shutting_down));
  co_await work_.close();
  if (!was_running) {
    co_await revert();
    co_return co_await enter(DeploymentStatus::completed);
  }
  std::vector<Task<Result<void>>> stops;
  for (const auto& [name, allocation] : record_->manifest.allocations)
    if (!is_final(allocation.status)) stops.push_back(stop_allocation(name));
  const std::vector<Result<void>> stopped = co_await when_all(std::move(stops));
  const Result<void> outcome = first_error(stopped);
  if (!outcome && outcome.error().is(Errc::closed)) co_return outcome;  // the daemon stops; its next start continues
  if (!outcome) {
    // A provider did not reply and may still run work: the request is repeated until it replies.
    const std::string why = outcome.error().to_string();
    CO_TRY_VOID(co_await enter(DeploymentStatus::shutting_down, why));
    clearing_.spawn(revert_all_and_end());
    co_return fail(outcome.error(),
                   "not every provider has replied; the requests are repeated, see `nunet deployment status`");
  }
  const auto terminate = [](DeploymentRecord& record) {
    for (auto& [name, allocation] : record.manifest.allocations)
      if (!is_final(allocation.status)) allocation.status = AllocationStatus::terminated;
  };
  CO_TRY_VOID(co_await record_.update_until_stored(terminate));
  co_return co_await enter(DeploymentStatus::completed);
}

Task<Result<void>> Deployment::stop_allocation(std::string name) {
  // A revert may have cleared the manifest.
  const auto allocation = record_->manifest.allocations.find(name);
  if (allocation == record_->manifest.allocations.end()) co_return fail(Errc::not_found, "{} has no provider", name);
  const auto node = record_->manifest.nodes.find(allocation->second.node_id);
  if (node == record_->manifest.nodes.end()) co_return fail(Errc::not_found, "{} has no provider", name);
  co_return co_await providers_.stop(node->second.handle, allocation->second.id);
}

Task<void> Deployment::revert() {
  std::vector<Task<Result<void>>> reverts;
  for (const auto& [name, node] : record_->manifest.nodes)
    reverts.push_back(providers_.revert(
        node, node.peer == provisioner_.failed_provider() ? kFailedProviderTimeout : kRevert.timeout));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(reverts));
  for (const Result<void>& reverted : outcomes)
    if (!reverted) log::info("orchestrator", "{}: {}", id(), reverted.error().to_string());
  for (const Result<void>& reverted : outcomes)
    if (!reverted && reverted.error().is(Errc::cancelled)) co_return;  // shutdown() reverts the same providers
  grants_.clear();
  const auto clear = [](DeploymentRecord& record) {
    record.manifest.nodes.clear();
    record.manifest.allocations.clear();
  };
  (void)co_await record_.update_until_stored(clear);
}

Task<void> Deployment::revert_all_and_end() {
  const std::string why =
      status() == DeploymentStatus::shutting_down
          ? "it was shut down, and requests to some providers had to be repeated"
          : fmt::format("the daemon was restarted while the deployment was {}; deploy it again", to_string(status()));
  const Result<void> entered = co_await enter(DeploymentStatus::shutting_down, why);
  if (!entered) co_return;
  // Immediately after a start no peer may be connected: the request to each provider is repeated until it replies.
  std::vector<Task<Result<void>>> reverts;
  for (const auto& [name, node] : record_->manifest.nodes) reverts.push_back(revert_until_answered(node));
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(reverts));
  const Result<void> all = first_error(outcomes);
  if (!all && all.error().is(Errc::cancelled)) co_return;
  const std::string outcome = all ? why : why + " (" + all.error().to_string() + ")";
  (void)co_await enter(DeploymentStatus::failed, outcome);
}

Task<Result<void>> Deployment::revert_until_answered(NodeManifest node) {
  Result<void> answered;
  for (int attempt = 0; attempt < kAbandonTries; ++attempt) {
    answered = co_await providers_.revert(node);
    if (answered) break;
    const Result<void> slept = co_await sleep_for(kAbandonPause);
    if (!slept) co_return slept;
  }
  co_return answered;
}

// --- output ----------------------------------------------------------------------------------------------------------

Task<Result<std::filesystem::path>> Deployment::logs(std::string name) {
  const auto has_ended = [this, &name] {
    const auto entry = record_->manifest.allocations.find(name);
    return entry == record_->manifest.allocations.end() || is_final(entry->second.status);
  };
  const auto entry = record_->manifest.allocations.find(name);
  if (entry == record_->manifest.allocations.end())
    co_return fail(Errc::not_found, "deployment {} has no allocation '{}' on any machine (it is {})", id(), name,
                   to_string(status()));
  if (has_ended()) co_return co_await output_.find(id(), name);
  const actor::Handle provider = record_->manifest.nodes.at(entry->second.node_id).handle;
  CO_TRY(AllocationLogsResponse reply, co_await providers_.logs(provider, name));
  // If it ended while the reply was in transit, the notice contained the whole output.
  if (!has_ended()) CO_TRY_VOID(co_await output_.write(id(), name, std::move(reply.out), std::move(reply.err)));
  co_return output_.folder(id(), name);
}

}  // namespace dms::orchestrator
