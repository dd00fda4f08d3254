#include "network/libp2p_network.hpp"

#include <gtest/gtest.h>

#include "network/frame.hpp"
#include "simulation/sim_world.hpp"

namespace dms::network {
namespace {

constexpr auto kProtocol = "actor/root/messages/0.0.1";

struct Libp2pParty {
  Libp2pParty(SimWorld& world, std::string name, Libp2pOptions options = {})
      : node(world.add_node(std::move(name))),
        network(node.runtime(), crypto::PrivateKey::generate(node.runtime().lane.random()), std::move(options)) {
    EXPECT_TRUE(network.listen("/ip4/0.0.0.0/tcp/9000"));
  }
  void listen(const std::string& protocol = kProtocol) {
    EXPECT_TRUE(network.handle(protocol, [this](const crypto::PeerId& from, Bytes message) {
      senders.push_back(from);
      received.push_back(std::move(message));
    }));
  }
  void subscribe(Validation validation = Validation::accept) {
    EXPECT_TRUE(network.subscribe(
        "/topic",
        [this, validation](Broadcast& broadcast) {
          origins.push_back(broadcast.origin);
          broadcast.validated = to_bytes(broadcast.message);
          return validation;
        },
        [this](const Broadcast& broadcast) { received.push_back(std::any_cast<Bytes>(broadcast.validated)); }));
  }

  SimNode& node;
  Libp2pNetwork network;
  std::vector<crypto::PeerId> senders;
  std::vector<crypto::PeerId> origins;
  std::vector<Bytes> received;
};

struct Libp2pNetworkTest : testing::Test {
  ~Libp2pNetworkTest() override {
    for (Libp2pParty* party : {&a, &b, &c}) world.run(party->node, party->network.close());
    for (Libp2pParty* party : {&a, &b, &c}) EXPECT_EQ(party->node.open_streams(), 0u);
  }
  void connect(Libp2pParty& from, Libp2pParty& to) {
    auto connected = world.run(from.node, from.network.connect(to.network.listen_addresses().front()));
    ASSERT_TRUE(connected) << connected.error().to_string();
    world.run_for(100ms);  // the accepting side is ready a little later
  }
  Result<void> send(Libp2pParty& from, Libp2pParty& to, Bytes message, std::string protocol = kProtocol) {
    return world.run(from.node, from.network.send(to.network.self(), std::move(protocol), std::move(message)));
  }

  SimWorld world{17};
  Libp2pParty a{world, "a"};
  Libp2pParty b{world, "b", {.max_inbound_per_peer = 4}};
  Libp2pParty c{world, "c"};
};

TEST_F(Libp2pNetworkTest, AMessageArrivesWithItsSender) {
  b.listen();
  connect(a, b);
  ASSERT_TRUE(send(a, b, to_bytes("hello")));
  world.run_for(1s);
  ASSERT_EQ(b.received.size(), 1u);
  EXPECT_EQ(as_text(b.received[0]), "hello");
  EXPECT_EQ(b.senders[0], a.network.self());
}

TEST_F(Libp2pNetworkTest, BothSidesMaySendOnOneConnection) {
  a.listen();
  connect(a, b);
  ASSERT_TRUE(send(b, a, to_bytes("back")));
  world.run_for(1s);
  ASSERT_EQ(a.received.size(), 1u);
  EXPECT_EQ(a.senders[0], b.network.self());
}

TEST_F(Libp2pNetworkTest, InboxesAreSeparate) {
  b.listen("actor/root/messages/0.0.1");
  int others = 0;
  ASSERT_TRUE(b.network.handle("actor/child/messages/0.0.1", [&](const crypto::PeerId&, const Bytes&) { ++others; }));
  connect(a, b);
  ASSERT_TRUE(send(a, b, to_bytes("for the child"), "actor/child/messages/0.0.1"));
  world.run_for(1s);
  EXPECT_TRUE(b.received.empty());
  EXPECT_EQ(others, 1);
}

TEST_F(Libp2pNetworkTest, TheLargestMessageAndAnEmptyOne) {
  b.listen();
  connect(a, b);
  ASSERT_TRUE(send(a, b, Bytes(kMaxMessage - kFrameHeader, 'x')));
  ASSERT_TRUE(send(a, b, {}));
  EXPECT_TRUE(send(a, b, Bytes(kMaxMessage)).error().is(Errc::limit_exceeded));
  world.run_for(10s);
  ASSERT_EQ(b.received.size(), 2u);
  EXPECT_EQ(b.received[0].size() + b.received[1].size(), kMaxMessage - kFrameHeader);
}

TEST_F(Libp2pNetworkTest, ANodeCanSendToItself) {
  a.listen();
  ASSERT_TRUE(send(a, a, to_bytes("note")));
  world.run_for(1s);
  ASSERT_EQ(a.received.size(), 1u);
  EXPECT_EQ(a.senders[0], a.network.self());
  EXPECT_TRUE(send(b, b, to_bytes("no handler")).error().is(Errc::unsupported));
}

TEST_F(Libp2pNetworkTest, AnUnknownPeerAndAnUnknownProtocolAreErrors) {
  EXPECT_TRUE(send(a, b, to_bytes("no such peer")).error().is(Errc::not_found));
  connect(a, b);
  const auto refused = send(a, b, to_bytes("no handler"));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::unsupported)) << refused.error().to_string();
}

TEST_F(Libp2pNetworkTest, APeerThatIsGoneIsUnreachable) {
  connect(a, b);
  world.run(b.node, b.network.close());
  world.run_for(1s);
  const auto sent = send(a, b, to_bytes("is anybody there?"));
  ASSERT_FALSE(sent);
  EXPECT_TRUE(sent.error().is(Reach::unreachable)) << sent.error().to_string();
  EXPECT_EQ(plain(sent.error()), fmt::format("peer {} cannot be reached", b.network.self().to_string()));
  EXPECT_NE(sent.error().to_string().find("/ip4/"), std::string::npos) << "the log has what was tried";
}

TEST_F(Libp2pNetworkTest, TwoHandlersForOneProtocolAreRefused) {
  a.listen();
  EXPECT_TRUE(a.network.handle(kProtocol, {}).error().is(Errc::already_exists));
  a.network.remove_handler(kProtocol);
  a.listen();
}

TEST_F(Libp2pNetworkTest, ABroadcastReachesSubscribersWithItsPublisher) {
  for (Libp2pParty* party : {&a, &b, &c}) party->subscribe();
  connect(a, b);
  connect(b, c);  // a and c are connected through b only
  world.run_for(2s);
  ASSERT_TRUE(world.run(a.node, a.network.publish("/topic", to_bytes("to all"))));
  world.run_for(2s);
  EXPECT_TRUE(a.received.empty());
  ASSERT_EQ(b.received.size(), 1u);
  ASSERT_EQ(c.received.size(), 1u);
  EXPECT_EQ(c.origins, std::vector{a.network.self()});
}

TEST_F(Libp2pNetworkTest, MessagesThatAValidatorRejectsAreNotDeliveredOrForwarded) {
  b.subscribe(Validation::ignore);
  c.subscribe();
  connect(a, b);
  connect(b, c);
  world.run_for(2s);
  ASSERT_TRUE(world.run(a.node, a.network.publish("/topic", to_bytes("doubtful"))));
  world.run_for(2s);
  EXPECT_EQ(b.origins.size(), 1u);
  EXPECT_TRUE(b.received.empty());
  EXPECT_TRUE(c.received.empty());
}

TEST_F(Libp2pNetworkTest, OfTheInboxesOnlyTheRootInboxIsAnnounced) {
  const std::string child = "actor/0123456789abcdef/messages/0.0.1";
  b.listen();
  b.listen(child);
  connect(a, b);
  world.run_for(2s);
  const libp2p::IdentifyInfo* info = a.network.host().identify().info(b.network.self());
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(std::ranges::count(info->protocols, std::string(kProtocol)), 1);
  EXPECT_EQ(std::ranges::count(info->protocols, child), 0);
  EXPECT_EQ(std::ranges::count(info->protocols, std::string("/ipfs/id/1.0.0")), 1);
  ASSERT_TRUE(send(a, b, to_bytes("by name"), child));
  world.run_for(1s);
  EXPECT_EQ(b.received.size(), 1u);
}

TEST_F(Libp2pNetworkTest, PingAndPeers) {
  connect(a, b);
  EXPECT_EQ(a.network.peers(), std::vector{b.network.self()});
  auto round_trip = world.run(a.node, a.network.ping(b.network.self()));
  ASSERT_TRUE(round_trip) << round_trip.error().to_string();
  EXPECT_GE(*round_trip, 10ms);
  EXPECT_TRUE(world.run(a.node, a.network.connect("/ip4/10.0.0.9/tcp/1")).error().is(Errc::invalid_argument));
}

/// Opens a stream, writes `bytes` and holds it open.
Task<void> write_and_hold(libp2p::Host& host, crypto::PeerId to, Bytes bytes, bool& ended) {
  auto stream = co_await host.new_stream(to, std::string(kProtocol));
  if (!stream) co_return;
  (void)co_await (*stream)->write(bytes);
  Bytes rest(1);
  (void)co_await (*stream)->read_some(rest);
  ended = true;
}

TEST_F(Libp2pNetworkTest, ASlowSenderIsCutOffAfterThirtySeconds) {
  b.listen();
  connect(a, b);
  bool ended = false;
  Nursery attack(a.node.runtime().lane, "attack");
  Bytes half = encode_frame(as_bytes("never finished")).value();
  half.resize(10);
  attack.spawn(write_and_hold(a.network.host(), b.network.self(), half, ended));
  world.run_for(29s);
  EXPECT_FALSE(ended);
  world.run_for(2s);
  EXPECT_TRUE(ended);
  EXPECT_EQ(b.network.metrics().malformed.value(), 1u);
  world.run(a.node, attack.close());
}

TEST_F(Libp2pNetworkTest, AFrameThatIsTooLargeEndsItsStreamAtOnce) {
  b.listen();
  connect(a, b);
  bool ended = false;
  Nursery attack(a.node.runtime().lane, "attack");
  attack.spawn(write_and_hold(a.network.host(), b.network.self(), Bytes(8, 0xff), ended));
  world.run_for(1s);
  EXPECT_TRUE(ended);
  EXPECT_EQ(b.network.metrics().malformed.value(), 1u);
  world.run(a.node, attack.close());
}

TEST_F(Libp2pNetworkTest, OnePeersOpenStreamsAreBounded) {
  b.listen();
  connect(a, b);
  connect(c, b);
  bool ended[6] = {};
  Nursery attack(a.node.runtime().lane, "attack");
  for (bool& end : ended) attack.spawn(write_and_hold(a.network.host(), b.network.self(), Bytes(3), end));
  world.run_for(1s);
  EXPECT_EQ(b.network.metrics().refused.value(), 2u);
  ASSERT_TRUE(send(c, b, to_bytes("from another")));
  world.run_for(1s);
  EXPECT_EQ(b.received.size(), 1u);
  world.run(a.node, attack.close());
}

/// `from` sends to b, which reads it or is cut off before; then the connection ends, and b connects again.
void send_and_lose_the_connection(SimWorld& world, Libp2pParty& from, Libp2pParty& b, bool is_read) {
  b.listen();
  ASSERT_TRUE(world.run(from.node, from.network.connect(b.network.listen_addresses().front())));
  world.run_for(2s);  // the inbox is known: no answer is waited for
  if (!is_read) world.cut(from.node, b.node);
  ASSERT_TRUE(world.run(from.node,
                        from.network.send_until(world.now() + 2min, b.network.self(), kProtocol, to_bytes("hello"))));
  if (is_read) world.run_for(1s);
  world.cut(from.node, b.node);
  world.run_for(65s);
  ASSERT_TRUE(from.network.peers().empty() && b.network.peers().empty());
  world.cut(from.node, b.node, false);
  ASSERT_TRUE(world.run(b.node, b.network.connect(from.network.listen_addresses().front())));
  world.run_for(3s);
}

TEST_F(Libp2pNetworkTest, AMessageThatIsLostWithItsConnectionIsSentAgain) {
  send_and_lose_the_connection(world, a, b, false);
  ASSERT_EQ(b.received.size(), 1u);
  EXPECT_EQ(as_text(b.received[0]), "hello");
  EXPECT_EQ(a.network.metrics().repeated.value(), 1u);
}

TEST_F(Libp2pNetworkTest, AMessageThatWasReadIsNotSentAgain) {
  send_and_lose_the_connection(world, a, b, true);
  EXPECT_EQ(b.received.size(), 1u);
  EXPECT_EQ(a.network.metrics().repeated.value(), 0u);
}

TEST_F(Libp2pNetworkTest, MessagesThatMayBeRepeatedAreBounded) {
  Libp2pParty small(world, "small", {.max_unread_per_peer = kLeastUnread - 1});
  send_and_lose_the_connection(world, small, b, false);
  EXPECT_TRUE(b.received.empty()) << "a short one counts as kLeastUnread";
  EXPECT_EQ(small.network.metrics().repeated.value(), 0u);
  world.run(small.node, small.network.close());
}

TEST_F(Libp2pNetworkTest, AfterCloseNothingWorks) {
  connect(a, b);
  world.run(a.node, a.network.close());
  EXPECT_TRUE(send(a, b, {}).error().is(Errc::closed));
  EXPECT_TRUE(a.network.handle(kProtocol, {}).error().is(Errc::closed));
  EXPECT_TRUE(a.network.subscribe("/topic", {}, {}).error().is(Errc::closed));
}

}  // namespace
}  // namespace dms::network
