// nunet actor tree: the actors of the local node, by who has made them, and whom they supervise.
#include "protocol/actor_tree.hpp"

#include "cli/commands/allocation.hpp"
#include "cli/commands/deployment.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

using protocol::ActorInfo;
using protocol::Supervised;

/// All pages.
Result<std::vector<ActorInfo>> list_actors(Client& client, std::string deployment) {
  std::vector<ActorInfo> all;
  protocol::ActorTreeRequest request;
  request.deployment = std::move(deployment);
  const auto take = [&](protocol::ActorTreeReply reply) {
    for (ActorInfo& info : reply.actors) all.push_back(std::move(info));
  };
  TRY_VOID(list_pages(client, protocol::kActorTree, std::move(request), "actors", take));
  return all;
}

const std::string& inbox_of(const ActorInfo& actor) { return actor.handle.address.inbox; }

/// Rounded up.
std::string time_text(std::int64_t nanos) {
  const Duration time(nanos);
  if (time % 1h == 0h) return fmt::format("{} h", time / 1h);
  if (time % 1min == 0min) return fmt::format("{} min", time / 1min);
  return fmt::format("{} s", std::chrono::ceil<std::chrono::seconds>(time).count());
}

class TreeText {
 public:
  TreeText(Session& session, const std::vector<ActorInfo>& actors) : session_(session) {
    for (const ActorInfo& actor : actors) children_[actor.parent].push_back(&actor);
    for (auto& [parent, actors_of] : children_) std::ranges::stable_sort(actors_of, {}, kind_of);
  }

  void print() { print_below("", 0); }

 private:
  static int kind_of(const ActorInfo* actor) { return actor->deployment ? 0 : actor->allocation ? 1 : 2; }

  void line(std::size_t depth, std::string_view text) { session_.print(fmt::format("{:{}}{}", "", 2 * depth, text)); }

  void print_below(const std::string& parent, std::size_t depth) {
    const auto found = children_.extract(parent);
    if (found.empty()) return;
    for (const ActorInfo* actor : found.mapped()) {
      if (actor->parent.empty()) host_ = actor->handle.address.host;
      if (actor->deployment)
        print_deployment(*actor, depth);
      else if (actor->allocation)
        line(depth, allocation_text(*actor));
      else if (actor->parent.empty())
        line(depth, fmt::format("{}: the node {}, {}", inbox_of(*actor), host_, actor->handle.did.uri()));
      else
        line(depth, fmt::format("actor {}", inbox_of(*actor)));
      print_below(inbox_of(*actor), depth + 1);
    }
  }

  void print_deployment(const ActorInfo& actor, std::size_t depth) {
    const protocol::DeploymentActor& deployment = *actor.deployment;
    const std::string name = deployment.name.empty() ? "" : fmt::format(" ({})", deployment.name);
    std::string text =
        fmt::format("deployment {}{}: {}", inbox_of(actor), name, with_reason(deployment.status, deployment.reason));
    if (!deployment.supervision.strategy.empty()) text += ", " + supervisor_text(deployment.supervision);
    line(depth, text);
    for (const Supervised& child : deployment.supervision.children) print_supervised(child, depth + 1);
    if (!deployment.error.empty()) line(depth + 1, deployment.error);
  }

  void print_supervised(const Supervised& supervised, std::size_t depth) {
    const bool is_supervisor = !supervised.strategy.empty();
    line(depth,
         fmt::format("{}: {}", supervised.name, is_supervisor ? supervisor_text(supervised) : work_text(supervised)));
    for (const Supervised& child : supervised.children) print_supervised(child, depth + 1);
  }

  static std::string supervisor_text(const Supervised& supervisor) {
    std::string text = supervisor.strategy;
    if (!supervisor.phase.empty()) text += ", " + supervisor.phase;
    text += supervisor.intensity == 0 ? ", gives up at the first failure"
                                      : fmt::format(", {} of {} restarts in {}", supervisor.recent,
                                                    supervisor.intensity, time_text(supervisor.period_ns));
    if (supervisor.restarts > 0) text += ", " + times_text("started again", supervisor.restarts);
    if (supervisor.pause_ns) text += fmt::format(", starts again in {}", time_text(*supervisor.pause_ns));
    if (!supervisor.last.empty()) text += fmt::format(", last ended: {}", supervisor.last);
    return text;
  }

  /// Of an allocation at its orchestrator.
  static std::string work_text(const Supervised& work) {
    std::string text = work.restart.empty() ? "" : work.restart + ", ";
    if (work.escalates) text += "escalates, ";
    text += work.allocation ? describe(*work.allocation) : "has no machine yet";
    if (work.pause_ns)
      text += fmt::format(", starts again in {}", time_text(*work.pause_ns));
    else if (work.phase == "waiting")
      text += ", waits for its turn";
    // The reason of its state may tell it already.
    if (!work.last.empty() && text.find(work.last) == std::string::npos)
      text += fmt::format(", last ended: {}", work.last);
    return text;
  }

  /// Of an allocation on this machine.
  [[nodiscard]] std::string allocation_text(const ActorInfo& actor) const {
    const protocol::AllocationInfo& held = *actor.allocation;
    std::string text = fmt::format("allocation {}: {}", name_of(held), to_string(held.status));
    if (held.being_ended) text += ", being ended";
    if (held.restarts > 0) text += ", " + times_text("restarted", held.restarts);
    text += ", for " + held.orchestrator;
    if (actor.supervisor) {
      const actor::Address& by = actor.supervisor->address;
      text += fmt::format(", supervised by {} {}", by.inbox, by.host == host_ ? "here" : "on " + by.host);
    }
    if (!held.reason.empty()) text += ", " + held.reason;
    return text;
  }

  Session& session_;
  /// By their parents' inboxes; that of the root is "".
  std::map<std::string, std::vector<const ActorInfo*>> children_;
  std::string host_;  ///< of the node
};

/// An object with the actors by their inboxes.
json::Object actors_json(const std::vector<ActorInfo>& actors) {
  json::Object list;
  for (const ActorInfo& actor : actors) list[inbox_of(actor)] = json::to_value(actor);
  return list;
}

Result<void> actor_tree(Session& session, const Arguments& arguments) {
  std::string deployment = arguments.get("deployment", "");
  if (arguments.has("deployment") && deployment.empty())
    return fail(Errc::usage, "--deployment: the id is empty; `nunet deployment list` shows the ids");
  TRY(auto client, Client::open(session, context_name(arguments)));
  if (!deployment.empty()) {
    TRY(deployment, full_id(client, std::move(deployment)));
  }
  TRY(const auto actors, list_actors(client, std::move(deployment)));
  if (arguments.has("json"))
    session.print_json(json::write_pretty(actors_json(actors)));
  else
    TreeText(session, actors).print();
  return {};
}

}  // namespace

Command actor_tree_command() {
  return {.name = "tree",
          .summary = "Show the actors of the node, with their states and restarts",
          .detail =
              "Below the node's own actor: those of its user's deployments, each with its supervisors, their "
              "strategies and\n"
              "restarts, and its allocations, with the machines that they are on; and those of the allocations on this "
              "machine,\n"
              "with whose they are and which deployment supervises them. A deployment that has ended has none.",
          .examples = {"nunet actor tree", "nunet actor tree --deployment 4f2a... --json"},
          .options = {context_option(),
                      {.name = "deployment",
                       .value = "id",
                       .help = "only this deployment: its id, or the first 4 characters or more",
                       .known = Known::deployments},
                      json_option()},
          .action = actor_tree};
}

}  // namespace dms::cli
