#include "simulation/sim_runtime.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "runtime/channel.hpp"

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

TEST(SimWorld, ATaskThatEndsWithAnExceptionIsCountedAndTheOthersGoOn) {
  log::set_sink([](const log::Line&) {});
  SimWorld world(6);
  SimNode& node = world.add_node("node");
  Nursery nursery(node.runtime().lane, "owner");
  const std::uint64_t before = assertion::failures();
  nursery.spawn([]() -> Task<void> {
    throw std::runtime_error("bug");
    co_return;
  }());
  bool reached = false;
  nursery.spawn([](bool& out) -> Task<void> {
    out = true;
    co_return;
  }(reached));
  world.run(node, nursery.join());
  log::set_sink({});
  EXPECT_TRUE(reached);
  EXPECT_EQ(assertion::failures() - before, 1U);
}

TEST(SimWorldDeathTest, ANurseryThatIsNotClosedIsFatal) {
  SimWorld world(6);
  SimNode& node = world.add_node("node");
  EXPECT_DEATH(
      {
        Nursery nursery(node.runtime().lane, "forgotten");
        nursery.spawn([]() -> Task<void> { co_return; }());
      },
      "nursery 'forgotten' destroyed with 1 tasks running");
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

// ---- links with a width ---------------------------------------------------------------------------------------------

/// Writes `total` bytes and closes; a connection of its own.
Task<void> pour(Net& net, IpAddress to, std::size_t total) {
  Result<Accepted> connection = co_await net.connect_tcp({to, 9});
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

/// Counts what arrives on each connection, in the order of their being accepted.
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

TEST(SimWorld, ALongWidePathIsFilledAndCostsFewEvents) {
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

TEST(SimWorld, StreamsShareALinkAndEachDirectionIsItsOwn) {
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

TEST(SimWorld, AFullQueueStopsTheWriterAndDelaysByItsSizeAtMost) {
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

TEST(SimWorld, AWindowSmallerThanThePathSetsThePace) {
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

TEST(SimWorld, EachLinkHasItsOwnSettings) {
  EchoWorld w(5, {.latency = 5ms, .jitter = 0ns});
  SimNode& far = w.world.add_node("far");
  w.world.set_link(far, w.server, {.latency = 100ms, .jitter = 0ns}, {.latency = 300ms, .jitter = 0ns});
  w.serve(2);
  (void)w.world.run(w.client, talk(w.client.runtime().net, w.server.address(), Bytes(10, 1)));
  EXPECT_EQ(w.world.now().time_since_epoch(), 20ms);
  (void)w.world.run(far, talk(far.runtime().net, w.server.address(), Bytes(10, 1)));
  EXPECT_EQ(w.world.now().time_since_epoch(), 20ms + 800ms);
  w.close();
}

TEST(SimWorld, ALaterConnectionMayFinishFirst) {
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
          Result<Accepted> connection = co_await net.connect_tcp({to, 9});
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

// ---- what breaks ----------------------------------------------------------------------------------------------------

TEST(SimWorld, GroupsOfAPartitionDoNotReachEachOther) {
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
  EXPECT_FALSE(reaches(3, 0)) << "the unnamed are a group of their own";
  world.partition({{nodes[0], nodes[2]}});
  EXPECT_TRUE(reaches(0, 2));
  EXPECT_TRUE(reaches(1, 3));
  EXPECT_FALSE(reaches(0, 1));
  world.heal();
  EXPECT_TRUE(reaches(3, 0) && reaches(0, 1) && reaches(2, 1));
}

/// Connects and then only listens.
Task<void> listen_only(Net& net, IpAddress to, std::unique_ptr<ByteStream>& stream, std::optional<Result<Bytes>>& out) {
  auto connection = co_await net.connect_tcp({to, 7});
  stream = std::move(connection->stream);
  out = co_await read_to_end(*stream, 100);
}

TEST(SimWorld, NobodyIsToldOfANodeThatVanishes) {
  EchoWorld w(7, {.give_up = 30s});
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::unique_ptr<ByteStream> stream;
  std::optional<Result<Bytes>> heard;
  client.spawn(listen_only(w.client.runtime().net, w.server.address(), stream, heard));
  w.world.run_for(1s);
  w.server.vanish();
  w.world.run_for(1h);
  EXPECT_FALSE(heard.has_value()) << "who only listens waits for ever";
  EXPECT_TRUE(w.world.run(w.client, stream->write(Bytes(10, 1)))) << "into the socket's buffer";
  w.world.run_for(29s);
  EXPECT_FALSE(heard.has_value());
  w.world.run_for(3s);
  ASSERT_TRUE(heard.has_value()) << "what was written was never acknowledged";
  EXPECT_TRUE(heard->error().is(Errc::closed));
  EXPECT_FALSE(w.world.run(w.client, stream->write(Bytes(10, 1))));
  w.world.run(w.client, client.close());
  w.close();
}

TEST(SimWorld, ANodeThatComesBackResetsWhatItDoesNotKnow) {
  EchoWorld w(8);
  w.serve(1);
  Nursery client(w.client.runtime().lane, "client");
  std::unique_ptr<ByteStream> stream;
  std::optional<Result<Bytes>> heard;
  client.spawn(listen_only(w.client.runtime().net, w.server.address(), stream, heard));
  w.world.run_for(1s);
  w.server.vanish();
  w.world.run_for(5s);
  w.close();  // its program has ended
  w.server.reappear();
  w.world.run_for(1s);
  EXPECT_FALSE(heard.has_value());
  (void)w.world.run(w.client, stream->write(Bytes(10, 1)));
  w.world.run_for(1s);
  ASSERT_TRUE(heard.has_value());
  EXPECT_TRUE(heard->error().is(Errc::closed));
  Nursery again(w.server.runtime().lane, "server");
  again.spawn(echo_server(w.server.runtime().net, again, 1));
  EXPECT_TRUE(w.world.run(w.client, talk(w.client.runtime().net, w.server.address(), Bytes(10, 1))));
  w.world.run(w.client, client.close());
  w.world.run(w.server, again.close());
}

// Everything at once: five nodes that talk over lossy links which are cut and mended; timers that
// fire and timers that are cancelled; work that is offloaded; nurseries cancelled with their tasks half done. Who did
// what and when is written down, so that a difference can be read and not only noticed.
class Mixed {
 public:
  struct Outcome {
    std::vector<std::string> log;
    std::uint64_t trace;
    std::uint64_t events;
    bool operator==(const Outcome&) const = default;
  };

  static Outcome run(std::uint64_t seed) {
    Mixed mixed(seed);
    return mixed.run();
  }

 private:
  static constexpr std::size_t kNodes = 5;
  static constexpr int kTasks = 12;

  explicit Mixed(std::uint64_t seed) : world_(seed, {.loss = 0.1, .give_up = 3s}) {
    for (std::size_t i = 0; i < kNodes; ++i) nodes_.push_back(&world_.add_node(fmt::format("n{}", i)));
    for (SimNode* node : nodes_) {
      servers_.push_back(std::make_unique<Nursery>(node->runtime().lane, node->name() + " serves"));
      clients_.push_back(std::make_unique<Nursery>(node->runtime().lane, node->name() + " asks"));
    }
  }

  void note(std::size_t who, std::string_view what) {
    log_.push_back(fmt::format("{} n{} {}", world_.now().time_since_epoch().count(), who, what));
  }

  static Task<void> ask(Mixed& mixed, std::size_t who, int number) {
    Runtime runtime = mixed.nodes_[who]->runtime();
    Random& random = runtime.lane.random();
    const Result<void> slept = co_await sleep_for(Duration(random.below(2'000'000'000)));
    if (!slept) {
      mixed.note(who, fmt::format("{} was cancelled asleep", number));
      co_return;
    }
    const IpAddress to = mixed.nodes_[random.below(kNodes)]->address();
    Bytes question = random.bytes(1 + random.below(4000));
    const std::size_t size = question.size();
    Task<Result<Bytes>> talking = talk(runtime.net, to, std::move(question));
    const Result<Bytes> answer = co_await with_timeout(Duration(random.below(1'500'000'000)), std::move(talking));
    mixed.note(who, fmt::format("{} of {} bytes: {}", number, size, answer ? "answered" : answer.error().to_string()));
    Task<std::uint64_t> working = offload([size] { return std::uint64_t{size} * size; });
    const std::uint64_t square = co_await std::move(working);
    mixed.note(who, fmt::format("{} offloaded {}", number, square));
    ScopedTimer never(runtime.lane, runtime.lane.now() + 5ms, [&mixed, who] { mixed.note(who, "a timer fires"); });
    (void)co_await sleep_for(Duration(random.below(10'000'000)));
  }

  /// A nursery within a task, cancelled while its tasks sleep.
  static Task<void> cancel_some(Mixed& mixed, std::size_t who) {
    Lane& lane = mixed.nodes_[who]->runtime().lane;
    Nursery inner(lane, "inner");
    for (int i = 0; i < kTasks; ++i) inner.spawn(ask(mixed, who, 100 + i));
    (void)co_await sleep_for(Duration(lane.random().below(1'500'000'000)));
    co_await inner.close();
    mixed.note(who, "cancelled what was left");
  }

  Outcome run() {
    for (std::size_t i = 0; i < kNodes; ++i) {
      servers_[i]->spawn(echo_server(nodes_[i]->runtime().net, *servers_[i], 1000));
      for (int n = 0; n < kTasks; ++n) clients_[i]->spawn(ask(*this, i, n));
      clients_[i]->spawn(cancel_some(*this, i));
    }
    world_.run_for(700ms);
    world_.cut(*nodes_[0], *nodes_[1]);
    world_.run_for(300ms);
    nodes_[2]->kill();
    world_.run_for(300ms);
    world_.cut(*nodes_[0], *nodes_[1], false);
    for (std::size_t i = 0; i < kNodes; ++i) world_.run(*nodes_[i], clients_[i]->join());
    for (std::size_t i = 0; i < kNodes; ++i) world_.run(*nodes_[i], servers_[i]->close());
    return {std::move(log_), world_.trace(), world_.events()};
  }

  SimWorld world_;
  std::vector<SimNode*> nodes_;
  std::vector<std::unique_ptr<Nursery>> servers_;
  std::vector<std::unique_ptr<Nursery>> clients_;
  std::vector<std::string> log_;
};

TEST(SimWorld, AMixedWorkloadIsReplayedByItsSeed) {
  const Mixed::Outcome first = Mixed::run(7);
  EXPECT_EQ(first, Mixed::run(7));
  const Mixed::Outcome other = Mixed::run(8);
  EXPECT_NE(first.trace, other.trace);
  EXPECT_NE(first.log, other.log);
  // The workload is what it says: each of these happened, or the comparison above compared little.
  const auto count = [&](std::string_view what) {
    return std::ranges::count_if(first.log, [&](const std::string& line) { return line.find(what) != line.npos; });
  };
  for (const std::string_view what :
       {"answered", "ran out of time", "was cancelled asleep", "offloaded", "a timer fires", "cancelled what was left"})
    EXPECT_GT(count(what), 0) << what;
  EXPECT_GT(first.events, 1000U);
}

TEST(SimWorld, ManySeedsGiveManyOrdersEachItsOwn) {
  std::set<std::uint64_t> traces;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Mixed::Outcome once = Mixed::run(seed);
    EXPECT_EQ(once.trace, Mixed::run(seed).trace) << seed;
    traces.insert(once.trace);
  }
  EXPECT_EQ(traces.size(), 20U);
}

TEST(SimWorld, NamesAreWhatTheTestSays) {
  SimWorld world(1);
  SimNode& node = world.add_node("node");
  Net& net = node.runtime().net;
  world.names().hosts["nunet.io"] = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("::1")};
  world.names().texts["nunet.io"] = std::vector<std::string>(100, "text");
  world.names().silent = {"silent.io"};
  EXPECT_EQ(world.run(node, net.resolve_host("NuNet.io", IpFamily::any))->size(), 2u);
  EXPECT_EQ(*world.run(node, net.resolve_host("nunet.io", IpFamily::v6)), std::vector{*IpAddress::parse("::1")});
  EXPECT_EQ(world.run(node, net.resolve_text("nunet.io"))->size(), 64u);
  EXPECT_TRUE(world.run(node, net.resolve_host("nobody.io", IpFamily::any)).error().is(Errc::not_found));
  EXPECT_TRUE(world.run(node, net.resolve_text("nobody.io")).error().is(Errc::not_found));
  const SteadyTime begin = world.now();
  EXPECT_TRUE(world.run(node, net.resolve_host("silent.io", IpFamily::any)).error().is(Errc::io));
  EXPECT_EQ(world.now() - begin, 30s);
  EXPECT_EQ(world.names().queries, 6u);
  node.kill();
  EXPECT_TRUE(world.run(node, net.resolve_host("nunet.io", IpFamily::any)).error().is(Errc::io));
}

}  // namespace
}  // namespace dms
