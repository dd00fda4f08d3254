#include "orchestrator/deployment/standby.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

using KeepsEdge = std::function<bool(const std::string& s, const std::string& t)>;

/// As a node that starts nothing: whoever grants no lease cannot keep it.
jobs::Node standby_node(const jobs::Node& node) {
  jobs::Node made = node;
  made.redundancy = 0;
  made.on_loss = jobs::OnLoss::exclusive;
  return made;
}

/// Of a node: itself and its standbys.
std::vector<std::string> copies_of(const jobs::Ensemble& ensemble, const std::string& name) {
  std::vector<std::string> copies{name};
  const auto node = ensemble.nodes.find(name);
  for (std::uint32_t number = 1; node != ensemble.nodes.end() && number <= node->second.redundancy; ++number)
    copies.push_back(jobs::standby_id(name, number));
  return copies;
}

/// Between the copies of both nodes, those that are kept.
std::vector<jobs::Edge> edges_of_copies(const jobs::Ensemble& ensemble, const KeepsEdge& keeps) {
  std::map<std::string, std::vector<std::string>> copies;
  for (const auto& [name, node] : ensemble.nodes) copies.emplace(name, copies_of(ensemble, name));
  std::vector<jobs::Edge> edges;
  for (const jobs::Edge& edge : merged_edges(ensemble)) {
    const auto from = copies.find(edge.s);
    const auto to = copies.find(edge.t);
    if (from == copies.end() || to == copies.end()) continue;
    for (const std::string& s : from->second)
      for (const std::string& t : to->second)
        if (keeps(s, t)) edges.push_back({.s = s, .t = t, .rtt = edge.rtt, .bw = edge.bw});
  }
  return edges;
}

bool is_wanted(const DeploymentRecord& record, const Standby& standby) {
  if (record.status != DeploymentStatus::running || is_barred(record, standby.node.peer)) return false;
  const auto node = record.ensemble.nodes.find(standby.node.primary_node);
  return node != record.ensemble.nodes.end() &&
         static_cast<std::int64_t>(node->second.redundancy) >= standby.node.standby_index;
}

/// The first by its number; null if none is ready.
const std::string* find_standby(const DeploymentRecord& record, const std::string& node) {
  const std::string* first = nullptr;
  int number = 0;
  for (const auto& [id, standby] : record.standbys) {
    if (standby.node.primary_node != node || !standby.ready()) continue;
    if (first != nullptr && number <= standby.node.standby_index) continue;
    first = &id;
    number = standby.node.standby_index;
  }
  return first;
}

}  // namespace

std::string MissingStandby::id() const { return jobs::standby_id(node, number); }

std::vector<MissingStandby> missing_standbys(const DeploymentRecord& record) {
  std::vector<MissingStandby> missing;
  if (record.status != DeploymentStatus::running) return missing;
  for (const auto& [name, node] : record.ensemble.nodes)
    for (std::uint32_t number = 1; number <= node.redundancy; ++number)
      if (!record.standbys.contains(jobs::standby_id(name, number))) missing.push_back({name, number});
  return missing;
}

std::vector<jobs::Edge> merged_edges(const jobs::Ensemble& ensemble) {
  std::vector<jobs::Edge> merged;
  std::map<std::pair<std::string, std::string>, std::size_t> index;
  for (const jobs::Edge& edge : ensemble.edges) {
    if (!edge.has_limits()) continue;
    const auto [known, fresh] = index.try_emplace(std::minmax(edge.s, edge.t), merged.size());
    if (fresh) {
      merged.push_back({.s = edge.s, .t = edge.t, .rtt = edge.rtt, .bw = edge.bw});
      continue;
    }
    jobs::Edge& all = merged[known->second];
    if (edge.rtt != 0) all.rtt = all.rtt == 0 ? edge.rtt : std::min(all.rtt, edge.rtt);
    all.bw = std::max(all.bw, edge.bw);
  }
  return merged;
}

std::vector<jobs::Edge> edges_with_standbys(const jobs::Ensemble& ensemble) {
  return edges_of_copies(ensemble, [](const std::string&, const std::string&) { return true; });
}

std::vector<jobs::Edge> edges_of_sought(const DeploymentRecord& record, const std::set<std::string>& sought) {
  const auto is_there = [&](const std::string& name) {
    return record.ensemble.nodes.contains(name) || record.standbys.contains(name);
  };
  return edges_of_copies(record.ensemble, [&](const std::string& s, const std::string& t) {
    return (sought.contains(s) && is_there(t)) || (sought.contains(t) && is_there(s));
  });
}

std::vector<jobs::AntiAffinity> anti_affinity_with_standbys(const jobs::Ensemble& ensemble) {
  std::vector<jobs::AntiAffinity> all;
  for (const jobs::AntiAffinity& apart : ensemble.anti_affinity) {
    if (apart.by == capability::Area::machine) continue;
    jobs::AntiAffinity& made = all.emplace_back();
    made.by = apart.by;
    for (const std::string& name : apart.nodes)
      for (std::string& copy : copies_of(ensemble, name)) made.nodes.push_back(std::move(copy));
  }
  return all;
}

jobs::Ensemble standby_part(const jobs::Ensemble& ensemble, const MissingStandby& wanted) {
  jobs::Ensemble part = ensemble;
  part.edges = edges_of_copies(
      ensemble, [id = wanted.id()](const std::string& s, const std::string& t) { return s == id || t == id; });
  part.anti_affinity = anti_affinity_with_standbys(ensemble);
  std::erase_if(part.anti_affinity, [id = wanted.id()](const jobs::AntiAffinity& apart) {
    return std::ranges::count(apart.nodes, id) == 0;
  });
  part.nodes.clear();
  part.nodes[wanted.id()] = standby_node(ensemble.nodes.at(wanted.node));
  return part;
}

jobs::Ensemble with_standbys(jobs::Ensemble ensemble) {
  ensemble.edges = edges_with_standbys(ensemble);
  ensemble.anti_affinity = anti_affinity_with_standbys(ensemble);
  std::map<std::string, jobs::Node> standbys;
  for (auto& [name, node] : ensemble.nodes)
    for (std::uint32_t number = 1; number <= node.redundancy; ++number)
      standbys[jobs::standby_id(name, number)] = standby_node(node);
  ensemble.nodes.merge(standbys);
  return ensemble;
}

bool has_standby(const DeploymentRecord& record, const std::string& node) {
  return find_standby(record, node) != nullptr;
}

void add_standby(DeploymentRecord& record, const MissingStandby& wanted, const Bid& bid) {
  Standby& made = record.standbys[wanted.id()];
  made.node.id = wanted.id();
  set_machine(made.node, bid);
  made.node.allocations = record.ensemble.nodes.at(wanted.node).allocations;
  made.node.redundancy_role = "standby";
  made.node.primary_node = wanted.node;
  made.node.standby_index = static_cast<int>(wanted.number);
  made.node.status = "standby";
  for (const std::string& name : made.node.allocations) {
    AllocationManifest entry = unplaced_entry(record, wanted.id(), name);
    entry.is_standby = true;
    made.allocations[name] = std::move(entry);
  }
}

void drop_standby(DeploymentRecord& record, const std::string& id) {
  const auto found = record.standbys.extract(id);
  if (found.empty() || found.mapped().allocations.empty()) return;
  const Standby& standby = found.mapped();
  Superseded entry;
  entry.peer = standby.node.peer;
  entry.handle = standby.node.handle;
  Duration hold = kReservationHold;
  for (const auto& [name, allocation] : standby.allocations) {
    entry.allocations[name] = allocation.incarnation;
    hold = std::max(hold, Duration(allocation.lease_ns) + kRenew.timeout + kLeaseMargin);
  }
  entry.number = ++record.last_number;
  entry.hold_ns = hold.count();
  entry.over = true;
  record.superseded.push_back(std::move(entry));
}

void drop_unready_standbys(DeploymentRecord& record) {
  std::vector<std::string> ids;
  for (const auto& [id, standby] : record.standbys)
    if (!standby.ready()) ids.push_back(id);
  for (const std::string& id : ids) drop_standby(record, id);
}

bool stand_in(DeploymentRecord& record, const std::string& node) {
  const std::string* id = find_standby(record, node);
  const auto spec = record.ensemble.nodes.find(node);
  if (id == nullptr || spec == record.ensemble.nodes.end() || record.manifest.nodes.contains(node) ||
      is_blocked(record, node))
    return false;
  const auto taken = record.standbys.extract(*id);
  const Standby& standby = taken.mapped();
  NodeManifest& placed = record.manifest.nodes[node];
  placed = standby.node;
  placed.id = node;
  placed.allocations = spec->second.allocations;
  placed.redundancy_role = "primary";
  placed.primary_node.clear();
  placed.standby_index = 0;
  placed.status = "active";
  for (const auto& [name, made] : standby.allocations) {
    if (std::ranges::count(placed.allocations, name) == 0) continue;
    const AllocationManifest* before = find_entry(record, name);
    // What has ended stays so. The report of its new machine shows what it holds instead, which is released.
    if (before != nullptr && (is_final(before->status) || is_placed(*before))) continue;
    AllocationManifest entry = made;
    entry.node_id = node;
    entry.is_standby = false;
    if (before != nullptr) entry.restarts = before->restarts;
    record.manifest.allocations[name] = std::move(entry);
  }
  return true;
}

void use_standbys(DeploymentRecord& record) {
  std::vector<std::string> unwanted;
  for (const auto& [id, standby] : record.standbys)
    if (!is_wanted(record, standby)) unwanted.push_back(id);
  for (const std::string& id : unwanted) drop_standby(record, id);
  const bool has_any =
      std::ranges::any_of(record.ensemble.nodes, [](const auto& pair) { return pair.second.redundancy > 0; });
  if (!has_any || record.status != DeploymentStatus::running) return;
  for (const auto& [node, names] : without_machine(record)) {
    if (record.ensemble.nodes.at(node).redundancy == 0 || record.manifest.nodes.contains(node)) continue;
    for (const std::string& name : names) excuse_loss(record, name);
    const auto restarts = [&](const std::string& name) { return is_being_restarted(record, name); };
    if (std::ranges::any_of(names, restarts)) continue;
    if (const auto restart = restart_of(record, node); restart && !restart->elsewhere) continue;
    (void)stand_in(record, node);
  }
}

}  // namespace dms::orchestrator
