#include "sim/scenario/tree_checker.hpp"

#include <algorithm>
#include <utility>

namespace dms::sim {

using orchestrator::DeploymentRecord;
using protocol::DeploymentStatus;
using supervision::Phase;

namespace {

constexpr const char* kShape = "a deployment has the supervision that its ensemble asks for";
constexpr const char* kRules = "supervisors keep their order and their restarts";
constexpr const char* kAgrees = "the manifest of a deployment agrees with its supervision";
constexpr const char* kDown = "what supervision has down does not run";
constexpr const char* kPhases = "supervision has up what runs, and restarts what has failed";
constexpr const char* kCounts = "supervision restarts what failures call for";
constexpr const char* kOrder = "what is supervised is started in its order, and stopped in reverse";
constexpr const char* kOnce = "what is supervised never runs twice without a loss";

bool is_active(const DeploymentRecord& record) {
  return record.status == DeploymentStatus::provisioning || record.status == DeploymentStatus::running;
}

bool is_down(Phase phase) { return phase == Phase::idle || phase == Phase::gone || phase == Phase::waiting; }

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + (name.empty() ? "the root" : name);
  return text;
}

template <class Map>
std::set<std::string> keys_of(const Map& map) {
  std::set<std::string> keys;
  for (const auto& [key, value] : map) keys.insert(key);
  return keys;
}

std::set<std::string> without(std::set<std::string> names, const std::set<std::string>& others) {
  std::erase_if(names, [&](const std::string& name) { return others.contains(name); });
  return names;
}

}  // namespace

void TreeChecker::wrong(const std::string& property, const std::string& about, std::string detail) {
  wrong_.push_back({property, fmt::format("{} {}", id_, about), fmt::format("{}: {}", id_, std::move(detail))});
}

double TreeChecker::second_of(SteadyTime at) { return std::chrono::duration<double>(at.time_since_epoch()).count(); }

const TreeChecker::Entry* TreeChecker::entry_of(const Record& record, const std::string& allocation) {
  const auto found = record.manifest.allocations.find(allocation);
  return found == record.manifest.allocations.end() ? nullptr : &found->second;
}

const TreeChecker::State* TreeChecker::state_of(const Record& record, const std::string& allocation) {
  if (!record.tree) return nullptr;
  const auto found = record.tree->allocations.find(allocation);
  return found == record.tree->allocations.end() ? nullptr : &found->second;
}

const TreeChecker::State* TreeChecker::group_state(const Record& record, const ExpectedTree::Group& group) {
  if (!record.tree) return nullptr;
  const auto found = record.tree->supervisors.find(group.path);
  return found == record.tree->supervisors.end() ? nullptr : &found->second;
}

bool TreeChecker::has_check(const std::string& allocation) const {
  return ensemble_.allocations.at(allocation).healthcheck.present();
}

/// Whether it may have been stopped since, and started again: by a failure, or with a supervisor that was started anew.
bool TreeChecker::is_affected(const Record& record, const std::string& allocation, SteadyTime since) const {
  const std::vector<ExpectedTree::Group>& groups = expected_.groups();
  for (std::size_t g = expected_.children().at(allocation).group; g != ExpectedTree::kNone; g = groups[g].above)
    if (const State* above = group_state(record, groups[g]);
        above != nullptr && above->starts > 1 && groups[g].restarts > 0)
      return true;
  return std::ranges::any_of(failures_, [&](const Failure& failure) {
    return failure.at >= since && expected_.restarted_with(failure.allocation).contains(allocation);
  });
}

std::string TreeChecker::failures_text(const std::set<std::string>& of) const {
  std::string text;
  for (const Failure& failure : failures_)
    if (of.contains(failure.allocation))
      text += fmt::format("{}{} at {:.1f} s{}", text.empty() ? "" : ", ", failure.allocation, second_of(failure.at),
                          failure.sure ? "" : " (perhaps)");
  return text.empty() ? "none" : text;
}

Duration TreeChecker::lease() const {
  Duration longest{0};
  for (const auto& [name, node] : ensemble_.nodes)
    longest = std::max(longest, node.lease_ns > 0 ? node.lease() : Duration(5min));
  return longest;
}

// --- what happens to the work ----------------------------------------------------------------------------------------

void TreeChecker::begins(const std::string& allocation, const std::string& run, const std::string& machine,
                         SteadyTime now) {
  if (!expected_.children().contains(allocation)) return;
  check_order(allocation);
  History& history = histories_[allocation];
  ++history.begun;
  history.last = Run{.name = run, .machine = machine, .begun = now};
}

void TreeChecker::ends(const std::string& allocation, const std::string& run, int exit_code, bool stopped,
                       SteadyTime now) {
  const auto found = histories_.find(allocation);
  if (found == histories_.end()) return;
  History& history = found->second;
  history.stopped += stopped ? 1 : 0;
  if (!history.last || history.last->name != run || history.last->ended) return;
  history.last->ended = now;
  history.last->stopped = stopped;
  history.last->exit_code = exit_code;
  const MadeUp made_up = expected_.children().at(allocation).made_up;
  if (stopped) {
    if (!has_check(allocation))
      check_stop(allocation, history.last->begun, now);
    else if (made_up != MadeUp::none)
      add_failure(allocation, false, now);
    return;
  }
  if (made_up == MadeUp::none) left_down_ += exit_code == 0 ? 0 : 1;
  if (made_up == MadeUp::none || (made_up == MadeUp::failures && exit_code == 0)) return;
  const bool is_up = history.phase == Phase::running && looked_ && now - *looked_ <= 2s;
  add_failure(allocation, is_up && is_quiet_, now);
}

void TreeChecker::add_failure(const std::string& allocation, bool sure, SteadyTime now) {
  if (!running_since_) is_exact_ = false;
  Failure failure{.at = now, .allocation = allocation, .sure = sure};
  if (!failures_.empty() && now - failures_.back().at < kNear) failures_.back().sure = failure.sure = false;
  failures_.push_back(std::move(failure));
}

/// Of a run that begins: what is started before it has begun, since the last failure that both are restarted with.
void TreeChecker::check_order(const std::string& allocation) {
  const auto found = histories_.find(allocation);
  const bool is_first = found == histories_.end() || found->second.begun == 0;
  const Failure* last = failures_.empty() ? nullptr : &failures_.back();
  std::set<std::string> together = keys_of(expected_.children());
  SteadyTime since{};
  if (!is_first) {
    if (last == nullptr || !last->sure || last->at < found->second.last->begun) return;
    together = expected_.restarted_with(last->allocation);
    since = last->at;
    if (!together.contains(allocation)) return;
  }
  for (const std::string& before : expected_.started_before(allocation)) {
    // One that waits for another allocation counts as started, and one that stays down is not started again.
    if (!together.contains(before) || !ensemble_.allocations.at(before).depends_on.empty()) continue;
    if (!is_first && expected_.children().at(before).made_up == MadeUp::none) continue;
    const auto earlier = histories_.find(before);
    if (earlier != histories_.end() && earlier->second.last && earlier->second.last->begun >= since) continue;
    out_of_order(allocation, fmt::format("{} begins {} {}, which is started before it, has begun", allocation,
                                         is_first ? "before" : "again before", before));
  }
}

/// Of a run that is stopped: those that the last failure stops, too, and that are started after it, have ended.
void TreeChecker::check_stop(const std::string& allocation, SteadyTime begun, SteadyTime now) {
  const Failure* last = failures_.empty() ? nullptr : &failures_.back();
  if (last == nullptr || !last->sure || !running_since_ || begun > last->at || now - last->at >= kNear) return;
  const std::set<std::string> together = expected_.restarted_with(last->allocation);
  if (!together.contains(allocation)) return;
  for (const std::string& after : together) {
    const auto later = histories_.find(after);
    if (later == histories_.end() || !later->second.last || later->second.last->ended) continue;
    if (expected_.started_before(after).contains(allocation))
      out_of_order(allocation, fmt::format("{} is stopped before {}, which is started after it", allocation, after));
  }
}

/// It counts if the parties were calm, which the next look tells.
void TreeChecker::out_of_order(const std::string& allocation, std::string detail) {
  wrong(kOrder, allocation, std::move(detail));
  out_of_order_.push_back(std::move(wrong_.back()));
  wrong_.pop_back();
}

// --- what is stored --------------------------------------------------------------------------------------------------

std::vector<TreeChecker::Wrong> TreeChecker::check(const Seen& seen) {
  if (seen.record == nullptr) return {};
  const Record& record = *seen.record;
  note(seen);
  if (is_active(record)) check_shape(record);
  if (is_active(record) && record.tree) {
    check_rules(record);
    check_manifest(record);
  }
  check_down(seen);
  check_standbys(seen);
  if (seen.is_calm) {
    wrong_.insert(wrong_.end(), out_of_order_.begin(), out_of_order_.end());
    check_twice(seen);
    if (is_exact_ && is_settled(record)) {
      check_counts(record);
      check_starts(record);
      check_phases(seen);
    }
  }
  out_of_order_.clear();
  check_sought(seen);
  return std::exchange(wrong_, {});
}

void TreeChecker::note(const Seen& seen) {
  const Record& record = *seen.record;
  const bool runs = record.status == DeploymentStatus::running;
  if (!runs) running_since_.reset();
  if (runs && !running_since_) running_since_ = seen.now;
  // A tree that is made anew counts from the beginning.
  if (incarnations_ > 0 && (!record.tree || record.tree->incarnations < incarnations_)) is_exact_ = false;
  if (record.tree) incarnations_ = std::max(incarnations_, record.tree->incarnations);
  note_moves(seen);

  is_quiet_ = runs && record.tree && !record.tree->over;
  for (const auto& [name, child] : expected_.children()) {
    History& history = histories_[name];
    const State* state = state_of(record, name);
    history.phase.reset();
    if (state == nullptr) {
      history.down_since.reset();
      is_quiet_ = false;
      continue;
    }
    const Phase phase = phase_in(*state);
    history.phase = phase;
    is_quiet_ = is_quiet_ && (phase == Phase::running || phase == Phase::idle || phase == Phase::gone);
    if (!is_down(phase))
      history.down_since.reset();
    else if (!history.down_since)
      history.down_since = seen.now;
  }
  looked_ = seen.now;
}

/// What runs and is placed elsewhere counts as lost for its supervisor, unless the orchestrator has moved it by itself.
void TreeChecker::note_moves(const Seen& seen) {
  const Record& record = *seen.record;
  if (!is_active(record)) return;
  for (const auto& [name, node] : ensemble_.nodes) {
    const auto placed = record.manifest.nodes.find(name);
    const std::string peer = placed == record.manifest.nodes.end() ? std::string() : placed->second.peer;
    const std::string before = std::exchange(peers_[name], peer);
    if (!peer.empty()) had_.insert(peer);
    if (before.empty() || before == peer) continue;
    for (const std::string& allocation : node.allocations) {
      History& history = histories_[allocation];
      const bool has_ended_itself = history.last && history.last->ended && !history.last->stopped;
      const bool is_made_up =
          expected_.children().contains(allocation) && expected_.children().at(allocation).made_up != MadeUp::none;
      if (history.phase != Phase::running || has_ended_itself || !is_made_up) continue;
      if (!seen.is_calm) {
        add_failure(allocation, false, seen.now);
        continue;
      }
      const State* state = state_of(record, allocation);
      if (state == nullptr || phase_in(*state) != Phase::running) continue;
      ++history.moves;
      history.moved = seen.now;
    }
  }
}

void TreeChecker::check_shape(const Record& record) {
  if (!record.tree) return wrong(kShape, "tree", "it has no tree");
  std::set<std::string> paths;
  for (const ExpectedTree::Group& group : expected_.groups()) paths.insert(group.path);
  const auto compare = [this](std::string_view what, const std::set<std::string>& asked,
                              const std::set<std::string>& has) {
    if (const auto lacks = without(asked, has); !lacks.empty())
      wrong(kShape, "lacks", fmt::format("its tree lacks the {} {}", what, joined(lacks)));
    if (const auto more = without(has, asked); !more.empty())
      wrong(kShape, "has",
            fmt::format("its tree has the {} {}, which the ensemble does not ask for", what, joined(more)));
  };
  compare("supervisors", paths, keys_of(record.tree->supervisors));
  compare("allocations", keys_of(expected_.children()), keys_of(record.tree->allocations));
}

void TreeChecker::check_rules(const Record& record) {
  for (const ExpectedTree::Group& group : expected_.groups())
    if (const State* state = group_state(record, group); state != nullptr) check_group(record, group, *state);
}

void TreeChecker::check_group(const Record& record, const ExpectedTree::Group& group, const State& state) {
  const std::string name = group.path.empty() ? "the root" : group.path;
  if (state.restarts_ns.size() > group.restarts)
    wrong(kRules, name,
          fmt::format("{} has made {} restarts within its period and may make {}", name, state.restarts_ns.size(),
                      group.restarts));
  const bool is_up = supervision::is_alive(phase_in(state));
  std::string first;  // that is not up yet
  for (const ExpectedTree::Member& member : group.members) {
    const bool is_group = member.group != ExpectedTree::kNone;
    const State* below =
        is_group ? group_state(record, expected_.groups()[member.group]) : state_of(record, member.allocation);
    if (below == nullptr) continue;
    const std::string id = is_group ? expected_.groups()[member.group].path : member.allocation;
    const Phase phase = phase_in(*below);
    if (!is_up && supervision::is_alive(phase))
      wrong(kRules, id,
            fmt::format("{} is {} and {} above it is {}", id, supervision::to_string(phase), name,
                        supervision::to_string(phase_in(state))));
    if (group.together == Together::alone) continue;
    if (phase == Phase::starting && !first.empty())
      wrong(kRules, id, fmt::format("{} is started by {} before {}", id, name, first));
    if (first.empty() && (phase == Phase::starting || phase == Phase::waiting)) first = id;
  }
}

/// One of those above it is to be started, and it with that.
bool TreeChecker::waits_with_a_supervisor(const Record& record, const std::string& allocation) const {
  for (std::size_t g = expected_.children().at(allocation).group; g != ExpectedTree::kNone;
       g = expected_.groups()[g].above)
    if (const State* above = group_state(record, expected_.groups()[g]);
        above != nullptr && phase_in(*above) == Phase::waiting)
      return true;
  return false;
}

void TreeChecker::check_manifest(const Record& record) {
  for (const auto& [name, child] : expected_.children()) {
    const State* state = state_of(record, name);
    const Entry* entry = entry_of(record, name);
    if (state == nullptr || entry == nullptr) continue;
    const Phase phase = phase_in(*state);
    const bool ended = protocol::is_final(entry->status);
    const bool waits = phase == Phase::waiting || (phase == Phase::idle && waits_with_a_supervisor(record, name));
    const bool may_have_ended =
        waits ? state->entered == 0 : phase == Phase::idle || phase == Phase::gone || supervision::is_ending(phase);
    const bool may_go_on = waits || (phase != Phase::idle && phase != Phase::gone);
    if ((ended && !may_have_ended) || (!ended && !may_go_on))
      wrong(kAgrees, name,
            fmt::format("{} is {} in the tree and {} in the manifest", name, supervision::to_string(phase),
                        protocol::to_string(entry->status)));
  }
}

void TreeChecker::check_down(const Seen& seen) {
  for (const Running& one : seen.running) {
    const auto history = histories_.find(one.allocation);
    if (history == histories_.end() || !history->second.down_since || !history->second.phase) continue;
    const Duration down = seen.now - *history->second.down_since;
    if (down <= lease() + kStops) continue;
    wrong(kDown, one.allocation,
          fmt::format("{} is {} in the tree for {} s, and its run {} goes on at {}", one.allocation,
                      supervision::to_string(*history->second.phase), down / 1s, one.run, one.machine));
  }
}

void TreeChecker::check_twice(const Seen& seen) {
  std::map<std::string, std::vector<const Running*>> running;
  for (const Running& one : seen.running) running[one.allocation].push_back(&one);
  for (auto& [name, history] : histories_) {
    const auto found = running.find(name);
    if (found == running.end() || found->second.size() < 2) {
      history.twice_since.reset();
      continue;
    }
    if (!history.twice_since) history.twice_since = seen.now;
    // A node that moves although its machine answers may run on both while that is told to stop.
    if (seen.now - *history.twice_since < kSettled) continue;
    wrong(kOnce, name,
          fmt::format("{} runs as {} on {} and as {} on {}, and neither was lost", name, found->second[0]->run,
                      found->second[0]->machine, found->second[1]->run, found->second[1]->machine));
  }
}

/// Whether all failures are dealt with, by the tree that has lived through them.
bool TreeChecker::is_settled(const Record& record) const {
  if (!running_since_ || !looked_ || !record.tree || record.tree->over) return false;
  if (*looked_ - *running_since_ < kSettled) return false;
  return failures_.empty() || (*looked_ - failures_.back().at >= kSettled && *looked_ - failures_.front().at < kPeriod);
}

void TreeChecker::check_counts(const Record& record) {
  const std::vector<ExpectedTree::Group>& groups = expected_.groups();
  const auto is_below = [&](std::size_t group, std::size_t above) {
    while (group != ExpectedTree::kNone && group != above) group = groups[group].above;
    return group == above;
  };
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const State* state = group_state(record, groups[g]);
    if (state == nullptr || groups[g].restarts == 0) continue;
    if (groups[g].period < kPeriod) continue;  // it may have forgotten some
    // One that was started anew is a failure in the group above, and most have forgotten their restarts then.
    bool has_lived = true;
    for (std::size_t other = 0; other < groups.size(); ++other)
      if (const State* below = group_state(record, groups[other]);
          is_below(other, g) && groups[other].restarts > 0 && below != nullptr && below->starts > 1)
        has_lived = false;
    if (!has_lived) continue;
    std::size_t sure = 0;
    std::size_t most = 0;
    std::set<std::string> of;
    for (const auto& [name, child] : expected_.children())
      if (expected_.counted_at(name) == g) of.insert(name);
    for (const Failure& failure : failures_) {
      if (!of.contains(failure.allocation)) continue;
      ++most;
      sure += failure.sure ? 1 : 0;
    }
    const std::size_t counted = state->restarts_ns.size();
    if (counted >= sure && counted <= most) continue;
    wrong(kCounts, groups[g].path,
          fmt::format("{} has counted {} restarts, and its allocations have failed {} times: {}",
                      groups[g].path.empty() ? "the root" : groups[g].path, counted,
                      sure == most ? fmt::format("{}", most) : fmt::format("{} to {}", sure, most), failures_text(of)));
  }
}

void TreeChecker::check_starts(const Record& record) {
  for (const ExpectedTree::Group& group : expected_.groups())
    if (const State* state = group_state(record, group); group.restarts > 0 && (state == nullptr || state->starts > 1))
      return;  // all of it was started once more, at least
  for (const auto& [name, child] : expected_.children()) {
    const State* state = state_of(record, name);
    if (state == nullptr) continue;
    std::set<std::string> with;
    std::size_t most = 1;
    for (const Failure& failure : failures_) {
      if (!expected_.restarted_with(failure.allocation).contains(name)) continue;
      ++most;
      with.insert(failure.allocation);
    }
    if (state->starts > most)
      wrong(kCounts, name,
            fmt::format("{} was started {} times, and failures call for {}: {}", name, state->starts, most,
                        failures_text(with)));
    const History& history = histories_[name];
    const std::size_t in_place = has_check(name) ? history.stopped : 0;
    if (history.begun > state->starts + in_place + history.moves)
      wrong(kCounts, name,
            fmt::format("{} has run {} times, and its supervisor has started it {} times", name, history.begun,
                        state->starts));
  }
}

void TreeChecker::check_phases(const Seen& seen) {
  for (const auto& [name, child] : expected_.children())
    if (const State* state = state_of(*seen.record, name); state != nullptr)
      check_phase(*seen.record, name, *state, seen.now);
}

/// What the tree may have of it, as a list; empty if anything.
std::string TreeChecker::expected_phase(const Record& record, const std::string& allocation, const State& state) const {
  const Run& last = *histories_.at(allocation).last;
  const MadeUp made_up = expected_.children().at(allocation).made_up;
  if (!last.ended) return "running";
  const bool affected = is_affected(record, allocation, last.begun);
  if (made_up == MadeUp::none) {  // with its supervisor it starts anew
    const State* above = group_state(record, expected_.groups()[expected_.children().at(allocation).group]);
    return affected || above == nullptr || above->starts > 1 ? "" : "gone";
  }
  if (!last.stopped && made_up == MadeUp::failures && last.exit_code == 0) return affected ? "" : "idle";
  // Up as far as others are concerned, although its start is still to come.
  return state.awaits ? "" : "waiting, starting";
}

/// No supervisor above waits to be started itself.
bool TreeChecker::is_below_what_is_up(const Record& record, const std::string& allocation) const {
  for (std::size_t g = expected_.children().at(allocation).group; g != ExpectedTree::kNone;
       g = expected_.groups()[g].above)
    if (const State* above = group_state(record, expected_.groups()[g]);
        above == nullptr || !supervision::is_alive(phase_in(*above)))
      return false;
  return true;
}

void TreeChecker::check_phase(const Record& record, const std::string& allocation, const State& state, SteadyTime now) {
  const History& history = histories_[allocation];
  if (!is_below_what_is_up(record, allocation)) return;
  if (!history.last || now - history.last->ended.value_or(history.last->begun) < kSettled) return;
  const Run& last = *history.last;
  ++compared_;
  std::string fate = "runs";
  if (last.ended) fate = last.stopped ? "was stopped" : fmt::format("has ended with {}", last.exit_code);
  fate += fmt::format(" at {} since {:.1f} s", last.machine, second_of(last.ended.value_or(last.begun)));
  const std::string expected = expected_phase(record, allocation, state);
  const std::string_view phase = supervision::to_string(phase_in(state));
  if (!expected.empty() && !expected.contains(phase))
    wrong(kPhases, allocation,
          fmt::format("{} {}; the tree has it {}, and should have it {}", allocation, fate, phase, expected));
  const bool has_moved = history.moved && *history.moved >= last.begun;
  if (last.ended && last.stopped && !has_check(allocation) && !has_moved &&
      !is_affected(record, allocation, last.begun))
    wrong(kPhases, allocation,
          fmt::format("{} {}, and nothing that it is restarted with has failed", allocation, fate));
}

// --- the end ---------------------------------------------------------------------------------------------------------

bool TreeChecker::may_fail() const {
  if (left_down_ > 0) return true;
  const bool leaves_down =
      std::ranges::any_of(expected_.children(), [](const auto& child) { return child.second.made_up == MadeUp::none; });
  if (leaves_down && !failures_.empty()) return true;  // what is stopped with others stays so
  const ExpectedTree::Group& root = expected_.groups().front();
  return std::ranges::any_of(root.members, [&](const ExpectedTree::Member& member) {
    if (member.group == ExpectedTree::kNone) return false;
    const std::vector<std::string> below = expected_.allocations_of(member.group);
    const auto failed = static_cast<std::size_t>(std::ranges::count_if(
        failures_, [&](const Failure& failure) { return std::ranges::count(below, failure.allocation) > 0; }));
    return failed >= expected_.least_failures(member.group, root.restarts + 1);
  });
}

}  // namespace dms::sim
