// A simulation in figures: how many machines and deployments, which faults, how long. Read from YAML; every key has a
// default. docs/howto/simulate.md describes the keys.
//
// Failure: Errc::invalid_argument names the key ("faults.kills: expected a number, found text"). Unknown keys are
// refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace dms::sim {

struct Scenario {
  std::uint64_t seed = 1;
  int providers = 20;
  int users = 4;
  int deployments = 200;
  Duration duration = 30min;  ///< in which the deployments are submitted and faults happen
  Duration settle = 30min;    ///< after that, until each deployment must have ended
  Duration latency = 20ms;
  double loss = 0;   ///< of each message between machines, 0 to 1
  double reach = 1;  ///< share of the machines that a bid request reaches

  // Of the work
  double services = 0.25;        ///< share of the deployments
  Duration longest_task = 2min;  ///< running time; uniform from a second on
  Duration service_time = 5min;  ///< until a service is shut down
  Duration lease = 1min;
  double fast = 0.5;              ///< share of the deployments with on_loss `fast`; the others are `exclusive`
  double dependent = 0.3;         ///< share of the deployments with a second allocation that depends on the first
  double inputs = 0;              ///< share of the allocations of tasks with a file of their user
  double results = 0;             ///< share of the allocations of tasks that leave a file
  int largest_file = 64;          ///< KiB; uniform from a byte on
  double updates = 0;             ///< share of the deployments that are updated while they run
  double cancels = 0;             ///< share of the deployments that their user shuts down at a random moment
  double slow_starts = 0;         ///< share of the allocations
  Duration slowest_start = 1min;  ///< uniform from a second on
  double unhealthy = 0;           ///< share of the allocations of services whose check fails after a time of each run
  double supervised = 0;          ///< share of the deployments with supervisors, failure_recovery or standbys
  double failing = 0.5;           ///< share of their allocations whose runs fail or end now and then

  // Faults, for each machine and hour
  double kills = 0;         ///< of the daemon; work lives on
  double power_losses = 0;  ///< of the machine
  double partitions = 0;    ///< from all others
  double full_disks = 0;    ///< the node's database refuses to be written
  double clock_errors = 0;  ///< of its wall clock, which jumps to the error and, when it is repaired, back
  Duration shortest_outage = 5s;
  Duration longest_outage = 2min;  ///< of every fault
  Duration largest_clock_error = 10min;

  double dishonest = 0;  ///< share of the providers

  static Result<Scenario> parse(std::string_view yaml);
  /// parse() reads it back unchanged.
  [[nodiscard]] std::string to_yaml() const;
  friend bool operator==(const Scenario&, const Scenario&) = default;
};

}  // namespace dms::sim
