#include "orchestrator/deployment/placement.hpp"

#include <algorithm>

#include "orchestrator/deployment/standby.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

using namespace protocol;

AllocationManifest* find_entry(DeploymentRecord& record, const std::string& allocation) {
  const auto entry = record.manifest.allocations.find(allocation);
  return entry == record.manifest.allocations.end() ? nullptr : &entry->second;
}

bool is_over(const DeploymentRecord& record, const std::string& allocation) {
  const auto entry = record.manifest.allocations.find(allocation);
  return entry != record.manifest.allocations.end() && is_final(entry->second.status);
}

std::uint32_t begun_restarts(const AllocationManifest& entry) {
  return entry.restarts - (entry.restarts > 0 && entry.status == AllocationStatus::pending ? 1U : 0U);
}

Unplaced unplaced(const DeploymentRecord& record) {
  Unplaced wanted = without_machine(record);
  if (!record.tree) return wanted;
  for (auto& [node, allocations] : wanted)
    std::erase_if(allocations, [&](const std::string& name) { return is_held_back(record, name); });
  std::erase_if(wanted, [](const auto& pair) { return pair.second.empty(); });
  return wanted;
}

Unplaced without_machine(const DeploymentRecord& record) {
  Unplaced wanted;
  for (const auto& [name, node] : record.ensemble.nodes)
    for (const std::string& allocation : node.allocations) {
      const auto entry = record.manifest.allocations.find(allocation);
      if (entry == record.manifest.allocations.end() || (!is_final(entry->second.status) && !is_placed(entry->second)))
        wanted[name].push_back(allocation);
    }
  return wanted;
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
  std::erase_if(part.nodes, [&](const auto& pair) { return !wanted.contains(pair.first); });
  for (auto& [name, node] : part.nodes) {
    std::erase_if(node.allocations, [&](const std::string& allocation) { return is_over(record, allocation); });
    if (const auto placed = record.manifest.nodes.find(name); placed != record.manifest.nodes.end())
      node.peer = placed->second.peer;
  }
  std::set<std::string> sought;
  for (const auto& [name, allocations] : wanted)
    if (!record.manifest.nodes.contains(name)) sought.insert(name);
  part.edges = edges_of_sought(record, sought);
  const auto is_sought = [&](const std::string& name) { return sought.contains(name); };
  part.anti_affinity = anti_affinity_with_standbys(record.ensemble);
  std::erase_if(part.anti_affinity,
                [&](const jobs::AntiAffinity& apart) { return std::ranges::none_of(apart.nodes, is_sought); });
  return part;
}

Placed neighbours_of(const DeploymentRecord& record, const std::set<std::string>& nodes,
                     const std::set<std::string>& lost) {
  Placed placed;
  const auto runs = [&](const std::string& allocation) {
    const auto entry = record.manifest.allocations.find(allocation);
    return entry != record.manifest.allocations.end() && is_placed(entry->second) && !is_final(entry->second.status);
  };
  for (const auto& [name, node] : record.manifest.nodes)
    if (!nodes.contains(name) && std::ranges::any_of(node.allocations, runs))
      placed[name] = {node.peer, node.location, !lost.contains(name)};
  for (const auto& [id, standby] : record.standbys)
    if (!nodes.contains(id)) placed[id] = {standby.node.peer, standby.node.location, standby.ready()};
  return placed;
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

void set_machine(NodeManifest& node, const Bid& bid) {
  node.peer = bid.peer;
  node.handle = bid.handle;
  node.location = bid.location;
  node.pub_address = bid.pub_addresses;
}

void place(DeploymentRecord& record, const Unplaced& wanted, const Candidate& candidate) {
  EnsembleManifest& manifest = record.manifest;
  for (const auto& [name, bid] : candidate) {
    NodeManifest& made = manifest.nodes[name];
    made.id = name;
    set_machine(made, bid);
    made.allocations = record.ensemble.nodes.at(name).allocations;
    for (const std::string& allocation : wanted.at(name)) {
      AllocationManifest entry = unplaced_entry(record, name, allocation);
      if (const AllocationManifest* before = find_entry(record, allocation)) entry.restarts = before->restarts;
      if (const auto& results = record.ensemble.allocations.at(allocation).results; results && bid.offer)
        entry.results_limit = std::min(results->max_bytes(), bid.offer->results_limit);
      manifest.allocations[allocation] = std::move(entry);
    }
  }
}

void note_allocated(AllocationManifest& entry, const std::string& allocation, const AllocateResponse& made) {
  entry.handle = made.allocations.at(allocation);
  entry.work.reset();
  if (const auto work = made.work.find(allocation); work != made.work.end()) entry.work = work->second;
  entry.lease_ns = made.lease_ns;
  if (const auto run = made.incarnations.find(allocation); run != made.incarnations.end())
    entry.incarnation = run->second;
}

std::set<std::string> occupied(const DeploymentRecord& record, const Unplaced& wanted) {
  std::set<std::string> peers;
  for (const auto& [name, node] : record.manifest.nodes)
    if (!wanted.contains(name)) peers.insert(node.peer);
  for (const auto& [id, standby] : record.standbys) peers.insert(standby.node.peer);
  for (const Superseded& entry : record.superseded) peers.insert(entry.peer);
  peers.insert(record.barred.begin(), record.barred.end());
  return peers;
}

std::string why_occupied(const DeploymentRecord& record, const std::string& peer) {
  if (is_barred(record, peer))
    return "its owner has ended work of this deployment there, so it is not asked again for this deployment; name "
           "another machine, or deploy the ensemble anew with `nunet deploy`";
  for (const auto& [name, node] : record.manifest.nodes)
    if (node.peer == peer) return fmt::format("it has node {} of this deployment, and a machine has one", name);
  for (const auto& [id, standby] : record.standbys)
    if (standby.node.peer == peer)
      return fmt::format("it stands by for node {} of this deployment", standby.node.primary_node);
  const bool is_held =
      std::ranges::any_of(record.superseded, [&](const Superseded& entry) { return entry.peer == peer; });
  return is_held ? "what it had of this deployment is still to be released there" : "";
}

bool is_barred(const DeploymentRecord& record, const std::string& peer) {
  return std::ranges::count(record.barred, peer) > 0;
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

jobs::OnLoss on_loss(const jobs::Ensemble& ensemble, const std::string& name) {
  const auto node = ensemble.nodes.find(name);
  if (node == ensemble.nodes.end()) return jobs::OnLoss::fail;
  if (node->second.on_loss != jobs::OnLoss::unspecified) return node->second.on_loss;
  const bool has_task = std::ranges::any_of(node->second.allocations, [&](const std::string& allocation) {
    return ensemble.allocations.at(allocation).type == jobs::AllocationType::task;
  });
  return has_task ? jobs::OnLoss::exclusive : jobs::OnLoss::fast;
}

bool is_pinned(const DeploymentRecord& record, const std::string& name) {
  const auto spec = record.ensemble.nodes.find(name);
  return spec != record.ensemble.nodes.end() && !spec->second.peer.empty();
}

bool is_sought_elsewhere(const DeploymentRecord& record, const std::string& name) {
  return record.ensemble.nodes.contains(name) && !is_pinned(record, name) &&
         on_loss(record.ensemble, name) == jobs::OnLoss::fast && granted_lease(record, name) > Duration(0);
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
  const auto limits = [&](const jobs::Edge& edge) { return edge.has_limits() && (edge.s == name || edge.t == name); };
  if (std::ranges::any_of(ensemble.edges, limits)) needed.insert(Feature::edges);
  return needed;
}

}  // namespace dms::orchestrator
