// A supervision tree: the rules of OTP's supervisors as a state machine. It is told what happens and returns what to
// do.
//
// Model
//  1. Actions. The owner of a tree, its driver, carries them out in order and reports each outcome: a start is answered
//     by started(), start_failed() or ignored(), a stop and a kill by ended(). Workers only: what a supervisor does
//     follows from its children. Each start has a number, the incarnation; a report that names another one than the
//     child's last is late and ignored, as is one that does not fit the child's state.
//  2. Starts. A supervisor starts its children in order, each once the one before it is up. If a child cannot be
//     started, those that are up are stopped, and the supervisor has failed to start. A worker that ends before it is
//     reported as started was up.
//  3. Ends. A child that ends of itself is started again if its restart type says so, with the children that the
//     strategy names: those that are up are stopped first, in reverse order, one at a time; then they are started in
//     order. With one_for_all and rest_for_one that includes children that had ended for good and were not temporary. A
//     restart that fails counts as another one. With one_for_one, children are restarted independently of each other.
//  4. Intensity. More restarts than `intensity` within `period`: the supervisor stops its children in reverse order and
//     has failed, which its parent treats as the abnormal end of a child. If it is the root, the tree has failed. The
//     same follows from the first failure of a child that escalates. A supervisor that is started anew counts from
//     zero, unless it remembers.
//  5. Automatic shutdown. The end for good of a significant child, by itself, may end the supervisor, as `shutdown`.
//  6. Stops. A child is asked to end, for as long as its shutdown allows, then killed. A kill has no time limit. A
//     supervisor that is killed kills its workers at once, in parallel. Of those, and of all that is stopped, the end
//     is waited for: two incarnations of a child never exist at once. What is to be stopped starts nothing while it
//     waits for its turn.
//  7. Pauses. See Pauses; only the child that has failed waits, and those that start after it. What is stopped with it
//     is stopped at once.
//  8. Changes. Children can be added (at the end of the order), removed, stopped, started and given other properties
//     while the tree lives. What is added remains part of the tree when its supervisor is started anew, unless it is
//     temporary.
//  9. Durable. store() is the whole state. A driver that stores it before it carries out the actions of an event can go
//     on with restore() and resume(), with all counts and pauses; a repeated action has the same incarnation.
//
// Time is given to each call and must not go back. Each list of actions holds at most one Action::timer, which replaces
// the one before: when, if nothing else happens before, timer() is to be called.
//
// Threads: none of its own; one at a time. Cost of an event: linear in the size of the tree. Failure: reports never
// fail; changes return Errc::not_found, Errc::already_exists, Errc::closed or Errc::invalid_argument and change
// nothing. Attacks: reasons are shortened to kMaxReason bytes and may hold anything else; whoever prints them makes
// them printable.
#pragma once

#include "supervision/record.hpp"

namespace dms::supervision {

struct Action {
  enum class Kind {
    start,   ///< start a worker
    stop,    ///< ask a worker to end, which it has `grace` for
    kill,    ///< end a worker without asking
    forget,  ///< the child is no part of the tree any more: it was removed, or was temporary and has ended
    timer,   ///< call timer() at `at`; never, if that is unset
    ended,   ///< the tree has ended: nothing of it exists
  };
  Kind kind = Kind::start;
  std::string path;
  std::uint64_t incarnation = 0;  ///< of start, stop and kill
  std::optional<Duration> grace;  ///< of stop: unset if the time is unlimited. The tree keeps the time itself.
  std::optional<SteadyTime> at;   ///< of timer
  End end = End::shutdown;        ///< of ended: abnormal if the tree has failed
  std::vector<Cause> causes;      ///< of ended

  friend bool operator==(const Action&, const Action&) = default;
};
using Actions = std::vector<Action>;

[[nodiscard]] std::string_view to_string(Action::Kind kind);

/// A supervisor or a worker as people want to see it.
struct View {
  std::string id;
  Restart restart = Restart::permanent;
  std::optional<Strategy> strategy;  ///< of a supervisor
  Phase phase = Phase::idle;
  std::uint64_t incarnation = 0;
  std::uint64_t restarts = 0;              ///< since the tree began, those by a strategy included
  SteadyTime since{};                      ///< the phase's
  std::optional<SteadyTime> next_attempt;  ///< while it waits for the end of a pause
  std::vector<Cause> last;                 ///< why it last ended
  std::vector<View> children;
};

class Tree {
 public:
  /// Nothing is started before start().
  static Result<Tree> create(const Spec& root, SteadyTime now);

  Actions start(SteadyTime now);
  Actions started(std::string_view path, std::uint64_t incarnation, SteadyTime now);
  Actions start_failed(std::string_view path, std::uint64_t incarnation, std::string reason, SteadyTime now);
  /// There is nothing to start, and that is no failure.
  Actions ignored(std::string_view path, std::uint64_t incarnation, SteadyTime now);
  /// Of itself or because it was asked to.
  Actions ended(std::string_view path, std::uint64_t incarnation, Reason reason, SteadyTime now);
  Actions timer(SteadyTime now);

  /// Stops everything, in reverse order; the tree then ends.
  Actions shutdown(SteadyTime now);
  /// The same, with all workers killed at once.
  Actions kill(SteadyTime now);

  /// Adds a child to the supervisor at `parent`, with all that is below it, and starts it. If it cannot be started it
  /// is forgotten.
  Result<Actions> add(std::string_view parent, const Spec& child, SteadyTime now);
  /// Stops a child and removes it.
  Result<Actions> remove(std::string_view path, SteadyTime now);
  /// Stops a child, which stays idle until start_child() or a strategy starts it. One that is temporary is forgotten.
  Result<Actions> stop_child(std::string_view path, SteadyTime now);
  /// Starts a child that is idle; that it cannot be started is no failure of the supervisor.
  Result<Actions> start_child(std::string_view path, SteadyTime now);
  /// Changes all members of a spec but the id, the children and whether it is a supervisor. Nothing is stopped or
  /// started; the next decision follows the new ones.
  Result<void> update(std::string_view path, const Spec& child);

  [[nodiscard]] bool is_over() const { return over_; }
  [[nodiscard]] View view() const;

  [[nodiscard]] Stored store(SteadyTime now) const;
  /// `away`: how long ago that was stored. What was due meanwhile is due.
  static Result<Tree> restore(const Stored& stored, Duration away, SteadyTime now);
  /// After restore(): the actions that may not have been carried out. A driver whose workers have ended with it reports
  /// that of each that the view has alive.
  Actions resume(SteadyTime now);

 private:
  struct Place {
    Record* parent = nullptr;
    Record* child = nullptr;
    std::string path;
  };
  Tree() = default;

  [[nodiscard]] Place find(std::string_view path);
  [[nodiscard]] Place reported(std::string_view path, std::uint64_t incarnation);
  Result<Place> changed(std::string_view path);

  /// Does what has become possible, and returns all actions of the event.
  Actions settle();
  /// `held`: what is above is to be stopped, so nothing is started.
  bool settle(Record& supervisor, const std::string& path, bool held);
  bool expire(Record& supervisor, const std::string& path);
  bool sweep(Record& supervisor);
  bool stop_next(Record& supervisor, const std::string& path);
  bool start_next(Record& supervisor, const std::string& path);

  void begin(Record& child, const std::string& path);
  void come_up(Record& child);
  void has_ended(Record& supervisor, Record& child, const std::string& path, End how, std::vector<Cause> causes,
                 bool at_once = false);
  void failed_to_start(Record& supervisor, Record& child, const std::string& path, std::vector<Cause> causes);
  void supervisor_ended(Record& supervisor, Record& child, const std::string& path);
  void stopped(Record& supervisor, Record& child, const std::string& path);
  void end_for_good(Record& child, const std::string& path);
  void restart(Record& supervisor, Record& child, const std::string& path, bool at_once = false);
  bool count_restart(Record& supervisor);
  void restart_with(Record& supervisor, Record& child, bool at_once);
  Duration pause_of(const Pauses& pauses, Record& child, bool at_once);
  void end(Record& supervisor, Ending ending);
  void stop(Record& child, const std::string& path);
  void kill_all(Record& supervisor, const std::string& path);
  void drop(Record& child, const std::string& path, bool erase);
  void enter(Record& child, Phase phase);
  void emit(Action::Kind kind, const Record& child, const std::string& path);
  void set_timer();
  void resume(const Record& supervisor, const std::string& path);

  Record root_;
  std::uint64_t incarnations_ = 0;
  bool over_ = false;
  std::optional<Duration> timer_;  ///< as last returned

  // Of the event at hand.
  Duration now_{};
  Actions actions_;
};

}  // namespace dms::supervision
