// Publish/subscribe in gossipsub's wire format: messages signed by their author reach every subscriber once.
//
// Model
//  1. The mesh is plain: a node forwards a message to every connected peer that subscribes to its topic, except the
//     peer that it came from and its author. It grafts itself to all those peers so that other routers forward to it as
//     a mesh member, respects a PRUNE's backoff, and asks for announced messages (IHAVE) that it has not seen.
//  2. Every message is signed by its author over "libp2p-pubsub:" and its fields (strict signing): author, sequence
//     number and signature must be there and valid, else it is dropped and its forwarder blamed. A message is named by
//     author and sequence number; within seen_time it is accepted only once.
//  3. All validators of a topic check a message, in the order of subscription; the first that does not accept decides.
//     Only accepted messages are handed to handlers and forwarded. reject also blames the forwarder, ignore does not.
//     Validator and handler of one subscription share Message::validated, so that what the validator has decoded is not
//     decoded again.
//  4. What this node publishes is not handed to its own handlers.
//
// Threads: the swarm's lane. Validators and handlers run from the lane's loop and must not block; they may subscribe,
// unsubscribe and publish.
//
// Bounds: each peer has an outbound queue of max_queue_bytes; what does not fit is dropped and counted. The seen cache
// holds max_seen ids; beyond that the oldest go early. RPCs above max_rpc end the stream. Inbound, each peer has a
// budget of bytes and of signature checks (peer_budgets.hpp), which is charged before a signature is checked and to the
// peer that forwarded the message, whoever its author claims to be: bytes above the budget delay further reading,
// signatures above it are dropped unchecked and not marked as seen, so another peer can still deliver the message.
//
// Attacks: forged or altered messages fail the signature; replays fail the seen cache within its time, and beyond it
// the receiver's own replay filter. Flooding with topics, announcements or ids is cut off at the limits below. A
// peer blamed max_blame times (one is forgiven every ten heartbeats) is banned for ban_time, also across reconnects.
//
// Specification: libp2p pubsub and gossipsub 1.0 and 1.1 (without scoring, heartbeat gossip and peer exchange).
#pragma once

#include <any>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.hpp"
#include "libp2p/protocols/gossipsub/peer_budgets.hpp"
#include "libp2p/protocols/gossipsub/rpc.hpp"
#include "libp2p/swarm/protocol_host.hpp"
#include "runtime/nursery.hpp"

namespace dms::libp2p {

/// What a validator decides about a message.
enum class MessageAcceptance { accept, reject, ignore };
enum class SubscriptionId : std::uint64_t {};

struct PubSubOptions {
  std::size_t max_message = std::size_t{1} << 20;        ///< payload of one message
  std::size_t max_rpc = (std::size_t{1} << 20) + 65536;  ///< one RPC, several messages and control
  std::size_t max_queue_bytes = std::size_t{4} << 20;    ///< waiting for one peer
  std::size_t max_seen = 100'000;
  Duration seen_time = 2min;
  std::size_t max_topics_per_peer = 1024;
  std::size_t max_iwant = 256;  ///< ids asked for in one RPC
  PeerBudgetOptions budget;
  Duration prune_backoff = 1min;
  Duration heartbeat = 1s;  ///< housekeeping: seen cache, grafts that may be tried again
};

class PubSub {
 public:
  /// One subscription's view of a message.
  struct Message {
    crypto::PeerId author;
    BytesView data;      ///< valid during the call
    std::any validated;  ///< what the validator passes to the handler of its subscription
  };
  using Validator = std::function<MessageAcceptance(Message&)>;
  using Handler = std::function<void(Message&)>;

  enum class Outcome : std::uint8_t {
    accepted,
    duplicate,
    over_budget,  ///< the forwarder's signature checks are used up
    rejected,     ///< bad signature or form, or a validator's reject
    ignored,      ///< a validator's ignore
  };
  static constexpr std::size_t kOutcomes = 5;
  struct Metrics {
    metrics::CounterArray<Outcome, kOutcomes> received;
    metrics::Counter published;
    metrics::Counter delivered;
    metrics::Counter forwarded;  ///< copies
    metrics::Counter dropped;    ///< a peer's queue was full
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
  [[nodiscard]] const Metrics& metrics() const;
  void register_metrics(metrics::Registry& registry);

  /// Before the swarm's close().
  Task<void> close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

[[nodiscard]] std::string_view to_string(PubSub::Outcome outcome);

}  // namespace dms::libp2p
