// nunet deploy: from the file of an ensemble to the output of its allocations.
#include <map>
#include <set>

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
  auto read = read_ensemble(session, file, arguments);
  if (!read && !arguments.has("file") && read.error().is(dms::Errc::not_found))
    return fail(read.error(), "without --file the ensemble is {}", file);
  TRY(auto ensemble, std::move(read));
  Result<void> supported = jobs::check_supported(ensemble);
  if (supported) supported = jobs::check_offered(ensemble);
  if (!supported) return fail(supported.error(), "{}", file == "-" ? "standard input" : file);
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

/// The daemon counts from when it has the request.
constexpr Duration kLeastTimeout = protocol::kMinDeploymentTime + 1s;

/// Time that passes, and bytes that come, are no change.
DeploymentStatusReply without_figures(DeploymentStatusReply status) {
  for (auto& [name, allocation] : status.allocations) {
    allocation.unreachable_ns = std::min<std::int64_t>(allocation.unreachable_ns, 1);
    allocation.pause_ns = std::min<std::int64_t>(allocation.pause_ns, 1);
    if (allocation.progress) allocation.progress->done = allocation.progress->total = 0;
  }
  return status;
}

/// For people who watch a deployment: which machines have bid, and what became of their bids, each verdict once.
class Verdicts {
 public:
  Verdicts(Session& session, Client& client, std::string id) : session_(session), client_(client), id_(std::move(id)) {}

  /// Without an answer nothing is shown; an interrupt is an error.
  Result<void> show() {
    const auto reply = client_.call(protocol::kDeploymentExplain, protocol::DeploymentId{id_});
    if (!reply && reply.error().is(dms::Errc::cancelled)) return std::unexpected(reply.error());
    if (!reply || !reply->choice) return {};
    for (const auto& verdict : reply->choice->machines) {
      std::string line =
          fmt::format("  {} is {}chosen{}: {}", verdict.peer, verdict.chosen ? "" : "not ",
                      verdict.node.empty() ? "" : fmt::format(" for node {}", verdict.node), verdict.reason);
      if (shown_.contains(line)) continue;
      session_.note(line);
      shown_.insert(std::move(line));
    }
    return {};
  }

 private:
  Session& session_;
  Client& client_;
  std::string id_;
  std::set<std::string> shown_;
};

/// For the same: how far the start of each allocation is, a line for each tenth.
class Starts {
 public:
  explicit Starts(Session& session) : session_(session) {}

  /// `printed`: the status itself has been.
  void show(const DeploymentStatusReply& status, bool printed) {
    for (const auto& [name, allocation] : status.allocations) {
      if (!allocation.progress || !allocation.progress->is_sound()) {
        shown_.erase(name);
        continue;
      }
      const protocol::StartProgress& now = *allocation.progress;
      const auto before = shown_.find(name);
      if (!printed && before != shown_.end() && !has_moved(before->second, now)) continue;
      shown_[name] = now;
      if (!printed) session_.note(fmt::format("  {}: {}", name, progress_text(now)));
    }
  }

 private:
  static bool has_moved(const protocol::StartProgress& before, const protocol::StartProgress& now) {
    return before.phase != now.phase || now.done < before.done ||
           now.done - before.done >= std::max<std::uint64_t>(now.total / 10, 1);
  }

  Session& session_;
  std::map<std::string, protocol::StartProgress> shown_;
};

struct Live {
  Verdicts verdicts;
  Starts starts;
};

/// Prints each change of status until the deployment has ended; without `until_end`, until it is running. `last` is the last
/// status that was received. With `live`, what became of bids and how far starts are is printed, too.
Result<void> watch(Session& session, Client& client, const std::string& id, bool until_end, std::optional<Live> live,
                   DeploymentStatusReply& last) {
  std::vector<std::string> shown;
  const UnixTime quick_end = session.environment().now() + kQuickTime;
  DaemonPatience patience(session);
  for (int missed = 0;;) {
    auto status = query_status(client, id);
    if (!status && !patience.bears(status.error()) && (!status.error().is(Errc::refused) || ++missed >= kMaxUnanswered))
      return std::unexpected(status.error());
    if (status) {
      missed = 0;
      patience.end();
      last = std::move(*status);
      auto lines = describe_status(without_figures(last));
      const bool changed = lines != shown;
      if (changed) {
        for (const auto& line : describe_status(last)) session.note(line);
        shown = std::move(lines);
        if (live) TRY_VOID(live->verdicts.show());
      }
      if (live) live->starts.show(last, changed);
      if (has_ended(last) || (!until_end && is_in(last, DeploymentStatus::running))) return {};
    }
    TRY_VOID(session.environment().pause(session.environment().now() < quick_end ? kQuickPoll : kSlowPoll));
  }
}

/// An error if the deployment or one of its allocations failed, or if it was shut down before its work had ended.
Result<void> check_outcome(const std::string& id, const DeploymentStatusReply& status) {
  if (is_in(status, DeploymentStatus::failed))
    return fail(Errc::failed, "deployment {} failed{}{}", id, status.error.empty() ? "" : ": ", status.error);
  if (!status.reason.empty())
    return fail(Errc::shut_down, "deployment {} did not run to its end: {}", id, status.reason);
  for (const auto& [name, allocation] : status.allocations)
    if (allocation.status == AllocationStatus::failed)
      return allocation.exit_code > 0
                 ? fail(Errc::failed, "allocation {} failed with exit code {}", name, allocation.exit_code)
                 : fail(Errc::failed, "allocation {} failed: {}", name,
                        allocation.reason.empty() ? "it did not run to its end" : allocation.reason);
  return {};
}

/// The output of an ended deployment is printed before its failure is reported.
Result<void> show_outcome(Session& session, Client& client, const std::string& id,
                          const DeploymentStatusReply& status) {
  auto names = allocations_of(client, id);
  auto shown = names ? show_all_logs(session, client, id, *names) : Result<void>(std::unexpected(names.error()));
  TRY_VOID(check_outcome(id, status));
  return shown;
}

/// An error that names the declared results of an ended deployment that did not come back. Why is said before.
Result<void> check_results(Session& session, Client& client, const std::string& id) {
  TRY(const auto info, client.call(protocol::kDeploymentInfo, protocol::DeploymentId{id}));
  if (info.status.empty()) return fail(Errc::failed, "{}", info.error);
  std::vector<std::string> missing;
  std::string first;
  for (const auto& [allocation, usage] : info.allocations)
    for (const auto& [name, why] : usage.absent) {
      session.note(fmt::format("{}: result \"{}\": {}", allocation, name, why));
      missing.push_back(fmt::format("\"{}\" of {}", name, allocation));
      if (first.empty()) first = allocation;
    }
  if (missing.empty()) return {};
  return fail(Errc::failed,
              "declared results did not come back: {}; `nunet deployment results {} {}` fetches what did and says more",
              fmt::join(missing, ", "), id, first);
}

/// One object, whatever the state: the reply to a request for the status, and the id.
void print_state_json(Session& session, const std::string& id, const DeploymentStatusReply& status) {
  json::Object state{{"EnsembleID", id}};
  const json::Value reply = json::to_value(status);
  for (const auto& [name, value] : reply.as_object()) state[name] = value;
  session.print_json(json::write_pretty(state));
}

/// On a terminal, after an interrupt: whether the user wants the deployment to end. Another interrupt, or no answer, is
/// a no.
bool wants_end(Session& session) {
  const auto answer = session.ask("Leave the deployment running? [Y/n]");
  return answer && (*answer == "n" || *answer == "N" || *answer == "no");
}

Result<void> shut_down(Session& session, Client& client, const std::string& id) {
  session.note("Shutting it down; its output stays.");
  TRY(const auto reply, client.call(protocol::kDeploymentShutdown, protocol::DeploymentId{id}));
  if (!reply.ok) return fail(Errc::failed, "{}", reply.error.empty() ? "no reason was given" : reply.error);
  return fail(Errc::shut_down, "deployment {} was shut down; its output: nunet deployment logs {}", id, id);
}

/// `results`: the ensemble declares some.
Result<void> follow(Session& session, Client& client, const std::string& id, bool until_end, bool results,
                    bool as_json) {
  DeploymentStatusReply status;
  const bool is_live = !as_json && session.environment().interactive();
  std::optional<Live> live;
  if (is_live) live.emplace(Live{Verdicts(session, client, id), Starts(session)});
  const Result<void> watched = watch(session, client, id, until_end, std::move(live), status);
  if (is_live && !watched && watched.error().is(dms::Errc::cancelled) && wants_end(session))
    return shut_down(session, client, id);
  if (as_json) print_state_json(session, id, status);
  if (!watched && (watched.error().is(dms::Errc::cancelled) || watched.error().is(Errc::no_daemon))) {
    session.note(fmt::format("The deployment continues. To see its status: nunet deployment status {}", id));
    session.note(fmt::format("To shut it down: nunet deployment shutdown {}", id));
  }
  TRY_VOID(watched);
  if (!has_ended(status)) return {};
  TRY_VOID(as_json ? check_outcome(id, status) : show_outcome(session, client, id, status));
  return results ? check_results(session, client, id) : Result<void>();
}

/// A deployment with services does not end by itself: --wait waits until it is running.
bool has_services(const jobs::Ensemble& ensemble) {
  return std::ranges::any_of(ensemble.allocations,
                             [](const auto& entry) { return entry.second.type == jobs::AllocationType::service; });
}

bool declares_results(const jobs::Ensemble& ensemble) {
  return std::ranges::any_of(ensemble.allocations, [](const auto& entry) { return entry.second.results.has_value(); });
}

Result<void> deploy(Session& session, const Arguments& arguments) {
  Duration timeout = protocol::kDeploymentNew.timeout;
  if (arguments.has("timeout")) {
    TRY(timeout, parse_duration("--timeout", arguments.get("timeout", ""), kLeastTimeout));
  }
  TRY(auto ensemble, read_supported_ensemble(session, arguments));
  if (arguments.has("wait")) session.environment().catch_interrupts();  // not while it reads the standard input
  const bool until_end = !has_services(ensemble);
  const bool results = declares_results(ensemble);
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY_VOID(send_inputs(session, client, ensemble, arguments));
  const protocol::NewDeploymentRequest request{std::move(ensemble)};
  auto replied = client.call(protocol::kDeploymentNew, request, timeout);
  // A daemon that is lost may have read the request.
  if (!replied && (replied.error().is(dms::Errc::cancelled) || replied.error().is(Errc::no_daemon)))
    session.note("The deployment may have been accepted. To see it: nunet deployment list");
  TRY(auto reply, std::move(replied));
  const bool accepted = reply.status == "OK" && !reply.ensemble_id.empty();
  const bool as_json = arguments.has("json");
  const bool wait = arguments.has("wait");
  if (as_json && !(accepted && wait)) print_reply_json(session, reply);
  if (!accepted)
    return fail(Errc::failed, "the deployment was not accepted: {}",
                reply.error.empty() ? "no reason was given" : reply.error);
  if (!as_json) session.print(reply.ensemble_id);
  if (wait) return follow(session, client, reply.ensemble_id, until_end, results, as_json);
  if (!as_json) session.note(fmt::format("To see its status: nunet deployment status {}", reply.ensemble_id));
  return {};
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
          "allocations; the exit code is then 0 if the deployment succeeded, 1 if it failed or if a declared result "
          "did not\n"
          "come back, which is named on standard error with the reason, 4 if it was shut down before its work had "
          "ended.\n"
          "Interrupting the command does not end the deployment; on a terminal it asks whether to leave it running. "
          "There it\n"
          "says of the machines that have bid, too, which are chosen, and why, and how far inputs and images are. "
          "--json\n"
          "prints the daemon's reply instead; with --wait one object when the waiting is over, with the id and the "
          "last state,\n"
          "without the output.",
      .examples = {"nunet deploy -f ensemble.yaml", "nunet deploy -f ensemble.yaml -t 2m --wait",
                   "envsubst < template.yaml | nunet deploy -f - --wait"},
      .options = {context_option(),
                  ensemble_option(),
                  any_file_option(),
                  {.name = "timeout",
                   .letter = 't',
                   .value = "time",
                   .help = fmt::format("time limit for finding and preparing machines, at least {}s [5m]",
                                       kLeastTimeout / 1s)},
                  {.name = "wait",
                   .letter = 'w',
                   .help = "wait until the deployment has ended, or is running if it has services",
                   .aliases = {"follow"}},
                  json_option()},
      .action = deploy};
}

}  // namespace dms::cli
