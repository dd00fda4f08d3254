#include "provider/provider.hpp"

#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "protocol/serve.hpp"

namespace dms::provider {

using protocol::Ack;

namespace {

/// Keys of grants_: an allocation may not take the place of an ensemble of the same name.
std::string ensemble_key(std::string_view ensemble) { return fmt::format("ensemble/{}", ensemble); }
std::string allocation_key(std::string_view allocation) { return fmt::format("allocation/{}", allocation); }

/// Ids become file names and inboxes.
Result<void> check_name(std::string_view what, std::string_view name) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  };
  if (name.empty() || name.size() > 160 || name.front() == '.' || !std::ranges::all_of(name, fine))
    return fail(Errc::invalid_argument, "{}: expected letters, digits, '-', '.' and '_', found '{}'", what,
                name.substr(0, 64));
  return {};
}

}  // namespace

Provider::Provider(Services services, actor::Actor& root)
    : services_(std::move(services)), root_(root), work_(services_.lane, "provider") {}

Task<Result<void>> Provider::start() {
  for (const auto& [type, engine] : services_.executors)
    if (Result<void> cleaned = co_await engine->cleanup(); !cleaned)
      log::warn("provider", "cleaning up after an earlier run, {}: {}", type, cleaned.error().to_string());
  CO_TRY_VOID(services_.resources.release_all());
  auto removal = [jobs = services_.work_dir / "jobs"] {
    const Result<void> outcome = quarantine_entries(jobs);
    sweep_quarantine(jobs);
    return outcome;
  };
  if (const Result<void> removed = co_await offload(removal); !removed)
    log::warn("provider", "cleaning up after an earlier run: {}", removed.error().to_string());

  CO_TRY_VOID(root_.add_behaviour(
      std::string(protocol::kBidRequest.path),
      [this](actor::Envelope envelope) { return on_bid_request(std::move(envelope)); },
      protocol::behaviour_options(protocol::kBidRequest)));
  CO_TRY_VOID(serve(root_, protocol::kCommit, *this, &Provider::commit));
  CO_TRY_VOID(serve(root_, protocol::kAllocate, *this, &Provider::allocate));
  CO_TRY_VOID(serve(root_, protocol::kRevert, *this, &Provider::revert));
  CO_TRY_VOID(serve(root_, protocol::kAllocationsList, *this, &Provider::list));
  CO_TRY_VOID(root_.subscribe(std::string(protocol::kDeploymentTopic)));
  work_.spawn(sweep());
  work_.spawn(renew_grants());
  work_.spawn(keep_in_touch());
  co_return Result<void>();
}

Task<void> Provider::close() {
  for (const auto path :
       {protocol::kBidRequest.path, protocol::kCommit.path, protocol::kAllocate.path, protocol::kRevert.path})
    root_.remove_behaviour(std::string(path));
  co_await work_.close();
  while (!allocations_.empty()) co_await release(allocations_.begin()->first);
  while (!promises_.empty()) forget_promise(promises_.begin()->first);
}

// --- bids --------------------------------------------------------------------------------------------------------------

Task<void> Provider::on_bid_request(actor::Envelope envelope) {
  // One's own broadcasts are not for oneself; a direct request is: its node is pinned to this machine.
  if (envelope.is_broadcast() && envelope.from.address.host == root_.handle().address.host) co_return;
  Result<protocol::EnsembleBidRequest> request = actor::payload<protocol::EnsembleBidRequest>(envelope);
  if (!request) {
    log::debug("provider", "{}", request.error().to_string());
    co_return;
  }
  Result<protocol::Bid> bid = make_bid(*request, envelope);
  if (!bid) {
    log::debug("provider", "no bid for {}: {}", request->id, bid.error().to_string());
    co_return;
  }
  log::info("provider", {{"node_id", bid->node_id}, {"ensemble", bid->ensemble_id}}, "bidding for node {} of {}",
            bid->node_id, bid->ensemble_id);
  if (Result<void> sent = co_await root_.reply(envelope, *bid); !sent)
    log::info("provider", "bidding for {}: {}", bid->ensemble_id, sent.error().to_string());
}

Result<protocol::Bid> Provider::make_bid(const protocol::EnsembleBidRequest& request, const actor::Envelope& envelope) {
  TRY_VOID(check_name("id", request.id));
  if (const auto rounds = answered_.find(request.id); rounds != answered_.end()) {
    if (rounds->second.contains(request.nonce)) return fail(Errc::already_exists, "this round is answered");
    if (rounds->second.size() >= kMaxRounds)
      return fail(Errc::limit_exceeded, "{} rounds are answered", rounds->second.size());
  }
  if (const auto open = bids_.find(request.id); open != bids_.end() && open->second.owner != envelope.from.did)
    return fail(Errc::permission_denied, "another orchestrator uses this ensemble id");
  for (const auto& [id, allocation] : allocations_)
    if (jobs::ensemble_id(id) == request.id && allocation->spec().orchestrator.did != envelope.from.did)
      return fail(Errc::permission_denied, "another orchestrator runs work under this ensemble id");
  if (!bids_.contains(request.id)) {
    const auto same_owner = [&](const auto& entry) { return entry.second.owner == envelope.from.did; };
    if (bids_.size() >= kMaxBids || std::ranges::count_if(bids_, same_owner) >= kMaxBidsPerOwner)
      return fail(Errc::limit_exceeded, "{} bids are open", bids_.size());
  }

  Offering offering;
  offering.self = services_.network.self();
  offering.onboarded = services_.resources.onboarded().has_value();
  offering.location = services_.location;
  for (const auto& [type, engine] : services_.executors) offering.executors.insert(type);
  offering.privileged_docker = services_.allow_privileged_docker;
  if (offering.onboarded) {
    TRY(offering.free, services_.resources.free());
  }
  TRY(protocol::NodeRequest node, choose_request(request, offering, services_.lane.random()));

  protocol::Bid bid;
  bid.ensemble_id = request.id;
  bid.node_id = node.node_id;
  bid.peer = offering.self.to_string();
  bid.location = services_.location;
  bid.handle = root_.handle();
  bid.offer = protocol::Offer{offering.free};
  TRY_VOID(bid.sign(root_.security().key()));
  answered_[request.id].insert(request.nonce);
  bids_[request.id] = {envelope.from.did, std::move(node), now() + kBidTime};
  return bid;
}

// --- promises ----------------------------------------------------------------------------------------------------------

Task<Ack> Provider::commit(protocol::CommitRequest request, const actor::Envelope& envelope) {
  Result<void> committed = try_commit(request, envelope.from.did);
  co_return committed ? Ack{.ok = true} : Ack{.error = committed.error().to_string()};
}

Result<void> Provider::try_commit(const protocol::CommitRequest& request, const did::Did& owner) {
  const auto open = bids_.find(request.ensemble_id);
  if (open == bids_.end() || open->second.expires < now())
    return fail(Errc::not_found, "no bid of ours is open for ensemble {}", request.ensemble_id);
  const OpenBid& bid = open->second;
  if (bid.owner != owner) return fail(Errc::permission_denied, "the bid was made to another orchestrator");
  const std::string id = protocol::full_allocation_id(request.ensemble_id, request.allocation_name);
  TRY_VOID(check_name("AllocationName", id));
  // An id must split into ensemble and name in one way only, or one ensemble could speak of another's allocations.
  if (jobs::ensemble_id(id) != request.ensemble_id)
    return fail(Errc::invalid_argument, "AllocationName: '{}' may not contain '_'", request.allocation_name);
  if (releasing_.contains(id)) return fail(Errc::already_exists, "the last run of {} is still being cleared away", id);
  const capability::Resources& wanted = request.resources;
  if (wanted.cpu.cores.empty() || wanted.ram.size.empty())
    return fail(Errc::invalid_argument,
                "Resources: more than 0 cores and bytes of memory are expected");  // 0 is no limit
  capability::Resources all = wanted;
  for (const auto& [other, promise] : promises_)
    if (promise.ensemble == request.ensemble_id) {
      TRY(all, capability::add_requirement(all, promise.resources));
    }
  for (const auto& [other, allocation] : allocations_)
    if (jobs::ensemble_id(other) == request.ensemble_id) {
      TRY(all, capability::add_requirement(all, allocation->spec().config.resources));
    }
  if (!capability::covers(bid.request.resources, all))
    return fail(Errc::limit_exceeded, "more than was bid for: {}",
                capability::explain_shortage(bid.request.resources, all));
  TRY_VOID(services_.resources.commit(id, wanted, bid.expires));
  promises_[id] = {owner, request.ensemble_id, wanted, bid.expires};
  return {};
}

void Provider::forget_promise(std::string id) {  // by value: callers name the entry that goes
  if (promises_.erase(id) == 0) return;
  if (Result<void> freed = services_.resources.uncommit(id); !freed && !freed.error().is(Errc::not_found))
    log::warn("provider", "taking back the promise for {}: {}", id, freed.error().to_string());
}

// --- allocations ---------------------------------------------------------------------------------------------------------

Task<protocol::AllocateResponse> Provider::allocate(protocol::AllocateRequest request,
                                                    const actor::Envelope& envelope) {
  protocol::AllocateResponse response;
  std::vector<std::string> made;
  Result<void> fine;
  if (request.allocations.empty()) fine = fail(Errc::invalid_argument, "Allocations: at least one is expected");
  for (const auto& [name, config] : request.allocations) {
    const std::string id = protocol::full_allocation_id(request.ensemble_id, name);
    Result<actor::Handle> handle = allocate_one(request.ensemble_id, id, config, envelope.from);
    if (!handle) {
      fine = fail(handle.error(), "{}", name);
      break;
    }
    made.push_back(id);
    response.allocations[name] = *handle;
  }
  if (fine) fine = open_ensemble(request.ensemble_id);
  if (fine)
    fine = grant(ensemble_key(request.ensemble_id), envelope.from.did, root_.handle().did,
                 protocol::ensemble_namespace(request.ensemble_id));
  if (!fine) {
    for (const std::string& id : made) co_await release(id);
    response = {};
    response.error = fine.error().to_string();
    co_return response;
  }
  response.ok = true;
  co_return response;
}

Result<actor::Handle> Provider::allocate_one(const std::string& ensemble, const std::string& id,
                                             const protocol::AllocationConfig& config, const actor::Handle& owner) {
  const auto promise = promises_.find(id);
  if (promise == promises_.end()) return fail(Errc::not_found, "nothing was committed for it");
  if (promise->second.owner != owner.did)
    return fail(Errc::permission_denied, "it was committed to another orchestrator");
  if (!capability::covers(promise->second.resources, config.resources))
    return fail(Errc::limit_exceeded, "more than was committed: {}",
                capability::explain_shortage(promise->second.resources, config.resources));
  if (jobs::ensemble_id(id) != ensemble)
    return fail(Errc::invalid_argument, "it does not belong to ensemble {}", ensemble);
  const auto engine = services_.executors.find(config.execution.type);
  if (engine == services_.executors.end())
    return fail(Errc::unsupported, "Execution.type: executor '{}' is not available here", config.execution.type);

  actor::ChildOptions child_options;
  child_options.supervisor = owner;
  TRY(auto child, root_.create_child(id, std::move(child_options)));
  const actor::Handle handle = child->handle();
  TRY(const did::Did child_did, handle.id.did());
  Allocation::Spec spec{id, config, owner, services_.work_dir / "jobs" / id, now()};
  spec.config.resources = promise->second.resources;  // what was promised is what is enforced
  auto allocation = Allocation::create(
      std::move(child), *engine->second, std::move(spec), [this, id] { free_resources(id); },
      [this, id] { work_.spawn(release_later(id, kRetention)); });
  if (!allocation) return std::unexpected(allocation.error());
  Result<void> granted = grant(allocation_key(id), owner.did, child_did, protocol::kAllocationNamespace);
  if (granted) granted = services_.resources.allocate(id);
  allocations_[id] = std::move(*allocation);
  promises_.erase(promise);
  if (!granted) {
    // The half-made allocation owns a running actor, which only release() can end.
    work_.spawn(release(id));
    return std::unexpected(granted.error());
  }
  return handle;
}

Result<void> Provider::grant(const std::string& key, const did::Did& owner, const did::Did& audience,
                             std::string_view scope) {
  TRY(auto given, ucan::StandingGrant::give(root_.security().capabilities(), owner, audience, scope, now()));
  grants_.insert_or_assign(key, std::move(given));
  return {};
}

Result<void> Provider::open_ensemble(const std::string& ensemble) {
  TRY_VOID(
      serve(root_, protocol::kAllocationLogs, *this, &Provider::logs, path_of(protocol::kAllocationLogs, ensemble)));
  return serve(root_, protocol::kAllocationShutdown, *this, &Provider::shutdown,
               path_of(protocol::kAllocationShutdown, ensemble));
}

void Provider::close_ensemble_if_empty(const std::string& ensemble) {
  for (const auto& [id, allocation] : allocations_)
    if (jobs::ensemble_id(id) == ensemble) return;
  root_.remove_behaviour(path_of(protocol::kAllocationLogs, ensemble));
  root_.remove_behaviour(path_of(protocol::kAllocationShutdown, ensemble));
  grants_.erase(ensemble_key(ensemble));
}

Result<std::shared_ptr<Allocation>> Provider::owned(const std::string& id, const did::Did& owner) {
  const auto it = allocations_.find(id);
  if (it == allocations_.end()) return fail(Errc::not_found, "there is no allocation {}", id);
  if (it->second->spec().orchestrator.did != owner)
    return fail(Errc::permission_denied, "allocation {} belongs to another orchestrator", id);
  return it->second;
}

Task<Ack> Provider::shutdown(protocol::AllocationShutdownRequest request, const actor::Envelope& envelope) {
  Result<std::shared_ptr<Allocation>> allocation = owned(request.allocation_id, envelope.from.did);
  if (!allocation) co_return Ack{.error = allocation.error().to_string()};
  co_await release(request.allocation_id);
  co_return Ack{.ok = true};
}

Task<protocol::AllocationLogsResponse> Provider::logs(protocol::AllocationLogsRequest request,
                                                      const actor::Envelope& envelope) {
  protocol::AllocationLogsResponse response;
  const std::string_view ensemble = ensemble_in(protocol::kAllocationLogs, envelope.behaviour);
  const std::string id = protocol::full_allocation_id(ensemble, request.allocation_name);
  Result<std::shared_ptr<Allocation>> allocation = owned(id, envelope.from.did);
  Result<executor::Logs> logs = fail(Errc::not_found, "");
  if (allocation)
    logs = co_await (*allocation)->logs();
  else
    logs = std::unexpected(allocation.error());
  if (logs) {
    response.out = to_bytes(logs->out);
    response.err = to_bytes(logs->err);
  } else {
    response.error = logs.error().to_string();
  }
  co_return response;
}

Task<Ack> Provider::revert(protocol::RevertRequest request, const actor::Envelope& envelope) {
  const did::Did& owner = envelope.from.did;
  const auto open = bids_.find(request.ensemble_id);
  if (open != bids_.end() && open->second.owner == owner) bids_.erase(open);
  for (const std::string& name : request.allocations) {
    const std::string id = protocol::full_allocation_id(request.ensemble_id, name);
    if (const auto promise = promises_.find(id); promise != promises_.end() && promise->second.owner == owner)
      forget_promise(id);
    const bool ours = owned(id, owner).has_value() || releasing_.contains(id);
    if (ours) co_await release(id);
  }
  co_return Ack{.ok = true};
}

void Provider::free_resources(const std::string& id) {
  if (Result<void> freed = services_.resources.deallocate(id); !freed && !freed.error().is(Errc::not_found))
    log::error("provider", "freeing the resources of {}: {}", id, freed.error().to_string());
}

Task<void> Provider::release(std::string id) {
  // A second caller waits for the first: when release() returns, nothing of the allocation is left.
  while (releasing_.contains(id)) (void)co_await released_.wait_shielded();
  auto node = allocations_.extract(id);
  if (node.empty()) co_return;
  releasing_.insert(id);
  co_await node.mapped()->release();
  grants_.erase(allocation_key(id));
  free_resources(id);
  releasing_.erase(id);
  released_.notify_all();
  close_ensemble_if_empty(std::string(jobs::ensemble_id(id)));
}

Task<void> Provider::release_later(std::string id, Duration after) {
  const Result<void> slept = co_await sleep_for(after);
  if (!slept) co_return;
  co_await release(id);
}

// --- housekeeping --------------------------------------------------------------------------------------------------------

Task<void> Provider::sweep() {
  for (;;) {
    const Result<void> slept = co_await sleep_for(60s);
    if (!slept) co_return;
    const UnixTime time = now();
    std::erase_if(bids_, [&](const auto& entry) { return entry.second.expires < time; });
    std::erase_if(answered_, [&](const auto& entry) { return !bids_.contains(entry.first); });
    std::vector<std::string> stale;
    for (const auto& [id, promise] : promises_)
      if (promise.expires < time) stale.push_back(id);
    for (const std::string& id : stale) forget_promise(id);
    stale.clear();
    for (const auto& [id, allocation] : allocations_) {
      const bool never_ran = allocation->started() == UnixTime{} && !allocation->starting();
      if (never_ran && allocation->spec().created + kRetention < time) stale.push_back(id);
    }
    for (const std::string& id : stale) {
      log::info("provider", "allocation {} was never started and is released", id);
      co_await release(id);
    }
  }
}

Task<void> Provider::keep_in_touch() {
  // An orchestrator whose daemon was restarted may not know any more where we are; we know where it was.
  for (;;) {
    const Result<void> slept = co_await sleep_for(kReconnectInterval);
    if (!slept) co_return;
    std::set<std::string> lost;
    for (const auto& [id, allocation] : allocations_) lost.insert(allocation->spec().orchestrator.address.host);
    for (const crypto::PeerId& peer : services_.network.peers()) lost.erase(peer.to_string());
    for (const std::string& host : lost) {
      const Result<crypto::PeerId> peer = crypto::PeerId::parse(host);
      if (!peer || *peer == services_.network.self()) continue;
      const Result<Duration> answer = co_await with_timeout(kReconnectTimeout, services_.network.ping(*peer));
      if (answer) log::info("provider", "orchestrator {} is back", host);
    }
  }
}

Task<void> Provider::renew_grants() {
  for (;;) {
    const Result<void> slept = co_await sleep_for(ucan::kStandingGrantRenewal);
    if (!slept) co_return;
    for (auto& [key, given] : grants_)
      if (Result<void> renewed = given.renew(now()); !renewed)
        log::warn("provider", "renewing the grant for {}: {}", key, renewed.error().to_string());
  }
}

Task<protocol::AllocationsReply> Provider::list(protocol::Nothing, const actor::Envelope&) {
  protocol::AllocationsReply reply;
  for (const auto& [id, allocation] : allocations_) {
    const Allocation::Spec& spec = allocation->spec();
    protocol::AllocationInfo& info = reply.allocations.emplace_back();
    info.id = id;
    info.type = spec.config.type;
    info.resources = spec.config.resources;
    info.orchestrator = spec.orchestrator.did.uri();
    info.status = allocation->status();
    info.executor = spec.config.execution.type;
    info.execution_id = allocation->execution_id().value;
    info.created_at = spec.created.nanos;
    info.started_at = allocation->started().nanos;
  }
  co_return reply;
}

}  // namespace dms::provider
