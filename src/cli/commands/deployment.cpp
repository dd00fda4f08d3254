// nunet deploy and nunet deployment: work for the network, from its description to its output.
#include "base/file.hpp"
#include "cli/commands/behaviours.hpp"
#include "cli/client/client.hpp"
#include "cli/commands/groups.hpp"
#include "cli/client/reply.hpp"
#include "orchestrator/behaviours.hpp"

namespace dms::cli {
namespace {

constexpr Duration kDeployTime = std::chrono::minutes(5);
constexpr Duration kAskTime = std::chrono::seconds(30);
constexpr Duration kLogsTime = std::chrono::minutes(2);
constexpr Duration kFirstPoll = std::chrono::milliseconds(20);  // doubled each time, up to kPoll
constexpr Duration kPoll = std::chrono::milliseconds(500);
constexpr std::size_t kMaxLog = 256 << 20;
/// How many questions in a row may stay unanswered before we give up watching.
constexpr int kPatience = 3;

// What we read of the replies; they hold more.
struct NewReply {
  std::string status;
  std::string id;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Status", &NewReply::status), json::field("EnsembleID", &NewReply::id),
                      json::field("Error", &NewReply::error));
  }
};
struct AllocationReply {
  std::string status;
  std::string peer;
  int exit_code = 0;
  std::string reason;
  static constexpr auto json_fields() {
    using R = AllocationReply;
    return std::tuple(json::field("status", &R::status), json::field("peer", &R::peer),
                      json::field("exit_code", &R::exit_code), json::field("reason", &R::reason));
  }
};
struct StatusReply {
  std::string status;
  std::string error;
  std::map<std::string, AllocationReply> allocations;
  static constexpr auto json_fields() {
    using R = StatusReply;
    return std::tuple(json::field("Status", &R::status), json::field("Error", &R::error),
                      json::field("Allocations", &R::allocations));
  }
};
struct ListReply {
  std::map<std::string, std::string> deployments;
  static constexpr auto json_fields() { return std::tuple(json::field("Deployments", &ListReply::deployments)); }
};
struct Manifest {
  std::map<std::string, json::Value> allocations;
  static constexpr auto json_fields() { return std::tuple(json::field("allocations", &Manifest::allocations)); }
};
struct ManifestReply {
  Manifest manifest;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("manifest", &ManifestReply::manifest), json::field("error", &ManifestReply::error));
  }
};
struct LogsReply {
  std::string folder;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("LogsWrittenTo", &LogsReply::folder), json::field("Error", &LogsReply::error));
  }
};

std::string object(std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
  json::Writer writer;
  writer.begin_object();
  for (const auto& [name, value] : members) writer.key(name).string(value);
  return writer.end_object().take();
}

Result<std::string> id_of(const Arguments& arguments) {
  auto id = arguments.has("id") ? arguments.get("id") : arguments.get("deployment");
  if (!id || id->empty()) return fail(Errc::usage, "which deployment? give its id; `nunet deployment list` shows them");
  return *id;
}

Result<StatusReply> ask_status(Client& client, const std::string& id) {
  TRY(auto status, client.ask<StatusReply>(behaviour::kDeploymentStatus, object({{"ID", id}}), kAskTime));
  if (status.status.empty())
    return fail(Errc::failed, "{}", status.error.empty() ? "the daemon gave no status" : status.error);
  return status;
}

std::string describe_status(const StatusReply& status) {
  std::string text = status.status;
  for (const auto& [name, allocation] : status.allocations) {
    text += fmt::format("\n  {}: {}", name, allocation.status);
    if (!allocation.peer.empty()) text += fmt::format(" on {}", allocation.peer);
    if (allocation.exit_code != 0) text += fmt::format(", exit code {}", allocation.exit_code);
    if (!allocation.reason.empty()) text += fmt::format(", {}", allocation.reason);
  }
  if (!status.error.empty()) text += "\n  " + status.error;
  return text;
}

/// Writes an allocation's output to ours, its errors to our errors.
Result<void> show_logs(Session& session, Client& client, const std::string& id, const std::string& allocation) {
  TRY(auto reply, client.ask<LogsReply>(behaviour::kDeploymentLogs,
                                        object({{"EnsembleID", id}, {"AllocationName", allocation}}), kLogsTime));
  if (!reply.error.empty()) return fail(Errc::failed, "the output of {}: {}", allocation, reply.error);
  const std::filesystem::path folder(reply.folder);
  auto out = read_file(folder / "stdout.log", kMaxLog);
  auto err = read_file(folder / "stderr.log", kMaxLog);
  if (!out && !err)
    return fail(out.error(), "the output of {}, which the daemon wrote to {}", allocation, reply.folder);
  session.streams().out << out.value_or("") << std::flush;
  session.streams().err << err.value_or("") << std::flush;
  return {};
}

Result<std::vector<std::string>> allocations_of(Client& client, const std::string& id) {
  TRY(auto reply, client.ask<ManifestReply>(behaviour::kDeploymentManifest, object({{"ID", id}}), kAskTime));
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

bool has_ended(const StatusReply& status) { return status.status == "Completed" || status.status == "Failed"; }

/// Shows each change of state until the deployment has ended, or runs if it is not meant to end.
Result<StatusReply> watch(Session& session, Client& client, const std::string& id, bool until_end) {
  std::string shown;
  Duration pause = kFirstPoll;
  for (int missed = 0;;) {
    auto status = ask_status(client, id);
    if (!status && (!status.error().is(Errc::refused) || ++missed >= kPatience)) return status;
    if (status) {
      missed = 0;
      if (auto text = describe_status(*status); text != shown) session.note(shown = std::move(text));
      if (has_ended(*status) || (!until_end && status->status == "Running")) return status;
    }
    TRY_VOID(session.environment().pause(pause));
    pause = std::min(2 * pause, kPoll);
  }
}

Result<void> judge(const std::string& id, const StatusReply& status) {
  if (status.status == "Failed")
    return fail(Errc::failed, "deployment {} failed{}{}", id, status.error.empty() ? "" : ": ", status.error);
  for (const auto& [name, allocation] : status.allocations)
    if (allocation.status == "failed")
      return fail(Errc::failed, "allocation {} failed with exit code {}", name, allocation.exit_code);
  return {};
}

Result<void> follow(Session& session, Client& client, const std::string& id, bool until_end) {
  TRY(auto status, watch(session, client, id, until_end));
  if (!has_ended(status)) return {};
  auto names = allocations_of(client, id);
  auto shown = names ? show_all_logs(session, client, id, *names) : Result<void>(std::unexpected(names.error()));
  TRY_VOID(judge(id, status));
  return shown;
}

/// Services are meant to stay: such a deployment is done when it runs.
bool has_services(const json::Value& ensemble) {
  const auto* v1 = ensemble.is_object() ? ensemble.as_object().if_contains("v1") : nullptr;
  const auto* allocations = v1 != nullptr && v1->is_object() ? v1->as_object().if_contains("allocations") : nullptr;
  if (allocations == nullptr || !allocations->is_object()) return false;
  return std::ranges::any_of(allocations->as_object(), [](const auto& entry) {
    const auto* type = entry.value().is_object() ? entry.value().as_object().if_contains("type") : nullptr;
    return type != nullptr && *type == "service";
  });
}

Result<void> deploy(Session& session, const Arguments& arguments) {
  TRY(auto ensemble, read_ensemble(arguments.get("file", "ensemble.yaml")));
  Duration timeout = kDeployTime;
  if (arguments.has("timeout")) {
    TRY(timeout, parse_duration(arguments.get("timeout", "")));
  }
  const bool until_end = !has_services(ensemble);
  TRY(auto client, Client::open(session, context_name(arguments)));
  json::Object payload;
  payload["Ensemble"] = std::move(ensemble);
  TRY(auto reply, client.ask<NewReply>(behaviour::kDeploymentNew, json::write(payload), timeout));
  if (reply.status != "OK" || reply.id.empty())
    return fail(Errc::failed, "the deployment was not accepted: {}",
                reply.error.empty() ? "no reason was given" : reply.error);
  session.print(reply.id);
  if (!arguments.has("wait")) {
    session.note(fmt::format("Its progress: nunet deployment status {}", reply.id));
    return {};
  }
  auto followed = follow(session, client, reply.id, until_end);
  if (!followed && followed.error().is(dms::Errc::cancelled))
    session.note(fmt::format(
        "\nThe deployment goes on. Its state: nunet deployment status {0}\nIts end: nunet deployment shutdown {0}",
        reply.id));
  return followed;
}

Result<void> deployment_list(Session& session, const Arguments& arguments) {
  json::Object filter;
  for (const auto& pair : arguments.all("filter")) {
    const auto at = pair.find('=');
    if (at == std::string::npos) return fail(Errc::usage, "--filter: expected key=value, found \"{}\"", pair);
    filter[pair.substr(0, at)] = pair.substr(at + 1);
  }
  json::Object payload;
  if (!filter.empty()) payload["Metadata"] = std::move(filter);
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(auto reply, client.ask<ListReply>(behaviour::kDeploymentList, json::write(payload), kAskTime));
  if (arguments.has("json")) {
    session.print(json::encode(reply.deployments));
    return {};
  }
  if (reply.deployments.empty()) {
    session.note("There are no deployments; start one with `nunet deploy -f ensemble.yaml`.");
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"DEPLOYMENT", "STATUS"}};
  for (const auto& [id, status] : reply.deployments) rows.push_back({id, status});
  session.print(table(rows));
  return {};
}

Result<void> deployment_status(Session& session, const Arguments& arguments) {
  TRY(auto id, id_of(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  if (arguments.has("json")) {
    TRY(auto reply, client.ask<json::Value>(behaviour::kDeploymentStatus, object({{"ID", id}}), kAskTime));
    session.print(json::write_pretty(reply));
    return {};
  }
  TRY(auto status, ask_status(client, id));
  session.print(describe_status(status));
  return {};
}

Result<void> deployment_manifest(Session& session, const Arguments& arguments) {
  TRY(auto id, id_of(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(auto reply, client.ask<json::Value>(behaviour::kDeploymentManifest, object({{"ID", id}}), kAskTime));
  if (const auto failure = failure_in(reply); !failure.empty()) return fail(Errc::failed, "{}", failure);
  session.print(json::write_pretty(reply));
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
  TRY(auto reply,
      client.ask<json::Value>(behaviour::kDeploymentShutdown, object({{"ID", id}}), std::chrono::minutes(1)));
  if (const auto failure = failure_in(reply); !failure.empty()) return fail(Errc::failed, "{}", failure);
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
  return {.name = "deploy",
          .summary = "Deploy an ensemble",
          .detail =
              "Reads and checks the ensemble here, hands it to the daemon and prints the deployment's id. With --wait, "
              "shows each\n"
              "change of its state and, at its end, what the work has printed; the exit code is then that of the "
              "deployment: 0\n"
              "if all went well, 1 if it failed. Interrupting ends the watching, not the deployment.",
          .examples = {"nunet deploy -f ensemble.yaml", "nunet deploy -f ensemble.yaml -t 2m --wait"},
          .options = {context_option(),
                      {.name = "file",
                       .letter = 'f',
                       .value = "file",
                       .help = "the ensemble, as YAML [ensemble.yaml]",
                       .aliases = {"spec-file"}},
                      {.name = "timeout",
                       .letter = 't',
                       .value = "time",
                       .help = "how long finding and preparing machines may take [5m]"},
                      {.name = "wait",
                       .letter = 'w',
                       .help = "watch until it has ended, or runs if it has services",
                       .aliases = {"follow"}}},
          .action = deploy};
}

Command deployment_commands() {
  auto status =
      one_deployment("status", "Show how a deployment is", "nunet deployment status 4f2a...", deployment_status);
  status.options.push_back(json_option());
  auto logs = one_deployment("logs", "Print what the work of a deployment has printed",
                             "nunet deployment logs 4f2a... -a web", deployment_logs);
  logs.options.push_back({.name = "allocation", .letter = 'a', .value = "name", .help = "only this allocation [all]"});
  logs.detail = "Output goes to standard output, errors to standard error.";
  return {.name = "deployment",
          .summary = "Look after deployments",
          .children = {{.name = "list",
                        .summary = "List the deployments of the local daemon",
                        .examples = {"nunet deployment list --filter project=demo"},
                        .options = {context_option(),
                                    {.name = "filter",
                                     .letter = 'f',
                                     .value = "key=value",
                                     .help = "only those whose metadata has this",
                                     .repeated = true},
                                    json_option()},
                        .action = deployment_list},
                       std::move(status),
                       std::move(logs),
                       one_deployment("manifest", "Show who runs what of a deployment, as JSON",
                                      "nunet deployment manifest 4f2a...", deployment_manifest),
                       one_deployment("shutdown", "End a deployment", "nunet deployment shutdown 4f2a...",
                                      deployment_shutdown)}};
}

}  // namespace dms::cli
