#include "orchestrator/deployment/views.hpp"

#include <algorithm>
#include <set>

#include "base/text.hpp"
#include "observability/logging.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/standby.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// How long a provider may keep it.
std::string hold_of(const Superseded& entry) {
  if (entry.until_ns == 0) return fmt::format("for {} s at most", entry.hold_ns / 1'000'000'000);
  return fmt::format("until {} at the latest", observability::rfc3339(UnixTime{entry.until_ns}));
}

/// The runs after the first that are known to have begun.
std::uint32_t restarts_of(const DeploymentRecord& record, const std::string& name,
                          const AllocationManifest& allocation) {
  const std::uint32_t begun = begun_restarts(allocation);
  const auto restart = record.unbegun.find(name);
  if (begun == 0 || restart == record.unbegun.end() || restart->second == allocation.incarnation) return begun;
  const bool ran = is_final(allocation.status) && allocation.exit_code != kNeverRanOrLost;
  return ran ? begun : begun - 1;
}

/// What names it as a run that a shutdown has not ended yet; null if there is none.
const Superseded* find_stopping(const DeploymentRecord& record, const std::string& name) {
  const auto entry = std::ranges::find_if(
      record.superseded, [&](const Superseded& held) { return !held.over && held.stopping.contains(name); });
  return entry == record.superseded.end() ? nullptr : &*entry;
}

/// In place of the end that the record has of it already.
template <class Shown>
void show_stopping(const DeploymentRecord& record, const std::string& name, Shown& shown) {
  const Superseded* entry = find_stopping(record, name);
  if (entry == nullptr) return;
  const std::string& why = entry->stopping.at(name);
  shown.status = AllocationStatus::running;
  shown.reason = "it is still being stopped";
  if (const std::string& known = why.empty() ? entry->problem : why; !known.empty()) shown.reason += ": " + known;
}

/// Not of a deployment that has ended.
void add_standbys(const DeploymentRecord& record, const std::string& node, AllocationState& state) {
  const auto spec = record.ensemble.nodes.find(node);
  if (spec == record.ensemble.nodes.end() || record.status != DeploymentStatus::running) return;
  state.redundancy = spec->second.redundancy;
  for (const auto& [id, standby] : record.standbys)
    if (standby.node.primary_node == node && standby.ready()) state.standbys.push_back(standby.node.peer);
}

AllocationState state_of(const DeploymentRecord& record, const json::StringMap& strategies, const std::string& name,
                         const AllocationManifest& allocation) {
  AllocationState state;
  if (const auto strategy = strategies.find(name); strategy != strategies.end()) state.strategy = strategy->second;
  state.status = allocation.status;
  state.exit_code = allocation.exit_code;
  state.reason = allocation.reason;
  state.incarnation = allocation.incarnation;
  if (!is_final(allocation.status)) state.health = allocation.health;  // what has ended has none
  state.restarts = restarts_of(record, name, allocation);
  if (const auto moves = record.moves.find(name); moves != record.moves.end())
    state.moves = std::min(moves->second, state.restarts);
  if (const auto changes = record.changes.find(name); changes != record.changes.end()) state.changes = changes->second;
  if (is_final(allocation.status)) state.peer = allocation.handle.address.host;  // its node may have moved since
  if (const auto node = record.manifest.nodes.find(allocation.node_id);
      state.peer.empty() && node != record.manifest.nodes.end() &&
      (is_placed(allocation) || is_final(allocation.status)))
    state.peer = node->second.peer;
  show_stopping(record, name, state);
  add_standbys(record, allocation.node_id, state);
  for (const Superseded& entry : record.superseded)
    if (!entry.ended && !entry.over && entry.peer != state.peer && entry.allocations.contains(name))
      add_reason(state.reason,
                 fmt::format("an earlier run of it may still exist on {}, {}", entry.peer, hold_of(entry)));
  for (const Superseded& entry : record.superseded)
    if (is_final(allocation.status) && std::ranges::count(entry.unstarted, name) > 0)
      add_reason(state.reason, fmt::format("whether it had started is still to be asked of {}", entry.peer));
    else if (is_final(allocation.status) && std::ranges::count(entry.unfetched, name) > 0)
      add_reason(state.reason, fmt::format("its output is still to be fetched from {}", entry.peer));
  return state;
}

/// Whether a provider is still to be asked if a start of it that was not answered had begun.
bool may_have_started(const DeploymentRecord& record, const std::string& name) {
  return std::ranges::any_of(record.superseded,
                             [&](const Superseded& entry) { return std::ranges::count(entry.unstarted, name) > 0; });
}

/// Those of the manifest. Once the deployment ends, also those of the ensemble that it does not have, because no run of
/// them is known: they end with it.
std::map<std::string, AllocationManifest> shown_allocations(const DeploymentRecord& record) {
  std::map<std::string, AllocationManifest> shown = record.manifest.allocations;
  if (!is_final(record.status) && record.status != DeploymentStatus::shutting_down) return shown;
  const std::string_view why =
      record.status == DeploymentStatus::failed ? "the deployment has failed" : "it was shut down";
  for (const auto& [node, spec] : record.ensemble.nodes)
    for (const std::string& name : spec.allocations) {
      if (shown.contains(name) || !record.ensemble.allocations.contains(name)) continue;
      AllocationManifest entry = unplaced_entry(record, node, name);
      entry.status = AllocationStatus::terminated;
      entry.exit_code = kNeverRanOrLost;
      entry.reason = fmt::format("{}{}", may_have_started(record, name) ? "" : "it never ran: ", why);
      shown.emplace(name, std::move(entry));
    }
  return shown;
}

/// Why a deployment that is Completed ended before its work did. Work that ends by itself completes a deployment only if
/// all of it has completed, or was stopped by an automatic shutdown: any other was shut down. Records of older versions
/// tell it as well.
std::string reason_of(const DeploymentRecord& record) {
  if (record.status != DeploymentStatus::completed) return {};
  const auto& made = record.manifest.allocations;
  const std::set<std::string> planned = ended_with_supervisor(record);
  const bool all_ended = std::ranges::all_of(record.ensemble.allocations, [&](const auto& spec) {
    const auto entry = made.find(spec.first);
    return entry != made.end() && (entry->second.status == AllocationStatus::completed || planned.contains(spec.first));
  });
  if (all_ended) return planned.empty() ? "" : "the rest was stopped when its supervisor ended (auto_shutdown)";
  return made.empty() ? "it was shut down before anything ran" : "it was shut down";
}

DeploymentSummary summary_of(const DeploymentRecord& record) {
  DeploymentSummary summary;
  if (const auto name = record.ensemble.metadata.find("name"); name != record.ensemble.metadata.end())
    summary.name = shortened(name->second, kMaxListedName);
  summary.created = record.created;
  summary.ended = record.ended;
  summary.allocations = static_cast<std::uint32_t>(record.ensemble.allocations.size());
  summary.running =
      static_cast<std::uint32_t>(std::ranges::count_if(record.manifest.allocations, [&](const auto& entry) {
        return entry.second.status == AllocationStatus::running || find_stopping(record, entry.first) != nullptr;
      }));
  summary.reason = reason_of(record);
  if (record.status == DeploymentStatus::failed) summary.reason = record.error;
  return summary;
}

/// Why it failed, and why something of it may remain.
std::string error_of(const DeploymentRecord& record) {
  std::string text = record.error;
  for (const Superseded& entry : record.superseded) {
    if (entry.problem.empty() || entry.over) continue;
    const bool is_told = std::ranges::any_of(entry.stopping, [&entry](const auto& stopping) {
      return stopping.second.empty() || stopping.second == entry.problem;
    });
    add_reason(text, fmt::format("{} may hold work or a reservation, {}", entry.peer, hold_of(entry)));
    if (!is_told) text += ": " + entry.problem;
  }
  return text;
}

void add_texts(std::vector<std::string*>& texts, json::StringMap& absent) {
  for (auto& [name, why] : absent) texts.push_back(&why);
}

/// Bytes of JSON of one deployment in a list, without its id and summary.
constexpr std::size_t kListedRoom = 32;

/// In place of the status of a record that cannot be read.
constexpr std::string_view kUnreadable = "Unreadable";

}  // namespace

bool has_metadata(const DeploymentRecord& record, const std::map<std::string, std::string>& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& pair) {
    const auto it = record.ensemble.metadata.find(pair.first);
    return it != record.ensemble.metadata.end() && it->second == pair.second;
  });
}

DeploymentListReply list_of(const RecordStore::Loaded& loaded, const DeploymentListRequest& request) {
  DeploymentListReply reply;
  for (const std::string& status : request.status)
    if (status != kUnreadable && !parse_enum<DeploymentStatus>(status)) {
      reply.error = fmt::format("Status: expected {}, or {}, found \"{}\"", known_names<DeploymentStatus>(),
                                kUnreadable, shortened(status, 64));
      return reply;
    }
  const auto wanted = [&](const std::string& status) {
    return request.status.empty() || std::ranges::count(request.status, status) > 0;
  };
  std::map<std::string, std::string> all;
  std::map<std::string_view, const DeploymentRecord*> records;
  for (const DeploymentRecord& record : loaded.records)
    if (has_metadata(record, request.metadata) && wanted(std::string(to_string(record.status)))) {
      all[record.id] = to_string(record.status);
      records[record.id] = &record;
    }
  for (const auto& [id, why] : loaded.unreadable)
    if (wanted(std::string(kUnreadable))) all[id] = kUnreadable;

  const std::size_t limit = request.limit == 0 ? kMaxListed : std::min(request.limit, kMaxListed);
  std::size_t size = 0;
  for (auto it = all.upper_bound(request.after); it != all.end(); ++it) {
    std::optional<DeploymentSummary> summary;
    if (const auto record = records.find(it->first); record != records.end()) summary = summary_of(*record->second);
    size += 2 * json_size(it->first) + kListedRoom + (summary ? json::encode(*summary).size() : 0);
    if (reply.deployments.size() == limit || (size > kMaxView && !reply.deployments.empty())) {
      reply.next = reply.deployments.rbegin()->first;
      break;
    }
    reply.deployments.insert(*it);
    if (summary) reply.details.emplace(it->first, *std::move(summary));
  }
  return reply;
}

DeploymentStatusReply status_of(const DeploymentRecord& record) {
  DeploymentStatusReply reply;
  reply.status = to_string(record.status);
  reply.error = error_of(record);
  reply.reason = reason_of(record);
  const json::StringMap strategies = strategies_of(record.ensemble);
  for (const auto& [name, allocation] : shown_allocations(record))
    reply.allocations[name] = state_of(record, strategies, name, allocation);
  return reply;
}

DeploymentInfoReply info_of(const DeploymentRecord& record) {
  DeploymentInfoReply reply;
  reply.status = to_string(record.status);
  reply.error = error_of(record);
  reply.reason = reason_of(record);
  reply.metadata = record.ensemble.metadata;
  reply.created = record.created;
  reply.ended = record.ended;
  const json::StringMap strategies = strategies_of(record.ensemble);
  for (const auto& [name, allocation] : shown_allocations(record)) {
    AllocationUsage& usage = reply.allocations[name];
    static_cast<AllocationState&>(usage) = state_of(record, strategies, name, allocation);
    usage.id = allocation.id;
    usage.node = allocation.node_id;
    usage.type = allocation.type;
    usage.lease_ns = allocation.lease_ns;
    usage.out_size = allocation.out_size;
    usage.err_size = allocation.err_size;
    usage.cpu_seconds = allocation.cpu_seconds;
    usage.memory_bytes = allocation.memory_bytes;
    if (const auto absent = record.absent.find(name); absent != record.absent.end() && is_final(allocation.status))
      usage.absent = absent->second;
    if (const auto spec = record.ensemble.allocations.find(name); spec != record.ensemble.allocations.end()) {
      usage.executor = jobs::to_string(spec->second.executor);
      usage.resources = spec->second.resources;
    }
  }
  for (const auto& [name, run] : record.outputs) {
    if (record.manifest.allocations.contains(name) || record.ensemble.allocations.contains(name)) continue;
    RemovedAllocation& removed = reply.removed[name];
    if (const auto absent = record.absent.find(name); absent != record.absent.end()) removed.absent = absent->second;
  }
  return reply;
}

void add_pause(AllocationState& state, const RestartPause& pause) {
  if (state.status != AllocationStatus::pending) return;
  state.pause_ns = pause.left.count();
  if (state.reason.find(kStartedAgain) != std::string::npos) return;
  std::string text = pause.why;
  add_reason(text, kStartedAgain);
  add_reason(text, state.reason);
  state.reason = std::move(text);
}

EnsembleManifest manifest_of(const DeploymentRecord& record) {
  EnsembleManifest manifest = record.manifest;
  manifest.subnet = record.ensemble.subnet;
  for (auto& [name, allocation] : manifest.allocations) {
    allocation.restarts = restarts_of(record, name, allocation);
    if (is_final(allocation.status)) allocation.health = Health::unknown;  // what has ended has none
    show_stopping(record, name, allocation);
    if (const auto spec = record.ensemble.allocations.find(name); spec != record.ensemble.allocations.end())
      allocation.healthcheck = spec->second.healthcheck;
  }
  for (const auto& [id, standby] : record.standbys) {
    manifest.nodes[id] = standby.node;
    if (const auto primary = manifest.nodes.find(standby.node.primary_node); primary != manifest.nodes.end())
      primary->second.standby_nodes.push_back(id);
    for (const auto& [name, allocation] : standby.allocations) {
      AllocationManifest& shown = manifest.allocations[fmt::format("{}.{}", id, name)];
      shown = allocation;
      shown.redundancy_group = name;
      if (const auto primary = manifest.allocations.find(name); primary != manifest.allocations.end())
        primary->second.redundancy_group = name;
    }
  }
  return manifest;
}

void add_takeovers(Choice& choice, const DeploymentRecord& record) {
  if (record.status != DeploymentStatus::running) return;
  for (MachineVerdict& verdict : choice.machines) {
    if (!verdict.chosen) continue;
    if (const auto node = record.manifest.nodes.find(verdict.node); node != record.manifest.nodes.end()) {
      if (node->second.peer != verdict.peer)
        add_reason(verdict.reason, fmt::format("{} is on {} now", verdict.node, printable(node->second.peer)));
      continue;
    }
    if (record.ensemble.nodes.contains(verdict.node)) continue;  // it has no machine now
    const auto standby = record.standbys.find(verdict.node);
    if (standby != record.standbys.end() && standby->second.node.peer == verdict.peer) continue;
    const auto taken =
        std::ranges::find_if(record.manifest.nodes, [&](const auto& node) { return node.second.peer == verdict.peer; });
    if (taken != record.manifest.nodes.end())
      add_reason(verdict.reason, fmt::format("it has taken {} over since", taken->first));
  }
}

bool serves_stored_output(const DeploymentRecord& record, const std::string& allocation) {
  const auto entry = record.manifest.allocations.find(allocation);
  const auto stored = record.outputs.find(allocation);
  if (entry == record.manifest.allocations.end() || stored == record.outputs.end()) return false;
  if (is_final(entry->second.status)) return entry->second.collected;
  if (is_placed(entry->second))
    return record.restarting.contains(allocation) && stored->second == entry->second.incarnation;
  const Superseded* left = find_awaited(record, allocation);
  return left == nullptr || left->allocations.at(allocation) == stored->second;
}

void fit_message(DeploymentStatusReply& reply) {
  std::vector<std::string*> texts;
  for (auto& [name, state] : reply.allocations) texts.push_back(&state.reason);
  fit_texts(reply, texts, kMaxView);
}

void fit_message(DeploymentInfoReply& reply) {
  std::vector<std::string*> texts;
  for (auto& [name, usage] : reply.allocations) {
    texts.push_back(&usage.reason);
    add_texts(texts, usage.absent);
  }
  for (auto& [name, removed] : reply.removed) add_texts(texts, removed.absent);
  fit_texts(reply, texts, kMaxView);
}

void fit_message(EnsembleManifest& manifest) {
  std::vector<std::string*> texts;
  for (auto& [name, allocation] : manifest.allocations) texts.push_back(&allocation.reason);
  fit_texts(manifest, texts, kMaxView);
}

void add_usage(AllocationUsage& usage, const AllocationReport& report) {
  if (report.incarnation != usage.incarnation) return;
  usage.cpu_seconds = std::max(usage.cpu_seconds, report.cpu_seconds);
  usage.memory_bytes = std::max(usage.memory_bytes, report.memory_bytes);
  usage.out_size = std::max(usage.out_size, report.out_size);
  usage.err_size = std::max(usage.err_size, report.err_size);
}

Result<void> check_allocation(const DeploymentRecord& record, const std::string& allocation) {
  if (record.manifest.allocations.contains(allocation) || record.outputs.contains(allocation)) return {};
  std::set<std::string> names;
  for (const auto& [name, entry] : record.manifest.allocations) names.insert(name);
  for (const auto& [name, run] : record.outputs) names.insert(name);
  return fail(Errc::not_found, "deployment {} has no allocation '{}' on any machine (it is {}){}{}", record.id,
              allocation, to_string(record.status), names.empty() ? "" : "; it has ", fmt::join(names, ", "));
}

}  // namespace dms::orchestrator
