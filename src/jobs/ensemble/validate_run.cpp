// The rules for how the work of an allocation runs: health checks, dependencies, inputs and results.
#include <set>

#include "jobs/ensemble/health_endpoint.hpp"
#include "jobs/ensemble/program_limits.hpp"
#include "jobs/ensemble/rules.hpp"
#include "jobs/ensemble/work_path.hpp"

namespace dms::jobs {
namespace {

constexpr std::uint32_t kMaxThreshold = 1000;
constexpr Duration kShortestInterval = 1s;  ///< of health checks; providers refuse others
constexpr Duration kLongestTimeout = 10min;
constexpr std::string_view kWorkPath = "expected a path below the work folder, without .. and empty parts";

/// A member that a check of this type does not read would be ignored.
Result<void> check_members(const std::string& at, const HealthCheck& check) {
  const auto only = [&](bool given, std::string_view member, bool read, std::string_view types) -> Result<void> {
    if (given && !read) return wrong("{}.{}: only {} has one", at, member, types);
    return {};
  };
  const auto type = check.type;
  TRY_VOID(only(!check.exec.empty(), "exec", type == HealthCheckType::command, "a command check"));
  TRY_VOID(only(!check.endpoint.empty(), "endpoint", type == HealthCheckType::http, "an http check"));
  TRY_VOID(only(check.port != 0, "port", type == HealthCheckType::tcp || type == HealthCheckType::http,
                "a tcp or http check"));
  TRY_VOID(only(!check.response.value.empty(), "response",
                type == HealthCheckType::command || type == HealthCheckType::http, "a command or http check"));
  return {};
}

Result<void> check_health(const std::string& at, const HealthCheck& check) {
  if (lacks_type(check)) return wrong("{}.type: expected {}", at, known_names<HealthCheckType>());
  if (!check.present()) return {};
  TRY_VOID(check_members(at, check));
  if (check.type == HealthCheckType::http)
    if (const auto endpoint = health_endpoint(check); !endpoint)
      return wrong("{}.endpoint: {}", at, endpoint.error().message());
  if (check.type == HealthCheckType::command && check.exec.empty())
    return wrong("{}.exec: a command check needs a command", at);
  if (check.type == HealthCheckType::command && check.exec.front().empty())
    return wrong("{}.exec: its first word is no usable name of a program", at);
  TRY_VOID(check_command_limits(at + ".exec", check.exec));
  if (check.type == HealthCheckType::tcp && check.port == 0)
    return wrong("{}.port: a tcp check needs one, from 1 to 65535", at);
  if (check.interval_ns != 0 && Duration(check.interval_ns) < kShortestInterval)
    return wrong("{}.interval: expected a duration of 1s or more", at);
  if (check.timeout_ns < 0 || Duration(check.timeout_ns) > kLongestTimeout)
    return wrong("{}.timeout: expected a duration from 1ns to 10m", at);
  if (check.grace_ns < 0) return wrong("{}.grace: expected a duration of 0s or more", at);
  for (const auto& [member, number] : {std::pair("failure_threshold", check.failure_threshold),
                                       std::pair("success_threshold", check.success_threshold)})
    if (number > kMaxThreshold) return wrong("{}.{}: expected a number from 1 to {}", at, member, kMaxThreshold);
  return {};
}

Result<void> check_dependencies(const Ensemble& ensemble, const std::string& at, const std::string& name,
                                const Allocation& allocation) {
  std::set<std::string_view> needs;
  for (std::size_t i = 0; i < allocation.depends_on.size(); ++i) {
    const std::string& need = allocation.depends_on[i];
    if (need == name) return wrong("{}.depends_on[{}]: {}", at, i, kDependsOnItself);
    if (!ensemble.allocations.contains(need))
      return wrong("{}.depends_on[{}]: {}", at, i, no_allocation(need, name, ensemble.allocations));
    needs.insert(need);
  }
  for (const auto& [need, condition] : allocation.conditions) {
    if (!needs.contains(need))
      return wrong("{}.depends_on_conditions.{}: depends_on does not list it", at, need.substr(0, 64));
    const Allocation& other = ensemble.allocations.at(need);
    if (condition == Condition::healthy && !other.healthcheck.present())
      return wrong("{}.depends_on.{}: healthy needs a health check of {}, which has none", at, need, need);
    if (condition == Condition::completed && other.type != AllocationType::task)
      return wrong("{}.depends_on.{}: completed needs a task, and {} is a service", at, need, need);
  }
  return {};
}

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<void> check_source(const Ensemble& ensemble, const std::string& at, const Allocation& allocation,
                          const Input& input) {
  if (input.file.empty() == input.allocation.empty())
    return wrong("{}: expected one of file (of this machine) and allocation (with path, one of its results)", at);
  if (!input.digest.empty() && !is_digest(input.digest)) return wrong("{}.digest: expected a SHA-256 in hex", at);
  if (!input.file.empty()) {
    if (!input.path.empty()) return wrong("{}.path: it belongs to allocation; the file is named by file", at);
    if (input.file.find('\0') != std::string::npos) return wrong("{}.file: a zero byte cannot be part of a name", at);
    return {};
  }
  const std::string& from = input.allocation;
  const auto& needs = allocation.depends_on;
  if (std::find(needs.begin(), needs.end(), from) == needs.end() || allocation.condition(from) != Condition::completed)
    return wrong("{}.allocation: write `depends_on: {{{}: completed}}`; its results exist once it has completed", at,
                 from.substr(0, 64));
  const auto& results = ensemble.allocations.at(from).results;
  const auto same = [&](const std::string& path) { return without_slash(path) == without_slash(input.path); };
  if (!results || std::none_of(results->paths.begin(), results->paths.end(), same))
    return wrong("{}.path: \"{}\" is not among the results of {}; list it in allocations.{}.results", at,
                 input.path.substr(0, 128), from, from);
  return {};
}

Result<void> check_inputs(const Ensemble& ensemble, const std::string& at, const Allocation& allocation) {
  if (allocation.inputs.size() > kMaxTransfers) return wrong("{}: more than {}", at, kMaxTransfers);
  for (std::size_t i = 0; i < allocation.inputs.size(); ++i) {
    const Input& input = allocation.inputs[i];
    const std::string here = fmt::format("{}[{}]", at, i);
    TRY_VOID(check_source(ensemble, here, allocation, input));
    if (!is_work_path(input.to)) return wrong("{}.to: {}", here, kWorkPath);
    for (std::size_t j = 0; j < i; ++j)
      if (overlap(allocation.inputs[j].to, input.to))
        return wrong("{}.to: \"{}\" and \"{}\" are the same or one inside the other", here, input.to,
                     allocation.inputs[j].to);
  }
  return {};
}

Result<void> check_results(const std::string& at, const Allocation& allocation) {
  if (!allocation.results) return {};
  const std::vector<std::string>& paths = allocation.results->paths;
  if (allocation.type != AllocationType::task) return wrong("{}: only a task has results; a service does not end", at);
  if (paths.empty()) return wrong("{}: expected at least one path", at);
  if (paths.size() > kMaxTransfers) return wrong("{}: more than {}", at, kMaxTransfers);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!is_work_path(paths[i])) return wrong("{}.paths[{}]: {}", at, i, kWorkPath);
    for (std::size_t j = 0; j < i; ++j)
      if (overlap(paths[j], paths[i]))
        return wrong("{}.paths[{}]: \"{}\" and \"{}\" are the same or one inside the other", at, i, paths[i], paths[j]);
  }
  return {};
}

}  // namespace

Result<void> check_run(const Ensemble& ensemble, const std::string& name, const Allocation& allocation) {
  const std::string at = "allocations." + name;
  TRY_VOID(check_health(at + ".healthcheck", allocation.healthcheck));
  TRY_VOID(check_dependencies(ensemble, at, name, allocation));
  TRY_VOID(check_inputs(ensemble, at + ".inputs", allocation));
  return check_results(at + ".results", allocation);
}

}  // namespace dms::jobs
