#include "provider/provider.hpp"

#include "protocol/serve.hpp"
#include "provider/admission.hpp"

namespace dms::provider {

using protocol::Ack;

Provider::Provider(Services services, actor::Actor& root)
    : services_(std::move(services)),
      root_(root),
      grants_(services_.lane, root.security().capabilities()),
      bids_(
          root, [this](const EnsembleKey& ensemble) { return offering(ensemble); }, metrics_),
      reservations_({root, bids_, names_, services_.resources, metrics_},
                    {[this](const EnsembleKey& ensemble) { return allocations_.resources_of(ensemble); },
                     [this](const AllocationKey& key) { return allocations_.exists(key); }}),
      allocations_({services_, root, names_, reservations_, grants_, metrics_}),
      edges_(services_.lane, services_.network, [this](const EnsembleKey& ensemble) { return takes_part(ensemble); }),
      housekeeping_(services_, bids_, reservations_, allocations_),
      work_(services_.lane, "provider") {
  for (const auto& [type, engine] : services_.executors)
    if (std::string text = engine->unenforced(); !text.empty()) unenforced_.emplace(type, std::move(text));
}

Task<Result<void>> Provider::start() {
  CO_TRY_VOID(co_await allocations_.recover());
  CO_TRY_VOID(root_.add_behaviour(
      std::string(protocol::kBidRequest.path),
      [this](actor::Envelope envelope) { return on_bid_request(std::move(envelope)); },
      protocol::behaviour_options(protocol::kBidRequest)));
  CO_TRY_VOID(edges_.open());
  CO_TRY_VOID(serve(root_, protocol::kEdge, *this, &Provider::measure_edge));
  CO_TRY_VOID(serve(root_, protocol::kCommit, *this, &Provider::commit));
  CO_TRY_VOID(serve(root_, protocol::kAllocate, *this, &Provider::allocate));
  CO_TRY_VOID(serve(root_, protocol::kRenew, allocations_, &Allocations::renew));
  CO_TRY_VOID(serve(root_, protocol::kAllocationsList, allocations_, &Allocations::list));
  CO_TRY_VOID(serve(root_, protocol::kAllocationsLogs, allocations_, &Allocations::owner_logs));
  CO_TRY_VOID(serve(root_, protocol::kAllocationsStop, allocations_, &Allocations::owner_stop));
  CO_TRY_VOID(serve(root_, protocol::kRevert, *this, &Provider::revert));
  CO_TRY_VOID(root_.subscribe(std::string(protocol::kDeploymentTopic)));
  work_.spawn(grants_.keep_renewed());
  work_.spawn(housekeeping_.sweep_expired());
  work_.spawn(housekeeping_.reconnect());
  co_return Result<void>();
}

std::set<std::string> Provider::orchestrators() const {
  std::set<std::string> hosts;
  for (const auto& [host, owners] : allocations_.orchestrators()) hosts.insert(host);
  return hosts;
}

Task<void> Provider::close() {
  for (const auto path : {protocol::kBidRequest.path, protocol::kEdge.path, protocol::kCommit.path,
                          protocol::kAllocate.path, protocol::kRenew.path, protocol::kAllocationsList.path,
                          protocol::kAllocationsLogs.path, protocol::kAllocationsStop.path, protocol::kRevert.path})
    root_.remove_behaviour(std::string(path));
  co_await edges_.close();
  co_await work_.close();
  // A handler that still runs finds the reservations closed, so no allocation is made after these two.
  co_await reservations_.close();
  co_await allocations_.close();
}

Task<void> Provider::on_bid_request(actor::Envelope envelope) {
  const did::Did owner = envelope.from.did;
  co_await bids_.on_request(std::move(envelope));
  co_await allocations_.heard_from(owner);
}

Task<protocol::EdgeReply> Provider::measure_edge(protocol::EdgeRequest request, const actor::Envelope& envelope) {
  const did::Did owner = envelope.from.did;
  protocol::EdgeReply reply = co_await edges_.answer(std::move(request), envelope);
  co_await allocations_.heard_from(owner);
  co_return reply;
}

Result<void> Provider::takes_part(const EnsembleKey& ensemble) const {
  const Result<Bids::Open> bid = bids_.open(ensemble);
  if (bid) return {};
  TRY(const auto held, allocations_.reserved_by(ensemble));
  if (!held.empty()) return {};
  return std::unexpected(bid.error());
}

Task<Ack> Provider::commit(protocol::CommitRequest request, const actor::Envelope& envelope) {
  Ack reply = co_await reservations_.commit(std::move(request), envelope);
  co_await allocations_.heard_from(envelope.from.did);
  co_return reply;
}

Task<protocol::AllocateResponse> Provider::allocate(protocol::AllocateRequest request,
                                                    const actor::Envelope& envelope) {
  const EnsembleKey ensemble{envelope.from.did, request.ensemble_id};
  protocol::AllocateResponse reply = co_await allocations_.allocate(std::move(request), envelope);
  if (reply.ok) bids_.withdraw(ensemble);  // it has served its purpose, and counts no longer against the owner's quota
  co_return reply;
}

Task<Ack> Provider::revert(protocol::RevertRequest request, const actor::Envelope& envelope) {
  if (request.allocations.size() > kMaxAllocations)
    co_return Ack{.error = fmt::format("AllocsByName: at most {} are expected, found {}", kMaxAllocations,
                                       request.allocations.size())};
  const EnsembleKey ensemble{envelope.from.did, request.ensemble_id};
  // With incarnations, it reverts those alone: bids and reservations may be of a later attempt.
  if (request.incarnations.empty()) bids_.withdraw(ensemble);
  Result<void> done;
  const SteadyTime until = allocations_.answer_until(envelope);  // of all together
  for (const std::string& name : request.allocations) {
    const AllocationKey key = allocation_key(ensemble, name);
    const auto named = request.incarnations.find(name);
    const bool any = named == request.incarnations.end() || named->second.empty();
    if (any) {
      const Result<void> cancelled = co_await reservations_.cancel(key);
      if (!cancelled && done) done = cancelled;
    }
    if (!any && !allocations_.is_current(key, named->second)) continue;
    const Result<void> released = co_await allocations_.release(key, until);
    if (!released && done) done = released;
  }
  co_await allocations_.heard_from(ensemble.owner);
  co_return Allocations::ack_of(done);
}

Result<Offering> Provider::offering(const EnsembleKey& ensemble) const {
  Offering offering;
  offering.self = services_.network.self();
  offering.onboarded = services_.resources.onboarded().has_value();
  offering.share = services_.resources.onboarded().value_or(capability::Resources());
  offering.location = services_.location;
  for (const auto& [type, engine] : services_.executors)
    if (engine->ready()) offering.executors.insert(type);
  offering.privileged_docker = services_.allow_privileged_docker;
  offering.features = {protocol::Feature::lease, protocol::Feature::health, protocol::Feature::edges};
  if (services_.transfers != nullptr)
    offering.features.insert(offering.features.end(), {protocol::Feature::inputs, protocol::Feature::results});
  offering.prices = services_.prices;
  offering.unenforced = unenforced_;
  offering.min_lease = services_.leases.shortest;
  offering.max_lease = services_.leases.longest;
  if (services_.transfers != nullptr) offering.max_results = services_.max_results;
  offering.room = allocations_.check_room(ensemble.owner, 1);
  if (offering.room && !services_.resources.has_room())
    offering.room = fail(Errc::limit_exceeded, "as many reservations are open as there may be");
  if (offering.onboarded) {
    TRY(offering.held, allocations_.reserved_by(ensemble));
    TRY(offering.free, services_.resources.free());
  }
  return offering;
}

}  // namespace dms::provider
