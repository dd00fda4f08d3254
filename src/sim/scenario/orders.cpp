#include "sim/scenario/orders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "encoding/multibase.hpp"
#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

constexpr Duration kMoment = 5s;           // in which a deployment is placed: half of the cancels come as soon
constexpr Duration kShortestHealth = 10s;  // of a run
constexpr double kCrashes = 0.5;           // share of the runs of services that fail now and then; half of it of tasks
constexpr double kRecoveries = 0.4;        // share of the supervised deployments without a tree that restart nodes
constexpr double kReaders = 0.3;           // share of the deployments of which the output is read while they run

double in_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

json::Array& environment(jobs::Allocation& allocation) { return allocation.execution.params["environment"].as_array(); }

std::string output_of(Random& random, std::size_t number, const std::string& name) {
  return fmt::format("{} {}/{} {}\n", executor::kRunMark, number, name,
                     encode(Base::hex, random.bytes(16 + random.below(64))));
}

}  // namespace

std::string errors_of(const std::string& output) { return "on stderr: " + output; }

/// It writes for most of its time, and takes of its disk what its files may leave.
jobs::Allocation Planner::make_allocation(const std::string& name, bool service, double cores, std::uint64_t mib,
                                          double seconds, const std::string& output) const {
  const std::uint64_t files = static_cast<std::uint64_t>(scenario_.largest_file) * 4 / 1024 + 1;
  const jobs::Ensemble one = one_task(cores, mib,
                                      {{"FAKE_SECONDS", fmt::format("{:.3f}", service ? -1 : seconds)},
                                       {"FAKE_WRITE_SECONDS", fmt::format("{:.3f}", 0.8 * seconds)},
                                       {"FAKE_DISK_MIB", fmt::format("{}", mib - std::min(mib, files))},
                                       {"FAKE_OUT", output},
                                       {"FAKE_ERR", errors_of(output)}});
  jobs::Allocation made = one.allocations.at("task");
  made.dns_name = name;
  if (service) made.type = jobs::AllocationType::service;
  return made;
}

bool is_ended(const std::string& state) { return state == "Completed" || state == "Failed"; }

Duration between(Random& random, Duration least, Duration most) {
  return least + Duration(random.below(static_cast<std::uint64_t>(std::max<std::int64_t>((most - least).count(), 1))));
}

bool chance(Random& random, double probability) {
  return static_cast<double>(random.below(1'000'000)) < probability * 1e6;
}

std::shared_ptr<Order> Planner::plan(std::size_t number, SteadyTime at) {
  auto order = std::make_shared<Order>();
  order->at = at;
  order->user = random_.below(static_cast<std::uint64_t>(scenario_.users));
  const bool service = chance(random_, scenario_.services);
  order->exclusive = !chance(random_, scenario_.fast);
  add_allocation(*order, "a", "one", service, number);
  if (chance(random_, scenario_.dependent)) {  // a second one that depends on the first, on the same machine
    add_allocation(*order, "b", "one", service, number);
    order->request.ensemble.allocations.at("b").depends_on = {"a"};
  }
  if (chance(random_, 0.2)) add_allocation(*order, "c", "two", service, number);
  if (service) order->shut_down_at = at + between(random_, scenario_.service_time / 2, scenario_.service_time * 3 / 2);

  add_slow_starts(*order);
  if (service)
    add_checks(*order);
  else
    add_files(*order);
  if (chance(supervisors_, scenario_.supervised)) add_supervision(*order, service, number);
  set_policies(*order, order->request.ensemble);
  const bool updates = chance(extras_, scenario_.updates);
  if (updates && !order->supervised) add_change(*order, service, number);
  const Duration longest = service ? scenario_.service_time : scenario_.longest_task;
  if (chance(extras_, scenario_.cancels))
    order->cancel_after = chance(extras_, 0.5) ? between(extras_, 0s, kMoment)
                                               : between(extras_, kMoment, std::max(longest, 2 * kMoment));
  if (chance(readers_, kReaders)) order->read_after = between(readers_, kMoment, std::max(longest, 2 * kMoment));
  return order;
}

void Planner::set_policies(const Order& order, jobs::Ensemble& ensemble) const {
  for (auto& [name, node] : ensemble.nodes) {
    node.lease_ns = scenario_.lease.count();
    node.on_loss = order.exclusive ? jobs::OnLoss::exclusive : jobs::OnLoss::fast;
  }
}

void Planner::add_allocation(Order& order, const std::string& name, const std::string& node, bool service,
                             std::size_t number) {
  const double seconds = in_seconds(between(random_, 1s, std::max<Duration>(scenario_.longest_task, 2s)));
  std::string output = output_of(random_, number, name);
  const double cores = 0.5 * static_cast<double>(1 + random_.below(4));
  const std::uint64_t mib = 128 * (1 + random_.below(8));
  order.request.ensemble.allocations[name] = make_allocation(name, service, cores, mib, seconds, output);
  order.request.ensemble.nodes[node].allocations.push_back(name);
  if (!service) order.outputs[name] = std::move(output);
}

File Planner::file() {
  return {extras_.u64(), 1 + extras_.below(static_cast<std::uint64_t>(scenario_.largest_file) * 1024)};
}

/// Files of the user, files that tasks leave, and what one leaves for the one that depends on it.
void Planner::add_files(Order& order) {
  auto& allocations = order.request.ensemble.allocations;
  for (auto& [name, allocation] : allocations) {
    if (chance(extras_, scenario_.inputs)) {
      const File uploaded = file();
      jobs::Input input;
      input.to = "in/data";
      input.file = "on the user's disk";
      input.size = uploaded.size;
      input.digest = uploaded.digest();
      allocation.inputs.push_back(std::move(input));
      environment(allocation).emplace_back(reads("in/data", uploaded));
      order.uploads.push_back(uploaded);
    }
    if (!chance(extras_, scenario_.results)) continue;
    const File left = file();
    allocation.results.emplace().paths = {std::string(kResultPath)};
    environment(allocation).emplace_back(writes(std::string(kResultPath), left));
    order.results[name] = left;
  }
  const auto first = order.results.find("a");
  const auto second = allocations.find("b");
  if (first == order.results.end() || second == allocations.end()) return;
  second->second.conditions["a"] = jobs::Condition::completed;
  jobs::Input prepared;
  prepared.to = "prepared";
  prepared.allocation = "a";
  prepared.path = kResultPath;
  second->second.inputs.push_back(std::move(prepared));
  environment(second->second).emplace_back(reads("prepared", first->second));
}

void Planner::add_slow_starts(Order& order) {
  for (auto& [name, allocation] : order.request.ensemble.allocations) {
    if (!chance(extras_, scenario_.slow_starts)) continue;
    const Duration startup = between(extras_, 1s, std::max<Duration>(scenario_.slowest_start, 2s));
    environment(allocation).emplace_back(fmt::format("FAKE_START_SECONDS={:.3f}", in_seconds(startup)));
    order.starts += startup;
  }
}

/// Each run fails its check in the end, so the service is restarted until it is shut down.
void Planner::add_checks(Order& order) {
  for (auto& [name, allocation] : order.request.ensemble.allocations) {
    if (!chance(checks_, scenario_.unhealthy)) continue;
    const Duration healthy =
        between(checks_, kShortestHealth, std::max(scenario_.service_time / 2, 2 * kShortestHealth));
    environment(allocation).emplace_back(fmt::format("FAKE_UNHEALTHY_AFTER={:.3f}", in_seconds(healthy)));
    allocation.healthcheck.type = jobs::HealthCheckType::tcp;
    allocation.healthcheck.port = 80;
    allocation.healthcheck.interval_ns = Duration(5s).count();
  }
}

/// All of a, b and c, on two nodes, supervised in one of the ways that there are.
void Planner::add_supervision(Order& order, bool service, std::size_t number) {
  order.supervised = true;
  jobs::Ensemble& ensemble = order.request.ensemble;
  for (const auto& [name, node] : {std::pair("b", "one"), std::pair("c", "two")}) {
    if (ensemble.allocations.contains(name)) continue;
    const double seconds = in_seconds(between(supervisors_, 1s, std::max<Duration>(scenario_.longest_task, 2s)));
    std::string output = output_of(supervisors_, number, name);
    ensemble.allocations[name] = make_allocation(name, service, 0.5, 128, seconds, output);
    ensemble.nodes[node].allocations.emplace_back(name);
    if (!service) order.outputs[name] = std::move(output);
  }
  supervise(ensemble, service && chance(supervisors_, 0.5));
  if (ensemble.supervisor == jobs::Supervisor{} && chance(recoveries_, kRecoveries)) add_recovery(ensemble);
  add_failures(ensemble, service);
}

jobs::SupervisorStrategy Planner::strategy() {
  constexpr std::array kStrategies = {jobs::SupervisorStrategy::one_for_one, jobs::SupervisorStrategy::all_for_one,
                                      jobs::SupervisorStrategy::rest_for_one};
  return kStrategies[supervisors_.below(kStrategies.size())];
}

void Planner::supervise(jobs::Ensemble& ensemble, bool standbys) {
  const auto recover = [&ensemble](jobs::AllocationRecovery recovery) {
    for (auto& [name, allocation] : ensemble.allocations) allocation.failure_recovery = recovery;
  };
  switch (supervisors_.below(standbys ? 7 : 6)) {
    case 0: recover(jobs::AllocationRecovery::one_for_one); break;
    case 1: recover(jobs::AllocationRecovery::one_for_all); break;
    case 2: recover(jobs::AllocationRecovery::rest_for_one); break;
    case 3:
      ensemble.supervisor.strategy = strategy();
      ensemble.supervisor.allocations = {"a", "b", "c"};
      break;
    case 4: {
      jobs::Supervisor below;
      below.strategy = strategy();
      below.allocations = {"b", "c"};
      ensemble.supervisor.strategy = strategy();
      ensemble.supervisor.allocations = {"a"};
      ensemble.supervisor.children.push_back(std::move(below));
      break;
    }
    // The others stay down.
    case 5: ensemble.allocations.at("a").failure_recovery = jobs::AllocationRecovery::one_for_all; break;
    default: break;  // standbys alone
  }
  if (standbys) ensemble.nodes.at("one").redundancy = 1;
  if (chance(supervisors_, 0.3)) ensemble.escalation_strategy = jobs::EscalationStrategy::redeploy;
}

/// Of one node or both, alone or beside what their allocations recover themselves.
void Planner::add_recovery(jobs::Ensemble& ensemble) {
  if (chance(recoveries_, 0.5))
    for (auto& [name, allocation] : ensemble.allocations)
      allocation.failure_recovery = jobs::AllocationRecovery::stay_down;
  const bool both = chance(recoveries_, 0.5);
  for (auto& [name, node] : ensemble.nodes)
    if (both || name == "one")
      node.failure_recovery = chance(recoveries_, 0.5) ? jobs::NodeRecovery::restart : jobs::NodeRecovery::redeploy;
}

/// Some services end with success, which is a failure of them, too.
void Planner::add_failures(jobs::Ensemble& ensemble, bool service) {
  for (auto& [name, allocation] : ensemble.allocations) {
    if (!chance(supervisors_, scenario_.failing)) continue;
    const Duration longest = service ? scenario_.service_time / 2 : scenario_.longest_task / 2;
    const double seconds = in_seconds(between(supervisors_, kShortestHealth, std::max(longest, 2 * kShortestHealth)));
    const bool exits = service && chance(supervisors_, 0.3);
    const double crashes = service ? kCrashes : kCrashes / 2;  // so that tasks end
    environment(allocation)
        .emplace_back(exits ? fmt::format("FAKE_SECONDS={:.3f}", seconds)
                            : fmt::format("FAKE_CRASH={}:{:.3f}", crashes, seconds));
  }
}

/// Another output of the allocation that is alone on its node, or one more on a node of its own.
void Planner::add_change(Order& order, bool service, std::size_t number) {
  Change change;
  change.after = between(extras_, kMoment, std::max<Duration>(scenario_.longest_task / 2, 2 * kMoment));
  change.ensemble = order.request.ensemble;
  change.output = output_of(extras_, number, "changed");
  const auto alone = change.ensemble.allocations.find("c");
  if (alone != change.ensemble.allocations.end() && chance(extras_, 0.5)) {
    change.allocation = "c";
    for (json::Value& entry : environment(alone->second)) {
      if (entry.as_string().starts_with("FAKE_OUT=")) entry = json::Value("FAKE_OUT=" + change.output);
      if (entry.as_string().starts_with("FAKE_ERR=")) entry = json::Value("FAKE_ERR=" + errors_of(change.output));
    }
  } else {
    change.allocation = "d";
    const double seconds = in_seconds(between(extras_, 1s, std::max<Duration>(scenario_.longest_task, 2s)));
    change.ensemble.allocations["d"] = make_allocation("d", service, 0.5, 128, seconds, change.output);
    change.ensemble.nodes["three"].allocations = {"d"};
  }
  set_policies(order, change.ensemble);
  if (service) change.output.clear();
  order.change = std::move(change);
}

}  // namespace dms::sim
