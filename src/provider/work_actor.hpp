// The actor of the work of an allocation: the identity by which a job calls nodes and its siblings on other machines,
// and is called by them. What the work writes reaches it through work_socket.hpp.
//
// Model
//  1. Its key is derived from that of the allocation's actor, so it is the same after each restart, and its DID is that
//     key. Its capability context is its own and holds no power of this node: it sends only by what the orchestrator
//     has delegated to it (protocol/work.hpp), and accepts, at the behaviours that the work registers, only what the
//     orchestrator has signed or delegated for its ensemble.
//  2. The work names behaviours and topics below protocol::kWorkPrefix; on the network they are below
//     protocol::work_namespace(). Other behaviours are named as they are.
//  3. Whom a call goes to, and its delegations, are asked of the orchestrator, by the allocation's actor, and kept for
//     kTargetKnown. While the orchestrator cannot be reached what is known goes on being used until it expires; what it
//     refuses is not. What cannot be sent to where a sibling was known to be is looked up anew at once, and sent to
//     where that one is by now. After a call without a reply in time the next one is looked up anew.
//  4. A call that no delegation covers is refused here at once, as its receiver would not answer.
//  5. A broadcast reaches the work on other machines that has registered its behaviour with its topic. The network does
//     not deliver it on this machine: siblings here get a message each.
//  6. A message to a host whose clock is known to be ahead expires later by that (actor.hpp, 9), but not after its
//     delegations. The work waits no longer for the reply.
//
// Threads: the node's lane. Cost: a context and one signature check for each delegation when a target is looked up.
// Attacks: an orchestrator can have this node dial protocol::kMaxCalledAddresses addresses for each name that the work
// calls; each costs its host a handshake that fails. The work is an untrusted program. It cannot choose what is signed
// but the name of the behaviour, the payload and the receiver, and nothing is signed with another key than its own. The
// orchestrator is asked once at a time, at most every kAskPause. Targets, behaviours and topics are bounded.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "actor/actor.hpp"
#include "protocol/work.hpp"
#include "provider/work_messages.hpp"
#include "runtime/mutex.hpp"

namespace dms::provider {

inline constexpr Duration kTargetKnown = 30s;
inline constexpr Duration kAskPause = 100ms;
inline constexpr std::size_t kMaxTargets = 64;
inline constexpr std::size_t kMaxWorkBehaviours = 64;

/// How the actor of an allocation's work is reached. `allocation`: the actor of the allocation.
[[nodiscard]] Result<actor::Handle> work_handle(actor::Actor& allocation);

class WorkActor {
 public:
  struct Parts {
    actor::Actor& allocation;
    actor::Handle orchestrator;
    std::string allocation_id;
    /// The actors of siblings on this machine that have registered a behaviour with a topic, both as the work names
    /// them.
    std::function<std::vector<actor::Handle>(const std::string& behaviour, const std::string& topic)> siblings_here;
  };
  using OnCall = std::function<Task<void>(actor::Envelope)>;

  static Result<std::unique_ptr<WorkActor>> start(Parts parts);

  [[nodiscard]] const actor::Handle& handle() const { return actor_->handle(); }
  /// What `whoami` answers.
  [[nodiscard]] json::Value identity() const;

  /// The payload of the reply.
  Task<Result<json::Value>> invoke(WorkRequest request);
  Task<Result<void>> send(WorkRequest request);
  Task<Result<void>> publish(WorkRequest request);

  /// `behaviour` and `topic` (which may be empty) as the work names them; both are checked names. Errc::already_exists,
  /// Errc::limit_exceeded.
  Result<void> offer(const std::string& behaviour, const std::string& topic, OnCall on_call);
  void withdraw(const std::string& behaviour);
  [[nodiscard]] bool offers(const std::string& behaviour, const std::string& topic) const {
    const auto found = offered_.find(behaviour);
    return found != offered_.end() && found->second == topic;
  }
  Task<Result<void>> reply(const actor::Envelope& call, const json::Value& payload);

  /// Before the destructor.
  Task<void> stop() { return actor_->stop(); }

 private:
  struct Target {
    actor::Handle handle;                              ///< empty: for broadcasts
    std::shared_ptr<actor::SecurityContext> security;  ///< of this actor, with the delegations for this target
    ucan::Capabilities allowed;
    UnixTime expires;
    SteadyTime asked{};
  };
  using TargetPtr = std::shared_ptr<Target>;

  explicit WorkActor(Parts parts);
  Task<Result<TargetPtr>> find(std::string to);
  [[nodiscard]] TargetPtr known(const std::string& to, Duration age) const;
  /// A call of it has failed: the orchestrator is asked again, and what is known is used if that does not answer.
  void doubt(const std::string& to);
  Task<Result<TargetPtr>> look_up(std::string to);
  Result<TargetPtr> make_target(const protocol::WorkGrantReply& reply, const did::Did& node) const;
  /// `sibling`: it goes to that one alone, also if it is a broadcast.
  Task<Result<actor::Envelope>> prepare(WorkRequest request, bool awaits_reply, actor::Handle sibling);
  /// After a call that has failed: prepared anew, if nothing of it was sent to `before` and its receiver is elsewhere now.
  Task<Result<actor::Envelope>> redirect(WorkRequest request, bool awaits_reply, SteadyTime until, actor::Handle before,
                                         Error why);
  [[nodiscard]] Result<ucan::Capability> covered(const Target& target, const std::string& behaviour) const;
  [[nodiscard]] std::string on_network(const std::string& name) const;

  Parts parts_;
  std::string ensemble_;
  std::unique_ptr<actor::Actor> actor_;
  std::map<std::string, TargetPtr> targets_;  ///< by what the work names them
  Mutex asking_;
  SteadyTime next_ask_{};
  std::map<std::string, std::string> offered_;  ///< the topic of each behaviour, as the work names them
};

}  // namespace dms::provider
