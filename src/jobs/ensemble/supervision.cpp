#include "jobs/ensemble/supervision.hpp"

#include <algorithm>
#include <set>

#include "jobs/ensemble/rules.hpp"

namespace dms::jobs {
namespace {

using supervision::Flags;
using supervision::Restart;
using supervision::Spec;
using supervision::Strategy;

Flags flags_of(Strategy strategy) {
  return {.strategy = strategy,
          .intensity = Supervisor::kDefaultRestarts,
          .period = Supervisor::kDefaultPeriod,
          .pauses = kPauses};
}

Strategy strategy_of(SupervisorStrategy strategy) {
  switch (strategy) {
    case SupervisorStrategy::all_for_one: return Strategy::one_for_all;
    case SupervisorStrategy::rest_for_one: return Strategy::rest_for_one;
    case SupervisorStrategy::one_for_one:
    case SupervisorStrategy::unspecified: break;
  }
  return Strategy::one_for_one;
}

supervision::AutoShutdown auto_shutdown_of(SupervisorShutdown when) {
  switch (when) {
    case SupervisorShutdown::any_significant: return supervision::AutoShutdown::any_significant;
    case SupervisorShutdown::all_significant: return supervision::AutoShutdown::all_significant;
    case SupervisorShutdown::never: break;
  }
  return supervision::AutoShutdown::never;
}

Flags flags_of(const Supervisor& written) {
  Flags flags = flags_of(strategy_of(written.strategy));
  flags.intensity = written.restarts();
  flags.period = written.period();
  flags.auto_shutdown = auto_shutdown_of(written.auto_shutdown);
  return flags;
}

/// Of an allocation that is started again.
Restart restart_type_of(const Allocation& allocation) {
  switch (allocation.restart) {
    case RestartType::permanent: return Restart::permanent;
    case RestartType::transient: return Restart::transient;
    case RestartType::temporary: return Restart::temporary;
    case RestartType::unspecified: break;
  }
  return allocation.type == AllocationType::task ? Restart::transient : Restart::permanent;
}

Strategy strategy_of(AllocationRecovery recovery) {
  if (recovery == AllocationRecovery::one_for_all) return Strategy::one_for_all;
  return recovery == AllocationRecovery::rest_for_one ? Strategy::rest_for_one : Strategy::one_for_one;
}

class Translation {
 public:
  explicit Translation(const Ensemble& ensemble) : ensemble_(ensemble) {}

  Result<Spec> run() {
    Spec root{.supervisor = flags_of(Strategy::one_for_one)};
    if (ensemble_.escalation_strategy != EscalationStrategy::redeploy) {
      root.supervisor->intensity = 0;
      root.supervisor->pauses = {};
    }
    TRY_VOID(check_completed());
    collect(ensemble_.supervisor);
    if (ensemble_.supervisor != Supervisor{}) {
      TRY(Spec written, supervisor(ensemble_.supervisor, "supervisor", "supervisor"));
      root.children.push_back(std::move(written));
    }
    for (const auto& [name, node] : ensemble_.nodes) {
      TRY(Spec group, group_of(name, node));
      if (group.children.empty()) continue;
      root.children.push_back(node.failure_recovery == NodeRecovery::redeploy
                                  ? with_recovery(name, node, with_standbys(name, node, std::move(group)))
                                  : with_standbys(name, node, with_recovery(name, node, std::move(group))));
    }
    return root;
  }

 private:
  void collect(const Supervisor& written) {
    named_.insert(written.allocations.begin(), written.allocations.end());
    for (const Supervisor& child : written.children) collect(child);
  }

  Spec worker(const std::string& name, bool stays_down) const {
    const Allocation& allocation = ensemble_.allocations.at(name);
    return {.id = name,
            .restart = stays_down ? Restart::temporary : restart_type_of(allocation),
            .significant = allocation.significant,
            .shutdown = supervision::Shutdown::infinity()};
  }

  /// Of what the tree names; counts the allocation as started from here on.
  Result<void> place(const std::string& name, const std::string& at) {
    for (const std::string& needed : ensemble_.allocations.at(name).depends_on)
      if (named_.contains(needed) && !placed_.contains(needed))
        return wrong("{}: {} would be started before {}, which it depends on; put {} before it", at, name, needed,
                     needed);
    if (!placed_.insert(name).second) return wrong("{}: a supervisor names {} already; remove one", at, name);
    return {};
  }

  /// What is run again whenever it has completed is never done.
  Result<void> check_completed() const {
    for (const auto& [name, allocation] : ensemble_.allocations)
      for (const std::string& needed : allocation.depends_on)
        if (allocation.condition(needed) == Condition::completed &&
            ensemble_.allocations.at(needed).restart == RestartType::permanent)
          return wrong(
              "allocations.{}.restart: {} waits until it is completed, and permanent work is run again; "
              "write transient, or another condition there",
              needed, name);
    return {};
  }

  /// Of an allocation that the supervisor at `at` names.
  Result<void> check_significant(const std::string& name, const Supervisor& written, const std::string& at) const {
    const Allocation& allocation = ensemble_.allocations.at(name);
    if (!allocation.significant) return {};
    if (restart_type_of(allocation) == Restart::permanent)
      return wrong(
          "allocations.{}.significant: {} never ends for good; write restart: transient or temporary as well, "
          "or remove it",
          name, allocation.restart == RestartType::permanent ? "permanent work" : "a service without restart");
    if (written.auto_shutdown == SupervisorShutdown::never)
      return wrong(
          "allocations.{}.significant: {}.auto_shutdown is never; write any_significant or all_significant "
          "there, or remove it",
          name, at);
    return {};
  }

  /// Of an allocation of a node's group. `fails_node`: its failure is one of the node; `has_others`: the group starts
  /// some of its allocations again.
  static Result<void> check_restart(const std::string& name, const Allocation& allocation, bool fails_node,
                                    bool has_others) {
    if (allocation.significant)
      return wrong("allocations.{}.significant: no supervisor with auto_shutdown names it; name it there, or remove it",
                   name);
    if (allocation.restart == RestartType::unspecified) return {};
    const bool stays_down = allocation.failure_recovery == AllocationRecovery::stay_down;
    const bool temporary = allocation.restart == RestartType::temporary;
    if (temporary && !stays_down)
      return wrong(
          "allocations.{}.restart: temporary work is never started again, and its failure_recovery is {}; "
          "remove one of the two",
          name, to_string(allocation.failure_recovery));
    if (temporary && fails_node)
      return wrong(
          "allocations.{}.restart: temporary work is never started again, and its failure is one of its node; "
          "write transient or permanent, or remove it",
          name);
    if (stays_down && !fails_node && (!temporary || !has_others))
      return wrong(
          "allocations.{}.restart: nothing starts it again; write a failure_recovery or a supervisor as well, "
          "or remove it",
          name);
    return {};
  }

  Result<Spec> supervisor(const Supervisor& written, std::string id, const std::string& at) {
    Spec spec{.id = std::move(id), .supervisor = flags_of(written)};
    if (written.auto_shutdown != SupervisorShutdown::never) {
      spec.restart = Restart::transient;  // its automatic shutdown is no failure
      if (std::ranges::none_of(written.allocations,
                               [&](const auto& name) { return ensemble_.allocations.at(name).significant; }))
        return wrong(
            "{}.auto_shutdown: none of its allocations is significant; write significant: true in one of them, "
            "or remove it",
            at);
    }
    for (std::size_t i = 0; i < written.allocations.size(); ++i) {
      const std::string& name = written.allocations[i];
      TRY_VOID(place(name, fmt::format("{}.allocations[{}]", at, i)));
      if (ensemble_.allocations.at(name).failure_recovery != AllocationRecovery::stay_down)
        return wrong("allocations.{}.failure_recovery: {} has a strategy for it; remove one of the two", name, at);
      TRY_VOID(check_significant(name, written, at));
      spec.children.push_back(worker(name, false));
    }
    for (std::size_t i = 0; i < written.children.size(); ++i) {
      const std::string below = fmt::format("{}.children[{}]", at, i);
      TRY(Spec child, supervisor(written.children[i], fmt::format("[{}]", i), below));
      spec.children.push_back(std::move(child));
    }
    return spec;
  }

  /// Those of the node that the written tree does not name, each after those of them that it depends on.
  [[nodiscard]] std::vector<std::string> ordered(const Node& node) const {
    std::set<std::string> left(node.allocations.begin(), node.allocations.end());
    std::erase_if(left, [&](const std::string& name) { return named_.contains(name); });
    std::vector<std::string> order;
    while (!left.empty()) {
      const auto free = std::ranges::find_if(left, [&](const std::string& name) {
        return std::ranges::none_of(ensemble_.allocations.at(name).depends_on,
                                    [&](const std::string& needed) { return left.contains(needed); });
      });
      const auto next = free == left.end() ? left.begin() : free;
      order.push_back(*next);
      left.erase(next);
    }
    return order;
  }

  static Spec with_standbys(const std::string& name, const Node& node, Spec below) {
    if (node.redundancy == 0) return below;
    Spec made{.id = "standbys:" + name, .supervisor = flags_of(Strategy::one_for_one)};
    made.supervisor->intensity = node.redundancy;
    made.supervisor->pauses = {};
    made.supervisor->remembers = true;
    made.children.push_back(std::move(below));
    return made;
  }

  static Spec with_recovery(const std::string& name, const Node& node, Spec below) {
    if (node.failure_recovery == NodeRecovery::stay_down) return below;
    Spec made{.id = fmt::format("{}{}", kRecovery, name), .supervisor = flags_of(Strategy::one_for_one)};
    made.children.push_back(std::move(below));
    return made;
  }

  Result<Spec> group_of(const std::string& name, const Node& node) {
    Spec group{.id = "node:" + name, .supervisor = flags_of(Strategy::one_for_one)};
    const Allocation* first = nullptr;
    const std::vector<std::string> order = ordered(node);
    const bool recovers = node.failure_recovery != NodeRecovery::stay_down;
    if (const auto named =
            std::ranges::find_if(node.allocations, [&](const auto& each) { return named_.contains(each); });
        recovers && named != node.allocations.end())
      return wrong("nodes.{}.failure_recovery: supervisor has a strategy for {}; remove one of the two", name, *named);
    const bool restarts_some = std::ranges::any_of(order, [&](const std::string& each) {
      return ensemble_.allocations.at(each).failure_recovery != AllocationRecovery::stay_down;
    });
    const bool gives_up = (recovers || node.redundancy > 0) && !restarts_some;
    if (gives_up) {
      group.supervisor->intensity = 0;
      group.supervisor->pauses = {};
    }
    for (const std::string& each : order) {
      const Allocation& allocation = ensemble_.allocations.at(each);
      const std::string at = fmt::format("allocations.{}.failure_recovery", each);
      const bool stays_down = allocation.failure_recovery == AllocationRecovery::stay_down;
      TRY_VOID(check_restart(each, allocation, gives_up || (stays_down && recovers), restarts_some));
      if (!stays_down && first == nullptr) {
        first = &allocation;
        group.supervisor->strategy = strategy_of(allocation.failure_recovery);
      } else if (!stays_down && allocation.failure_recovery != first->failure_recovery) {
        return wrong("{}: another allocation of node {} has {}; write the same, or a supervisor for them", at, name,
                     to_string(first->failure_recovery));
      }
      group.children.push_back(worker(each, stays_down && !gives_up && !recovers));
      group.children.back().escalates = stays_down && recovers && !gives_up;
    }
    return group;
  }

  const Ensemble& ensemble_;
  std::set<std::string> named_;
  std::set<std::string> placed_;
};

void collect_paths(const Spec& spec, const std::string& path, std::map<std::string, std::string>& paths) {
  for (const Spec& child : spec.children) {
    const std::string below = path.empty() ? child.id : path + std::string(supervision::kPathSeparator) + child.id;
    if (child.supervisor)
      collect_paths(child, below, paths);
    else
      paths[child.id] = below;
  }
}

}  // namespace

bool is_supervised(const Ensemble& ensemble) {
  const auto recovers = [](const auto& pair) { return pair.second.failure_recovery != AllocationRecovery::stay_down; };
  return ensemble.supervisor != Supervisor{} || std::ranges::any_of(ensemble.allocations, recovers) ||
         std::ranges::any_of(ensemble.nodes, [](const auto& pair) {
           return pair.second.redundancy > 0 || pair.second.failure_recovery != NodeRecovery::stay_down;
         });
}

Result<supervision::Spec> supervision_of(const Ensemble& ensemble) {
  TRY(Spec tree, Translation(ensemble).run());
  TRY_VOID(supervision::check(tree));
  return tree;
}

std::map<std::string, std::string> supervised_paths(const supervision::Spec& tree) {
  std::map<std::string, std::string> paths;
  collect_paths(tree, "", paths);
  return paths;
}

}  // namespace dms::jobs
