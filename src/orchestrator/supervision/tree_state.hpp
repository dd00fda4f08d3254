// The state of a deployment's supervision tree as its record keeps it: what supervision::Record has beside its spec,
// which follows from the ensemble, and what trees.hpp notes of each allocation.
//
// Enumerations are stored as numbers, instants in nanoseconds from `at_ns`: those of the past are negative. Whoever
// reads them checks them (supervision::check()).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "encoding/json.hpp"

namespace dms::orchestrator {

struct TreeCause {
  std::string path;
  std::string text;
  static constexpr auto json_fields() {
    return std::tuple(json::field("path", &TreeCause::path, json::omit_empty), json::field("text", &TreeCause::text));
  }
};

/// How a supervisor that is ending will have ended.
struct TreeEnding {
  int end = 0;
  bool start_failed = false;
  std::vector<TreeCause> causes;
  static constexpr auto json_fields() {
    using E = TreeEnding;
    return std::tuple(json::field("end", &E::end), json::field("start_failed", &E::start_failed, json::omit_empty),
                      json::field("causes", &E::causes, json::omit_empty));
  }
};

struct SupervisedState {
  int phase = 0;
  int attempt = 0;
  int after = 0;
  bool doomed = false;
  bool asked = false;
  std::uint64_t incarnation = 0;
  std::uint64_t starts = 0;
  std::int64_t since_ns = 0;
  std::optional<std::int64_t> up_ns;
  std::optional<std::int64_t> due_ns;
  std::optional<std::int64_t> deadline_ns;
  std::uint32_t failures = 0;
  std::vector<TreeCause> last;
  // Of supervisors.
  std::vector<std::int64_t> restarts_ns;
  std::optional<TreeEnding> ending;
  // Of allocations.
  std::uint64_t entered = 0;    ///< the start that the manifest follows; 0: none, it is taken as it is
  bool paused = false;          ///< it waits for the end of its pause
  bool awaits = false;          ///< it counts as up, and its start is still to come
  bool stopped = false;         ///< its run is superseded, as the tree stops it
  std::uint32_t unhealthy = 0;  ///< restarts of this run, since it last was healthy
  static constexpr auto json_fields() {
    using S = SupervisedState;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("phase", &S::phase, omit), json::field("attempt", &S::attempt, omit),
                      json::field("after", &S::after, omit), json::field("doomed", &S::doomed, omit),
                      json::field("asked", &S::asked, omit), json::field("incarnation", &S::incarnation, omit),
                      json::field("starts", &S::starts, omit), json::field("since", &S::since_ns, omit),
                      json::field("up", &S::up_ns, omit), json::field("due", &S::due_ns, omit),
                      json::field("deadline", &S::deadline_ns, omit), json::field("failures", &S::failures, omit),
                      json::field("last", &S::last, omit), json::field("restarts", &S::restarts_ns, omit),
                      json::field("ending", &S::ending, omit), json::field("entered", &S::entered, omit),
                      json::field("paused", &S::paused, omit), json::field("awaits", &S::awaits, omit),
                      json::field("stopped", &S::stopped, omit), json::field("unhealthy", &S::unhealthy, omit));
  }
};

struct TreeState {
  std::uint64_t incarnations = 0;                      ///< the last one that was given away
  bool over = false;                                   ///< the tree has ended
  std::int64_t at_ns = 0;                              ///< an instant of the boot that the record names
  std::map<std::string, SupervisedState> supervisors;  ///< by their paths; that of the root is empty
  std::map<std::string, SupervisedState> allocations;  ///< by their names
  json::StringMap machines;  ///< of each node with failure_recovery the one on which its work has last begun
  static constexpr auto json_fields() {
    using T = TreeState;
    return std::tuple(json::field("incarnations", &T::incarnations), json::field("over", &T::over, json::omit_empty),
                      json::field("at", &T::at_ns), json::field("supervisors", &T::supervisors),
                      json::field("allocations", &T::allocations),
                      json::field("machines", &T::machines, json::omit_empty));
  }
};

}  // namespace dms::orchestrator
