// Requests of a user to the orchestrator of its own node: new deployments, their status, output and shutdown.
//
// Specification: the behaviours /dms/node/deployment of NuNet DMS 0.5.x.
#pragma once

#include <array>
#include <map>
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

struct DeploymentListRequest {
  std::map<std::string, std::string> metadata;  // all must match
  static constexpr auto json_fields() { return std::tuple(json::field("Metadata", &DeploymentListRequest::metadata)); }
};
struct DeploymentListReply {
  std::map<std::string, std::string> deployments;  // id -> status
  static constexpr auto json_fields() {
    return std::tuple(json::field("Deployments", &DeploymentListReply::deployments));
  }
};

struct DeploymentId {
  std::string id;
  static constexpr auto json_fields() { return std::tuple(json::field("ID", &DeploymentId::id)); }
};
struct AllocationState {
  AllocationStatus status{};
  std::string peer;
  int exit_code = 0;
  std::string reason;
  static constexpr auto json_fields() {
    using S = AllocationState;
    return std::tuple(json::field("status", &S::status), json::field("peer", &S::peer),
                      json::field("exit_code", &S::exit_code), json::field("reason", &S::reason, json::omit_empty));
  }
};
/// `error` is the reason why the deployment failed or is unknown. `allocations` and `reason` are additions to DMS
/// 0.5.x.
struct DeploymentStatusReply {
  std::string status;
  std::string error;
  std::map<std::string, AllocationState> allocations;
  static constexpr auto json_fields() {
    using R = DeploymentStatusReply;
    return std::tuple(json::field("Status", &R::status), json::field("Error", &R::error),
                      json::field("Allocations", &R::allocations, json::omit_empty));
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
struct DeploymentLogsRequest {
  std::string ensemble_id;
  std::string allocation_name;
  static constexpr auto json_fields() {
    return std::tuple(json::field("EnsembleID", &DeploymentLogsRequest::ensemble_id),
                      json::field("AllocationName", &DeploymentLogsRequest::allocation_name));
  }
};
struct DeploymentLogsReply {
  std::string written_to;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("LogsWrittenTo", &DeploymentLogsReply::written_to),
                      json::field("Error", &DeploymentLogsReply::error));
  }
};

inline constexpr std::array kDeploymentNewParameters{
    Parameter{.name = "spec-file",
              .letter = 'f',
              .member = "Ensemble",
              .form = Form::ensemble,
              .value = "file",
              .help = "the ensemble, as YAML; - reads standard input [ensemble.yaml]"}};
inline constexpr std::array kDeploymentListParameters{Parameter{.name = "filter",
                                                                .letter = 'f',
                                                                .member = "Metadata",
                                                                .form = Form::pairs,
                                                                .value = "key=value",
                                                                .help = "only deployments with this metadata"}};
inline constexpr Parameter kDeploymentIdParameter{
    .name = "id", .letter = 'i', .member = "ID", .value = "id", .help = "id of the deployment", .required = true};
inline constexpr std::array kDeploymentIdParameters{kDeploymentIdParameter};
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
inline constexpr Behaviour<DeploymentId, Ack> kDeploymentShutdown{{.path = "/dms/node/deployment/shutdown",
                                                                   .help = "Shut a deployment down",
                                                                   .offered = Offered::command_line,
                                                                   .timeout = 1min,
                                                                   .parameters = kDeploymentIdParameters}};

}  // namespace dms::protocol
