// The removal of allocations, and the resources that they give back.
#include "base/assert.hpp"
#include "base/log.hpp"
#include "provider/allocations.hpp"

namespace dms::provider {

using protocol::Ack;

namespace {

constexpr Duration kTakeTime = 1min;

/// What stays taken after the end of the work, with its folder.
capability::Resources kept(const Allocation& allocation) {
  capability::Resources disk;
  disk.disk = allocation.record().config.resources.disk;
  return disk;
}

}  // namespace

SteadyTime Allocations::answer_until(const actor::Envelope& request, Duration longest) const {
  const Lane& lane = parts_.services.lane;
  const Duration left = std::max(request.expiry() - lane.unix_now(), Duration(0));
  return lane.now() + std::min(left - std::min(kReplyTravels, left / 4), longest);
}

Ack Allocations::ack_of(const Result<void>& done) {
  if (done) return Ack{.ok = true};
  return Ack{.error = done.error().to_string(), .in_progress = done.error().is(Errc::deadline_exceeded)};
}

Task<Result<void>> Allocations::release(AllocationKey key) {
  co_return co_await release(key, parts_.services.lane.now() + kLongestAnswer);
}

Task<Result<void>> Allocations::release(AllocationKey key, SteadyTime until) {
  Lane& lane = parts_.services.lane;
  const ScopedTimer timer(lane, until, [this] { released_.notify_all(); });
  const auto busy = [&] { return releasing_.contains(key) || creating_.contains(key); };
  while (busy() && lane.now() < until) (void)co_await released_.wait_shielded();
  if (busy())
    co_return fail(Errc::deadline_exceeded, "{} is still being {}", key.id,
                   creating_.contains(key) ? "allocated" : "removed");
  const auto found = allocations_.find(key);
  if (closed_) co_return fail(Errc::closed, "this node is stopping");
  if (found == allocations_.end()) co_return Result<void>();
  const auto outcome = std::make_shared<std::optional<Result<void>>>();
  releasing_.insert(key);
  count();
  work_.spawn(release_into(key, found->second, outcome));
  while (!outcome->has_value() && lane.now() < until) (void)co_await released_.wait_shielded();
  if (!outcome->has_value()) co_return fail(Errc::deadline_exceeded, "{} is still being removed", key.id);
  co_return std::move(**outcome);
}

/// A task of this node, which close() ends: it may take as long as a job has left files.
Task<void> Allocations::release_into(AllocationKey key, AllocationPtr allocation, Outcome outcome) {
  Result<void> done = co_await release_now(key, std::move(allocation));
  releasing_.erase(key);
  count();
  if (done) close_ensemble_if_empty(key.ensemble());
  outcome->emplace(std::move(done));
  released_.notify_all();
}

/// Before another run uses the work folder.
Task<void> Allocations::end_packing(std::filesystem::path run) {
  if (results_) co_await results_->forget(std::move(run));
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
  bytes_.erase(key);
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
  Result<void> freed;
  if (const auto key = keys_.find(name); key != keys_.end()) {
    const AllocationPtr allocation = allocations_.at(key->second);
    (void)DMS_EXPECT(!allocation->active(), "the resources of {} are freed while it uses them", name);
    const capability::Resources disk = kept(*allocation);
    Task<Result<void>> freeing =
        disk.disk.size.empty() ? free_resources(name) : parts_.services.resources.resize(name, disk);
    freed = co_await std::move(freeing);
    if (!freed && freed.error().is(Errc::not_found)) co_return;
  } else {
    freed = co_await free_resources(name);
  }
  if (!freed)
    log::warn("provider", "the resources of {} are not freed, which is tried again: {}", name,
              freed.error().to_string());
}

Task<Result<void>> Allocations::take_resources(std::string name, capability::Resources resources) {
  resources::Manager& manager = parts_.services.resources;
  if (const auto held = manager.find(name); held && held->state == resources::State::allocated)
    co_return co_await manager.resize(name, resources);
  const Result<void> reserved = co_await manager.commit(name, resources, parts_.services.lane.now() + kTakeTime);
  if (!reserved && !reserved.error().is(Errc::already_exists)) co_return reserved;
  const Result<void> taken = co_await manager.allocate(name);
  if (!taken && !taken.error().is(Errc::already_exists)) co_return taken;
  co_return Result<void>();
}

Task<void> Allocations::sweep() {
  std::vector<AllocationKey> over;
  std::vector<AllocationKey> unfreed;
  for (const auto& [key, allocation] : allocations_) {
    const Services& services = parts_.services;
    const Duration keep = is_unstarted(allocation->record())
                              ? std::min(services.retention, services.unstarted_retention)
                              : services.retention;
    const bool kept_enough = allocation->ended_for() >= keep;
    const auto held = parts_.services.resources.find(allocation->name());
    if (allocation->record().phase == Phase::releasing || kept_enough)
      over.push_back(key);
    else if (!allocation->needs_resources() && held && held->resources != kept(*allocation))
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
  // One that takes long holds up none of the others.
  for (const AllocationKey& key : over)
    if (!releasing_.contains(key)) work_.spawn(release_logged(key));
}

Task<void> Allocations::close() {
  closed_ = true;
  closing_.request_stop();
  co_await work_.close();
  if (results_) co_await results_->close();
  while (!allocations_.empty()) {
    const auto first = allocations_.begin();
    const AllocationKey key = first->first;
    const AllocationPtr allocation = first->second;
    co_await allocation->close();
    leases_.remove(allocation->name());
    keys_.erase(allocation->name());
    parts_.grants.withdraw(key);
    bytes_.erase(key);
    allocations_.erase(key);
    close_ensemble_if_empty(key.ensemble());
  }
  count();
}

}  // namespace dms::provider
