// An ensemble: the description of a deployment, as users write it (YAML) and as the network carries it (JSON).
//
// Model
//  1. An Ensemble that exists is valid: parse_yaml() and from_json() return one or report where the input is wrong,
//     what is expected there and, for an unknown key, the nearest known one ("allocations.web.resources.ram.sise:
//     unknown key; did you mean size?").
//  2. The wire form is that of the existing network: `{"v1":{...}}`, sizes in bytes, clocks in hertz, scripts in
//     base64, durations in nanoseconds, execution as {type, params}. from_json(to_json(e))
//     equals e. Members that only the YAML form has (volumes, edge_constraints, gpu, templates of resources), members
//     that nothing here knows (parameters of an execution apart) and another version are refused by name, if they ask
//     for something.
//  3. The YAML form is more permissive (normalise.hpp): bare sizes count in GiB and clocks in GHz, units may be
//     written, resources and volumes may refer to named templates, environment may be a map. Values of environment,
//     keys and metadata are text exactly as written. Placeholders and file names are resolved on the submitter's
//     machine (references.hpp). Unknown keys are refused: they are typing errors that the user can still correct.
//  4. Rules beyond the validator of the existing implementation: every allocation is in exactly one node, ports belong
//     to an allocation of their node, paths and script names cannot leave their folder, numbers of items are bounded,
//     anti_affinity that no machines can keep is refused.
//  5. The name of an environment variable is anything that exec(2) takes: not empty, without `=` and NUL.
//
// Threads: values, no shared state. Cost: linear in the input, except dependency cycles (edges + allocations).
//
// Attacks: an ensemble arrives from any permitted deployer. YAML aliases that multiply ("billion laughs"), deep nesting
// and huge input meet fixed limits before memory is spent (yaml.hpp); names that become file names, host names or
// container references are checked character by character, so none of them can escape its context.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "capability/capability.hpp"
#include "capability/location.hpp"
#include "encoding/named_enum.hpp"
#include "jobs/ensemble/references.hpp"

namespace dms::jobs {

/// A task runs to its end; a service runs until it is shut down.
enum class AllocationType { task, service };
/// What runs the work. `containerd` and `firecracker` are known so that such ensembles can be deployed on nodes that
/// have them.
enum class ExecutorType { docker, sandbox, firecracker, containerd, null };
enum class EscalationStrategy { unspecified, redeploy, teardown };
enum class AllocationRecovery { stay_down, one_for_one, one_for_all, rest_for_one };
enum class NodeRecovery { stay_down, restart, redeploy };
enum class SupervisorStrategy { unspecified, one_for_one, all_for_one, rest_for_one };
/// Which ends of supervised work are made up for: all, those by failure, none. Unspecified: permanent for a service,
/// transient for a task, temporary for what stays down.
enum class RestartType { unspecified, permanent, transient, temporary };
/// When a supervisor ends because significant allocations of it have ended for good.
enum class SupervisorShutdown { never, any_significant, all_significant };
enum class HealthCheckType { none, command, http, tcp };
/// When an allocation that depends on another may start: when that one runs, passes its health check, or has ended with
/// 0.
enum class Condition { started, healthy, completed };
/// What happens to a node whose machine is lost: a replacement starts when the lease of the lost one has ended
/// (exclusive) or as soon as another machine takes the node (fast), or its allocations have failed (fail). Unspecified:
/// exclusive if the node has a task, else fast. What happens when the work itself fails is another matter
/// (NodeRecovery, AllocationRecovery).
enum class OnLoss { unspecified, exclusive, fast, fail };
enum class VolumeType { local, glusterfs };
enum class KeyType { ssh, gpg };

NAMED_ENUM(AllocationType, {AllocationType::task, "task"}, {AllocationType::service, "service"});
NAMED_ENUM(ExecutorType, {ExecutorType::docker, "docker"}, {ExecutorType::sandbox, "sandbox"},
           {ExecutorType::firecracker, "firecracker"}, {ExecutorType::containerd, "containerd"},
           {ExecutorType::null, "null"});
NAMED_ENUM(EscalationStrategy, {EscalationStrategy::unspecified, ""}, {EscalationStrategy::redeploy, "redeploy"},
           {EscalationStrategy::teardown, "teardown"});
NAMED_ENUM(AllocationRecovery, {AllocationRecovery::stay_down, "stay_down"}, {AllocationRecovery::stay_down, ""},
           {AllocationRecovery::one_for_one, "one_for_one"}, {AllocationRecovery::one_for_all, "one_for_all"},
           {AllocationRecovery::rest_for_one, "rest_for_one"});
NAMED_ENUM(NodeRecovery, {NodeRecovery::stay_down, "stay_down"}, {NodeRecovery::stay_down, ""},
           {NodeRecovery::restart, "restart"}, {NodeRecovery::redeploy, "redeploy"});
NAMED_ENUM(SupervisorStrategy, {SupervisorStrategy::unspecified, ""}, {SupervisorStrategy::one_for_one, "OneForOne"},
           {SupervisorStrategy::all_for_one, "AllForOne"}, {SupervisorStrategy::rest_for_one, "RestForOne"});
NAMED_ENUM(RestartType, {RestartType::unspecified, ""}, {RestartType::permanent, "permanent"},
           {RestartType::transient, "transient"}, {RestartType::temporary, "temporary"});
NAMED_ENUM(SupervisorShutdown, {SupervisorShutdown::never, "never"},
           {SupervisorShutdown::any_significant, "any_significant"},
           {SupervisorShutdown::all_significant, "all_significant"});
NAMED_ENUM(HealthCheckType, {HealthCheckType::none, ""}, {HealthCheckType::command, "command"},
           {HealthCheckType::http, "http"}, {HealthCheckType::tcp, "tcp"});
NAMED_ENUM(Condition, {Condition::started, "started"}, {Condition::healthy, "healthy"},
           {Condition::completed, "completed"});
NAMED_ENUM(OnLoss, {OnLoss::unspecified, ""}, {OnLoss::exclusive, "exclusive"}, {OnLoss::fast, "fast"},
           {OnLoss::fail, "fail"});
NAMED_ENUM(VolumeType, {VolumeType::local, "local"}, {VolumeType::glusterfs, "glusterfs"});
NAMED_ENUM(KeyType, {KeyType::ssh, "ssh"}, {KeyType::gpg, "gpg"});

}  // namespace dms::jobs

namespace dms {

// What a user can write. The other names are read, and refused by check_supported() (supported.hpp).
template <>
inline std::string known_names<jobs::ExecutorType>() {
  return "docker or sandbox";
}

}  // namespace dms

namespace dms::jobs {

/// How the work is run: the executor's name and its own parameters (image, cmd, environment, ... for docker).
struct Execution {
  std::string type;
  json::Object params;

  static constexpr std::array<std::string_view, 2> kMembers = {"type", "params"};
  void to_json(json::Writer& writer) const;
  static Result<Execution> from_json(const json::Value& value);
  friend bool operator==(const Execution&, const Execution&) = default;
};

/// A key to be put into an allocation. Older peers send only a name, read as the file of an ssh key.
struct AllocationKey {
  KeyType type = KeyType::ssh;
  std::string file;  ///< the key itself or a path to it
  std::string dest;

  static constexpr std::array<std::string_view, 3> kMembers = {"type", "file", "dest"};
  void to_json(json::Writer& writer) const;
  static Result<AllocationKey> from_json(const json::Value& value);
  friend bool operator==(const AllocationKey&, const AllocationKey&) = default;
};

struct HealthCheckResponse {
  std::string type;
  std::string value;
  static constexpr auto json_fields() {
    return std::tuple(json::field("type", &HealthCheckResponse::type),
                      json::field("value", &HealthCheckResponse::value));
  }
  friend bool operator==(const HealthCheckResponse&, const HealthCheckResponse&) = default;
};

struct HealthCheck {
  HealthCheckType type = HealthCheckType::none;
  std::vector<std::string> exec;
  std::string endpoint;
  HealthCheckResponse response;
  std::int64_t interval_ns = 0;  ///< 0: kDefaultInterval
  // Not in DMS 0.5.x, whose nodes ignore them.
  std::uint16_t port = 0;               ///< of a tcp check; of an http check whose endpoint has none, 0: 80
  std::int64_t timeout_ns = 0;          ///< of one check; 0: kDefaultTimeout
  std::int64_t grace_ns = 0;            ///< after the start, during which failed checks do not count
  std::uint32_t failure_threshold = 0;  ///< failed checks in a row that make it unhealthy; 0: kDefaultFailures
  std::uint32_t success_threshold = 0;  ///< passed checks in a row that make it healthy; 0: 1

  static constexpr Duration kDefaultInterval = 30s;
  static constexpr Duration kDefaultTimeout = 5s;
  static constexpr std::uint32_t kDefaultFailures = 3;

  [[nodiscard]] bool present() const { return type != HealthCheckType::none; }
  [[nodiscard]] Duration interval() const { return interval_ns > 0 ? Duration(interval_ns) : kDefaultInterval; }
  [[nodiscard]] Duration timeout() const { return timeout_ns > 0 ? Duration(timeout_ns) : kDefaultTimeout; }
  [[nodiscard]] Duration grace() const { return Duration(grace_ns); }
  [[nodiscard]] std::uint32_t failures() const { return failure_threshold > 0 ? failure_threshold : kDefaultFailures; }
  [[nodiscard]] std::uint32_t successes() const { return success_threshold > 0 ? success_threshold : 1; }
  static constexpr auto json_fields() {
    return std::tuple(json::field("type", &HealthCheck::type), json::field("exec", &HealthCheck::exec),
                      json::field("endpoint", &HealthCheck::endpoint), json::field("response", &HealthCheck::response),
                      json::field("interval", &HealthCheck::interval_ns),
                      json::field("port", &HealthCheck::port, json::omit_empty),
                      json::field("timeout", &HealthCheck::timeout_ns, json::omit_empty),
                      json::field("grace", &HealthCheck::grace_ns, json::omit_empty),
                      json::field("failure_threshold", &HealthCheck::failure_threshold, json::omit_empty),
                      json::field("success_threshold", &HealthCheck::success_threshold, json::omit_empty));
  }
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct Volume {
  VolumeType type = VolumeType::local;
  std::string mount_destination;
  bool read_only = false;
  std::string name;
  std::vector<std::string> servers;
  std::string client_private_key;
  std::string client_pem;
  std::string client_ca;
  std::string src;

  static constexpr auto json_fields() {
    return std::tuple(json::field("type", &Volume::type), json::field("mount_destination", &Volume::mount_destination),
                      json::field("read_only", &Volume::read_only), json::field("name", &Volume::name),
                      json::field("servers", &Volume::servers),
                      json::field("client_private_key", &Volume::client_private_key),
                      json::field("client_pem", &Volume::client_pem), json::field("client_ca", &Volume::client_ca),
                      json::field("src", &Volume::src, json::omit_empty));
  }
  friend bool operator==(const Volume&, const Volume&) = default;
};

/// A file or folder that is in the work folder before the work starts. Not in DMS 0.5.x.
struct Input {
  std::string to;          ///< path below the work folder
  std::string file;        ///< on the submitter's machine: a file, a folder or an OCI image archive
  std::string allocation;  ///< instead of `file`: another allocation, on which this one depends
  std::string path;        ///< with `allocation`: one of its results
  std::string digest;      ///< SHA-256 of what is sent, in hex; filled in when the ensemble is submitted
  std::uint64_t size = 0;  ///< bytes of what is sent
  bool folder = false;     ///< what is sent is a tar archive of a folder

  static constexpr auto json_fields() {
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("to", &Input::to), json::field("file", &Input::file, omit),
                      json::field("allocation", &Input::allocation, omit), json::field("path", &Input::path, omit),
                      json::field("digest", &Input::digest, omit), json::field("size", &Input::size, omit),
                      json::field("folder", &Input::folder, omit));
  }
  friend bool operator==(const Input&, const Input&) = default;
};

/// What a task leaves for its orchestrator. Not in DMS 0.5.x.
struct Results {
  std::vector<std::string> paths;  ///< below the work folder; files or folders
  std::uint64_t limit = 0;         ///< bytes together; 0: kDefaultLimit

  static constexpr std::uint64_t kDefaultLimit = 1024ULL * 1024 * 1024;
  [[nodiscard]] std::uint64_t max_bytes() const { return limit > 0 ? limit : kDefaultLimit; }
  static constexpr auto json_fields() {
    return std::tuple(json::field("paths", &Results::paths, json::omit_empty),
                      json::field("limit", &Results::limit, json::omit_empty));
  }
  friend bool operator==(const Results&, const Results&) = default;
};

struct Allocation {
  ExecutorType executor = ExecutorType::docker;
  AllocationType type = AllocationType::task;
  capability::Resources resources;
  Execution execution;
  std::string dns_name;
  std::vector<AllocationKey> keys;
  std::vector<std::string> provision;  ///< names of scripts, in order
  HealthCheck healthcheck;
  std::vector<Volume> volume;
  AllocationRecovery failure_recovery = AllocationRecovery::stay_down;
  std::vector<std::string> depends_on;
  // Not in DMS 0.5.x, whose nodes ignore them.
  std::map<std::string, Condition> conditions;  ///< of entries of depends_on; started where absent
  std::vector<Input> inputs;
  std::optional<Results> results;
  RestartType restart = RestartType::unspecified;
  bool significant = false;  ///< its end for good may end its supervisor, see Supervisor::auto_shutdown

  [[nodiscard]] Condition condition(const std::string& needed) const {
    const auto found = conditions.find(needed);
    return found == conditions.end() ? Condition::started : found->second;
  }

  static constexpr auto json_fields() {
    return std::tuple(json::field("executor", &Allocation::executor), json::field("type", &Allocation::type),
                      json::field("resources", &Allocation::resources),
                      json::field("execution", &Allocation::execution),
                      json::field("dns_name", &Allocation::dns_name, json::omit_empty),
                      json::field("keys", &Allocation::keys, json::omit_empty),
                      json::field("provision", &Allocation::provision, json::omit_empty),
                      json::field("healthcheck", &Allocation::healthcheck),
                      json::field("volume", &Allocation::volume, json::omit_empty),
                      json::field("failure_recovery", &Allocation::failure_recovery),
                      json::field("depends_on", &Allocation::depends_on, json::omit_empty),
                      json::field("depends_on_conditions", &Allocation::conditions, json::omit_empty),
                      json::field("inputs", &Allocation::inputs, json::omit_empty),
                      json::field("results", &Allocation::results, json::omit_empty),
                      json::field("restart", &Allocation::restart, json::omit_empty),
                      json::field("significant", &Allocation::significant, json::omit_empty));
  }
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

struct Port {
  std::uint16_t public_port = 0;  ///< 0: the provider chooses
  std::uint16_t private_port = 0;
  std::string allocation;

  static constexpr auto json_fields() {
    return std::tuple(json::field("public", &Port::public_port), json::field("private", &Port::private_port),
                      json::field("allocation", &Port::allocation));
  }
  friend bool operator==(const Port&, const Port&) = default;
};

struct Node {
  std::vector<std::string> allocations;
  std::vector<Port> ports;
  capability::LocationConstraints location;
  std::string peer;  ///< peer id this node is pinned to; empty if any will do
  std::uint32_t redundancy = 0;
  NodeRecovery failure_recovery = NodeRecovery::stay_down;
  // Not in DMS 0.5.x, whose nodes ignore them.
  std::int64_t lease_ns =
      0;  ///< how long the node's work continues without its orchestrator; 0: the provider's default
  OnLoss on_loss = OnLoss::unspecified;

  /// What a provider can keep, and what it grants unless its settings say otherwise (job.min_lease, job.max_lease).
  static constexpr Duration kShortestLease = 1s;
  static constexpr Duration kLongestLease = 24h * 365 * 10;
  static constexpr Duration kUsualShortestLease = 10s;
  static constexpr Duration kUsualLongestLease = 24h;

  [[nodiscard]] Duration lease() const { return Duration(lease_ns); }

  static constexpr auto json_fields() {
    return std::tuple(json::field("allocations", &Node::allocations),
                      json::field("ports", &Node::ports, json::omit_empty), json::field("location", &Node::location),
                      json::field("peer", &Node::peer, json::omit_empty),
                      json::field("redundancy", &Node::redundancy, json::omit_empty),
                      json::field("failure_recovery", &Node::failure_recovery),
                      json::field("lease", &Node::lease_ns, json::omit_empty),
                      json::field("on_loss", &Node::on_loss, json::omit_empty));
  }
  friend bool operator==(const Node&, const Node&) = default;
};

/// Nodes of an ensemble and their standbys together: each needs a machine, and a request for bids has as many nodes.
inline constexpr std::size_t kMaxMachines = 256;

struct Edge {
  std::string s;
  std::string t;
  std::uint64_t rtt = 0;  ///< milliseconds; 0: no constraint
  std::uint64_t bw = 0;   ///< bits per second; 0: no constraint

  /// Longer round trips, and more bits per second, are not measured.
  static constexpr std::uint64_t kLongestRtt = 2000;
  static constexpr std::uint64_t kMostBandwidth = 1'000'000'000;
  [[nodiscard]] bool has_limits() const { return rtt != 0 || bw != 0; }

  static constexpr auto json_fields() {
    return std::tuple(json::field("s", &Edge::s), json::field("t", &Edge::t),
                      json::field("rtt", &Edge::rtt, json::omit_empty), json::field("bw", &Edge::bw, json::omit_empty));
  }
  friend bool operator==(const Edge&, const Edge&) = default;
};

/// The machines of these nodes, and of their standbys, are pairwise in different areas. Not in DMS 0.5.x.
struct AntiAffinity {
  std::vector<std::string> nodes;
  capability::Area by = capability::Area::machine;

  static constexpr auto json_fields() {
    return std::tuple(json::field("nodes", &AntiAffinity::nodes), json::field("by", &AntiAffinity::by));
  }
  friend bool operator==(const AntiAffinity&, const AntiAffinity&) = default;
};

struct Supervisor {
  SupervisorStrategy strategy = SupervisorStrategy::unspecified;
  std::vector<std::string> allocations;
  std::vector<Supervisor> children;
  // Not in DMS 0.5.x, whose nodes ignore them.
  std::optional<std::uint32_t> max_restarts;  ///< within `period`; with one more it gives up. Absent: kDefaultRestarts
  std::int64_t period_ns = 0;                 ///< 0: kDefaultPeriod
  SupervisorShutdown auto_shutdown = SupervisorShutdown::never;

  static constexpr std::uint32_t kDefaultRestarts = 10;
  static constexpr Duration kDefaultPeriod = 1h;
  [[nodiscard]] std::uint32_t restarts() const { return max_restarts.value_or(kDefaultRestarts); }
  [[nodiscard]] Duration period() const { return period_ns != 0 ? Duration(period_ns) : kDefaultPeriod; }

  static constexpr auto json_fields() {
    return std::tuple(json::field("strategy", &Supervisor::strategy, json::omit_empty),
                      json::field("allocations", &Supervisor::allocations, json::omit_empty),
                      json::field("children", &Supervisor::children, json::omit_empty),
                      json::field("max_restarts", &Supervisor::max_restarts, json::omit_empty),
                      json::field("period", &Supervisor::period_ns, json::omit_empty),
                      json::field("auto_shutdown", &Supervisor::auto_shutdown, json::omit_empty));
  }
  friend bool operator==(const Supervisor&, const Supervisor&) = default;
};

struct Subnet {
  bool join = false;
  static constexpr auto json_fields() { return std::tuple(json::field("join", &Subnet::join)); }
  friend bool operator==(const Subnet&, const Subnet&) = default;
};

struct Contract {
  std::string did;
  std::string host;
  std::string provider;
  std::string requestor;

  static constexpr auto json_fields() {
    return std::tuple(json::field("did", &Contract::did), json::field("host", &Contract::host),
                      json::field("provider", &Contract::provider, json::omit_empty),
                      json::field("requestor", &Contract::requestor, json::omit_empty));
  }
  friend bool operator==(const Contract&, const Contract&) = default;
};

/// The members, in the order in which the network writes them.
struct EnsembleV1 {
  EscalationStrategy escalation_strategy = EscalationStrategy::unspecified;
  std::map<std::string, Allocation> allocations;
  std::map<std::string, Node> nodes;
  std::vector<Edge> edges;
  std::vector<AntiAffinity> anti_affinity;
  Supervisor supervisor;
  std::map<std::string, std::string> keys;
  std::map<std::string, Bytes> scripts;
  Subnet subnet;
  std::vector<std::string> exclude_peers;
  std::map<std::string, std::string> metadata;
  std::map<std::string, Contract> contracts;

  static constexpr auto json_fields() {
    using E = EnsembleV1;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("escalation_strategy", &E::escalation_strategy),
                      json::field("allocations", &E::allocations), json::field("nodes", &E::nodes),
                      json::field("edges", &E::edges, omit), json::field("anti_affinity", &E::anti_affinity, omit),
                      json::field("supervisor", &E::supervisor), json::field("keys", &E::keys, omit),
                      json::field("scripts", &E::scripts, omit), json::field("subnet", &E::subnet),
                      json::field("exclude_peers", &E::exclude_peers, omit),
                      json::field("metadata", &E::metadata, omit), json::field("contracts", &E::contracts, omit));
  }
  friend bool operator==(const EnsembleV1&, const EnsembleV1&) = default;
};

struct Ensemble : EnsembleV1 {
  /// On the wire the members are wrapped: to_json().
  static void json_fields() = delete;

  /// From what a user wrote; `references` gives what it refers to on this machine. Reports every unknown key at once.
  static Result<Ensemble> parse_yaml(std::string_view text, const References& references = {});
  /// From the wire: `{"v1":{...}}`. Errc::unsupported for what nothing acts on, see (2).
  static Result<Ensemble> from_json(const json::Value& value);
  void to_json(json::Writer& writer) const;

  /// The rules of the model; Errc::invalid_argument names the first field that breaks one.
  [[nodiscard]] Result<void> validate() const;

  /// What a node of this ensemble must offer: the sum of its allocations. Errc::not_found if there is no such node.
  [[nodiscard]] Result<capability::Resources> node_requirement(std::string_view node) const;
  /// The executors that a node needs, each once.
  [[nodiscard]] std::vector<ExecutorType> node_executors(std::string_view node) const;
  /// The ports of a node's allocation.
  [[nodiscard]] std::vector<Port> ports_of(std::string_view allocation) const;
  /// A node's allocations in an order in which each comes after those it depends on.
  [[nodiscard]] std::vector<std::string> start_order(std::string_view node) const;
  /// True if all allocations are tasks: such a deployment ends.
  [[nodiscard]] bool tasks_only() const;

  friend bool operator==(const Ensemble&, const Ensemble&) = default;
};

/// How an allocation is called across machines: `<ensemble id>_<allocation name>`.
std::string allocation_id(std::string_view ensemble_id, std::string_view allocation);
/// The name of a standby of a node, as that of another node; the first has number 1.
std::string standby_id(std::string_view node, std::uint32_t number);
/// The last part of an allocation id; an allocation name holds no underscore.
std::string_view allocation_name(std::string_view allocation_id);
/// The part before it, or the whole if there is no underscore.
std::string_view ensemble_id(std::string_view allocation_id);

}  // namespace dms::jobs
