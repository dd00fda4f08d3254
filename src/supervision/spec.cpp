#include "supervision/spec.hpp"

#include <algorithm>
#include <set>

#include "base/text.hpp"

namespace dms::supervision {
namespace {

bool in_range(Duration value, Duration least) { return value >= least && value <= kMaxDuration; }

Result<void> check_id(const std::string& id, const std::string& at) {
  if (id.empty() || id.size() > kMaxId)
    return wrong(member(at, "id"), fmt::format("expected 1 to {} bytes, found {}", kMaxId, id.size()));
  if (id.find(kPathSeparator) != std::string::npos || printable(id) != id)
    return wrong(member(at, "id"), "expected text without slashes and control characters");
  return {};
}

Result<void> check_pauses(const Pauses& pauses, const std::string& at) {
  if (pauses == Pauses{}) return {};
  if (!in_range(pauses.first, 1ns)) return wrong(member(at, "first"), "expected more than 0, at most ten years");
  if (!in_range(pauses.most, pauses.first))
    return wrong(member(at, "most"), "expected at least the first pause, at most ten years");
  if (!in_range(pauses.healthy, 1ns)) return wrong(member(at, "healthy"), "expected more than 0, at most ten years");
  return {};
}

Result<void> check_shutdown(const Shutdown& shutdown, const std::string& at) {
  if (shutdown.kind < Shutdown::Kind::brutal_kill || shutdown.kind > Shutdown::Kind::infinity)
    return wrong(member(at, "kind"), "expected brutal_kill, timeout or infinity");
  if (!in_range(shutdown.timeout, 0ns)) return wrong(member(at, "timeout"), "expected 0 to ten years");
  return {};
}

Result<void> check_children(const Spec& supervisor, const std::string& at, std::size_t depth) {
  std::set<std::string_view> ids;
  for (const Spec& child : supervisor.children) {
    const std::string place = member(member(at, "children"), child.id);
    TRY_VOID(check_subtree(child, *supervisor.supervisor, place, depth + 1));
    if (!ids.insert(child.id).second) return wrong(place, "two siblings have this id");
  }
  return {};
}

}  // namespace

Shutdown shutdown_of(const Spec& spec) {
  if (spec.shutdown) return *spec.shutdown;
  return spec.supervisor ? Shutdown::infinity() : Shutdown::after(kWorkerTimeout);
}

std::string_view to_string(Strategy strategy) {
  switch (strategy) {
    case Strategy::one_for_one: return "one_for_one";
    case Strategy::one_for_all: return "one_for_all";
    case Strategy::rest_for_one: return "rest_for_one";
  }
  return "?";
}

std::string_view to_string(Restart restart) {
  switch (restart) {
    case Restart::permanent: return "permanent";
    case Restart::transient: return "transient";
    case Restart::temporary: return "temporary";
  }
  return "?";
}

std::string_view to_string(AutoShutdown when) {
  switch (when) {
    case AutoShutdown::never: return "never";
    case AutoShutdown::any_significant: return "any_significant";
    case AutoShutdown::all_significant: return "all_significant";
  }
  return "?";
}

std::string_view to_string(End end) {
  switch (end) {
    case End::normal: return "normal";
    case End::shutdown: return "shutdown";
    case End::abnormal: return "abnormal";
  }
  return "?";
}

std::string member(const std::string& at, std::string_view name) {
  return at.empty() ? std::string(name) : fmt::format("{}.{}", at, name);
}

std::unexpected<Error> wrong(const std::string& at, std::string_view what) {
  const std::string place = printable(shortened(at, 1024));
  std::string message = fmt::format("{}: {}", place, what);
  return std::unexpected(Error(Errc::invalid_argument, message).in(place, message));
}

Result<void> check_flags(const Flags& flags, const std::string& at) {
  if (flags.strategy < Strategy::one_for_one || flags.strategy > Strategy::rest_for_one)
    return wrong(member(at, "strategy"), "expected one_for_one, one_for_all or rest_for_one");
  if (flags.intensity > kMaxIntensity)
    return wrong(member(at, "intensity"), fmt::format("expected 0 to {}, found {}", kMaxIntensity, flags.intensity));
  if (!in_range(flags.period, 1ns)) return wrong(member(at, "period"), "expected more than 0, at most ten years");
  if (flags.auto_shutdown < AutoShutdown::never || flags.auto_shutdown > AutoShutdown::all_significant)
    return wrong(member(at, "auto_shutdown"), "expected never, any_significant or all_significant");
  return check_pauses(flags.pauses, member(at, "pauses"));
}

Result<void> check_child(const Spec& spec, const Flags& parent, const std::string& at) {
  TRY_VOID(check_id(spec.id, at));
  if (spec.restart < Restart::permanent || spec.restart > Restart::temporary)
    return wrong(member(at, "restart"), "expected permanent, transient or temporary");
  if (spec.significant && spec.restart == Restart::permanent)
    return wrong(member(at, "significant"), "a permanent child cannot be significant: it never ends for good");
  if (spec.significant && parent.auto_shutdown == AutoShutdown::never)
    return wrong(member(at, "significant"), "the supervisor's auto_shutdown is never: no child is significant");
  if (spec.escalates && spec.restart == Restart::temporary)
    return wrong(member(at, "escalates"), "a temporary child is not started again: its end is no failure");
  if (spec.shutdown) TRY_VOID(check_shutdown(*spec.shutdown, member(at, "shutdown")));
  if (spec.supervisor) TRY_VOID(check_flags(*spec.supervisor, member(at, "supervisor")));
  if (!spec.supervisor && !spec.children.empty())
    return wrong(member(at, "children"), "a worker has no children: a supervisor needs flags");
  return {};
}

Result<void> check_subtree(const Spec& spec, const Flags& parent, const std::string& at, std::size_t depth) {
  TRY_VOID(check_child(spec, parent, at));
  if (depth > kMaxDepth) return wrong(at, fmt::format("deeper than {} levels", kMaxDepth));
  return check_children(spec, at, depth);
}

Result<void> check(const Spec& root) {
  if (!root.supervisor) return wrong("supervisor", "the root of a tree is a supervisor: it needs flags");
  if (!root.id.empty()) return wrong("id", "the root of a tree has no id");
  if (root.restart != Restart::permanent || root.significant || root.escalates || root.shutdown)
    return wrong("restart", "the root of a tree has no parent: nothing restarts or stops it");
  TRY_VOID(check_flags(*root.supervisor, "supervisor"));
  TRY_VOID(check_children(root, "", 1));
  if (size_of(root) > kMaxSize) return wrong("children", fmt::format("more than {} in the tree", kMaxSize));
  return {};
}

std::size_t size_of(const Spec& root) {
  std::size_t size = 1;
  for (const Spec& child : root.children) size += size_of(child);
  return size;
}

}  // namespace dms::supervision
