// The node actor: one machine on the network, and its behaviours.
//
// Its parts: NodeBehaviours (what a node reports of itself), ActorTree (its actors), Revocations (of tokens, between
// nodes), provider::Provider (bids, reservations, allocations), orchestrator::Deployments (what this node deploys for
// its user).
// protocol/serve.hpp says how a behaviour is registered.
//
// Threads: the lane of its runtime. stop() ends everything in order: new work is refused, deployments keep running
// without supervision, allocations are released, the root actor stops. It must have ended before the node is destroyed.
#pragma once

#include "node/actor_tree.hpp"
#include "node/node_behaviours.hpp"
#include "node/revocations.hpp"
#include "node/services.hpp"
#include "orchestrator/deployment/deployments.hpp"
#include "provider/provider.hpp"
#include "transfer/server.hpp"

namespace dms::node {

class Node {
 public:
  /// `identity` is the key of the peer id; `capabilities` the context of its DID.
  static Task<Result<std::unique_ptr<Node>>> start(Services services, crypto::PrivateKey identity,
                                                   std::shared_ptr<ucan::CapabilityContext> capabilities,
                                                   Options options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] actor::Actor& root() { return *root_; }
  [[nodiscard]] provider::Provider& provider() { return provider_; }
  [[nodiscard]] transfer::Server& transfers() { return transfers_; }
  [[nodiscard]] const orchestrator::Deployments& deployments() const { return deployments_; }
  /// The peers that may hold something of this node's deployments, and those whose allocations are here; without this
  /// node.
  [[nodiscard]] std::set<crypto::PeerId> partners() const;
  Task<void> stop();

 private:
  Node(Services services, std::unique_ptr<actor::System> system, std::unique_ptr<actor::Actor> root, Options options);

  Services services_;
  Options options_;
  std::unique_ptr<actor::System> system_;
  std::unique_ptr<actor::Actor> root_;
  CapabilityFile capabilities_;
  transfer::Server transfers_;
  NodeBehaviours behaviours_;
  Revocations revocations_;
  provider::Provider provider_;
  orchestrator::Deployments deployments_;
  ActorTree actors_;
};

}  // namespace dms::node
