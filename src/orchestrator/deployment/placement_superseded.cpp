// What is superseded, and the ends that are recorded with it: (3) and (4) of placement.hpp.
#include <algorithm>

#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// How long a provider may keep these without a message.
Duration hold_of(const DeploymentRecord& record, const json::StringMap& allocations) {
  Duration hold{0};
  for (const auto& [name, incarnation] : allocations) {
    const auto entry = record.manifest.allocations.find(name);
    const bool leased = entry != record.manifest.allocations.end() && entry->second.lease_ns > 0;
    hold = std::max(hold, leased ? Duration(entry->second.lease_ns) + kRenew.timeout + kLeaseMargin : kReservationHold);
  }
  return hold;
}

void add(DeploymentRecord& record, Superseded entry) {
  if (entry.allocations.empty()) return;
  entry.number = ++record.last_number;
  entry.hold_ns = hold_of(record, entry.allocations).count();
  if (!entry.node.empty())
    for (Rest& rest : record.rests)
      if (rest.missing.empty() && rest.number == 0 && entry.allocations.contains(rest.allocation))
        rest.number = entry.number;
  record.superseded.push_back(std::move(entry));
}

/// Whether the machine has an earlier run of it, whose output is fetched first.
bool is_left_at(const Superseded& entry, const std::string& peer, const std::string& allocation) {
  return entry.peer == peer && std::ranges::count(entry.unfetched, allocation) > 0;
}

/// What has no run is left out if its machine has an earlier one whose output is fetched first: nothing was requested
/// there since, and a request to release it without the name of a run would remove that one.
Superseded entry_for(const DeploymentRecord& record, const NodeManifest& node,
                     const std::vector<std::string>& allocations) {
  Superseded entry;
  entry.node = node.id;
  entry.peer = node.peer;
  entry.handle = node.handle;
  for (const std::string& name : allocations) {
    const auto allocation = record.manifest.allocations.find(name);
    const bool known = allocation != record.manifest.allocations.end();
    std::string& run = entry.allocations[name];
    if (known) run = allocation->second.incarnation;
    if (!run.empty() && record.restarting.contains(name)) entry.restarting.push_back(name);
    const auto is_left = [&](const Superseded& earlier) { return is_left_at(earlier, node.peer, name); };
    if (run.empty() && std::ranges::any_of(record.superseded, is_left)) entry.allocations.erase(name);
  }
  return entry;
}

/// Whether one of these runs is not known to have ended.
bool may_run(const DeploymentRecord& record, const std::vector<std::string>& allocations) {
  return std::ranges::any_of(allocations, [&](const std::string& name) {
    return !is_over(record, name) || std::ranges::count(record.lost, name) > 0;
  });
}

/// What is pending has not begun, and will not.
void end(AllocationManifest& entry, AllocationStatus status, const std::string& reason) {
  entry.restarts = begun_restarts(entry);
  entry.status = status;
  entry.reason = reason;
}

void give_up_output(AllocationManifest& entry) {
  entry.collected = true;
  add_reason(entry.reason, "its output could not be fetched completely");
}

/// A start that was requested is perhaps not answered yet.
bool may_have_begun(const DeploymentRecord& record, const std::string& name, const AllocationManifest& entry) {
  if (entry.status != AllocationStatus::pending) return true;
  const auto requested = record.starts.find(name);
  return requested != record.starts.end() && requested->second == entry.incarnation;
}

/// Whether its provider may keep output that is not all here, and is not asked for it yet.
bool has_output_left(const DeploymentRecord& record, const std::string& name, const AllocationManifest& entry) {
  return entry.lease_ns > 0 && !entry.incarnation.empty() && may_have_begun(record, name, entry) &&
         !(is_final(entry.status) && entry.collected) && !is_awaited(record, name, entry.incarnation);
}

/// The output of this run is fetched before `left` is released.
void await_output(DeploymentRecord& record, const std::string& name, const AllocationManifest& run, Superseded& left) {
  left.unfetched.push_back(name);
  if (run.status == AllocationStatus::pending)
    left.unstarted.push_back(name);
  else
    forget_earlier_output(record, name);
}

/// The allocation has no machine any more.
void displace(DeploymentRecord& record, const std::string& name) {
  AllocationManifest* entry = find_entry(record, name);
  record.restarting.erase(name);
  record.starts.erase(name);
  std::erase(record.lost, name);
  settle_rests(record, name, "", "the work has left the machine that it was on");
  if (entry == nullptr) return;
  if (is_final(entry->status)) {
    if (!entry->collected && !is_awaited(record, name, entry->incarnation)) give_up_output(*entry);
    entry->collected = true;  // what is awaited is fetched if the machine returns; nothing waits for it
    return;
  }
  if (entry->status == AllocationStatus::running || entry->status == AllocationStatus::restarting) ++entry->restarts;
  entry->handle = {};
  entry->work.reset();
  entry->incarnation.clear();
  entry->lease_ns = 0;
  entry->health = Health::unknown;
  entry->status = AllocationStatus::pending;
}

/// What `node` has of these allocations is superseded, and they have no machine any more.
void leave(DeploymentRecord& record, const NodeManifest& node, const std::vector<std::string>& allocations,
           bool exclusive) {
  Superseded entry = entry_for(record, node, allocations);
  entry.exclusive = exclusive && may_run(record, allocations);
  for (const std::string& name : allocations) {
    for (Superseded& earlier : record.superseded)
      if (entry.exclusive && is_left_at(earlier, node.peer, name)) earlier.exclusive = true;
    if (const AllocationManifest* run = find_entry(record, name); run != nullptr && has_output_left(record, name, *run))
      await_output(record, name, *run, entry);
  }
  add(record, std::move(entry));
  for (const std::string& allocation : allocations) displace(record, allocation);
}

}  // namespace

void supersede_node(DeploymentRecord& record, const std::string& name, bool exclusive) {
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return;
  std::vector<std::string> held;
  for (const std::string& allocation : node->second.allocations) {
    const AllocationManifest* entry = find_entry(record, allocation);
    // What has been collected is released already.
    if (entry != nullptr && entry->node_id == name && !(is_final(entry->status) && entry->collected))
      held.push_back(allocation);
  }
  leave(record, node->second, held, exclusive);
  record.manifest.nodes.erase(node);
}

void supersede(DeploymentRecord& record, const std::string& name, std::vector<std::string> allocations,
               bool exclusive) {
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return;
  std::erase_if(node->second.allocations, [&](const std::string& a) { return std::ranges::count(allocations, a) > 0; });
  leave(record, node->second, allocations, exclusive);
  if (node->second.allocations.empty()) record.manifest.nodes.erase(node);
}

void supersede_run(DeploymentRecord& record, const std::string& name, bool exclusive) {
  const AllocationManifest* entry = find_entry(record, name);
  if (entry == nullptr) return;
  const std::string node = entry->node_id;
  if (is_alone(record, name)) return supersede_node(record, node, exclusive);
  supersede(record, node, {name}, exclusive);
}

void mark_over_since(DeploymentRecord& record, std::uint64_t number) {
  for (Superseded& entry : record.superseded)
    if (entry.number > number) entry.over = true;
}

void supersede_unknown(DeploymentRecord& record, const actor::Handle& provider, json::StringMap incarnations,
                       bool exclusive) {
  const auto is_known = [&](const std::string& name) { return record.ensemble.allocations.contains(name); };
  std::size_t unknown = 0;
  for (const Superseded& known : record.superseded)
    if (known.peer == provider.address.host) {
      std::erase_if(incarnations, [&](const auto& held) {
        const auto same = known.allocations.find(held.first);
        if (same == known.allocations.end()) return false;
        const bool restarting = std::ranges::count(known.restarting, held.first) > 0;
        return known.node.empty() || restarting || same->second.empty() || same->second == held.second;
      });
      unknown += static_cast<std::size_t>(
          std::ranges::count_if(known.allocations, [&](const auto& held) { return !is_known(held.first); }));
    }
  std::erase_if(incarnations, [&](const auto& held) {
    if (held.first.size() > kMaxReportedId || held.second.size() > kMaxReportedId) return true;  // nothing of ours
    return !is_known(held.first) && ++unknown > kMaxUnknown;
  });
  Superseded entry;
  entry.peer = provider.address.host;
  entry.handle = provider;
  entry.allocations = std::move(incarnations);
  entry.exclusive = exclusive;
  add(record, std::move(entry));
}

void supersede_ended(DeploymentRecord& record, const std::string& allocation) {
  const AllocationManifest* entry = find_entry(record, allocation);
  if (entry == nullptr) return;
  const auto node = record.manifest.nodes.find(entry->node_id);
  if (node == record.manifest.nodes.end()) return;
  Superseded released = entry_for(record, node->second, {allocation});
  released.ended = true;
  add(record, std::move(released));
}

bool others_have_begun(const DeploymentRecord& record, const std::string& allocation) {
  return std::ranges::any_of(record.manifest.allocations, [&](const auto& pair) {
    return pair.first != allocation && may_have_begun(record, pair.first, pair.second);
  });
}

void unplace_all(DeploymentRecord& record, bool may_run) {
  std::set<std::string> done;
  for (const auto& [name, entry] : record.manifest.allocations)
    if (const auto spec = record.ensemble.allocations.find(name); spec != record.ensemble.allocations.end() &&
                                                                  entry.status == AllocationStatus::completed &&
                                                                  (entry.collected || !spec->second.results))
      done.insert(name);
  std::map<std::string, std::uint32_t> runs;  // of what has run
  for (const auto& [name, entry] : record.manifest.allocations) {
    const std::uint32_t before = entry.restarts + (entry.status == AllocationStatus::pending ? 0U : 1U);
    if (before > 0 && record.ensemble.allocations.contains(name)) runs[name] = before;
  }
  while (!record.manifest.nodes.empty()) {
    const std::string node = record.manifest.nodes.begin()->first;
    supersede_node(record, node, may_run && on_loss(record.ensemble, node) == jobs::OnLoss::exclusive);
  }
  std::erase_if(record.manifest.allocations, [&](const auto& pair) { return !done.contains(pair.first); });
  for (const auto& [node, spec] : record.ensemble.nodes)
    for (const std::string& name : spec.allocations)
      if (const auto ran = runs.find(name); ran != runs.end() && !done.contains(name)) {
        record.manifest.allocations[name] = unplaced_entry(record, node, name);
        record.manifest.allocations[name].restarts = ran->second;
      }
}

void fail_allocation(DeploymentRecord& record, const std::string& allocation, const std::string& reason) {
  AllocationManifest* entry = find_entry(record, allocation);
  if (entry == nullptr || is_final(entry->status)) return;
  const auto node = record.manifest.nodes.find(entry->node_id);
  const bool is_left = entry->status == AllocationStatus::pending && node != record.manifest.nodes.end() &&
                       has_output_left(record, allocation, *entry);
  if (is_left) {
    Superseded left = entry_for(record, node->second, {allocation});
    await_output(record, allocation, *entry, left);
    add(record, std::move(left));
  }
  record.restarting.erase(allocation);
  record.starts.erase(allocation);
  end(*entry, AllocationStatus::failed, reason);
  entry->collected = true;  // nothing waits for what is awaited
  if (!is_left) supersede_ended(record, allocation);
}

void end_node(DeploymentRecord& record, const std::string& name, AllocationStatus status, const std::string& reason,
              const std::set<std::string>& complete) {
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return;
  std::vector<std::string> held;
  Superseded left;
  bool all_over = true;
  for (const std::string& allocation : node->second.allocations) {
    AllocationManifest* entry = find_entry(record, allocation);
    if (entry == nullptr || (is_final(entry->status) && entry->collected)) continue;
    if (is_awaited(record, allocation, entry->incarnation)) continue;
    held.push_back(allocation);
    const bool over = is_final(entry->status);
    all_over = all_over && over && std::ranges::count(record.lost, allocation) == 0;
    const bool has_output = over || (entry->lease_ns > 0 && entry->status != AllocationStatus::pending);
    const bool is_left = !complete.contains(allocation) && has_output_left(record, allocation, *entry);
    if (is_left) await_output(record, allocation, *entry, left);
    if (!over) end(*entry, status, reason);
    entry->collected = !is_left;
    if (!is_left && has_output && !complete.contains(allocation)) give_up_output(*entry);
  }
  Superseded entry = entry_for(record, node->second, held);
  entry.over = all_over && !left.unfetched.empty();
  entry.unfetched = std::move(left.unfetched);
  entry.unstarted = std::move(left.unstarted);
  add(record, std::move(entry));
  for (const std::string& allocation : held) {
    record.restarting.erase(allocation);
    record.starts.erase(allocation);
    std::erase(record.lost, allocation);
  }
}

void end_unplaced(DeploymentRecord& record, AllocationStatus status, const std::string& reason) {
  for (auto& [name, entry] : record.manifest.allocations) {
    if (is_final(entry.status) || (entry.restarts == 0 && !record.outputs.contains(name))) continue;
    end(entry, status, reason);
    entry.collected = true;
  }
  std::erase_if(record.manifest.allocations, [](const auto& pair) { return !is_final(pair.second.status); });
}

void end_attempt(DeploymentRecord& record, const json::StringMap& late, const std::string& reason) {
  for (const auto& [name, why] : late) fail_allocation(record, name, why);
  std::vector<std::string> idle;
  for (const auto& [name, entry] : record.manifest.allocations)
    if (entry.status == AllocationStatus::pending && entry.restarts == 0) idle.push_back(name);
  for (const auto& [name, node] : record.manifest.nodes) end_node(record, name, AllocationStatus::terminated, reason);
  for (const std::string& name : idle) record.manifest.allocations.erase(name);
  end_unplaced(record, AllocationStatus::terminated, reason);
}

void run_again(DeploymentRecord& record, const std::string& name, bool begun) {
  AllocationManifest* entry = find_entry(record, name);
  if (entry == nullptr || !is_final(entry->status)) return;
  const bool lost = std::ranges::count(record.lost, name) > 0;
  const bool is_kept = is_placed(*entry) && !entry->collected && !is_awaited(record, name, entry->incarnation);
  entry->status = begun ? AllocationStatus::restarting : AllocationStatus::pending;
  if (!begun && record.ran_on.contains(name)) ++entry->restarts;
  record.absent.erase(name);
  const std::uint64_t before = record.last_number;
  if (is_kept) {
    supersede_run(record, name, lost);
    if (!lost) mark_over_since(record, before);
  } else {  // it is released already
    const std::string node = entry->node_id;
    if (const auto placed = record.manifest.nodes.find(node); placed != record.manifest.nodes.end())
      std::erase(placed->second.allocations, name);
    if (is_alone(record, name)) supersede_node(record, node, false);  // with what is being placed there
    displace(record, name);
  }
  entry->collected = false;
}

void stop_for_good(DeploymentRecord& record, const std::string& name, const std::string& reason) {
  AllocationManifest* entry = find_entry(record, name);
  if (entry == nullptr || is_final(entry->status)) return;
  if (is_placed(*entry))
    supersede_run(record, name, on_loss(record.ensemble, entry->node_id) == jobs::OnLoss::exclusive);
  record.restarting.erase(name);
  record.starts.erase(name);
  end(*entry, AllocationStatus::stopped, reason);
  entry->collected = true;  // nothing waits for what is awaited
}

void fail_lost_node(DeploymentRecord& record, const std::string& name, const std::string& reason) {
  if (granted_lease(record, name) == Duration(0)) return end_node(record, name, AllocationStatus::failed, reason);
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return;
  for (const std::string& allocation : node->second.allocations) {
    AllocationManifest* entry = find_entry(record, allocation);
    if (entry == nullptr || (is_final(entry->status) && entry->collected)) continue;
    if (is_placed(*entry) && entry->status == AllocationStatus::pending) {
      const std::uint64_t before = record.last_number;
      const bool may_run = may_have_begun(record, allocation, *entry);
      fail_allocation(record, allocation, reason);
      if (!may_run) mark_over_since(record, before);
      continue;
    }
    if (is_placed(*entry) || is_final(entry->status))
      record.lost.push_back(allocation);
    else
      entry->collected = true;  // there was no run
    if (!is_final(entry->status)) end(*entry, AllocationStatus::failed, reason);
  }
}

}  // namespace dms::orchestrator
