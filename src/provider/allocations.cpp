#include "provider/allocations.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"
#include "protocol/refused.hpp"
#include "protocol/serve.hpp"
#include "provider/admission.hpp"

namespace dms::provider {

using protocol::Ack;

namespace {

AllocationKey key_of(const AllocationRecord& record) { return {record.orchestrator.did, record.id}; }

/// Whether a repeated request asks for what there is; the resources are those of the reservation.
bool same_request(const protocol::AllocationConfig& given, protocol::AllocationConfig wanted) {
  wanted.resources = given.resources;
  return json::encode(given) == json::encode(wanted);
}

/// What a request makes this node keep.
std::size_t kept_bytes(const protocol::AllocationConfig& config, const actor::Handle& owner) {
  return json::encode(config).size() + json::encode(owner).size();
}

}  // namespace

Allocations::Allocations(Parts parts)
    : parts_(parts),
      own_folder_(parts.services.work_dir, parts.root.handle().did),
      store_(parts.services.store),
      leases_(parts.services.lane, parts.services.store, parts.services.boot_id, parts.services.leases,
              [this](const std::string& name) { lease_over(name); }),
      work_(parts.services.lane, "allocations") {
  if (parts.services.transfers != nullptr) results_.emplace(parts.services.lane, *parts.services.transfers);
}

// ------------------------------------------------------------------------------------------------------- allocating

Task<protocol::AllocateResponse> Allocations::allocate(protocol::AllocateRequest request,
                                                       const actor::Envelope& envelope) {
  protocol::AllocateResponse response;
  const EnsembleKey ensemble{envelope.from.did, request.ensemble_id};
  std::vector<std::string> names;
  for (const auto& [name, config] : request.allocations) names.push_back(name);
  co_await heard_from(envelope.from.did);
  std::vector<AllocationKey> made;
  Result<void> done = check_members(envelope.message);
  if (done) done = co_await allocate_all(std::move(request), envelope.from, made);
  for (const std::string& name : names) {
    if (!done) break;
    const Result<AllocationPtr> allocation = find(allocation_key(ensemble, name));
    if (!allocation) {
      done = std::unexpected(allocation.error());
      break;
    }
    const Lease* lease = leases_.find((*allocation)->name());
    if (lease != nullptr && !lease->by_contact) response.lease_ns = lease->length_ns;
    response.allocations[name] = (*allocation)->actor().handle();
    response.incarnations[name] = (*allocation)->record().incarnation;
    if (!(*allocation)->offers_actor()) continue;
    if (const Result<actor::Handle> work = work_handle((*allocation)->actor())) response.work[name] = *work;
  }
  response.ok = done.has_value();
  response.clock_ns = clock();
  if (done) co_return response;
  for (const AllocationKey& key : made) co_await release_logged(key);
  response = {};
  response.error = done.error().to_string();
  co_return response;
}

Task<Result<void>> Allocations::allocate_all(protocol::AllocateRequest request, actor::Handle owner,
                                             std::vector<AllocationKey>& made) {
  if (request.allocations.empty() || request.allocations.size() > kMaxAllocations)
    co_return fail(Errc::invalid_argument, "Allocations: 1 to {} are expected, found {}", kMaxAllocations,
                   request.allocations.size());
  if (request.node_id.size() > kMaxId)
    co_return fail(Errc::invalid_argument, "NodeID: {} bytes, at most {} are expected", request.node_id.size(), kMaxId);
  for (const auto& [name, config] : request.allocations) {
    const Result<void> honoured = check_config(config);
    if (!honoured) co_return fail(honoured.error(), "{}", name.substr(0, kMaxId));
    if ((config.results || !config.inputs.empty()) && !results_)
      co_return fail(Errc::unsupported, "{}: Inputs and Results: not supported by this provider",
                     name.substr(0, kMaxId));
    if (config.results && config.results->max_bytes() > parts_.services.max_results)
      co_return fail(Errc::unsupported, "{}: Results.limit: this provider grants at most {} bytes (job.max_results)",
                     name.substr(0, kMaxId), parts_.services.max_results);
  }
  const EnsembleKey ensemble{owner.did, request.ensemble_id};
  for (auto& [name, config] : request.allocations) {
    const AllocationKey key = allocation_key(ensemble, name);
    const bool known = allocations_.contains(key);
    const Result<void> done = co_await allocate_one(key, std::move(config), owner, request.node_id, request.lease_ns);
    if (!done) co_return fail(done.error(), "{}", name.substr(0, kMaxId));
    if (!known) made.push_back(key);
  }
  co_return Result<void>();
}

Result<void> Allocations::check_room(const did::Did& owner, std::size_t bytes) const {
  const Services& limits = parts_.services;
  std::size_t own = 0;
  for (auto it = bytes_.lower_bound(AllocationKey{owner, ""}); it != bytes_.end() && it->first.owner == owner; ++it)
    ++own;
  if (bytes_.size() >= limits.max_held)
    return fail(Errc::limit_exceeded, "this provider holds {} allocations, which is the limit", bytes_.size());
  if (own >= limits.max_held_by_owner)
    return fail(
        Errc::limit_exceeded,
        "this provider holds {} allocations of this orchestrator, which is the limit; those that have ended count "
        "until they are shut down",
        own);
  return check_growth(owner, bytes);
}

Result<void> Allocations::check_growth(const did::Did& owner, std::size_t bytes) const {
  const Services& limits = parts_.services;
  std::size_t own_bytes = bytes;
  std::size_t all_bytes = bytes;
  for (const auto& [key, held] : bytes_) {
    all_bytes += held;
    if (key.owner == owner) own_bytes += held;
  }
  if (own_bytes > limits.max_held_bytes_by_owner || all_bytes > limits.max_held_bytes)
    return fail(Errc::limit_exceeded,
                "Config: with this one the configurations that this provider holds have {} bytes, {} of them of this "
                "orchestrator; at most {} and {} are kept",
                all_bytes, own_bytes, limits.max_held_bytes, limits.max_held_bytes_by_owner);
  return {};
}

Result<void> Allocations::resize(const AllocationKey& key, std::size_t bytes) {
  const std::size_t before = std::exchange(bytes_[key], 0);
  const Result<void> room = before >= bytes ? Result<void>() : check_growth(key.owner, bytes);
  bytes_[key] = room ? bytes : before;
  return room;
}

Task<Result<void>> Allocations::allocate_one(AllocationKey key, protocol::AllocationConfig config, actor::Handle owner,
                                             std::string node, std::int64_t lease_ns) {
  if (const auto known = allocations_.find(key); known != allocations_.end()) {
    const AllocationRecord& record = known->second->record();
    if (record.phase == Phase::releasing) co_return fail(Errc::already_exists, "it is still being removed");
    if (!same_request(record.config, std::move(config)))
      co_return fail(Errc::already_exists, "it is allocated already, with another configuration");
    co_return Result<void>();
  }
  const auto engine = parts_.services.executors.find(config.execution.type);
  if (engine == parts_.services.executors.end() || !engine->second->ready())
    co_return fail(Errc::unsupported, "Execution.type: executor '{}' is not available here", config.execution.type);
  if (creating_.contains(key)) co_return fail(Errc::already_exists, "it is being allocated");
  const std::size_t bytes = kept_bytes(config, owner);
  CO_TRY_VOID(check_room(key.owner, bytes));
  creating_.insert(key);
  bytes_[key] = bytes;
  Result<void> created = co_await create(key, std::move(config), std::move(owner), std::move(node), lease_ns);
  creating_.erase(key);
  released_.notify_all();
  if (!created && allocations_.contains(key)) (void)co_await release(key);
  if (!allocations_.contains(key)) bytes_.erase(key);
  co_return created;
}

Task<Result<void>> Allocations::create(AllocationKey key, protocol::AllocationConfig config, actor::Handle owner,
                                       std::string node, std::int64_t lease_ns) {
  Result<Reservations::Reservation> reservation = co_await parts_.reservations.claim(key, config.resources);
  if (!reservation) co_return std::unexpected(reservation.error());
  AllocationRecord record;
  record.id = key.id;
  record.name = reservation->name.text();
  record.config = std::move(config);
  record.config.resources = reservation->resources;  // the limits are those of the reservation
  record.orchestrator = std::move(owner);
  record.node = std::move(node);
  record.created_ns = parts_.services.lane.unix_now().nanos;
  record.boot_id = parts_.services.boot_id;
  record.incarnation = random_incarnation(parts_.services.lane.random());
  const std::string name = record.name;
  const Lease lease = leases_.grant(lease_ns);
  const Result<void> stored = co_await store_.create(record, lease);
  if (!stored) {
    (void)co_await free_resources(name);
    co_return fail(stored.error(), "storing the allocation");
  }
  // What is stored now is taken up by the next start.
  if (closed_) co_return fail(Errc::closed, "this node is stopping");
  Result<AllocationPtr> allocation = take_up(std::move(record), std::move(reservation->name), lease);
  Result<void> opened;
  if (allocation)
    opened = open(**allocation);
  else
    opened = std::unexpected(allocation.error());
  if (opened || allocation) co_return opened;
  const Result<void> erased = co_await store_.erase(name);
  if (erased) (void)co_await free_resources(name);
  co_return opened;
}

Result<Allocations::AllocationPtr> Allocations::take_up(AllocationRecord record, LocalName name, Lease lease) {
  const AllocationKey key = key_of(record);
  DMS_ASSERT(!allocations_.contains(key), "{} is allocated twice", key.id);
  actor::ChildOptions options;
  options.key = parts_.root.security().key().derive(actor_key_label(record));
  options.supervisor = record.orchestrator;
  TRY(auto child, parts_.root.create_child(record.name, std::move(options)));
  Allocation::Parts parts{store_,
                          leases_,
                          engine_of(record),
                          parts_.services.boot_id,
                          parts_.services.work_dir / "jobs" / record.name,
                          parts_.services.network,
                          counting_,
                          counting_many_,
                          own_folder_,
                          parts_.services.net,
                          parts_.services.work_dir / kActorFolders / actor_folder_name(record.name)};
  leases_.add(record.name, key.owner, std::move(lease));
  keys_.emplace(record.name, key);
  Allocation::Hooks hooks = hooks_of(record);
  auto allocation = std::make_shared<Allocation>(std::move(child), std::move(parts), std::move(record), std::move(name),
                                                 std::move(hooks));
  bytes_[key] = kept_bytes(allocation->record().config, allocation->record().orchestrator);
  allocations_.emplace(key, allocation);
  count();
  return allocation;
}

Allocation::Hooks Allocations::hooks_of(const AllocationRecord& record) {
  Allocation::Hooks hooks;
  hooks.entered = [this](protocol::AllocationStatus status) { ++parts_.metrics.allocations[status]; };
  hooks.free_resources = [this, name = record.name] { return free_after_end(name); };
  hooks.take_resources = [this, name = record.name, resources = record.config.resources] {
    return take_resources(name, resources);
  };
  hooks.make_room = [this, key = key_of(record), owner = record.orchestrator](const auto& config) -> Result<void> {
    TRY_VOID(check_config_size(config));
    return resize(key, kept_bytes(config, owner));
  };
  hooks.end_packing = [this](std::filesystem::path run) { return end_packing(std::move(run)); };
  hooks.siblings_here = [this, own = key_of(record)](const std::string& behaviour, const std::string& topic) {
    std::vector<actor::Handle> subscribers;
    for (const AllocationPtr& sibling : of_ensemble(own.ensemble()))
      if (auto handle = sibling->subscriber(behaviour, topic); handle && sibling->record().id != own.id)
        subscribers.push_back(*std::move(handle));
    return subscribers;
  };
  hooks.heard_from = [this, owner = record.orchestrator.did] { return heard_from(owner); };
  return hooks;
}

executor::Executor* Allocations::engine_of(const AllocationRecord& record) const {
  const auto engine = parts_.services.executors.find(record.config.execution.type);
  return engine == parts_.services.executors.end() ? nullptr : engine->second;
}

Result<void> Allocations::open(Allocation& allocation) {
  const AllocationKey key = key_of(allocation.record());
  const EnsembleKey ensemble = key.ensemble();
  TRY_VOID(allocation.open());
  TRY(const did::Did actor_did, allocation.actor().handle().id.did());
  TRY_VOID(parts_.grants.give(key, actor_did));
  if (ensembles_.contains(ensemble)) return {};
  actor::Actor& root = parts_.root;
  // Orchestrators that use the same ensemble id share these: a request finds its allocation by the sender.
  TRY_VOID(serve(root, protocol::kAllocationLogs, *this, &Allocations::logs,
                 path_of(protocol::kAllocationLogs, ensemble.ensemble)));
  TRY_VOID(serve(root, protocol::kAllocationShutdown, *this, &Allocations::shutdown,
                 path_of(protocol::kAllocationShutdown, ensemble.ensemble)));
  if (results_)
    TRY_VOID(serve(root, protocol::kAllocationResults, *this, &Allocations::results,
                   path_of(protocol::kAllocationResults, ensemble.ensemble)));
  TRY_VOID(refuse_behaviours(root, protocol::Holder::ensemble, ensemble.ensemble));
  TRY_VOID(parts_.grants.give(ensemble, root.handle().did));
  ensembles_.insert(ensemble);
  return {};
}

void Allocations::close_ensemble_if_empty(const EnsembleKey& ensemble) {
  bool used_by_another = false;
  for (const auto& [key, allocation] : allocations_) {
    const EnsembleKey other = key.ensemble();
    if (other == ensemble) return;
    if (other.ensemble == ensemble.ensemble) used_by_another = true;
  }
  ensembles_.erase(ensemble);
  parts_.grants.withdraw(ensemble);
  if (used_by_another) return;
  parts_.root.remove_behaviour(path_of(protocol::kAllocationLogs, ensemble.ensemble));
  parts_.root.remove_behaviour(path_of(protocol::kAllocationShutdown, ensemble.ensemble));
  parts_.root.remove_behaviour(path_of(protocol::kAllocationResults, ensemble.ensemble));
  stop_refusing(parts_.root, protocol::Holder::ensemble, ensemble.ensemble);
}

Result<Allocations::AllocationPtr> Allocations::find(const AllocationKey& key) const {
  const auto found = allocations_.find(key);
  if (found == allocations_.end()) return fail(Errc::not_found, "this orchestrator has no allocation {} here", key.id);
  return found->second;
}

std::vector<Allocations::AllocationPtr> Allocations::of_ensemble(const EnsembleKey& ensemble) const {
  std::vector<AllocationPtr> held;
  const std::string first = ensemble.ensemble + "_";
  for (auto it = allocations_.lower_bound(AllocationKey{ensemble.owner, first});
       it != allocations_.end() && it->first.owner == ensemble.owner && it->first.id.starts_with(first); ++it)
    if (it->first.ensemble() == ensemble) held.push_back(it->second);
  return held;
}

}  // namespace dms::provider
