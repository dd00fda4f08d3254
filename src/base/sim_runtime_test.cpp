#include "base/sim_runtime.hpp"

#include <gtest/gtest.h>

#include "base/channel.hpp"

namespace dms {
namespace {

Task<void> echo_server(Net& net, Nursery& nursery, int connections);

Task<void> echo(std::unique_ptr<ByteStream> stream) {
  Bytes buffer(4096);
  for (;;) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) break;
  }
  (void)co_await stream->close_write();
}

Task<void> echo_server(Net& net, Nursery& nursery, int connections) {
  auto listener = net.listen_tcp({IpAddress(), 7});
  for (int i = 0; i < connections; ++i) {
    Result<Accepted> next = co_await (*listener)->accept();
    if (!next) co_return;
    nursery.spawn(echo(std::move(next->stream)));
  }
}

Task<Result<Bytes>> talk(Net& net, IpAddress server, Bytes message) {
  CO_TRY(Accepted connection, co_await net.connect_tcp({server, 7}));
  CO_TRY_VOID(co_await connection.stream->write(message));
  CO_TRY_VOID(co_await connection.stream->close_write());
  co_return co_await read_to_end(*connection.stream, 1 << 20);
}

struct EchoWorld {
  explicit EchoWorld(std::uint64_t seed, SimLink link = {}) : world(seed, link) {}
  SimWorld world;
  SimNode& server = world.add_node("server");
  SimNode& client = world.add_node("client");
  Nursery nursery{server.runtime().lane, "server"};

  void serve(int connections) { nursery.spawn(echo_server(server.runtime().net, nursery, connections)); }
  void close() { world.run(server, nursery.close()); }
};

TEST(SimWorld, BytesTravelInOrderAndTakeTheLinksTime) {
  EchoWorld w(1, {.latency = 10ms, .jitter = 0ns});
  w.serve(1);
  const Bytes message(300'000, 42);
  auto reply = w.world.run(w.client, talk(w.client.runtime().net, w.server.address(), message));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(*reply, message);
  EXPECT_GE(w.world.now().time_since_epoch(), 40ms);  // connecting and the echo are two round trips
  w.close();
  EXPECT_EQ(w.server.open_streams() + w.client.open_streams(), 0u);
}

TEST(SimWorld, LossDelaysButLosesNothing) {
  EchoWorld w(2, {.loss = 0.3});
  w.serve(1);
  const Bytes message(1'000'00, 7);
  auto reply = w.world.run(w.client, talk(w.client.runtime().net, w.server.address(), message));
  ASSERT_TRUE(reply);
  EXPECT_EQ(*reply, message);
  w.close();
}

TEST(SimWorld, ACutLinkHoldsBytesBackUntilItIsMended) {
  EchoWorld w(3);
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::optional<Result<Bytes>> reply;
  client.spawn([](Net& net, IpAddress to, std::optional<Result<Bytes>>& out) -> Task<void> {
    out = co_await talk(net, to, Bytes(10, 1));
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

TEST(SimWorld, AKilledNodeResetsItsPeers) {
  EchoWorld w(4);
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::optional<Result<Bytes>> reply;
  client.spawn([](Net& net, IpAddress to, std::optional<Result<Bytes>>& out) -> Task<void> {
    auto connection = co_await net.connect_tcp({to, 7});
    out = co_await read_to_end(*connection->stream, 100);
  }(w.client.runtime().net, w.server.address(), reply));
  w.world.run_for(50ms);
  w.server.kill();
  w.world.run_for(50ms);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->error().is(Errc::closed));
  auto refused = w.world.run(w.client, talk(w.client.runtime().net, w.server.address(), Bytes(1, 1)));
  EXPECT_FALSE(refused);
  w.close();
}

TEST(SimWorld, DeadlinesAndCancellationReachTheInnermostWait) {
  SimWorld world(5);
  SimNode& node = world.add_node("node");
  auto slept = world.run(node, with_timeout(3s, sleep_for(1h)));
  ASSERT_FALSE(slept);
  EXPECT_TRUE(slept.error().is(Errc::deadline_exceeded));
  EXPECT_EQ(world.now().time_since_epoch(), 3s);
  EXPECT_EQ(world.pending(), 0u) << "the hour's timer is gone";
}

TEST(SimWorld, ANurseryCancelsWhatItOwns) {
  SimWorld world(6);
  SimNode& node = world.add_node("node");
  Nursery nursery(node.runtime().lane, "owner");
  int cancelled = 0;
  for (int i = 0; i < 10; ++i)
    nursery.spawn([](int& count) -> Task<void> {
      if (auto slept = co_await sleep_for(1h); !slept && slept.error().is(Errc::cancelled)) ++count;
    }(cancelled));
  world.run_for(1s);
  world.run(node, nursery.close());
  EXPECT_EQ(cancelled, 10);
  EXPECT_EQ(world.now().time_since_epoch(), 1s);
}

// A mixed workload: timers, streams, randomness, loss, cancellation, channels.
std::uint64_t mixed_workload(std::uint64_t seed) {
  EchoWorld w(seed, {.loss = 0.1});
  w.serve(20);
  Nursery clients(w.client.runtime().lane, "clients");
  Channel<int> channel(2);
  for (int i = 0; i < 20; ++i)
    clients.spawn([](EchoWorld& world, Channel<int>& done, int number) -> Task<void> {
      Random& random = world.client.runtime().lane.random();
      (void)co_await sleep_for(Duration(random.below(1'000'000'000)));
      (void)co_await with_timeout(
          Duration(random.below(500'000'000)),
          talk(world.client.runtime().net, world.server.address(), random.bytes(random.below(5000) + 1)));
      (void)co_await done.send(number);
    }(w, channel, i));
  clients.spawn([](Channel<int>& done) -> Task<void> {
    for (int i = 0; i < 20; ++i) (void)co_await done.receive();
  }(channel));
  w.world.run(w.client, clients.join());
  w.close();
  return w.world.trace();
}

TEST(SimWorld, TheSameSeedGivesTheSameOrderOfEvents) {
  EXPECT_EQ(mixed_workload(42), mixed_workload(42));
  EXPECT_NE(mixed_workload(42), mixed_workload(43));
}

}  // namespace
}  // namespace dms
