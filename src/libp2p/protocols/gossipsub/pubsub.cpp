#include "libp2p/protocols/gossipsub/pubsub.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/varint.hpp"
#include "libp2p/protocols/gossipsub/seen_cache.hpp"
#include "runtime/delimited.hpp"

namespace dms::libp2p {
namespace {

constexpr std::array<std::string_view, 2> kProtocols = {"/meshsub/1.1.0", "/meshsub/1.0.0"};
constexpr std::size_t kMaxInboundStreams = 2;       // of one peer; the second while a first is being replaced
constexpr std::size_t kControlReserve = 64 * 1024;  // of a queue, for what is not a message
constexpr Duration kWriteTimeout = 60s;
constexpr Duration kMaxBackoff = 1h;
constexpr std::uint64_t kForgiveEvery = 10;  // heartbeats

using Frame = std::shared_ptr<const Bytes>;

Frame make_frame(const RpcBuilder& rpc) { return std::make_shared<const Bytes>(delimited(rpc.encode())); }

}  // namespace

struct PubSub::Impl {
  struct Subscription {
    std::string topic;
    Validator validator;
    Handler handler;
  };

  struct Peer {
    crypto::PeerId id;
    std::set<std::string, std::less<>> topics;               ///< it subscribes to
    std::set<std::string, std::less<>> grafted;              ///< this node has joined its mesh
    std::map<std::string, SteadyTime, std::less<>> backoff;  ///< no GRAFT before
    std::deque<Frame> queue;
    std::size_t queued_bytes = 0;
    std::size_t inbound = 0;
    std::size_t requested = 0;  ///< message ids, since the last heartbeat
    bool unsupported = false;   ///< it does not support the protocol
    bool gone = false;
    Notify wake;
  };
  using PeerPtr = std::shared_ptr<Peer>;

  Impl(ProtocolHost& s, PubSubOptions opts);

  // Peers and their streams.
  void add_peer(const crypto::PeerId& id);
  void remove_peer(const crypto::PeerId& id);
  Task<void> write_loop(PeerPtr peer);
  Task<Result<void>> write_stream(PeerPtr peer);
  Task<void> accept(std::unique_ptr<Stream> stream);
  Task<void> read_loop(PeerPtr peer, std::unique_ptr<Stream> stream);
  Task<void> heartbeat_loop();

  /// A message on its way to one subscription.
  struct Delivery {
    SubscriptionId id;
    Message message;
  };
  // What arrives.
  Result<void> on_rpc(Peer& peer, BytesView bytes);
  void on_subscription(Peer& peer, const RpcView::Subscription& subscription);
  void on_message(Peer& peer, const MessageView& message);
  void on_graft(Peer& peer, std::string_view topic);
  void on_prune(Peer& peer, const RpcView::Prune& prune);
  void on_ihave(Peer& peer, const RpcView::IHave& ihave);
  Outcome receive(Peer& peer, const MessageView& message);
  MessageAcceptance validate(std::vector<Delivery>& deliveries);
  void deliver(std::vector<Delivery>& deliveries);

  // What leaves.
  void send(Peer& peer, const Frame& frame, bool control);
  std::size_t flood(std::string_view topic, BytesView message, const crypto::PeerId& author, const Peer* except);
  void announce(const std::string& topic, bool subscribe);
  void graft(Peer& peer, const std::string& topic);
  [[nodiscard]] std::shared_ptr<Subscription> find(SubscriptionId id) const;
  [[nodiscard]] std::vector<Delivery> deliveries(const std::string& topic, const crypto::PeerId& author,
                                                 BytesView data) const;

  ProtocolHost& swarm;
  PubSubOptions options;
  Lane& lane;
  Metrics metrics;
  SeenCache seen;
  PeerBudgets budgets;
  std::map<crypto::PeerId, PeerPtr> peers;
  std::map<SubscriptionId, std::shared_ptr<Subscription>> subscriptions;
  std::map<std::string, std::set<SubscriptionId>, std::less<>> topics;
  std::uint64_t last_subscription = 0;
  std::uint64_t seqno;
  bool closed = false;
  NotificationId connected;
  NotificationId disconnected;
  Nursery nursery;
  metrics::Group metrics_group;
};

PubSub::Impl::Impl(ProtocolHost& s, PubSubOptions opts)
    : swarm(s),
      options(opts),
      lane(s.runtime().lane),
      seen(opts.seen_time, opts.max_seen),
      budgets(opts.budget),
      // Beginning with the time keeps numbers rising over restarts.
      seqno(lane.unix_now().nanos),
      nursery(lane, "libp2p pubsub") {
  for (std::string_view protocol : kProtocols)
    swarm.set_stream_handler(std::string(protocol),
                             [this](std::unique_ptr<Stream> stream) { return accept(std::move(stream)); });
  connected = swarm.on_peer_connected([this](const crypto::PeerId& id) { add_peer(id); });
  disconnected = swarm.on_peer_disconnected([this](const crypto::PeerId& id) { remove_peer(id); });
  for (const crypto::PeerId& id : swarm.peers()) add_peer(id);
  nursery.spawn(heartbeat_loop());
}

PubSub::PubSub(ProtocolHost& swarm, PubSubOptions options) : impl_(std::make_unique<Impl>(swarm, options)) {}
PubSub::~PubSub() = default;

std::string_view to_string(PubSub::Outcome outcome) {
  switch (outcome) {
    case PubSub::Outcome::accepted: return "accepted";
    case PubSub::Outcome::duplicate: return "duplicate";
    case PubSub::Outcome::over_budget: return "over budget";
    case PubSub::Outcome::rejected: return "rejected";
    case PubSub::Outcome::ignored: break;
  }
  return "ignored";
}

const PubSub::Metrics& PubSub::metrics() const { return impl_->metrics; }

void PubSub::register_metrics(metrics::Registry& registry) {
  Impl& self = *impl_;
  self.metrics_group.in(registry)
      .counters("nunet_libp2p_pubsub_received_total", "Pubsub messages received, by outcome.", "outcome",
                self.metrics.received)
      .counter("nunet_libp2p_pubsub_published_total", "Pubsub messages published by this node.", self.metrics.published)
      .counter("nunet_libp2p_pubsub_delivered_total", "Pubsub messages handed to subscriptions.",
               self.metrics.delivered)
      .counter("nunet_libp2p_pubsub_forwarded_total", "Copies of pubsub messages forwarded.", self.metrics.forwarded)
      .counter("nunet_libp2p_pubsub_dropped_total", "Outbound pubsub frames dropped because a peer's queue was full.",
               self.metrics.dropped)
      .gauge("nunet_libp2p_pubsub_queue_bytes", "Bytes queued for all peers.", [&self] {
        std::int64_t bytes = 0;
        for (const auto& [id, peer] : self.peers) bytes += static_cast<std::int64_t>(peer->queued_bytes);
        return bytes;
      });
}

std::vector<crypto::PeerId> PubSub::subscribers(const std::string& topic) const {
  std::vector<crypto::PeerId> out;
  for (const auto& [id, peer] : impl_->peers)
    if (peer->topics.contains(topic)) out.push_back(id);
  return out;
}

Task<void> PubSub::close() {
  impl_->closed = true;
  impl_->swarm.remove_notification(impl_->connected);
  impl_->swarm.remove_notification(impl_->disconnected);
  for (std::string_view protocol : kProtocols) impl_->swarm.remove_stream_handler(std::string(protocol));
  co_await impl_->nursery.close();
  impl_->peers.clear();
  impl_->subscriptions.clear();
  impl_->topics.clear();
}

// ---- subscribing and publishing -------------------------------------------------------------------------------------

Result<SubscriptionId> PubSub::subscribe(std::string topic, Validator validator, Handler handler) {
  if (impl_->closed) return fail(Errc::closed, "pubsub is closed");
  if (topic.empty() || topic.size() > kMaxTopic)
    return fail(Errc::invalid_argument, "a topic has 1 to {} bytes, this one {}", kMaxTopic, topic.size());
  const auto id = static_cast<SubscriptionId>(++impl_->last_subscription);
  auto subscription = std::make_shared<Impl::Subscription>();
  subscription->topic = topic;
  subscription->validator = std::move(validator);
  subscription->handler = std::move(handler);
  impl_->subscriptions.emplace(id, std::move(subscription));
  auto& ids = impl_->topics[topic];
  ids.insert(id);
  if (ids.size() == 1) impl_->announce(topic, true);
  return id;
}

void PubSub::unsubscribe(SubscriptionId id) {
  const auto it = impl_->subscriptions.find(id);
  if (it == impl_->subscriptions.end()) return;
  const std::string topic = it->second->topic;
  impl_->subscriptions.erase(it);
  const auto of_topic = impl_->topics.find(topic);
  of_topic->second.erase(id);
  if (!of_topic->second.empty()) return;
  impl_->topics.erase(of_topic);
  impl_->announce(topic, false);
}

Result<void> PubSub::publish(const std::string& topic, BytesView data) {
  if (impl_->closed) return fail(Errc::closed, "pubsub is closed");
  if (topic.empty() || topic.size() > kMaxTopic)
    return fail(Errc::invalid_argument, "a topic has 1 to {} bytes, this one {}", kMaxTopic, topic.size());
  if (data.size() > impl_->options.max_message)
    return fail(Errc::limit_exceeded, "a message of {} bytes; at most {} can be published", data.size(),
                impl_->options.max_message);
  TRY(Bytes message, sign_message(impl_->swarm.key(), ++impl_->seqno, topic, data));
  TRY(MessageView view, MessageView::decode(message));
  impl_->seen.insert(view.id(), impl_->lane.now());
  ++impl_->metrics.published;
  (void)impl_->flood(topic, message, impl_->swarm.self(), nullptr);
  return {};
}

std::size_t PubSub::Impl::flood(std::string_view topic, BytesView message, const crypto::PeerId& author,
                                const Peer* except) {
  Frame frame;
  std::size_t copies = 0;
  for (const auto& [id, peer] : peers) {
    if (peer.get() == except || id == author || !peer->topics.contains(topic)) continue;
    if (!frame) {
      RpcBuilder rpc;
      rpc.messages.push_back(message);
      frame = make_frame(rpc);
    }
    send(*peer, frame, false);
    ++copies;
  }
  return copies;
}

void PubSub::Impl::announce(const std::string& topic, bool subscribe) {
  RpcBuilder rpc;
  rpc.subscriptions.emplace_back(subscribe, topic);
  const Frame frame = make_frame(rpc);
  for (const auto& [id, peer] : peers) {
    send(*peer, frame, true);
    if (subscribe) graft(*peer, topic);
    // Leaving a topic also leaves its mesh; peers are informed by the announcement.
    if (!subscribe) peer->grafted.erase(topic);
  }
}

void PubSub::Impl::graft(Peer& peer, const std::string& topic) {
  if (!peer.topics.contains(topic) || peer.grafted.contains(topic)) return;
  if (const auto it = peer.backoff.find(topic); it != peer.backoff.end()) {
    if (lane.now() < it->second) return;
    peer.backoff.erase(it);
  }
  peer.grafted.insert(topic);
  RpcBuilder rpc;
  rpc.graft.push_back(topic);
  send(peer, make_frame(rpc), true);
}

void PubSub::Impl::send(Peer& peer, const Frame& frame, bool control) {
  if (peer.unsupported || peer.gone) return;
  if (peer.queued_bytes + frame->size() > options.max_queue_bytes + (control ? kControlReserve : 0)) {
    ++metrics.dropped;
    return;
  }
  peer.queued_bytes += frame->size();
  peer.queue.push_back(frame);
  peer.wake.notify_one();
}

// ---- peers and their streams ----------------------------------------------------------------------------------------

void PubSub::Impl::add_peer(const crypto::PeerId& id) {
  if (closed || peers.contains(id)) return;
  auto peer = std::make_shared<Peer>();
  peer->id = id;
  peers.emplace(id, peer);
  nursery.spawn(write_loop(std::move(peer)));
}

void PubSub::Impl::remove_peer(const crypto::PeerId& id) {
  const auto it = peers.find(id);
  if (it == peers.end()) return;
  it->second->gone = true;
  it->second->wake.notify_all();
  peers.erase(it);
}

/// Keeps an outbound stream to the peer for as long as it is connected and speaks the protocol.
Task<void> PubSub::Impl::write_loop(PeerPtr peer) {
  while (!peer->gone) {
    Result<void> written = co_await write_stream(peer);
    if (!written && written.error().is(Errc::unsupported)) break;
    if (peer->gone) break;
    Result<void> paused = co_await sleep_for(1s);
    if (!paused) break;
  }
  peer->unsupported = true;
  peer->queue.clear();
  peer->queued_bytes = 0;
}

Task<Result<void>> PubSub::Impl::write_stream(PeerPtr peer) {
  std::vector<std::string> protocols(kProtocols.begin(), kProtocols.end());
  CO_TRY(std::unique_ptr<Stream> stream, co_await swarm.new_stream_if_connected(peer->id, std::move(protocols)));
  RpcBuilder hello;
  for (const auto& [topic, ids] : topics) hello.subscriptions.emplace_back(true, topic);
  if (!hello.subscriptions.empty()) {
    const Frame frame = make_frame(hello);
    CO_TRY_VOID(co_await with_timeout(kWriteTimeout, stream->write(*frame)));
  }
  while (!peer->gone) {
    if (peer->queue.empty()) {
      CO_TRY_VOID(co_await peer->wake.wait());
      continue;
    }
    const Frame frame = std::move(peer->queue.front());
    peer->queue.pop_front();
    Result<void> written = co_await with_timeout(kWriteTimeout, stream->write(*frame));
    peer->queued_bytes -= std::min(peer->queued_bytes, frame->size());
    if (!written) co_return std::unexpected(written.error());
  }
  co_return Result<void>();
}

Task<void> PubSub::Impl::accept(std::unique_ptr<Stream> stream) {
  add_peer(stream->remote_peer());
  const auto it = peers.find(stream->remote_peer());
  if (it == peers.end()) co_return;
  PeerPtr peer = it->second;
  if (peer->inbound >= kMaxInboundStreams || budgets.banned(peer->id, lane.now())) co_return;
  ++peer->inbound;
  // Reading belongs to this nursery, so that close() ends it.
  nursery.spawn(read_loop(std::move(peer), std::move(stream)));
}

Task<void> PubSub::Impl::read_loop(PeerPtr peer, std::unique_ptr<Stream> stream) {
  while (!peer->gone && !budgets.banned(peer->id, lane.now())) {
    Result<Bytes> rpc = co_await read_delimited(*stream, options.max_rpc);
    if (!rpc) break;
    // Flow control passes the delay on to the peer.
    if (const Duration delay = budgets.take_bytes(peer->id, rpc->size(), lane.now()); delay > Duration{}) {
      Result<void> slept = co_await sleep_for(delay);
      if (!slept) break;
    }
    Result<void> read = on_rpc(*peer, *rpc);
    if (!read) {
      log::debug("libp2p", "pubsub RPC of {}: {}", peer->id.to_string(), read.error().to_string());
      budgets.blame(peer->id, lane.now());
      break;
    }
  }
  --peer->inbound;
}

Task<void> PubSub::Impl::heartbeat_loop() {
  for (std::uint64_t beat = 1;; ++beat) {
    Result<void> slept = co_await sleep_for(options.heartbeat);
    if (!slept) co_return;
    seen.expire(lane.now());
    if (beat % kForgiveEvery == 0) budgets.forgive(lane.now());
    budgets.tidy(lane.now());
    for (const auto& [id, peer] : peers) {
      peer->requested = 0;
      if (peer->backoff.empty()) continue;
      for (const auto& [topic, ids] : topics) graft(*peer, topic);
      std::erase_if(peer->backoff, [&](const auto& entry) { return lane.now() >= entry.second; });
    }
  }
}

// ---- what arrives ---------------------------------------------------------------------------------------------------

Result<void> PubSub::Impl::on_rpc(Peer& peer, BytesView bytes) {
  TRY(RpcView rpc, RpcView::decode(bytes));
  for (const auto& subscription : rpc.subscriptions) on_subscription(peer, subscription);
  for (const MessageView& message : rpc.messages) {
    if (budgets.banned(peer.id, lane.now())) return {};
    on_message(peer, message);
  }
  for (const auto& ihave : rpc.ihave) on_ihave(peer, ihave);
  for (std::string_view topic : rpc.graft) on_graft(peer, topic);
  for (const auto& prune : rpc.prune) on_prune(peer, prune);
  return {};
}

void PubSub::Impl::on_subscription(Peer& peer, const RpcView::Subscription& subscription) {
  const std::string topic(subscription.topic);
  if (!subscription.subscribe) {
    peer.topics.erase(topic);
    peer.grafted.erase(topic);
    return;
  }
  if (peer.topics.size() >= options.max_topics_per_peer) return;
  peer.topics.insert(topic);
  if (topics.contains(topic)) graft(peer, topic);
}

void PubSub::Impl::on_message(Peer& peer, const MessageView& message) {
  if (!topics.contains(message.topic)) return;
  const Outcome outcome = receive(peer, message);
  ++metrics.received[outcome];
  if (outcome == Outcome::rejected) budgets.blame(peer.id, lane.now());
}

PubSub::Outcome PubSub::Impl::receive(Peer& peer, const MessageView& message) {
  std::string id = message.id();
  if (seen.contains(id)) return Outcome::duplicate;
  if (message.data.size() > options.max_message) return Outcome::rejected;
  if (!budgets.take_check(peer.id, lane.now())) return Outcome::over_budget;
  Result<crypto::PeerId> author = message.verify();
  if (!author) return Outcome::rejected;
  // Only now: a forged copy must not block the valid message.
  seen.insert(std::move(id), lane.now());
  if (*author == swarm.self()) return Outcome::duplicate;
  const std::string topic(message.topic);
  std::vector<Delivery> to = deliveries(topic, *author, message.data);
  switch (validate(to)) {
    case MessageAcceptance::ignore: return Outcome::ignored;
    case MessageAcceptance::reject: return Outcome::rejected;
    case MessageAcceptance::accept: break;
  }
  metrics.forwarded.add(flood(topic, message.raw, *author, &peer));
  deliver(to);
  return Outcome::accepted;
}

std::shared_ptr<PubSub::Impl::Subscription> PubSub::Impl::find(SubscriptionId id) const {
  const auto it = subscriptions.find(id);
  return it == subscriptions.end() ? nullptr : it->second;
}

std::vector<PubSub::Impl::Delivery> PubSub::Impl::deliveries(const std::string& topic, const crypto::PeerId& author,
                                                             BytesView data) const {
  std::vector<Delivery> out;
  if (const auto of_topic = topics.find(topic); of_topic != topics.end())
    for (SubscriptionId id : of_topic->second) out.push_back({id, {author, data, {}}});
  return out;
}

// Subscriptions may end while others of the topic are called.
MessageAcceptance PubSub::Impl::validate(std::vector<Delivery>& deliveries) {
  for (Delivery& delivery : deliveries) {
    const auto subscription = find(delivery.id);
    if (!subscription || !subscription->validator) continue;
    const MessageAcceptance decision = subscription->validator(delivery.message);
    if (decision != MessageAcceptance::accept) return decision;
  }
  return MessageAcceptance::accept;
}

void PubSub::Impl::deliver(std::vector<Delivery>& deliveries) {
  for (Delivery& delivery : deliveries) {
    const auto subscription = find(delivery.id);
    if (!subscription) continue;
    ++metrics.delivered;
    if (subscription->handler) subscription->handler(delivery.message);
  }
}

void PubSub::Impl::on_graft(Peer& peer, std::string_view topic) {
  if (topics.contains(topic) || topic.size() > kMaxTopic) return;  // accepted: every message is forwarded to it anyway
  RpcBuilder rpc;
  rpc.prune.push_back({std::string(topic), static_cast<std::uint64_t>(options.prune_backoff / 1s)});
  send(peer, make_frame(rpc), true);
}

void PubSub::Impl::on_prune(Peer& peer, const RpcView::Prune& prune) {
  peer.grafted.erase(std::string(prune.topic));
  if (!topics.contains(prune.topic)) return;
  const std::uint64_t seconds = std::min<std::uint64_t>(prune.backoff_seconds, kMaxBackoff / 1s);
  const Duration backoff = seconds > 0 ? std::chrono::seconds(seconds) : options.prune_backoff;
  peer.backoff.insert_or_assign(std::string(prune.topic), lane.now() + backoff);
}

void PubSub::Impl::on_ihave(Peer& peer, const RpcView::IHave& ihave) {
  if (!topics.contains(ihave.topic)) return;
  RpcBuilder rpc;
  for (BytesView bytes : ihave.ids) {
    std::string id(as_text(bytes));
    if (peer.requested >= options.max_iwant) break;
    if (id.size() > 256 || seen.contains(id)) continue;
    ++peer.requested;
    rpc.iwant.push_back(std::move(id));
  }
  if (!rpc.iwant.empty()) send(peer, make_frame(rpc), true);
}

}  // namespace dms::libp2p
