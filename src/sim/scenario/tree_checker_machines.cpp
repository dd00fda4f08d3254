// Which machines a supervised deployment has, and gets: (4) of the model.
#include <algorithm>

#include "sim/scenario/tree_checker.hpp"

namespace dms::sim {
namespace {

constexpr const char* kStandbys = "standbys are machines of their own that start nothing";
constexpr const char* kSoughtFor = "what has no machine gets one that is free";

}  // namespace

void TreeChecker::check_standbys(const Seen& seen) {
  const Record& record = *seen.record;
  std::map<std::string, std::string> taken;  // peer -> by what
  if (record.status == protocol::DeploymentStatus::running)
    for (const auto& [name, node] : record.manifest.nodes) taken[node.peer] = name;
  for (const auto& [id, standby] : record.standbys) {
    had_.insert(standby.node.peer);
    const std::string& name = standby.node.primary_node;
    const auto node = ensemble_.nodes.find(name);
    const int number = standby.node.standby_index;
    if (node == ensemble_.nodes.end() || number < 1 || static_cast<std::uint32_t>(number) > node->second.redundancy ||
        id != jobs::standby_id(name, static_cast<std::uint32_t>(number)))
      wrong(kStandbys, id, fmt::format("{} is no standby that the ensemble asks for", id));
    const auto [other, is_alone] = taken.try_emplace(standby.node.peer, id);
    if (!is_alone) wrong(kStandbys, id, fmt::format("{} is on the machine of {}", id, other->second));
    for (const Running& one : seen.running)
      if (one.peer == standby.node.peer)
        wrong(kStandbys, id, fmt::format("{} runs at {}, which is {}", one.allocation, one.machine, id));
  }
}

/// Whether another machine is sought for it, if it has none.
bool TreeChecker::is_sought(const Record& record, const std::string& allocation) {
  const State* state = state_of(record, allocation);
  if (state == nullptr || state->paused) return false;
  const Phase phase = phase_in(*state);
  return phase == Phase::waiting || phase == Phase::starting || phase == Phase::running;
}

/// An exclusive run of the node may go on.
bool TreeChecker::is_blocked(const Record& record, const jobs::Node& node) {
  return std::ranges::any_of(record.superseded, [&](const orchestrator::Superseded& entry) {
    return entry.exclusive && !entry.over &&
           std::ranges::any_of(node.allocations, [&](const auto& name) { return entry.allocations.contains(name); });
  });
}

/// Nodes and standbys without a machine -> the allocations that they want one for.
std::map<std::string, std::vector<std::string>> TreeChecker::lacking(const Record& record) const {
  std::map<std::string, std::vector<std::string>> lacks;
  if (record.status != protocol::DeploymentStatus::running || !record.tree || record.tree->over) return lacks;
  bool all_placed = true;
  for (const auto& [name, node] : ensemble_.nodes) {
    std::vector<std::string> wanted = node.allocations;
    std::erase_if(wanted, [&](const std::string& each) {
      const Entry* entry = entry_of(record, each);
      return entry != nullptr && protocol::is_final(entry->status);
    });
    for (const std::string& each : wanted) {
      const Entry* entry = entry_of(record, each);
      if (entry == nullptr || entry->handle.address.inbox.empty()) all_placed = false;
    }
    if (wanted.empty() || record.manifest.nodes.contains(name) || is_blocked(record, node)) continue;
    if (std::ranges::all_of(wanted, [&](const std::string& each) { return is_sought(record, each); }))
      lacks[name] = wanted;
  }
  if (!all_placed) return lacks;  // standbys come after that
  for (const auto& [name, node] : ensemble_.nodes)
    for (std::uint32_t number = 1; number <= node.redundancy; ++number)
      if (const std::string id = jobs::standby_id(name, number); !record.standbys.contains(id))
        lacks[id] = node.allocations;
  return lacks;
}

void TreeChecker::check_sought(const Seen& seen) {
  if (!seen.looks_for_free) return;
  if (seen.free == nullptr) return lacks_.clear();
  const auto lacks = lacking(*seen.record);
  std::erase_if(lacks_, [&](const auto& known) { return !lacks.contains(known.first); });
  std::set<std::string> occupied = had_;
  for (const orchestrator::Superseded& entry : seen.record->superseded) occupied.insert(entry.peer);
  occupied.insert(seen.record->barred.begin(), seen.record->barred.end());
  for (const auto& [name, allocations] : lacks) {
    Lack& lack = lacks_.try_emplace(name, Lack{.since = seen.now, .free = {}}).first->second;
    std::optional<capability::Resources> room;  // twice what it needs
    for (const std::string& each : allocations)
      for (int i = 0; i < 2; ++i) {
        const capability::Resources& more = ensemble_.allocations.at(each).resources;
        room = room ? capability::add(*room, more).value_or(*room) : more;
      }
    std::map<std::string, SteadyTime> free;
    for (const Free& machine : *seen.free) {
      if (!room || occupied.contains(machine.peer) || !capability::covers(machine.resources, *room)) continue;
      const auto before = lack.free.find(machine.peer);
      const SteadyTime since = before == lack.free.end() ? seen.now : before->second;
      free[machine.peer] = since;
      if (seen.now - std::max(since, lack.since) > kSought)
        wrong(kSoughtFor, name,
              fmt::format("{} has no machine since {:.1f} s, and {} would take it since {:.1f} s", name,
                          second_of(lack.since), machine.machine, second_of(since)));
    }
    lack.free = std::move(free);
  }
}

}  // namespace dms::sim
