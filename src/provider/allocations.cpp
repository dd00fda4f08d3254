#include "provider/allocations.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"
#include "protocol/serve.hpp"
#include "provider/admission.hpp"

namespace dms::provider {

using protocol::Ack;

namespace {

constexpr Duration kTakeTime = 1min;

AllocationKey key_of(const AllocationRecord& record) { return {record.orchestrator.did, record.id}; }

/// Whether a repeated request asks for what there is; the resources are those of the reservation.
bool same_request(const protocol::AllocationConfig& given, protocol::AllocationConfig wanted) {
  wanted.resources = given.resources;
  return json::encode(given) == json::encode(wanted);
}

}  // namespace

Allocations::Allocations(Parts parts)
    : parts_(parts),
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
    const Result<void> done = co_await allocate_one(key, std::move(config), owner, request.lease_ns);
    if (!done) co_return fail(done.error(), "{}", name.substr(0, kMaxId));
    if (!known) made.push_back(key);
  }
  co_return Result<void>();
}

Task<Result<void>> Allocations::allocate_one(AllocationKey key, protocol::AllocationConfig config, actor::Handle owner,
                                             std::int64_t lease_ns) {
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
  if (!creating_.insert(key).second) co_return fail(Errc::already_exists, "it is being allocated");
  Result<void> created = co_await create(key, std::move(config), std::move(owner), lease_ns);
  creating_.erase(key);
  co_return created;
}

Task<Result<void>> Allocations::create(AllocationKey key, protocol::AllocationConfig config, actor::Handle owner,
                                       std::int64_t lease_ns) {
  Result<Reservations::Reservation> reservation = co_await parts_.reservations.claim(key, config.resources);
  if (!reservation) co_return std::unexpected(reservation.error());
  AllocationRecord record;
  record.id = key.id;
  record.name = reservation->name.text();
  record.config = std::move(config);
  record.config.resources = reservation->resources;  // the limits are those of the reservation
  record.orchestrator = std::move(owner);
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
  if (opened) co_return Result<void>();
  if (allocation) {
    (void)co_await release(key);
    co_return opened;
  }
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
                          parts_.services.network};
  leases_.add(record.name, key.owner, std::move(lease));
  keys_.emplace(record.name, key);
  Allocation::Hooks hooks = hooks_of(record);
  auto allocation = std::make_shared<Allocation>(std::move(child), std::move(parts), std::move(record), std::move(name),
                                                 std::move(hooks));
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

// ---------------------------------------------------------------------------------------------------------- leases

std::vector<Allocations::AllocationPtr> Allocations::renewable(const protocol::RenewRequest& request,
                                                               const std::vector<AllocationPtr>& held) const {
  std::map<std::string, std::string> wanted;  // incarnation by id
  for (const auto& [name, incarnation] : request.allocations)
    wanted.emplace(protocol::full_allocation_id(request.ensemble_id, name), incarnation);
  std::vector<AllocationPtr> chosen;
  for (const AllocationPtr& allocation : held) {
    const auto named = wanted.find(allocation->record().id);
    if (named == wanted.end() || named->second != allocation->record().incarnation) continue;
    // A lease that is over stays so: a replacement may have been started.
    if (allocation->active() && !leases_.is_over(allocation->name())) chosen.push_back(allocation);
  }
  return chosen;
}

Task<protocol::RenewReply> Allocations::renew(protocol::RenewRequest request, const actor::Envelope& envelope) {
  protocol::RenewReply reply;
  if (request.allocations.size() > kMaxAllocations) {
    reply.error = fmt::format("Allocations: at most {} are expected", kMaxAllocations);
    co_return reply;
  }
  const EnsembleKey ensemble{envelope.from.did, request.ensemble_id};
  const std::vector<AllocationPtr> chosen = renewable(request, of_ensemble(ensemble));
  std::vector<std::string> names;
  for (const AllocationPtr& allocation : chosen) names.push_back(allocation->name());
  // The clock of an earlier reply, of this machine; without one, the receipt counts.
  SteadyTime from = parts_.services.lane.now();
  if (request.clock_ns > 0) from = std::min(from, SteadyTime(Duration(request.clock_ns)));
  const Result<void> renewed = co_await leases_.renew(std::move(names), from);
  reply.ok = renewed.has_value();
  if (!renewed) reply.error = fmt::format("the leases are not renewed: {}", renewed.error().to_string());
  for (const AllocationPtr& allocation : chosen) {
    if (!renewed) break;
    ++parts_.metrics.renewals;
    co_await allocation->extend();
  }
  co_await heard_from(envelope.from.did);
  const std::vector<AllocationPtr> held = of_ensemble(ensemble);
  std::vector<Task<protocol::AllocationReport>> reports;
  for (const AllocationPtr& allocation : held) reports.push_back(allocation->report());
  std::vector<protocol::AllocationReport> made = co_await when_all(std::move(reports));
  for (std::size_t i = 0; i < held.size(); ++i)
    reply.allocations.emplace(jobs::allocation_name(held[i]->record().id), std::move(made[i]));
  reply.clock_ns = clock();
  co_return reply;
}

Task<void> Allocations::heard_from(did::Did owner) {
  const std::vector<std::string> names = co_await leases_.heard_from(std::move(owner));
  for (const std::string& name : names) {
    const auto key = keys_.find(name);
    if (key == keys_.end()) continue;
    const AllocationPtr allocation = allocations_.at(key->second);
    co_await allocation->extend();
  }
}

std::int64_t Allocations::clock() const {
  return std::max<std::int64_t>(1, parts_.services.lane.now().time_since_epoch().count());
}

bool Allocations::is_current(const AllocationKey& key, const std::string& incarnation) const {
  const auto found = allocations_.find(key);
  if (found == allocations_.end()) return false;
  const AllocationRecord& record = found->second->record();
  // The reply to a restart may have been lost.
  return record.incarnation == incarnation || record.previous == incarnation;
}

void Allocations::lease_over(const std::string& name) {
  const auto key = keys_.find(name);
  if (!DMS_EXPECT(key != keys_.end(), "the lease of {} belongs to no allocation", name)) return;
  const AllocationPtr& allocation = allocations_.at(key->second);
  if (!allocation->active()) return;
  ++parts_.metrics.leases_ended;
  work_.spawn(allocation->end_lease());
}

// ------------------------------------------------------------------------------------------------------ the others

Task<Ack> Allocations::shutdown(protocol::AllocationShutdownRequest request, const actor::Envelope& envelope) {
  const AllocationKey key{envelope.from.did, request.allocation_id};
  co_await heard_from(envelope.from.did);
  Result<void> released;
  if (request.incarnation.empty() || is_current(key, request.incarnation)) released = co_await release(key);
  if (!released) co_return Ack{.error = released.error().to_string()};
  co_return Ack{.ok = true};
}

Task<protocol::AllocationLogsResponse> Allocations::logs(protocol::AllocationLogsRequest request,
                                                         const actor::Envelope& envelope) {
  protocol::AllocationLogsResponse response;
  const EnsembleKey ensemble{envelope.from.did,
                             std::string(ensemble_in(protocol::kAllocationLogs, envelope.behaviour))};
  co_await heard_from(envelope.from.did);
  const Result<AllocationPtr> allocation = find(allocation_key(ensemble, request.allocation_name));
  if (!allocation) {
    response.error = allocation.error().to_string();
    co_return response;
  }
  const AllocationPtr held = *allocation;
  if (request.stream.empty()) {
    Result<executor::Logs> logs = co_await held->logs();
    if (logs) {
      response.out = to_bytes(logs->out);
      response.err = to_bytes(logs->err);
    } else {
      response.error = logs.error().to_string();
    }
    co_return response;
  }
  if (request.stream != "stdout" && request.stream != "stderr") {
    response.error = fmt::format("stream: expected stdout or stderr, found \"{}\"", request.stream.substr(0, 64));
    co_return response;
  }
  const auto stream = request.stream == "stdout" ? executor::LogStream::out : executor::LogStream::err;
  const std::size_t wanted = request.max_bytes == 0 ? protocol::kLogPage : request.max_bytes;
  Result<executor::LogPage> page =
      co_await held->read_log(stream, request.offset, std::min(wanted, protocol::kLogPage));
  if (!page) {
    response.error = page.error().to_string();
    co_return response;
  }
  response.offset = page->offset;
  response.next_offset = page->offset + page->data.size();
  response.total_size = page->total;
  response.eof = page->ended && response.next_offset >= page->total;
  response.data = to_bytes(page->data);
  co_return response;
}

Task<protocol::AllocationsReply> Allocations::list(protocol::Nothing, const actor::Envelope&) {
  protocol::AllocationsReply reply;
  for (const auto& [key, allocation] : allocations_) {
    const AllocationRecord& record = allocation->record();
    protocol::AllocationInfo& info = reply.allocations.emplace_back();
    info.id = key.id;
    info.type = record.config.type;
    info.resources = record.config.resources;
    info.orchestrator = record.orchestrator.did.uri();
    info.status = allocation->status();
    info.executor = record.config.execution.type;
    info.execution_id = record.incarnation;
    info.created_at = record.created_ns;
    info.started_at = record.started_ns;
  }
  co_return reply;
}

Result<capability::Resources> Allocations::resources_of(const EnsembleKey& ensemble) const {
  capability::Resources sum;
  for (const AllocationPtr& allocation : of_ensemble(ensemble)) {
    TRY(sum, capability::add_requirement(sum, allocation->record().config.resources));
  }
  return sum;
}

std::map<std::string, std::set<did::Did>> Allocations::orchestrators() const {
  std::map<std::string, std::set<did::Did>> hosts;
  for (const auto& [key, allocation] : allocations_)
    hosts[allocation->record().orchestrator.address.host].insert(key.owner);
  return hosts;
}

void Allocations::count() {
  parts_.metrics.current_allocations.set(static_cast<std::int64_t>(allocations_.size()));
  parts_.metrics.releasing.set(static_cast<std::int64_t>(releasing_.size()));
}

// -------------------------------------------------------------------------------------------------------- releasing

Task<Result<void>> Allocations::release(AllocationKey key) {
  while (releasing_.contains(key)) (void)co_await released_.wait_shielded();
  const auto found = allocations_.find(key);
  if (closed_) co_return fail(Errc::closed, "this node is stopping");
  if (found == allocations_.end()) co_return Result<void>();
  releasing_.insert(key);
  count();
  Result<void> done = co_await release_now(key, found->second);
  releasing_.erase(key);
  released_.notify_all();
  count();
  if (done) close_ensemble_if_empty(key.ensemble());
  co_return done;
}

Task<Result<void>> Allocations::release_now(AllocationKey key, AllocationPtr allocation) {
  const std::string name = allocation->name();
  if (results_) co_await results_->forget(allocation->folder());
  CO_TRY_VOID(co_await allocation->release());
  parts_.grants.withdraw(key);
  CO_TRY_VOID(co_await free_resources(name));
  leases_.remove(name);  // before the erasure, see Leases
  CO_TRY_VOID(co_await store_.erase(name));
  const auto erased = allocations_.find(key);
  DMS_ASSERT(erased != allocations_.end() && erased->second == allocation, "{} was released twice", key.id);
  keys_.erase(name);
  allocations_.erase(erased);
  co_return Result<void>();
}

Task<void> Allocations::release_logged(AllocationKey key) {
  const Result<void> released = co_await release(key);
  if (!released) log::warn("provider", "releasing {}, which is tried again: {}", key.id, released.error().to_string());
}

Task<Result<void>> Allocations::free_resources(std::string name) {
  const Result<void> freed = co_await parts_.services.resources.deallocate(name);
  if (freed || freed.error().is(Errc::not_found)) co_return Result<void>();
  co_return fail(freed.error(), "freeing the resources of {}", name);
}

Task<void> Allocations::free_after_end(std::string name) {
  if (const auto key = keys_.find(name); key != keys_.end())
    (void)DMS_EXPECT(!allocations_.at(key->second)->active(), "the resources of {} are freed while it uses them", name);
  const Result<void> freed = co_await free_resources(name);
  if (!freed) log::warn("provider", "{}; this is tried again", freed.error().to_string());
}

Task<Result<void>> Allocations::take_resources(std::string name, capability::Resources resources) {
  resources::Manager& manager = parts_.services.resources;
  const Result<void> reserved = co_await manager.commit(name, resources, parts_.services.lane.unix_now() + kTakeTime);
  if (!reserved && !reserved.error().is(Errc::already_exists)) co_return reserved;
  const Result<void> taken = co_await manager.allocate(name);
  if (!taken && !taken.error().is(Errc::already_exists)) co_return taken;
  co_return Result<void>();
}

Task<void> Allocations::sweep() {
  std::vector<AllocationKey> over;
  std::vector<AllocationKey> unfreed;
  for (const auto& [key, allocation] : allocations_) {
    const bool kept_enough = allocation->ended_for() >= parts_.services.retention;
    if (allocation->record().phase == Phase::releasing || kept_enough)
      over.push_back(key);
    else if (!allocation->needs_resources() && parts_.services.resources.find(allocation->name()))
      unfreed.push_back(key);
  }
  // What an allocation that could not be stored has left.
  std::vector<std::string> unrecorded;
  for (const auto& [name, reservation] : parts_.services.resources.list())
    if (reservation.state == resources::State::allocated && !keys_.contains(name)) unrecorded.push_back(name);
  for (const std::string& name : unrecorded)
    if (creating_.empty() && !keys_.contains(name)) co_await free_after_end(name);
  for (const AllocationKey& key : unfreed) {
    const auto found = allocations_.find(key);
    if (found != allocations_.end() && !found->second->needs_resources())
      co_await free_after_end(found->second->name());
  }
  for (const AllocationKey& key : over) co_await release_logged(key);
}

Task<void> Allocations::close() {
  closed_ = true;
  co_await work_.close();
  if (results_) co_await results_->close();
  while (!releasing_.empty()) (void)co_await released_.wait_shielded();
  while (!allocations_.empty()) {
    const auto first = allocations_.begin();
    const AllocationKey key = first->first;
    const AllocationPtr allocation = first->second;
    co_await allocation->close();
    leases_.remove(allocation->name());
    keys_.erase(allocation->name());
    parts_.grants.withdraw(key);
    allocations_.erase(key);
    close_ensemble_if_empty(key.ensemble());
  }
  count();
}

}  // namespace dms::provider
