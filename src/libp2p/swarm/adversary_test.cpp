// Floods and heavy users against one host: what they hold is bounded, and released when they disconnect.
#include "libp2p/muxers/yamux/memory.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

Task<void> connect_repeatedly(Net& net, IpAddress address, std::size_t count,
                              std::vector<std::unique_ptr<ByteStream>>& held) {
  for (std::size_t i = 0; i < count; ++i) {
    Result<std::unique_ptr<ByteStream>> stream = co_await connect_raw(net, address);
    if (stream) held.push_back(std::move(*stream));
  }
}

TEST(Adversary, TenThousandSilentConnectionsHoldFewSlotsForAShortTime) {
  TwoHosts w(1);
  SimNode& crowd_node = w.world.add_node("crowd");
  std::vector<std::unique_ptr<ByteStream>> held;
  Nursery nursery(crowd_node.runtime().lane, "crowd");
  for (int i = 0; i < 100; ++i)
    nursery.spawn(connect_repeatedly(crowd_node.runtime().net, w.b.node.address(), 100, held));
  std::size_t most = 0;
  std::uint64_t most_memory = 0;
  const auto watch = [&] {
    most = std::max(most, w.b.node.open_streams());
    most_memory = std::max(most_memory, w.b.host->resources().system().memory);
    return nursery.size() == 0;
  };
  ASSERT_TRUE(w.world.run_until(watch));
  const std::uint64_t slots = w.b.host->resources().limits().transient.connections_inbound;
  EXPECT_EQ(held.size(), 10'000u);  // all were accepted by the system
  EXPECT_GT(most, slots / 2);       // else the limit was not reached
  EXPECT_LE(most, slots + 101);     // the listener, and concurrent accepts
  EXPECT_LE(most_memory, slots * kConnectionMemory);
  EXPECT_GT(w.b.host->resources().refused(Scope::transient), 9'000u);
  w.world.run_for(30s);
  EXPECT_EQ(w.b.host->resources().system(), Amounts{});
  EXPECT_EQ(w.b.node.open_streams(), 1u);
  held.clear();
  EXPECT_TRUE(w.connect());  // other peers are served
}

Task<void> hold(Host& host, crypto::PeerId peer, std::size_t count, std::vector<std::unique_ptr<Stream>>& held) {
  for (std::size_t i = 0; i < count; ++i) {
    Result<std::unique_ptr<Stream>> stream = co_await host.new_stream(peer, std::string("/echo"));
    if (!stream) continue;
    (void)co_await (*stream)->write(as_bytes("x"));  // announces the stream
    held.push_back(std::move(*stream));
  }
}

TEST(Adversary, OnePeerHoldsOnlyItsShareOfStreams) {
  Host::Options options;
  options.swarm.limits.peer.streams_inbound = 50;
  options.swarm.limits.peer.streams_outbound = 100'000;
  TwoHosts w(1, {}, options);
  Peer other(w.world, "other", 3, {});
  w.b.host->set_stream_handler("/echo", echo);
  ASSERT_TRUE(w.connect());
  ASSERT_TRUE(other.connect(w.b));
  w.world.run_for(2s);
  std::vector<std::unique_ptr<Stream>> held;
  w.world.run(w.a.node, hold(*w.a.host, w.b.id(), 500, held));
  w.world.run_for(1s);
  EXPECT_LE(w.b.host->resources().peer(w.a.id()).streams_inbound, 50u);
  EXPECT_GT(w.b.host->resources().refused(Scope::peer), 0u);
  const auto reply = w.world.run(other.node, ask(*other.host, w.b.id(), "/echo", Bytes(1000, 1)));
  ASSERT_TRUE(reply) << reply.error().to_string();
  held.clear();
  w.world.run_for(5s);
  EXPECT_EQ(w.b.host->resources().peer(w.a.id()).streams_inbound, 0u);
  other.close();
}

Task<void> open_and_close(Host& host, crypto::PeerId peer, std::size_t& opened) {
  std::vector<std::string> protocols{"/echo/2", "/echo"};  // two: the answer is waited for
  Result<std::unique_ptr<Stream>> stream = co_await host.new_stream(peer, std::move(protocols));
  EXPECT_TRUE(stream) << stream.error().to_string();
  if (!stream) co_return;
  ++opened;
  (void)co_await (*stream)->close_write();
}

/// A handler that does not read.
Task<void> keep_stream(std::unique_ptr<Stream> stream) {
  const std::unique_ptr<Stream> kept = std::move(stream);
  (void)co_await sleep_for(1h);
}

/// Writes as much as the receiver's windows admit.
Task<void> fill(Host& host, crypto::PeerId peer) {
  Result<std::unique_ptr<Stream>> stream = co_await host.new_stream(peer, std::string("/sink"));
  if (!stream) co_return;
  const Bytes much(1 << 20, 1);
  (void)co_await with_timeout(1min, (*stream)->write(much));
}

TEST(Adversary, PeersThatFillUnreadStreamsStayWithinTheSystemLimit) {
  Host::Options options;
  options.swarm.limits.system.memory = 16 << 20;
  SimWorld world(1);
  Peer victim(world, "victim", 100, options);
  victim.host->set_stream_handler("/sink", keep_stream);
  victim.host->set_stream_handler("/echo", echo);
  std::vector<std::unique_ptr<Peer>> crowd;
  for (std::uint64_t i = 1; i <= 10; ++i) {
    crowd.push_back(std::make_unique<Peer>(world, "peer" + std::to_string(i), i));
    ASSERT_TRUE(crowd.back()->connect(victim));
  }
  Nursery filling(crowd[0]->node.runtime().lane, "fill");
  for (int round = 0; round < 20; ++round) {
    for (std::size_t i = 1; i < crowd.size(); ++i) filling.spawn(fill(*crowd[i]->host, victim.id()));
    world.run_for(1s);
    EXPECT_LE(victim.host->resources().system().memory, (12u << 20) + crowd.size() * yamux::Memory::kGuaranteed);
  }
  EXPECT_GT(victim.host->resources().system().memory, 11u << 20) << "180 windows of 256 KiB could be filled";
  EXPECT_GT(victim.host->resources().refused(Scope::system), 0u);
  EXPECT_EQ(victim.host->peers().size(), 10u) << "streams were reset, connections continue";
  const auto reply = world.run(crowd[0]->node, ask(*crowd[0]->host, victim.id(), "/echo", Bytes(4 << 20, 1)));
  EXPECT_TRUE(reply) << reply.error().to_string() << ": the other peers do not affect it";
  world.run(crowd[0]->node, filling.close());
  for (auto& peer : crowd) peer->close();
  world.run_for(1min);
  victim.close();
  EXPECT_EQ(victim.host->resources().system(), Amounts{});
}

/// Without an adversary: many local streams wait and are not refused by local limits.
TEST(Adversary, FourThousandOutboundStreamsAtOnceAreAllOpened) {
  TwoHosts w(1);
  Host::Options generous;
  generous.swarm.max_streams = 8192;
  auto& limits = generous.swarm.limits;
  limits.peer.streams_inbound = limits.connection.streams_inbound = limits.transient.streams_inbound = 8192;
  Peer server(w.world, "server", 3, generous);
  server.host->set_stream_handler("/echo", echo);
  ASSERT_TRUE(w.a.connect(server));
  std::size_t opened = 0;
  Nursery nursery(w.a.node.runtime().lane, "crowd");
  for (int i = 0; i < 4000; ++i) nursery.spawn(open_and_close(*w.a.host, server.id(), opened));
  w.world.run(w.a.node, nursery.join());
  EXPECT_EQ(opened, 4000u);
  server.close();
  w.world.run_for(10s);
  EXPECT_EQ(w.a.host->resources().system().streams, 0u);
}

TEST(Adversary, PeersAboveTheLimitAreRefusedUntilOthersDisconnect) {
  Host::Options options;
  options.swarm.limits.system.connections = 10;
  SimWorld world(1);
  Peer hub(world, "hub", 100, options);
  std::vector<std::unique_ptr<Peer>> others;
  for (std::uint64_t i = 1; i <= 15; ++i) {
    others.push_back(std::make_unique<Peer>(world, "peer" + std::to_string(i), i));
    (void)others.back()->connect(hub);
  }
  world.run_for(1min);
  EXPECT_EQ(hub.host->peers().size(), 9u);  // the tenth is reserved for outbound dials
  EXPECT_GE(hub.host->resources().refused(Scope::system), 6u);
  Peer wanted(world, "wanted", 50);
  EXPECT_TRUE(hub.connect(wanted));
  const auto refused = hub.connect(*others[12]);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("10 connections are held, the limit is 10; raise "
                                             "limits.system.connections"),
            std::string::npos)
      << refused.error().to_string();
  others[0]->close();
  world.run_for(5s);
  EXPECT_TRUE(hub.connect(*others[12]));
  for (auto& peer : others) peer->close();
  wanted.close();
  world.run_for(1min);
  EXPECT_EQ(hub.host->resources().system(), Amounts{});
  EXPECT_EQ(hub.host->resources().scopes(), 0u);
  hub.close();
}

}  // namespace
}  // namespace dms::libp2p
