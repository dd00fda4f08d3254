#include "sim/scenario/checkers.hpp"

#include <algorithm>

namespace dms::sim {
namespace {

constexpr const char* kReleasedOnce = "each resource is released exactly once";

}  // namespace

bool runs(const executor::FakeHost::Work& work, SteadyTime now) {
  if (work.over || work.state != executor::State::running) return false;
  if (work.deadline && now >= *work.deadline) return false;
  return !work.script.runs_for || now < work.since + work.left;
}

double Checkers::seconds() const {
  return std::chrono::duration<double>(cluster_.world().now().time_since_epoch()).count();
}

void Checkers::find(const std::string& property, const std::string& about, std::string detail) {
  if (reported_.emplace(property, about).second) report_.add(seconds(), property, std::move(detail));
}

void Checkers::has_ended(const std::string& deployment) {
  const SteadyTime now = cluster_.world().now();
  if (ended_.try_emplace(deployment, now).second) outputs_.has_ended(deployment, now);
}

void Checkers::begins(const Machine& machine, const executor::ExecutionId& run) {
  const auto found = machine.work().works.find(run);
  if (found == machine.work().works.end()) return;  // of a daemon that is being killed
  const executor::FakeHost::Work& work = found->second;
  outputs_.begins(work.request.job_id, run.value, work.script.out, work.script.err);
}

// --- releases --------------------------------------------------------------------------------------------------------

void Checkers::watch(Machine& machine) {
  machine.on_ledger([this, &machine](resources::Manager& ledger) {
    Told& told = told_[&machine];
    told = {};
    const auto known = machine.stored().list(resources::kReservationCollection);
    if (known)
      for (const db::Document& document : *known) told.held.insert(document.id);
    ledger.watch([this, &machine](const std::string& reservation, resources::Manager::Step step) {
      count(machine, reservation, step);
    });
  });
}

void Checkers::count(const Machine& machine, const std::string& reservation, resources::Manager::Step step) {
  Told& told = told_[&machine];
  const auto twice = [&](std::string_view what) {
    find(kReleasedOnce, fmt::format("{} {} {}", machine.name(), reservation, what),
         fmt::format("{} on {} is {}", reservation, machine.name(), what));
  };
  switch (step) {
    case resources::Manager::Step::reserved:
      if (!told.held.insert(reservation).second) twice("reserved again without a release");
      told.released.erase(reservation);
      return;
    case resources::Manager::Step::released:
      if (told.held.erase(reservation) == 0) twice("released without being reserved");
      told.released[reservation] = machine.refused_writes();
      return;
    case resources::Manager::Step::not_held:
      if (const auto before = told.released.find(reservation);
          before != told.released.end() && before->second == machine.refused_writes())
        twice("released twice");
      return;
  }
}

void Checkers::check_told(const Machine& machine, const Ledger& ledger) {
  const auto told = told_.find(&machine);
  if (told == told_.end()) return;
  for (const auto& [name, reservation] : ledger)
    if (!told->second.held.contains(name))
      find(kReleasedOnce, fmt::format("{} {} held", machine.name(), name),
           fmt::format("{} is {} on {}, which has released it or never reserved it", name,
                       resources::to_string(reservation.state), machine.name()));
}

// --- each second -----------------------------------------------------------------------------------------------------

void Checkers::check() {
  ++report_.checks;
  std::map<std::string, std::vector<Run>> running;
  std::uint64_t turn = report_.checks;
  for (const auto& machine : cluster_.machines()) check_machine(*machine, ++turn % kStoredEvery == 0, running);
  for (const auto& [allocation, all] : running) check_runs(allocation, all);
  std::erase_if(overlaps_, [&](const auto& entry) {
    const auto now = running.find(entry.first);
    return now == running.end() || now->second.size() < 2;
  });
  check_outputs();
}

void Checkers::check_outputs() {
  for (const auto& [about, wrong] : outputs_.check(cluster_.world().now()))
    find("what is collected is what the work has printed", about, fmt::format("{}: {}", about, wrong));
}

void Checkers::check_machine(Machine& machine, bool stored, std::map<std::string, std::vector<Run>>& running) {
  const SteadyTime now = cluster_.world().now();
  Amounts taken;
  for (const auto& [id, work] : machine.work().works) {
    check_work(machine, id, work);
    if (work.state == executor::State::pending) continue;
    // The folder of an allocation has its name here, which is that of its reservation.
    Amount& one = taken[work.request.results_dir.parent_path().filename().string()];
    one.disk += static_cast<double>(work.script.disk_bytes);
    if (!runs(work, now)) continue;
    running[work.request.job_id].push_back({&machine, &work});
    one.cores += work.request.limits.cpu_cores;
    one.memory += static_cast<double>(work.request.limits.memory_bytes);
  }
  check_sum(machine, "runs", taken);
  if (stored)
    if (const std::optional<Ledger> ledger = read_ledger(machine)) check_ledger(machine, *ledger, taken);
  if (!machine.up()) return;
  const Ledger ledger = machine.reserved();
  check_ledger(machine, ledger, taken);
  check_told(machine, ledger);
  check_reserved(machine, ledger);
}

/// As it is stored: what counts of it.
std::optional<Checkers::Ledger> Checkers::read_ledger(Machine& machine) {
  const auto all = machine.stored().list_values<resources::Reservation>(resources::kReservationCollection);
  if (!all) {
    find("what is reserved is stored", machine.name(), fmt::format("{}: {}", machine.name(), all.error().to_string()));
    return std::nullopt;
  }
  Ledger ledger;
  for (const auto& [name, reservation] : *all)
    if (reservation.state == resources::State::allocated || cluster_.world().now() < reservation.expires)
      ledger.emplace(name, reservation);
  return ledger;
}

void Checkers::check_ledger(const Machine& machine, const Ledger& ledger, const Amounts& taken) {
  Amounts all = taken;
  for (const auto& [name, reservation] : ledger) {
    Amount& one = all[name];
    one = most(one, amount(reservation.resources));
  }
  check_sum(machine, "holds", all);
  for (const auto& [name, work] : taken) {
    if (work.cores <= 0 && work.memory <= 0) continue;
    const auto reserved = ledger.find(name);
    const bool allocated = reserved != ledger.end() && reserved->second.state == resources::State::allocated;
    if (allocated && covers(amount(reserved->second.resources), {work.cores, work.memory, 0})) continue;
    find("what runs is allocated", machine.name() + name,
         fmt::format("{} runs on {} with {} cores and {} bytes of memory, of which {} is allocated", name,
                     machine.name(), work.cores, work.memory,
                     allocated ? reserved->second.resources.to_string() : "nothing"));
  }
}

void Checkers::check_sum(const Machine& machine, std::string_view what, const Amounts& amounts) {
  Amount sum;
  for (const auto& [name, one] : amounts) {
    sum.cores += one.cores;
    sum.memory += one.memory;
    sum.disk += one.disk;
  }
  if (covers(amount(machine.share()), sum)) return;
  find("resources are never over-committed", fmt::format("{} {}", machine.name(), what),
       fmt::format("{} {} {} cores, {} bytes of memory and {} of disk; it offers {}", machine.name(), what, sum.cores,
                   sum.memory, sum.disk, machine.share().to_string()));
}

Checkers::Amount Checkers::amount(const capability::Resources& resources) {
  return {resources.cpu.cores.cores(), static_cast<double>(resources.ram.size.bytes),
          static_cast<double>(resources.disk.size.bytes)};
}

Checkers::Amount Checkers::most(const Amount& a, const Amount& b) {
  return {std::max(a.cores, b.cores), std::max(a.memory, b.memory), std::max(a.disk, b.disk)};
}

bool Checkers::covers(const Amount& all, const Amount& part) {
  constexpr double kRounding = 1e-6;
  return part.cores <= all.cores + kRounding && part.memory <= all.memory && part.disk <= all.disk;
}

void Checkers::check_work(const Machine& machine, const executor::ExecutionId& id,
                          const executor::FakeHost::Work& work) {
  const SteadyTime now = cluster_.world().now();
  if (work.over || work.state != executor::State::running) return;
  const bool none = !work.deadline && runs(work, now) && now > work.since + kNoDeadline;
  const bool over = machine.up() && work.deadline && now > *work.deadline + 2s;
  if (none || over)
    find("nothing runs without a lease", id.value,
         fmt::format("{} on {}{}", work.request.job_id, machine.name(),
                     none ? " has no deadline" : " runs after its deadline"));
}

void Checkers::check_reserved(const Machine& machine, const Ledger& ledger) {
  const SteadyTime now = cluster_.world().now();
  for (const auto& [name, reservation] : ledger) {
    const bool work_over = reservation.resources.cpu.cores.cores() <= 0;  // what is left is the disk of its output
    const std::string deployment(jobs::ensemble_id(name));
    const auto ended = ended_.find(deployment);
    if (work_over || ended == ended_.end() || now < ended->second + scenario_.lease + kHeldMargin) continue;
    find("nothing is reserved without a deployment", machine.name() + name,
         fmt::format("{} on {} ({}), whose deployment has ended {} s before", name, machine.name(),
                     resources::to_string(reservation.state),
                     std::chrono::duration_cast<std::chrono::seconds>(now - ended->second).count()));
  }
}

void Checkers::check_runs(const std::string& allocation, const std::vector<Run>& runs) {
  if (runs.size() < 2) return;
  const SteadyTime now = cluster_.world().now();
  std::string where;
  std::set<const Machine*> machines;
  for (const Run& run : runs) {
    where += (where.empty() ? "" : ", ") + run.machine->name();
    machines.insert(run.machine);
  }
  const std::string text = fmt::format("{} runs {} times: on {}", allocation, runs.size(), where);
  if (machines.size() < runs.size()) find("an allocation runs once on a machine", allocation, text);
  if (exclusive_.contains(std::string(jobs::ensemble_id(allocation))))
    return find("an exclusive allocation never runs twice", allocation, text);
  const SteadyTime since = overlaps_.try_emplace(allocation, now).first->second;
  const double overlap = std::chrono::duration<double>(now - since).count();
  report_.longest_overlap_seconds = std::max(report_.longest_overlap_seconds, overlap);
  if (now - since > scenario_.lease + kOverlapMargin)
    find("a fast replacement overlaps for a lease at most", allocation, text);
}

void Checkers::check_that_nothing_is_left() {
  const SteadyTime now = cluster_.world().now();
  for (const auto& machine : cluster_.machines()) {
    for (const auto& [id, work] : machine->work().works)
      if (runs(work, now))
        find("nothing is left at the end", id.value,
             fmt::format("{} still runs on {}", work.request.job_id, machine->name()));
    if (!machine->up()) continue;
    for (const auto& [name, reservation] : machine->reserved())
      find(kReleasedOnce, machine->name() + name,
           fmt::format("{} is still {} on {}", name, resources::to_string(reservation.state), machine->name()));
  }
}

}  // namespace dms::sim
