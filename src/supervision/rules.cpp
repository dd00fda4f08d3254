// The rules of supervision: what follows from an event, until nothing more does.
#include <algorithm>

#include "supervision/tree.hpp"

namespace dms::supervision {
namespace {

bool is_temporary(const Record& child) { return child.spec.restart == Restart::temporary; }

bool nothing_alive(const Record& supervisor) {
  return std::ranges::none_of(supervisor.children, [](const Record& child) { return is_alive(child.phase); });
}

bool is_down(const Record& supervisor) { return is_ending(supervisor.phase) && nothing_alive(supervisor); }

/// Its first start has not succeeded yet.
bool is_first(const Record& child) { return child.attempt == Attempt::initial || child.attempt == Attempt::added; }

/// The supervisor is not up before this child is.
bool is_awaited(const Record& child) {
  if (!is_first(child)) return false;
  if (child.phase == Phase::waiting || child.phase == Phase::starting) return true;
  return is_ending(child.phase) && !child.up && (!child.doomed || child.after == After::restart);
}

bool has_come_up(const Record& supervisor) {
  return supervisor.phase == Phase::starting && std::ranges::none_of(supervisor.children, is_awaited);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind(kPathSeparator);
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

std::string to_text(Duration duration) {
  if (duration > 0s && duration % 1h == 0s) return fmt::format("{} h", duration / 1h);
  if (duration > 0s && duration % 1min == 0s) return fmt::format("{} min", duration / 1min);
  if (duration % 1s == 0s) return fmt::format("{} s", duration / 1s);
  return duration % 1ms == 0ms ? fmt::format("{} ms", duration / 1ms) : fmt::format("{} ns", duration.count());
}

/// Why a supervisor ends that may make no restart more.
std::string why_given_up(const Flags& flags) {
  if (flags.intensity == 0) return "it gives up at the first failure";
  return fmt::format("it needed more than {} {} in {}", flags.intensity, flags.intensity == 1 ? "restart" : "restarts",
                     to_text(flags.period));
}

/// The causes of a supervisor's end: its own, before those of the child that brought it about.
std::vector<Cause> chain(const std::string& path, std::string text, const std::vector<Cause>& rest) {
  std::vector<Cause> causes = {{path, std::move(text)}};
  causes.insert(causes.end(), rest.begin(),
                rest.begin() + static_cast<std::ptrdiff_t>(std::min(rest.size(), kMaxCauses - 1)));
  return causes;
}

void earliest(std::optional<Duration>& first, const std::optional<Duration>& other) {
  if (other && (!first || *other < *first)) first = other;
}

std::optional<Duration> next_due(const Record& supervisor, Duration now) {
  std::optional<Duration> next;
  for (const Record& child : supervisor.children) {
    if (child.phase == Phase::waiting && child.due && *child.due > now) earliest(next, child.due);
    if (child.phase == Phase::stopping) earliest(next, child.deadline);
    if (child.spec.supervisor && is_alive(child.phase)) earliest(next, next_due(child, now));
  }
  return next;
}

}  // namespace

Actions Tree::settle() {
  for (bool changed = true; changed && !over_;) {
    changed = settle(root_, "", false);
    if (is_down(root_)) {
      const Ending ending = root_.ending.value_or(Ending{});
      enter(root_, Phase::idle);
      root_.ending = ending;
      over_ = true;
      root_.last = ending.causes;
      actions_.push_back({.kind = Action::Kind::ended, .end = ending.end, .causes = ending.causes});
    } else if (has_come_up(root_)) {
      come_up(root_);
      changed = true;
    }
  }
  set_timer();
  return std::exchange(actions_, {});
}

bool Tree::settle(Record& supervisor, const std::string& path, bool held) {
  bool changed = false;
  held |= supervisor.doomed;
  for (Record& child : supervisor.children) {
    if (!child.spec.supervisor || !is_alive(child.phase)) continue;
    const std::string name = path_of(path, child.spec);
    changed |= settle(child, name, held);
    if (is_down(child)) {
      supervisor_ended(supervisor, child, name);
      changed = true;
    } else if (has_come_up(child)) {
      come_up(child);
      changed = true;
    }
  }
  changed |= expire(supervisor, path);
  changed |= sweep(supervisor);
  changed |= stop_next(supervisor, path);
  if (!held) changed |= start_next(supervisor, path);
  return changed;
}

/// Kills what has not ended in its time.
bool Tree::expire(Record& supervisor, const std::string& path) {
  bool changed = false;
  for (Record& child : supervisor.children) {
    if (child.phase != Phase::stopping || !child.deadline || *child.deadline > now_) continue;
    const std::string name = path_of(path, child.spec);
    child.deadline.reset();
    changed = true;
    if (child.spec.supervisor) {
      kill_all(child, name);
    } else {
      enter(child, Phase::killing);
      emit(Action::Kind::kill, child, name);
    }
  }
  return changed;
}

bool Tree::sweep(Record& supervisor) {
  return std::erase_if(supervisor.children, [](const Record& child) {
           return child.phase == Phase::gone && child.after == After::removed;
         }) > 0;
}

/// Stops the last child that is to be stopped, if none before it is still ending.
bool Tree::stop_next(Record& supervisor, const std::string& path) {
  if (supervisor.phase == Phase::killing) return false;
  std::vector<Record>& children = supervisor.children;
  if (std::ranges::any_of(children, [](const Record& child) { return child.asked; })) return false;
  const auto last = std::find_if(children.rbegin(), children.rend(), [](const Record& child) { return child.doomed; });
  if (last == children.rend()) return false;
  stop(*last, path_of(path, last->spec));
  return true;
}

/// Starts what waits and may be started now.
bool Tree::start_next(Record& supervisor, const std::string& path) {
  if (!is_up(supervisor.phase)) return false;
  const bool grouped = supervisor.spec.supervisor->strategy != Strategy::one_for_one;
  const auto ends = [](const Record& child) { return child.doomed || is_ending(child.phase); };
  if (grouped && std::ranges::any_of(supervisor.children, ends)) return false;
  bool changed = false, blocked = false;  // blocked: an earlier child has to be up first
  for (Record& child : supervisor.children) {
    const bool in_turn = grouped || is_first(child);
    if (child.phase == Phase::starting || (is_ending(child.phase) && !child.up)) blocked |= in_turn;
    if (child.phase != Phase::waiting || (in_turn && blocked)) continue;
    blocked |= in_turn;
    if (child.due && *child.due > now_) continue;
    begin(child, path_of(path, child.spec));
    changed = true;
  }
  return changed;
}

void Tree::begin(Record& child, const std::string& path) {
  child.incarnation = ++incarnations_;
  ++child.starts;
  child.up.reset();
  child.due.reset();
  enter(child, Phase::starting);
  if (!child.spec.supervisor) return emit(Action::Kind::start, child, path);
  child.ending.reset();
  if (!child.spec.supervisor->remembers) child.restarts.clear();
  for (Record& below : child.children) {
    enter(below, Phase::waiting);
    below.attempt = Attempt::initial;
    below.failures = 0;
  }
}

void Tree::come_up(Record& child) {
  enter(child, Phase::running);
  child.up = now_;
  if (!is_temporary(child)) child.attempt = Attempt::restart;
}

void Tree::has_ended(Record& supervisor, Record& child, const std::string& path, End how, std::vector<Cause> causes,
                     bool at_once) {
  child.last = std::move(causes);
  const bool again =
      child.spec.restart == Restart::permanent || (child.spec.restart == Restart::transient && how == End::abnormal);
  if (!is_up(supervisor.phase)) return enter(child, Phase::idle);
  if (again) return restart(supervisor, child, path, at_once);
  const bool significant = child.spec.significant;
  std::vector<Cause> why = chain(parent_of(path), "a significant child has ended", child.last);
  end_for_good(child, path);
  const AutoShutdown when = supervisor.spec.supervisor->auto_shutdown;
  if (!significant || when == AutoShutdown::never) return;
  const auto active = [](const Record& other) {
    return other.spec.significant && other.phase != Phase::idle && other.phase != Phase::gone;
  };
  if (when == AutoShutdown::all_significant && std::ranges::any_of(supervisor.children, active)) return;
  end(supervisor, {.end = End::shutdown, .causes = std::move(why)});
}

void Tree::failed_to_start(Record& supervisor, Record& child, const std::string& path, std::vector<Cause> causes) {
  child.last = std::move(causes);
  if (!is_up(supervisor.phase)) return enter(child, Phase::idle);
  if (child.attempt == Attempt::added) return drop(child, path, true);
  if (child.attempt == Attempt::asked) return end_for_good(child, path);
  if (child.attempt == Attempt::restart || supervisor.phase != Phase::starting) return restart(supervisor, child, path);
  enter(child, Phase::idle);
  end(supervisor, {.end = End::abnormal,
                   .start_failed = true,
                   .causes = chain(parent_of(path), "a child could not be started", child.last)});
}

void Tree::supervisor_ended(Record& supervisor, Record& child, const std::string& path) {
  Ending ending = std::exchange(child.ending, std::nullopt).value_or(Ending{});
  if (!child.spec.supervisor->remembers) child.restarts.clear();
  if (child.doomed) {
    child.last = ending.causes.empty() ? std::vector<Cause>{{path, "it was shut down"}} : std::move(ending.causes);
    stopped(supervisor, child, path);
  } else if (ending.start_failed) {
    failed_to_start(supervisor, child, path, std::move(ending.causes));
  } else {
    has_ended(supervisor, child, path, ending.end, std::move(ending.causes));
  }
}

/// What was to be stopped does not exist any more.
void Tree::stopped(Record& supervisor, Record& child, const std::string& path) {
  const After after = child.after;
  if (after == After::removed) return drop(child, path, true);
  if (!is_up(supervisor.phase)) return enter(child, Phase::idle);
  if (after == After::idle || is_temporary(child)) return end_for_good(child, path);
  if (child.up || child.attempt == Attempt::asked) child.attempt = Attempt::restart;
  const std::optional<Duration> due = child.due;
  enter(child, Phase::waiting);
  child.due = due;
}

/// The child is started again only if it is asked for, or by a strategy.
void Tree::end_for_good(Record& child, const std::string& path) {
  if (is_temporary(child)) return drop(child, path, child.attempt == Attempt::added);
  enter(child, Phase::idle);
}

void Tree::restart(Record& supervisor, Record& child, const std::string& path, bool at_once) {
  if (!child.spec.escalates && count_restart(supervisor)) return restart_with(supervisor, child, at_once);
  // Those that count were decided: one that waits for its turn or its pause has not been made.
  std::string why = child.spec.escalates ? std::string("a child has failed that is not restarted alone")
                                         : why_given_up(*supervisor.spec.supervisor);
  enter(child, Phase::idle);
  // Also while others of it are started: OTP sees the end of a child that was up after them, and it has started then.
  end(supervisor, {.end = End::abnormal, .causes = chain(parent_of(path), std::move(why), child.last)});
}

/// True if there may be this one, too.
bool Tree::count_restart(Record& supervisor) {
  const Flags& flags = *supervisor.spec.supervisor;
  std::erase_if(supervisor.restarts, [&](Duration at) { return at < now_ - flags.period; });
  if (supervisor.restarts.size() >= flags.intensity) return false;
  supervisor.restarts.push_back(now_);
  return true;
}

/// Lets the child and those that its strategy restarts with it wait for their turn; those that are up are stopped.
void Tree::restart_with(Record& supervisor, Record& child, bool at_once) {
  const Flags& flags = *supervisor.spec.supervisor;
  const Duration pause = pause_of(flags.pauses, child, at_once);
  const std::optional<Duration> due = pause > 0ns ? std::optional(now_ + pause) : std::nullopt;
  enter(child, Phase::waiting);
  child.attempt = Attempt::restart;
  child.due = due;
  if (flags.strategy == Strategy::one_for_one) return;
  const auto index = static_cast<std::size_t>(&child - supervisor.children.data());
  for (std::size_t i = flags.strategy == Strategy::one_for_all ? 0 : index; i < supervisor.children.size(); ++i) {
    Record& other = supervisor.children[i];
    if (&other == &child || other.phase == Phase::gone) continue;
    if (is_alive(other.phase)) {
      other.doomed = true;
      if (other.after != After::removed) other.after = After::restart;
    } else if (other.phase == Phase::idle) {
      enter(other, Phase::waiting);
      other.attempt = Attempt::restart;
    } else if (other.attempt == Attempt::asked) {
      other.attempt = Attempt::restart;
    }
    if (due && flags.strategy == Strategy::one_for_all) other.due = std::max(other.due.value_or(*due), *due);
  }
}

Duration Tree::pause_of(const Pauses& pauses, Record& child, bool at_once) {
  if (pauses.first == 0ns) return {};
  if (child.up && now_ - *child.up >= pauses.healthy) child.failures = 0;
  Duration pause = at_once && child.failures == 0 ? Duration{} : pauses.first;
  for (unsigned i = 0; i < child.failures && pause < pauses.most; ++i) pause = std::min(2 * pause, pauses.most);
  child.failures = std::min(child.failures + 1, 64U);
  return pause;
}

/// The supervisor stops its children, then ends. What ends it first counts.
void Tree::end(Record& supervisor, Ending ending) {
  if (supervisor.ending || !is_alive(supervisor.phase)) return;
  enter(supervisor, Phase::stopping);
  supervisor.ending = std::move(ending);
  for (Record& child : supervisor.children) {
    if (child.phase == Phase::waiting) enter(child, Phase::idle);
    if (!is_alive(child.phase)) continue;
    child.doomed = true;
    if (child.after != After::removed) child.after = After::idle;
  }
}

/// Its turn to be stopped has come.
void Tree::stop(Record& child, const std::string& path) {
  child.asked = true;
  const Shutdown how = shutdown_of(child.spec);
  if (how.kind == Shutdown::Kind::timeout) child.deadline = now_ + how.timeout;
  const bool brutal = how.kind == Shutdown::Kind::brutal_kill;
  if (child.spec.supervisor) return brutal ? kill_all(child, path) : end(child, {.end = End::shutdown});
  enter(child, brutal ? Phase::killing : Phase::stopping);
  emit(brutal ? Action::Kind::kill : Action::Kind::stop, child, path);
}

void Tree::kill_all(Record& supervisor, const std::string& path) {
  enter(supervisor, Phase::killing);
  supervisor.deadline.reset();
  if (!supervisor.ending) supervisor.ending = Ending{};
  for (Record& child : supervisor.children) {
    if (child.phase == Phase::waiting) enter(child, Phase::idle);
    if (!is_alive(child.phase)) continue;
    child.doomed = child.asked = true;
    child.deadline.reset();
    if (child.after != After::removed) child.after = After::idle;
    const std::string name = path_of(path, child.spec);
    if (child.spec.supervisor) {
      kill_all(child, name);
    } else if (child.phase != Phase::killing) {
      enter(child, Phase::killing);
      emit(Action::Kind::kill, child, name);
    }
  }
}

void Tree::drop(Record& child, const std::string& path, bool erase) {
  enter(child, Phase::gone);
  if (erase) child.after = After::removed;
  emit(Action::Kind::forget, child, path);
}

void Tree::enter(Record& child, Phase phase) {
  child.phase = phase;
  child.since = now_;
  if (is_alive(phase)) return;
  child.doomed = child.asked = false;
  child.after = After::idle;
  child.due.reset();
  child.deadline.reset();
  child.ending.reset();
}

void Tree::emit(Action::Kind kind, const Record& child, const std::string& path) {
  Action action{.kind = kind, .path = path};
  if (kind != Action::Kind::forget) action.incarnation = child.incarnation;
  if (kind == Action::Kind::stop && child.deadline) action.grace = std::max(*child.deadline - now_, Duration{});
  actions_.push_back(std::move(action));
}

void Tree::set_timer() {
  const std::optional<Duration> next = over_ ? std::nullopt : next_due(root_, now_);
  if (over_ || next == timer_) return;
  timer_ = next;
  Action action{.kind = Action::Kind::timer};
  if (next) action.at = SteadyTime(*next);
  actions_.push_back(std::move(action));
}

}  // namespace dms::supervision
