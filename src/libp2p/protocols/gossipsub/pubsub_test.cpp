#include "libp2p/protocols/gossipsub/pubsub.hpp"

#include "base/varint.hpp"
#include "libp2p/protobuf.hpp"
#include "libp2p/protocols/gossipsub/seen_cache.hpp"
#include "libp2p/testing.hpp"
#include "runtime/delimited.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

const std::string kTopic = "/nunet/deployment";

/// A host with PubSub that records what it receives.
struct Node {
  Node(SimWorld& world, const std::string& name, std::uint64_t seed, PubSubOptions options = {})
      : peer(world, name, seed), pubsub(std::make_unique<PubSub>(*peer.host, options)) {}
  void subscribe(PubSub::Validator validator = {}) {
    subscription = *pubsub->subscribe(kTopic, std::move(validator), [this](PubSub::Message& message) {
      received.push_back(std::string(as_text(message.data)));
      authors.push_back(message.author);
    });
  }
  Result<void> publish(std::string_view text) { return pubsub->publish(kTopic, as_bytes(text)); }

  Peer peer;
  std::unique_ptr<PubSub> pubsub;
  SubscriptionId subscription{};
  std::vector<std::string> received;
  std::vector<crypto::PeerId> authors;
};

struct Net3 {
  explicit Net3(std::uint64_t seed, std::size_t count = 3, PubSubOptions options = {}) : world(seed) {
    for (std::size_t i = 0; i < count; ++i)
      nodes.push_back(std::make_unique<Node>(world, "n" + std::to_string(i), i + 1, options));
  }
  ~Net3() {
    for (auto& node : nodes) world.run(node->peer.node, node->pubsub->close());
    for (auto& node : nodes) node->peer.close();
  }
  void connect(std::size_t a, std::size_t b) {
    auto connected = nodes[a]->peer.connect(nodes[b]->peer);
    ASSERT_TRUE(connected) << connected.error().to_string();
  }
  void settle() { world.run_for(2s); }
  Node& operator[](std::size_t i) { return *nodes[i]; }

  SimWorld world;
  std::vector<std::unique_ptr<Node>> nodes;
};

using Texts = std::vector<std::string>;

TEST(PubSub, ReachesEverySubscriberOnceOverALine) {
  Net3 net(1, 4);
  for (std::size_t i = 0; i < 4; ++i) net[i].subscribe();
  net.connect(0, 1);
  net.connect(1, 2);
  net.connect(2, 3);
  net.settle();
  ASSERT_TRUE(net[0].publish("one"));
  ASSERT_TRUE(net[0].publish("two"));
  net.settle();
  EXPECT_EQ(net[0].received, Texts{});  // not one's own
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(net[i].received, (Texts{"one", "two"})) << i;
    EXPECT_EQ(net[i].authors[0], net[0].peer.id());
  }
}

TEST(PubSub, ARingDeliversOnce) {
  Net3 net(2, 3);
  for (std::size_t i = 0; i < 3; ++i) net[i].subscribe();
  net.connect(0, 1);
  net.connect(1, 2);
  net.connect(2, 0);
  net.settle();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(net[1].publish(std::to_string(i)));
  net.settle();
  EXPECT_EQ(net[0].received.size(), 20u);
  EXPECT_EQ(net[2].received.size(), 20u);
  EXPECT_GT(net[0].pubsub->metrics().received[PubSub::Outcome::duplicate].value() +
                net[2].pubsub->metrics().received[PubSub::Outcome::duplicate].value(),
            0u);
}

TEST(PubSub, SubscribingLaterAndLeavingAreAnnounced) {
  Net3 net(3, 2);
  net.connect(0, 1);
  net.settle();
  EXPECT_TRUE(net[0].pubsub->subscribers(kTopic).empty());
  net[1].subscribe();
  net.settle();
  EXPECT_EQ(net[0].pubsub->subscribers(kTopic), std::vector{net[1].peer.id()});
  ASSERT_TRUE(net[0].publish("from a node without a subscription"));
  net.settle();
  EXPECT_EQ(net[1].received.size(), 1u);
  net[1].pubsub->unsubscribe(net[1].subscription);
  net.settle();
  EXPECT_TRUE(net[0].pubsub->subscribers(kTopic).empty());
  ASSERT_TRUE(net[0].publish("without a subscriber"));
  net.settle();
  EXPECT_EQ(net[1].received.size(), 1u);
}

TEST(PubSub, AValidatorStopsWhatItDoesNotAccept) {
  Net3 net(4, 3);
  net[0].subscribe();
  net[1].subscribe([](const PubSub::Message& message) {
    if (as_text(message.data) == "bad") return MessageAcceptance::reject;
    return as_text(message.data) == "dull" ? MessageAcceptance::ignore : MessageAcceptance::accept;
  });
  net[2].subscribe();
  net.connect(0, 1);
  net.connect(1, 2);
  net.settle();
  for (const char* text : {"bad", "dull", "good"}) ASSERT_TRUE(net[0].publish(text));
  net.settle();
  EXPECT_EQ(net[1].received, Texts{"good"});
  EXPECT_EQ(net[2].received, Texts{"good"});  // the others were not passed on
  EXPECT_EQ(net[1].pubsub->metrics().received[PubSub::Outcome::rejected].value(), 1u);
  EXPECT_EQ(net[1].pubsub->metrics().received[PubSub::Outcome::ignored].value(), 1u);
}

TEST(PubSub, PeersConnectAndDisconnect) {
  Net3 net(5, 2);
  net[0].subscribe();
  net[1].subscribe();
  net.connect(0, 1);
  net.settle();
  net[0].peer.host->disconnect(net[1].peer.id());
  net.settle();
  EXPECT_TRUE(net[0].pubsub->subscribers(kTopic).empty());
  EXPECT_TRUE(net[1].pubsub->subscribers(kTopic).empty());
  net.connect(1, 0);
  net.settle();
  ASSERT_TRUE(net[0].publish("again"));
  net.settle();
  EXPECT_EQ(net[1].received, Texts{"again"});
}

TEST(PubSub, LimitsAreRefused) {
  Net3 net(6, 1);
  EXPECT_FALSE(net[0].pubsub->subscribe("", {}, {}));
  EXPECT_FALSE(net[0].pubsub->subscribe(std::string(2000, 't'), {}, {}));
  EXPECT_FALSE(net[0].pubsub->publish(kTopic, Bytes((1 << 20) + 1)));
  EXPECT_TRUE(net[0].pubsub->publish(kTopic, Bytes(1 << 20)));
}

TEST(PubSub, AFullQueueDropsAndCounts) {
  Net3 net(7, 2, {.max_queue_bytes = 100'000});
  net[1].subscribe();
  net.connect(0, 1);
  net.settle();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(net[0].pubsub->publish(kTopic, Bytes(10'000, 1)));
  EXPECT_GE(net[0].pubsub->metrics().dropped.value(), 40u);
  net.settle();
  EXPECT_GE(net[1].received.size(), 9u);
  EXPECT_LE(net[1].received.size(), 10u);
}

// ---- a peer whose RPCs the test makes -------------------------------------------------------------------------------------

/// A host without PubSub, connected to a node with it, which sends RPCs that the test makes.
struct RawPeer {
  explicit RawPeer(PubSubOptions options = {}) : world(9), node(world, "node", 1, options), raw(world, "raw", 2) {
    raw.host->set_stream_handler("/meshsub/1.1.0", [this](std::unique_ptr<Stream> s) { return collect(std::move(s)); });
    node.subscribe();
    EXPECT_TRUE(raw.connect(node.peer));
    stream = *world.run(raw.node, raw.host->new_stream(node.peer.id(), std::string("/meshsub/1.1.0")));
  }
  std::uint64_t outcomes(PubSub::Outcome outcome) const { return node.pubsub->metrics().received[outcome].value(); }
  void reconnect() {
    stream.reset();
    raw.host->disconnect(node.peer.id());
    world.run_for(1s);
    ASSERT_TRUE(raw.connect(node.peer));
    world.run_for(1s);  // the accepting side is ready a little later
    auto opened = world.run(raw.node, raw.host->new_stream(node.peer.id(), std::string("/meshsub/1.1.0")));
    ASSERT_TRUE(opened) << opened.error().to_string();
    stream = *std::move(opened);
  }
  ~RawPeer() {
    stream.reset();
    world.run(node.peer.node, node.pubsub->close());
    node.peer.close();
    raw.close();
  }
  Task<void> collect(std::unique_ptr<Stream> in) {
    for (;;) {
      Result<Bytes> rpc = co_await read_delimited(*in, 1 << 20);
      if (!rpc) co_return;
      received.push_back(std::move(*rpc));
    }
  }
  void send(Bytes rpc) {
    ASSERT_NE(stream, nullptr);
    world.run(raw.node, [](ByteStream& to, Bytes bytes) -> Task<void> {
      (void)co_await to.write(bytes);
    }(*stream, delimited(rpc)));
    world.run_for(1s);
  }
  void send_message(Bytes message) {
    RpcBuilder rpc;
    rpc.messages.push_back(message);
    send(rpc.encode());
  }
  [[nodiscard]] Bytes signed_by(std::uint64_t seed, std::uint64_t seqno, std::string_view text) const {
    return *sign_message(make_key(seed), seqno, kTopic, as_bytes(text));
  }

  SimWorld world;
  Node node;
  Peer raw;
  std::unique_ptr<Stream> stream;
  std::vector<Bytes> received;
};

TEST(PubSub, StrictSigning) {
  RawPeer h;
  const Bytes good = h.signed_by(5, 1, "good");
  h.send_message(good);
  EXPECT_EQ(h.node.received, Texts{"good"});
  h.send_message(good);  // replayed
  EXPECT_EQ(h.node.pubsub->metrics().received[PubSub::Outcome::duplicate].value(), 1u);
  for (std::size_t back : {1u, 20u, 40u, 63u}) {  // within the signature
    Bytes forged = h.signed_by(5, 2, "true");
    forged[forged.size() - back] ^= 1;
    h.send_message(forged);
  }
  Bytes altered = h.signed_by(5, 2, "true");
  *std::ranges::search(altered, as_bytes("true")).begin() = 'T';
  h.send_message(altered);
  EXPECT_EQ(h.node.pubsub->metrics().received[PubSub::Outcome::rejected].value(), 5u);
  EXPECT_EQ(h.node.received, Texts{"good"});
  // A forged copy does not block the valid message.
  h.send_message(h.signed_by(5, 2, "true"));
  EXPECT_EQ(h.node.received, (Texts{"good", "true"}));
}

TEST(PubSub, UnsignedOrHalfSignedMessagesAreRejected) {
  const auto without = [](std::uint32_t field_number) {
    const Bytes message = *sign_message(make_key(5), 1, kTopic, as_bytes("x"));
    Bytes out;
    ProtoReader reader(message);
    while (auto field = *reader.next())
      if (field->number != field_number) append(out, field->raw);
    return out;
  };
  for (std::uint32_t field : {1u, 3u, 5u}) {
    RawPeer h;
    h.send_message(without(field));
    EXPECT_EQ(h.node.received, Texts{}) << field;
    EXPECT_EQ(h.node.pubsub->metrics().received[PubSub::Outcome::rejected].value(), 1u) << field;
  }
}

TEST(PubSub, UnknownFieldsAreCoveredByTheSignature) {
  RawPeer h;
  ProtoWriter out;
  const crypto::PrivateKey key = make_key(6);
  out.bytes(1, crypto::PeerId::from(key.public_key()).bytes());
  out.bytes(99, Bytes{1, 2, 3});
  out.bytes(3, Bytes{0, 0, 0, 0, 0, 0, 0, 9});
  out.text(4, kTopic);
  out.text(2, "fields in any order");
  Bytes message = out.take();
  Bytes to_sign = to_bytes("libp2p-pubsub:");
  append(to_sign, message);
  ProtoWriter signature;
  signature.bytes(5, *key.sign(to_sign));
  append(message, signature.take());
  h.send_message(message);
  EXPECT_EQ(h.node.received, Texts{"fields in any order"});
}

TEST(PubSub, APeerBlamedOftenIsBannedAlsoAfterAReconnect) {
  RawPeer h({.budget = {.max_blame = 3, .ban_time = 1min}});
  for (std::uint64_t i = 0; i < 3; ++i) {
    Bytes forged = h.signed_by(5, i, "x");
    forged.back() ^= 1;
    h.send_message(forged);
  }
  h.send_message(h.signed_by(5, 100, "too late"));
  EXPECT_EQ(h.node.received, Texts{});
  h.reconnect();
  h.send_message(h.signed_by(5, 101, "after a reconnect"));
  EXPECT_EQ(h.node.received, Texts{});
  h.world.run_for(1min);
  h.reconnect();
  h.send_message(h.signed_by(5, 102, "after the ban"));
  EXPECT_EQ(h.node.received, Texts{"after the ban"});
}

TEST(PubSub, SignatureChecksAreChargedToTheForwarderWhateverTheAuthor) {
  RawPeer h({.budget = {.checks_per_second = 0.1, .burst_checks = 4}});
  for (std::uint64_t author = 10; author < 16; ++author) h.send_message(h.signed_by(author, 1, "flood"));
  EXPECT_EQ(h.node.received.size(), 4u);
  EXPECT_EQ(h.outcomes(PubSub::Outcome::over_budget), 2u);
  // A message over the budget is not marked as seen: it is accepted later, or from another peer.
  h.world.run_for(30s);
  h.send_message(h.signed_by(15, 1, "flood"));
  EXPECT_EQ(h.node.received.size(), 5u);
}

TEST(PubSub, AReconnectDoesNotRefillTheBudget) {
  RawPeer h({.budget = {.checks_per_second = 0.01, .burst_checks = 2}});
  h.send_message(h.signed_by(10, 1, "one"));
  h.send_message(h.signed_by(11, 1, "two"));
  h.reconnect();
  h.send_message(h.signed_by(12, 1, "three"));
  EXPECT_EQ(h.node.received, (Texts{"one", "two"}));
}

TEST(PubSub, BytesAboveTheBudgetDelayWhatFollows) {
  RawPeer h({.budget = {.bytes_per_second = 1000, .burst_bytes = 1000}});
  h.send_message(h.signed_by(10, 1, std::string(10'000, 'x')));
  EXPECT_EQ(h.node.received.size(), 0u) << "the signature is not checked before the bytes are within the budget";
  h.world.run_for(11s);
  EXPECT_EQ(h.node.received.size(), 1u);
}

TEST(PubSub, ADuplicateCostsNoSignatureCheck) {
  RawPeer h({.budget = {.checks_per_second = 0.01, .burst_checks = 2}});
  for (int i = 0; i < 5; ++i) h.send_message(h.signed_by(10, 1, "same"));
  h.send_message(h.signed_by(10, 2, "other"));
  EXPECT_EQ(h.node.received, (Texts{"same", "other"}));
  EXPECT_EQ(h.outcomes(PubSub::Outcome::duplicate), 4u);
}

TEST(PubSub, AHandlerGetsWhatTheValidatorOfItsSubscriptionDecoded) {
  Net3 net(8, 2);
  std::vector<std::string> got;
  for (const std::string name : {"first", "second"})
    ASSERT_TRUE(net[1].pubsub->subscribe(
        kTopic,
        [name](PubSub::Message& message) {
          message.validated = name + " " + std::string(as_text(message.data));
          return MessageAcceptance::accept;
        },
        [&got](PubSub::Message& message) { got.push_back(std::any_cast<std::string>(message.validated)); }));
  net.connect(0, 1);
  net.settle();
  ASSERT_TRUE(net[0].publish("text"));
  net.settle();
  EXPECT_EQ(got, (Texts{"first text", "second text"}));
}

TEST(PeerBudgets, AnEmptyRecordIsDropped) {
  PeerBudgets budgets({.checks_per_second = 1, .burst_checks = 10});
  const SteadyTime start{};
  const crypto::PeerId peer = crypto::PeerId::from(make_key(1).public_key());
  EXPECT_TRUE(budgets.take_check(peer, start));
  budgets.tidy(start);
  EXPECT_EQ(budgets.records(), 1u);
  budgets.tidy(start + 1s);
  EXPECT_EQ(budgets.records(), 0u);
  budgets.blame(peer, start);
  budgets.tidy(start + 1h);
  EXPECT_EQ(budgets.records(), 1u);
  budgets.forgive(start + 1h);
  budgets.tidy(start + 1h);
  EXPECT_EQ(budgets.records(), 0u);
}

TEST(PeerBudgets, AboveTheBoundTheLeastBlamedAreDroppedFirst) {
  PeerBudgets budgets({.max_blame = 2, .max_records = 2});
  const SteadyTime start{};
  std::vector<crypto::PeerId> peers;
  for (std::uint64_t i = 1; i <= 4; ++i) peers.push_back(crypto::PeerId::from(make_key(i).public_key()));
  for (int i = 0; i < 2; ++i) budgets.blame(peers[0], start);
  for (const auto& peer : peers) budgets.blame(peer, start);
  budgets.tidy(start);
  EXPECT_EQ(budgets.records(), 2u);
  EXPECT_TRUE(budgets.banned(peers[0], start));
}

TEST(PubSub, JoinsTheMeshRequestsMissedMessagesAndBacksOff) {
  RawPeer h;
  RpcBuilder hello;
  hello.subscriptions.emplace_back(true, kTopic);
  h.send(hello.encode());
  const auto grafts = [&] {
    std::size_t count = 0;
    for (const Bytes& bytes : h.received) count += RpcView::decode(bytes)->graft.size();
    return count;
  };
  EXPECT_EQ(grafts(), 1u);
  RpcBuilder prune;
  prune.prune.push_back({kTopic, 30});
  h.send(prune.encode());
  h.world.run_for(27s);
  EXPECT_EQ(grafts(), 1u);
  h.world.run_for(5s);
  EXPECT_EQ(grafts(), 2u);

  // IHAVE for something unseen is answered with IWANT.
  ProtoWriter ihave;
  ihave.text(1, kTopic);
  ihave.text(2, "an id that was not seen");
  ProtoWriter control;
  control.bytes(1, ihave.take());
  ProtoWriter rpc;
  rpc.bytes(3, control.take());
  h.received.clear();
  h.send(rpc.take());
  ASSERT_EQ(h.received.size(), 1u);
  EXPECT_NE(as_text(h.received[0]).find("an id that was not seen"), std::string_view::npos);

  // A GRAFT for a topic without a subscription is refused.
  RpcBuilder graft;
  graft.graft.push_back("/other");
  h.received.clear();
  h.send(graft.encode());
  ASSERT_EQ(h.received.size(), 1u);
  EXPECT_EQ(RpcView::decode(h.received[0])->prune.at(0).topic, "/other");
}

TEST(PubSub, MalformedRpcsEndTheStreamOnly) {
  RawPeer h;
  h.send(Bytes(100, 0xff));
  EXPECT_FALSE(h.world.run(h.raw.node, read_to_end(*h.stream, 10)));
  EXPECT_TRUE(h.node.peer.host->connected(h.raw.id()));
}

TEST(SeenCache, DropsEntriesByAgeAndByNumber) {
  SeenCache seen(10s, 3);
  const SteadyTime start{};
  EXPECT_TRUE(seen.insert("a", start));
  EXPECT_FALSE(seen.insert("a", start + 9s));
  EXPECT_TRUE(seen.insert("a", start + 10s));
  for (const char* id : {"b", "c", "d"}) EXPECT_TRUE(seen.insert(id, start + 11s));
  EXPECT_FALSE(seen.contains("a"));
  EXPECT_EQ(seen.size(), 3u);
}

}  // namespace
}  // namespace dms::libp2p
