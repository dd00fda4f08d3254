// How a Sandbox takes up what an earlier daemon has started, or removes it.
#include "base/log.hpp"
#include "executor/sandbox/sandbox_run.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

/// False if it never ran, or nothing is known about it.
Task<Result<bool>> Sandbox::take_up(RunPtr run) {
  auto reading = [run] { return read_spec(run->dir); };
  const Result<ShimSpec> spec = co_await offload(reading);
  if (!spec) {
    log::warn("executor", "execution '{}' is not taken up: {}", run->request.execution_id.value,
              spec.error().to_string());
    co_return false;
  }
  run->uid = spec->uid;
  run->work = spec->work_dir;
  run->cgroup = group_of(*spec);
  std::error_code ec;
  CO_TRY(const Fd shim, find_shim(run->dir));
  if (!shim && !fs::exists(run->dir / kStatusFile, ec) && !fs::exists(run->dir / kStatusDraft, ec)) co_return false;
  CO_TRY_VOID(add(run));
  const Result<void> attached = co_await attach(run);
  if (!attached) {
    runs_.erase(run->request.execution_id);
    co_return std::unexpected(attached.error());
  }
  if (!run->over && run->cgroup && run->cgroup->frozen()) run->state = State::paused;
  ++metrics_.recovered;
  log::info("executor", "execution '{}' is taken up: {}", run->request.execution_id.value, to_string(run->state));
  co_return true;
}

/// Nothing if it names folders outside the control groups.
std::optional<Cgroup> Sandbox::group_of(const ShimSpec& spec) const {
  const std::string root = options_.cgroup_root.string() + "/";
  const bool inside = std::all_of(spec.cgroups.begin(), spec.cgroups.end(),
                                  [&](const std::string& path) { return path.starts_with(root); });
  if (spec.cgroups.empty() || !inside) return std::nullopt;
  return Cgroup({spec.cgroups.begin(), spec.cgroups.end()}, spec.cgroup_v2);
}

/// Control groups without an execution: those below this daemon's base, and those that the specifications of what is not
/// taken up name.
std::vector<Cgroup> Sandbox::left_groups(const std::vector<std::string>& folders) const {
  std::vector<Cgroup> groups;
  if (cgroups_)
    for (Cgroup& group : cgroups_->list())
      if (!runs_.contains(ExecutionId(group.folders().front().filename()))) groups.push_back(std::move(group));
  for (const std::string& folder : folders) {
    const Result<ShimSpec> spec = read_spec(options_.state_dir / folder);
    if (!spec) continue;
    if (std::optional<Cgroup> group = group_of(*spec)) groups.push_back(*std::move(group));
  }
  return groups;
}

Task<Result<std::vector<ExecutionId>>> Sandbox::recover(std::vector<Request> known) {
  if (!runs_.empty()) co_return fail(Errc::invalid_argument, "recover() comes before the first start");
  std::map<std::string, Request> requests;
  for (Request& request : known)
    if (validate(request)) requests.emplace(request.execution_id.value, std::move(request));
  std::vector<ExecutionId> taken;
  std::vector<std::string> others;
  const auto is_execution = [](std::string_view name) { return !name.starts_with('.'); };  // those of the quarantine do
  std::vector<std::string> executions = list_folders(options_.state_dir, is_execution);
  for (std::string& name : executions) {
    const auto it = requests.find(name);
    Result<bool> up = false;
    if (it != requests.end()) {
      auto run = std::make_shared<Run>();
      run->request = it->second;
      run->dir = options_.state_dir / name;
      up = co_await take_up(run);
      if (!up) log::error("executor", "execution '{}' is not taken up: {}", name, up.error().to_string());
    }
    if (up && *up) {
      taken.emplace_back(name);
      continue;
    }
    const Result<void> ended = co_await end_shim(processes_, options_.state_dir / name);
    if (!ended) log::error("executor", "the work of execution '{}' may go on: {}", name, ended.error().to_string());
    others.push_back(std::move(name));
  }
  std::set<std::string> keep;
  for (const ExecutionId& id : taken) keep.insert(id.value);
  co_await residue_.adopt(left_groups(others), std::move(keep));
  co_return std::move(taken);
}

}  // namespace dms::executor
