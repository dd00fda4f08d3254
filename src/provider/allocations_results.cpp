#include "provider/allocations.hpp"

namespace dms::provider {

Task<protocol::AllocationResultsReply> Allocations::results(protocol::AllocationResultsRequest request,
                                                            const actor::Envelope& envelope) {
  protocol::AllocationResultsReply reply;
  const EnsembleKey ensemble{envelope.from.did,
                             std::string(ensemble_in(protocol::kAllocationResults, envelope.behaviour))};
  const Result<crypto::PeerId> host = envelope.from.address.peer();
  co_await heard_from(envelope.from.did);
  const AllocationKey key = allocation_key(ensemble, request.allocation_name);
  const Result<AllocationPtr> allocation = find(key);
  if (!allocation || !host) {
    reply.error = allocation ? host.error().to_string() : allocation.error().to_string();
    co_return reply;
  }
  const AllocationPtr held = *allocation;
  const AllocationRecord& record = held->record();
  if (record.phase != Phase::ended || releasing_.contains(key)) {
    reply.error =
        fmt::format("the run of {} {}", record.id, record.phase < Phase::ended ? "has not ended" : "is being removed");
    co_return reply;
  }
  if (record.config.results) {
    Results::Source source;
    source.work = held->folder() / "work";
    source.run = held->folder() / record.incarnation;
    source.declared = *record.config.results;
    source.is_current = [this, key, held, run = record.incarnation] {
      return held->record().phase == Phase::ended && held->record().incarnation == run && !releasing_.contains(key);
    };
    if (executor::Executor* engine = engine_of(record); engine != nullptr)
      source.prepare = [engine, work = source.work] { return engine->take_files(work); };
    Task<Result<std::vector<protocol::ResultFile>>> listing = results_->list(std::move(source), *host);
    Result<std::vector<protocol::ResultFile>> files = co_await std::move(listing);
    if (!files) {
      reply.error = files.error().to_string();
      reply.packing = files.error().is(Errc::already_exists);
      co_return reply;
    }
    reply.results = std::move(*files);
  }
  reply.ok = true;
  co_return reply;
}

}  // namespace dms::provider
