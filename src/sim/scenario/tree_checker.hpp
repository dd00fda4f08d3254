// Compares the supervision of one deployment, as its orchestrator has stored it and as its work really runs, with the
// supervision that should be: that of ExpectedTree after what has happened to the runs.
//
// Model
//  1. Known of the runs is what the machines have seen: that one has begun, and that it has ended, by itself or because
//     it was stopped. An end by itself is a failure as ExpectedTree says; of an allocation with a health check a stop
//     may be one, and so may be the move of a node that was running, unless all parties were calm: the orchestrator has
//     moved it by itself then, which is none. A failure is sure if nothing else of the tree was under way, and no other
//     one is near it.
//  2. Held by every state that is stored, whatever happens to machines: the tree has the supervisors and allocations
//     that the ensemble asks for; supervisors start in order, within their restarts, and have nothing below them that
//     is up while they are not up; the manifest agrees with the tree. What the tree has down for a lease and kStops
//     does not run on any machine, so nothing of a supervisor that has given up does.
//  3. Held while all parties of the deployment are calm (causes.hpp), kSettled after the last failure: the restarts
//     that supervisors count are at least the sure failures and at most all; no allocation is started more often than
//     failures call for; those that run are up and those that have ended are as their end says; none was stopped
//     without a failure that it is restarted with; none begins before what is started before it, or is stopped before
//     what is started after it, and none has two runs at once.
//  4. Standbys are on machines of their own, which run nothing of the deployment, and are those that the ensemble asks
//     for. What has no machine, standbys included, gets one once another machine with twice the room has been free for
//     kSought.
//  5. may_fail() says whether the failures of the work explain that the deployment has failed.
//
// Threads: none. Cost of a check: linear in the ensemble and the failures so far.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/deployment/record.hpp"
#include "sim/scenario/expected_tree.hpp"
#include "supervision/record.hpp"

namespace dms::sim {

class TreeChecker {
 public:
  static constexpr Duration kSettled = 1min;
  static constexpr Duration kStops = 1min;
  static constexpr Duration kSought = 8min;
  /// Two failures that are as near may be one for the orchestrator.
  static constexpr Duration kNear = 30s;
  /// Of the restarts of a supervisor.
  static constexpr Duration kPeriod = 1h;

  struct Running {
    std::string allocation;
    std::string run;
    std::string peer;
    std::string machine;  ///< its name
  };
  struct Free {
    std::string peer;
    std::string machine;
    capability::Resources resources;
  };
  struct Seen {
    SteadyTime now{};
    const orchestrator::DeploymentRecord* record = nullptr;  ///< as it is stored
    std::vector<Running> running;                            ///< of the deployment, on all machines
    bool is_calm = false;                                    ///< all its parties, since it was sent
    /// Whether machines that are free are looked at this time.
    bool looks_for_free = false;
    /// Those that take work; none if the user's machine had a fault within kSought.
    const std::vector<Free>* free = nullptr;
  };
  struct Wrong {
    std::string property;
    std::string about;  ///< the deployment, and what of it
    std::string detail;
  };

  TreeChecker(std::string id, jobs::Ensemble ensemble)
      : id_(std::move(id)), ensemble_(std::move(ensemble)), expected_(ensemble_) {}

  void begins(const std::string& allocation, const std::string& run, const std::string& machine, SteadyTime now);
  /// `stopped`: it has not ended by itself.
  void ends(const std::string& allocation, const std::string& run, int exit_code, bool stopped, SteadyTime now);
  [[nodiscard]] std::vector<Wrong> check(const Seen& seen);

  [[nodiscard]] bool may_fail() const;
  [[nodiscard]] std::size_t failures() const { return failures_.size() + left_down_; }
  /// How often the state of an allocation was compared as (3) says.
  [[nodiscard]] std::size_t compared() const { return compared_; }

 private:
  using Phase = supervision::Phase;
  using Record = orchestrator::DeploymentRecord;
  using State = orchestrator::SupervisedState;
  using Entry = protocol::AllocationManifest;
  struct Run {
    std::string name;
    std::string machine;
    SteadyTime begun{};
    std::optional<SteadyTime> ended;
    bool stopped = false;
    int exit_code = 0;
  };
  struct History {
    std::size_t begun = 0;
    std::size_t stopped = 0;
    std::optional<Run> last;
    std::optional<Phase> phase;             ///< as last stored
    std::optional<SteadyTime> down_since;   ///< in the tree
    std::optional<SteadyTime> twice_since;  ///< it has had two runs at once
    std::size_t moves = 0;                  ///< of its node while it was up, without a loss
    std::optional<SteadyTime> moved;        ///< the last one of these
  };
  struct Failure {
    SteadyTime at{};
    std::string allocation;
    bool sure = false;
  };
  /// Something without a machine.
  struct Lack {
    SteadyTime since{};
    std::map<std::string, SteadyTime> free;  ///< machines that would take it, and since when
  };

  void add_failure(const std::string& allocation, bool sure, SteadyTime now);
  void note(const Seen& seen);
  void note_moves(const Seen& seen);
  void check_order(const std::string& allocation);
  void check_stop(const std::string& allocation, SteadyTime begun, SteadyTime now);
  void out_of_order(const std::string& allocation, std::string detail);
  void check_shape(const Record& record);
  void check_rules(const Record& record);
  void check_group(const Record& record, const ExpectedTree::Group& group, const State& state);
  void check_manifest(const Record& record);
  void check_down(const Seen& seen);
  void check_twice(const Seen& seen);
  void check_counts(const Record& record);
  void check_starts(const Record& record);
  void check_phases(const Seen& seen);
  void check_phase(const Record& record, const std::string& allocation, const State& state, SteadyTime now);
  [[nodiscard]] std::string expected_phase(const Record& record, const std::string& allocation,
                                           const State& state) const;
  [[nodiscard]] bool waits_with_a_supervisor(const Record& record, const std::string& allocation) const;
  [[nodiscard]] bool is_below_what_is_up(const Record& record, const std::string& allocation) const;
  void check_standbys(const Seen& seen);
  void check_sought(const Seen& seen);
  [[nodiscard]] std::map<std::string, std::vector<std::string>> lacking(const Record& record) const;
  [[nodiscard]] static bool is_sought(const Record& record, const std::string& allocation);
  [[nodiscard]] static bool is_blocked(const Record& record, const jobs::Node& node);
  [[nodiscard]] bool is_settled(const Record& record) const;

  [[nodiscard]] static Phase phase_in(const State& state) { return static_cast<Phase>(state.phase); }
  [[nodiscard]] static double second_of(SteadyTime at);
  /// Null if the manifest does not have it.
  [[nodiscard]] static const Entry* entry_of(const Record& record, const std::string& allocation);
  [[nodiscard]] static const State* state_of(const Record& record, const std::string& allocation);
  [[nodiscard]] static const State* group_state(const Record& record, const ExpectedTree::Group& group);
  [[nodiscard]] bool is_affected(const Record& record, const std::string& allocation, SteadyTime since) const;
  [[nodiscard]] bool has_check(const std::string& allocation) const;
  [[nodiscard]] std::string failures_text(const std::set<std::string>& of) const;
  [[nodiscard]] Duration lease() const;
  void wrong(const std::string& property, const std::string& about, std::string detail);

  std::string id_;
  jobs::Ensemble ensemble_;
  ExpectedTree expected_;
  std::map<std::string, History> histories_;
  std::vector<Failure> failures_;  ///< of what is made up for
  std::size_t left_down_ = 0;      ///< failures of what is not
  std::vector<Wrong> out_of_order_;
  std::vector<Wrong> wrong_;
  std::map<std::string, std::string> peers_;  ///< of nodes, as last stored
  std::map<std::string, Lack> lacks_;
  std::set<std::string> had_;         ///< peers that have had something of the deployment
  std::uint64_t incarnations_ = 0;    ///< of the tree, as last stored
  bool is_quiet_ = false;             ///< nothing was under way when it was last looked at
  std::optional<SteadyTime> looked_;  ///< the last time
  std::optional<SteadyTime> running_since_;
  bool is_exact_ = true;  ///< the tree has lived since it was first seen, and all failures came while the work ran
  std::size_t compared_ = 0;
};

}  // namespace dms::sim
