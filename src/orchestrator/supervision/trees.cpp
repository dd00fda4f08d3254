#include "orchestrator/supervision/trees.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "jobs/ensemble/supervision.hpp"
#include "orchestrator/deployment/dependencies.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/supervision/pauses.hpp"
#include "orchestrator/supervision/reconcile.hpp"
#include "supervision/tree.hpp"

namespace dms::orchestrator {

using namespace protocol;
using supervision::Phase;
namespace {

bool is_active(DeploymentStatus status) {
  return status == DeploymentStatus::provisioning || status == DeploymentStatus::running;
}

std::vector<TreeCause> stored(const std::vector<supervision::Cause>& causes) {
  std::vector<TreeCause> made;
  for (const auto& [path, text] : causes) made.push_back({path, text});
  return made;
}

std::vector<supervision::Cause> read(const std::vector<TreeCause>& causes) {
  std::vector<supervision::Cause> made;
  for (const auto& [path, text] : causes) made.push_back({path, text});
  return made;
}

std::optional<std::int64_t> stored(const std::optional<Duration>& instant) {
  return instant ? std::optional(instant->count()) : std::nullopt;
}

std::optional<Duration> read(const std::optional<std::int64_t>& instant) {
  return instant ? std::optional(Duration(*instant)) : std::nullopt;
}

void store(const supervision::Record& record, SupervisedState& state) {
  state.phase = static_cast<int>(record.phase);
  state.attempt = static_cast<int>(record.attempt);
  state.after = static_cast<int>(record.after);
  state.doomed = record.doomed;
  state.asked = record.asked;
  state.incarnation = record.incarnation;
  state.starts = record.starts;
  state.since_ns = record.since.count();
  state.up_ns = stored(record.up);
  state.due_ns = stored(record.due);
  state.deadline_ns = stored(record.deadline);
  state.failures = record.failures;
  state.last = stored(record.last);
  state.restarts_ns.clear();
  for (const Duration restart : record.restarts) state.restarts_ns.push_back(restart.count());
  state.ending.reset();
  if (record.ending)
    state.ending =
        TreeEnding{static_cast<int>(record.ending->end), record.ending->start_failed, stored(record.ending->causes)};
  state.paused = record.phase == Phase::waiting && record.due && *record.due > Duration(0);
}

void read(const SupervisedState& state, supervision::Record& record) {
  record.phase = static_cast<Phase>(state.phase);
  record.attempt = static_cast<supervision::Attempt>(state.attempt);
  record.after = static_cast<supervision::After>(state.after);
  record.doomed = state.doomed;
  record.asked = state.asked;
  record.incarnation = state.incarnation;
  record.starts = state.starts;
  record.since = Duration(state.since_ns);
  record.up = read(state.up_ns);
  record.due = read(state.due_ns);
  record.deadline = read(state.deadline_ns);
  record.failures = state.failures;
  record.last = read(state.last);
  for (const std::int64_t restart : state.restarts_ns) record.restarts.emplace_back(restart);
  if (state.ending)
    record.ending = supervision::Ending{static_cast<supervision::End>(state.ending->end), state.ending->start_failed,
                                        read(state.ending->causes)};
}

const SupervisedState* find_state(const DeploymentRecord& record, const std::string& allocation) {
  if (!record.tree) return nullptr;
  const auto found = record.tree->allocations.find(allocation);
  return found == record.tree->allocations.end() ? nullptr : &found->second;
}

Phase phase_of(const SupervisedState& state) { return static_cast<Phase>(state.phase); }

bool is_doomed(const SupervisedState& state) { return supervision::is_ending(phase_of(state)); }

bool has_failed(const AllocationManifest& entry) { return entry.status != AllocationStatus::completed; }

std::string why_ended(const AllocationManifest& entry) {
  if (!entry.reason.empty()) return entry.reason;
  if (has_failed(entry) && entry.exit_code != kNeverRanOrLost) return fmt::format("exit code {}", entry.exit_code);
  return has_failed(entry) ? "it did not run to its end" : "it has completed";
}

/// Whether its run, which has ended, had begun. A start that failed for good is not in DeploymentRecord::starts.
bool had_begun(const DeploymentRecord& record, const std::string& name, const AllocationManifest& entry) {
  if (entry.lease_ns == 0) return !has_failed(entry) || entry.exit_code != 0;
  return record.starts.contains(name);
}

/// Whether an earlier run of it may go on somewhere.
bool may_run_elsewhere(const DeploymentRecord& record, const std::string& name) {
  return std::ranges::any_of(record.superseded, [&](const Superseded& entry) {
    return !entry.ended && !entry.over && entry.allocations.contains(name);
  });
}

bool recovers(const jobs::Node& node) { return node.failure_recovery != jobs::NodeRecovery::stay_down; }

/// Of which on_loss alone decides about losses, although their supervisors start them again.
std::set<std::string> left_to_on_loss(const jobs::Ensemble& ensemble) {
  std::set<std::string> names;
  for (const auto& [id, node] : ensemble.nodes)
    for (const std::string& name : node.allocations)
      if (recovers(node) && ensemble.allocations.at(name).failure_recovery == jobs::AllocationRecovery::stay_down)
        names.insert(name);
  return names;
}

/// A machine that has refused a node, or on which nothing of it has begun, is none that it has had.
void note_machines(DeploymentRecord& record) {
  if (!record.tree) return;
  json::StringMap& machines = record.tree->machines;
  std::erase_if(machines, [&](const auto& noted) {
    const auto node = record.ensemble.nodes.find(noted.first);
    return node == record.ensemble.nodes.end() || !recovers(node->second);
  });
  for (const auto& [name, placed] : record.manifest.nodes) {
    const auto node = record.ensemble.nodes.find(name);
    if (node == record.ensemble.nodes.end() || !recovers(node->second)) continue;
    const auto has_begun = [&, id = name](const std::string& allocation) {
      const AllocationManifest* entry = find_entry(record, allocation);
      return entry != nullptr && entry->node_id == id && is_placed(*entry) &&
             entry->status != AllocationStatus::pending;
    };
    if (std::ranges::any_of(placed.allocations, has_begun)) machines[name] = placed.peer;
  }
}

/// A worker of the tree. What the tree has no more is gone.
struct Child {
  std::string path;
  Phase phase = Phase::gone;
  std::uint64_t incarnation = 0;
  supervision::Restart restart = supervision::Restart::permanent;
};

class Round {
 public:
  Round(DeploymentRecord& record, const supervision::Spec& spec, Duration away, SteadyTime now)
      : record_(record),
        now_(now),
        paths_(jobs::supervised_paths(spec)),
        left_to_on_loss_(left_to_on_loss(record.ensemble)),
        tree_(open(spec, away)) {}

  void run() {
    (void)tree_.timer(now_);
    const std::size_t most = 10 + 10 * paths_.size();  // each round but the last has changed something
    for (std::size_t i = 0; i < most && look(); ++i) {
    }
    save();
  }

 private:
  /// As it is stored, or a new one.
  supervision::Tree open(const supervision::Spec& spec, Duration away) {
    if (record_.tree) {
      supervision::Stored stored{record_.tree->incarnations, record_.tree->over, read_record(spec, "", nullptr)};
      Result<supervision::Tree> restored = supervision::Tree::restore(stored, away, now_);
      if (restored) return std::move(*restored);
      log::info("orchestrator", "{}: its supervision begins anew: {}", record_.id, restored.error().to_string());
    }
    record_.tree.emplace();
    supervision::Tree tree = supervision::Tree::create(spec, now_).value();  // supervision_of() has checked it
    (void)tree.start(now_);
    return tree;
  }

  supervision::Record read_record(const supervision::Spec& spec, const std::string& path,
                                  const supervision::Record* parent) const {
    supervision::Record made{.spec = spec};
    made.spec.children.clear();
    const auto& states = spec.supervisor ? record_.tree->supervisors : record_.tree->allocations;
    const auto state = states.find(spec.supervisor ? path : spec.id);
    const bool stays = spec.restart == supervision::Restart::temporary;
    if (state != states.end() && (stays || phase_of(state->second) != Phase::gone)) {
      read(state->second, made);
    } else if (parent != nullptr && supervision::is_up(parent->phase)) {  // an update has added it
      made.phase = Phase::waiting;
      made.attempt = supervision::Attempt::restart;
    }
    for (const supervision::Spec& child : spec.children)
      made.children.push_back(read_record(child, supervision::path_of(path, child), &made));
    return made;
  }

  void save() {
    TreeState& state = *record_.tree;
    const supervision::Stored stored = tree_.store(now_);
    state.incarnations = stored.incarnations;
    state.over = stored.over;
    state.at_ns = now_.time_since_epoch().count();
    state.supervisors.clear();
    std::erase_if(state.allocations, [&](const auto& pair) { return !paths_.contains(pair.first); });
    save(stored.root, "");
  }
  void save(const supervision::Record& record, const std::string& path) {
    if (record.spec.supervisor)
      store(record, record_.tree->supervisors[path]);
    else
      store(record, record_.tree->allocations[record.spec.id]);
    for (const supervision::Record& child : record.children) save(child, supervision::path_of(path, child.spec));
  }

  /// `waits`: a supervisor above is to be started, and its children with it.
  static void collect(const supervision::View& view, bool waits, std::map<std::string, Child>& children) {
    for (const supervision::View& child : view.children) {
      if (child.strategy) {
        collect(child, waits || child.phase == Phase::waiting, children);
        continue;
      }
      Child& found = children[child.id];
      found.phase = waits && child.phase == Phase::idle ? Phase::waiting : child.phase;
      found.incarnation = child.incarnation;
      found.restart = child.restart;
    }
  }

  /// True if something has changed.
  bool look() {
    std::map<std::string, Child> children;
    collect(tree_.view(), false, children);
    bool changed = false;
    for (const auto& [name, path] : paths_) {
      AllocationManifest* entry = find_entry(record_, name);
      if (entry == nullptr) continue;
      Child& child = children[name];
      child.path = path;
      changed |= look(name, child, *entry, record_.tree->allocations[name]);
    }
    return changed;
  }

  bool look(const std::string& name, const Child& child, AllocationManifest& entry, SupervisedState& state) {
    switch (child.phase) {
      case Phase::idle:
      case Phase::gone: return stays_down(name, entry);
      case Phase::waiting: return waits(name, entry, state);
      case Phase::starting: return starts(name, child, entry, state);
      case Phase::running: return runs(name, child, entry, state);
      case Phase::stopping:
      case Phase::killing: return stops(name, child, entry, state);
    }
    return false;
  }

  bool stays_down(const std::string& name, const AllocationManifest& entry) {
    if (is_final(entry.status)) return false;
    stop_for_good(record_, name,
                  tree_.is_over() ? "it was stopped, as its supervisor has given up"
                                  : "it was stopped with others of its supervisor");
    return true;
  }

  bool place_anew(const std::string& name, const AllocationManifest& entry) {
    if (!is_final(entry.status)) return false;
    const std::string why = fmt::format("{}; {}", why_ended(entry), kStartedAgain);
    const bool begun = had_begun(record_, name, entry);
    run_again(record_, name, begun);
    find_entry(record_, name)->reason = shortened(why, kMaxReportedText);
    return true;
  }

  bool waits(const std::string& name, const AllocationManifest& entry, SupervisedState& state) {
    state.awaits = state.stopped = false;
    return state.entered != 0 && place_anew(name, entry);
  }

  bool starts(const std::string& name, const Child& child, AllocationManifest& entry, SupervisedState& state) {
    if (state.entered != child.incarnation) {
      if (state.entered != 0) (void)place_anew(name, entry);
      state.entered = child.incarnation;
      state.awaits = state.stopped = false;
      state.unhealthy = 0;
    }
    if (is_final(entry.status)) return ends(child, entry);
    if (entry.status != AllocationStatus::pending) return took(tree_.started(child.path, child.incarnation, now_));
    const Readiness readiness = dependency(record_, name).readiness;
    if (readiness != Readiness::waits && readiness != Readiness::waits_for_completion) return false;
    state.awaits = true;
    return took(tree_.started(child.path, child.incarnation, now_));
  }

  bool runs(const std::string& name, const Child& child, AllocationManifest& entry, SupervisedState& state) {
    if (is_final(entry.status)) return ends(child, entry);
    const bool is_left_alone = child.restart == supervision::Restart::temporary || left_to_on_loss_.contains(name);
    const bool told = record_.status == DeploymentStatus::running && !is_left_alone;
    if (entry.status == AllocationStatus::pending) {
      if (state.awaits) return false;
      if (!told) {
        state.awaits = true;
        return true;
      }
      const std::string why = entry.reason.empty() ? "its run was lost" : entry.reason;
      return took(tree_.ended(child.path, child.incarnation, {supervision::End::abnormal, why, true}, now_));
    }
    state.awaits = false;
    if (entry.health == Health::healthy) state.unhealthy = 0;
    if (!told || entry.health != Health::unhealthy || entry.status != AllocationStatus::running ||
        state.unhealthy < kRestartsInPlace || record_.restarting.contains(name))
      return false;
    std::string why = entry.reason.empty() ? std::string(kFailedCheck) : entry.reason;
    add_reason(why, fmt::format("its restart was requested {} times before", state.unhealthy));
    supersede_run(record_, name, true);
    why = shortened(std::move(why), kMaxReportedText);
    find_entry(record_, name)->reason = why;
    return took(tree_.ended(child.path, child.incarnation, {supervision::End::abnormal, std::move(why)}, now_));
  }

  bool ends(const Child& child, const AllocationManifest& entry) {
    const supervision::End end = has_failed(entry) ? supervision::End::abnormal : supervision::End::normal;
    return took(tree_.ended(child.path, child.incarnation, {end, why_ended(entry)}, now_));
  }

  bool stops(const std::string& name, const Child& child, const AllocationManifest& entry, SupervisedState& state) {
    const bool gone = is_final(entry.status) || (state.stopped && !may_run_elsewhere(record_, name));
    if (!gone) return false;
    return took(tree_.ended(child.path, child.incarnation, {supervision::End::shutdown, "it was stopped"}, now_));
  }

  /// What the tree was told is done by the next look at it.
  static bool took(const supervision::Actions&) { return true; }

  DeploymentRecord& record_;
  SteadyTime now_;
  std::map<std::string, std::string> paths_;
  std::set<std::string> left_to_on_loss_;
  supervision::Tree tree_;
};

/// Supersedes what the tree stops. Nothing of it is being placed at the moment.
void stop_doomed(DeploymentRecord& record) {
  if (!record.tree || !is_active(record.status)) return;
  for (auto& [name, state] : record.tree->allocations) {
    if (!is_doomed(state) || state.stopped) continue;
    state.stopped = true;
    const AllocationManifest* entry = find_entry(record, name);
    if (entry == nullptr || !is_placed(*entry) || is_final(entry->status)) continue;
    supersede_run(record, name, true);
    find_entry(record, name)->reason = "it is stopped with others of its supervisor";
  }
}

bool has_doomed(const DeploymentRecord& record) {
  return record.tree && is_active(record.status) && std::ranges::any_of(record.tree->allocations, [](const auto& pair) {
           return is_doomed(pair.second) && !pair.second.stopped;
         });
}

/// The end of the first pause.
std::optional<SteadyTime> next_due(const DeploymentRecord& record) {
  std::optional<SteadyTime> next;
  if (!record.tree || !is_active(record.status)) return next;
  for (const auto* states : {&record.tree->supervisors, &record.tree->allocations})
    for (const auto& [name, state] : *states)
      if (phase_of(state) == Phase::waiting && state.due_ns && *state.due_ns > 0) {
        const SteadyTime due(Duration(record.tree->at_ns) + Duration(*state.due_ns));
        if (!next || due < *next) next = due;
      }
  return next;
}

}  // namespace

Duration age_of_tree(const DeploymentRecord& record, const std::string& boot, SteadyTime now) {
  if (!record.tree || record.boot_id != boot) return Duration(0);
  const std::int64_t is = now.time_since_epoch().count();
  const std::int64_t was = record.tree->at_ns;
  return was >= 0 && was <= is ? Duration(is - was) : Duration(0);
}

void supervise(DeploymentRecord& record, const std::string& boot, SteadyTime now) {
  if (record.status == DeploymentStatus::preparing || record.status == DeploymentStatus::committing)
    return record.tree.reset();
  if (!is_active(record.status)) return;
  if (!jobs::is_supervised(record.ensemble)) return record.tree.reset();
  const Result<supervision::Spec> spec = jobs::supervision_of(record.ensemble);
  if (!spec) return record.tree.reset();  // accepted by no version of this program
  note_machines(record);
  Round(record, *spec, age_of_tree(record, boot, now), now).run();
  note_machines(record);  // a tree that has just begun
}

void note_change(DeploymentRecord& record, const std::string& name) {
  if (!record.tree) return;
  const auto found = record.tree->allocations.find(name);
  if (found == record.tree->allocations.end()) return;
  const Phase phase = phase_of(found->second);
  if (phase == Phase::idle || phase == Phase::gone)
    record.tree->allocations.erase(found);
  else
    found->second.awaits = phase == Phase::running;
}

void note_restart_in_place(DeploymentRecord& record, const std::string& name) {
  if (!record.tree) return;
  if (const auto found = record.tree->allocations.find(name); found != record.tree->allocations.end())
    ++found->second.unhealthy;
}

void excuse_loss(DeploymentRecord& record, const std::string& name) {
  if (!record.tree) return;
  const auto found = record.tree->allocations.find(name);
  if (found != record.tree->allocations.end() && phase_of(found->second) == Phase::running) found->second.awaits = true;
}

void excuse_move(DeploymentRecord& record, const std::string& node) {
  for (const auto& [name, entry] : record.manifest.allocations)
    if (entry.node_id == node) excuse_loss(record, name);
}

std::optional<NodeRestart> restart_of(const DeploymentRecord& record, const std::string& name) {
  const auto node = record.ensemble.nodes.find(name);
  if (!record.tree || node == record.ensemble.nodes.end() || !recovers(node->second)) return std::nullopt;
  const std::string below = fmt::format("{}{}{}", jobs::kRecovery, name, supervision::kPathSeparator);
  const bool is_started_again = std::ranges::any_of(record.tree->supervisors, [&](const auto& pair) {
    const auto& [path, state] = pair;
    const std::size_t at = path.find(below);
    const bool is_below =
        at == 0 || (at != std::string::npos && path.at(at - 1) == supervision::kPathSeparator.front());
    const bool is_next = phase_of(state) == Phase::waiting || phase_of(state) == Phase::starting;
    return is_below && is_next && state.attempt == static_cast<int>(supervision::Attempt::restart);
  });
  if (!is_started_again) return std::nullopt;
  NodeRestart restart;
  if (const auto machine = record.tree->machines.find(name); machine != record.tree->machines.end())
    restart.machine = machine->second;
  restart.elsewhere = node->second.failure_recovery == jobs::NodeRecovery::redeploy;
  return restart;
}

bool is_undecided(const DeploymentRecord& record, const std::string& name) {
  if (find_state(record, name) == nullptr) return false;
  std::vector<std::string> ending;  // without the root, which nothing starts again
  for (const auto& [path, state] : record.tree->supervisors)
    if (!path.empty() && supervision::is_ending(phase_of(state)))
      ending.push_back(fmt::format("{}{}", path, supervision::kPathSeparator));
  if (ending.empty()) return false;
  const Result<supervision::Spec> spec = jobs::supervision_of(record.ensemble);
  if (!spec) return false;
  const std::map<std::string, std::string> paths = jobs::supervised_paths(*spec);
  const auto path = paths.find(name);
  return path != paths.end() &&
         std::ranges::any_of(ending, [&](const std::string& above) { return path->second.starts_with(above); });
}

bool is_held_back(const DeploymentRecord& record, const std::string& name) {
  const SupervisedState* state = find_state(record, name);
  if (state == nullptr) return false;
  const Phase phase = phase_of(*state);
  const bool goes_on = phase == Phase::waiting || phase == Phase::starting || phase == Phase::running;
  return !goes_on || state->paused;
}

bool may_start(const DeploymentRecord& record, const std::string& name) {
  const SupervisedState* state = find_state(record, name);
  return state == nullptr || phase_of(*state) == Phase::starting || phase_of(*state) == Phase::running;
}

bool is_started_again(const DeploymentRecord& record, const std::string& name) {
  const SupervisedState* state = find_state(record, name);
  if (state == nullptr || state->awaits) return false;
  return state->starts > 1 || state->attempt == static_cast<int>(supervision::Attempt::restart);
}

bool is_being_restarted(const DeploymentRecord& record, const std::string& name) {
  const SupervisedState* state = find_state(record, name);
  if (state == nullptr) return false;
  const Phase phase = phase_of(*state);
  if (phase != Phase::waiting && phase != Phase::starting) return supervision::is_ending(phase);
  return state->paused || state->attempt == static_cast<int>(supervision::Attempt::restart);
}

std::map<std::string, RestartPause> pauses_of(const DeploymentRecord& record, const std::string& boot, SteadyTime now) {
  std::map<std::string, RestartPause> pauses;
  if (!record.tree || !is_active(record.status)) return pauses;
  const Result<supervision::Spec> spec = jobs::supervision_of(record.ensemble);
  if (!spec) return pauses;
  const Duration age = age_of_tree(record, boot, now);
  const auto left_of = [&](const SupervisedState& state) {
    const bool waits = phase_of(state) == Phase::waiting && state.due_ns.has_value();
    return waits ? std::max(Duration(*state.due_ns) - age, Duration(0)) : Duration(0);
  };
  std::map<std::string, Duration> above;  // by the beginning of what is below the supervisor
  for (const auto& [path, state] : record.tree->supervisors)
    if (const Duration left = left_of(state); !path.empty() && left > Duration(0))
      above[fmt::format("{}{}", path, supervision::kPathSeparator)] = left;
  for (const auto& [name, path] : jobs::supervised_paths(*spec)) {
    const SupervisedState* state = find_state(record, name);
    if (state == nullptr) continue;
    RestartPause pause{.left = left_of(*state), .why = {}};
    for (const auto& [below, left] : above)
      if (path.starts_with(below)) pause.left = std::max(pause.left, left);
    if (pause.left == Duration(0)) continue;
    if (!state->last.empty()) pause.why = printable(state->last.back().text);
    pauses.emplace(name, std::move(pause));
  }
  return pauses;
}

std::uint64_t starts_of(const DeploymentRecord& record, const std::string& name) {
  const SupervisedState* state = find_state(record, name);
  return state == nullptr ? 0 : state->starts;
}

std::set<std::string> ended_with_supervisor(const DeploymentRecord& record) {
  std::set<std::string> names;
  if (!record.tree || record.tree->over) return names;
  std::vector<std::string> ended;  // one that has failed waits, or has ended the tree
  for (const auto& [path, state] : record.tree->supervisors)
    if (!path.empty() && phase_of(state) == Phase::idle)
      ended.push_back(fmt::format("{}{}", path, supervision::kPathSeparator));
  if (ended.empty()) return names;
  const Result<supervision::Spec> spec = jobs::supervision_of(record.ensemble);
  if (!spec) return names;
  for (const auto& [name, path] : jobs::supervised_paths(*spec)) {
    const auto entry = record.manifest.allocations.find(name);
    if (entry == record.manifest.allocations.end() || entry->second.status != AllocationStatus::stopped) continue;
    const auto is_above = [&below = path](const std::string& above) { return below.starts_with(above); };
    if (std::ranges::any_of(ended, is_above)) names.insert(name);
  }
  return names;
}

std::string escalation_of(const DeploymentRecord& record) {
  if (!record.tree || !record.tree->over) return {};
  const auto root = record.tree->supervisors.find("");
  if (root == record.tree->supervisors.end()) return {};
  std::string text;
  // That no failure of a supervisor is made up for is what the ensemble says of the root.
  const bool tells_root = record.ensemble.escalation_strategy == jobs::EscalationStrategy::redeploy;
  for (const TreeCause& cause : root->second.last) {
    if (cause.path.empty() && !tells_root) continue;
    if (!text.empty()) text += ": ";
    text += fmt::format("{}: {}", cause.path.empty() ? "all" : cause.path, cause.text);
  }
  return printable(shortened(fmt::format("supervision has given up: {}", text), kMaxReportedText));
}

json::StringMap strategies_of(const jobs::Ensemble& ensemble) {
  json::StringMap strategies;
  if (!jobs::is_supervised(ensemble)) return strategies;
  const Result<supervision::Spec> spec = jobs::supervision_of(ensemble);
  if (!spec) return strategies;
  const auto collect = [&](const auto& self, const supervision::Spec& at) -> void {
    for (const supervision::Spec& child : at.children)
      if (child.supervisor)
        self(self, child);
      else if (child.restart != supervision::Restart::temporary && !child.escalates && at.supervisor->intensity > 0)
        strategies[child.id] = to_string(at.supervisor->strategy);
  };
  collect(collect, *spec);
  for (const auto& [id, node] : ensemble.nodes)
    for (const std::string& name : node.allocations)
      if (recovers(node)) strategies.emplace(name, fmt::format("{} of its node", to_string(node.failure_recovery)));
  return strategies;
}

void Trees::leave_out_machines() {
  if (!parts_.record->tree) return;
  for (const auto& [name, state] : parts_.record->tree->allocations) {
    if (phase_of(state) != Phase::waiting || state.unhealthy < kRestartsInPlace) continue;
    if (std::exchange(left_out_[name], state.starts) == state.starts) continue;
    for (const Superseded& entry : parts_.record->superseded) {
      const auto node = parts_.record->ensemble.nodes.find(entry.node);
      const bool is_free = node != parts_.record->ensemble.nodes.end() && !recovers(node->second);
      if (is_free && entry.allocations.contains(name)) replacer_.backoff().failed(entry.peer, parts_.now());
    }
  }
}

Task<void> Trees::run() {
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    leave_out_machines();
    const SteadyTime now = parts_.now();
    const std::optional<SteadyTime> due = next_due(parts_.record.get());
    Result<void> done;
    if (has_doomed(parts_.record.get())) {
      const Mutex::Lock lock = co_await replacer_.changing();
      const DurableRecord::Change stop = stop_doomed;
      done = co_await parts_.record.update_until_stored(stop);
    } else if (due && *due <= now) {
      const DurableRecord::Change nothing = [](DeploymentRecord&) {};
      done = co_await parts_.record.update_until_stored(nothing);
    } else {
      done = co_await parts_.record.changed().wait_past(seen, due.value_or(now + kMaxPause));
    }
    if (!done) co_return;
  }
}

}  // namespace dms::orchestrator
