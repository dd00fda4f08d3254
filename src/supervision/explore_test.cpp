// Small trees under every order of events, and random trees under random ones.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_map>

#include "supervision/test_checked.hpp"
#include "supervision/test_world.hpp"

namespace dms::supervision {
namespace {

/// What decides how a tree goes on: two states with the same text have the same future.
void describe(const Record& record, Duration now, std::string& text) {
  const auto instant = [&](const std::optional<Duration>& when) {
    return when ? fmt::format("{},", std::max((*when - now).count(), std::int64_t{0})) : std::string("-");
  };
  text += fmt::format("({} {} {} {} {} {} {} {} {}{}{} {}", record.spec.id, static_cast<int>(record.phase),
                      static_cast<int>(record.attempt), static_cast<int>(record.after), record.doomed, record.asked,
                      record.up.has_value(), record.failures, record.restarts.size(), instant(record.due),
                      instant(record.deadline), record.ending ? static_cast<int>(record.ending->end) + 1 : 0);
  for (const Record& child : record.children) describe(child, now, text);
  text += ")";
}

std::string describe(const Checked& checked) {
  const Stored stored = checked.tree.store(checked.now);
  std::string text;
  describe(stored.root, {}, text);
  for (const auto& [path, worker] : checked.workers)
    text += fmt::format("{}{}{}{}", path, worker.up, worker.asked, worker.killed);
  return text + (checked.ending ? "e" : "") + (checked.timer ? "t" : "");
}

std::string to_string(const Event& event) {
  constexpr std::string_view kNames[] = {"started",   "start_failed", "ignored", "ends",    "crashes",
                                         "shut_down", "late",         "timer",   "shutdown"};
  return fmt::format("{} {}", kNames[static_cast<int>(event.kind)], event.path);
}

class Explorer {
 public:
  /// Breaks off at the first problem, and says by which events it is reached.
  void explore(const Checked& at, int depth) {
    if (!problem_.empty()) return;
    int& seen = seen_[describe(at)];
    if (seen >= depth) return;
    if (seen == 0) check(at);
    seen = depth;
    if (at.over) return;
    for (const Event& event : at.choices()) {
      Checked next = at;
      trace_.push_back(to_string(event));
      next.perform(event);
      if (next.problem.empty())
        explore(next, depth - 1);
      else
        report(next.problem);
      trace_.pop_back();
    }
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::size_t states() const { return seen_.size(); }

 private:
  void check(Checked at) {
    at.check_stored();
    if (!at.over) at.check_ends();
    if (!at.problem.empty()) report(at.problem);
  }
  void report(const std::string& problem) {
    if (!problem_.empty()) return;
    problem_ = problem + " after:";
    for (const std::string& event : trace_) problem_ += "\n  " + event;
  }

  std::unordered_map<std::string, int> seen_;
  std::vector<std::string> trace_;
  std::string problem_;
};

void explore(const Spec& spec, int depth) {
  Checked start(Tree::create(spec, SteadyTime(1h)).value(), SteadyTime(1h));
  start.apply(start.tree.start(start.now));
  Explorer explorer;
  explorer.explore(start, depth);
  EXPECT_EQ(explorer.problem(), "");
  EXPECT_GT(explorer.states(), 100U);
}

TEST(ExploreTest, ThreeWorkersOfEachStrategy) {
  for (const Strategy strategy : {Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one})
    explore(
        tree_of(flags_of(strategy, 2), {worker("a"), worker("b", Restart::transient), worker("c", Restart::temporary)}),
        10);
}

TEST(ExploreTest, SupervisorsInSupervisors) {
  for (const Strategy outer : {Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one})
    for (const Strategy inner : {Strategy::one_for_one, Strategy::one_for_all})
      explore(tree_of(flags_of(outer, 1),
                      {worker("a"), supervisor("s", flags_of(inner, 1), {worker("x"), worker("y")}), worker("b")}),
              8);
}

TEST(ExploreTest, PausesTimeLimitsAndSignificantChildren) {
  Flags slow = flags_of(Strategy::rest_for_one, 2);
  slow.pauses = {.first = 10s, .most = 20s, .healthy = 1min};
  slow.auto_shutdown = AutoShutdown::all_significant;
  Spec first = worker("a", Restart::transient), last = worker("c", Restart::temporary);
  first.significant = last.significant = true;
  last.shutdown = Shutdown::brutal_kill();
  Spec sub = supervisor("s", flags_of(Strategy::one_for_one, 0), {worker("x"), worker("y")});
  sub.shutdown = Shutdown::after(1s);
  explore(tree_of(slow, {first, sub, last}), 8);
}

TEST(ExploreTest, ChildrenThatEscalate) {
  Spec fatal = worker("y");
  fatal.escalates = true;
  for (const Strategy inner : {Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one})
    explore(tree_of(flags_of(Strategy::one_for_one, 2),
                    {worker("a"), supervisor("s", flags_of(inner, 2), {worker("x"), fatal, worker("z")})}),
            8);
}

TEST(ExploreTest, NoChildIsStartedMoreOftenThanTheIntensityAllows) {
  // One supervisor, all within its period: one_for_one starts each child once, and once more for each restart.
  Checked start(
      Tree::create(tree_of(flags_of(Strategy::one_for_one, 3), {worker("a"), worker("b")}), SteadyTime(1h)).value(),
      SteadyTime(1h));
  start.apply(start.tree.start(start.now));
  const auto count = [](auto&& self, const Checked& at, int depth) -> std::uint64_t {
    std::uint64_t most = at.starts;
    if (depth == 0) return most;
    for (const Event& event : at.choices()) {
      Checked next = at;
      next.perform(event);
      most = std::max(most, self(self, next, depth - 1));
    }
    return most;
  };
  EXPECT_EQ(count(count, start, 8), 5U);
}

Flags any_flags() {
  Flags flags;
  flags.strategy = static_cast<Strategy>(*rc::gen::inRange(0, 3));
  flags.intensity = *rc::gen::inRange(0U, 5U);
  flags.period = std::chrono::seconds(*rc::gen::inRange(1, 100));
  flags.auto_shutdown = static_cast<AutoShutdown>(*rc::gen::inRange(0, 3));
  if (*rc::gen::arbitrary<bool>()) flags.pauses = {.first = 1s, .most = 8s, .healthy = 30s};
  return flags;
}

Spec any_child(const Flags& parent, const std::string& id, int depth) {
  Spec spec = worker(id, static_cast<Restart>(*rc::gen::inRange(0, 3)));
  spec.significant =
      parent.auto_shutdown != AutoShutdown::never && spec.restart != Restart::permanent && *rc::gen::arbitrary<bool>();
  spec.escalates = spec.restart != Restart::temporary && *rc::gen::inRange(0, 4) == 0;
  const int shutdown = *rc::gen::inRange(0, 4);
  if (shutdown == 0) spec.shutdown = Shutdown::brutal_kill();
  if (shutdown == 1) spec.shutdown = Shutdown::after(2s);
  if (shutdown == 2) spec.shutdown = Shutdown::infinity();
  if (depth == 0 || *rc::gen::inRange(0, 3) > 0) return spec;
  spec.supervisor = any_flags();
  const int children = *rc::gen::inRange(0, 4);
  for (int i = 0; i < children; ++i)
    spec.children.push_back(any_child(*spec.supervisor, std::string(1, static_cast<char>('a' + i)), depth - 1));
  return spec;
}

Spec any_tree() {
  Spec root = tree_of(any_flags(), {});
  const int children = *rc::gen::inRange(1, 6);
  for (int i = 0; i < children; ++i)
    root.children.push_back(any_child(*root.supervisor, std::string(1, static_cast<char>('a' + i)), 2));
  return root;
}

/// A change by the owner, or nothing if it is refused.
void change(Checked& checked) {
  const Stored stored = checked.tree.store(checked.now);
  const Record* parent = &stored.root;
  std::string path;
  while (!parent->children.empty()) {
    const Record& child = parent->children[*rc::gen::inRange(std::size_t{0}, parent->children.size())];
    path = path_of(path, child.spec);
    if (!child.spec.supervisor || *rc::gen::arbitrary<bool>()) break;
    parent = &child;
  }
  const std::string above = path.find('/') == std::string::npos ? "" : path.substr(0, path.rfind('/'));
  const auto take = [&](Result<Actions> actions) {
    if (actions) checked.apply(*actions);
  };
  switch (*rc::gen::inRange(0, 4)) {
    case 0: return take(checked.tree.add(above, any_child(*parent->spec.supervisor, "n", 1), checked.now));
    case 1: return take(checked.tree.remove(path, checked.now));
    case 2: return take(checked.tree.stop_child(path, checked.now));
    default: return take(checked.tree.start_child(path, checked.now));
  }
}

RC_GTEST_PROP(RandomTest, EveryTreeKeepsTheRules, ()) {
  const Spec spec = any_tree();
  SteadyTime now(1h);
  Checked checked(Tree::create(spec, now).value(), now);
  checked.ordered = false;
  checked.apply(checked.tree.start(now));
  const int steps = *rc::gen::inRange(0, 60);
  for (int i = 0; i < steps && !checked.over && checked.problem.empty(); ++i) {
    checked.now += std::chrono::milliseconds(*rc::gen::inRange(0, 3000));
    if (checked.timer && *checked.timer < checked.now) checked.now = *checked.timer;
    if (*rc::gen::inRange(0, 6) == 0) {
      change(checked);
    } else {
      std::vector<Event> events = checked.choices();
      if (events.size() > 1) events.pop_back();  // mostly no shutdown
      for (const auto& [path, worker] : checked.workers)
        if (worker.incarnation > 1) events.push_back({Event::Kind::late, path, worker.incarnation - 1});
      if (!events.empty()) checked.perform(events[*rc::gen::inRange(std::size_t{0}, events.size())]);
    }
    checked.check_stored();
    if (*rc::gen::inRange(0, 8) == 0) {
      Checked copy = checked;
      if (!copy.over) copy.check_ends();
      RC_ASSERT(copy.problem == "");
    }
  }
  if (!checked.over) checked.check_ends();
  RC_ASSERT(checked.problem == "");
}

}  // namespace
}  // namespace dms::supervision
