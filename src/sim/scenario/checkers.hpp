// The properties of the network that a simulation checks each simulated second, against what the machines really run
// and hold (executor::FakeHost, resources::Manager and its database), not against what any node reports.
//
// Properties
//  1. No machine is over-committed in cores, memory or disk: what its work takes, and that together with what its
//     ledger has committed and allocated, is never more than what it has onboarded. Where work takes more than is
//     reserved for it, its own figures count. The ledger is that of the daemon and, each kStoredEvery seconds, what is
//     stored, also while no daemon runs. Nothing in a deployment reserves ports (resources/ports.hpp).
//  2. What runs is allocated, with its cores and memory.
//  3. An allocation runs once: with on_loss `exclusive` on one machine at a time; with `fast` on two for a lease and
//     kOverlapMargin at most; on one machine never twice.
//  4. Nothing runs without a lease: each run has a deadline within kNoDeadline, and none goes on after it.
//  5. What is reserved belongs to a deployment that has not ended, or has ended less than a lease and kHeldMargin ago.
//     The disk of work that has ended is excepted until the end: a provider that is cut off, or hides, keeps it until
//     its retention is over.
//  6. Each reservation is released exactly once (resources::Manager, 9): none is made anew or held after its release
//     without another commit, and none that was released is released again. A release is repeated only where the
//     daemon was started since, or its full disk has refused a write since: what follows a release was not stored then.
//  7. What an orchestrator has collected of an output is what a run has printed (outputs.hpp), on both streams. At the
//     end of the simulation it is complete up to the end of the run, be that by itself or by a shutdown.
//
// Threads: none. Cost: linear in the machines and what they run and hold.
#pragma once

#include <map>
#include <set>

#include "sim/cluster/cluster.hpp"
#include "sim/scenario/outputs.hpp"
#include "sim/scenario/report.hpp"
#include "sim/scenario/scenario.hpp"

namespace dms::sim {

class Checkers {
 public:
  static constexpr Duration kNoDeadline = 30s;
  static constexpr Duration kOverlapMargin = 1min;
  static constexpr Duration kHeldMargin = 10min;
  static constexpr std::uint64_t kStoredEvery = 10;

  Checkers(Cluster& cluster, const Scenario& scenario, Report& report)
      : cluster_(cluster), scenario_(scenario), report_(report) {}

  /// Before the machine is started: its reservations and their releases are counted.
  void watch(Machine& machine);
  /// A run begins there.
  void begins(const Machine& machine, const executor::ExecutionId& run);
  void ends(const executor::ExecutionId& run, const executor::ExecutionResult& result) {
    outputs_.ends(run.value, result.out, result.err);
  }
  /// As Outputs says.
  [[nodiscard]] std::optional<std::string> missing_output(const std::string& run,
                                                          const std::filesystem::path& folder) const {
    return outputs_.missing(run, folder);
  }
  /// The deployment is orchestrated by that machine.
  void deploys(const std::string& deployment, const Machine& user) { outputs_.deploys(deployment, user.work_dir()); }
  void add_exclusive(const std::string& deployment) { exclusive_.insert(deployment); }
  void has_ended(const std::string& deployment);
  void check();
  /// Nothing is left: after every deployment has ended and every margin has passed.
  void check_that_nothing_is_left();

 private:
  struct Run {
    const Machine* machine;
    const executor::FakeHost::Work* work;
  };
  struct Amount {
    double cores = 0;
    double memory = 0;
    double disk = 0;
  };
  using Amounts = std::map<std::string, Amount>;  ///< by the names of reservations
  using Ledger = std::map<std::string, resources::Reservation>;
  /// What a machine holds, as its daemon has told since its start.
  struct Told {
    std::set<std::string> held;
    std::map<std::string, std::uint64_t> released;  ///< and the writes that the machine's disk had refused then
  };

  [[nodiscard]] static Amount amount(const capability::Resources& resources);
  [[nodiscard]] static Amount most(const Amount& a, const Amount& b);
  [[nodiscard]] static bool covers(const Amount& all, const Amount& part);

  void count(const Machine& machine, const std::string& reservation, resources::Manager::Step step);
  void check_machine(Machine& machine, bool stored, std::map<std::string, std::vector<Run>>& running);
  void check_work(const Machine& machine, const executor::ExecutionId& id, const executor::FakeHost::Work& work);
  [[nodiscard]] std::optional<Ledger> read_ledger(Machine& machine);
  void check_ledger(const Machine& machine, const Ledger& ledger, const Amounts& taken);
  void check_sum(const Machine& machine, std::string_view what, const Amounts& amounts);
  void check_told(const Machine& machine, const Ledger& ledger);
  void check_reserved(const Machine& machine, const Ledger& ledger);
  void check_runs(const std::string& allocation, const std::vector<Run>& runs);
  void check_outputs();
  void find(const std::string& property, const std::string& about, std::string detail);
  [[nodiscard]] double seconds() const;

  Cluster& cluster_;
  const Scenario& scenario_;
  Report& report_;
  Outputs outputs_;
  std::set<std::string> exclusive_;
  std::map<std::string, SteadyTime> ended_;
  std::map<const Machine*, Told> told_;
  std::map<std::string, SteadyTime> overlaps_;              ///< allocations that run twice now, and since when
  std::set<std::pair<std::string, std::string>> reported_;  ///< each finding once
};

/// Whether the work really runs now, also when no daemon watches it.
[[nodiscard]] bool runs(const executor::FakeHost::Work& work, SteadyTime now);

}  // namespace dms::sim
