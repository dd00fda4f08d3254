#include "provider/reservations.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "provider/admission.hpp"

namespace dms::provider {

using protocol::Ack;

Task<Ack> Reservations::commit(protocol::CommitRequest request, const actor::Envelope& envelope) {
  Result<void> reserved = check_commit_members(envelope.message);
  if (reserved) reserved = co_await reserve(std::move(request), envelope.from.did);
  if (reserved) co_return Ack{.ok = true};
  ++parts_.metrics.reservations_refused;
  co_return Ack{.error = reserved.error().to_string()};
}

Task<Result<void>> Reservations::reserve(protocol::CommitRequest request, did::Did owner) {
  Mutex::Lock lock = co_await stepping_.lock();
  if (closed_) co_return fail(Errc::closed, "this node is stopping");
  const EnsembleKey ensemble{std::move(owner), request.ensemble_id};
  const AllocationKey key = allocation_key(ensemble, request.allocation_name);
  CO_TRY(const Bids::Open bid, parts_.bids.open(ensemble));
  if (const auto old = reservations_.find(key); old != reservations_.end() && old->second.expires < now())
    CO_TRY_VOID(co_await remove(old));
  if (const auto same = reservations_.find(key);
      same != reservations_.end() &&
      same->second.resources == static_cast<const capability::Resources&>(request.resources) &&
      parts_.resources.find(same->second.name.text()))
    co_return Result<void>();  // the request is repeated
  CO_TRY_VOID(check(key, request, bid));
  LocalName name = parts_.names.take(key.id);
  const capability::Resources wanted = request.resources;
  CO_TRY_VOID(co_await parts_.resources.commit(name.text(), wanted, bid.expires));
  reservations_.emplace(key, Reservation{std::move(name), wanted, bid.expires});
  ++parts_.metrics.reservations;
  count();
  co_return Result<void>();
}

Result<void> Reservations::check(const AllocationKey& key, const protocol::CommitRequest& request,
                                 const Bids::Open& bid) const {
  TRY_VOID(check_id("AllocationName", key.id));
  if (!request.port_mapping.empty())
    return fail(Errc::unsupported, "PortMapping: public ports are not supported by this provider");
  const EnsembleKey ensemble = key.ensemble();
  // An id must split into ensemble and name in one way only.
  if (ensemble.ensemble != request.ensemble_id)
    return fail(Errc::invalid_argument, "AllocationName: '{}' may not contain '_'", request.allocation_name);
  if (reservations_.contains(key)) return fail(Errc::already_exists, "{} is committed already", key.id);
  if (allocated_.exists(key))
    return fail(Errc::already_exists, "the allocation {} exists, or is still being removed", key.id);
  const auto own = std::ranges::count_if(reservations_, [&](const auto& it) { return it.first.owner == key.owner; });
  if (static_cast<std::size_t>(own) >= kMaxAllocations)
    return fail(Errc::limit_exceeded, "{} reservations of this orchestrator are open, which is the limit", own);
  if (request.resources.cpu.cores.empty() || request.resources.ram.size.empty())
    return fail(Errc::invalid_argument,
                "Resources: more than 0 cores and bytes of memory are expected");  // 0 is no limit
  TRY_VOID(check_size(request.resources));
  TRY_VOID(check_no_gpus(request.resources));
  TRY(capability::Resources all, allocated_.resources(ensemble));
  TRY(all, capability::add_requirement(all, request.resources));
  for (const auto& [other, reservation] : reservations_)
    if (other.ensemble() == ensemble) {
      TRY(all, capability::add_requirement(all, reservation.resources));
    }
  const capability::Resources& most = bid.of(request.node_id);
  if (!capability::covers(most, all))
    return fail(Errc::limit_exceeded, "more than was bid for: {}", capability::explain_shortage(most, all));
  return {};
}

Task<Result<Reservations::Reservation>> Reservations::claim(AllocationKey key, capability::Resources wanted) {
  Mutex::Lock lock = co_await stepping_.lock();
  if (closed_) co_return fail(Errc::closed, "this node is stopping");
  const auto found = reservations_.find(key);
  if (found == reservations_.end()) co_return fail(Errc::not_found, "this orchestrator has not committed it");
  Reservation& reservation = found->second;
  if (!capability::covers(reservation.resources, wanted))
    co_return fail(Errc::limit_exceeded, "more than was committed: {}",
                   capability::explain_shortage(reservation.resources, wanted));
  CO_TRY_VOID(co_await parts_.resources.allocate(reservation.name.text()));
  DMS_ASSERT(reservations_.find(key) == found, "the reservation of {} changed while it was claimed", key.id);
  Reservation claimed = std::move(reservation);
  reservations_.erase(found);
  count();
  co_return std::move(claimed);
}

Task<Result<void>> Reservations::cancel(AllocationKey key) {
  Mutex::Lock lock = co_await stepping_.lock();
  const auto found = reservations_.find(key);
  if (found == reservations_.end()) co_return Result<void>();
  co_return co_await remove(found);
}

Task<void> Reservations::sweep() {
  Mutex::Lock lock = co_await stepping_.lock();
  for (auto it = reservations_.begin(); it != reservations_.end();) {
    const auto current = it++;
    if (current->second.expires < now()) (void)co_await remove(current);  // else at the next sweep
  }
}

Task<void> Reservations::close() {
  closed_ = true;
  Mutex::Lock lock = co_await stepping_.lock();
  for (auto it = reservations_.begin(); it != reservations_.end();) {
    const auto current = it++;
    (void)co_await remove(current);  // else at the next start
  }
  reservations_.clear();
  count();
}

Task<Result<void>> Reservations::remove(std::map<AllocationKey, Reservation>::iterator reservation) {
  const std::string& name = reservation->second.name.text();
  const Result<void> freed = co_await parts_.resources.uncommit(name);
  // not_found: the manager has dropped it at its expiry.
  if (!freed && !freed.error().is(Errc::not_found)) {
    log::warn("provider", "freeing the reserved resources of {}: {}", name, freed.error().to_string());
    co_return fail(freed.error(), "freeing the reserved resources of {}", name);
  }
  reservations_.erase(reservation);
  count();
  co_return Result<void>();
}

}  // namespace dms::provider
