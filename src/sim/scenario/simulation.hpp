// Runs a Scenario on the production code: machines, users who deploy tasks and services, faults, dishonest providers.
//
// Model
//  1. One seed determines the run: machines, work, faults, lies. The same scenario gives the same run.
//  2. Deployments are submitted evenly over Scenario::duration, faults happen in it. Then every machine is repaired,
//     services are shut down, and within Scenario::settle each deployment must have ended, with the output that its
//     tasks wrote. After the longest time for which anything may be held without a deployment, nothing may be left.
//  3. Checkers look each simulated second (checkers.hpp).
//
// Threads: none. Cost: some milliseconds of one core for each bid request and machine that it reaches. Cancellation:
// Progress returns false; the report has what was found so far.
#pragma once

#include "sim/scenario/checkers.hpp"
#include "sim/scenario/dishonest.hpp"

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
  /// What a user asked for, and what became of it.
  struct Order {
    std::size_t user = 0;
    SteadyTime at;
    protocol::NewDeploymentRequest request;
    std::map<std::string, std::string> outputs;  ///< of its tasks
    bool exclusive = false;
    std::optional<SteadyTime> shut_down_at;  ///< a service
    std::string id;
    std::string refusal;
    bool sent = false;
    SteadyTime sent_at{};
    bool answered = false;
    std::string state;
  };

  void make_machines();
  void plan_orders();
  void plan_faults(FaultKind kind, double per_hour);
  void plan_order(std::size_t number, SteadyTime at);
  void add_allocation(Order& order, const std::string& name, const std::string& node, bool service, std::size_t number);

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

  static Task<void> submit(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order);
  static Task<void> shut_down(actor::Actor& user, actor::Handle node, std::string id);

  [[nodiscard]] Duration clock_error();
  [[nodiscard]] double seconds() const;
  void note(const std::string& what) { report_.note(seconds(), what); }
  [[nodiscard]] Duration between(Duration least, Duration most);
  [[nodiscard]] bool chance(double probability) {
    return static_cast<double>(random_.below(1'000'000)) < probability * 1e6;
  }
  [[nodiscard]] Machine& user(std::size_t number) { return *cluster_.machines()[number]; }

  Scenario scenario_;
  Progress progress_;
  Report report_;
  SeededRandom random_;
  SeededRandom losses_;
  Cluster cluster_;
  Dishonest dishonest_;
  Checkers checkers_;
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
