// The messages between an orchestrator and a provider about allocations: reservation (commit), allocation, start,
// lease, output, termination. Tokens authorise a message before its payload is read.
//
// Leases
//  1. A provider keeps an allocation while its lease lasts; renew extends it, counted from its receipt. The provider
//     grants a lease within its bounds (AllocateResponse::lease). An orchestrator that requests none, as those of DMS
//     0.5.x, has the provider's longest silence instead; any accepted message of it counts.
//  2. Each run of the work of an allocation has an incarnation, a random id. A renewal, a notice, an output position
//     belong to one incarnation.
//     A renewal names the provider's clock of an earlier reply, which the orchestrator repeats without reading it, and
//     extends the lease to that clock plus its length. So a delayed renewal extends nothing beyond what the
//     orchestrator can compute from the receipt of that reply, whatever the wall clocks of both say.
//  3. renew is reconciliation, too: its reply reports everything that the provider holds for the ensemble. What the
//     orchestrator does not know it stops; what it misses is lost; what has ended it collects.
//  4. A provider reports the end of a run repeatedly until that is acknowledged; the run and its output stay until the
//     orchestrator has the allocation removed (shutdown) or the provider's retention has passed. A shutdown that keeps
//     ends the run and leaves all else, so what the work writes while it ends can be collected.
//  5. A provider hints once at a change that only a report would tell (AllocationChanged). A hint is worth nothing but
//     a renewal: what is true says its reply.
//  6. A run that never ran, or was lost, has failed with the exit code -1. If it was to replace another one and its
//     provider could not start it, the reply to the restart, reports and notices say so (restart_failed): it is an end
//     of the work. Otherwise the orchestrator may have the work run elsewhere.
//  7. A run that the owner of the provider's machine has ended is reported as terminated, with ended_by_owner: it may
//     run elsewhere, and that machine is not asked again for its deployment.
//  8. While a run is being started, its provider tells how far its inputs and its image are (AllocationProgress): one
//     way, and only a change. It is to be shown, and nothing follows from it. A renewal reports the same.
//
// Specification: the behaviours /dms/deployment, /dms/allocation, /dms/orchestrator and /dms/ensemble of NuNet DMS
// 0.5.x.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actor/handle.hpp"
#include "capability/capability.hpp"
#include "encoding/json.hpp"
#include "encoding/named_enum.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/declaration.hpp"

namespace dms::protocol {

enum class AllocationStatus { pending, running, restarting, stopped, failed, completed, terminated };
NAMED_ENUM(AllocationStatus, {AllocationStatus::pending, "pending"}, {AllocationStatus::running, "running"},
           {AllocationStatus::restarting, "restarting"}, {AllocationStatus::stopped, "stopped"},
           {AllocationStatus::failed, "failed"}, {AllocationStatus::completed, "completed"},
           {AllocationStatus::terminated, "terminated"});
constexpr AllocationStatus unknown_name(AllocationStatus) { return AllocationStatus::failed; }
constexpr bool is_final(AllocationStatus s) {
  return s == AllocationStatus::stopped || s == AllocationStatus::failed || s == AllocationStatus::completed ||
         s == AllocationStatus::terminated;
}

/// The answer of most behaviours. `error` is empty exactly when `ok`.
struct Ack {
  bool ok = false;
  std::string error;
  bool in_progress = false;  ///< neither done nor refused: it goes on, and the request can be repeated
  bool unchanged = false;    ///< of an update: the ensemble is the one that the deployment has
  static constexpr auto json_fields() {
    return std::tuple(json::field("OK", &Ack::ok), json::field("Error", &Ack::error),
                      json::field("InProgress", &Ack::in_progress, json::omit_empty),
                      json::field("Unchanged", &Ack::unchanged, json::omit_empty));
  }
};

/// Port numbers are JSON object keys, hence strings: public -> private; "0" requests a dynamic one.
using PortMapping = std::map<std::string, int>;

struct CommittedResources : capability::Resources {
  std::string allocation_id;
  static constexpr auto json_fields() {
    using R = CommittedResources;
    using capability::Resources;
    return std::tuple(json::field<R, capability::Cpu>("cpu", &R::cpu),
                      json::field<R, std::vector<capability::Gpu>>("gpus", &R::gpus, json::omit_empty),
                      json::field<R, capability::Ram>("ram", &R::ram),
                      json::field<R, capability::Disk>("disk", &R::disk),
                      json::field("allocationID", &R::allocation_id));
  }
};

struct CommitRequest {
  std::string ensemble_id;
  std::string allocation_name;
  std::string node_id;
  CommittedResources resources;
  PortMapping port_mapping;
  static constexpr auto json_fields() {
    using R = CommitRequest;
    return std::tuple(json::field("EnsembleID", &R::ensemble_id), json::field("AllocationName", &R::allocation_name),
                      json::field("NodeID", &R::node_id), json::field("Resources", &R::resources),
                      json::field("PortMapping", &R::port_mapping));
  }
};

struct AllocationConfig {
  jobs::AllocationType type = jobs::AllocationType::task;
  jobs::ExecutorType executor = jobs::ExecutorType::docker;
  capability::Resources resources;
  jobs::Execution execution;
  std::map<std::string, Bytes> provision_scripts;
  // Not in DMS 0.5.x.
  std::optional<jobs::HealthCheck> health_check;
  std::vector<jobs::Input> inputs;
  std::optional<jobs::Results> results;
  static constexpr auto json_fields() {
    using R = AllocationConfig;
    return std::tuple(
        json::field("Type", &R::type), json::field("Executor", &R::executor), json::field("Resources", &R::resources),
        json::field("Execution", &R::execution), json::field("ProvisionScripts", &R::provision_scripts),
        json::field("HealthCheck", &R::health_check, json::omit_empty),
        json::field("Inputs", &R::inputs, json::omit_empty), json::field("Results", &R::results, json::omit_empty));
  }
};

struct AllocateRequest {
  std::string ensemble_id;
  std::string node_id;
  std::map<std::string, AllocationConfig> allocations;
  std::int64_t lease_ns = 0;  ///< requested; not in DMS 0.5.x
  static constexpr auto json_fields() {
    using R = AllocateRequest;
    return std::tuple(json::field("EnsembleID", &R::ensemble_id), json::field("NodeID", &R::node_id),
                      json::field("Allocations", &R::allocations),
                      json::field("Lease", &R::lease_ns, json::omit_empty));
  }
};

struct AllocateResponse {
  bool ok = false;
  std::string error;
  std::map<std::string, actor::Handle> allocations;
  std::int64_t lease_ns = 0;                        ///< granted; not in DMS 0.5.x
  std::map<std::string, std::string> incarnations;  ///< by allocation name; not in DMS 0.5.x
  std::int64_t clock_ns = 0;                        ///< for the first renewal; not in DMS 0.5.x
  std::map<std::string, actor::Handle> work;        ///< the actors of the work (work.hpp); not in DMS 0.5.x
  static constexpr auto json_fields() {
    using R = AllocateResponse;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("Allocations", &R::allocations), json::field("Lease", &R::lease_ns, json::omit_empty),
                      json::field("Incarnations", &R::incarnations, json::omit_empty),
                      json::field("Clock", &R::clock_ns, json::omit_empty),
                      json::field("Work", &R::work, json::omit_empty));
  }
};

/// With an incarnation, only that one is reverted: a request that arrives late does not reach the next attempt.
struct RevertRequest {
  std::string ensemble_id;
  std::vector<std::string> allocations;
  std::map<std::string, std::string> incarnations;  ///< by allocation name; not in DMS 0.5.x
  static constexpr auto json_fields() {
    return std::tuple(json::field("EnsembleID", &RevertRequest::ensemble_id),
                      json::field("AllocsByName", &RevertRequest::allocations),
                      json::field("Incarnations", &RevertRequest::incarnations, json::omit_empty));
  }
};

struct StartRequest {
  std::string subnet_ip;
  std::string gateway_ip;
  PortMapping port_mapping;
  static constexpr std::array<std::string_view, 0> kAlsoKnown{};
  static constexpr auto json_fields() {
    using R = StartRequest;
    return std::tuple(json::field("SubnetIP", &R::subnet_ip), json::field("GatewayIP", &R::gateway_ip),
                      json::field("PortMapping", &R::port_mapping));
  }
};

/// Ends the run of an allocation and starts the next one, under a new incarnation.
struct RestartRequest {
  std::string incarnation;    ///< of the run to end; empty: the current one
  bool only_running = false;  ///< refused if that run has ended
  static constexpr auto json_fields() {
    return std::tuple(json::field("Incarnation", &RestartRequest::incarnation, json::omit_empty),
                      json::field("OnlyRunning", &RestartRequest::only_running, json::omit_empty));
  }
};
struct RestartReply {
  bool ok = false;
  std::string error;
  std::string incarnation;      ///< of the current run
  bool restart_failed = false;  ///< of that run, see (6); then `error` is its reason
  static constexpr auto json_fields() {
    using R = RestartReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("Incarnation", &R::incarnation, json::omit_empty),
                      json::field("RestartFailed", &R::restart_failed, json::omit_empty));
  }
};

struct RenewRequest {
  std::string ensemble_id;
  std::map<std::string, std::string> allocations;  ///< name -> incarnation of those whose lease is renewed
  std::int64_t clock_ns = 0;                       ///< of the last reply to allocate or renew
  std::uint64_t wall_ns = 0;                       ///< of the orchestrator, since 1970; see RenewReply
  static constexpr auto json_fields() {
    return std::tuple(json::field("EnsembleID", &RenewRequest::ensemble_id),
                      json::field("Allocations", &RenewRequest::allocations),
                      json::field("Clock", &RenewRequest::clock_ns, json::omit_empty),
                      json::field("WallClock", &RenewRequest::wall_ns, json::omit_empty));
  }
};

enum class Health { unknown, starting, healthy, unhealthy };
NAMED_ENUM(Health, {Health::unknown, ""}, {Health::starting, "starting"}, {Health::healthy, "healthy"},
           {Health::unhealthy, "unhealthy"});

/// What a run that is being started waits for: its inputs are fetched; its image is pulled from a registry, loaded from
/// an archive, or extracted.
enum class StartPhase { unknown, inputs, pulling, loading, extracting };
NAMED_ENUM(StartPhase, {StartPhase::unknown, ""}, {StartPhase::inputs, "inputs"}, {StartPhase::pulling, "pulling"},
           {StartPhase::loading, "loading"}, {StartPhase::extracting, "extracting"});
constexpr StartPhase unknown_name(StartPhase) { return StartPhase::unknown; }

/// How far that is, in bytes. `total` is 0 while it is not known, and may grow.
struct StartProgress {
  StartPhase phase{};
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  /// Whether it can be shown. What a later version tells beside that is not.
  [[nodiscard]] bool is_sound() const { return phase != StartPhase::unknown && done <= total; }
  friend bool operator==(const StartProgress&, const StartProgress&) = default;
  static constexpr auto json_fields() {
    using P = StartProgress;
    return std::tuple(json::field("phase", &P::phase), json::field("done", &P::done), json::field("total", &P::total));
  }
};

/// What a provider holds of one allocation.
struct AllocationReport {
  AllocationStatus status{};
  std::string incarnation;
  std::int64_t lease_ns = 0;   ///< until the lease ends
  int exit_code = 0;           ///< of a run that has ended
  bool killed = false;         ///< the run was ended from outside
  std::string reason;          ///< why it failed
  std::uint64_t out_size = 0;  ///< bytes that the run has written so far
  std::uint64_t err_size = 0;
  Health health = Health::unknown;        ///< unknown without a health check
  std::string health_message;             ///< of the last check that failed
  double cpu_seconds = 0;                 ///< of the run, in all; 0 and absent: not known
  std::uint64_t memory_bytes = 0;         ///< of a run that has ended, the most; 0 and absent: not known
  bool brings_inputs = false;             ///< its start waits for inputs, which are being fetched
  bool restart_failed = false;            ///< see (6)
  bool ended_by_owner = false;            ///< see (7)
  std::optional<StartProgress> progress;  ///< of its start, see (8); absent: nothing is waited for, or not known
  static constexpr auto json_fields() {
    using R = AllocationReport;
    constexpr auto omit = json::omit_empty;
    return std::tuple(
        json::field("status", &R::status), json::field("incarnation", &R::incarnation),
        json::field("lease", &R::lease_ns), json::field("exit_code", &R::exit_code, omit),
        json::field("killed", &R::killed, omit), json::field("reason", &R::reason, omit),
        json::field("stdout_size", &R::out_size, omit), json::field("stderr_size", &R::err_size, omit),
        json::field("health", &R::health, omit), json::field("health_message", &R::health_message, omit),
        json::field("cpu_seconds", &R::cpu_seconds, omit), json::field("memory_bytes", &R::memory_bytes, omit),
        json::field("brings_inputs", &R::brings_inputs, omit), json::field("restart_failed", &R::restart_failed, omit),
        json::field("ended_by_owner", &R::ended_by_owner, omit), json::field("progress", &R::progress, omit));
  }
};

struct RenewReply {
  bool ok = false;
  std::string error;
  /// By name: everything held for the ensemble, also what is being removed, until nothing of it runs.
  std::map<std::string, AllocationReport> allocations;
  std::int64_t clock_ns = 0;  ///< of the provider, monotonic; for the next renewal
  /// Of the provider, since 1970: shown, and messages to it last longer if it is ahead (actor/clocks.hpp).
  std::uint64_t wall_ns = 0;
  static constexpr auto json_fields() {
    using R = RenewReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("Allocations", &R::allocations), json::field("Clock", &R::clock_ns, json::omit_empty),
                      json::field("WallClock", &R::wall_ns, json::omit_empty));
  }
};

struct AllocationShutdownRequest {
  std::string allocation_id;
  // Not in DMS 0.5.x.
  std::string incarnation;  ///< if set, only that one
  bool keep = false;        ///< only its run is ended; acknowledged once that has ended, with its end stored
  static constexpr auto json_fields() {
    using R = AllocationShutdownRequest;
    return std::tuple(json::field("AllocationID", &R::allocation_id),
                      json::field("Incarnation", &R::incarnation, json::omit_empty),
                      json::field("Keep", &R::keep, json::omit_empty));
  }
};

/// Without a stream, the last kTerminationOutput bytes of both are requested, as by DMS 0.5.x. With one, a page of it.
struct AllocationLogsRequest {
  std::string allocation_name;
  std::string stream;  ///< "stdout" or "stderr"
  std::uint64_t offset = 0;
  std::uint64_t max_bytes = 0;  ///< 0: kLogPage, which is the most
  std::string incarnation;      ///< the run that has written it: the current one, or that which its restart replaced
  static constexpr auto json_fields() {
    using R = AllocationLogsRequest;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("AllocName", &R::allocation_name), json::field("stream", &R::stream, omit),
                      json::field("offset", &R::offset, omit), json::field("max_bytes", &R::max_bytes, omit),
                      json::field("incarnation", &R::incarnation, omit));
  }
};
inline constexpr std::size_t kLogPage = 512 * 1024;

/// A page of a stream. Offsets count from the first byte that the run has written. A page that starts after the
/// requested offset means that the bytes between were dropped by rotation.
struct LogPage {
  std::uint64_t offset = 0;       ///< of the first byte of `data`
  std::uint64_t next_offset = 0;  ///< where the next page starts
  std::uint64_t total_size = 0;   ///< bytes written so far
  bool eof = false;               ///< the run has ended and next_offset is total_size
  Bytes data;
  std::string incarnation;  ///< the run that has written it; not in DMS 0.5.x
  std::string incomplete;   ///< from an orchestrator: why more of it may be missing behind the end
  static constexpr auto json_fields() {
    using P = LogPage;
    return std::tuple(json::field("offset", &P::offset), json::field("next_offset", &P::next_offset),
                      json::field("total_size", &P::total_size), json::field("eof", &P::eof),
                      json::field("data", &P::data), json::field("incarnation", &P::incarnation, json::omit_empty),
                      json::field("incomplete", &P::incomplete, json::omit_empty));
  }
};

struct AllocationLogsResponse : LogPage {
  Bytes out;
  Bytes err;
  std::string error;
  static constexpr auto json_fields() {
    using R = AllocationLogsResponse;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("Stdout", &R::out), json::field("Stderr", &R::err), json::field("Error", &R::error),
                      json::field<R, std::uint64_t>("offset", &R::offset, omit),
                      json::field<R, std::uint64_t>("next_offset", &R::next_offset, omit),
                      json::field<R, std::uint64_t>("total_size", &R::total_size, omit),
                      json::field<R, bool>("eof", &R::eof, omit), json::field<R, Bytes>("data", &R::data, omit),
                      json::field<R, std::string>("incarnation", &R::incarnation, omit));
  }
};

/// What the work of an allocation uses at the moment; absent is what its executor does not count. The names are those
/// of the notices of liveness of newer nodes of DMS, with additions.
struct AllocationStats {
  std::optional<double> cpu_usage_percent;  ///< of one core, since the stats before
  std::optional<std::uint64_t> memory_used_bytes;
  std::optional<std::uint64_t> memory_limit_bytes;
  std::optional<std::uint64_t> network_rx_bytes;
  std::optional<std::uint64_t> network_tx_bytes;
  // Not in DMS 0.5.x.
  std::optional<double> cpu_seconds;             ///< since the start of the run
  std::optional<std::uint64_t> disk_used_bytes;  ///< of its folder, with its output
  static constexpr auto json_fields() {
    using S = AllocationStats;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("cpu_usage_percent", &S::cpu_usage_percent, omit),
                      json::field("memory_used_bytes", &S::memory_used_bytes, omit),
                      json::field("memory_limit_bytes", &S::memory_limit_bytes, omit),
                      json::field("network_rx_bytes", &S::network_rx_bytes, omit),
                      json::field("network_tx_bytes", &S::network_tx_bytes, omit),
                      json::field("cpu_seconds", &S::cpu_seconds, omit),
                      json::field("disk_used_bytes", &S::disk_used_bytes, omit));
  }
};
struct AllocationStatsReply {
  bool ok = false;
  std::string error;
  std::optional<AllocationStats> stats;
  static constexpr auto json_fields() {
    using R = AllocationStatsReply;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("ok", &R::ok), json::field("error", &R::error, omit),
                      json::field("stats", &R::stats, omit));
  }
};

struct TerminationError {
  json::Value err;  // always null: NuNet's nodes cannot read a string here
  int exit_code = 0;
  bool killed = false;
  static constexpr auto json_fields() {
    using R = TerminationError;
    return std::tuple(json::field("err", &R::err), json::field("exit_code", &R::exit_code),
                      json::field("killed", &R::killed));
  }
};

/// A provider reports to the orchestrator that a task has ended. Output is limited to its last kTerminationOutput
/// bytes; the logs have all of it.
struct TaskTermination {
  std::string allocation_id;
  std::string status;
  TerminationError error;
  Bytes out;
  Bytes err;
  // Additions to DMS 0.5.x, whose nodes ignore them.
  std::string reason;  ///< human-readable
  std::string incarnation;
  std::uint64_t out_size = 0;  ///< all that was written; `out` has less if it is more than kTerminationOutput
  std::uint64_t err_size = 0;
  double cpu_seconds = 0;  ///< as in AllocationReport
  std::uint64_t memory_bytes = 0;
  bool restart_failed = false;
  bool ended_by_owner = false;
  static constexpr auto json_fields() {
    using R = TaskTermination;
    return std::tuple(json::field("allocation_id", &R::allocation_id), json::field("status", &R::status),
                      json::field("error", &R::error), json::field("stdout", &R::out), json::field("stderr", &R::err),
                      json::field("reason", &R::reason, json::omit_empty),
                      json::field("incarnation", &R::incarnation, json::omit_empty),
                      json::field("stdout_size", &R::out_size, json::omit_empty),
                      json::field("stderr_size", &R::err_size, json::omit_empty),
                      json::field("cpu_seconds", &R::cpu_seconds, json::omit_empty),
                      json::field("memory_bytes", &R::memory_bytes, json::omit_empty),
                      json::field("restart_failed", &R::restart_failed, json::omit_empty),
                      json::field("ended_by_owner", &R::ended_by_owner, json::omit_empty));
  }
};
inline constexpr std::size_t kTerminationOutput = 256 * 1024;

/// A provider hints to an orchestrator that renews that a renewal would report something new: another health, or a run
/// that has been started again, or an allocation, started or not, that a new daemon has taken up. One way, sent once.
struct AllocationChanged {
  std::string allocation_id;
  std::string incarnation;
  static constexpr auto json_fields() {
    return std::tuple(json::field("AllocationID", &AllocationChanged::allocation_id),
                      json::field("Incarnation", &AllocationChanged::incarnation));
  }
};

/// A provider tells an orchestrator that renews how far the start of a run is, see (8).
struct AllocationProgress {
  std::string allocation_id;
  std::string incarnation;
  StartProgress progress;
  static constexpr auto json_fields() {
    using P = AllocationProgress;
    return std::tuple(json::field("AllocationID", &P::allocation_id), json::field("Incarnation", &P::incarnation),
                      json::field("Progress", &P::progress));
  }
};

/// Requests of newer nodes carry the whole id where others carry the allocation's name.
inline std::string full_allocation_id(std::string_view ensemble, std::string_view name) {
  return jobs::ensemble_id(name) == ensemble && name != ensemble ? std::string(name)
                                                                 : jobs::allocation_id(ensemble, name);
}

/// What a provider grants an ensemble's orchestrator over its own node, and over one allocation; what an orchestrator
/// grants its providers.
inline constexpr std::string_view kAllocationNamespace = "/dms/allocation";
inline constexpr std::string_view kOrchestratorNamespace = "/dms/orchestrator";
inline std::string ensemble_namespace(std::string_view ensemble) { return fmt::format("/dms/ensemble/{}", ensemble); }

/// Time limit: for each allocation of the node.
inline constexpr Behaviour<CommitRequest, Ack> kCommit{
    {.path = "/dms/deployment/commit", .help = "Reserve resources for an allocation", .timeout = 3s}};
/// Time limit: for each allocation of the node.
inline constexpr Behaviour<AllocateRequest, AllocateResponse> kAllocate{
    {.path = "/dms/deployment/allocate", .help = "Turn reservations into allocations", .timeout = 5s}};
inline constexpr Behaviour<RevertRequest, Ack> kRevert{
    {.path = "/dms/deployment/revert", .help = "Withdraw bids, reservations and allocations", .timeout = 30s}};
/// The time limit allows for an image that has to be pulled first.
inline constexpr Behaviour<StartRequest, Ack> kAllocationStart{
    {.path = "/dms/allocation/start", .help = "Start an allocation", .timeout = 5min}};
/// Ends a run and waits for the next one to start.
inline constexpr Behaviour<RestartRequest, RestartReply> kAllocationRestart{
    {.path = "/dms/allocation/restart", .help = "Restart an allocation", .timeout = 2min}};
/// The path is assumed: that of DMS 0.5.x is below kAllocationNamespace, and not known.
inline constexpr Behaviour<Nothing, AllocationStatsReply> kAllocationStats{
    {.path = "/dms/allocation/stats", .help = "Show what the work of an allocation uses", .timeout = 10s}};
/// Below /dms/deployment, so that a provider that holds nothing of the ensemble replies so.
inline constexpr Behaviour<RenewRequest, RenewReply> kRenew{
    {.path = "/dms/deployment/renew", .help = "Renew leases and report what is held", .timeout = 10s}};
inline constexpr Behaviour<AllocationLogsRequest, AllocationLogsResponse> kAllocationLogs{
    {.path = "/dms/ensemble/{ensemble}/allocation/logs", .help = "Fetch the output of an allocation", .timeout = 2min}};
inline constexpr Behaviour<AllocationShutdownRequest, Ack> kAllocationShutdown{
    {.path = "/dms/ensemble/{ensemble}/allocation/shutdown", .help = "Stop and remove an allocation", .timeout = 15s}};
inline constexpr Behaviour<TaskTermination, Ack> kTaskTermination{
    {.path = "/dms/orchestrator/task-termination",
     .help = "Report the end of a task to its orchestrator",
     .timeout = 10s}};
inline constexpr Behaviour<AllocationChanged, Nothing> kAllocationChanged{
    {.path = "/dms/orchestrator/allocation-changed",
     .help = "Hint to an orchestrator that its next renewal reports something new",
     .timeout = 5s}};
inline constexpr Behaviour<AllocationProgress, Nothing> kAllocationProgress{
    {.path = "/dms/orchestrator/allocation-progress",
     .help = "Tell an orchestrator how far the start of an allocation is",
     .timeout = 5s}};

}  // namespace dms::protocol
