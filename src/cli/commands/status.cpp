// nunet status: the node, what runs on it and its deployments, on one screen.
#include "cli/commands/allocation.hpp"
#include "cli/commands/deployment.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

constexpr std::size_t kShownDeployments = 10;

struct Overview {
  protocol::NodeStatus node;
  std::vector<std::string> peers;
  std::vector<protocol::AllocationInfo> held;
  std::vector<Listed> deployments;
};

Result<Overview> ask(Client& client) {
  Overview found;
  TRY(auto status, client.call(protocol::kNodeStatus, protocol::Nothing{}));
  if (status.peers.size() != 1) return fail(Errc::failed, "the daemon told its status in another form");
  found.node = std::move(status.peers.begin()->second);
  TRY(auto peers, client.call(protocol::kPeersList, protocol::Nothing{}));
  found.peers = std::move(peers.peers);
  TRY(found.held, list_held(client));
  TRY(found.deployments, list_all(client, {}));
  return found;
}

void print_node(Session& session, const Overview& found) {
  const protocol::NodeStatus& node = found.node;
  const auto line = [&](std::string_view what, std::string_view value) {
    session.print(fmt::format("{:<10}{}", what, value));
  };
  line("host", node.hostname);
  line("identity", node.did);
  line("peer", node.network.p2p.id);
  line("addresses", node.network.p2p.listen_addr);
  line("peers", fmt::format("{} connected", found.peers.size()));
  if (node.onboarded) {
    line("offers", node.resources.onboarded.to_string());
    line("free", node.resources.free.to_string());
  } else {
    line("offers", "nothing; `nunet actor cmd /dms/node/onboarding/onboard` offers a share of this machine");
  }
  for (const auto& [executor, text] : node.unenforced) line("limits", fmt::format("{}: {}", executor, text));
  for (const std::string& error : node.errors) line("unknown", error);
}

void print_held(Session& session, const Overview& found) {
  std::vector<protocol::AllocationInfo> active;
  for (const protocol::AllocationInfo& info : found.held)
    if (!protocol::is_final(info.status)) active.push_back(info);
  session.print("");
  if (active.empty())
    session.print("Nothing runs on this machine.");
  else
    session.print_table(held_rows(active, session.environment().now()));
  if (const std::size_t ended = found.held.size() - active.size(); ended > 0)
    session.print(fmt::format("{} ended and kept for their orchestrators; see `nunet allocation list`", ended));
}

void print_deployments(Session& session, const Overview& found) {
  session.print("");
  if (found.deployments.empty()) {
    session.print("There are no deployments.");
    return;
  }
  const std::size_t shown = std::min(found.deployments.size(), kShownDeployments);
  session.print_table(listed_rows(std::span(found.deployments).first(shown)));
  if (const std::size_t more = found.deployments.size() - shown; more > 0)
    session.print(fmt::format("{} older ones; see `nunet deployment list`", more));
}

Result<void> status(Session& session, const Arguments& arguments) {
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(const Overview found, ask(client));
  if (arguments.has("json")) {
    json::Array peers;
    for (const std::string& peer : found.peers) peers.emplace_back(peer);
    const json::Object all{{"node", json::to_value(found.node)},
                           {"peers", std::move(peers)},
                           {"allocations", held_json(found.held)},
                           {"deployments", listed_json(found.deployments)}};
    session.print_json(json::write_pretty(all));
    return {};
  }
  print_node(session, found);
  print_held(session, found);
  print_deployments(session, found);
  return {};
}

}  // namespace

Command status_command() {
  return {.name = "status",
          .summary = "Show the node, what runs on it, and its deployments",
          .detail =
              "The node's identity and peers, the share of the machine that it offers and what of that is free, the\n"
              "allocations that run there, for whomever, and the newest deployments of its user.",
          .examples = {"nunet status"},
          .options = {context_option(), json_option()},
          .action = status};
}

}  // namespace dms::cli
