#include "provider/allocations.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"
#include "protocol/serve.hpp"

namespace dms::provider {

using protocol::Ack;

Task<protocol::AllocateResponse> Allocations::allocate(protocol::AllocateRequest request,
                                                       const actor::Envelope& envelope) {
  protocol::AllocateResponse response;
  const EnsembleKey ensemble{envelope.from.did, request.ensemble_id};
  std::vector<AllocationKey> made;
  Result<void> done;
  if (request.allocations.empty()) done = fail(Errc::invalid_argument, "Allocations: at least one is expected");
  for (auto& [name, config] : request.allocations) {
    const AllocationKey key = allocation_key(ensemble, name);
    Result<actor::Handle> handle = co_await allocate_one(key, std::move(config), envelope.from);
    if (!handle) {
      done = fail(handle.error(), "{}", name);
      break;
    }
    made.push_back(key);
    response.allocations[name] = *handle;
  }
  if (done) done = open_ensemble(ensemble);
  if (!done) {
    for (const AllocationKey& key : made) co_await release(key);
    response = {};
    response.error = done.error().to_string();
    co_return response;
  }
  response.ok = true;
  co_return response;
}

Task<Result<actor::Handle>> Allocations::allocate_one(AllocationKey key, protocol::AllocationConfig config,
                                                      actor::Handle owner) {
  const auto engine = parts_.services.executors.find(config.execution.type);
  if (engine == parts_.services.executors.end())
    co_return fail(Errc::unsupported, "Execution.type: executor '{}' is not available here", config.execution.type);
  Result<Reservations::Reservation> reservation = co_await parts_.reservations.claim(key, config.resources);
  if (!reservation) co_return std::unexpected(reservation.error());
  // No suspension until the allocation is in the map: close() finds each allocation that has claimed its reservation.
  const std::string name = reservation->name.text();
  Result<actor::Handle> handle = create(key, std::move(config), owner, *engine->second, *reservation);
  if (!handle) {
    co_await release(key);  // an incomplete one owns a running actor
    co_await free_resources(name);
  }
  co_return handle;
}

Result<actor::Handle> Allocations::create(const AllocationKey& key, protocol::AllocationConfig config,
                                          const actor::Handle& owner, executor::Executor& engine,
                                          Reservations::Reservation& reservation) {
  DMS_ASSERT(!exists(key), "{} is allocated twice", key.id);
  const std::string name = reservation.name.text();
  actor::ChildOptions child_options;
  child_options.supervisor = owner;
  TRY(auto child, parts_.root.create_child(name, std::move(child_options)));
  const actor::Handle handle = child->handle();
  config.resources = std::move(reservation.resources);  // the limits are those of the reservation
  Allocation::Spec spec{key.id,
                        std::move(reservation.name),
                        std::move(config),
                        owner,
                        parts_.services.work_dir / "jobs" / name,
                        parts_.services.lane.unix_now()};
  Allocation::Events events;
  events.status = [this](protocol::AllocationStatus status) { ++parts_.metrics.allocations[status]; };
  events.work_ended = [this, name] { return free_resources(name); };
  events.settled = [this, key] {
    if (const auto ended = allocations_.find(key); ended != allocations_.end())
      work_.spawn(release_later(key, ended->second));
  };
  auto allocation = std::make_shared<Allocation>(std::move(child), engine, std::move(spec), std::move(events));
  allocations_.emplace(key, allocation);
  count();
  TRY_VOID(allocation->open());
  TRY(const did::Did actor_did, handle.id.did());
  TRY_VOID(parts_.grants.give(key, actor_did));
  return handle;
}

Result<void> Allocations::open_ensemble(const EnsembleKey& ensemble) {
  actor::Actor& root = parts_.root;
  // Orchestrators that use the same ensemble id share these: a request finds its allocation by the sender.
  TRY_VOID(serve(root, protocol::kAllocationLogs, *this, &Allocations::logs,
                 path_of(protocol::kAllocationLogs, ensemble.ensemble)));
  TRY_VOID(serve(root, protocol::kAllocationShutdown, *this, &Allocations::shutdown,
                 path_of(protocol::kAllocationShutdown, ensemble.ensemble)));
  return parts_.grants.give(ensemble, root.handle().did);
}

void Allocations::close_ensemble_if_empty(const EnsembleKey& ensemble) {
  bool used_by_another = false;
  for (const auto& [key, allocation] : allocations_) {
    const EnsembleKey other = key.ensemble();
    if (other == ensemble) return;
    if (other.ensemble == ensemble.ensemble) used_by_another = true;
  }
  parts_.grants.withdraw(ensemble);
  if (used_by_another) return;
  parts_.root.remove_behaviour(path_of(protocol::kAllocationLogs, ensemble.ensemble));
  parts_.root.remove_behaviour(path_of(protocol::kAllocationShutdown, ensemble.ensemble));
}

Result<Allocations::AllocationPtr> Allocations::find(const AllocationKey& key) const {
  const auto found = allocations_.find(key);
  if (found == allocations_.end()) return fail(Errc::not_found, "this orchestrator has no allocation {} here", key.id);
  return found->second;
}

Task<Ack> Allocations::shutdown(protocol::AllocationShutdownRequest request, const actor::Envelope& envelope) {
  const AllocationKey key{envelope.from.did, request.allocation_id};
  if (const auto found = find(key); !found) co_return Ack{.error = found.error().to_string()};
  co_await release(key);
  co_return Ack{.ok = true};
}

Task<protocol::AllocationLogsResponse> Allocations::logs(protocol::AllocationLogsRequest request,
                                                         const actor::Envelope& envelope) {
  protocol::AllocationLogsResponse response;
  const EnsembleKey ensemble{envelope.from.did,
                             std::string(ensemble_in(protocol::kAllocationLogs, envelope.behaviour))};
  const Result<AllocationPtr> allocation = find(allocation_key(ensemble, request.allocation_name));
  if (!allocation) {
    response.error = allocation.error().to_string();
    co_return response;
  }
  const AllocationPtr held = *allocation;
  Result<executor::Logs> logs = co_await held->logs();
  if (logs) {
    response.out = to_bytes(logs->out);
    response.err = to_bytes(logs->err);
  } else {
    response.error = logs.error().to_string();
  }
  co_return response;
}

Task<protocol::AllocationsReply> Allocations::list(protocol::Nothing, const actor::Envelope&) {
  protocol::AllocationsReply reply;
  for (const auto& [key, allocation] : allocations_) {
    const Allocation::Spec& spec = allocation->spec();
    protocol::AllocationInfo& info = reply.allocations.emplace_back();
    info.id = key.id;
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

Task<void> Allocations::release(AllocationKey key) {
  while (releasing_.contains(key)) (void)co_await released_.wait_shielded();
  auto node = allocations_.extract(key);
  if (node.empty()) co_return;
  releasing_.insert(key);
  count();
  co_await node.mapped()->release();
  parts_.grants.withdraw(key);
  co_await free_resources(node.mapped()->spec().name.text());
  releasing_.erase(key);
  released_.notify_all();
  count();
  close_ensemble_if_empty(key.ensemble());
}

Task<void> Allocations::free_resources(std::string name) {
  const Result<void> freed = co_await parts_.services.resources.deallocate(name);
  if (!freed && !freed.error().is(Errc::not_found))
    log::error("provider", "freeing the resources of {}: {}", name, freed.error().to_string());
}

Task<void> Allocations::release_later(AllocationKey key, std::weak_ptr<Allocation> ended) {
  const Result<void> slept = co_await sleep_for(kRetention);
  if (!slept) co_return;
  // Meanwhile it may have been released and another one allocated under the same key.
  const auto current = allocations_.find(key);
  if (current != allocations_.end() && current->second == ended.lock()) co_await release(std::move(key));
}

Task<void> Allocations::sweep() {
  std::vector<AllocationKey> stale;
  for (const auto& [key, allocation] : allocations_) {
    const bool never_ran = allocation->started() == UnixTime{} && !allocation->starting();
    if (never_ran && allocation->spec().created + kRetention < parts_.services.lane.unix_now()) stale.push_back(key);
  }
  for (const AllocationKey& key : stale) {
    log::info("provider", "allocation {} was never started and is released", key.id);
    co_await release(key);
  }
}

Task<void> Allocations::close() {
  co_await work_.close();
  while (!allocations_.empty()) co_await release(allocations_.begin()->first);
  while (!releasing_.empty()) (void)co_await released_.wait_shielded();
}

Result<capability::Resources> Allocations::resources_of(const EnsembleKey& ensemble) const {
  capability::Resources sum;
  for (const auto& [key, allocation] : allocations_)
    if (key.ensemble() == ensemble) {
      TRY(sum, capability::add_requirement(sum, allocation->spec().config.resources));
    }
  return sum;
}

std::set<std::string> Allocations::orchestrators() const {
  std::set<std::string> hosts;
  for (const auto& [key, allocation] : allocations_) hosts.insert(allocation->spec().orchestrator.address.host);
  return hosts;
}

void Allocations::count() {
  parts_.metrics.current_allocations.set(static_cast<std::int64_t>(allocations_.size()));
  parts_.metrics.releasing.set(static_cast<std::int64_t>(releasing_.size()));
}

}  // namespace dms::provider
