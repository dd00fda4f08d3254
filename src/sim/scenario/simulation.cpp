#include "sim/scenario/simulation.hpp"

#include <algorithm>

#include "base/file.hpp"

namespace dms::sim {
namespace {

constexpr Duration kStep = 1s;
constexpr Duration kProgress = 10s;
constexpr Duration kPoll = 30s;  // signed calls to every user's node
constexpr std::size_t kMaxOutput = 64 << 20;

constexpr const char* kComplete = "output is complete";

/// By its user, at its time or before.
bool is_shut_down(const Order& order) { return order.shut_down_at || !order.cancelled_in.empty(); }

constexpr std::array<std::string_view, 5> kFaults = {"daemon killed", "power lost", "cut off", "disk full",
                                                     "clock wrong"};

}  // namespace

Simulation::Simulation(Scenario scenario, Progress progress)
    : scenario_(std::move(scenario)),
      progress_(std::move(progress)),
      random_(scenario_.seed ^ 0x10ad),
      losses_(scenario_.seed ^ 0x1055),
      cluster_(scenario_.seed, {}, Wiring::memory),
      dishonest_(cluster_, scenario_.seed ^ 0x11a2),
      outcomes_(causes_, report_),
      checkers_(cluster_, scenario_, report_),
      trees_(cluster_, scenario_, causes_, report_) {
  report_.seed = scenario_.seed;
  report_.scenario = scenario_.to_yaml();
}

Simulation::~Simulation() {
  observer_timer_.reset();
  cluster_.stop();
  cluster_.substrate().set_tap({});
}

double Simulation::seconds() const {
  return std::chrono::duration<double>(cluster_.world().now().time_since_epoch()).count();
}

// --- what happens is planned before it happens -----------------------------------------------------------------------

void Simulation::make_machines() {
  for (int i = 0; i < scenario_.users; ++i) cluster_.add(fmt::format("user{}", i), 0, 0);
  const int liars = static_cast<int>(scenario_.dishonest * scenario_.providers + 0.5);
  for (int i = 0; i < scenario_.providers; ++i) {
    constexpr std::array kSizes = {2, 4, 8, 16};
    const Deceit deceit = static_cast<Deceit>(i % kDeceits);
    const bool lies = i < liars;
    const int cores = lies && deceit == Deceit::false_offers ? 64 : kSizes[random_.below(kSizes.size())];
    Machine& machine = cluster_.add(fmt::format("provider{}", i), cores, static_cast<std::uint64_t>(2 * cores));
    if (lies) dishonest_.add(machine, deceit);
    if (lies) causes_.lies(machine.peer());
  }
  for (const auto& machine : cluster_.machines()) {
    causes_.add(machine->peer(), machine->name());
    checkers_.watch(*machine);
    machine->on_run([this, at = machine.get()](const executor::Request& request) { begins(*at, request); });
    machine->on_end([this](const executor::Request& request, const executor::ExecutionResult& result) {
      checkers_.ends(request.execution_id, result);
      trees_.ends(request, result);
    });
  }
  cluster_.on_match([this](const orchestrator::Market& market, const orchestrator::Wanted& wanted,
                           const orchestrator::Match& match) { check_choice(market, wanted, match); });
  cluster_.substrate().set_latency(scenario_.latency);
  cluster_.substrate().set_tap([this](network::MemoryMessage& message) {
    if (message.from == message.to) return true;
    causes_.sees(message, cluster_.world().now());
    if (scenario_.loss > 0 && static_cast<double>(losses_.below(1'000'000)) < scenario_.loss * 1e6) return false;
    if (message.broadcast && static_cast<double>(losses_.below(1'000'000)) >= scenario_.reach * 1e6) return false;
    return dishonest_.tap(message);
  });
}

void Simulation::plan_orders() {
  Planner planner(scenario_, random_);
  const Duration pause = scenario_.duration / scenario_.deployments;
  for (int i = 0; i < scenario_.deployments; ++i)
    orders_.push_back(planner.plan(static_cast<std::size_t>(i), cluster_.world().now() + pause * i));
}

void Simulation::plan_faults(FaultKind kind, double per_hour) {
  const double expected = per_hour * std::chrono::duration<double, std::ratio<3600>>(scenario_.duration).count();
  for (std::size_t machine = 0; machine < cluster_.machines().size(); ++machine) {
    const auto whole = static_cast<std::uint64_t>(expected);
    const std::uint64_t count = whole + (chance(random_, expected - static_cast<double>(whole)) ? 1 : 0);
    for (std::uint64_t i = 0; i < count; ++i) {
      faults_.push_back({cluster_.world().now() + between(random_, 0s, scenario_.duration), machine, kind,
                         between(random_, scenario_.shortest_outage, scenario_.longest_outage), 0s});
      if (kind == FaultKind::clock_error) faults_.back().ahead = clock_error();
    }
  }
}

/// Half of them are less than an eighth of the largest: as long as messages live, or shorter.
Duration Simulation::clock_error() {
  const double part = static_cast<double>(random_.below(1'000'001)) / 1e6;
  const auto error = std::chrono::duration_cast<Duration>(scenario_.largest_clock_error * part * part * part);
  return chance(random_, 0.5) ? error : -error;
}

// --- the run ---------------------------------------------------------------------------------------------------------

Report Simulation::run() {
  make_machines();
  cluster_.start();
  plan_orders();
  plan_faults(FaultKind::kill, scenario_.kills);
  plan_faults(FaultKind::power_loss, scenario_.power_losses);
  plan_faults(FaultKind::partition, scenario_.partitions);
  plan_faults(FaultKind::full_disk, scenario_.full_disks);
  plan_faults(FaultKind::clock_error, scenario_.clock_errors);
  std::ranges::stable_sort(faults_, {}, &Fault::at);
  observer_ = &cluster_.world().add_node("observer");
  observe();

  const SteadyTime end = cluster_.world().now() + scenario_.duration;
  if (advance(end, false)) {
    repair_due(true);
    if (advance(end + scenario_.settle, true)) conclude();
  }
  report_.interrupted = stopped_;
  report_.simulated_seconds = seconds();
  report_.events = cluster_.world().events();
  report_.messages = cluster_.substrate().counters().delivered;
  return report_;
}

/// False if the simulation is to stop.
bool Simulation::advance(SteadyTime until, bool settling) {
  SteadyTime next_progress = cluster_.world().now() + kProgress;
  SteadyTime next_poll = cluster_.world().now() + kPoll;
  const Duration planned = scenario_.duration + scenario_.settle;
  while (cluster_.world().now() < until) {
    submit_due();
    shut_down_due(settling);
    if (!settling) fault_due();
    repair_due(false);
    cluster_.world().run_for(kStep);
    if (cluster_.world().now() < next_progress) continue;
    next_progress = cluster_.world().now() + kProgress;
    const bool polls = cluster_.world().now() >= next_poll;
    if (polls) poll();
    if (polls) next_poll = cluster_.world().now() + kPoll;
    if (progress_ && !progress_(report_, cluster_.world().now().time_since_epoch(), planned)) {
      stopped_ = true;
      return false;
    }
    if (settling && polls && all_ended()) break;
  }
  return true;
}

/// The checks run in simulated time, whatever else is under way.
void Simulation::observe() {
  checkers_.check();
  watch_trees();
  trees_.check();
  Lane& lane = observer_->runtime().lane;
  observer_timer_ = std::make_unique<ScopedTimer>(lane, lane.now() + kStep, [this] { observe(); });
}

void Simulation::submit_due() {
  for (; next_order_ < orders_.size() && orders_[next_order_]->at <= cluster_.world().now(); ++next_order_) {
    const std::shared_ptr<Order>& order = orders_[next_order_];
    if (order->sent) continue;
    for (std::size_t tries = 0; !user(order->user).up() && tries < static_cast<std::size_t>(scenario_.users); ++tries)
      order->user = (order->user + 1) % static_cast<std::size_t>(scenario_.users);
    Machine& at = user(order->user);
    if (!at.up()) return;  // every user's daemon is down: later
    order->sent = true;
    order->sent_at = cluster_.world().now();
    ++report_.submitted;
    at.user().spawn(submit(at.user(), at.node().root().handle(), order));
  }
}

void Simulation::shut_down_due(bool all) {
  const SteadyTime now = cluster_.world().now();
  for (const std::shared_ptr<Order>& order : orders_) {
    if (order->id.empty() || is_ended(order->state) || !order->shut_down_at) continue;
    if (!all && now < *order->shut_down_at) continue;
    Machine& at = user(order->user);
    if (!at.up() || now < *order->shut_down_at) continue;
    order->shut_down_at = now + 3min;  // and again, if it has not ended by then
    at.user().spawn(shut_down(at.user(), at.node().root().handle(), order->id));
  }
}

void Simulation::fault_due() {
  for (; next_fault_ < faults_.size() && faults_[next_fault_].at <= cluster_.world().now(); ++next_fault_) {
    const Fault& fault = faults_[next_fault_];
    const SteadyTime begun = cluster_.world().now();  // the end of a daemon takes time
    if (!apply(fault)) continue;
    const Machine& machine = *cluster_.machines()[fault.machine];
    const SteadyTime repaired = cluster_.world().now() + fault.outage;
    causes_.has_fault(machine.peer(), begun, repaired);
    repairs_.emplace(repaired, fault);
    note(fmt::format("{}: {}, for {:.1f} s", machine.name(), kFaults[static_cast<std::size_t>(fault.kind)],
                     std::chrono::duration<double>(fault.outage).count()));
  }
}

bool Simulation::apply(const Fault& fault) {
  Machine& machine = *cluster_.machines()[fault.machine];
  if (!machine.up() || partitioned_.contains(fault.machine)) return false;
  switch (fault.kind) {
    case FaultKind::kill:
      ++report_.kills;
      cluster_.kill_daemon(machine);
      return true;
    case FaultKind::power_loss:
      ++report_.power_losses;
      cluster_.crash(machine);
      return true;
    case FaultKind::partition:
      ++report_.partitions;
      partitioned_.insert(fault.machine);
      cut(machine, true);
      return true;
    case FaultKind::full_disk:
      if (!full_disks_.insert(fault.machine).second) return false;
      ++report_.full_disks;
      cluster_.set_disk_full(machine, true);
      return true;
    case FaultKind::clock_error:
      if (!clock_errors_.insert(fault.machine).second) return false;
      ++report_.clock_errors;
      cluster_.set_wall_clock(machine, fault.ahead);
      return true;
  }
  return false;
}

void Simulation::repair(const Fault& fault) {
  Machine& machine = *cluster_.machines()[fault.machine];
  switch (fault.kind) {
    case FaultKind::kill:
    case FaultKind::power_loss: cluster_.restart(machine); break;
    case FaultKind::partition:
      partitioned_.erase(fault.machine);
      cut(machine, false);
      break;
    case FaultKind::full_disk:
      full_disks_.erase(fault.machine);
      cluster_.set_disk_full(machine, false);
      break;
    case FaultKind::clock_error:
      clock_errors_.erase(fault.machine);
      cluster_.set_wall_clock(machine, 0s);
      break;
  }
  note(fmt::format("{}: no longer {}", machine.name(), kFaults[static_cast<std::size_t>(fault.kind)]));
}

void Simulation::cut(Machine& machine, bool is_cut) {
  for (std::size_t i = 0; i < cluster_.machines().size(); ++i) {
    Machine& other = *cluster_.machines()[i];
    if (&other != &machine && !partitioned_.contains(i)) cluster_.substrate().cut(machine.peer(), other.peer(), is_cut);
  }
}

void Simulation::repair_due(bool all) {
  while (!repairs_.empty() && (all || repairs_.begin()->first <= cluster_.world().now())) {
    const Fault fault = repairs_.begin()->second;
    repairs_.erase(repairs_.begin());
    repair(fault);
  }
}

/// Asks each user's node for the states of its deployments.
void Simulation::poll() {
  std::map<std::string, std::string> known;
  const std::set<std::size_t> losers = users_with_lost_orders();
  for (int i = 0; i < scenario_.users; ++i) {
    Machine& at = user(static_cast<std::size_t>(i));
    if (!at.up()) continue;
    const auto reply = cluster_.call(at, protocol::kDeploymentList, protocol::DeploymentListRequest{});
    if (!reply) continue;
    known.insert(reply->deployments.begin(), reply->deployments.end());
    if (!losers.contains(static_cast<std::size_t>(i))) continue;
    for (const auto& [id, state] : reply->deployments) adopt(static_cast<std::size_t>(i), id);
  }
  for (const std::shared_ptr<Order>& order : orders_) {
    if (order->id.empty() || is_ended(order->state)) continue;
    if (order->state.empty()) checkers_.deploys(order->id, user(order->user));
    if (order->state.empty() && order->exclusive) checkers_.add_exclusive(order->id);
    if (const auto found = known.find(order->id); found != known.end()) learn(*order, found->second);
  }
  for (const std::shared_ptr<Order>& order : orders_)
    outcomes_.disturbed(*order, user(order->user).peer(), cluster_.world().now());
  count_ends();
}

void Simulation::count_ends() {
  report_.completed = report_.failed = report_.cancelled = report_.updates = 0;
  for (const std::shared_ptr<Order>& order : orders_) {
    if (order->updated) ++report_.updates;
    if (!is_ended(order->state)) continue;
    ++(order->state == "Failed" ? report_.failed : order->cancelled_in.empty() ? report_.completed : report_.cancelled);
  }
}

void Simulation::learn(Order& order, const std::string& state) {
  if (order.state == state) return;
  order.state = state;
  note(fmt::format("user{}: deployment {} is {}", order.user, order.id, state));
  if (!is_ended(state)) return;
  order.ended_at = cluster_.world().now();
  checkers_.has_ended(order.id);
}

bool Simulation::lost(const Order& order) const {
  return order.sent && !order.answered && cluster_.world().now() > order.sent_at + kAnswer + kPoll;
}

std::set<std::size_t> Simulation::users_with_lost_orders() const {
  std::set<std::size_t> users;
  for (const std::shared_ptr<Order>& order : orders_)
    if (lost(*order)) users.insert(order->user);
  return users;
}

/// A deployment whose answer was lost with the daemon of its user exists all the same.
void Simulation::adopt(std::size_t user, const std::string& deployment) {
  if (std::ranges::any_of(orders_, [&](const auto& order) { return order->id == deployment; })) return;
  auto order = std::make_shared<Order>();
  order->user = user;
  order->sent = order->answered = true;
  order->id = deployment;
  order->shut_down_at = cluster_.world().now();
  note(fmt::format("user{}: deployment {}, of which the answer was lost", user, deployment));
  orders_.push_back(std::move(order));
}

bool Simulation::all_ended() const {
  return std::ranges::all_of(orders_, [this](const auto& order) {
    if (order->id.empty()) return order->answered || lost(*order);
    return is_ended(order->state);
  });
}

// --- the end ---------------------------------------------------------------------------------------------------------

void Simulation::conclude() {
  poll();
  for (const std::shared_ptr<Order>& order : orders_) {
    const crypto::PeerId peer = user(order->user).peer();
    if (order->id.empty()) {
      if (!order->answered) continue;
      ++report_.refused;
      outcomes_.not_taken(*order, peer, cluster_.world().now());
      continue;
    }
    if (!is_ended(order->state)) {
      ++report_.unfinished;
      report_.add(seconds(), "each deployment ends or runs",
                  fmt::format("{} of user{} is {}", order->id, order->user, order->state));
      continue;
    }
    const auto status = cluster_.status(user(order->user), order->id);
    if (!status) continue;
    if (trees_.may_fail(order->id)) causes_.fails(order->id);
    outcomes_.ended(*order, peer, *status, cluster_.world().now());
    for (const auto& [name, state] : status->allocations) report_.restarts += state.restarts;
    compare_outputs(*order, *status);
    compare_results(*order, *status);
  }
  cluster_.world().run_for(scenario_.lease + Checkers::kHeldMargin);
  compare_ended_outputs();
  checkers_.check_that_nothing_is_left();
}

/// From the moment on at which the ids of supervised deployments are known, which is before their work begins.
void Simulation::watch_trees() {
  for (const std::shared_ptr<Order>& order : orders_)
    if (order->supervised && !order->id.empty() && !trees_.knows(order->id)) trees_.deploys(*order, user(order->user));
}

void Simulation::begins(const Machine& machine, const executor::Request& request) {
  checkers_.begins(machine, request.execution_id);
  watch_trees();
  trees_.begins(machine, request);
  const FileWork done = do_file_work(request);
  report_.inputs += done.read;
  for (const std::string& fault : done.faults)
    report_.add(seconds(), "inputs arrive whole before the start, results can be written",
                fmt::format("{} on {}: {}", request.job_id, machine.name(), fault));
}

void Simulation::check_choice(const orchestrator::Market& market, const orchestrator::Wanted& wanted,
                              const orchestrator::Match& match) {
  const std::optional<std::string> wrong = compare_with_all(market, wanted, match);
  if (!wrong) return;
  if (wrong->empty())
    ++report_.choices;
  else
    report_.add(seconds(), "machines are chosen as well as the bids allow",
                fmt::format("{}: {}", wanted.deployment, *wrong));
}

bool Simulation::is_honest_end(const protocol::AllocationState& state) const {
  return state.status == protocol::AllocationStatus::completed && !dishonest_.contains(state.peer);
}

bool Simulation::may_lack_output(const Order& order, const protocol::AllocationState& state) {
  if (!state.reason.contains("output could not be fetched")) return false;
  const SteadyTime now = cluster_.world().now();
  const Result<crypto::PeerId> provider = crypto::PeerId::parse(state.peer);
  return causes_.had_fault(user(order.user).peer(), order.sent_at, now) ||
         (provider && causes_.had_fault(*provider, order.sent_at, now));
}

Cause Simulation::cause(const Order& order, const protocol::AllocationState& state) {
  return outcomes_.cause(order, user(order.user).peer(), state.reason, cluster_.world().now());
}

void Simulation::compare_outputs(Order& order, const protocol::DeploymentStatusReply& status) {
  if (is_shut_down(order)) return;  // later: it may still be to come from a provider that was away
  for (const auto& [name, output] : order.outputs) {
    const auto allocation = status.allocations.find(name);
    if (allocation == status.allocations.end() || !is_honest_end(allocation->second)) continue;
    protocol::DeploymentLogsRequest request;
    request.ensemble_id = order.id;
    request.allocation_name = name;
    const auto reply = cluster_.call(user(order.user), protocol::kDeploymentLogs, request);
    const std::string expected = executor::with_run(output, allocation->second.incarnation);
    std::string wrong;
    for (const auto& [file, text] : {std::pair("stdout.log", expected), std::pair("stderr.log", errors_of(expected))}) {
      const Result<std::string> found = reply ? read_file(std::filesystem::path(reply->written_to) / file, kMaxOutput)
                                              : fail(Errc::not_found, "no reply");
      if (found && *found == text) continue;
      wrong += fmt::format(", {} has {} of {} bytes", file, found ? found->size() : 0, text.size());
    }
    if (wrong.empty()) {
      ++report_.outputs;
      continue;
    }
    report_.add(seconds(), kComplete, fmt::format("{} of {} on {}{}", name, order.id, allocation->second.peer, wrong));
  }
}

void Simulation::compare_ended_outputs() {
  for (const std::shared_ptr<Order>& order : orders_) {
    if (order->id.empty() || order->state != "Completed" || !is_shut_down(*order)) continue;
    const auto status = cluster_.status(user(order->user), order->id);
    if (!status) continue;
    for (const auto& [name, state] : status->allocations) compare_ended_output(*order, name, state);
  }
}

void Simulation::compare_ended_output(const Order& order, const std::string& name,
                                      const protocol::AllocationState& state) {
  const bool has_ended =
      state.status == protocol::AllocationStatus::terminated || state.status == protocol::AllocationStatus::completed;
  if (!has_ended || dishonest_.contains(state.peer)) return;
  const std::filesystem::path folder = orchestrator::OutputStore(user(order.user).work_dir()).folder(order.id, name);
  const std::optional<std::string> wrong = checkers_.missing_output(state.incarnation, folder);
  if (!wrong) return;
  if (wrong->empty())
    ++report_.outputs;
  else if (!may_lack_output(order, state))
    report_.add(seconds(), kComplete,
                fmt::format("{} of {} on {}, run {}: {} ({})", name, order.id, state.peer, state.incarnation, *wrong,
                            state.reason));
}

/// One that could not be fetched is told in the status; a fault of either party explains it.
void Simulation::compare_results(const Order& order, const protocol::DeploymentStatusReply& status) {
  for (const auto& [name, file] : order.results) {
    const auto allocation = status.allocations.find(name);
    if (allocation == status.allocations.end() || !is_honest_end(allocation->second)) continue;
    const Result<std::string> found = result_of(order, name);
    if (found && *found == file.content()) {
      ++report_.results;
      continue;
    }
    if (!found && cause(order, allocation->second) != Cause::none) continue;
    report_.add(seconds(), "results are what the work left",
                fmt::format("{} of {} on {}: {} ({})", name, order.id, allocation->second.peer,
                            found ? fmt::format("{} of {} bytes", found->size(), file.size) : found.error().to_string(),
                            allocation->second.reason));
  }
}

Result<std::string> Simulation::result_of(const Order& order, const std::string& allocation) {
  std::string text;
  protocol::DeploymentLogsRequest request;
  request.ensemble_id = order.id;
  request.allocation_name = allocation;
  request.stream = fmt::format("result:{}", kResultPath);
  for (bool last = false; !last;) {
    request.offset = text.size();
    TRY(const protocol::DeploymentLogsReply page, cluster_.call(user(order.user), protocol::kDeploymentLogs, request));
    if (!page.error.empty()) return fail(Errc::not_found, "{}", page.error);
    if (page.data.empty() && !page.eof) return fail(Errc::io, "the result ends at {}", text.size());
    text += as_text(page.data);
    last = page.eof;
  }
  return text;
}

}  // namespace dms::sim
