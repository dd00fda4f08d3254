#include "sim/scenario/expected_tree.hpp"

#include <algorithm>

namespace dms::sim {
namespace {

constexpr std::size_t kRestarts = 10;  // of a supervisor that does not say how many

void collect_named(const jobs::Supervisor& written, std::set<std::string>& named) {
  named.insert(written.allocations.begin(), written.allocations.end());
  for (const jobs::Supervisor& below : written.children) collect_named(below, named);
}

Together together_of(jobs::SupervisorStrategy strategy) {
  switch (strategy) {
    case jobs::SupervisorStrategy::all_for_one: return Together::all;
    case jobs::SupervisorStrategy::rest_for_one: return Together::rest;
    case jobs::SupervisorStrategy::one_for_one:
    case jobs::SupervisorStrategy::unspecified: break;
  }
  return Together::alone;
}

Together together_of(jobs::AllocationRecovery recovery) {
  switch (recovery) {
    case jobs::AllocationRecovery::one_for_all: return Together::all;
    case jobs::AllocationRecovery::rest_for_one: return Together::rest;
    case jobs::AllocationRecovery::one_for_one:
    case jobs::AllocationRecovery::stay_down: break;
  }
  return Together::alone;
}

/// A service is to run; a task is done when it has succeeded; unless it says otherwise.
MadeUp made_up_of(const jobs::Allocation& allocation) {
  if (allocation.restart == jobs::RestartType::permanent) return MadeUp::all;
  if (allocation.restart == jobs::RestartType::transient) return MadeUp::failures;
  if (allocation.restart == jobs::RestartType::temporary) return MadeUp::none;
  return allocation.type == jobs::AllocationType::task ? MadeUp::failures : MadeUp::all;
}

bool is_left_down(const jobs::Allocation& allocation) {
  return allocation.failure_recovery == jobs::AllocationRecovery::stay_down;
}

/// Each after those of them that it depends on, else by name.
std::vector<std::string> in_order(const jobs::Ensemble& ensemble, std::set<std::string> names) {
  std::vector<std::string> order;
  while (!names.empty()) {
    auto next = names.begin();
    for (auto name = names.begin(); name != names.end(); ++name) {
      const auto& needed = ensemble.allocations.at(*name).depends_on;
      if (std::ranges::any_of(needed, [&](const std::string& each) { return names.contains(each); })) continue;
      next = name;
      break;
    }
    order.push_back(*next);
    names.erase(next);
  }
  return order;
}

/// Which member of the group the allocation is, or the group `below` that it is in.
std::size_t place_in(const ExpectedTree::Group& group, std::size_t below, const std::string& allocation) {
  const auto is_it = [&](const ExpectedTree::Member& member) {
    return member.group == ExpectedTree::kNone ? member.allocation == allocation : member.group == below;
  };
  return static_cast<std::size_t>(std::ranges::find_if(group.members, is_it) - group.members.begin());
}

}  // namespace

ExpectedTree::ExpectedTree(const jobs::Ensemble& ensemble) {
  const bool again = ensemble.escalation_strategy == jobs::EscalationStrategy::redeploy;
  groups_.push_back({.path = "", .above = kNone, .together = Together::alone, .restarts = again ? kRestarts : 0});
  std::set<std::string> named;
  collect_named(ensemble.supervisor, named);
  if (!named.empty()) add_written(ensemble, ensemble.supervisor, 0, "supervisor");
  for (const auto& [name, node] : ensemble.nodes) add_node(ensemble, name, node, named);
}

std::size_t ExpectedTree::add_group(std::size_t above, const std::string& id, Together together, std::size_t restarts) {
  const std::size_t made = groups_.size();
  const std::string path = groups_[above].path.empty() ? id : groups_[above].path + "/" + id;
  groups_[above].members.push_back({"", made});
  groups_.push_back({.path = path, .above = above, .together = together, .restarts = restarts});
  return made;
}

void ExpectedTree::add_child(std::size_t group, const std::string& name, Child child) {
  groups_[group].members.push_back({name, kNone});
  child.group = group;
  children_[name] = child;
}

void ExpectedTree::add_written(const jobs::Ensemble& ensemble, const jobs::Supervisor& written, std::size_t above,
                               const std::string& id) {
  const std::size_t group = add_group(above, id, together_of(written.strategy),
                                      written.max_restarts ? std::size_t{*written.max_restarts} : kRestarts);
  if (written.period_ns > 0) groups_[group].period = Duration(written.period_ns);
  if (written.auto_shutdown == jobs::SupervisorShutdown::any_significant) groups_[group].ends_with = EndsWith::any;
  if (written.auto_shutdown == jobs::SupervisorShutdown::all_significant) groups_[group].ends_with = EndsWith::all;
  for (const std::string& name : written.allocations) {
    const jobs::Allocation& allocation = ensemble.allocations.at(name);
    add_child(group, name, {.made_up = made_up_of(allocation), .significant = allocation.significant});
  }
  for (std::size_t i = 0; i < written.children.size(); ++i)
    add_written(ensemble, written.children[i], group, "[" + std::to_string(i) + "]");
}

void ExpectedTree::add_node(const jobs::Ensemble& ensemble, const std::string& name, const jobs::Node& node,
                            const std::set<std::string>& named) {
  std::set<std::string> names(node.allocations.begin(), node.allocations.end());
  std::erase_if(names, [&](const std::string& each) { return named.contains(each); });
  if (names.empty()) return;
  Together together = Together::alone;
  bool all_left_down = true;
  for (const std::string& each : names) {
    if (is_left_down(ensemble.allocations.at(each))) continue;
    together = together_of(ensemble.allocations.at(each).failure_recovery);
    all_left_down = false;
  }
  const bool redeploys = node.failure_recovery == jobs::NodeRecovery::redeploy;
  const bool recovers = redeploys || node.failure_recovery == jobs::NodeRecovery::restart;
  // The node and its standbys make up for what nothing else does.
  const bool gives_up = (recovers || node.redundancy > 0) && all_left_down;
  std::size_t above = 0;
  if (redeploys) above = add_group(above, "recovery:" + name, Together::alone, kRestarts);
  if (node.redundancy > 0) {
    above = add_group(above, "standbys:" + name, Together::alone, node.redundancy);
    groups_[above].remembers = true;
  }
  if (recovers && !redeploys) above = add_group(above, "recovery:" + name, Together::alone, kRestarts);
  const std::size_t group = add_group(above, "node:" + name, together, gives_up ? 0 : kRestarts);
  for (const std::string& each : in_order(ensemble, names)) {
    const jobs::Allocation& allocation = ensemble.allocations.at(each);
    const bool is_left = is_left_down(allocation) && !gives_up;
    add_child(
        group, each,
        {.made_up = is_left && !recovers ? MadeUp::none : made_up_of(allocation), .fails_group = is_left && recovers});
  }
}

std::vector<std::string> ExpectedTree::allocations_of(std::size_t group) const {
  std::vector<std::string> names;
  for (const Member& member : groups_[group].members) {
    if (member.group == kNone) {
      names.push_back(member.allocation);
      continue;
    }
    const std::vector<std::string> below = allocations_of(member.group);
    names.insert(names.end(), below.begin(), below.end());
  }
  return names;
}

std::size_t ExpectedTree::counted_at(const std::string& allocation) const {
  const Child& child = children_.at(allocation);
  std::size_t group = child.fails_group ? groups_[child.group].above : child.group;
  while (groups_[group].restarts == 0 && groups_[group].above != kNone) group = groups_[group].above;
  return group;
}

std::set<std::string> ExpectedTree::restarted_with(const std::string& allocation) const {
  const std::size_t at = counted_at(allocation);
  std::size_t group = children_.at(allocation).group;
  std::size_t below = kNone;  // the group that fails in `at`; none: the allocation
  for (; group != at; group = groups_[group].above) below = group;
  const Group& counting = groups_[at];
  const std::size_t failed = place_in(counting, below, allocation);
  std::set<std::string> names;
  for (std::size_t i = 0; i < counting.members.size(); ++i) {
    const bool with =
        i == failed || counting.together == Together::all || (counting.together == Together::rest && i > failed);
    if (!with) continue;
    const Member& member = counting.members[i];
    if (member.group == kNone) {
      names.insert(member.allocation);
      continue;
    }
    const std::vector<std::string> all = allocations_of(member.group);
    names.insert(all.begin(), all.end());
  }
  return names;
}

std::set<std::string> ExpectedTree::started_before(const std::string& allocation) const {
  std::set<std::string> names;
  std::size_t below = kNone;
  for (std::size_t group = children_.at(allocation).group; group != kNone; group = groups_[group].above) {
    const Group& one = groups_[group];
    const std::size_t own = place_in(one, below, allocation);
    for (std::size_t i = 0; i < own; ++i) {
      const Member& member = one.members[i];
      if (member.group == kNone) names.insert(member.allocation);
      const std::vector<std::string> all =
          member.group == kNone ? std::vector<std::string>() : allocations_of(member.group);
      names.insert(all.begin(), all.end());
    }
    below = group;
  }
  return names;
}

std::size_t ExpectedTree::least_failures(std::size_t group, std::size_t times) const {
  const Group& one = groups_[group];
  std::size_t least = kNone;
  for (const Member& member : one.members)
    if (member.group == kNone && children_.at(member.allocation).fails_group) return times;
  const std::size_t of_members = one.remembers ? one.restarts + times : (one.restarts + 1) * times;
  for (const Member& member : one.members)
    least = std::min(least, member.group == kNone ? of_members : least_failures(member.group, of_members));
  return least;
}

}  // namespace dms::sim
