#include "orchestrator/deployment/update.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "orchestrator/deployment/standby.hpp"
#include "orchestrator/output/results.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {
namespace {

std::string node_of(const jobs::Ensemble& ensemble, const std::string& allocation) {
  for (const auto& [name, node] : ensemble.nodes)
    if (std::ranges::count(node.allocations, allocation) > 0) return name;
  return {};
}

/// Whether the same work would run in the same way.
bool same_work(const jobs::Ensemble& before, const jobs::Ensemble& after, const std::string& name) {
  jobs::Allocation was = before.allocations.at(name);
  const jobs::Allocation& is = after.allocations.at(name);
  was.depends_on = is.depends_on;
  was.conditions = is.conditions;
  was.failure_recovery = is.failure_recovery;
  was.restart = is.restart;
  was.significant = is.significant;
  if (!(was == is) || node_of(before, name) != node_of(after, name)) return false;
  return std::ranges::all_of(
      is.provision, [&](const std::string& script) { return before.scripts.at(script) == after.scripts.at(script); });
}

/// Whether a machine that has bid for the node as it was may have to refuse it.
bool asks_for_more(const jobs::Ensemble& before, const jobs::Ensemble& after, const std::string& node) {
  if (!before.nodes.contains(node)) return true;
  const Result<protocol::NodeRequest> had = node_request(before, node);
  const Result<protocol::NodeRequest> needs = node_request(after, node);
  if (!had || !needs) return true;
  capability::Resources larger = needs->resources;  // in each amount
  larger.cpu.cores = std::max(larger.cpu.cores, had->resources.cpu.cores);
  larger.ram.size = std::max(larger.ram.size, had->resources.ram.size);
  larger.disk.size = std::max(larger.disk.size, had->resources.disk.size);
  const auto is_new = [&](const std::string& executor) { return std::ranges::count(had->executors, executor) == 0; };
  return larger != had->resources || std::ranges::any_of(needs->executors, is_new) ||
         needs->results_limit > had->results_limit ||
         (needs->general_requirements.privileged_docker && !had->general_requirements.privileged_docker) ||
         !std::ranges::includes(needed_features(before, node), needed_features(after, node));
}

bool must_move(const jobs::Ensemble& after, const jobs::Node& node, const protocol::NodeManifest& placed) {
  return (!node.peer.empty() && node.peer != placed.peer) || !node.location.allows(placed.location) ||
         std::ranges::count(after.exclude_peers, placed.peer) > 0;
}

/// Whether what the standby holds is what the ensemble asks of it now.
bool stands_by_still(const jobs::Ensemble& before, const jobs::Ensemble& after, const Standby& standby) {
  const auto was = before.nodes.find(standby.node.primary_node);
  const auto is = after.nodes.find(standby.node.primary_node);
  if (was == before.nodes.end() || is == after.nodes.end()) return false;
  if (was->second.allocations != is->second.allocations || must_move(after, is->second, standby.node)) return false;
  return requested_lease(was->second) == requested_lease(is->second) &&
         std::ranges::all_of(is->second.allocations,
                             [&](const std::string& name) { return same_work(before, after, name); });
}

/// Whether the update leaves the node where it is.
bool stays(const DeploymentRecord& record, const jobs::Ensemble& wanted, const std::string& name) {
  const auto placed = record.manifest.nodes.find(name);
  const auto node = wanted.nodes.find(name);
  return placed != record.manifest.nodes.end() && record.ensemble.nodes.contains(name) && node != wanted.nodes.end() &&
         !must_move(wanted, node->second, placed->second);
}

/// What runs was measured for the limits that it had when it was placed.
Result<void> check_edges(const DeploymentRecord& record, const jobs::Ensemble& wanted) {
  std::map<std::pair<std::string, std::string>, jobs::Edge> all;
  for (const jobs::Edge& edge : merged_edges(record.ensemble)) all.emplace(std::minmax(edge.s, edge.t), edge);
  for (std::size_t i = 0; i < wanted.edges.size(); ++i) {
    const jobs::Edge& edge = wanted.edges[i];
    if (!stays(record, wanted, edge.s) || !stays(record, wanted, edge.t)) continue;
    const auto known = all.find(std::minmax(edge.s, edge.t));
    const jobs::Edge before = known == all.end() ? jobs::Edge() : known->second;
    if ((edge.rtt == 0 || (before.rtt != 0 && before.rtt <= edge.rtt)) && before.bw >= edge.bw) continue;
    return fail(Errc::invalid_argument,
                "edges[{}]: cannot be made stricter while {} and {} run; give one of the nodes another name to have it "
                "placed anew",
                i, edge.s, edge.t);
  }
  return {};
}

bool keeps_apart(const jobs::Ensemble& ensemble, capability::Area by, const std::string& a, const std::string& b) {
  return std::ranges::any_of(ensemble.anti_affinity, [&](const jobs::AntiAffinity& apart) {
    return apart.by == by && std::ranges::count(apart.nodes, a) > 0 && std::ranges::count(apart.nodes, b) > 0;
  });
}

/// What runs stays where it is. What was asked for before held when it was placed.
Result<void> check_anti_affinity(const DeploymentRecord& record, const jobs::Ensemble& wanted) {
  constexpr std::string_view kAdvice = "give one of the nodes another name to have it placed anew";
  for (std::size_t i = 0; i < wanted.anti_affinity.size(); ++i) {
    const jobs::AntiAffinity& apart = wanted.anti_affinity[i];
    if (apart.by == capability::Area::machine) continue;
    std::map<std::string, std::vector<std::string>> nodes;  // by area
    for (const std::string& name : apart.nodes) {
      if (!stays(record, wanted, name)) continue;
      const capability::Location& at = record.manifest.nodes.at(name).location;
      if (const std::string_view missing = capability::unstated(apart.by, at); !missing.empty()) {
        if (keeps_apart(record.ensemble, apart.by, name, name)) continue;
        return fail(Errc::invalid_argument, "anti_affinity[{}]: {} runs on a machine that does not state its {}; {}", i,
                    name, missing, kAdvice);
      }
      std::vector<std::string>& others = nodes[capability::area_key(apart.by, at)];
      for (const std::string& other : others)
        if (!keeps_apart(record.ensemble, apart.by, name, other))
          return fail(Errc::invalid_argument, "anti_affinity[{}]: {} and {} run in one {} ({}) and stay there; {}", i,
                      other, name, to_string(apart.by), printable(capability::area_text(apart.by, at)), kAdvice);
      others.push_back(name);
    }
  }
  return {};
}

/// Standbys that are not in another area than what runs and the other standbys, as the ensemble asks for now.
std::set<std::string> crowded_standbys(const DeploymentRecord& record, const jobs::Ensemble& after,
                                       const std::set<std::string>& moving) {
  const Placed placed = neighbours_of(record, moving);
  std::set<std::string> crowded;
  for (const jobs::AntiAffinity& apart : after.anti_affinity) {
    if (apart.by == capability::Area::machine) continue;
    std::set<std::string> taken;
    for (const std::string& name : apart.nodes)
      if (const auto node = placed.find(name); node != placed.end())
        taken.insert(capability::area_key(apart.by, node->second.location));
    for (const auto& [id, standby] : record.standbys) {
      if (std::ranges::count(apart.nodes, standby.node.primary_node) == 0 || crowded.contains(id)) continue;
      const std::string area = capability::area_key(apart.by, standby.node.location);
      if (area.empty() || !taken.insert(area).second) crowded.insert(id);
    }
  }
  return crowded;
}

}  // namespace

std::set<std::string> moving_nodes(const DeploymentRecord& record, const jobs::Ensemble& wanted) {
  std::set<std::string> moving;
  for (const auto& [name, placed] : record.manifest.nodes)
    if (const auto node = wanted.nodes.find(name);
        node != wanted.nodes.end() && must_move(wanted, node->second, placed))
      moving.insert(name);
  return moving;
}

std::set<std::string> growing_nodes(const DeploymentRecord& record, const jobs::Ensemble& wanted) {
  const std::set<std::string> moving = moving_nodes(record, wanted);
  const auto is_run_anew = [&](const std::string& name) {
    const auto entry = record.manifest.allocations.find(name);
    return entry != record.manifest.allocations.end() && is_placed(entry->second) && !is_final(entry->second.status) &&
           record.ensemble.allocations.contains(name) && !same_work(record.ensemble, wanted, name);
  };
  std::set<std::string> growing;
  for (const auto& [name, placed] : record.manifest.nodes)
    if (const auto node = wanted.nodes.find(name);
        node != wanted.nodes.end() && !moving.contains(name) && granted_lease(record, name) > Duration(0) &&
        std::ranges::any_of(node->second.allocations, is_run_anew) && asks_for_more(record.ensemble, wanted, name))
      growing.insert(name);
  return growing;
}

Result<void> check_update(const DeploymentRecord& record, const jobs::Ensemble& wanted) {
  const auto goes_on = [&](const std::string& allocation) { return !is_over(record, allocation); };
  for (const auto& [name, node] : wanted.nodes) {
    const auto before = record.ensemble.nodes.find(name);
    const auto placed = record.manifest.nodes.find(name);
    const bool is_there = placed != record.manifest.nodes.end() && placed->second.peer == node.peer;
    if (!is_there && is_barred(record, node.peer) && std::ranges::any_of(node.allocations, goes_on))
      return fail(Errc::invalid_argument, "nodes.{}.peer: {}: {}", name, node.peer, why_occupied(record, node.peer));
    if (before == record.ensemble.nodes.end() || placed == record.manifest.nodes.end()) continue;
    if (requested_lease(before->second) != requested_lease(node) && !must_move(wanted, node, placed->second))
      return fail(Errc::invalid_argument,
                  "nodes.{}.lease: cannot be changed while it runs; give the node another name to have it placed anew",
                  name);
    if (must_move(wanted, node, placed->second) && is_collecting(record, name))
      return fail(Errc::invalid_argument,
                  "nodes.{}: it would move while the output of what has ended there is being collected; repeat the "
                  "update when that is here",
                  name);
  }
  TRY_VOID(check_edges(record, wanted));
  return check_anti_affinity(record, wanted);
}

void apply_update(DeploymentRecord& record, jobs::Ensemble wanted) {
  for (const auto& [name, entry] : record.manifest.allocations)
    if (!wanted.allocations.contains(name) && is_final(entry.status) && !entry.collected)
      give_up_results(record, name, "an update has removed the task before it was here");
  const std::set<std::string> moving = moving_nodes(record, wanted);
  const jobs::Ensemble before = std::exchange(record.ensemble, std::move(wanted));
  const jobs::Ensemble& after = record.ensemble;
  record.manifest.metadata = after.metadata;
  std::vector<std::string> outdated_standbys;
  for (const auto& [id, standby] : record.standbys)
    if (!stands_by_still(before, after, standby)) outdated_standbys.push_back(id);
  for (const std::string& id : outdated_standbys) drop_standby(record, id);
  for (const std::string& id : crowded_standbys(record, after, moving)) drop_standby(record, id);

  std::map<std::string, std::vector<std::string>> outdated;  // node -> allocations
  for (const auto& [name, spec] : before.allocations)
    if (!after.allocations.contains(name) || !same_work(before, after, name))
      outdated[node_of(before, name)].push_back(name);

  const auto is_exclusive = [&](const std::string& allocation) {
    return after.allocations.contains(allocation) &&
           on_loss(after, node_of(after, allocation)) == jobs::OnLoss::exclusive;
  };
  for (const auto& [node, allocations] : outdated)
    supersede(record, node, allocations, std::ranges::any_of(allocations, is_exclusive));
  // Also what had ended: changed work runs anew, and what is gone is not shown.
  for (const auto& [node, allocations] : outdated)
    for (const std::string& name : allocations) {
      record.manifest.allocations.erase(name);
      record.ran_on.erase(name);
      record.moves.erase(name);
      note_change(record, name);
      if (after.allocations.contains(name))
        ++record.changes[name];
      else
        record.changes.erase(name);
    }
  for (const auto& [node, spec] : after.nodes)
    for (const std::string& name : spec.allocations)
      if (!record.manifest.allocations.contains(name))
        record.manifest.allocations[name] = unplaced_entry(record, node, name);
  for (const std::string& name : moving) {
    for (const std::string& allocation : after.nodes.at(name).allocations)
      if (!is_over(record, allocation)) note_change(record, allocation);
    supersede_node(record, name, on_loss(after, name) == jobs::OnLoss::exclusive);
  }
  for (auto& [name, placed] : record.manifest.nodes)
    if (const auto node = after.nodes.find(name); node != after.nodes.end())
      placed.allocations = node->second.allocations;
}

}  // namespace dms::orchestrator
