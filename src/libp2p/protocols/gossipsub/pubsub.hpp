// Publish/subscribe in gossipsub's wire format: messages signed by their author reach every subscriber once.
//
// Model
//  1. The mesh is plain: a node passes a message on to every connected peer that subscribes to its topic, except the
//     one it came from and its author. It grafts itself to all those peers so that others' routers forward to it as a
//     mesh member, respects a PRUNE's backoff, and asks for announced messages (IHAVE) that it has not seen.
//  2. Every message is signed by its author over "libp2p-pubsub:" and its fields (strict signing): author, sequence
//     number and signature must be there and right, else it is dropped and its sender blamed. A message is known by
//     author and sequence number; within kSeenTime it is taken only once.
//  3. All validators of a topic judge a message, in the order of subscription; the first that does not accept decides.
//     Only accepted messages are handed to handlers and passed on. reject also blames the sender, ignore does not.
//  4. What this node publishes is not handed to its own handlers.
//
// Threads: the swarm's lane. Validators and handlers run from the lane's loop and must not block; they may subscribe,
// unsubscribe and publish.
//
// Bounds: each peer has an outbound queue of max_queue_bytes; what does not fit is dropped and counted. The seen cache
// holds max_seen ids; beyond that the oldest go early. RPCs above max_rpc end the stream.
//
// Attacks: forged or altered messages fail the signature; replays fall to the seen cache within its time, and beyond it
// to the receiver's own replay filter. Flooding with topics, announcements or ids is cut off at the limits below. A
// peer blamed max_blame times (one is forgiven every ten heartbeats) is not listened to any more while it stays
// connected.
//
// Specification: libp2p pubsub and gossipsub 1.0 and 1.1 (without scoring, heartbeat gossip and peer exchange).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "libp2p/protocols/gossipsub/rpc.hpp"
#include "libp2p/swarm/protocol_host.hpp"
#include "runtime/nursery.hpp"

namespace dms::libp2p {

/// What a validator says of a message.
enum class Verdict { accept, reject, ignore };
enum class SubscriptionId : std::uint64_t {};

struct PubSubOptions {
  std::size_t max_message = std::size_t{1} << 20;        ///< payload of one message
  std::size_t max_rpc = (std::size_t{1} << 20) + 65536;  ///< one RPC, several messages and control
  std::size_t max_queue_bytes = std::size_t{4} << 20;    ///< waiting for one peer
  std::size_t max_seen = 100'000;
  Duration seen_time = 2min;
  std::size_t max_topics_per_peer = 1024;
  std::size_t max_iwant = 256;  ///< ids asked for in one RPC
  std::size_t max_blame = 16;
  Duration prune_backoff = 1min;
  Duration heartbeat = 1s;  ///< housekeeping: seen cache, grafts that may be tried again
};

class PubSub {
 public:
  using Validator = std::function<Verdict(const crypto::PeerId& author, BytesView data)>;
  using Handler = std::function<void(const crypto::PeerId& author, Bytes data)>;

  struct Counters {
    std::uint64_t published = 0;
    std::uint64_t delivered = 0;
    std::uint64_t forwarded = 0;  ///< copies passed on
    std::uint64_t duplicate = 0;
    std::uint64_t rejected = 0;  ///< bad signature or form, or a validator's reject
    std::uint64_t ignored = 0;   ///< a validator's ignore
    std::uint64_t dropped = 0;   ///< a peer's queue was full
  };

  explicit PubSub(ProtocolHost& swarm, PubSubOptions options = {});
  PubSub(const PubSub&) = delete;
  PubSub& operator=(const PubSub&) = delete;
  ~PubSub();

  /// An empty validator accepts everything. Errc::invalid_argument for an empty or overlong topic, Errc::closed.
  Result<SubscriptionId> subscribe(std::string topic, Validator validator, Handler handler);
  /// Neither function of the subscription is called once this returns. Unknown ids are fine.
  void unsubscribe(SubscriptionId id);
  /// Signs and sends to every connected subscriber; done when it is queued. No subscription of one's own is needed.
  Result<void> publish(const std::string& topic, BytesView data);

  /// Connected peers that subscribe to the topic.
  [[nodiscard]] std::vector<crypto::PeerId> subscribers(const std::string& topic) const;
  [[nodiscard]] const Counters& counters() const;

  /// Before the swarm's close().
  Task<void> close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dms::libp2p
