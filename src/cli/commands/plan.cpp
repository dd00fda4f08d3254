// nunet plan and nunet deployment explain: which machines are chosen, and why.
#include "cli/client/upload.hpp"
#include "cli/commands/deployment.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

/// Those chosen first.
void print_choice(Session& session, const protocol::Choice& choice) {
  if (choice.machines.empty()) {
    session.note("No machine has bid.");
    return;
  }
  std::vector<std::vector<std::string>> rows{{"NODE", "MACHINE", "", "WHY"}};
  for (const auto& verdict : choice.machines)
    rows.push_back({verdict.node.empty() ? "-" : verdict.node, verdict.peer, verdict.chosen ? "chosen" : "not chosen",
                    verdict.reason});
  session.print_table(rows);
  if (!choice.edges.empty()) {
    std::vector<std::vector<std::string>> ways{{"EDGE", "FROM", "TO", "ASKED", "MEASURED", "RESULT"}};
    for (const auto& way : choice.edges)
      ways.push_back({fmt::format("{} to {}", way.s, way.t), way.a, way.b, way.asked, way.measured,
                      way.holds ? "holds" : "does not hold"});
    session.print_table(ways);
  }
  if (choice.left_out > 0) session.note(fmt::format("{} more that were not chosen are left out.", choice.left_out));
  if (!choice.optimal) session.note("A better choice may exist: the search was ended at its limit.");
}

Result<void> plan(Session& session, const Arguments& arguments) {
  TRY(auto ensemble, read_supported_ensemble(session, arguments));
  TRY_VOID(check_input_files(ensemble, EnsembleFiles(arguments.get("file", "ensemble.yaml"), arguments)));
  TRY(auto client, Client::open(session, context_name(arguments)));
  const protocol::NewDeploymentRequest request{std::move(ensemble)};
  TRY(const auto reply, client.call(protocol::kDeploymentPlan, request));
  if (arguments.has("json"))
    print_reply_json(session, reply);
  else
    print_choice(session, reply.choice);
  if (!reply.complete)
    return fail(Errc::failed, "{}", reply.error.empty() ? "not every node would get a machine" : reply.error);
  if (!arguments.has("json")) session.note("Nothing is reserved.");
  return {};
}

Result<void> explain(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(id, full_id(client, std::move(id)));
  TRY(const auto reply, client.call(protocol::kDeploymentExplain, protocol::DeploymentId{id}));
  if (arguments.has("json")) print_reply_json(session, reply);
  if (reply.status.empty())
    return fail(Errc::failed, "{}", reply.error.empty() ? "the reply of the daemon has no status" : reply.error);
  if (arguments.has("json")) return {};
  session.print(reply.error.empty() ? reply.status : fmt::format("{}: {}", reply.status, reply.error));
  if (reply.choice)
    print_choice(session, *reply.choice);
  else
    session.note("No round of bids has ended yet.");
  return {};
}

}  // namespace

Command plan_command() {
  return {
      .name = "plan",
      .summary = "Show which machines an ensemble would get, and why",
      .detail =
          "Asks for bids as `deploy` does, chooses machines, says for each machine that has bid or is excluded why it "
          "is\n"
          "chosen or not, and withdraws the bids: nothing is reserved, and no input is uploaded. The exit code is 1 if "
          "a\n"
          "node would get no machine, or if an input is missing or cannot be read.",
      .examples = {"nunet plan -f ensemble.yaml"},
      .options = {context_option(), ensemble_option(), any_file_option(), json_option()},
      .action = plan};
}

Command explain_command() {
  auto command = one_deployment("explain", "Say for each machine that has bid or is excluded why it was chosen or not",
                                "nunet deployment explain 4f2a...", explain);
  command.options.push_back(json_option());
  return command;
}

}  // namespace dms::cli
