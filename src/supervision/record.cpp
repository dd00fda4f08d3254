#include "supervision/record.hpp"

#include <algorithm>
#include <set>

namespace dms::supervision {
namespace {

class Check {
 public:
  explicit Check(const Stored& stored) : stored_(stored) {}

  Result<void> run() {
    const Record& root = stored_.root;
    TRY_VOID(in_place("root", check(root.spec), "spec"));
    if (root.phase == Phase::gone || root.phase == Phase::waiting) return bad("root", "phase", "no phase of a root");
    if (root.doomed || root.asked) return bad("root", "doomed", "nothing stops a root");
    if (root.deadline) return bad("root", "deadline", "nothing stops a root");
    if (stored_.over && (root.phase != Phase::idle || !root.ending))
      return bad("root", "phase", "the tree has ended: expected idle, with an ending");
    return check_record(root, nullptr, "root", 1);
  }

 private:
  static std::unexpected<Error> bad(const std::string& at, std::string_view name, std::string_view what) {
    return wrong(member(at, name), what);
  }
  /// The same failure, found below `at`.
  static Result<void> in_place(const std::string& at, Result<void> checked, std::string_view name) {
    if (checked) return {};
    const std::string place = member(member(at, name), checked.error().path());
    return wrong(place, checked.error().message());
  }
  static bool in_range(Duration value, Duration least, Duration most) { return value >= least && value <= most; }
  static bool is_past(Duration value) { return in_range(value, -kMaxDuration, 0ns); }

  Result<void> check_record(const Record& record, const Record* parent, const std::string& at, std::size_t depth) {
    if (++size_ > kMaxSize) return wrong(at, fmt::format("more than {} in the tree", kMaxSize));
    if (depth > kMaxDepth) return wrong(at, fmt::format("deeper than {} levels", kMaxDepth));
    if (!record.spec.children.empty()) return bad(at, "spec.children", "expected none: they have records");
    TRY_VOID(check_values(record, at));
    TRY_VOID(check_stop(record, at));
    TRY_VOID(check_causes(record.last, member(at, "last")));
    if (parent != nullptr) TRY_VOID(check_under(record, *parent, at));
    return record.spec.supervisor ? check_supervisor(record, at, depth) : check_worker(record, at);
  }

  Result<void> check_values(const Record& record, const std::string& at) {
    if (record.phase < Phase::idle || record.phase > Phase::gone) return bad(at, "phase", "no known phase");
    if (record.attempt < Attempt::initial || record.attempt > Attempt::restart)
      return bad(at, "attempt", "no known attempt");
    if (record.after < After::idle || record.after > After::removed) return bad(at, "after", "no known value");
    if (!is_past(record.since)) return bad(at, "since", "expected a time of the last ten years");
    if (record.up && !is_past(*record.up)) return bad(at, "up", "expected a time of the last ten years");
    for (const auto& [name, instant] : {std::pair("due", record.due), std::pair("deadline", record.deadline)})
      if (instant && !in_range(*instant, -kMaxDuration, kMaxDuration))
        return bad(at, name, "expected a time within ten years");
    if (record.incarnation > stored_.incarnations)
      return bad(at, "incarnation", "larger than the last one that was given away");
    if (record.incarnation > 0 && !incarnations_.insert(record.incarnation).second)
      return bad(at, "incarnation", "another child has the same");
    if (is_alive(record.phase) && record.incarnation == 0) return bad(at, "incarnation", "it was never started");
    if ((record.starts == 0) != (record.incarnation == 0)) return bad(at, "starts", "it disagrees with incarnation");
    if (record.phase == Phase::running && !record.up) return bad(at, "up", "it runs: expected since when");
    if (record.phase == Phase::starting && record.up) return bad(at, "up", "it is starting: expected none");
    return {};
  }

  static Result<void> check_stop(const Record& record, const std::string& at) {
    if (record.doomed && !is_alive(record.phase)) return bad(at, "doomed", "nothing is there to be stopped");
    if (record.asked && (!record.doomed || !is_ending(record.phase)))
      return bad(at, "asked", "expected a child that is doomed, and stopping or killing");
    if (!record.doomed && record.phase != Phase::gone && record.after != After::idle)
      return bad(at, "after", "it is not to be stopped");
    if (record.phase == Phase::gone && record.after == After::restart)
      return bad(at, "after", "it does not exist any more");
    if (record.deadline && (!record.asked || record.phase != Phase::stopping))
      return bad(at, "deadline", "it was not asked to end");
    return {};
  }

  static Result<void> check_causes(const std::vector<Cause>& causes, const std::string& at) {
    if (causes.size() > kMaxCauses) return wrong(at, fmt::format("more than {}", kMaxCauses));
    for (const Cause& cause : causes)
      if (cause.text.size() > kMaxReason || cause.path.size() > kMaxDepth * (kMaxId + 1))
        return wrong(at, "a cause is too long");
    return {};
  }

  static Result<void> check_under(const Record& record, const Record& parent, const std::string& at) {
    TRY_VOID(in_place(at, check_child(record.spec, *parent.spec.supervisor, ""), "spec"));
    if (is_up(parent.phase)) return {};
    if (record.phase == Phase::waiting) return bad(at, "phase", "its supervisor starts nothing");
    if (!is_alive(record.phase)) return {};
    if (!is_ending(parent.phase)) return bad(at, "phase", "its supervisor does not run");
    if (!record.doomed) return bad(at, "doomed", "its supervisor is ending: expected true");
    if (parent.phase == Phase::killing && (record.phase != Phase::killing || !record.asked))
      return bad(at, "phase", "its supervisor is killed: expected killing, and asked");
    return {};
  }

  static Result<void> check_worker(const Record& record, const std::string& at) {
    if (!record.children.empty()) return bad(at, "children", "a worker has none");
    if (!record.restarts.empty()) return bad(at, "restarts", "a worker has none");
    if (record.ending) return bad(at, "ending", "a worker has none");
    if (is_ending(record.phase) && !record.asked) return bad(at, "asked", "a worker ends only if it is asked to");
    return {};
  }

  Result<void> check_supervisor(const Record& record, const std::string& at, std::size_t depth) {
    if (record.restarts.size() > kMaxIntensity || !std::ranges::is_sorted(record.restarts))
      return bad(at, "restarts", fmt::format("expected at most {}, oldest first", kMaxIntensity));
    if (!std::ranges::all_of(record.restarts, is_past)) return bad(at, "restarts", "expected times of the past");
    const bool over = depth == 1 && stored_.over;
    if (record.ending.has_value() != (over || is_ending(record.phase)))
      return bad(at, "ending", "expected with the phases stopping and killing, and only there");
    if (record.ending) {
      if (record.ending->end < End::normal || record.ending->end > End::abnormal)
        return bad(at, "ending.end", "no known end");
      TRY_VOID(check_causes(record.ending->causes, member(at, "ending.causes")));
    }
    std::set<std::string_view> ids;
    for (const Record& child : record.children) {
      const std::string place = member(member(at, "children"), child.spec.id);
      TRY_VOID(check_record(child, &record, place, depth + 1));
      if (!ids.insert(child.spec.id).second) return wrong(place, "two siblings have this id");
    }
    return {};
  }

  const Stored& stored_;
  std::size_t size_ = 0;
  std::set<std::uint64_t> incarnations_;
};

}  // namespace

Result<void> check(const Stored& stored) { return Check(stored).run(); }

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::idle: return "idle";
    case Phase::waiting: return "waiting";
    case Phase::starting: return "starting";
    case Phase::running: return "running";
    case Phase::stopping: return "stopping";
    case Phase::killing: return "killing";
    case Phase::gone: return "gone";
  }
  return "?";
}

std::string path_of(const std::string& parent, const Spec& child) {
  return parent.empty() ? child.id : parent + std::string(kPathSeparator) + child.id;
}

}  // namespace dms::supervision
