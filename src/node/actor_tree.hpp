// The behaviour by which a node shows the hierarchy of its actors (protocol/actor_tree.hpp).
//
// Model: which actors there are, and who has made and who supervises each, is what their registry has: what is left of
// a deployment or an allocation by mistake is shown, too. The two roles of the node add what they know of theirs. A
// page has protocol::kMaxView bytes at most, or one actor, and its order, that of the inboxes, is stable.
//
// Threads: the node's lane. Cost of a page: linear in the number of actors, and in the allocations of the deployments
// on it. Attacks: what strangers have written (reasons, ids) is passed on as it is; whoever shows it escapes it.
#pragma once

#include <functional>

#include "actor/actor.hpp"
#include "protocol/actor_tree.hpp"

namespace dms::node {

class ActorTree {
 public:
  /// Adds what is known of an actor.
  using Describe = std::function<void(protocol::ActorInfo&)>;
  ActorTree(actor::Actor& root, Describe describe) : root_(root), describe_(std::move(describe)) {}
  Result<void> start();

 private:
  Task<protocol::ActorTreeReply> tree(protocol::ActorTreeRequest request, const actor::Envelope&);
  [[nodiscard]] protocol::ActorInfo info(const actor::Registry::Info& known) const;

  actor::Actor& root_;
  Describe describe_;
};

}  // namespace dms::node
