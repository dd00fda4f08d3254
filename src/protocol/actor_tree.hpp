// The hierarchy of the actors of a node, for whoever may see it: the node's root actor, and below it those of its
// deployments, with what they supervise on other machines, and of the allocations on its machine, with who supervises
// them. Not in DMS 0.5.x.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "protocol/deployment.hpp"
#include "protocol/node.hpp"

namespace dms::protocol {

/// A supervisor of a deployment with what is below it, or an allocation, as the orchestrator knows it.
struct Supervised {
  std::string name;  ///< of an allocation; of a supervisor its id (jobs/ensemble/supervision.hpp), of the root empty
  std::string strategy;    ///< of a supervisor: one_for_one, ...; of a root that is none, empty: its children stay down
  std::string restart;     ///< of an allocation with a supervisor: permanent, transient or temporary
  bool escalates = false;  ///< an allocation whose failure is that of its supervisor, which stops all it has
  std::string phase;       ///< of its supervision: waiting, running, ...; empty before that has begun, and without one
  std::uint64_t restarts = 0;                 ///< by its supervisor, those for others of it included
  std::uint32_t recent = 0;                   ///< of a supervisor: restarts of its children that still count
  std::uint32_t intensity = 0;                ///< of a supervisor: with more of them it gives up
  std::int64_t period_ns = 0;                 ///< of a supervisor: how long a restart counts
  std::optional<std::int64_t> pause_ns;       ///< until it is started again
  std::string last;                           ///< why it last ended
  std::optional<AllocationState> allocation;  ///< of an allocation that has been placed; its `strategy` is empty
  std::vector<Supervised> children;           ///< in the order of their starts
  static constexpr auto json_fields() {
    using S = Supervised;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("name", &S::name), json::field("strategy", &S::strategy, omit),
                      json::field("restart", &S::restart, omit), json::field("escalates", &S::escalates, omit),
                      json::field("phase", &S::phase, omit), json::field("restarts", &S::restarts, omit),
                      json::field("recent_restarts", &S::recent, omit),
                      json::field("max_restarts", &S::intensity, omit), json::field("period", &S::period_ns, omit),
                      json::field("starts_in", &S::pause_ns, omit), json::field("last", &S::last, omit),
                      json::field("allocation", &S::allocation, omit), json::field("children", &S::children, omit));
  }
};

/// `error` and `reason` are those of DeploymentStatusReply.
struct DeploymentActor {
  std::string status;
  std::string error;
  std::string reason;
  std::string name;  ///< as in DeploymentSummary
  Supervised supervision;
  static constexpr auto json_fields() {
    using D = DeploymentActor;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("status", &D::status), json::field("error", &D::error, omit),
                      json::field("reason", &D::reason, omit), json::field("name", &D::name, omit),
                      json::field("supervision", &D::supervision));
  }
};

/// One that is neither of a deployment nor of an allocation is the root, or of an auction that is under way.
struct ActorInfo {
  actor::Handle handle;
  std::string parent;                         ///< inbox of the actor that has made it; of the root empty
  std::optional<actor::Handle> supervisor;    ///< of an allocation: its deployment's actor, on whichever machine
  std::optional<DeploymentActor> deployment;  ///< of this node's user
  std::optional<AllocationInfo> allocation;   ///< on this machine, of whomever
  static constexpr auto json_fields() {
    using A = ActorInfo;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("handle", &A::handle), json::field("parent", &A::parent, omit),
                      json::field("supervisor", &A::supervisor, omit), json::field("deployment", &A::deployment, omit),
                      json::field("allocation", &A::allocation, omit));
  }
};

struct ActorTreeRequest {
  std::string deployment;  ///< its id: only the root, its actor and its allocations on this machine; empty: all
  std::string after;       ///< `next` of the reply before
  static constexpr std::array<std::string_view, 0> kAlsoKnown{};
  static constexpr auto json_fields() {
    return std::tuple(json::field("Deployment", &ActorTreeRequest::deployment, json::omit_empty),
                      json::field("After", &ActorTreeRequest::after, json::omit_empty));
  }
};
struct ActorTreeReply {
  std::vector<ActorInfo> actors;  ///< the root, which is on the first page only, then in the order of their inboxes
  std::string next;               ///< not empty if there are more
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("actors", &ActorTreeReply::actors),
                      json::field("next", &ActorTreeReply::next, json::omit_empty),
                      json::field("error", &ActorTreeReply::error, json::omit_empty));
  }
};

inline constexpr std::array kActorTreeParameters{
    Parameter{
        .name = "deployment", .member = "Deployment", .value = "id", .help = "only the actors of this deployment"},
    Parameter{.name = "after", .member = "After", .value = "next", .help = "go on behind a page, with its `next`"}};
inline constexpr Behaviour<ActorTreeRequest, ActorTreeReply> kActorTree{
    {.path = "/dms/node/actors/tree",
     .help = "Show the actors of a node, and whom they supervise",
     .offered = Offered::command_line,
     .parameters = kActorTreeParameters}};

}  // namespace dms::protocol
