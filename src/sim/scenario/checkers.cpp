#include "sim/scenario/checkers.hpp"

namespace dms::sim {

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

void Checkers::check() {
  ++report_.checks;
  std::map<std::string, std::vector<Run>> running;
  for (const auto& machine : cluster_.machines()) check_machine(*machine, running);
  for (const auto& [allocation, all] : running) check_runs(allocation, all);
  std::erase_if(overlaps_, [&](const auto& entry) {
    const auto now = running.find(entry.first);
    return now == running.end() || now->second.size() < 2;
  });
}

void Checkers::check_machine(const Machine& machine, std::map<std::string, std::vector<Run>>& running) {
  const SteadyTime now = cluster_.world().now();
  double cores = 0;
  double memory = 0;
  for (const auto& [id, work] : machine.work().works) {
    check_work(machine, id, work);
    if (!runs(work, now)) continue;
    running[work.request.job_id].push_back({&machine, &work});
    cores += work.request.limits.cpu_cores;
    memory += static_cast<double>(work.request.limits.memory_bytes);
  }
  if (cores > machine.share().cpu.cores.cores() + 1e-6 || memory > static_cast<double>(machine.share().ram.size.bytes))
    find("resources are never over-committed", machine.name(),
         fmt::format("{} runs {} cores and {} bytes", machine.name(), cores, memory));
  if (machine.up()) check_reserved(machine);
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

void Checkers::check_reserved(const Machine& machine) {
  const SteadyTime now = cluster_.world().now();
  for (const auto& [name, reservation] : machine.reserved()) {
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
      find("each resource is released exactly once", machine->name() + name,
           fmt::format("{} is still {} on {}", name, resources::to_string(reservation.state), machine->name()));
  }
}

}  // namespace dms::sim
