#include "simulation/sim_links.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "simulation/test_echo.hpp"

namespace dms {
namespace {

/// Writes `total` bytes and closes; a connection of its own.
Task<void> pour(Net& net, IpAddress to, std::size_t total) {
  const IpEndpoint sink{to, 9};
  Result<Accepted> connection = co_await net.connect_tcp(sink);
  if (!connection) co_return;
  const Bytes chunk(1 << 20, 3);
  for (std::size_t sent = 0; sent < total; sent += std::min(chunk.size(), total - sent)) {
    const BytesView next = BytesView(chunk).first(std::min(chunk.size(), total - sent));
    Result<void> written = co_await connection->stream->write(next);
    if (!written) co_return;
  }
  (void)co_await connection->stream->close_write();
  Bytes end(1);
  (void)co_await connection->stream->read_some(end);
}

struct Arrived {
  std::size_t bytes = 0;
  SteadyTime first{};
  SteadyTime last{};
};

Task<void> count(std::unique_ptr<ByteStream> stream, Lane& lane, Arrived& into) {
  Bytes buffer(1 << 20);
  for (;;) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) co_return;
    if (into.bytes == 0) into.first = lane.now();
    into.bytes += *got;
    into.last = lane.now();
  }
}

/// Counts the bytes of each connection, in the order in which they were accepted.
struct Sink {
  Sink(SimNode& node, std::size_t connections) : arrived(connections), nursery(node.runtime().lane, "sink") {
    nursery.spawn(accept_all(node.runtime(), nursery, arrived));
  }
  static Task<void> accept_all(Runtime runtime, Nursery& nursery, std::vector<Arrived>& arrived) {
    auto listener = runtime.net.listen_tcp({IpAddress(), 9});
    for (Arrived& one : arrived) {
      Result<Accepted> next = co_await (*listener)->accept();
      if (!next) co_return;
      nursery.spawn(count(std::move(next->stream), runtime.lane, one));
    }
  }
  std::vector<Arrived> arrived;
  Nursery nursery;
};

constexpr SimLink kGigabit = {.latency = 30ms, .jitter = 0ns, .bandwidth = 125'000'000};

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

TEST(SimLinks, AFastPathWithLatencyIsFilledAndCostsFewEvents) {
  SimWorld world(1, kGigabit);
  SimNode& server = world.add_node("server");
  SimNode& client = world.add_node("client");
  Sink sink(server, 1);
  constexpr std::size_t kTotal = std::size_t{1} << 30;
  world.run(client, pour(client.runtime().net, server.address(), kTotal));
  world.run(server, sink.nursery.join());
  const Arrived& got = sink.arrived[0];
  EXPECT_EQ(got.bytes, kTotal);
  const double rate = static_cast<double>(kTotal) / seconds(got.last - got.first);
  EXPECT_GT(rate, 0.99 * 125e6);
  EXPECT_LT(rate, 1.01 * 125e6);
  EXPECT_LT(world.events(), 120'000u);
}

TEST(SimLinks, StreamsShareALinkAndEachDirectionIsItsOwn) {
  SimWorld world(2, {.latency = 10ms, .jitter = 0ns, .bandwidth = 10'000'000});
  SimNode& a = world.add_node("a");
  SimNode& b = world.add_node("b");
  Sink at_b(b, 2);
  Sink at_a(a, 1);
  Nursery senders(a.runtime().lane, "senders");
  constexpr std::size_t kEach = 10'000'000;
  senders.spawn(pour(a.runtime().net, b.address(), kEach));
  senders.spawn(pour(a.runtime().net, b.address(), kEach));
  senders.spawn(pour(b.runtime().net, a.address(), kEach));
  world.run(a, senders.join());
  world.run(b, at_b.nursery.join());
  world.run(a, at_a.nursery.join());
  EXPECT_NEAR(seconds(at_a.arrived[0].last.time_since_epoch()), 1.0, 0.1) << "alone on its direction";
  for (const Arrived& one : at_b.arrived) EXPECT_NEAR(seconds(one.last.time_since_epoch()), 2.0, 0.2);
}

TEST(SimLinks, AFullQueueStopsTheWriterAndDelaysByItsSizeAtMost) {
  // 1 MB/s with 100 KB of queue: a byte written behind a bulk stream waits for a tenth of a second, not for the bulk.
  SimWorld world(3, {.latency = 10ms, .jitter = 0ns, .bandwidth = 1'000'000, .queue = 100'000});
  SimNode& server = world.add_node("server");
  SimNode& client = world.add_node("client");
  Sink sink(server, 2);
  Nursery senders(client.runtime().lane, "senders");
  senders.spawn(pour(client.runtime().net, server.address(), 10'000'000));
  world.run_for(2s);
  senders.spawn(pour(client.runtime().net, server.address(), 1));
  ASSERT_TRUE(world.run_until([&] { return sink.arrived[1].bytes == 1; }));
  const Duration late = world.now().time_since_epoch() - 2s;
  EXPECT_GT(late, 100ms);
  EXPECT_LT(late, 150ms);
  world.run(client, senders.close());
  world.run(server, sink.nursery.close());
}

TEST(SimLinks, AWindowSmallerThanThePathSetsThePace) {
  SimLink link = kGigabit;
  link.window = 256 * 1024;  // and a way of 30 ms: 8.7 MB/s
  SimWorld world(4, link);
  SimNode& server = world.add_node("server");
  SimNode& client = world.add_node("client");
  Sink sink(server, 1);
  world.run(client, pour(client.runtime().net, server.address(), 10'000'000));
  world.run(server, sink.nursery.join());
  EXPECT_LT(10e6 / seconds(sink.arrived[0].last - sink.arrived[0].first), 10e6);
}

TEST(SimLinks, EachLinkHasItsOwnSettings) {
  EchoWorld w(5, {.latency = 5ms, .jitter = 0ns});
  SimNode& far = w.world.add_node("far");
  w.world.set_link(far, w.server, {.latency = 100ms, .jitter = 0ns}, {.latency = 300ms, .jitter = 0ns});
  w.serve(2);
  (void)w.world.run(w.client, exchange(w.client.runtime().net, w.server.address(), Bytes(10, 1)));
  EXPECT_EQ(w.world.now().time_since_epoch(), 20ms);
  (void)w.world.run(far, exchange(far.runtime().net, w.server.address(), Bytes(10, 1)));
  EXPECT_EQ(w.world.now().time_since_epoch(), 20ms + 800ms);
  w.close();
}

TEST(SimLinks, ALaterConnectionMayFinishFirst) {
  const auto overtaken = [](Duration connect_jitter) {
    int count = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      SimWorld world(seed, {.jitter = 0ns, .connect_jitter = connect_jitter});
      SimNode& server = world.add_node("server");
      SimNode& client = world.add_node("client");
      auto listener = server.runtime().net.listen_tcp({IpAddress(), 9});
      std::vector<int> order;
      Nursery nursery(client.runtime().lane, "connect");
      for (int i = 0; i < 2; ++i)
        nursery.spawn([](Net& net, IpAddress to, int number, std::vector<int>& done) -> Task<void> {
          (void)co_await sleep_for(number * 1ms);
          const IpEndpoint sink{to, 9};
          Result<Accepted> connection = co_await net.connect_tcp(sink);
          if (connection) done.push_back(number);
        }(client.runtime().net, server.address(), i, order));
      world.run(client, nursery.join());
      EXPECT_EQ(order.size(), 2u);
      if (order.front() == 1) ++count;
    }
    return count;
  };
  EXPECT_EQ(overtaken(0ns), 0);
  EXPECT_GT(overtaken(50ms), 3);
  EXPECT_LT(overtaken(50ms), 17);
}

}  // namespace
}  // namespace dms
