// What a supervision tree is made of: supervisors, workers, and the rules by which they are restarted.
//
// Model
//  1. The names, meanings and defaults are those of Erlang/OTP's supervisor: 1 restart in 5 s, permanent children, 5 s
//     to end a worker, as long as it takes to end a supervisor. Pauses are an addition; without them a restart is due
//     at once. What differs from OTP, and why: docs/decisions/0917-supervision.md.
//  2. A child is a supervisor if its flags are given, else a worker. The root is a supervisor with flags and
//     children only.
//  3. A place in the tree is a path: the ids from the root down, separated by slashes; the root is "".
//
// Threads: values. Failure: check() names the member, such as `children.web.significant`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace dms::supervision {

inline constexpr std::size_t kMaxDepth = 16;  ///< of a tree, the root included
inline constexpr std::size_t kMaxSize = 65'536;
inline constexpr std::size_t kMaxId = 256;                ///< bytes
inline constexpr unsigned kMaxIntensity = 1000;           ///< each restart of a period is remembered
inline constexpr Duration kMaxDuration = 24h * 365 * 10;  ///< of a period, a pause, a time to end
inline constexpr Duration kWorkerTimeout = 5s;            ///< OTP's default
inline constexpr std::string_view kPathSeparator = "/";

/// Which children are started again with one that has failed.
enum class Strategy {
  one_for_one,   ///< it alone
  one_for_all,   ///< all
  rest_for_one,  ///< those after it in the order of starts
};

/// Which ends of a child are made up for.
enum class Restart {
  permanent,  ///< all
  transient,  ///< abnormal ones
  temporary,  ///< none; the child is forgotten once it has ended
};

/// When a supervisor ends because significant children have ended for good.
enum class AutoShutdown { never, any_significant, all_significant };

/// How an end counts. OTP's {shutdown, Term} is `shutdown` with a text.
enum class End { normal, shutdown, abnormal };

struct Reason {
  End end = End::abnormal;
  std::string text;
  bool at_once = false;  ///< the child is not to blame: if no failure precedes it, no pause follows

  friend bool operator==(const Reason&, const Reason&) = default;
};

/// How a child is stopped.
struct Shutdown {
  enum class Kind {
    brutal_kill,  ///< it is killed without being asked
    timeout,      ///< it is asked, and killed after `timeout`
    infinity,     ///< it is asked, and waited for
  };
  Kind kind = Kind::timeout;
  Duration timeout = kWorkerTimeout;  ///< counts for Kind::timeout only

  static constexpr Shutdown brutal_kill() { return {Kind::brutal_kill, {}}; }
  static constexpr Shutdown after(Duration timeout) { return {Kind::timeout, timeout}; }
  static constexpr Shutdown infinity() { return {Kind::infinity, {}}; }
  friend bool operator==(const Shutdown&, const Shutdown&) = default;
};

/// How long a child that has failed waits before it is started again: `first`, then twice as long for each failure that
/// follows, at most `most`. A run of at least `healthy` makes the next pause `first` again. All zero: no pauses. See
/// Reason::at_once, too.
struct Pauses {
  Duration first{};
  Duration most{};
  Duration healthy{};

  friend bool operator==(const Pauses&, const Pauses&) = default;
};

/// Of a supervisor. More than `intensity` restarts within `period` end it.
struct Flags {
  Strategy strategy = Strategy::one_for_one;
  unsigned intensity = 1;
  Duration period = 5s;
  AutoShutdown auto_shutdown = AutoShutdown::never;
  Pauses pauses;
  /// Its restarts of the period count also after it has been started anew. An addition to OTP's.
  bool remembers = false;

  friend bool operator==(const Flags&, const Flags&) = default;
};

struct Spec {
  std::string id;  ///< unique among its siblings; no slash and no control character
  Restart restart = Restart::permanent;
  /// Its end may end the supervisor, see AutoShutdown. Not for permanent children, nor with AutoShutdown::never.
  bool significant = false;
  /// Its own failure is not made up for: its supervisor fails with it, and stops its siblings. It is started again with
  /// others by a strategy. An addition to OTP's; not for temporary children.
  bool escalates = false;
  std::optional<Shutdown> shutdown;  ///< unset: OTP's default, see shutdown_of()
  std::optional<Flags> supervisor;   ///< unset: a worker
  std::vector<Spec> children;        ///< of a supervisor, in the order of their starts

  friend bool operator==(const Spec&, const Spec&) = default;
};

/// kWorkerTimeout for a worker and infinity for a supervisor, unless the spec says otherwise.
[[nodiscard]] Shutdown shutdown_of(const Spec& spec);

[[nodiscard]] std::string_view to_string(Strategy strategy);
[[nodiscard]] std::string_view to_string(Restart restart);
[[nodiscard]] std::string_view to_string(AutoShutdown when);
[[nodiscard]] std::string_view to_string(End end);

/// Of a whole tree.
[[nodiscard]] Result<void> check(const Spec& root);

/// Of parts, for whoever changes a tree or reads a stored one. `at`: the place that errors name.
[[nodiscard]] Result<void> check_flags(const Flags& flags, const std::string& at);
/// Of a spec without its children, under a supervisor with `parent`.
[[nodiscard]] Result<void> check_child(const Spec& spec, const Flags& parent, const std::string& at);
/// Of a spec with all that is below it; `depth` is its own, that of the root is 1.
[[nodiscard]] Result<void> check_subtree(const Spec& spec, const Flags& parent, const std::string& at,
                                         std::size_t depth);
/// Places and the errors at them.
[[nodiscard]] std::string member(const std::string& at, std::string_view name);
[[nodiscard]] std::unexpected<Error> wrong(const std::string& at, std::string_view what);

/// How many specs there are, the root included.
[[nodiscard]] std::size_t size_of(const Spec& root);

}  // namespace dms::supervision
