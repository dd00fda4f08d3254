#include "orchestrator/deployment/provider_client.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {

std::unexpected<Error> refused(std::string_view what, const std::string& error) {
  return fail(Errc::permission_denied, "{}: refused: {}", what, shortened(error, kMaxReportedText));
}

std::string cleaned(std::string text) {
  return shortened(printable(shortened(std::move(text), kMaxReportedText)), kMaxReportedText);
}

void clean(RenewReply& reply) {
  std::erase_if(reply.allocations, [](const auto& held) {
    return held.first.size() > kMaxReportedId || held.second.incarnation.size() > kMaxReportedId;
  });
  for (auto& [name, report] : reply.allocations) orchestrator::clean(report);
  reply.error = cleaned(std::move(reply.error));
}

/// The actor of the work of an allocation: what it may call is delegated to its DID.
Result<void> check_work(const actor::Handle& work, const actor::Handle& provider) {
  TRY_VOID(check_limits(work));
  TRY(const did::Did did, work.id.did());
  if (work.did != did || work.address.host != provider.address.host || work.address.inbox.empty())
    return fail(Errc::invalid_argument, "expected an inbox of the provider's host, and the DID of the actor's own key");
  return {};
}

/// Whether a page is where it says, at or after `offset`, and leads on.
bool follows(const LogPage& page, std::uint64_t offset) {
  if (page.offset < offset || page.offset > page.total_size) return false;
  if (page.data.size() > page.total_size - page.offset) return false;  // a sum of these could wrap around
  if (page.next_offset != page.offset + page.data.size()) return false;
  // Without data: the end, also where the last bytes could not be written.
  return !page.data.empty() || page.offset == page.total_size;
}

}  // namespace

void clean(AllocationReport& report) {
  report.reason = cleaned(std::move(report.reason));
  report.health_message = cleaned(std::move(report.health_message));
  if (report.progress && !report.progress->is_sound()) report.progress.reset();
}

Result<void> accepted(const Result<Ack>& reply, std::string_view what) {
  if (!reply) return fail(reply.error(), "{}", what);
  if (!reply->ok && reply->in_progress)
    return fail(Errc::deadline_exceeded, "{}: {}", what, shortened(reply->error, kMaxReportedText));
  if (!reply->ok) return refused(what, reply->error);
  return {};
}

Task<Result<void>> ProviderClient::commit(actor::Handle provider, std::string node, std::string allocation,
                                          capability::Resources resources, PortMapping ports, Duration timeout) {
  CommitRequest request;
  request.ensemble_id = deployment_;
  request.allocation_name = allocation;
  request.node_id = std::move(node);
  static_cast<capability::Resources&>(request.resources) = std::move(resources);
  request.resources.allocation_id = jobs::allocation_id(deployment_, allocation);
  request.port_mapping = std::move(ports);
  const Result<Ack> reply = co_await call(actor_, kCommit, provider, request, timeout);
  co_return accepted(reply, fmt::format("committing {} on {}", allocation, provider.address.host));
}

Task<Result<AllocateResponse>> ProviderClient::allocate(actor::Handle provider, const jobs::Ensemble& ensemble,
                                                        std::string node, std::vector<std::string> allocations,
                                                        Duration timeout) {
  AllocateRequest request;
  request.ensemble_id = deployment_;
  request.node_id = node;
  request.lease_ns = requested_lease(ensemble.nodes.at(node)).count();
  for (const std::string& name : allocations) {
    const jobs::Allocation& spec = ensemble.allocations.at(name);
    AllocationConfig& config = request.allocations[name];
    config.type = spec.type;
    config.executor = spec.executor;
    config.resources = spec.resources;
    config.execution = spec.execution;
    for (const std::string& script : spec.provision) config.provision_scripts[script] = ensemble.scripts.at(script);
    if (spec.healthcheck.present()) config.health_check = spec.healthcheck;
    config.inputs = spec.inputs;
    config.results = spec.results;
  }
  const std::string what = fmt::format("allocating node {} on {}", node, provider.address.host);
  Result<AllocateResponse> reply = co_await call(actor_, kAllocate, provider, request, timeout);
  if (!reply) co_return fail(reply.error(), "{}", what);
  if (!reply->ok) co_return refused(what, reply->error);
  for (const auto& [name, config] : request.allocations) {
    const auto handle = reply->allocations.find(name);
    if (handle == reply->allocations.end() || handle->second.address.host != provider.address.host ||
        handle->second.address.inbox.empty())
      co_return fail(Errc::invalid_argument, "{}: the reply has no handle for {}", what, name);
    if (const auto work = reply->work.find(name); work != reply->work.end())
      if (const Result<void> sound = check_work(work->second, provider); !sound)
        co_return fail(sound.error(), "{}: the reply names an actor of the work of {}", what, name);
    if (reply->lease_ns != 0 && (reply->lease_ns < 0 || !reply->incarnations.contains(name)))
      co_return fail(Errc::invalid_argument, "{}: the reply grants a lease without an incarnation of {}", what, name);
  }
  if (std::ranges::any_of(reply->incarnations, [](const auto& run) { return run.second.size() > kMaxReportedId; }))
    co_return fail(Errc::invalid_argument, "{}: the reply names runs by more than {} bytes", what, kMaxReportedId);
  if (const jobs::Node& spec = ensemble.nodes.at(node); spec.lease_ns > 0 && reply->lease_ns != spec.lease_ns)
    co_return fail(Errc::unsupported, "{}: the reply grants a lease of {} s, and nodes.{}.lease is {} s", what,
                   Duration(reply->lease_ns) / 1s, node, spec.lease() / 1s);
  if (Duration(reply->lease_ns) > std::max(Duration(request.lease_ns), kLongestGrant))
    co_return fail(Errc::invalid_argument, "{}: the reply grants a lease of {} h, and {} s are requested", what,
                   Duration(reply->lease_ns) / 1h, Duration(request.lease_ns) / 1s);
  co_return std::move(reply);
}

actor::Envelope ProviderClient::start_message(const AllocationManifest& allocation, Duration timeout) const {
  StartRequest request;
  request.port_mapping = allocation.ports;
  return message(actor_, kAllocationStart, allocation.handle, request, timeout);
}

Task<Result<void>> ProviderClient::remove(actor::Handle provider, std::string allocation_id, std::string incarnation) {
  AllocationShutdownRequest request;
  request.allocation_id = std::move(allocation_id);
  request.incarnation = std::move(incarnation);
  co_return co_await end(std::move(provider), std::move(request), kAllocationShutdown.timeout);
}

Task<Result<void>> ProviderClient::stop(actor::Handle provider, std::string allocation_id, std::string incarnation,
                                        Duration timeout) {
  AllocationShutdownRequest request;
  request.allocation_id = std::move(allocation_id);
  request.incarnation = std::move(incarnation);
  request.keep = true;
  co_return co_await end(std::move(provider), std::move(request), timeout);
}

Task<Result<void>> ProviderClient::end(actor::Handle provider, AllocationShutdownRequest request, Duration timeout) {
  Places& places = request.keep ? stops_ : releases_;
  CO_TRY(const Places::Place place, co_await places.take(provider.address.host));
  const Result<Ack> reply =
      co_await call(actor_, kAllocationShutdown, provider, request, timeout, path_of(kAllocationShutdown, deployment_));
  const std::string_view name = jobs::allocation_name(request.allocation_id);
  co_return accepted(reply, fmt::format("stopping {} on {}", name, provider.address.host));
}

Task<Result<void>> ProviderClient::revert(actor::Handle provider, json::StringMap incarnations, Duration timeout) {
  RevertRequest request;
  request.ensemble_id = deployment_;
  for (const auto& [name, incarnation] : incarnations) request.allocations.push_back(name);
  std::erase_if(incarnations, [](const auto& pair) { return pair.second.empty(); });
  request.incarnations = std::move(incarnations);
  const std::string what = fmt::format("reverting {} on {}", few_of(request.allocations), provider.address.host);
  CO_TRY(const Places::Place place, co_await releases_.take(provider.address.host));
  const Result<Ack> reply = co_await call(actor_, kRevert, provider, request, timeout);
  co_return accepted(reply, what);
}

Task<Result<RenewReply>> ProviderClient::renew(actor::Handle provider, json::StringMap incarnations, std::int64_t clock,
                                               Duration timeout) {
  RenewRequest request;
  request.ensemble_id = deployment_;
  request.allocations = std::move(incarnations);
  request.clock_ns = clock;
  request.wall_ns = actor_.lane().unix_now().nanos;
  const SteadyTime asked = actor_.lane().now();
  Result<RenewReply> reply = co_await call(actor_, kRenew, provider, request, timeout);
  if (!reply) co_return fail(reply.error(), "renewing leases on {}", provider.address.host);
  learn_clock(provider, *reply, asked);
  clean(*reply);
  renewal_refusals_.erase(provider.address.host);
  if (!reply->ok) {
    const std::unexpected<Error> refusal =
        refused(fmt::format("renewing leases on {}", provider.address.host), reply->error);
    renewal_refusals_[provider.address.host] = network::plain(refusal.error());
    co_return refusal;
  }
  co_return std::move(reply);
}

std::string ProviderClient::renewal_refusal(const std::string& peer) const {
  const auto found = renewal_refusals_.find(peer);
  return found == renewal_refusals_.end() ? std::string() : found->second;
}

Task<Result<RenewReply>> ProviderClient::reports(actor::Handle provider, Duration timeout) {
  CO_TRY(const Places::Place place, co_await questions_.take(provider.address.host));
  json::StringMap nothing;
  co_return co_await renew(std::move(provider), std::move(nothing), 0, timeout);
}

Task<bool> ProviderClient::lacks(actor::Handle provider, std::string allocation, Duration timeout) {
  Task<Result<RenewReply>> asking = reports(std::move(provider), timeout);
  const Result<RenewReply> reply = co_await std::move(asking);
  co_return reply && !reply->allocations.contains(allocation);
}

Task<Result<RenewReply>> ProviderClient::patient_reports(actor::Handle provider, Duration timeout) {
  RenewRequest request;
  request.ensemble_id = deployment_;
  request.wall_ns = actor_.lane().unix_now().nanos;
  const SteadyTime asked = actor_.lane().now();
  actor::Envelope question = message(actor_, kRenew, provider, request, kPatientLifetime);
  Task<Result<RenewReply>> asking = actor_.call<RenewReply>(std::move(question));
  Result<RenewReply> reply = co_await with_timeout(timeout, std::move(asking));
  if (!reply) co_return fail(reply.error(), "asking {} for its reports", provider.address.host);
  learn_clock(provider, *reply, asked);
  clean(*reply);
  co_return std::move(reply);
}

void ProviderClient::learn_clock(const actor::Handle& provider, const RenewReply& reply, SteadyTime asked) {
  if (reply.wall_ns == 0) return;  // an older version does not tell it
  actor::Clocks& clocks = actor_.system().clocks;
  const std::string& host = provider.address.host;
  const bool was_known = clocks.ahead(host) > Duration(0);
  const Lane& lane = actor_.lane();
  clocks.heard(host, UnixTime{reply.wall_ns}, lane.unix_now(), lane.now() - asked);
  if (!was_known && clocks.ahead(host) > Duration(0))
    log::warn("orchestrator",
              "the clock of provider {} is {} s ahead of that of this machine: messages to it last longer", host,
              clocks.ahead(host) / 1s);
}

Task<Result<RestartReply>> ProviderClient::restart(actor::Handle allocation, std::string incarnation) {
  RestartRequest request;
  request.incarnation = std::move(incarnation);
  request.only_running = true;
  CO_TRY(const Places::Place place, co_await restarts_.take(allocation.address.host));
  Result<RestartReply> reply = co_await call(actor_, kAllocationRestart, allocation, request);
  if (!reply) co_return fail(reply.error(), "restarting on {}", allocation.address.host);
  const std::unexpected<Error> refusal =
      refused(fmt::format("restarting on {}", allocation.address.host), reply->error);
  if (reply->incarnation.size() > kMaxReportedId || (reply->ok && reply->incarnation.empty())) co_return refusal;
  if (reply->restart_failed && (reply->ok || reply->incarnation.empty())) co_return refusal;
  if (!reply->restart_failed) reply->error = reply->ok ? "" : refusal.error().to_string();
  co_return reply;
}

Task<Result<AllocationLogsResponse>> ProviderClient::logs(actor::Handle provider, std::string allocation) {
  AllocationLogsRequest request;
  request.allocation_name = std::move(allocation);
  co_return co_await request_logs(questions_, std::move(provider), std::move(request));
}

Task<Result<AllocationLogsResponse>> ProviderClient::page(Reader reader, actor::Handle provider, std::string allocation,
                                                          std::string stream, std::uint64_t offset,
                                                          std::uint64_t max_bytes, std::string run) {
  AllocationLogsRequest request;
  request.incarnation = run;
  request.allocation_name = std::move(allocation);
  request.stream = std::move(stream);
  request.offset = offset;
  request.max_bytes = max_bytes;
  Places& places = reader == Reader::user ? readers_ : questions_;
  Result<AllocationLogsResponse> reply = co_await request_logs(places, std::move(provider), std::move(request));
  if (reply && !run.empty() && !reply->incarnation.empty() && reply->incarnation != run)
    co_return fail(Errc::unsupported, "its provider keeps the output of no earlier run");
  // The page is where it says, and leads on: what follows relies on it.
  if (reply && !follows(*reply, offset))
    co_return fail(Errc::invalid_argument, "fetching the output: the provider's page from {} on contradicts itself",
                   offset);
  co_return reply;
}

Task<Result<AllocationLogsResponse>> ProviderClient::request_logs(Places& places, actor::Handle provider,
                                                                  AllocationLogsRequest request) {
  const std::string name = request.allocation_name;
  CO_TRY(const Places::Place place, co_await places.take(provider.address.host));
  Result<AllocationLogsResponse> reply =
      co_await call(actor_, kAllocationLogs, provider, request, std::nullopt, path_of(kAllocationLogs, deployment_));
  if (!reply) co_return fail(reply.error(), "fetching the output of {}", name);
  if (!reply->error.empty()) co_return refused(fmt::format("fetching the output of {}", name), reply->error);
  co_return std::move(reply);
}

}  // namespace dms::orchestrator
