// The properties of the network that a simulation checks each simulated second, against what the machines really run
// and hold (executor::FakeHost, resources::Manager), not against what any node reports.
//
// Properties
//  1. What runs on a machine, and what is reserved on it, is never more than what it offers.
//  2. An allocation runs once: with on_loss `exclusive` on one machine at a time; with `fast` on two for a lease and
//     kOverlapMargin at most; on one machine never twice.
//  3. Nothing runs without a lease: each run has a deadline within kNoDeadline, and none goes on after it.
//  4. What is reserved belongs to a deployment that has not ended, or has ended less than a lease and kHeldMargin ago.
//     The disk of work that has ended is excepted until the end: a provider that is cut off, or hides, keeps it until
//     its retention is over.
//
// Threads: none. Cost: linear in the machines and what they run.
#pragma once

#include <map>
#include <set>

#include "sim/cluster/cluster.hpp"
#include "sim/scenario/report.hpp"
#include "sim/scenario/scenario.hpp"

namespace dms::sim {

class Checkers {
 public:
  static constexpr Duration kNoDeadline = 30s;
  static constexpr Duration kOverlapMargin = 1min;
  static constexpr Duration kHeldMargin = 10min;

  Checkers(Cluster& cluster, const Scenario& scenario, Report& report)
      : cluster_(cluster), scenario_(scenario), report_(report) {}

  void add_exclusive(const std::string& deployment) { exclusive_.insert(deployment); }
  void has_ended(const std::string& deployment) { ended_.try_emplace(deployment, cluster_.world().now()); }
  void check();
  /// Nothing is left: after every deployment has ended and every margin has passed.
  void check_that_nothing_is_left();

 private:
  struct Run {
    const Machine* machine;
    const executor::FakeHost::Work* work;
  };
  void check_machine(const Machine& machine, std::map<std::string, std::vector<Run>>& running);
  void check_work(const Machine& machine, const executor::ExecutionId& id, const executor::FakeHost::Work& work);
  void check_reserved(const Machine& machine);
  void check_runs(const std::string& allocation, const std::vector<Run>& runs);
  void find(const std::string& property, const std::string& about, std::string detail);
  [[nodiscard]] double seconds() const;

  Cluster& cluster_;
  const Scenario& scenario_;
  Report& report_;
  std::set<std::string> exclusive_;
  std::map<std::string, SteadyTime> ended_;
  std::map<std::string, SteadyTime> overlaps_;              ///< allocations that run twice now, and since when
  std::set<std::pair<std::string, std::string>> reported_;  ///< each finding once
};

/// Whether the work really runs now, also when no daemon watches it.
[[nodiscard]] bool runs(const executor::FakeHost::Work& work, SteadyTime now);

}  // namespace dms::sim
