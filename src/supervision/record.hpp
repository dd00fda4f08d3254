// What a tree knows of each supervisor and worker, and the form of it that is stored.
//
// Model
//  1. A Record is a child with its spec, its state and, of a supervisor, the records of its children in the order of
//     their starts. spec.children is empty.
//  2. The state of a child:
//
//         idle -> waiting -> starting -> running -> stopping -> killing -> idle, waiting or gone
//
//     It waits for its turn, for the end of its pause, or both. stopping: it was asked to end, or a supervisor ends of
//     itself. gone: it is no child any more; a supervisor that starts anew starts again those of its spec.
//  3. A child that is to be stopped is `doomed` from then on, and `asked` from its turn on. What follows its end is in
//     `after`.
//  4. Instants are durations since the origin of the clock in use. In a Stored they are relative to the moment of
//     storing: those in the past are negative.
//
// Threads: values. Failure: check() names the member, such as `root.children.web.phase`. Attacks: a stored state of any
// content is refused or leads to a tree that keeps all rules (stored_fuzz.cpp).
#pragma once

#include "supervision/spec.hpp"

namespace dms::supervision {

inline constexpr std::size_t kMaxReason = 1024;  ///< bytes of a text; longer ones are cut
inline constexpr std::size_t kMaxCauses = kMaxDepth + 1;

enum class Phase { idle, waiting, starting, running, stopping, killing, gone };

/// What a start is for, which decides what its failure means.
enum class Attempt {
  initial,  ///< by the start of the supervisor, which fails with it
  added,    ///< of a child that was added, which is forgotten
  asked,    ///< by Tree::start_child(): the child stays idle
  restart,  ///< of a child that has ended: counts as another restart
};

/// What follows the end of a child that is doomed.
enum class After { idle, restart, removed };

/// Why something ended: at a place in the tree, for a reason. The first of several is the nearest to the root.
struct Cause {
  std::string path;
  std::string text;

  friend bool operator==(const Cause&, const Cause&) = default;
};

/// How a supervisor that is ending will have ended.
struct Ending {
  End end = End::shutdown;
  bool start_failed = false;  ///< before it was up
  std::vector<Cause> causes;

  friend bool operator==(const Ending&, const Ending&) = default;
};

struct Record {
  Spec spec;
  Phase phase = Phase::idle;
  Attempt attempt = Attempt::initial;
  After after = After::idle;
  bool doomed = false;
  bool asked = false;
  std::uint64_t incarnation = 0;  ///< of the last start; no two starts in a tree have the same
  std::uint64_t starts = 0;
  Duration since{};                  ///< the phase's
  std::optional<Duration> up;        ///< since when it has been running, also while it stops
  std::optional<Duration> due;       ///< a start is not made before
  std::optional<Duration> deadline;  ///< when it is killed
  unsigned failures = 0;             ///< without a long healthy run between them
  std::vector<Cause> last;           ///< why it last ended

  /// Of supervisors: restarts within the period, oldest first; and how it ends, in the phases stopping and killing.
  /// That of the root remains once the tree has ended.
  std::vector<Duration> restarts;
  std::optional<Ending> ending;
  std::vector<Record> children;

  friend bool operator==(const Record&, const Record&) = default;
};

struct Stored {
  std::uint64_t incarnations = 0;  ///< the last one that was given away
  bool over = false;               ///< the tree has ended
  Record root;

  friend bool operator==(const Stored&, const Stored&) = default;
};

[[nodiscard]] Result<void> check(const Stored& stored);

/// Something exists that has to end before the child can be started.
[[nodiscard]] constexpr bool is_alive(Phase phase) {
  return phase == Phase::starting || phase == Phase::running || phase == Phase::stopping || phase == Phase::killing;
}
[[nodiscard]] constexpr bool is_ending(Phase phase) { return phase == Phase::stopping || phase == Phase::killing; }
/// Of a supervisor: it restarts its children.
[[nodiscard]] constexpr bool is_up(Phase phase) { return phase == Phase::starting || phase == Phase::running; }

[[nodiscard]] std::string_view to_string(Phase phase);

/// The path of a child of `parent`.
[[nodiscard]] std::string path_of(const std::string& parent, const Spec& child);

}  // namespace dms::supervision
