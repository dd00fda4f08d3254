// A driver for tests that lets events happen in any order and checks after each what must hold of every tree:
//  1. No worker is started while an earlier incarnation of it exists, nor after the shutdown of the tree has begun.
//  2. What ends the tree leaves nothing behind, and the workers that the view has are those that exist.
//  3. A worker is asked to end once its siblings after it have ended, unless the test stops single children; with
//     one_for_all and rest_for_one at most one child of a supervisor is starting, and none after one that waits.
//  4. A stop or a kill names the incarnation that exists, and neither comes twice.
//  5. The state can be stored and read, and a tree that is read goes on in the same way.
//  6. From every state the shutdown of the tree ends it.
#pragma once

#include <algorithm>
#include <map>

#include "supervision/tree.hpp"

namespace dms::supervision {

struct Event {
  enum class Kind { started, start_failed, ignored, ends, crashes, shut_down, late, timer, shutdown };
  Kind kind;
  std::string path;
  std::uint64_t incarnation = 0;
};

class Checked {
 public:
  struct Worker {
    std::uint64_t incarnation = 0;
    bool up = false;
    bool asked = false;
    bool killed = false;
  };
  Checked(Tree start, SteadyTime when) : tree(std::move(start)), now(when) {}

  Tree tree;
  SteadyTime now;
  std::map<std::string, Worker> workers;  ///< those that exist
  std::optional<SteadyTime> timer;
  bool ending = false;
  bool over = false;
  /// False if single children may be stopped by the test.
  bool ordered = true;
  /// False if the tree was read from a state that no tree has had.
  bool genuine = true;
  std::string problem;  ///< the first one
  std::uint64_t starts = 0;

  void apply(const Actions& actions) {
    for (const Action& action : actions) apply(action);
    if (!over) compare(tree.view(), "");
    if (over && !workers.empty()) wrong("the tree has ended before " + workers.begin()->first);
  }

  /// Takes over what a tree has that was read; what it repeats is not new.
  void resume() {
    const Stored stored = tree.store(now);
    last_ = stored.incarnations;
    ending = stored.over || is_ending(stored.root.phase);
    adopt(stored.root, "");
    Actions actions = tree.resume(now);
    std::erase_if(actions, [&](const Action& action) {
      const auto found = workers.find(action.path);
      if (found == workers.end() || found->second.incarnation != action.incarnation) return false;
      return action.kind == Action::Kind::start || (action.kind == Action::Kind::stop && found->second.asked) ||
             (action.kind == Action::Kind::kill && found->second.killed);
    });
    apply(actions);
  }

  /// All that can happen now.
  [[nodiscard]] std::vector<Event> choices() const {
    using Kind = Event::Kind;
    std::vector<Event> events;
    for (const auto& [path, worker] : workers) {
      const auto can = [&](Kind kind) { events.push_back({kind, path, worker.incarnation}); };
      if (!worker.up) can(Kind::started), can(Kind::start_failed);
      if (worker.up) can(Kind::ends), can(Kind::crashes);
      if (!worker.up && (worker.asked || worker.killed)) can(Kind::shut_down);
    }
    if (timer) events.push_back({Kind::timer, ""});
    if (!ending) events.push_back({Kind::shutdown, ""});
    return events;
  }

  void perform(const Event& event) {
    using Kind = Event::Kind;
    const auto& [kind, path, incarnation] = event;
    switch (kind) {
      case Kind::started:
        if (const auto worker = workers.find(path); worker != workers.end()) worker->second.up = true;
        return apply(tree.started(path, incarnation, now));
      case Kind::start_failed: workers.erase(path); return apply(tree.start_failed(path, incarnation, "refused", now));
      case Kind::ignored: workers.erase(path); return apply(tree.ignored(path, incarnation, now));
      case Kind::ends: return end(event, End::normal);
      case Kind::crashes: return end(event, End::abnormal);
      case Kind::shut_down: return end(event, End::shutdown);
      case Kind::late:
        if (!tree.ended(path, incarnation, {}, now).empty()) wrong("a late report has an effect");
        return;
      case Kind::timer:
        now = std::max(now, timer.value_or(now));
        timer.reset();
        return apply(tree.timer(now));
      case Kind::shutdown: ending = true; return apply(tree.shutdown(now));
    }
  }

  /// See (5).
  void check_stored() {
    const Stored stored = tree.store(now);
    const Result<Tree> again = Tree::restore(stored, {}, now + 17s);
    if (!again) return wrong("the state is refused: " + again.error().message());
    if (again->store(now + 17s) != stored) wrong("the state changes when it is read");
  }

  /// See (6): each worker ends when it is asked to.
  void check_ends() {
    ending = true;
    apply(tree.shutdown(now));
    for (int i = 0; !over && problem.empty(); ++i) {
      const auto asked = std::ranges::find_if(workers, [](const auto& each) { return each.second.asked; });
      if (i > 10'000 || asked == workers.end()) return wrong("the tree does not end");
      end({Event::Kind::shut_down, asked->first, asked->second.incarnation}, End::shutdown);
    }
  }

  void wrong(const std::string& what) {
    if (problem.empty()) problem = what;
  }

 private:
  void end(const Event& event, End how) {
    workers.erase(event.path);
    apply(tree.ended(event.path, event.incarnation, {how, "reason"}, now));
  }
  void apply(const Action& action) {
    const std::string& path = action.path;
    const auto found = workers.find(path);
    switch (action.kind) {
      case Action::Kind::start:
        if (found != workers.end()) wrong(path + " is started while it exists");
        if (ending || over) wrong(path + " is started after the shutdown");
        if (action.incarnation <= last_) wrong(path + " is started with an old incarnation");
        last_ = action.incarnation;
        ++starts;
        workers[path] = {.incarnation = action.incarnation};
        break;
      case Action::Kind::stop:
      case Action::Kind::kill:
        if (found == workers.end() || found->second.incarnation != action.incarnation)
          return wrong(path + " is stopped and does not exist");
        if (action.kind == Action::Kind::stop && found->second.asked) wrong(path + " is asked to end twice");
        if (found->second.killed) wrong(path + " is killed twice");
        (action.kind == Action::Kind::stop ? found->second.asked : found->second.killed) = true;
        found->second.asked = true;
        if (action.kind == Action::Kind::stop && ordered) check_order(path);
        break;
      case Action::Kind::timer: timer = action.at; break;
      case Action::Kind::ended:
        over = true;
        timer.reset();
        break;
      case Action::Kind::forget: break;
    }
  }
  void adopt(const Record& supervisor, const std::string& path) {
    for (const Record& child : supervisor.children) {
      const std::string name = path_of(path, child.spec);
      if (child.spec.supervisor) adopt(child, name);
      if (child.spec.supervisor || !is_alive(child.phase)) continue;
      workers[name] = {.incarnation = child.incarnation,
                       .up = child.up.has_value(),
                       .asked = is_ending(child.phase),
                       .killed = child.phase == Phase::killing};
    }
  }
  /// None of its siblings after it, in the order of starts, exists.
  void check_order(const std::string& path) {
    const std::string above = path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
    const View view = tree.view();
    const View* parent = &view;
    for (std::size_t at = 0; at < above.size(); at = above.find('/', at) + 1)
      parent = &*std::ranges::find(parent->children, above.substr(at, above.find('/', at) - at), &View::id);
    auto later = std::ranges::find(parent->children, path.substr(above.size()), &View::id);
    while (++later != parent->children.end())
      if (exists(above + later->id)) wrong(path + " is stopped before " + later->id);
  }
  [[nodiscard]] bool exists(const std::string& path) const {
    return std::ranges::any_of(
        workers, [&](const auto& each) { return each.first == path || each.first.starts_with(path + "/"); });
  }
  void compare(const View& view, const std::string& path) {
    if (!view.strategy) {
      const auto found = workers.find(path);
      if (is_alive(view.phase) != (found != workers.end())) return wrong(path + " is not as the view says");
      if (found != workers.end() && found->second.incarnation != view.incarnation)
        wrong(path + " has another incarnation");
      return;
    }
    bool first = true;
    for (const View& child : view.children) {
      if (genuine && *view.strategy != Strategy::one_for_one && child.phase == Phase::starting && !first)
        wrong(path + "/" + child.id + " is started before its turn");
      if (child.phase == Phase::starting || child.phase == Phase::waiting) first = false;
      compare(child, path.empty() ? child.id : path + "/" + child.id);
    }
  }

  std::uint64_t last_ = 0;
};

}  // namespace dms::supervision
