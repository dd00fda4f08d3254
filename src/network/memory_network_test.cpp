#include "network/memory_network.hpp"

#include <gtest/gtest.h>

#include "crypto/keys.hpp"
#include "simulation/sim_world.hpp"

namespace dms::network {
namespace {

constexpr auto kMessages = "actor/root/messages/0.0.1";

struct Party {
  Party(SimWorld& world, std::shared_ptr<MemorySubstrate> substrate, std::string name)
      : node(world.add_node(std::move(name))),
        network(std::move(substrate), node.runtime().lane,
                crypto::PeerId::from(crypto::PrivateKey::generate(node.runtime().lane.random()).public_key())) {}

  void listen() {
    (void)network.handle(kMessages, [this](const crypto::PeerId& from, Bytes message) {
      senders.push_back(from);
      received.push_back(std::string(as_text(message)));
    });
  }
  SubscriptionId subscribe(Validation validation = Validation::accept) {
    return network
        .subscribe(
            "/topic", [validation](const Broadcast&) { return validation; },
            [this](const Broadcast& broadcast) { received.push_back(std::string(as_text(broadcast.message))); })
        .value();
  }

  SimNode& node;
  MemoryNetwork network;
  std::vector<crypto::PeerId> senders;
  std::vector<std::string> received;
};

struct MemoryNetworkTest : testing::Test {
  SimWorld world{11};
  std::shared_ptr<MemorySubstrate> substrate = std::make_shared<MemorySubstrate>();
  Party a{world, substrate, "a"};
  Party b{world, substrate, "b"};
  Party c{world, substrate, "c"};

  Result<void> send(Party& from, Party& to, std::string text) {
    return world.run(from.node, from.network.send(to.network.self(), kMessages, to_bytes(text)));
  }
  void publish(Party& from, std::string text) {
    ASSERT_TRUE(world.run(from.node, from.network.publish("/topic", to_bytes(text))));
    world.run_for(1s);
  }
};

TEST_F(MemoryNetworkTest, AMessageArrivesLaterWithItsSender) {
  b.listen();
  ASSERT_TRUE(send(a, b, "hello"));
  EXPECT_TRUE(b.received.empty()) << "delivered from inside send()";
  world.run_for(1s);
  EXPECT_EQ(b.received, std::vector<std::string>{"hello"});
  EXPECT_EQ(b.senders, std::vector{a.network.self()});
}

TEST_F(MemoryNetworkTest, ANodeCanSendToItself) {
  a.listen();
  ASSERT_TRUE(send(a, a, "note"));
  world.run_for(1s);
  EXPECT_EQ(a.received, std::vector<std::string>{"note"});
}

TEST_F(MemoryNetworkTest, AnUnknownProtocolAndAnUnreachablePeerAreErrors) {
  EXPECT_TRUE(send(a, b, "no handler").error().is(Errc::unsupported));
  b.listen();
  substrate->cut(a.network.self(), b.network.self());
  EXPECT_TRUE(send(a, b, "cut").error().is(Errc::not_found));
  EXPECT_EQ(a.network.peers(), std::vector{c.network.self()});
  substrate->cut(a.network.self(), b.network.self(), false);
  EXPECT_TRUE(send(a, b, "restored"));
}

TEST_F(MemoryNetworkTest, ACutLosesWhatIsUnderWay) {
  b.listen();
  ASSERT_TRUE(send(a, b, "too late"));
  substrate->cut(a.network.self(), b.network.self());
  world.run_for(1s);
  EXPECT_TRUE(b.received.empty());
}

TEST_F(MemoryNetworkTest, TwoHandlersForOneProtocolAreRefused) {
  b.listen();
  EXPECT_TRUE(b.network.handle(kMessages, {}).error().is(Errc::already_exists));
}

TEST_F(MemoryNetworkTest, ABroadcastReachesSubscribersButNotItsPublisher) {
  a.subscribe();
  b.subscribe();
  publish(a, "to all");
  EXPECT_TRUE(a.received.empty());
  EXPECT_EQ(b.received, std::vector<std::string>{"to all"});
  EXPECT_TRUE(c.received.empty());
}

TEST_F(MemoryNetworkTest, EveryValidatorMustAccept) {
  b.subscribe();
  b.subscribe(Validation::reject);
  c.subscribe(Validation::ignore);
  publish(a, "rejected");
  EXPECT_TRUE(b.received.empty());
  EXPECT_TRUE(c.received.empty());
  EXPECT_EQ(substrate->counters().rejected, 1u);
  EXPECT_EQ(substrate->counters().ignored, 1u);
}

TEST_F(MemoryNetworkTest, AHandlerGetsWhatItsValidatorDecoded) {
  ASSERT_TRUE(b.network.subscribe(
      "/topic",
      [](Broadcast& broadcast) {
        broadcast.validated = "decoded " + std::string(as_text(broadcast.message));
        return Validation::accept;
      },
      [this](Broadcast& broadcast) { b.received.push_back(std::any_cast<std::string>(broadcast.validated)); }));
  publish(a, "text");
  EXPECT_EQ(b.received, std::vector<std::string>{"decoded text"});
}

TEST_F(MemoryNetworkTest, NothingArrivesAfterUnsubscribing) {
  b.network.unsubscribe(b.subscribe());
  publish(a, "after unsubscribing");
  EXPECT_TRUE(b.received.empty());
}

TEST_F(MemoryNetworkTest, ATapChangesAndDrops) {
  b.listen();
  substrate->set_tap([](MemoryMessage& message) {
    if (as_text(message.body) == "drop") return false;
    message.body = to_bytes("changed");
    return true;
  });
  ASSERT_TRUE(send(a, b, "drop"));
  ASSERT_TRUE(send(a, b, "keep"));
  world.run_for(1s);
  EXPECT_EQ(b.received, std::vector<std::string>{"changed"});
}

TEST_F(MemoryNetworkTest, LossDropsSilently) {
  b.listen();
  substrate->set_loss(0.5);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(send(a, b, "maybe"));
  world.run_for(1s);
  EXPECT_GT(b.received.size(), 20u);
  EXPECT_LT(b.received.size(), 80u);
}

TEST_F(MemoryNetworkTest, MessagesAboveTheLimitAreRefused) {
  b.listen();
  EXPECT_TRUE(world.run(a.node, a.network.send(b.network.self(), kMessages, Bytes(kMaxMessage)))
                  .error()
                  .is(Errc::limit_exceeded));
}

TEST_F(MemoryNetworkTest, AfterCloseNothingArrivesAndNothingWorks) {
  b.listen();
  ASSERT_TRUE(send(a, b, "too late"));
  world.run(b.node, b.network.close());
  world.run_for(1s);
  EXPECT_TRUE(b.received.empty());
  EXPECT_TRUE(send(b, a, "from a closed network").error().is(Errc::closed));
  EXPECT_TRUE(send(a, b, "to a closed network").error().is(Errc::not_found));
}

TEST_F(MemoryNetworkTest, UsersAreToldThatAPeerCannotBeReachedAndNoMore) {
  const Error tried(Errc::io, "all 2 addresses failed: /ip4/10.0.0.1/tcp/1: refused");
  const Error error = unreachable(b.network.self(), tried).context("renewing leases");
  const std::string plain_text = fmt::format("peer {} cannot be reached", b.network.self().to_string());
  EXPECT_EQ(plain(error), plain_text);
  EXPECT_TRUE(error.is(Errc::io)) << "its kind is kept";
  EXPECT_NE(error.to_string().find("/ip4/10.0.0.1/tcp/1"), std::string::npos) << "for the log";
  EXPECT_EQ(plain(tried.context("renewing leases")), "renewing leases: " + tried.message());
  substrate->cut(a.network.self(), b.network.self(), true);
  const auto sent = send(a, b, "lost");
  ASSERT_FALSE(sent);
  EXPECT_EQ(plain(sent.error()), plain_text);
}

TEST_F(MemoryNetworkTest, PingTakesARoundTrip) {
  substrate->set_latency(20ms);
  EXPECT_EQ(world.run(a.node, a.network.ping(b.network.self())).value(), 40ms);
}

TEST_F(MemoryNetworkTest, ConnectReachesExistingPeersOnly) {
  EXPECT_TRUE(world.run(a.node, a.network.connect(b.network.listen_addresses().front())));
  EXPECT_TRUE(world.run(a.node, a.network.connect("/ip4/1.2.3.4/tcp/1")).error().is(Errc::invalid_argument));
}

}  // namespace
}  // namespace dms::network
