// A driver for tests: it carries out what a tree wants, at once or when the test says so, and keeps a log of it.
#pragma once

#include <deque>
#include <map>
#include <set>

#include "supervision/tree.hpp"

namespace dms::supervision {

inline constexpr Flags kPatient{.intensity = 100, .period = 1h};
inline Flags flags_of(Strategy strategy, unsigned intensity = 100) {
  return {.strategy = strategy, .intensity = intensity, .period = 1h};
}

inline Spec worker(std::string id, Restart restart = Restart::permanent) {
  return {.id = std::move(id), .restart = restart};
}
inline Spec supervisor(std::string id, Flags flags, std::vector<Spec> children) {
  return {.id = std::move(id), .supervisor = flags, .children = std::move(children)};
}
inline Spec tree_of(Flags flags, std::vector<Spec> children) { return supervisor("", flags, std::move(children)); }

class World {
 public:
  using Log = std::vector<std::string>;
  explicit World(const Spec& root) : tree(Tree::create(root, SteadyTime(100h)).value()) {}
  explicit World(Tree restored) : tree(std::move(restored)) {}

  Tree tree;
  SteadyTime now{100h};
  std::map<std::string, int, std::less<>> failures;  ///< how often a start still fails
  std::set<std::string, std::less<>> slow;           ///< whose starts the test answers
  std::set<std::string, std::less<>> stubborn;       ///< whose stops the test answers; killed they end
  std::map<std::string, std::uint64_t, std::less<>> alive;
  std::optional<Action> over;
  std::optional<SteadyTime> timer;

  Log start() { return carry_out(tree.start(now)); }
  Log crash(const std::string& path, std::string why = "crash") { return end(path, {End::abnormal, std::move(why)}); }
  Log end(const std::string& path, Reason reason) {
    const auto found = alive.find(path);
    if (found == alive.end()) return {};
    const std::uint64_t incarnation = found->second;
    alive.erase(found);
    return carry_out(tree.ended(path, incarnation, std::move(reason), now));
  }
  /// Answers a slow start.
  Log started(const std::string& path) { return carry_out(tree.started(path, alive.at(path), now)); }
  Log start_failed(const std::string& path, std::string why = "refused") {
    const std::uint64_t incarnation = alive.at(path);
    alive.erase(path);
    return carry_out(tree.start_failed(path, incarnation, std::move(why), now));
  }
  Log shutdown() { return carry_out(tree.shutdown(now)); }
  /// Time passes; the timer is called when it is due.
  Log pass(Duration time) {
    const SteadyTime until = now + time;
    Log log;
    while (timer && *timer <= until) {
      now = *std::exchange(timer, std::nullopt);
      const Log more = carry_out(tree.timer(now));
      log.insert(log.end(), more.begin(), more.end());
    }
    now = until;
    return log;
  }
  Log carry_out(Actions actions) {
    std::deque<Action> queue(actions.begin(), actions.end());
    Log log;
    while (!queue.empty()) {
      const Action action = std::move(queue.front());
      queue.pop_front();
      const Actions more = carry_out(action, log);
      queue.insert(queue.end(), more.begin(), more.end());
    }
    return log;
  }

 private:
  Actions carry_out(const Action& action, Log& log) {
    const std::string& path = action.path;
    switch (action.kind) {
      case Action::Kind::start: return start(action, log);
      case Action::Kind::timer: timer = action.at; return {};
      case Action::Kind::ended:
        over = action;
        timer.reset();
        log.emplace_back("over");
        return {};
      case Action::Kind::forget: log.push_back("forget " + path); return {};
      case Action::Kind::stop:
      case Action::Kind::kill: break;
    }
    const bool kill = action.kind == Action::Kind::kill;
    log.push_back((kill ? "kill " : "stop ") + path);
    if (!kill && stubborn.contains(path)) return {};
    alive.erase(path);
    return tree.ended(path, action.incarnation, {kill ? End::abnormal : End::shutdown, "asked"}, now);
  }
  Actions start(const Action& action, Log& log) {
    const std::string& path = action.path;
    if (failures[path] > 0) {
      --failures[path];
      log.push_back("fail " + path);
      return tree.start_failed(path, action.incarnation, "refused", now);
    }
    log.push_back("start " + path);
    alive[path] = action.incarnation;
    return slow.contains(path) ? Actions{} : tree.started(path, action.incarnation, now);
  }
};

}  // namespace dms::supervision
