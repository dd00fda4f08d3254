#include "orchestrator/deployment/placement.hpp"

#include <algorithm>

#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

AllocationManifest* find(DeploymentRecord& record, const std::string& allocation) {
  const auto entry = record.manifest.allocations.find(allocation);
  return entry == record.manifest.allocations.end() ? nullptr : &entry->second;
}

Superseded* find(DeploymentRecord& record, std::uint64_t number) {
  const auto entry = std::ranges::find(record.superseded, number, &Superseded::number);
  return entry == record.superseded.end() ? nullptr : &*entry;
}

bool is_over(const DeploymentRecord& record, const std::string& allocation) {
  const auto entry = record.manifest.allocations.find(allocation);
  return entry != record.manifest.allocations.end() && is_final(entry->second.status);
}

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

void forget_output(DeploymentRecord& record, Superseded& entry, const std::string& allocation) {
  std::erase(entry.unfetched, allocation);
  std::erase(entry.unstarted, allocation);
  give_up_left_rest(record, entry.number, allocation, "the work was run again before it was fetched");
}

/// The allocation has no machine any more.
void displace(DeploymentRecord& record, const std::string& name) {
  AllocationManifest* entry = find(record, name);
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
    if (const AllocationManifest* run = find(record, name); run != nullptr && has_output_left(record, name, *run))
      await_output(record, name, *run, entry);
  }
  add(record, std::move(entry));
  for (const std::string& allocation : allocations) displace(record, allocation);
}

}  // namespace

std::uint32_t begun_restarts(const AllocationManifest& entry) {
  return entry.restarts - (entry.restarts > 0 && entry.status == AllocationStatus::pending ? 1U : 0U);
}

Unplaced unplaced(const DeploymentRecord& record) {
  Unplaced wanted;
  for (const auto& [name, node] : record.ensemble.nodes)
    for (const std::string& allocation : node.allocations) {
      const auto entry = record.manifest.allocations.find(allocation);
      if (entry == record.manifest.allocations.end() || (!is_final(entry->second.status) && !is_placed(entry->second)))
        wanted[name].push_back(allocation);
    }
  return wanted;
}

bool is_awaited(const DeploymentRecord& record, const std::string& allocation, const std::string& run) {
  return std::ranges::any_of(record.superseded, [&](const Superseded& entry) {
    const auto held = entry.allocations.find(allocation);
    return held != entry.allocations.end() && held->second == run &&
           std::ranges::count(entry.unfetched, allocation) > 0;
  });
}

const Superseded* find_awaited(const DeploymentRecord& record, const std::string& allocation) {
  const auto found = std::ranges::find_if(record.superseded, [&](const Superseded& entry) {
    return entry.allocations.contains(allocation) && std::ranges::count(entry.unfetched, allocation) > 0 &&
           std::ranges::count(entry.unstarted, allocation) == 0;
  });
  return found == record.superseded.end() ? nullptr : &*found;
}

void forget_earlier_output(DeploymentRecord& record, const std::string& allocation) {
  for (Superseded& entry : record.superseded) forget_output(record, entry, allocation);
}

void note_rest(DeploymentRecord& record, const std::string& allocation, const std::string& run,
               const std::string& missing) {
  std::erase_if(record.rests, [&](const Rest& rest) { return rest.allocation == allocation && rest.run == run; });
  record.rests.push_back({allocation, run, missing});
  if (std::ranges::count(record.rests, allocation, &Rest::allocation) > kMaxRests)
    record.rests.erase(std::ranges::find(record.rests, allocation, &Rest::allocation));
}

const Rest* find_rest(const DeploymentRecord& record, const std::string& allocation, const std::string& run) {
  const auto found = std::ranges::find_if(
      record.rests, [&](const Rest& rest) { return rest.allocation == allocation && rest.run == run; });
  return found == record.rests.end() ? nullptr : &*found;
}

bool has_open_rest(const DeploymentRecord& record, const std::string& allocation) {
  return std::ranges::any_of(record.rests, [&](const Rest& rest) {
    return rest.allocation == allocation && rest.missing.empty() && rest.number == 0;
  });
}

void settle_rests(DeploymentRecord& record, const std::string& allocation, const std::string& run,
                  const std::string& missing) {
  const auto is_meant = [&](const Rest& rest) {
    const bool is_named = run.empty() ? rest.number == 0 : rest.run == run;
    return rest.allocation == allocation && is_named && rest.missing.empty();
  };
  if (missing.empty()) std::erase_if(record.rests, is_meant);
  for (Rest& rest : record.rests)
    if (is_meant(rest)) rest.missing = missing;
}

const Rest* find_left_rest(const DeploymentRecord& record, std::uint64_t number, const std::string& allocation) {
  const auto found = std::ranges::find_if(record.rests, [&](const Rest& rest) {
    return rest.allocation == allocation && rest.number == number && rest.missing.empty();
  });
  return found == record.rests.end() ? nullptr : &*found;
}

void give_up_left_rest(DeploymentRecord& record, std::uint64_t number, const std::string& allocation,
                       const std::string& missing) {
  if (const Rest* rest = find_left_rest(record, number, allocation))
    settle_rests(record, allocation, rest->run, missing);
}

void note_begun(DeploymentRecord& record, std::uint64_t number, const std::string& allocation) {
  for (Superseded& entry : record.superseded) {
    if (entry.number < number) forget_output(record, entry, allocation);
    if (entry.number == number) std::erase(entry.unstarted, allocation);
  }
}

void settle_restart(DeploymentRecord& record, std::uint64_t number, const std::string& allocation,
                    const std::string& run) {
  Superseded* entry = find(record, number);
  if (entry == nullptr || std::erase(entry->restarting, allocation) == 0) return;
  const auto held = entry->allocations.find(allocation);
  if (held == entry->allocations.end() || held->second == run) return;
  const std::string before = std::exchange(held->second, run);
  give_up_left_rest(record, number, allocation, "the work was restarted again before it was fetched");
  note_rest(record, allocation, before);
  record.rests.back().number = number;
  AllocationManifest* ended = find(record, allocation);
  if (ended == nullptr || ended->incarnation != before) return;
  ended->incarnation = run;
  ++ended->restarts;
}

bool take_over_restart(DeploymentRecord& record, const std::string& allocation, const std::string& run) {
  AllocationManifest* entry = find(record, allocation);
  const auto requested = record.restarting.find(allocation);
  if (entry == nullptr || requested == record.restarting.end() || requested->second != entry->incarnation) return false;
  if (run.empty() || run.size() > kMaxReportedId) return false;
  record.restarting.erase(requested);
  settle_rests(record, allocation, "", "the work was restarted again before it was fetched");
  if (entry->lease_ns > 0) note_rest(record, allocation, entry->incarnation);  // another provider has no pages
  entry->incarnation = run;
  ++entry->restarts;
  return true;
}

void end_awaiting(DeploymentRecord& record, std::uint64_t number, const std::string& allocation,
                  const std::string& given_up) {
  Superseded* entry = find(record, number);
  if (entry == nullptr || std::erase(entry->unfetched, allocation) == 0) return;
  const bool unstarted = std::erase(entry->unstarted, allocation) > 0;
  AllocationManifest* ended = find(record, allocation);
  const auto run = entry->allocations.find(allocation);
  if (run == entry->allocations.end()) return;
  if (ended == nullptr || ended->incarnation != run->second) {
    if (!unstarted && !given_up.empty()) note_rest(record, allocation, run->second, given_up);
    return;
  }
  if (!is_final(ended->status)) return;
  ended->collected = true;
  if (given_up.empty()) return;
  const std::string lost =
      unstarted ? "it may have started; its output could not be fetched" : "its output could not be fetched completely";
  add_reason(ended->reason, fmt::format("{}: {}", lost, given_up));
}

bool all_ended(const DeploymentRecord& record) {
  return std::ranges::all_of(record.ensemble.allocations, [&](const auto& pair) {
    const auto entry = record.manifest.allocations.find(pair.first);
    return entry != record.manifest.allocations.end() && is_final(entry->second.status) &&
           (entry->second.collected || std::ranges::count(record.lost, pair.first) > 0);
  });
}

jobs::Ensemble part_of(const DeploymentRecord& record, const Unplaced& wanted) {
  jobs::Ensemble part = record.ensemble;
  part.edges.clear();
  std::erase_if(part.nodes, [&](const auto& pair) { return !wanted.contains(pair.first); });
  for (auto& [name, node] : part.nodes) {
    std::erase_if(node.allocations, [&](const std::string& allocation) { return is_over(record, allocation); });
    if (const auto placed = record.manifest.nodes.find(name); placed != record.manifest.nodes.end())
      node.peer = placed->second.peer;
  }
  return part;
}

AllocationManifest unplaced_entry(const DeploymentRecord& record, const std::string& node,
                                  const std::string& allocation) {
  const jobs::Allocation& spec = record.ensemble.allocations.at(allocation);
  AllocationManifest entry;
  entry.id = jobs::allocation_id(record.id, allocation);
  entry.type = jobs::to_string(spec.type);
  entry.node_id = node;
  entry.dns_name = spec.dns_name;
  for (const jobs::Port& port : record.ensemble.ports_of(allocation))
    entry.ports[std::to_string(port.public_port)] = port.private_port;
  return entry;
}

void place(DeploymentRecord& record, const Unplaced& wanted, const Candidate& candidate) {
  EnsembleManifest& manifest = record.manifest;
  for (const auto& [name, bid] : candidate) {
    NodeManifest& made = manifest.nodes[name];
    made.id = name;
    made.peer = bid.peer;
    made.handle = bid.handle;
    made.location = bid.location;
    made.pub_address = bid.pub_addresses;
    made.allocations = record.ensemble.nodes.at(name).allocations;
    for (const std::string& allocation : wanted.at(name)) {
      AllocationManifest entry = unplaced_entry(record, name, allocation);
      if (const AllocationManifest* before = find(record, allocation)) entry.restarts = before->restarts;
      if (const auto& results = record.ensemble.allocations.at(allocation).results; results && bid.offer)
        entry.results_limit = std::min(results->max_bytes(), bid.offer->results_limit);
      manifest.allocations[allocation] = std::move(entry);
    }
  }
}

std::set<std::string> occupied(const DeploymentRecord& record, const Unplaced& wanted) {
  std::set<std::string> peers;
  for (const auto& [name, node] : record.manifest.nodes)
    if (!wanted.contains(name)) peers.insert(node.peer);
  for (const Superseded& entry : record.superseded) peers.insert(entry.peer);
  return peers;
}

bool is_alone(const DeploymentRecord& record, const std::string& name) {
  const auto entry = record.manifest.allocations.find(name);
  if (entry == record.manifest.allocations.end()) return true;
  return std::ranges::none_of(record.manifest.allocations, [&](const auto& pair) {
    const auto& [other, manifest] = pair;
    return other != name && manifest.node_id == entry->second.node_id && is_placed(manifest) &&
           !(is_final(manifest.status) && manifest.collected);
  });
}

bool is_collecting(const DeploymentRecord& record, const std::string& name) {
  return std::ranges::any_of(record.manifest.allocations, [&](const auto& pair) {
    const auto& [allocation, manifest] = pair;
    return manifest.node_id == name && is_final(manifest.status) && !manifest.collected &&
           std::ranges::count(record.lost, allocation) == 0;
  });
}

void supersede_node(DeploymentRecord& record, const std::string& name, bool exclusive) {
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return;
  std::vector<std::string> held;
  for (const std::string& allocation : node->second.allocations) {
    const AllocationManifest* entry = find(record, allocation);
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
  const AllocationManifest* entry = find(record, name);
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
  const AllocationManifest* entry = find(record, allocation);
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
  AllocationManifest* entry = find(record, allocation);
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

void record_end(AllocationManifest& entry, const AllocationReport& report) {
  entry.exit_code = report.exit_code;
  entry.out_size = report.out_size;
  entry.err_size = report.err_size;
  entry.cpu_seconds = report.cpu_seconds;
  entry.memory_bytes = report.memory_bytes;
}

bool is_blocked(const DeploymentRecord& record, const std::string& name) {
  const auto placed = record.manifest.nodes.find(name);
  const auto spec = record.ensemble.nodes.find(name);
  if (spec == record.ensemble.nodes.end()) return true;  // an update has removed it
  const std::string only = placed != record.manifest.nodes.end() ? placed->second.peer : spec->second.peer;
  const auto is_here = [&](const auto& held) { return std::ranges::count(spec->second.allocations, held.first) > 0; };
  return std::ranges::any_of(record.superseded, [&](const Superseded& entry) {
    const bool excludes = entry.exclusive && !entry.over && std::ranges::any_of(entry.allocations, is_here);
    return excludes || (!only.empty() && entry.peer == only);
  });
}

void end_node(DeploymentRecord& record, const std::string& name, AllocationStatus status, const std::string& reason,
              const std::set<std::string>& complete) {
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return;
  std::vector<std::string> held;
  Superseded left;
  bool all_over = true;
  for (const std::string& allocation : node->second.allocations) {
    AllocationManifest* entry = find(record, allocation);
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

void fail_lost_node(DeploymentRecord& record, const std::string& name, const std::string& reason) {
  if (granted_lease(record, name) == Duration(0)) return end_node(record, name, AllocationStatus::failed, reason);
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return;
  for (const std::string& allocation : node->second.allocations) {
    AllocationManifest* entry = find(record, allocation);
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

jobs::OnLoss on_loss(const jobs::Ensemble& ensemble, const std::string& name) {
  const auto node = ensemble.nodes.find(name);
  if (node == ensemble.nodes.end()) return jobs::OnLoss::fail;
  if (node->second.on_loss != jobs::OnLoss::unspecified) return node->second.on_loss;
  const bool has_task = std::ranges::any_of(node->second.allocations, [&](const std::string& allocation) {
    return ensemble.allocations.at(allocation).type == jobs::AllocationType::task;
  });
  return has_task ? jobs::OnLoss::exclusive : jobs::OnLoss::fast;
}

Duration requested_lease(const jobs::Node& node) { return node.lease_ns > 0 ? node.lease() : kDefaultLease; }

Duration granted_lease(const DeploymentRecord& record, const std::string& name) {
  const auto node = record.manifest.nodes.find(name);
  if (node == record.manifest.nodes.end()) return Duration(0);
  std::int64_t lease = 0;
  for (const std::string& allocation : node->second.allocations)
    if (const auto entry = record.manifest.allocations.find(allocation);
        entry != record.manifest.allocations.end() && entry->second.node_id == name && entry->second.lease_ns > 0)
      lease = lease == 0 ? entry->second.lease_ns : std::min(lease, entry->second.lease_ns);
  return Duration(lease);
}

std::optional<jobs::Results> granted_results(const DeploymentRecord& record, const std::string& allocation) {
  const auto spec = record.ensemble.allocations.find(allocation);
  if (spec == record.ensemble.allocations.end() || !spec->second.results) return std::nullopt;
  jobs::Results results = *spec->second.results;
  if (const auto entry = record.manifest.allocations.find(allocation);
      entry != record.manifest.allocations.end() && entry->second.results_limit > 0 &&
      entry->second.results_limit < results.max_bytes())
    results.limit = std::min(entry->second.results_limit, spec->second.resources.disk.size.bytes);  // none fill more
  return results;
}

std::set<Feature> needed_features(const jobs::Ensemble& ensemble, const std::string& name) {
  std::set<Feature> needed;
  const jobs::Node& node = ensemble.nodes.at(name);
  if (node.lease_ns > 0 || node.on_loss == jobs::OnLoss::exclusive) needed.insert(Feature::lease);
  for (const std::string& allocation : node.allocations) {
    const jobs::Allocation& spec = ensemble.allocations.at(allocation);
    if (spec.healthcheck.present()) needed.insert(Feature::health);
    if (!spec.inputs.empty()) needed.insert(Feature::inputs);
    if (spec.results) needed.insert(Feature::results);
  }
  return needed;
}

}  // namespace dms::orchestrator
