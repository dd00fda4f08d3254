// What orchestrators ask of their allocations: renewal, the end of a run, output.
#include "base/assert.hpp"
#include "base/log.hpp"
#include "provider/admission.hpp"
#include "provider/allocations.hpp"

namespace dms::provider {

using protocol::Ack;

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
  // Notices to an orchestrator whose clock is ahead last longer.
  if (request.wall_ns != 0)
    parts_.root.system().clocks.heard(envelope.from.address.host, UnixTime{request.wall_ns},
                                      parts_.services.lane.unix_now(), protocol::kRenew.timeout);
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
  reply.wall_ns = parts_.services.lane.unix_now().nanos;
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
  const SteadyTime until = answer_until(envelope);
  co_await heard_from(envelope.from.did);
  Result<void> done;
  if (request.keep)
    done = co_await stop(key, request.incarnation, until);
  else if (request.incarnation.empty() || is_current(key, request.incarnation))
    done = co_await release(key, until);
  co_return ack_of(done);
}

Task<Result<void>> Allocations::stop(AllocationKey key, std::string incarnation, SteadyTime until) {
  if (closed_) co_return fail(Errc::closed, "this node is stopping");
  CO_TRY(AllocationPtr allocation, find(key));
  if (!incarnation.empty() && !is_current(key, incarnation))
    co_return fail(Errc::not_found, "incarnation: {} is not the current run", incarnation.substr(0, kMaxId));
  co_return co_await stop_run(std::move(allocation), std::nullopt, until);
}

/// The task is one of this node, which ends before its allocations do; the request may be given up before. It ends
/// whatever run comes, so that those who ask meanwhile wait for the same.
Task<Result<void>> Allocations::stop_run(AllocationPtr allocation, std::optional<Duration> owner_grace,
                                         SteadyTime until) {
  Lane& lane = parts_.services.lane;
  const ScopedTimer timer(lane, until, [this] { stopped_.notify_all(); });
  const std::string id = allocation->record().id;
  Outcome outcome;
  if (const auto stopping = stopping_.find(allocation); stopping != stopping_.end()) {
    outcome = stopping->second;
  } else {
    outcome = std::make_shared<std::optional<Result<void>>>();
    stopping_.emplace(allocation, outcome);
    work_.spawn(stop_into(std::move(allocation), owner_grace, outcome));
  }
  while (!outcome->has_value() && lane.now() < until) (void)co_await stopped_.wait_shielded();
  if (!outcome->has_value())
    co_return fail(Errc::deadline_exceeded, "{} is still being stopped: its executor has not ended it yet", id);
  co_return **outcome;
}

Task<void> Allocations::stop_into(AllocationPtr allocation, std::optional<Duration> owner_grace, Outcome outcome) {
  Task<Result<void>> stopping = owner_grace ? allocation->stop_by_owner(*owner_grace) : allocation->stop();
  Result<void> stopped = co_await std::move(stopping);
  if (!stopped) log::info("provider", "stopping {}: {}", allocation->record().id, stopped.error().to_string());
  outcome->emplace(std::move(stopped));
  stopping_.erase(allocation);
  stopped_.notify_all();
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
  co_return co_await logs_of(*allocation, std::move(request));
}

Task<protocol::AllocationLogsResponse> Allocations::logs_of(AllocationPtr held,
                                                            protocol::AllocationLogsRequest request) {
  protocol::AllocationLogsResponse response;
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
  const std::string run = request.incarnation.empty() ? held->record().incarnation : request.incarnation;
  response.incarnation = run;
  const std::size_t wanted = request.max_bytes == 0 ? protocol::kLogPage : request.max_bytes;
  Task<Result<executor::LogPage>> reading =
      held->read_log(run, stream, request.offset, std::min(wanted, protocol::kLogPage));
  Result<executor::LogPage> page = co_await std::move(reading);
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

Result<capability::Resources> Allocations::resources_of(const EnsembleKey& ensemble) const {
  capability::Resources sum;
  for (const AllocationPtr& allocation : of_ensemble(ensemble)) {
    if (!allocation->needs_resources()) continue;
    TRY(sum, capability::add_requirement(sum, allocation->record().config.resources));
  }
  return sum;
}

Result<std::map<std::string, capability::Resources>> Allocations::reserved_by(const EnsembleKey& ensemble) const {
  std::map<std::string, capability::Resources> nodes;
  for (const AllocationPtr& allocation : of_ensemble(ensemble)) {
    const auto held = parts_.services.resources.find(allocation->name());
    if (!held || !allocation->needs_resources()) continue;
    capability::Resources& sum = nodes[allocation->record().node];
    TRY(sum, capability::add_requirement(sum, held->resources));
  }
  return nodes;
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

}  // namespace dms::provider
