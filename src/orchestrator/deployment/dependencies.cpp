#include "orchestrator/deployment/dependencies.hpp"

#include <algorithm>

#include "jobs/ensemble/work_path.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// `results`: those of `needed` are inputs, and have to be here.
Readiness of(const DeploymentRecord& record, const std::string& needed, jobs::Condition condition, bool results) {
  const auto found = record.manifest.allocations.find(needed);
  const bool completes = condition == jobs::Condition::completed;
  if (found == record.manifest.allocations.end()) return completes ? Readiness::waits_for_completion : Readiness::waits;
  const AllocationManifest& entry = found->second;
  if (entry.status == AllocationStatus::completed && results && !entry.collected)
    return Readiness::waits_for_completion;
  if (entry.status == AllocationStatus::completed)
    return condition == jobs::Condition::healthy ? Readiness::never : Readiness::ready;
  if (is_final(entry.status) && !is_undecided(record, needed)) return Readiness::never;
  if (completes) return Readiness::waits_for_completion;
  if (entry.status != AllocationStatus::running) return Readiness::waits;
  if (condition == jobs::Condition::started || entry.health == Health::healthy) return Readiness::ready;
  return Readiness::waits;
}

/// Why the results of `needed` lack an input of `allocation`; empty if they do not.
std::string absent_input(const DeploymentRecord& record, const std::string& allocation, const std::string& needed) {
  const auto entry = record.manifest.allocations.find(needed);
  const auto absent = record.absent.find(needed);
  if (entry == record.manifest.allocations.end() || absent == record.absent.end() || !entry->second.collected)
    return {};
  for (const jobs::Input& input : record.ensemble.allocations.at(allocation).inputs)
    for (const auto& [path, why] : absent->second)
      if (input.allocation == needed && jobs::without_slash(input.path) == jobs::without_slash(path))
        return fmt::format("{} needs the result \"{}\" of {}: {}", allocation, path, needed, why);
  return {};
}

}  // namespace

Dependency dependency(const DeploymentRecord& record, const std::string& allocation) {
  Dependency worst;
  const auto spec = record.ensemble.allocations.find(allocation);
  if (spec == record.ensemble.allocations.end()) return worst;
  for (const std::string& needed : spec->second.depends_on) {
    const jobs::Condition condition = spec->second.condition(needed);
    const bool results = std::ranges::count(spec->second.inputs, needed, &jobs::Input::allocation) > 0;
    Readiness readiness = of(record, needed, condition, results);
    std::string absent;
    if (readiness == Readiness::ready && results) absent = absent_input(record, allocation, needed);
    if (!absent.empty()) readiness = Readiness::never;
    if (readiness <= worst.readiness) continue;
    worst.readiness = readiness;
    worst.needed = needed;
    worst.condition = condition;
    if (readiness == Readiness::never)
      worst.reason = fmt::format("{} depends on {} ({}), which is {}", allocation, needed, to_string(condition),
                                 to_string(record.manifest.allocations.at(needed).status));
    if (!absent.empty()) worst.reason = absent;
  }
  return worst;
}

}  // namespace dms::orchestrator
