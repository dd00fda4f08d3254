#include "simulation/sim_stream.hpp"

#include <gtest/gtest.h>

#include <string>

#include "simulation/test_echo.hpp"

namespace dms {
namespace {

TEST(SimStream, BytesTravelInOrderAndTakeTheLinksTime) {
  EchoWorld w(1, {.latency = 10ms, .jitter = 0ns});
  w.serve(1);
  const Bytes message(300'000, 42);
  auto reply = w.world.run(w.client, exchange(w.client.runtime().net, w.server.address(), message));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(*reply, message);
  EXPECT_GE(w.world.now().time_since_epoch(), 40ms);  // connecting and the echo are two round trips
  w.close();
  EXPECT_EQ(w.server.open_streams() + w.client.open_streams(), 0u);
}

TEST(SimStream, LossDelaysButLosesNothing) {
  EchoWorld w(2, {.loss = 0.3});
  w.serve(1);
  const Bytes message(1'000'00, 7);
  auto reply = w.world.run(w.client, exchange(w.client.runtime().net, w.server.address(), message));
  ASSERT_TRUE(reply);
  EXPECT_EQ(*reply, message);
  w.close();
}

TEST(SimStream, ACutLinkDelaysBytesUntilItIsRestored) {
  EchoWorld w(3);
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::optional<Result<Bytes>> reply;
  client.spawn([](Net& net, IpAddress to, std::optional<Result<Bytes>>& out) -> Task<void> {
    out = co_await exchange(net, to, Bytes(10, 1));
  }(w.client.runtime().net, w.server.address(), reply));
  w.world.run_for(12ms);  // connected, the request under way
  w.world.cut(w.client, w.server);
  w.world.run_for(5s);
  EXPECT_FALSE(reply.has_value());
  w.world.cut(w.client, w.server, false);
  w.world.run_for(5s);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->has_value());
  w.close();
}

TEST(SimStream, AKilledNodeResetsItsPeers) {
  EchoWorld w(4);
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::optional<Result<Bytes>> reply;
  client.spawn([](Net& net, IpAddress to, std::optional<Result<Bytes>>& out) -> Task<void> {
    const IpEndpoint server{to, 7};
    auto connection = co_await net.connect_tcp(server);
    out = co_await read_to_end(*connection->stream, 100);
  }(w.client.runtime().net, w.server.address(), reply));
  w.world.run_for(50ms);
  w.server.kill();
  w.world.run_for(50ms);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->error().is(Errc::closed));
  auto refused = w.world.run(w.client, exchange(w.client.runtime().net, w.server.address(), Bytes(1, 1)));
  EXPECT_FALSE(refused);
  w.close();
}

TEST(SimStream, GroupsOfAPartitionDoNotReachEachOther) {
  SimWorld world(6, {.give_up = 1s});
  std::vector<SimNode*> nodes;
  std::vector<std::unique_ptr<Listener>> listeners;
  for (int i = 0; i < 4; ++i) {
    nodes.push_back(&world.add_node(fmt::format("n{}", i)));
    listeners.push_back(*nodes.back()->runtime().net.listen_tcp({IpAddress(), 9}));
  }
  const auto reaches = [&](int from, int to) {
    auto connection = world.run(*nodes[from], nodes[from]->runtime().net.connect_tcp({nodes[to]->address(), 9}));
    return connection.has_value();
  };
  world.partition({{nodes[0], nodes[1]}, {nodes[2]}});
  EXPECT_TRUE(reaches(0, 1));
  EXPECT_FALSE(reaches(0, 2));
  EXPECT_FALSE(reaches(2, 1));
  EXPECT_FALSE(reaches(3, 0)) << "nodes that are not named are a group";
  world.partition({{nodes[0], nodes[2]}});
  EXPECT_TRUE(reaches(0, 2));
  EXPECT_TRUE(reaches(1, 3));
  EXPECT_FALSE(reaches(0, 1));
  world.heal();
  EXPECT_TRUE(reaches(3, 0) && reaches(0, 1) && reaches(2, 1));
}

/// Connects and then only reads.
Task<void> read_only(Net& net, IpAddress to, std::unique_ptr<ByteStream>& stream, std::optional<Result<Bytes>>& out) {
  const IpEndpoint server{to, 7};
  auto connection = co_await net.connect_tcp(server);
  stream = std::move(connection->stream);
  out = co_await read_to_end(*stream, 100);
}

TEST(SimStream, PeersAreNotNotifiedOfALossOfPower) {
  EchoWorld w(7, {.give_up = 30s});
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::unique_ptr<ByteStream> stream;
  std::optional<Result<Bytes>> received;
  client.spawn(read_only(w.client.runtime().net, w.server.address(), stream, received));
  w.world.run_for(1s);
  w.server.power_off();
  w.world.run_for(1h);
  EXPECT_FALSE(received.has_value()) << "a node that only reads waits without end";
  EXPECT_TRUE(w.world.run(w.client, stream->write(Bytes(10, 1)))) << "into the socket buffer";
  w.world.run_for(29s);
  EXPECT_FALSE(received.has_value());
  w.world.run_for(3s);
  ASSERT_TRUE(received.has_value()) << "what was written was never acknowledged";
  EXPECT_TRUE(received->error().is(Errc::closed));
  EXPECT_FALSE(w.world.run(w.client, stream->write(Bytes(10, 1))));
  w.world.run(w.client, client.close());
  w.close();
}

TEST(SimStream, ANodeThatRestartsResetsEarlierStreams) {
  EchoWorld w(8);
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::unique_ptr<ByteStream> stream;
  std::optional<Result<Bytes>> received;
  client.spawn(read_only(w.client.runtime().net, w.server.address(), stream, received));
  w.world.run_for(1s);
  w.server.power_off();
  w.world.run_for(5s);
  w.close();  // its program has ended
  w.server.power_on();
  w.world.run_for(1s);
  EXPECT_FALSE(received.has_value());
  (void)w.world.run(w.client, stream->write(Bytes(10, 1)));
  w.world.run_for(1s);
  ASSERT_TRUE(received.has_value());
  EXPECT_TRUE(received->error().is(Errc::closed));
  Nursery again(w.server.runtime().lane, "server");
  again.spawn(echo_server(w.server.runtime().net, again, 1));
  EXPECT_TRUE(w.world.run(w.client, exchange(w.client.runtime().net, w.server.address(), Bytes(10, 1))));
  w.world.run(w.client, client.close());
  w.world.run(w.server, again.close());
}

Task<Result<std::string>> users_of_a_connection(Net& net, Listener& listener) {
  CO_TRY(std::unique_ptr<ByteStream> near, co_await net.connect_unix("/run/socket"));
  CO_TRY(Accepted far, co_await listener.accept());
  CO_TRY_VOID(co_await near->write(as_bytes("x")));
  Bytes text(1);
  CO_TRY_VOID(co_await read_exactly(*far.stream, text));
  co_return fmt::format("{} {}", near->peer_user().value_or(0), far.stream->peer_user().value_or(0));
}

TEST(SimStream, UnixSocketsNameTheUsersOfTheirEnds) {
  SimWorld world(1);
  SimNode& node = world.add_node("node");
  Net& net = node.runtime().net;
  EXPECT_TRUE(world.run(node, net.connect_unix("/run/socket")).error().is(Errc::not_found));
  node.set_user(7);
  auto listener = net.listen_unix("/run/socket");
  ASSERT_TRUE(listener);
  EXPECT_TRUE(net.listen_unix("/run/socket").error().is(Errc::already_exists));
  node.set_user(8);
  EXPECT_EQ(world.run(node, users_of_a_connection(net, **listener)).value_or("failed"), "7 8");
  node.kill();
  EXPECT_FALSE(world.run(node, net.connect_unix("/run/socket")));
}

}  // namespace
}  // namespace dms
