// Watches the supervision of all deployments that have one (tree_checker.hpp): what the machines run of them, and what
// the databases of their users' nodes have stored, also while no daemon runs.
//
// Threads: none. Cost of a check: linear in what runs, and a look at the stored record of each deployment that has not
// ended; a record is decoded when it has changed.
#pragma once

#include <memory>

#include "sim/cluster/cluster.hpp"
#include "sim/scenario/causes.hpp"
#include "sim/scenario/orders.hpp"
#include "sim/scenario/report.hpp"
#include "sim/scenario/tree_checker.hpp"

namespace dms::sim {

class TreeCheckers {
 public:
  /// Between two looks for machines that are free.
  static constexpr std::uint64_t kFreeEvery = 10;
  /// Without a fault, until a machine counts as one that takes work.
  static constexpr Duration kWithoutFault = 5min;

  TreeCheckers(Cluster& cluster, const Scenario& scenario, const Causes& causes, Report& report)
      : cluster_(cluster), scenario_(scenario), causes_(causes), report_(report) {}

  /// The order is supervised, has its id and is orchestrated by that machine.
  void deploys(const Order& order, Machine& user);
  [[nodiscard]] bool knows(const std::string& deployment) const { return deployments_.contains(deployment); }
  void begins(const Machine& machine, const executor::Request& request);
  void ends(const executor::Request& request, const executor::ExecutionResult& result);
  void check();
  /// Whether the failures of its work explain that the deployment has failed.
  [[nodiscard]] bool may_fail(const std::string& deployment) const;

 private:
  struct Deployment {
    Deployment(Machine& by, SteadyTime at, const Order& order)
        : user(&by), since(at), checker(order.id, order.request.ensemble) {}
    Machine* user;
    SteadyTime since;
    TreeChecker checker;
    std::string text;  ///< of the record, as last read
    std::optional<orchestrator::DeploymentRecord> record;
    std::vector<TreeChecker::Running> running;
    std::optional<SteadyTime> ended;
  };
  using Free = std::vector<TreeChecker::Free>;

  void look_at_machines();
  [[nodiscard]] Free free_machines();
  bool read(const std::string& id, Deployment& deployment);
  void check(const std::string& id, Deployment& deployment, const Free* free);
  void count();
  [[nodiscard]] const std::string& peer_of(const Machine& machine);

  Cluster& cluster_;
  const Scenario& scenario_;
  const Causes& causes_;
  Report& report_;
  std::map<std::string, Deployment> deployments_;
  std::map<const Machine*, std::string> peers_;
  std::set<std::pair<std::string, std::string>> reported_;  ///< each finding once
  std::uint64_t looks_ = 0;
};

}  // namespace dms::sim
