// nunet deploy: from the file of an ensemble to the output of its allocations.
#include "cli/client/upload.hpp"
#include "cli/commands/behaviours.hpp"
#include "cli/commands/deployment.hpp"
#include "cli/commands/groups.hpp"
#include "jobs/ensemble/supported.hpp"

namespace dms::cli {

using protocol::AllocationStatus;
using protocol::DeploymentStatus;
using protocol::DeploymentStatusReply;

Result<jobs::Ensemble> read_supported_ensemble(Session& session, const Arguments& arguments) {
  const std::string file = arguments.get("file", "ensemble.yaml");
  TRY(auto ensemble, read_ensemble(session, file, arguments));
  if (const auto supported = jobs::check_supported(ensemble); !supported)
    return fail(supported.error(), "{}", file == "-" ? "standard input" : file);
  return ensemble;
}

Result<void> send_inputs(Session& session, Client& client, jobs::Ensemble& ensemble, const Arguments& arguments) {
  return upload_inputs(session, client, ensemble, EnsembleFiles(arguments.get("file", "ensemble.yaml"), arguments));
}

Option ensemble_option() {
  return {.name = "file",
          .letter = 'f',
          .value = "file",
          .help = "the ensemble, as YAML; - reads standard input [ensemble.yaml]",
          .aliases = {"spec-file"}};
}

namespace {

/// Prints each change of status until the deployment has ended; without `until_end`, until it is running.
Result<DeploymentStatusReply> watch(Session& session, Client& client, const std::string& id, bool until_end) {
  std::vector<std::string> shown;
  const UnixTime quick_end = session.environment().now() + kQuickTime;
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
    TRY_VOID(session.environment().pause(session.environment().now() < quick_end ? kQuickPoll : kSlowPoll));
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

Result<void> deploy(Session& session, const Arguments& arguments) {
  Duration timeout = protocol::kDeploymentNew.timeout;
  if (arguments.has("timeout")) {
    TRY(timeout, parse_duration("--timeout", arguments.get("timeout", "")));
  }
  TRY(auto ensemble, read_supported_ensemble(session, arguments));
  const bool until_end = !has_services(ensemble);
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY_VOID(send_inputs(session, client, ensemble, arguments));
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

}  // namespace

Command deploy_command() {
  return {
      .name = "deploy",
      .summary = "Deploy an ensemble",
      .detail =
          "Validates the ensemble, sends it to the daemon and prints the deployment's id. A field that has no effect "
          "yet is\n"
          "refused. With --wait, prints each change of the deployment and its allocations and, at the end, the output "
          "of the\n"
          "allocations; the exit code is then 0 if the deployment succeeded, 1 if it failed. Interrupting the command "
          "does not\n"
          "end the deployment.",
      .examples = {"nunet deploy -f ensemble.yaml", "nunet deploy -f ensemble.yaml -t 2m --wait",
                   "envsubst < template.yaml | nunet deploy -f - --wait"},
      .options = {context_option(),
                  ensemble_option(),
                  any_file_option(),
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

}  // namespace dms::cli
