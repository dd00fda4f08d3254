// What the owner of this machine learns of the allocations here, and that it can end each of them.
#include <algorithm>
#include <iterator>

#include "protocol/node.hpp"
#include "provider/allocations.hpp"

namespace dms::provider {

namespace {

constexpr std::size_t kShownNames = 3;

/// Where a page of the list goes on.
std::string place_of(const AllocationKey& key) { return fmt::format("{}/{}", key.owner.uri(), key.id); }

Result<AllocationKey> parse_place(std::string_view text) {
  const auto slash = text.rfind('/');
  if (slash != std::string_view::npos)
    if (Result<did::Did> owner = did::Did::parse(text.substr(0, slash)))
      return AllocationKey{std::move(*owner), std::string(text.substr(slash + 1))};
  return fail(Errc::invalid_argument, "After: expected the `next` of the reply before, found \"{}\"",
              text.substr(0, 64));
}

}  // namespace

protocol::AllocationInfo Allocations::info_of(const AllocationKey& key, const Allocation& allocation) const {
  const AllocationRecord& record = allocation.record();
  protocol::AllocationInfo info;
  info.id = key.id;
  info.name = record.name;
  info.type = record.config.type;
  info.resources = record.config.resources;
  info.orchestrator = record.orchestrator.did.uri();
  info.status = allocation.status();
  info.executor = record.config.execution.type;
  info.execution_id = record.incarnation;
  info.created_at = record.created_ns;
  info.started_at = record.started_ns;
  info.restarts = record.restarts;
  info.being_ended = record.stopping && allocation.active();
  info.progress = allocation.progress();
  if (allocation.active()) info.lease_ns = std::max<std::int64_t>(0, leases_.left(allocation.name()).count());
  if (record.end) {
    info.ended_by_owner = record.end->by_owner;
    info.reason = record.end->reason;
    info.exit_code = record.end->exit_code;
  }
  return info;
}

void Allocations::describe(protocol::ActorInfo& actor) const {
  const auto key = keys_.find(actor.handle.address.inbox);
  if (key != keys_.end()) actor.allocation = info_of(key->second, *allocations_.at(key->second));
}

Task<protocol::AllocationsReply> Allocations::list(protocol::AllocationsRequest request, const actor::Envelope&) {
  protocol::AllocationsReply reply;
  auto it = allocations_.begin();
  if (!request.after.empty()) {
    const Result<AllocationKey> after = parse_place(request.after);
    if (!after) {
      reply.error = after.error().to_string();
      co_return reply;
    }
    it = allocations_.upper_bound(*after);
  }
  std::size_t bytes = 0;
  std::vector<AllocationPtr> listed;
  for (; it != allocations_.end(); ++it) {
    const auto& [key, allocation] = *it;
    if (bytes >= kListedBytes || (request.limit != 0 && reply.allocations.size() >= request.limit)) {
      reply.next = place_of(std::prev(it)->first);
      break;
    }
    protocol::AllocationInfo& info = reply.allocations.emplace_back(info_of(key, *allocation));
    bytes += json::encode(info).size();
    listed.push_back(allocation);
  }
  if (!request.usage) co_return reply;
  std::vector<Task<protocol::AllocationReport>> measuring;
  for (const AllocationPtr& allocation : listed) measuring.push_back(allocation->report());
  const std::vector<protocol::AllocationReport> measured = co_await when_all(std::move(measuring));
  for (std::size_t i = 0; i < listed.size(); ++i) {
    protocol::AllocationInfo& info = reply.allocations[i];
    info.cpu_seconds = measured[i].cpu_seconds;
    info.memory_bytes = measured[i].memory_bytes;
    info.out_size = measured[i].out_size;
    info.err_size = measured[i].err_size;
    info.disk_bytes = listed[i]->disk_bytes();
  }
  co_return reply;
}

Result<void> Allocations::check_owner(const actor::Envelope& envelope) const {
  if (parts_.root.security().capabilities()->trust(envelope.from.did) == ucan::Trust::full) return {};
  return fail(
      Errc::permission_denied,
      "only the owner of this machine may do this: a root of its capability context (`nunet cap anchor --context "
      "dms --root`)");
}

bool Allocations::is_for_owner(const actor::Envelope& envelope) {
  return envelope.behaviour == protocol::kAllocationsLogs.path || envelope.behaviour == protocol::kAllocationsStop.path;
}

Result<Allocations::AllocationPtr> Allocations::find_named(const std::string& name) const {
  if (name.empty()) return fail(Errc::invalid_argument, "ID: expected the name of an allocation, found nothing");
  std::vector<std::string> found;
  for (auto it = keys_.lower_bound(name); it != keys_.end() && it->first.starts_with(name); ++it) {
    if (it->first == name) return allocations_.at(it->second);
    found.push_back(it->first);
  }
  if (found.size() == 1) return allocations_.at(keys_.at(found.front()));
  if (found.empty()) return fail(Errc::not_found, "no allocation here has a name that begins with \"{:.128}\"", name);
  const std::size_t count = found.size();
  found.resize(std::min(count, kShownNames));
  return fail(Errc::invalid_argument, "{} allocations here have names that begin with \"{:.128}\": {}{}", count, name,
              fmt::join(found, ", "), count > kShownNames ? ", ..." : "");
}

Task<protocol::AllocationLogsResponse> Allocations::owner_logs(protocol::OwnerLogsRequest request,
                                                               const actor::Envelope& envelope) {
  Result<AllocationPtr> held = find_named(request.id);
  if (const Result<void> allowed = check_owner(envelope); !allowed) held = std::unexpected(allowed.error());
  protocol::AllocationLogsResponse response;
  if (!held) {
    response.error = held.error().to_string();
    co_return response;
  }
  protocol::AllocationLogsRequest wanted;
  wanted.stream = std::move(request.stream);
  wanted.offset = request.offset;
  wanted.max_bytes = request.max_bytes;
  co_return co_await logs_of(std::move(*held), std::move(wanted));
}

Task<protocol::OwnerStopReply> Allocations::owner_stop(protocol::OwnerStopRequest request,
                                                       const actor::Envelope& envelope) {
  protocol::OwnerStopReply reply;
  const Duration grace = request.grace_ns ? Duration(*request.grace_ns) : kStopGrace;
  Result<AllocationPtr> held = find_named(request.id);
  if (grace < Duration(0) || grace > protocol::kLongestOwnerGrace)
    held = fail(Errc::invalid_argument, "Grace: expected 0 to {} s", protocol::kLongestOwnerGrace / 1s);
  if (closed_) held = fail(Errc::closed, "this node is stopping");
  if (const Result<void> allowed = check_owner(envelope); !allowed) held = std::unexpected(allowed.error());
  if (!held) {
    reply.error = held.error().to_string();
    co_return reply;
  }
  AllocationPtr allocation = std::move(*held);
  reply.name = allocation->name();
  reply.before = !allocation->active();
  const SteadyTime until = answer_until(envelope, kLongestAnswer + grace);
  Task<Result<void>> stopping = stop_run(std::move(allocation), grace, until);
  const Result<void> stopped = co_await std::move(stopping);
  reply.ok = stopped.has_value();
  if (!stopped) reply.error = stopped.error().to_string();
  reply.in_progress = !stopped && stopped.error().is(Errc::deadline_exceeded);
  if (const auto key = keys_.find(reply.name); key != keys_.end())
    reply.status = to_string(allocations_.at(key->second)->status());
  co_return reply;
}

}  // namespace dms::provider
