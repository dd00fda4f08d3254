// What happens to a tree, and what others see of it. The rules are in rules.cpp.
#include "supervision/tree.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace dms::supervision {
namespace {

Record record_of(const Spec& spec, Duration now) {
  Record record{.spec = spec, .since = now};
  record.spec.children.clear();
  for (const Spec& child : spec.children) record.children.push_back(record_of(child, now));
  return record;
}

std::size_t size_of(const Record& record) {
  std::size_t size = 1;
  for (const Record& child : record.children) size += size_of(child);
  return size;
}

View view_of(const Record& record) {
  View view{.id = record.spec.id,
            .restart = record.spec.restart,
            .phase = record.phase,
            .incarnation = record.incarnation,
            .restarts = record.starts == 0 ? 0 : record.starts - 1,
            .since = SteadyTime(record.since),
            .last = record.last};
  if (record.spec.supervisor) view.strategy = record.spec.supervisor->strategy;
  if (record.phase == Phase::waiting && record.due) view.next_attempt = SteadyTime(*record.due);
  for (const Record& child : record.children)
    if (child.phase != Phase::gone) view.children.push_back(view_of(child));
  return view;
}

void shift(Record& record, Duration by) {
  record.since += by;
  for (std::optional<Duration>* instant : {&record.up, &record.due, &record.deadline})
    if (*instant) **instant += by;
  for (Duration& restart : record.restarts) restart += by;
  for (Record& child : record.children) shift(child, by);
}

std::size_t depth_of(std::string_view path) {
  return path.empty() ? 1 : 2 + static_cast<std::size_t>(std::ranges::count(path, kPathSeparator.front()));
}

std::string place_of(std::string_view path) {
  std::string place;
  while (!path.empty()) {
    const std::string_view id = path.substr(0, path.find(kPathSeparator));
    place = member(member(place, "children"), id);
    path.remove_prefix(std::min(path.size(), id.size() + 1));
  }
  return place;
}

std::size_t height_of(const Spec& spec) {
  std::size_t height = 0;
  for (const Spec& child : spec.children) height = std::max(height, height_of(child));
  return height + 1;
}

}  // namespace

std::string_view to_string(Action::Kind kind) {
  switch (kind) {
    case Action::Kind::start: return "start";
    case Action::Kind::stop: return "stop";
    case Action::Kind::kill: return "kill";
    case Action::Kind::forget: return "forget";
    case Action::Kind::timer: return "timer";
    case Action::Kind::ended: return "ended";
  }
  return "?";
}

Result<Tree> Tree::create(const Spec& root, SteadyTime now) {
  TRY_VOID(check(root));
  Tree tree;
  tree.root_ = record_of(root, now.time_since_epoch());
  return tree;
}

Actions Tree::start(SteadyTime now) {
  now_ = now.time_since_epoch();
  if (!over_ && root_.phase == Phase::idle) begin(root_, "");
  return settle();
}

Actions Tree::started(std::string_view path, std::uint64_t incarnation, SteadyTime now) {
  const Place at = reported(path, incarnation);
  if (at.child == nullptr || at.child->phase != Phase::starting) return {};
  now_ = now.time_since_epoch();
  come_up(*at.child);
  return settle();
}

Actions Tree::start_failed(std::string_view path, std::uint64_t incarnation, std::string reason, SteadyTime now) {
  const Place at = reported(path, incarnation);
  if (at.child == nullptr || at.child->up) return {};
  now_ = now.time_since_epoch();
  std::vector<Cause> causes = {{at.path, shortened(std::move(reason), kMaxReason)}};
  if (at.child->doomed) {
    at.child->last = std::move(causes);
    stopped(*at.parent, *at.child, at.path);
  } else {
    failed_to_start(*at.parent, *at.child, at.path, std::move(causes));
  }
  return settle();
}

Actions Tree::ignored(std::string_view path, std::uint64_t incarnation, SteadyTime now) {
  const Place at = reported(path, incarnation);
  if (at.child == nullptr || at.child->up) return {};
  now_ = now.time_since_epoch();
  if (at.child->doomed)
    stopped(*at.parent, *at.child, at.path);
  else
    end_for_good(*at.child, at.path);
  return settle();
}

Actions Tree::ended(std::string_view path, std::uint64_t incarnation, Reason reason, SteadyTime now) {
  const Place at = reported(path, incarnation);
  if (at.child == nullptr) return {};
  now_ = now.time_since_epoch();
  std::vector<Cause> causes = {{at.path, shortened(std::move(reason.text), kMaxReason)}};
  if (at.child->doomed) {
    at.child->last = std::move(causes);
    stopped(*at.parent, *at.child, at.path);
  } else {
    if (at.child->phase == Phase::starting) come_up(*at.child);
    has_ended(*at.parent, *at.child, at.path, reason.end, std::move(causes), reason.at_once);
  }
  return settle();
}

Actions Tree::timer(SteadyTime now) {
  now_ = now.time_since_epoch();
  if (timer_ && *timer_ <= now_) timer_.reset();
  return settle();
}

Actions Tree::shutdown(SteadyTime now) {
  now_ = now.time_since_epoch();
  if (over_) return {};
  if (root_.phase == Phase::idle) enter(root_, Phase::stopping);
  end(root_, {.end = End::shutdown});
  return settle();
}

Actions Tree::kill(SteadyTime now) {
  now_ = now.time_since_epoch();
  if (over_) return {};
  kill_all(root_, "");
  return settle();
}

Result<Actions> Tree::add(std::string_view parent, const Spec& child, SteadyTime now) {
  TRY(const Place at, changed(parent));
  if (!at.child->spec.supervisor)
    return fail(Errc::invalid_argument, "{}: a worker has no children", printable(parent));
  const std::string path = path_of(at.path, child);
  const std::string place = place_of(path);
  if (depth_of(at.path) + height_of(child) > kMaxDepth) return wrong(place, "the tree would be too deep");
  TRY_VOID(check_subtree(child, *at.child->spec.supervisor, place, depth_of(at.path) + 1));
  if (size_of(root_) + supervision::size_of(child) > kMaxSize) return wrong(place, "the tree would be too large");
  std::vector<Record>& siblings = at.child->children;
  for (const Record& sibling : siblings)
    if (sibling.spec.id == child.id && sibling.phase != Phase::gone)
      return fail(Errc::already_exists, "{} exists already: remove it first", printable(path));

  now_ = now.time_since_epoch();
  std::erase_if(siblings, [&](const Record& sibling) { return sibling.spec.id == child.id; });
  siblings.push_back(record_of(child, now_));
  siblings.back().attempt = Attempt::added;
  if (is_up(at.child->phase)) siblings.back().phase = Phase::waiting;
  return settle();
}

Result<Actions> Tree::remove(std::string_view path, SteadyTime now) {
  TRY(const Place at, changed(path));
  if (at.parent == nullptr) return fail(Errc::invalid_argument, "the root of a tree is not removed: shut it down");
  now_ = now.time_since_epoch();
  if (is_alive(at.child->phase)) {
    at.child->doomed = true;
    at.child->after = After::removed;
  } else {
    drop(*at.child, at.path, true);
  }
  return settle();
}

Result<Actions> Tree::stop_child(std::string_view path, SteadyTime now) {
  TRY(const Place at, changed(path));
  if (at.parent == nullptr) return fail(Errc::invalid_argument, "the root of a tree is no child: shut it down");
  now_ = now.time_since_epoch();
  if (is_alive(at.child->phase)) {
    at.child->doomed = true;
    if (at.child->after != After::removed) at.child->after = After::idle;
  } else if (at.child->phase == Phase::waiting) {
    end_for_good(*at.child, at.path);
  }
  return settle();
}

Result<Actions> Tree::start_child(std::string_view path, SteadyTime now) {
  TRY(const Place at, changed(path));
  if (at.parent == nullptr) return fail(Errc::invalid_argument, "the root of a tree is no child: start the tree");
  if (!is_up(at.parent->phase))
    return fail(Errc::invalid_argument, "{}: its supervisor does not run, and starts it itself", printable(path));
  if (at.child->phase != Phase::idle)
    return fail(Errc::already_exists, "{} is {} already", printable(path), to_string(at.child->phase));
  now_ = now.time_since_epoch();
  enter(*at.child, Phase::waiting);
  at.child->attempt = Attempt::asked;
  return settle();
}

Result<void> Tree::update(std::string_view path, const Spec& child) {
  TRY(const Place at, changed(path));
  const std::string place = place_of(path);
  Spec& spec = at.child->spec;
  Spec next = child;
  next.children.clear();
  if (next.id != spec.id) return wrong(member(place, "id"), "an id is not changed: add a child, remove this one");
  if (next.supervisor.has_value() != spec.supervisor.has_value())
    return wrong(member(place, "supervisor"), "a worker does not become a supervisor, nor the reverse");
  if (at.parent == nullptr) {
    TRY_VOID(check(next));
  } else {
    TRY_VOID(check_child(next, *at.parent->spec.supervisor, place));
  }
  for (const Record& below : at.child->children)
    TRY_VOID(check_child(below.spec, *next.supervisor, member(member(place, "children"), below.spec.id)));
  spec = std::move(next);
  return {};
}

View Tree::view() const { return view_of(root_); }

Stored Tree::store(SteadyTime now) const {
  Stored stored{incarnations_, over_, root_};
  shift(stored.root, -now.time_since_epoch());
  return stored;
}

Result<Tree> Tree::restore(const Stored& stored, Duration away, SteadyTime now) {
  TRY_VOID(check(stored));
  Tree tree;
  tree.root_ = stored.root;
  tree.incarnations_ = stored.incarnations;
  tree.over_ = stored.over;
  shift(tree.root_, now.time_since_epoch() - std::clamp(away, Duration{}, kMaxDuration));
  return tree;
}

Actions Tree::resume(SteadyTime now) {
  now_ = now.time_since_epoch();
  if (over_) return {{.kind = Action::Kind::ended, .end = root_.ending->end, .causes = root_.ending->causes}};
  timer_.reset();
  resume(root_, "");
  return settle();
}

void Tree::resume(const Record& supervisor, const std::string& path) {
  for (const Record& child : supervisor.children) {
    const std::string name = path_of(path, child.spec);
    if (child.spec.supervisor)
      resume(child, name);
    else if (child.phase == Phase::starting)
      emit(Action::Kind::start, child, name);
    else if (child.phase == Phase::stopping)
      emit(Action::Kind::stop, child, name);
    else if (child.phase == Phase::killing)
      emit(Action::Kind::kill, child, name);
  }
}

Tree::Place Tree::find(std::string_view path) {
  Place at{.child = &root_, .path = std::string(path)};
  while (!path.empty()) {
    const std::string_view id = path.substr(0, path.find(kPathSeparator));
    const auto found = std::ranges::find_if(
        at.child->children, [&](const Record& child) { return child.spec.id == id && child.phase != Phase::gone; });
    if (found == at.child->children.end()) return {};
    at.parent = std::exchange(at.child, &*found);
    if (path.size() == id.size() + 1) return {};  // a slash at the end
    path.remove_prefix(std::min(path.size(), id.size() + 1));
  }
  return at;
}

/// Nothing if the report is not about the worker that the tree has there now.
Tree::Place Tree::reported(std::string_view path, std::uint64_t incarnation) {
  Place at = find(path);
  if (at.child == nullptr || at.child->spec.supervisor || at.child->incarnation != incarnation ||
      !is_alive(at.child->phase))
    return {};
  return at;
}

Result<Tree::Place> Tree::changed(std::string_view path) {
  if (over_ || is_ending(root_.phase)) return fail(Errc::closed, "the tree has ended or is ending");
  Place at = find(path);
  if (at.child == nullptr) return fail(Errc::not_found, "{} is not in the tree", printable(path));
  return at;
}

}  // namespace dms::supervision
