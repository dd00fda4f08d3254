// Requests of a user to the orchestrator of its own node: new deployments, their status, output and shutdown. Members
// that are set and that nothing reads are refused by name (`kAlsoKnown`, serve.hpp).
//
// Specification: the behaviours /dms/node/deployment of NuNet DMS 0.5.x.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>

#include "encoding/named_enum.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "protocol/allocation.hpp"
#include "protocol/declaration.hpp"
#include "protocol/manifest.hpp"

namespace dms::protocol {

enum class DeploymentStatus {
  preparing,
  generating,
  committing,
  provisioning,
  running,
  failed,
  shutting_down,
  completed
};
NAMED_ENUM(DeploymentStatus, {DeploymentStatus::preparing, "Preparing"}, {DeploymentStatus::generating, "Generating"},
           {DeploymentStatus::committing, "Committing"}, {DeploymentStatus::provisioning, "Provisioning"},
           {DeploymentStatus::running, "Running"}, {DeploymentStatus::failed, "Failed"},
           {DeploymentStatus::shutting_down, "ShuttingDown"}, {DeploymentStatus::completed, "Completed"});
constexpr bool is_final(DeploymentStatus s) {
  return s == DeploymentStatus::failed || s == DeploymentStatus::completed;
}

/// A request for a new deployment must live this long; its expiry less kDeploymentReserve is the deployment's deadline.
inline constexpr Duration kMinDeploymentTime = 59s;
inline constexpr Duration kDeploymentReserve = 15s;

struct NewDeploymentRequest {
  jobs::Ensemble ensemble;
  static constexpr std::array<std::string_view, 0> kAlsoKnown{};
  static constexpr auto json_fields() { return std::tuple(json::field("Ensemble", &NewDeploymentRequest::ensemble)); }
};
struct NewDeploymentReply {
  std::string status = "ERROR";
  std::string ensemble_id;
  std::string error;
  static constexpr auto json_fields() {
    using R = NewDeploymentReply;
    return std::tuple(json::field("Status", &R::status), json::field("EnsembleID", &R::ensemble_id, json::omit_empty),
                      json::field("Error", &R::error, json::omit_empty));
  }
};

/// `status`, `limit` and `after` are additions to DMS 0.5.x.
struct DeploymentListRequest {
  std::map<std::string, std::string> metadata;  ///< all must match
  std::vector<std::string> status;              ///< one of these; empty: any
  std::uint32_t limit = 0;                      ///< deployments in one reply; 0: kMaxListed
  std::string after;                            ///< `next` of the reply before
  static constexpr std::array<std::string_view, 0> kAlsoKnown{};
  static constexpr auto json_fields() {
    using R = DeploymentListRequest;
    return std::tuple(json::field("Metadata", &R::metadata), json::field("Status", &R::status, json::omit_empty),
                      json::field("Limit", &R::limit, json::omit_empty),
                      json::field("After", &R::after, json::omit_empty));
  }
};
inline constexpr std::uint32_t kMaxListed = 1000;
/// One line of a list. Not in DMS 0.5.x.
struct DeploymentSummary {
  std::string name;               ///< of the metadata, its first kMaxListedName bytes
  std::uint64_t created = 0;      ///< ns since 1970
  std::uint64_t ended = 0;        ///< 0 while it has not ended
  std::uint32_t allocations = 0;  ///< of the ensemble
  std::uint32_t running = 0;      ///< of those
  std::string reason;             ///< as in DeploymentStatusReply; of one that has failed, why
  static constexpr auto json_fields() {
    using S = DeploymentSummary;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("name", &S::name, omit), json::field("created", &S::created),
                      json::field("ended", &S::ended, omit), json::field("allocations", &S::allocations),
                      json::field("running", &S::running, omit), json::field("reason", &S::reason, omit));
  }
};
inline constexpr std::size_t kMaxListedName = 64;
struct DeploymentListReply {
  std::map<std::string, std::string> deployments;  ///< id -> status
  /// By id; of those whose record can be read. Not in DMS 0.5.x.
  std::map<std::string, DeploymentSummary> details;
  std::string next;  ///< not empty if there are more
  std::string error;
  static constexpr auto json_fields() {
    using R = DeploymentListReply;
    return std::tuple(
        json::field("Deployments", &R::deployments), json::field("Details", &R::details, json::omit_empty),
        json::field("Next", &R::next, json::omit_empty), json::field("Error", &R::error, json::omit_empty));
  }
};

struct DeploymentUpdateRequest {
  std::string ensemble_id;
  jobs::Ensemble ensemble;
  static constexpr std::array<std::string_view, 0> kAlsoKnown{};
  static constexpr auto json_fields() {
    return std::tuple(json::field("EnsembleID", &DeploymentUpdateRequest::ensemble_id),
                      json::field("Ensemble", &DeploymentUpdateRequest::ensemble));
  }
};

/// Removes deployments that have ended, with their output. Members of the request are additions to DMS 0.5.x.
struct DeploymentPruneRequest {
  std::map<std::string, std::string> metadata;  ///< all must match
  std::int64_t older_than_ns = 0;               ///< since they ended
  /// Of DMS 0.5.x: all that have ended. Its `before` is refused.
  static constexpr std::array<std::string_view, 1> kAlsoKnown{"all"};
  static constexpr auto json_fields() {
    using R = DeploymentPruneRequest;
    return std::tuple(json::field("Metadata", &R::metadata, json::omit_empty),
                      json::field("OlderThan", &R::older_than_ns, json::omit_empty));
  }
};
struct DeploymentPruneReply {
  std::vector<std::string> deployments;  ///< removed
  std::string error;
  static constexpr auto json_fields() {
    using R = DeploymentPruneReply;
    return std::tuple(json::field("Deployments", &R::deployments), json::field("Error", &R::error, json::omit_empty));
  }
};

struct DeploymentId {
  std::string id;
  static constexpr std::array<std::string_view, 0> kAlsoKnown{};
  static constexpr auto json_fields() { return std::tuple(json::field("ID", &DeploymentId::id)); }
};
struct AllocationState {
  AllocationStatus status{};
  std::string peer;
  int exit_code = 0;
  std::string reason;
  std::string incarnation;
  Health health = Health::unknown;  ///< as last reported
  std::uint32_t restarts = 0;       ///< runs after the first, since an update has changed it last
  std::uint32_t moves = 0;          ///< of these, the ones on another machine than the run before
  std::uint32_t changes = 0;        ///< updates that have changed it
  std::int64_t unreachable_ns = 0;  ///< since its provider was last heard from, while it is suspected; 0: it answers
  std::uint64_t lost_at = 0;        ///< ns since 1970: when it is lost at the latest, unless it answers; 0: not known
  std::int64_t pause_ns = 0;        ///< until it is started again; 0: it does not wait for that
  /// By which it is restarted when it fails: one_for_one, ..., or "restart of its node"; empty: it stays down.
  std::string strategy;
  std::uint32_t redundancy = 0;           ///< of its node
  std::vector<std::string> standbys;      ///< machines that are ready to take its node over
  std::optional<StartProgress> progress;  ///< of its start, as last told; absent once it runs
  static constexpr auto json_fields() {
    using S = AllocationState;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("status", &S::status), json::field("peer", &S::peer),
                      json::field("exit_code", &S::exit_code), json::field("reason", &S::reason, omit),
                      json::field("incarnation", &S::incarnation, omit), json::field("health", &S::health, omit),
                      json::field("restarts", &S::restarts, omit), json::field("moves", &S::moves, omit),
                      json::field("changes", &S::changes, omit),
                      json::field("unreachable_for", &S::unreachable_ns, omit),
                      json::field("lost_at", &S::lost_at, omit), json::field("starts_again_in", &S::pause_ns, omit),
                      json::field("strategy", &S::strategy, omit), json::field("redundancy", &S::redundancy, omit),
                      json::field("standbys", &S::standbys, omit), json::field("progress", &S::progress, omit));
  }
};
/// `error` is the reason why the deployment failed or is unknown, or why it finds no machine so far. `reason` says why
/// one that is Completed ended before its work did: it was shut down; of any other it is empty. `allocations` has each
/// one of the ensemble once the deployment ends, also what never ran. `allocations` and `reason` are additions to
/// DMS 0.5.x.
struct DeploymentStatusReply {
  std::string status;
  std::string error;
  std::string reason;
  std::map<std::string, AllocationState> allocations;
  static constexpr auto json_fields() {
    using R = DeploymentStatusReply;
    return std::tuple(json::field("Status", &R::status), json::field("Error", &R::error),
                      json::field("Reason", &R::reason, json::omit_empty),
                      json::field("Allocations", &R::allocations, json::omit_empty));
  }
};
/// `status` is an addition to DMS 0.5.x: how the deployment had ended before it was asked to.
struct DeploymentShutdownReply {
  bool ok = false;
  std::string error;
  std::string status;
  static constexpr auto json_fields() {
    using R = DeploymentShutdownReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("Status", &R::status, json::omit_empty));
  }
};
struct DeploymentManifestReply {
  EnsembleManifest manifest;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("manifest", &DeploymentManifestReply::manifest),
                      json::field("error", &DeploymentManifestReply::error, json::omit_empty));
  }
};
/// Usage of the allocations as last reported by their providers: while they run up to one renewal old (a quarter of the
/// lease, 30 s at most), then of the whole run. Not in DMS 0.5.x.
struct AllocationUsage : AllocationState {
  std::string id;
  std::string node;
  std::string type;
  std::string executor;
  capability::Resources resources;
  std::int64_t lease_ns = 0;
  double cpu_seconds = 0;          ///< 0 and absent: not known, as where the provider has no control groups
  std::uint64_t memory_bytes = 0;  ///< the same
  std::uint64_t out_size = 0;
  std::uint64_t err_size = 0;
  std::vector<std::string> results;  ///< names of the results that are stored here
  json::StringMap absent;            ///< once it has ended: the declared results that will not come, with the reasons
  static constexpr auto json_fields() {
    using U = AllocationUsage;
    constexpr auto omit = json::omit_empty;
    return std::tuple_cat(
        std::tuple(json::field("id", &U::id), json::field("node", &U::node), json::field("type", &U::type),
                   json::field("executor", &U::executor), json::field("resources", &U::resources),
                   json::field<U, AllocationStatus>("status", &U::status),
                   json::field<U, std::string>("peer", &U::peer), json::field<U, int>("exit_code", &U::exit_code),
                   json::field<U, std::string>("reason", &U::reason, omit),
                   json::field<U, std::string>("incarnation", &U::incarnation, omit),
                   json::field<U, Health>("health", &U::health, omit),
                   json::field<U, std::uint32_t>("restarts", &U::restarts, omit),
                   json::field<U, std::uint32_t>("moves", &U::moves, omit),
                   json::field<U, std::uint32_t>("changes", &U::changes, omit),
                   json::field<U, std::int64_t>("unreachable_for", &U::unreachable_ns, omit),
                   json::field<U, std::uint64_t>("lost_at", &U::lost_at, omit),
                   json::field<U, std::string>("strategy", &U::strategy, omit),
                   json::field<U, std::uint32_t>("redundancy", &U::redundancy, omit),
                   json::field<U, std::vector<std::string>>("standbys", &U::standbys, omit),
                   json::field<U, std::optional<StartProgress>>("progress", &U::progress, omit)),
        std::tuple(json::field("lease", &U::lease_ns, omit), json::field("cpu_seconds", &U::cpu_seconds, omit),
                   json::field("memory_bytes", &U::memory_bytes, omit), json::field("stdout_size", &U::out_size, omit),
                   json::field("stderr_size", &U::err_size, omit), json::field("results", &U::results, omit),
                   json::field("absent", &U::absent, omit)));
  }
};
/// Of an allocation that an update has removed.
struct RemovedAllocation {
  std::vector<std::string> results;  ///< names of the results that are stored here, until the deployment is deleted
  json::StringMap absent;            ///< those that will not come, with the reasons
  static constexpr auto json_fields() {
    using R = RemovedAllocation;
    return std::tuple(json::field("results", &R::results, json::omit_empty),
                      json::field("absent", &R::absent, json::omit_empty));
  }
};
struct DeploymentInfoReply {
  std::string status;
  std::string error;
  std::string reason;  ///< as in DeploymentStatusReply
  std::map<std::string, std::string> metadata;
  std::uint64_t created = 0;  ///< ns since 1970
  std::uint64_t ended = 0;    ///< 0 while it has not ended
  std::map<std::string, AllocationUsage> allocations;
  std::map<std::string, RemovedAllocation> removed;  ///< whose output is stored here
  static constexpr auto json_fields() {
    using R = DeploymentInfoReply;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("Status", &R::status), json::field("Error", &R::error, omit),
                      json::field("Reason", &R::reason, omit), json::field("Metadata", &R::metadata, omit),
                      json::field("Created", &R::created), json::field("Ended", &R::ended, omit),
                      json::field("Allocations", &R::allocations, omit), json::field("Removed", &R::removed, omit));
  }
};

/// Why a machine that was heard in an auction, or may not bid, was chosen for a node, or was not. Not in DMS 0.5.x.
struct MachineVerdict {
  std::string peer;
  std::string node;  ///< empty: its bid does not count, or it may not bid
  bool chosen = false;
  std::string reason;  ///< one printable line
  static constexpr auto json_fields() {
    using V = MachineVerdict;
    return std::tuple(json::field("peer", &V::peer), json::field("node", &V::node, json::omit_empty),
                      json::field("chosen", &V::chosen), json::field("reason", &V::reason));
  }
};
/// Two machines that were measured for an edge of the ensemble.
struct EdgeVerdict {
  std::string s;  ///< nodes
  std::string t;
  std::string a;  ///< the peer that has bid for s, or has it
  std::string b;  ///< for t
  bool holds = false;
  std::string asked;     ///< printable lines
  std::string measured;  ///< or why it was not
  static constexpr auto json_fields() {
    using V = EdgeVerdict;
    return std::tuple(json::field("s", &V::s), json::field("t", &V::t), json::field("a", &V::a),
                      json::field("b", &V::b), json::field("holds", &V::holds), json::field("asked", &V::asked),
                      json::field("measured", &V::measured));
  }
};
struct Choice {
  std::uint64_t at = 0;                  ///< of the last round, ns since 1970
  bool optimal = true;                   ///< it is known to be the best choice, and not only the best that was found
  std::vector<MachineVerdict> machines;  ///< those chosen first
  std::uint32_t left_out = 0;            ///< more that were heard
  std::vector<EdgeVerdict> edges;        ///< what was measured
  static constexpr auto json_fields() {
    using C = Choice;
    return std::tuple(json::field("at", &C::at), json::field("optimal", &C::optimal),
                      json::field("machines", &C::machines), json::field("left_out", &C::left_out, json::omit_empty),
                      json::field("edges", &C::edges, json::omit_empty));
  }
};
/// `error` is that of the status. Not in DMS 0.5.x.
struct DeploymentExplainReply {
  std::string status;
  std::string error;
  std::optional<Choice> choice;  ///< of the last auctions; none before the first round has ended
  static constexpr auto json_fields() {
    using R = DeploymentExplainReply;
    return std::tuple(json::field("Status", &R::status), json::field("Error", &R::error, json::omit_empty),
                      json::field("Choice", &R::choice, json::omit_empty));
  }
};
/// Which machines an ensemble would get now. `error` says why a node gets none, or why the ensemble is refused. Not in
/// DMS 0.5.x.
struct DeploymentPlanReply {
  bool complete = false;  ///< every node would get a machine
  std::string error;
  Choice choice;
  static constexpr auto json_fields() {
    using R = DeploymentPlanReply;
    return std::tuple(json::field("Complete", &R::complete), json::field("Error", &R::error, json::omit_empty),
                      json::field("Choice", &R::choice));
  }
};

/// Without a stream, the output is written to the orchestrator's disk, as by DMS 0.5.x. With one, the reply has a page
/// of it; so `stream`, `offset` and `max_bytes` are additions, as is the page in the reply, with what a result is as a
/// whole.
struct DeploymentLogsRequest {
  std::string ensemble_id;
  std::string allocation_name;
  std::string stream;  ///< "stdout", "stderr", "previous:" and one of these for the run before, "result:<name>"
  std::uint64_t offset = 0;
  std::uint64_t max_bytes = 0;  ///< 0: kLogPage, which is the most
  bool local = false;           ///< the caller can fetch pages from the REST API of this node
  static constexpr std::array<std::string_view, 0> kAlsoKnown{};
  static constexpr auto json_fields() {
    using R = DeploymentLogsRequest;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("EnsembleID", &R::ensemble_id), json::field("AllocationName", &R::allocation_name),
                      json::field("stream", &R::stream, omit), json::field("offset", &R::offset, omit),
                      json::field("max_bytes", &R::max_bytes, omit), json::field("local", &R::local, omit));
  }
};
struct DeploymentLogsReply : LogPage {
  std::string written_to;
  std::string error;
  std::string digest;   ///< of a result: SHA-256 of all of it, in hex
  bool folder = false;  ///< a result that is a tar archive of a folder
  /// For pages of all of it, if they were asked for (transfer/local_pages.hpp); of output, if more of it is there.
  std::string ticket;
  static constexpr auto json_fields() {
    using R = DeploymentLogsReply;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("LogsWrittenTo", &R::written_to), json::field("Error", &R::error),
                      json::field<R, std::uint64_t>("offset", &R::offset, omit),
                      json::field<R, std::uint64_t>("next_offset", &R::next_offset, omit),
                      json::field<R, std::uint64_t>("total_size", &R::total_size, omit),
                      json::field<R, bool>("eof", &R::eof, omit), json::field<R, Bytes>("data", &R::data, omit),
                      json::field<R, std::string>("incarnation", &R::incarnation, omit),
                      json::field<R, std::string>("incomplete", &R::incomplete, omit),
                      json::field("digest", &R::digest, omit), json::field("folder", &R::folder, omit),
                      json::field("ticket", &R::ticket, omit));
  }
};

inline constexpr std::array kDeploymentNewParameters{
    Parameter{.name = "spec-file",
              .letter = 'f',
              .member = "Ensemble",
              .form = Form::ensemble,
              .value = "file",
              .help = "the ensemble, as YAML; - reads standard input [ensemble.yaml]"}};
inline constexpr Parameter kMetadataParameter{.name = "filter",
                                              .letter = 'f',
                                              .member = "Metadata",
                                              .form = Form::pairs,
                                              .value = "key=value",
                                              .help = "only deployments with this metadata"};
inline constexpr std::array kDeploymentListParameters{
    kMetadataParameter,
    Parameter{.name = "after", .member = "After", .value = "next", .help = "go on behind a page, with its `Next`"}};
inline constexpr std::array kDeploymentPruneParameters{kMetadataParameter};
inline constexpr Parameter kDeploymentIdParameter{
    .name = "id", .letter = 'i', .member = "ID", .value = "id", .help = "id of the deployment", .required = true};
inline constexpr std::array kDeploymentIdParameters{kDeploymentIdParameter};
inline constexpr std::array kDeploymentUpdateParameters{Parameter{.name = "id",
                                                                  .letter = 'i',
                                                                  .member = "EnsembleID",
                                                                  .value = "id",
                                                                  .help = "id of the deployment",
                                                                  .required = true},
                                                        kDeploymentNewParameters[0]};
inline constexpr std::array kDeploymentLogsParameters{Parameter{.name = "id",
                                                                .letter = 'i',
                                                                .member = "EnsembleID",
                                                                .value = "id",
                                                                .help = "id of the deployment",
                                                                .required = true},
                                                      Parameter{.name = "allocation",
                                                                .letter = 'a',
                                                                .member = "AllocationName",
                                                                .value = "name",
                                                                .help = "name of the allocation",
                                                                .required = true}};

inline constexpr Behaviour<NewDeploymentRequest, NewDeploymentReply> kDeploymentNew{
    {.path = "/dms/node/deployment/new",
     .help = "Deploy an ensemble",
     .offered = Offered::command_line,
     .timeout = 5min,
     .parameters = kDeploymentNewParameters}};
inline constexpr Behaviour<DeploymentListRequest, DeploymentListReply> kDeploymentList{
    {.path = "/dms/node/deployment/list",
     .help = "List deployments",
     .offered = Offered::command_line,
     .parameters = kDeploymentListParameters}};
inline constexpr Behaviour<DeploymentId, DeploymentStatusReply> kDeploymentStatus{
    {.path = "/dms/node/deployment/status",
     .help = "Show the status of a deployment",
     .offered = Offered::command_line,
     .parameters = kDeploymentIdParameters}};
inline constexpr Behaviour<DeploymentId, DeploymentManifestReply> kDeploymentManifest{
    {.path = "/dms/node/deployment/manifest",
     .help = "Show which machine runs which allocation of a deployment",
     .offered = Offered::command_line,
     .parameters = kDeploymentIdParameters}};
inline constexpr Behaviour<DeploymentLogsRequest, DeploymentLogsReply> kDeploymentLogs{
    {.path = "/dms/node/deployment/logs",
     .help = "Fetch the output of an allocation",
     .offered = Offered::command_line,
     .timeout = 2min,
     .parameters = kDeploymentLogsParameters}};
/// Success, too, if the deployment has ended before.
inline constexpr Behaviour<DeploymentId, DeploymentShutdownReply> kDeploymentShutdown{
    {.path = "/dms/node/deployment/shutdown",
     .help = "Shut a deployment down",
     .offered = Offered::command_line,
     .timeout = 1min,
     .parameters = kDeploymentIdParameters}};

inline constexpr Behaviour<DeploymentUpdateRequest, Ack> kDeploymentUpdate{{.path = "/dms/node/deployment/update",
                                                                            .help = "Change a running deployment",
                                                                            .offered = Offered::command_line,
                                                                            .timeout = 5min,
                                                                            .parameters = kDeploymentUpdateParameters}};
inline constexpr Behaviour<DeploymentPruneRequest, DeploymentPruneReply> kDeploymentPrune{
    {.path = "/dms/node/deployment/prune",
     .help = "Remove deployments that have ended",
     .offered = Offered::command_line,
     .parameters = kDeploymentPruneParameters}};
inline constexpr Behaviour<DeploymentId, Ack> kDeploymentDelete{{.path = "/dms/node/deployment/delete",
                                                                 .help = "Remove a deployment that has ended",
                                                                 .offered = Offered::command_line,
                                                                 .parameters = kDeploymentIdParameters}};
inline constexpr Behaviour<DeploymentId, DeploymentInfoReply> kDeploymentInfo{
    {.path = "/dms/node/deployment/info",
     .help = "Show a deployment with the usage of its allocations",
     .offered = Offered::command_line,
     .parameters = kDeploymentIdParameters}};
inline constexpr Behaviour<DeploymentId, DeploymentExplainReply> kDeploymentExplain{
    {.path = "/dms/node/deployment/explain",
     .help = "Show why machines were chosen or not",
     .offered = Offered::command_line,
     .parameters = kDeploymentIdParameters}};
/// Bids are requested and withdrawn; nothing is reserved.
inline constexpr Behaviour<NewDeploymentRequest, DeploymentPlanReply> kDeploymentPlan{
    {.path = "/dms/node/deployment/plan",
     .help = "Show which machines an ensemble would get",
     .offered = Offered::command_line,
     .timeout = 1min,
     .parameters = kDeploymentNewParameters}};

}  // namespace dms::protocol
