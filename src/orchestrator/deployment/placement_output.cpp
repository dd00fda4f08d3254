// What is fetched of superseded runs, and of runs before a restart: (5) and (6) of placement.hpp.
#include <algorithm>

#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

Superseded* find_superseded(DeploymentRecord& record, std::uint64_t number) {
  const auto entry = std::ranges::find(record.superseded, number, &Superseded::number);
  return entry == record.superseded.end() ? nullptr : &*entry;
}

void forget_output(DeploymentRecord& record, Superseded& entry, const std::string& allocation) {
  std::erase(entry.unfetched, allocation);
  std::erase(entry.unstarted, allocation);
  give_up_left_rest(record, entry.number, allocation, "the work was run again before it was fetched");
}

}  // namespace

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
  Superseded* entry = find_superseded(record, number);
  if (entry == nullptr || std::erase(entry->restarting, allocation) == 0) return;
  const auto held = entry->allocations.find(allocation);
  if (held == entry->allocations.end() || held->second == run) return;
  const std::string before = std::exchange(held->second, run);
  give_up_left_rest(record, number, allocation, "the work was restarted again before it was fetched");
  note_rest(record, allocation, before);
  record.rests.back().number = number;
  AllocationManifest* ended = find_entry(record, allocation);
  if (ended == nullptr || ended->incarnation != before) return;
  ended->incarnation = run;
  ++ended->restarts;
}

bool take_over_restart(DeploymentRecord& record, const std::string& allocation, const std::string& run) {
  AllocationManifest* entry = find_entry(record, allocation);
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
  Superseded* entry = find_superseded(record, number);
  if (entry == nullptr || std::erase(entry->unfetched, allocation) == 0) return;
  const bool unstarted = std::erase(entry->unstarted, allocation) > 0;
  AllocationManifest* ended = find_entry(record, allocation);
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

}  // namespace dms::orchestrator
