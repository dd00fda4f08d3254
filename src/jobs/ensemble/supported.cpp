#include "jobs/ensemble/supported.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <filesystem>
#include <optional>

#include "base/text.hpp"
#include "encoding/unset.hpp"
#include "jobs/ensemble/advice.hpp"
#include "jobs/ensemble/supervision.hpp"

namespace dms::jobs {
namespace {

/// Collects the refusals below one place of the ensemble.
class Check {
 public:
  Check(std::vector<std::string>& problems, std::string at) : problems_(problems), at_(std::move(at)) {}

  [[nodiscard]] Check operator/(std::string_view name) const { return {problems_, path(name)}; }
  [[nodiscard]] Check item(std::string_view name, std::size_t index) const {
    return {problems_, fmt::format("{}[{}]", path(name), index)};
  }
  void refuse(bool given, std::string_view name, std::string_view advice) const {
    if (given) problems_.push_back(fmt::format("{}: {}", path(name), advice));
  }

 private:
  [[nodiscard]] std::string path(std::string_view name) const {
    return at_.empty() ? std::string(name) : fmt::format("{}.{}", at_, name);
  }
  std::vector<std::string>& problems_;
  std::string at_;
};

constexpr std::string_view kNotCompared = "not compared with what machines offer; remove it";

void check_resources(const Check& at, const capability::Resources& resources) {
  const Check cpu = at / "cpu";
  cpu.refuse(!resources.cpu.model.empty(), "model", kNotCompared);
  cpu.refuse(!resources.cpu.vendor.empty(), "vendor", kNotCompared);
  cpu.refuse(resources.cpu.threads != 0, "threads", "not compared with what machines offer; write cores");
  cpu.refuse(!resources.cpu.cache_size.empty(), "cache_size", kNotCompared);
  const Check ram = at / "ram";
  ram.refuse(!resources.ram.clock_speed.empty(), "clock_speed", kNotCompared);
  ram.refuse(!resources.ram.type.empty(), "type", kNotCompared);
  const Check disk = at / "disk";
  disk.refuse(!resources.disk.model.empty(), "model", kNotCompared);
  disk.refuse(!resources.disk.vendor.empty(), "vendor", kNotCompared);
  disk.refuse(!resources.disk.type.empty(), "type", kNotCompared);
  disk.refuse(!resources.disk.interface.empty(), "interface", kNotCompared);
  disk.refuse(!resources.disk.read_speed.empty(), "read_speed", kNotCompared);
  disk.refuse(!resources.disk.write_speed.empty(), "write_speed", kNotCompared);
  at.refuse(!resources.gpus.empty(), "gpus", kNoCards);
}

const json::Value* given(const Allocation& allocation, std::string_view param) {
  const json::Value* value = allocation.execution.params.if_contains(param);
  return value == nullptr || value->is_null() ? nullptr : value;
}

/// The first word of a list of texts; nothing if it has none.
std::optional<std::string_view> first_word(const json::Value* list) {
  const json::Array* array = list == nullptr ? nullptr : list->if_array();
  if (array == nullptr || array->empty() || !array->front().is_string()) return std::nullopt;
  return std::string_view(array->front().get_string());
}

/// Whether the sandbox can make it the folder of the program: what is relative is below the work folder.
bool is_inside(std::string_view directory) {
  const std::string path = (std::filesystem::path("/work") / directory).lexically_normal().string() + "/";
  return path.starts_with("/work/") || path.starts_with("/tmp/");
}

/// What a provider would refuse only after its bid.
void check_command(const Check& at, const Allocation& allocation) {
  const json::Value* directory = given(allocation, "working_directory");
  const std::string_view folder =
      directory != nullptr && directory->is_string() ? std::string_view(directory->get_string()) : std::string_view();
  if (allocation.executor == ExecutorType::docker) {
    at.refuse(!folder.empty() && !folder.starts_with('/'), "working_directory",
              "docker takes absolute paths only; the work folder is /work");
    return;
  }
  if (allocation.executor != ExecutorType::sandbox) return;
  at.refuse(!is_inside(folder), "working_directory",
            "the sandbox has /work and /tmp only; expected a folder below one of them, relative to /work");
  auto program = first_word(given(allocation, "entrypoint"));
  const std::string_view member = program ? "entrypoint" : "cmd";
  if (!program) program = first_word(given(allocation, "cmd"));
  at.refuse(!program, "cmd", "expected a program and its arguments, found an empty list");
  at.refuse(program && (program->empty() || program->starts_with('-') || program->find('=') != std::string_view::npos),
            member, "its first word is no usable name of a program");
}

void check_execution(const Check& at, const Allocation& allocation) {
  check_command(at, allocation);
  constexpr std::string_view kSandbox[] = {"entrypoint", "cmd", "environment", "working_directory"};
  constexpr std::string_view kDocker[] = {"image",       "image_archive",     "entrypoint", "cmd",
                                          "environment", "working_directory", "privileged", "user"};
  const std::span<const std::string_view> known =
      allocation.executor == ExecutorType::sandbox ? std::span<const std::string_view>(kSandbox) : kDocker;
  for (const auto& param : allocation.execution.params) {
    const std::string_view name(param.key());
    if (json::is_unset(param.value()) || std::find(known.begin(), known.end(), name) != known.end()) continue;
    if (name == "restart_policy")
      at.refuse(param.value() != "no", name, kNoRestart);
    else
      at.refuse(true, name.substr(0, 64),
                fmt::format("not supported by the executor {}; remove it", to_string(allocation.executor)));
  }
}

void check_allocation(const Check& at, const std::string& name, const Allocation& allocation) {
  const bool unavailable =
      allocation.executor == ExecutorType::firecracker || allocation.executor == ExecutorType::containerd;
  at.refuse(unavailable, "executor", fmt::format("{} {}", to_string(allocation.executor), kNoExecutor));
  check_resources(at / "resources", allocation.resources);
  const std::uint64_t disk = allocation.resources.disk.size.bytes;
  if (allocation.results && allocation.results->limit > disk)
    (at / "results")
        .refuse(
            true, "limit",
            fmt::format("{} bytes are more than the disk of the allocation, {}; reserve more in resources.disk.size",
                        allocation.results->limit, disk));
  if (!unavailable) check_execution(at / "execution", allocation);
  at.refuse(allocation.dns_name != name, "dns_name",
            "names of allocations are not resolved yet; remove it, so that it is the allocation's name");
  at.refuse(!allocation.keys.empty(), "keys", kNoKeys);
  at.refuse(!allocation.provision.empty(), "provision", kNoScripts);
  const std::string& response = allocation.healthcheck.response.type;
  (at / "healthcheck.response")
      .refuse(!response.empty() && response != "string", "type", "only string is supported; write string");
  at.refuse(!allocation.volume.empty(), "volume", kNoVolumes);
}

void check_places(const Check& at, std::string_view list, const std::vector<capability::Location>& places) {
  constexpr std::size_t kMaxFound = 64;
  constexpr std::string_view kNotStated = "machines do not state it; remove it, or name continent, country and city";
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::string& continent = places[i].continent;
    at.item(list, i).refuse(std::ranges::count(capability::kContinents, continent) == 0, "continent",
                            fmt::format("expected one of {}, found \"{}\"", fmt::join(capability::kContinents, ", "),
                                        shortened(printable(continent), kMaxFound)));
    at.item(list, i).refuse(places[i].asn != 0, "asn", kNotStated);
    at.item(list, i).refuse(!places[i].isp.empty(), "isp", kNotStated);
  }
}

/// Why its failure_recovery cannot act; empty if it can, or if it asks for nothing.
std::string why_not_recovered(const Node& node) {
  if (node.failure_recovery == NodeRecovery::stay_down) return {};
  if (node.allocations.empty()) return "without effect: the node has no allocation; remove it";
  if (node.on_loss == OnLoss::fail)
    return fmt::format(
        "on_loss is fail, so that nothing is started again where the machine is lost, and {} starts it again; write "
        "exclusive or fast, or remove one of the two",
        to_string(node.failure_recovery));
  if (node.failure_recovery == NodeRecovery::redeploy && !node.peer.empty())
    return "redeploy is for another machine, and peer names the only one of the node; write restart, or remove peer";
  return {};
}

void check_node(const Check& at, const Node& node) {
  check_places(at / "location", "accept", node.location.accept);
  check_places(at / "location", "reject", node.location.reject);
  (at / "location")
      .refuse(!node.location.accept.empty() && !node.location.reject.empty(), "reject",
              "without effect beside accept, whose places alone are allowed; remove one of the two");
  at.refuse(node.lease_ns != 0 && (node.lease() < Node::kShortestLease || node.lease() > Node::kLongestLease), "lease",
            fmt::format("expected {} s to {} h; providers grant {} s to {} h, unless their settings say otherwise "
                        "(job.min_lease, job.max_lease)",
                        Node::kShortestLease / 1s, Node::kLongestLease / 1h, Node::kUsualShortestLease / 1s,
                        Node::kUsualLongestLease / 1h));
  at.refuse(!node.ports.empty(), "ports", kNoPorts);
  if (const std::string why = why_not_recovered(node); !why.empty()) at.refuse(true, "failure_recovery", why);
}

/// Why the node has no standbys; empty if it has.
std::string why_not_redundant(const std::string& name, const Node& node, const Ensemble& ensemble) {
  const auto is_task = [&](const std::string& each) {
    return ensemble.allocations.at(each).type == AllocationType::task;
  };
  if (const auto task = std::ranges::find_if(node.allocations, is_task); task != node.allocations.end())
    return fmt::format(
        "{} is a task, and standbys are for services; remove it. A task whose machine is lost is run again, unless "
        "on_loss says otherwise",
        *task);
  if (!node.peer.empty()) return "peer names the only machine of the node, and a standby is another one; remove it";
  if (node.on_loss == OnLoss::fail)
    return "without effect: on_loss is fail, so nothing takes the place of a lost machine; write fast or exclusive";
  for (std::uint32_t number = 1; number <= node.redundancy; ++number)
    if (const std::string id = standby_id(name, number); ensemble.nodes.contains(id))
      return fmt::format("its standby would have the name of node {}; give that another name", id);
  return {};
}

bool names_something(const Supervisor& supervisor) {
  return !supervisor.allocations.empty() || std::ranges::any_of(supervisor.children, names_something);
}

void check_supervision(const Check& root, const Ensemble& ensemble) {
  root.refuse(ensemble.supervisor != Supervisor{} && !names_something(ensemble.supervisor), "supervisor",
              "without effect: it names no allocation; name some, or remove it");
  root.refuse(ensemble.escalation_strategy != EscalationStrategy::unspecified && !is_supervised(ensemble),
              "escalation_strategy",
              "without effect: nothing is restarted that could fail again and again; write a supervisor or "
              "failure_recovery as well, or remove it");
}

}  // namespace

Result<void> check_offered(const Ensemble& ensemble) {
  for (const auto& [name, allocation] : ensemble.allocations)
    if (allocation.executor == ExecutorType::null)
      return fail(Errc::unsupported, "allocations.{}.executor: null runs in the simulation only; use docker or sandbox",
                  name);
  return {};
}

Result<void> check_supported(const Ensemble& ensemble) {
  std::vector<std::string> problems;
  const Check root(problems, "");
  check_supervision(root, ensemble);
  for (const auto& [name, allocation] : ensemble.allocations)
    check_allocation(root / "allocations" / name, name, allocation);
  for (const auto& [name, node] : ensemble.nodes) {
    check_node(root / "nodes" / name, node);
    if (const std::string why = node.redundancy > 0 ? why_not_redundant(name, node, ensemble) : ""; !why.empty())
      (root / "nodes" / name).refuse(true, "redundancy", why);
  }
  for (std::size_t i = 0; i < ensemble.edges.size(); ++i) {
    const Check edge = root.item("edges", i);
    edge.refuse(
        ensemble.edges[i].rtt > Edge::kLongestRtt, "rtt",
        fmt::format("expected milliseconds, {} at most; longer round trips are not measured", Edge::kLongestRtt));
    edge.refuse(ensemble.edges[i].bw > Edge::kMostBandwidth, "bw",
                fmt::format("expected bits per second, {} at most; more is not measured", Edge::kMostBandwidth));
  }
  root.refuse(!ensemble.keys.empty(), "keys", kNoKeys);
  root.refuse(!ensemble.scripts.empty(), "scripts", kNoScripts);
  root.refuse(ensemble.subnet.join, "subnet.join", "subnets are not available yet; write false, or remove it");
  root.refuse(!ensemble.contracts.empty(), "contracts", kNoContracts);
  if (problems.empty()) TRY_VOID(supervision_of(ensemble));
  if (problems.empty()) return {};
  if (problems.size() == 1) return fail(Errc::unsupported, "{}", problems.front());
  return fail(Errc::unsupported, "{} fields are not available:\n  {}", problems.size(), fmt::join(problems, "\n  "));
}

}  // namespace dms::jobs
