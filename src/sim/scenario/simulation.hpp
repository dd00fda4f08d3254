// Runs a Scenario on the production code: machines, users who deploy tasks and services, faults, dishonest providers.
//
// Model
//  1. One seed determines the run: machines, work, faults, lies. The same scenario gives the same run.
//  2. Deployments are submitted evenly over Scenario::duration, faults happen in it. Then every machine is repaired,
//     services are shut down, and within Scenario::settle each deployment must have ended, with the output that its
//     tasks wrote. After the longest time for which anything may be held without a deployment, nothing may be left, and
//     of what was shut down all output is here that was printed before its end. Excepted are dishonest providers, and
//     runs that a loss of power has ended: their output is lost with them. What the status says is incomplete has to be
//     explained by a fault of a party: a provider that cannot store a stop refuses it, and its work is released with
//     what it has printed so far (orchestrator/deployment/cleaner.hpp, 3).
//  3. Checkers look each simulated second (checkers.hpp, tree_checker.hpp). The work itself checks its inputs as it begins, and leaves
//     results (file_work.hpp).
//  4. Each choice of machines in a small market is compared with all others (choices.hpp).
//  5. A deployment that fails, or that its user's node does not take, is a finding unless a fault, a lie, its work or
//     too few machines explain it (causes.hpp). So is an update that ends a run which it does not change.
//
// Threads: none. Cost: some milliseconds of one core for each bid request and machine that it reaches. Cancellation:
// Progress returns false; the report has what was found so far.
#pragma once

#include "crypto/remember_verified.hpp"
#include "sim/scenario/checkers.hpp"
#include "sim/scenario/choices.hpp"
#include "sim/scenario/dishonest.hpp"
#include "sim/scenario/outcomes.hpp"
#include "sim/scenario/tree_checkers.hpp"
#include "sim/scenario/users.hpp"

namespace dms::sim {

/// Called each simulated ten seconds; false ends the simulation.
using Progress = std::function<bool(const Report& so_far, Duration simulated, Duration planned)>;

class Simulation {
 public:
  explicit Simulation(Scenario scenario, Progress progress = {});
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  ~Simulation();

  Report run();

 private:
  enum class FaultKind { kill, power_loss, partition, full_disk, clock_error };
  struct Fault {
    SteadyTime at;
    std::size_t machine = 0;
    FaultKind kind{};
    Duration outage{};
    Duration ahead{};  ///< of the wall clock
  };
  void make_machines();
  void plan_orders();
  void plan_faults(FaultKind kind, double per_hour);

  bool advance(SteadyTime until, bool settling);
  void submit_due();
  void shut_down_due(bool all);
  void fault_due();
  void repair_due(bool all);
  /// False if the machine is in a state that excludes the fault.
  bool apply(const Fault& fault);
  void repair(const Fault& fault);
  void cut(Machine& machine, bool is_cut);
  void poll();
  void adopt(std::size_t user, const std::string& deployment);
  void learn(Order& order, const std::string& state);
  [[nodiscard]] std::set<std::size_t> users_with_lost_orders() const;
  /// Its user's daemon was killed before it answered.
  [[nodiscard]] bool lost(const Order& order) const;
  [[nodiscard]] bool all_ended() const;
  void observe();
  void conclude();
  void compare_outputs(Order& order, const protocol::DeploymentStatusReply& status);
  void compare_ended_outputs();
  void compare_ended_output(const Order& order, const std::string& name, const protocol::AllocationState& state);
  /// The status says that it lacks output, and a party had a fault.
  [[nodiscard]] bool may_lack_output(const Order& order, const protocol::AllocationState& state);
  [[nodiscard]] Cause cause(const Order& order, const protocol::AllocationState& state);
  void compare_results(const Order& order, const protocol::DeploymentStatusReply& status);
  [[nodiscard]] Result<std::string> result_of(const Order& order, const std::string& allocation);
  /// Completed, and by a provider that does not lie.
  [[nodiscard]] bool is_honest_end(const protocol::AllocationState& state) const;
  void count_ends();
  void begins(const Machine& machine, const executor::Request& request);
  void watch_trees();
  void check_choice(const orchestrator::Market& market, const orchestrator::Wanted& wanted,
                    const orchestrator::Match& match);

  [[nodiscard]] Duration clock_error();
  [[nodiscard]] double seconds() const;
  void note(const std::string& what) { report_.note(seconds(), what); }
  [[nodiscard]] Machine& user(std::size_t number) { return *cluster_.machines()[number]; }

  crypto::RememberVerified verified_;  ///< a broadcast once, not once for each machine that it reaches
  Scenario scenario_;
  Progress progress_;
  Report report_;
  SeededRandom random_;
  SeededRandom losses_;
  Cluster cluster_;
  Dishonest dishonest_;
  Causes causes_;
  Outcomes outcomes_;
  Checkers checkers_;
  TreeCheckers trees_;
  std::unique_ptr<ScopedTimer> observer_timer_;
  SimNode* observer_ = nullptr;
  std::vector<std::shared_ptr<Order>> orders_;
  std::size_t next_order_ = 0;
  std::vector<Fault> faults_;
  std::size_t next_fault_ = 0;
  std::multimap<SteadyTime, Fault> repairs_;
  std::set<std::size_t> partitioned_;
  std::set<std::size_t> full_disks_;
  std::set<std::size_t> clock_errors_;
  bool stopped_ = false;
};

}  // namespace dms::sim
