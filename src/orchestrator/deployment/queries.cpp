// What Deployments answers without changing anything.
#include "orchestrator/deployment/actor_view.hpp"
#include "orchestrator/deployment/deployments.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/standby.hpp"
#include "orchestrator/deployment/views.hpp"
#include "orchestrator/output/collector.hpp"
#include "orchestrator/output/results.hpp"

#include "base/log.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<DeploymentListReply> Deployments::list(DeploymentListRequest request, const actor::Envelope&) {
  Result<RecordStore::Loaded> loaded = co_await records_.load_all();
  if (loaded) co_return list_of(*loaded, request);
  DeploymentListReply reply;
  reply.error = loaded.error().to_string();
  co_return reply;
}

namespace {

/// With what is known at this moment.
DeploymentStatusReply present_status(const Deployment& deployment) {
  DeploymentStatusReply reply = status_of(deployment.record());
  add_reason(reply.error, deployment.trouble());
  for (auto& [name, state] : reply.allocations) {
    deployment.add_silence(state, name);
    state.progress = deployment.progress(name);
  }
  return reply;
}

}  // namespace

Task<DeploymentStatusReply> Deployments::status(DeploymentId request, const actor::Envelope&) {
  const Result<DeploymentRecord> found = co_await record(request.id);
  DeploymentStatusReply reply;
  if (!found) {
    reply.error = found.error().to_string();
    co_return reply;
  }
  if (const Found deployment = active(request.id)) {
    reply = present_status(*deployment);
    const auto pauses = pauses_of(deployment->record(), services_.boot_id, services_.lane.now());
    for (const auto& [name, pause] : pauses)
      if (const auto state = reply.allocations.find(name); state != reply.allocations.end())
        add_pause(state->second, pause);
  } else {
    reply = status_of(*found);
  }
  fit_message(reply);
  co_return reply;
}

void Deployments::describe(ActorInfo& actor) const {
  const Found deployment = active(actor.handle.address.inbox);
  if (deployment == nullptr) return;
  actor.deployment =
      actor_of(deployment->record(), present_status(*deployment), services_.boot_id, services_.lane.now());
  fit_message(*actor.deployment);
}

Task<DeploymentInfoReply> Deployments::info(DeploymentId request, const actor::Envelope&) {
  const Result<DeploymentRecord> found = co_await record(request.id);
  if (!found) {
    DeploymentInfoReply reply;
    reply.error = found.error().to_string();
    co_return reply;
  }
  DeploymentInfoReply reply = info_of(*found);
  if (const Found deployment = active(request.id)) {
    add_reason(reply.error, deployment->trouble());
    for (auto& [name, usage] : reply.allocations) {
      if (const AllocationReport* report = deployment->report(name)) add_usage(usage, *report);
      deployment->add_silence(usage, name);
      usage.progress = deployment->progress(name);
    }
    const auto pauses = pauses_of(deployment->record(), services_.boot_id, services_.lane.now());
    for (const auto& [name, pause] : pauses)
      if (const auto usage = reply.allocations.find(name); usage != reply.allocations.end())
        add_pause(usage->second, pause);
  }
  for (auto& [name, usage] : reply.allocations) {
    Task<void> sizing = add_stored_sizes(*found, name, usage);
    co_await std::move(sizing);
    Task<void> adding = add_results(request.id, name, usage.results, usage.absent);
    co_await std::move(adding);
  }
  for (auto& [name, removed] : reply.removed) {
    Task<void> adding = add_results(request.id, name, removed.results, removed.absent);
    co_await std::move(adding);
  }
  fit_message(reply);
  co_return reply;
}

/// Of what logs() serves from the disk, which may be the output of the run before.
Task<void> Deployments::add_stored_sizes(const DeploymentRecord& record, std::string allocation,
                                         AllocationUsage& usage) {
  if (!serves_stored_output(record, allocation)) co_return;
  const Result<StoredPage> out = co_await output_.read(record.id, allocation, Stream::out, 0, 1);
  const Result<StoredPage> err = co_await output_.read(record.id, allocation, Stream::err, 0, 1);
  if (!out || !err) co_return;
  usage.out_size = out->total_size;
  usage.err_size = err->total_size;
}

Task<void> Deployments::add_results(std::string id, std::string allocation, std::vector<std::string>& here,
                                    json::StringMap& absent) {
  const Result<std::vector<ResultFile>> files = co_await stored_results(output_.folder(id, allocation));
  if (!files) co_return;
  for (const ResultFile& file : *files)
    if (file.error.empty()) {
      here.push_back(file.name);
      absent.erase(file.name);  // given up with the rest of the output, though it is here
    }
}

Task<DeploymentExplainReply> Deployments::explain(DeploymentId request, const actor::Envelope&) {
  DeploymentExplainReply reply;
  const Result<DeploymentRecord> found = co_await record(request.id);
  if (!found) {
    reply.error = found.error().to_string();
    co_return reply;
  }
  reply.status = to_string(found->status);
  reply.error = found->error;
  reply.choice = found->choice;
  if (const Found deployment = active(request.id)) {
    add_reason(reply.error, deployment->trouble());
    reply.choice = deployment->choice();
    if (reply.choice) add_takeovers(*reply.choice, deployment->record());
  }
  co_return reply;
}

Task<DeploymentPlanReply> Deployments::plan(NewDeploymentRequest request, const actor::Envelope&) {
  DeploymentPlanReply reply;
  if (plans_ >= kMaxPlans) {
    reply.error = fmt::format("{} plans are being made, which is the limit; try again later", plans_);
    co_return reply;
  }
  ++plans_;
  Task<Result<void>> planning = try_plan(std::move(request.ensemble), reply);
  const Result<void> planned = co_await std::move(planning);
  --plans_;
  reply.complete = planned.has_value();
  if (!planned) reply.error = network::plain(planned.error());
  co_return reply;
}

/// By an actor of its own, as a deployment. Of inputs nothing is checked: they may not be uploaded yet.
Task<Result<void>> Deployments::try_plan(jobs::Ensemble ensemble, DeploymentPlanReply& reply) {
  CO_TRY_VOID(check(ensemble));
  const std::string id = new_id();
  actor::ChildOptions options;
  options.key = root_.security().key().derive("deployment/" + id);
  CO_TRY(const std::unique_ptr<actor::Actor> actor, root_.create_child(id, std::move(options)));
  Result<std::unique_ptr<Auction>> auction = Auction::open(*actor, services_.network, id);
  Result<void> planned;
  if (auction) {
    (*auction)->tell_match(services_.matched);
    // Further rounds are for machines whose bids name one of several nodes, such as those of DMS 0.5.x.
    (*auction)->end_early();
    const SteadyTime deadline = services_.lane.now() + kPlanRounds * kBidRound + 1s;
    const Auction::Peers nobody = [] { return std::set<std::string>(); };
    Task<Result<Candidate>> running = (*auction)->run(with_standbys(std::move(ensemble)), deadline, nobody);
    const Result<Candidate> candidate = co_await std::move(running);
    if (!candidate) planned = std::unexpected(candidate.error());
    reply.choice = (*auction)->choice();
    Task<void> releasing = (*auction)->release_all();
    co_await std::move(releasing);
    auction->reset();  // before its actor
  } else {
    planned = std::unexpected(auction.error());
  }
  co_await actor->stop();
  co_return planned;
}

Task<DeploymentManifestReply> Deployments::manifest(DeploymentId request, const actor::Envelope&) {
  DeploymentManifestReply reply;
  const Result<DeploymentRecord> found = co_await record(request.id);
  if (found) {
    reply.manifest = manifest_of(*found);
    fit_message(reply.manifest);
  } else {
    reply.error = found.error().to_string();
  }
  co_return reply;
}

Task<DeploymentLogsReply> Deployments::logs(DeploymentLogsRequest request, const actor::Envelope&) {
  DeploymentLogsReply reply;
  if (request.stream.empty()) {
    const Result<std::filesystem::path> folder = co_await output_folder(request.ensemble_id, request.allocation_name);
    if (folder)
      reply.written_to = folder->string();
    else
      reply.error = network::plain(folder.error());
    co_return reply;
  }
  if (request.stream.starts_with(kResultStream)) {
    Task<Result<DeploymentLogsReply>> finding = stored_result_page(request);
    Result<DeploymentLogsReply> found = co_await std::move(finding);
    if (found && request.local && services_.transfers != nullptr)
      found->ticket = services_.transfers->local().offer_reading(
          [this, request](std::uint64_t offset) { return read_page(request, offset); });
    if (found) co_return std::move(*found);
    reply.error = found.error().to_string();
    co_return reply;
  }
  Task<Result<LogPage>> reading = any_page(request);
  Result<LogPage> page = co_await std::move(reading);
  if (!page) {
    reply.error = network::plain(page.error());
    co_return reply;
  }
  static_cast<LogPage&>(reply) = std::move(*page);
  if (request.local && reply.next_offset < reply.total_size && services_.transfers != nullptr)
    reply.ticket = services_.transfers->local().offer_reading(
        [this, request, run = reply.incarnation, end = reply.total_size](std::uint64_t offset) {
          return read_output(request, run, offset, end);
        });
  co_return reply;
}

Task<Result<LogPage>> Deployments::any_page(DeploymentLogsRequest request) {
  const bool previous = request.stream.starts_with(kPreviousStream);
  return previous ? stored_previous_page(std::move(request)) : output_page(std::move(request));
}

/// Bytes alone: a page that says more than them is for a message, and so is what is written behind `end`.
Task<Result<Bytes>> Deployments::read_output(DeploymentLogsRequest request, std::string run, std::uint64_t offset,
                                             std::uint64_t end) {
  if (offset >= end) co_return Bytes();
  request.offset = offset;
  Task<Result<LogPage>> reading = any_page(std::move(request));
  CO_TRY(LogPage page, co_await std::move(reading));
  if (page.incarnation != run) co_return fail(Errc::not_found, "the output is that of another run now");
  if (page.offset != offset) co_return fail(Errc::not_found, "the output from byte {} on is not kept", offset);
  if (page.data.size() > end - offset) page.data.resize(end - offset);
  co_return std::move(page.data);
}

Task<Result<Bytes>> Deployments::read_page(DeploymentLogsRequest request, std::uint64_t offset) {
  request.offset = offset;
  request.max_bytes = transfer::kLocalPage;
  Task<Result<DeploymentLogsReply>> reading = stored_result_page(std::move(request), transfer::kLocalPage);
  CO_TRY(DeploymentLogsReply page, co_await std::move(reading));
  co_return std::move(page.data);
}

Task<Result<DeploymentLogsReply>> Deployments::stored_result_page(DeploymentLogsRequest request, std::size_t max_page) {
  CO_TRY(const DeploymentRecord found, co_await record(request.ensemble_id, "EnsembleID"));
  CO_TRY_VOID(check_allocation(found, request.allocation_name));
  std::filesystem::path folder = output_.folder(request.ensemble_id, request.allocation_name);
  Task<Result<DeploymentLogsReply>> reading = result_page(std::move(folder), std::move(request), max_page);
  co_return co_await std::move(reading);
}

Task<Result<LogPage>> Deployments::stored_previous_page(DeploymentLogsRequest request) {
  CO_TRY(const DeploymentRecord found, co_await record(request.ensemble_id, "EnsembleID"));
  CO_TRY_VOID(check_allocation(found, request.allocation_name));
  Task<Result<LogPage>> reading = previous_page(output_, found, std::move(request));
  co_return co_await std::move(reading);
}

Task<Result<std::filesystem::path>> Deployments::output_folder(std::string id, std::string allocation) {
  if (const Found deployment = active(id)) co_return co_await deployment->logs(std::move(allocation));
  CO_TRY(const DeploymentRecord found, co_await record(id, "EnsembleID"));
  CO_TRY_VOID(check_allocation(found, allocation));
  co_return co_await output_.find(std::move(id), std::move(allocation));
}

Task<Result<LogPage>> Deployments::output_page(DeploymentLogsRequest request) {
  if (const Found deployment = active(request.ensemble_id)) {
    Task<Result<LogPage>> reading = deployment->page(std::move(request));
    co_return co_await std::move(reading);
  }
  CO_TRY(const DeploymentRecord found, co_await record(request.ensemble_id, "EnsembleID"));
  CO_TRY_VOID(check_allocation(found, request.allocation_name));
  Task<Result<LogPage>> reading = stored_page(output_, found, std::move(request));
  co_return co_await std::move(reading);
}

}  // namespace dms::orchestrator
