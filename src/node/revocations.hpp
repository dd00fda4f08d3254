// Revocations spread from node to node, so that a revoked token is refused everywhere.
//
// Model
//  1. A revocation proves itself: its issuer has signed it. So it is taken from anybody, without tokens. Which are
//     kept, and how many, is decided by ucan::CapabilityContext::learn(): a node keeps those that concern its anchors
//     and tokens.
//  2. What a node keeps takes effect at once and is written to its capability file. Nothing else is stored or
//     remembered.
//  3. `/dms/cap/broadcast` anchors the revocations in the request, if any, and publishes those, or all that the node
//     has.
//  4. While a node has revocations it publishes them again, each until it expires with the token that it revokes: once
//     in an interval of kRepublish, at a random time of its second half, those that it has not heard from others in
//     this interval. So a network publishes each about once an interval, however many nodes have it (RFC 6206, without
//     its growth).
//  5. A node that gets its first connection, or whose anchors change, asks up to kAsked peers directly, by a message
//     without revocations, and gets directly those that they have: within kLookForPeers. So one that was offline, or
//     that did not keep what concerns it now, learns soon if a peer knows, else within kRepublish.
//  6. Gossip forwards each message once, whether or not a node keeps what is in it (libp2p/protocols/gossipsub).
//
// Threads: the node's lane. Its tasks are the root actor's, and end with it. Cost: without revocations a look at the
// peers and the anchors every half minute.
//
// Attacks. A message costs at most kMaxRevocations comparisons with the anchors, and signature checks only for what
// claims a delegation by a named DID, up to the first wrong one; the rate limit of its sender applies. What is kept is
// bounded by the DID that is accountable. Asking is answered once in kAnswerPause to one peer and to kMaxAnswered peers
// in all, and only to the peer itself. Revocations are public: who asks sees the DIDs and capabilities of revoked
// tokens.
#pragma once

#include <map>
#include <set>

#include "actor/actor.hpp"
#include "node/capability_file.hpp"
#include "protocol/node.hpp"

namespace dms::node {

inline constexpr Duration kRepublish = 10min;
inline constexpr Duration kLookForPeers = 30s;
inline constexpr std::size_t kAsked = 4;
inline constexpr Duration kAnswerPause = 10s;
inline constexpr std::size_t kMaxAnswered = 64;
/// Of the revocations in one message.
inline constexpr std::size_t kMaxRevocationsText = 256 << 10;

class Revocations {
 public:
  /// Both outlive this, and this the root actor's tasks.
  Revocations(actor::Actor& root, CapabilityFile& file) : root_(root), file_(file) {}
  Result<void> start();

 private:
  using Request = const actor::Envelope&;
  Task<protocol::CapBroadcastReply> broadcast(protocol::CapBroadcastRequest request, Request);
  Task<protocol::Nothing> receive(protocol::RevocationsMessage message, Request request);
  Task<Result<void>> publish(ucan::TokenList revocations);
  Task<void> republish();
  Task<void> look_for_peers();
  void ask(std::vector<crypto::PeerId> peers);
  [[nodiscard]] bool may_answer(const std::string& host);
  Task<void> tell(actor::Handle to, ucan::TokenList revocations);

  actor::Actor& root_;
  CapabilityFile& file_;
  std::set<std::string> heard_;  ///< revocations of this node that others have published in this interval
  std::map<std::string, SteadyTime> answered_;  ///< by host
};

}  // namespace dms::node
