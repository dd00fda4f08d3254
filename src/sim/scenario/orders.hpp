// What the users of a simulation ask for, planned from its seed, and what has become of each.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "protocol/deployment.hpp"
#include "sim/scenario/file_work.hpp"
#include "sim/scenario/scenario.hpp"

namespace dms::sim {

/// A change of a running deployment: one allocation is new or changed, its neighbours are the same.
struct Change {
  Duration after{};  ///< since the deployment is taken; once it runs
  jobs::Ensemble ensemble;
  std::string allocation;
  std::string output;  ///< of a task
};

struct Order {
  std::size_t user = 0;
  SteadyTime at;
  protocol::NewDeploymentRequest request;
  std::vector<File> uploads;                   ///< to the user's node, before the request
  std::map<std::string, std::string> outputs;  ///< of its tasks, with executor::kRunMark
  std::map<std::string, File> results;         ///< of its tasks, each at kResultPath
  bool exclusive = false;
  bool supervised = false;
  Duration starts{};                       ///< what its starts take together
  std::optional<SteadyTime> shut_down_at;  ///< a service
  std::optional<Duration> cancel_after;    ///< it is taken: its user shuts it down, whatever it does
  std::optional<Change> change;
  std::optional<Duration> read_after;  ///< it is taken: its user has the output so far brought

  // What has become of it
  std::string id;
  std::string refusal;
  bool sent = false;
  SteadyTime sent_at{};
  bool answered = false;
  SteadyTime answered_at{};
  std::string state;
  SteadyTime ended_at{};     ///< its end was seen then
  std::string cancelled_in;  ///< its state when its user shut it down before its time
  bool updated = false;
  std::string update_refusal;
  std::string disturbed;  ///< by the update: a run that it does not change, which is another one now
};

inline constexpr std::string_view kResultPath = "out";
/// What the work prints on stderr, beside this output.
[[nodiscard]] std::string errors_of(const std::string& output);

[[nodiscard]] bool is_ended(const std::string& state);

class Planner {
 public:
  /// `random` is the one of the simulation. What Scenario has beside tasks, services and dependencies is drawn from
  /// another, checks from a third, who reads output early from a fourth, supervision from a fifth, and the recovery
  /// of nodes from a sixth, so that they change nothing else.
  Planner(const Scenario& scenario, Random& random)
      : scenario_(scenario),
        random_(random),
        extras_(scenario.seed ^ 0xf11e),
        checks_(scenario.seed ^ 0xc4ec),
        readers_(scenario.seed ^ 0x4ead),
        supervisors_(scenario.seed ^ 0x5bef),
        recoveries_(scenario.seed ^ 0x4ec0) {}

  [[nodiscard]] std::shared_ptr<Order> plan(std::size_t number, SteadyTime at);

 private:
  void add_allocation(Order& order, const std::string& name, const std::string& node, bool service, std::size_t number);
  void add_files(Order& order);
  void add_slow_starts(Order& order);
  void add_checks(Order& order);
  void add_supervision(Order& order, bool service, std::size_t number);
  void supervise(jobs::Ensemble& ensemble, bool standbys);
  void add_recovery(jobs::Ensemble& ensemble);
  void add_failures(jobs::Ensemble& ensemble, bool service);
  [[nodiscard]] jobs::SupervisorStrategy strategy();
  void add_change(Order& order, bool service, std::size_t number);
  void set_policies(const Order& order, jobs::Ensemble& ensemble) const;
  [[nodiscard]] jobs::Allocation make_allocation(const std::string& name, bool service, double cores, std::uint64_t mib,
                                                 double seconds, const std::string& output) const;
  [[nodiscard]] File file();

  const Scenario& scenario_;
  Random& random_;
  SeededRandom extras_;
  SeededRandom checks_;
  SeededRandom readers_;
  SeededRandom supervisors_;
  SeededRandom recoveries_;
};

/// Uniform in [least, most).
[[nodiscard]] Duration between(Random& random, Duration least, Duration most);
[[nodiscard]] bool chance(Random& random, double probability);

}  // namespace dms::sim
