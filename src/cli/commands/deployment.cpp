// nunet deploy and nunet deployment: ensembles, from the file to the output of their allocations.
#include "protocol/deployment.hpp"
#include "base/file.hpp"
#include "cli/client/client.hpp"
#include "cli/client/reply.hpp"
#include "cli/commands/behaviours.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {

using protocol::AllocationStatus;
using protocol::DeploymentStatus;
using protocol::DeploymentStatusReply;

namespace {

constexpr Duration kFirstPoll = std::chrono::milliseconds(20);  // doubled each time, up to kPoll
constexpr Duration kPoll = std::chrono::milliseconds(500);
constexpr std::size_t kMaxLog = 256 << 20;
/// Watching ends after this many requests in a row without a reply.
constexpr int kMaxUnanswered = 3;

Result<std::string> id_of(const Arguments& arguments) {
  auto id = arguments.has("id") ? arguments.get("id") : arguments.get("deployment");
  if (!id || id->empty())
    return fail(Errc::usage, "the id of the deployment is missing; `nunet deployment list` shows the ids");
  return *id;
}

Result<DeploymentStatusReply> query_status(Client& client, const std::string& id) {
  TRY(auto status, client.call(protocol::kDeploymentStatus, protocol::DeploymentId{id}));
  if (status.status.empty())
    return fail(Errc::failed, "{}", status.error.empty() ? "the reply of the daemon has no status" : status.error);
  return status;
}

std::vector<std::string> describe_status(const DeploymentStatusReply& status) {
  std::vector<std::string> lines{status.status};
  for (const auto& [name, allocation] : status.allocations) {
    std::string line = fmt::format("  {}: {}", name, to_string(allocation.status));
    if (!allocation.peer.empty()) line += fmt::format(" on {}", allocation.peer);
    const std::string exit_code = fmt::format("exit code {}", allocation.exit_code);
    if (allocation.exit_code != 0 && !allocation.reason.starts_with(exit_code)) line += ", " + exit_code;
    if (!allocation.reason.empty()) line += fmt::format(", {}", allocation.reason);
    lines.push_back(std::move(line));
  }
  if (!status.error.empty()) lines.push_back("  " + status.error);
  return lines;
}

/// Copies an allocation's standard output and standard error to those of this process.
Result<void> show_logs(Session& session, Client& client, const std::string& id, const std::string& allocation) {
  TRY(auto reply, client.call(protocol::kDeploymentLogs, protocol::DeploymentLogsRequest{id, allocation}));
  if (!reply.error.empty()) return fail(Errc::failed, "the output of {}: {}", allocation, reply.error);
  const std::filesystem::path folder(reply.written_to);
  auto out = read_file(folder / "stdout.log", kMaxLog);
  auto err = read_file(folder / "stderr.log", kMaxLog);
  if (!out && !err)
    return fail(out.error(), "the output of {}, which the daemon wrote to {}", allocation, reply.written_to);
  session.print_raw(out.value_or(""));
  session.note_raw(err.value_or(""));
  return {};
}

Result<std::vector<std::string>> allocations_of(Client& client, const std::string& id) {
  TRY(auto reply, client.call(protocol::kDeploymentManifest, protocol::DeploymentId{id}));
  if (!reply.error.empty()) return fail(Errc::failed, "{}", reply.error);
  std::vector<std::string> names;
  for (const auto& [name, ignored] : reply.manifest.allocations) names.push_back(name);
  return names;
}

Result<void> show_all_logs(Session& session, Client& client, const std::string& id,
                           const std::vector<std::string>& names) {
  std::optional<Error> first;
  for (const auto& name : names) {
    if (names.size() > 1) session.note(fmt::format("==> {} <==", name));
    if (auto shown = show_logs(session, client, id, name); !shown) {
      if (!first) first = shown.error();
      if (names.size() > 1) session.note(shown.error().to_string());
    }
  }
  if (first) return std::unexpected(*first);
  return {};
}

bool is_in(const DeploymentStatusReply& status, DeploymentStatus wanted) {
  return parse_enum<DeploymentStatus>(status.status) == wanted;
}

bool has_ended(const DeploymentStatusReply& status) {
  const auto known = parse_enum<DeploymentStatus>(status.status);
  return known && is_final(*known);
}

/// Prints each change of status until the deployment has ended; without `until_end`, until it is running.
Result<DeploymentStatusReply> watch(Session& session, Client& client, const std::string& id, bool until_end) {
  std::vector<std::string> shown;
  Duration pause = kFirstPoll;
  for (int missed = 0;;) {
    auto status = query_status(client, id);
    if (!status && (!status.error().is(Errc::refused) || ++missed >= kMaxUnanswered)) return status;
    if (status) {
      missed = 0;
      if (auto lines = describe_status(*status); lines != shown) {
        for (const auto& line : lines) session.note(line);
        shown = std::move(lines);
      }
      if (has_ended(*status) || (!until_end && is_in(*status, DeploymentStatus::running))) return status;
    }
    TRY_VOID(session.environment().pause(pause));
    pause = std::min(2 * pause, kPoll);
  }
}

/// An error if the deployment or one of its allocations failed.
Result<void> check_outcome(const std::string& id, const DeploymentStatusReply& status) {
  if (is_in(status, DeploymentStatus::failed))
    return fail(Errc::failed, "deployment {} failed{}{}", id, status.error.empty() ? "" : ": ", status.error);
  for (const auto& [name, allocation] : status.allocations)
    if (allocation.status == AllocationStatus::failed)
      return fail(Errc::failed, "allocation {} failed with exit code {}", name, allocation.exit_code);
  return {};
}

Result<void> follow(Session& session, Client& client, const std::string& id, bool until_end) {
  TRY(auto status, watch(session, client, id, until_end));
  if (!has_ended(status)) return {};
  auto names = allocations_of(client, id);
  auto shown = names ? show_all_logs(session, client, id, *names) : Result<void>(std::unexpected(names.error()));
  TRY_VOID(check_outcome(id, status));
  return shown;
}

/// A deployment with services does not end by itself: --wait waits until it is running.
bool has_services(const jobs::Ensemble& ensemble) {
  return std::ranges::any_of(ensemble.allocations,
                             [](const auto& entry) { return entry.second.type == jobs::AllocationType::service; });
}

template <class Reply>
std::string pretty(const Reply& reply) {
  return json::write_pretty(json::parse(json::encode(reply)).value());
}

Result<void> deploy(Session& session, const Arguments& arguments) {
  Duration timeout = protocol::kDeploymentNew.timeout;
  if (arguments.has("timeout")) {
    TRY(timeout, parse_duration(arguments.get("timeout", "")));
  }
  TRY(auto ensemble, read_ensemble(session, arguments.get("file", "ensemble.yaml")));
  const bool until_end = !has_services(ensemble);
  TRY(auto client, Client::open(session, context_name(arguments)));
  const protocol::NewDeploymentRequest request{std::move(ensemble)};
  TRY(auto reply, client.call(protocol::kDeploymentNew, request, timeout));
  if (reply.status != "OK" || reply.ensemble_id.empty())
    return fail(Errc::failed, "the deployment was not accepted: {}",
                reply.error.empty() ? "no reason was given" : reply.error);
  session.print(reply.ensemble_id);
  if (!arguments.has("wait")) {
    session.note(fmt::format("To see its status: nunet deployment status {}", reply.ensemble_id));
    return {};
  }
  auto followed = follow(session, client, reply.ensemble_id, until_end);
  if (!followed && followed.error().is(dms::Errc::cancelled)) {
    session.note(
        fmt::format("The deployment continues. To see its status: nunet deployment status {}", reply.ensemble_id));
    session.note(fmt::format("To shut it down: nunet deployment shutdown {}", reply.ensemble_id));
  }
  return followed;
}

Result<void> deployment_list(Session& session, const Arguments& arguments) {
  protocol::DeploymentListRequest request;
  for (const auto& pair : arguments.all("filter")) {
    const auto at = pair.find('=');
    if (at == std::string::npos) return fail(Errc::usage, "--filter: expected key=value, found \"{}\"", pair);
    request.metadata[pair.substr(0, at)] = pair.substr(at + 1);
  }
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(auto reply, client.call(protocol::kDeploymentList, request));
  if (arguments.has("json")) {
    session.print_json(json::encode(reply.deployments));
    return {};
  }
  if (reply.deployments.empty()) {
    session.note("There are no deployments; start one with `nunet deploy -f ensemble.yaml`.");
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"DEPLOYMENT", "STATUS"}};
  for (const auto& [id, status] : reply.deployments) rows.push_back({id, status});
  session.print_table(rows);
  return {};
}

Result<void> deployment_status(Session& session, const Arguments& arguments) {
  TRY(auto id, id_of(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  if (arguments.has("json")) {
    TRY(auto reply, client.call(protocol::kDeploymentStatus, protocol::DeploymentId{id}));
    session.print_json(pretty(reply));
    return {};
  }
  TRY(auto status, query_status(client, id));
  for (const auto& line : describe_status(status)) session.print(line);
  return {};
}

Result<void> deployment_manifest(Session& session, const Arguments& arguments) {
  TRY(auto id, id_of(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(auto reply, client.call(protocol::kDeploymentManifest, protocol::DeploymentId{id}));
  if (!reply.error.empty()) return fail(Errc::failed, "{}", reply.error);
  session.print_json(pretty(reply));
  return {};
}

Result<void> deployment_logs(Session& session, const Arguments& arguments) {
  TRY(auto id, id_of(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  if (auto allocation = arguments.get("allocation")) return show_logs(session, client, id, *allocation);
  TRY(auto names, allocations_of(client, id));
  return show_all_logs(session, client, id, names);
}

Result<void> deployment_shutdown(Session& session, const Arguments& arguments) {
  TRY(auto id, id_of(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(auto reply, client.call(protocol::kDeploymentShutdown, protocol::DeploymentId{id}));
  if (!reply.ok) return fail(Errc::failed, "{}", reply.error);
  session.note(fmt::format("Deployment {} is shut down.", id));
  return {};
}

Command one_deployment(std::string name, std::string summary, std::string letter_example, Action action) {
  return {.name = std::move(name),
          .summary = std::move(summary),
          .examples = {std::move(letter_example)},
          .options = {context_option(), {.name = "id", .letter = 'i', .value = "id", .help = "id of the deployment"}},
          .positionals = {{"deployment", "id of the deployment, as printed by `nunet deploy`", false}},
          .at_most_one = {{"id", "deployment"}},
          .action = std::move(action)};
}

}  // namespace

Command deploy_command() {
  return {
      .name = "deploy",
      .summary = "Deploy an ensemble",
      .detail =
          "Validates the ensemble, sends it to the daemon and prints the deployment's id. With --wait, prints each "
          "change of\n"
          "status and, at the end, the output of the allocations; the exit code is then 0 if the deployment succeeded, "
          "1 if\n"
          "it failed. Interrupting the command does not end the deployment.",
      .examples = {"nunet deploy -f ensemble.yaml", "nunet deploy -f ensemble.yaml -t 2m --wait",
                   "envsubst < template.yaml | nunet deploy -f - --wait"},
      .options = {context_option(),
                  {.name = "file",
                   .letter = 'f',
                   .value = "file",
                   .help = "the ensemble, as YAML; - reads standard input [ensemble.yaml]",
                   .aliases = {"spec-file"}},
                  {.name = "timeout",
                   .letter = 't',
                   .value = "time",
                   .help = "time limit for finding and preparing machines [5m]"},
                  {.name = "wait",
                   .letter = 'w',
                   .help = "wait until the deployment has ended, or is running if it has services",
                   .aliases = {"follow"}}},
      .action = deploy};
}

Command deployment_commands() {
  auto status =
      one_deployment("status", "Show the status of a deployment", "nunet deployment status 4f2a...", deployment_status);
  status.options.push_back(json_option());
  auto logs = one_deployment("logs", "Print the output of a deployment's allocations",
                             "nunet deployment logs 4f2a... -a web", deployment_logs);
  logs.options.push_back({.name = "allocation", .letter = 'a', .value = "name", .help = "only this allocation [all]"});
  logs.detail = "Copies the standard output and the standard error of each allocation, byte for byte.";
  return {.name = "deployment",
          .summary = "Show and shut down deployments",
          .children = {{.name = "list",
                        .summary = "List the deployments of the local daemon",
                        .examples = {"nunet deployment list --filter project=demo"},
                        .options = {context_option(),
                                    {.name = "filter",
                                     .letter = 'f',
                                     .value = "key=value",
                                     .help = "only deployments with this metadata",
                                     .repeated = true},
                                    json_option()},
                        .action = deployment_list},
                       std::move(status),
                       std::move(logs),
                       one_deployment("manifest", "Print as JSON which machine runs which allocation of a deployment",
                                      "nunet deployment manifest 4f2a...", deployment_manifest),
                       one_deployment("shutdown", "Shut a deployment down", "nunet deployment shutdown 4f2a...",
                                      deployment_shutdown)}};
}

}  // namespace dms::cli
