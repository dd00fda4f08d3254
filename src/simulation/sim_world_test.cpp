#include "simulation/sim_world.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "runtime/channel.hpp"
#include "simulation/test_echo.hpp"

namespace dms {
namespace {

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
          exchange(world.client.runtime().net, world.server.address(), random.bytes(random.below(5000) + 1)));
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

// Everything at once: five nodes that exchange messages over lossy links that are cut and restored; timers that
// fire and timers that are cancelled; work that is offloaded; nurseries cancelled with their tasks half done. Each
// step is logged with its instant, so that a difference can be read.
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
      servers_.push_back(std::make_unique<Nursery>(node->runtime().lane, node->name() + " server"));
      clients_.push_back(std::make_unique<Nursery>(node->runtime().lane, node->name() + " clients"));
    }
  }

  void note(std::size_t node, std::string_view what) {
    log_.push_back(fmt::format("{} n{} {}", world_.now().time_since_epoch().count(), node, what));
  }

  static Task<void> request(Mixed& mixed, std::size_t node, int number) {
    Runtime runtime = mixed.nodes_[node]->runtime();
    Random& random = runtime.lane.random();
    const Result<void> slept = co_await sleep_for(Duration(random.below(2'000'000'000)));
    if (!slept) {
      mixed.note(node, fmt::format("{} was cancelled while it slept", number));
      co_return;
    }
    const IpAddress to = mixed.nodes_[random.below(kNodes)]->address();
    Bytes question = random.bytes(1 + random.below(4000));
    const std::size_t size = question.size();
    Task<Result<Bytes>> exchanging = exchange(runtime.net, to, std::move(question));
    const Result<Bytes> answer = co_await with_timeout(Duration(random.below(1'500'000'000)), std::move(exchanging));
    mixed.note(node, fmt::format("{} of {} bytes: {}", number, size, answer ? "answered" : answer.error().to_string()));
    Task<std::uint64_t> working = offload([size] { return std::uint64_t{size} * size; });
    const std::uint64_t square = co_await std::move(working);
    mixed.note(node, fmt::format("{} offloaded {}", number, square));
    ScopedTimer never(runtime.lane, runtime.lane.now() + 5ms, [&mixed, node] { mixed.note(node, "a timer fires"); });
    (void)co_await sleep_for(Duration(random.below(10'000'000)));
  }

  /// A nursery within a task, cancelled while its tasks sleep.
  static Task<void> cancel_some(Mixed& mixed, std::size_t node) {
    Lane& lane = mixed.nodes_[node]->runtime().lane;
    Nursery inner(lane, "inner");
    for (int i = 0; i < kTasks; ++i) inner.spawn(request(mixed, node, 100 + i));
    (void)co_await sleep_for(Duration(lane.random().below(1'500'000'000)));
    co_await inner.close();
    mixed.note(node, "cancelled what was left");
  }

  Outcome run() {
    for (std::size_t i = 0; i < kNodes; ++i) {
      servers_[i]->spawn(echo_server(nodes_[i]->runtime().net, *servers_[i], 1000));
      for (int n = 0; n < kTasks; ++n) clients_[i]->spawn(request(*this, i, n));
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
  // Each of these happened; otherwise the comparison above would show little.
  const auto count = [&](std::string_view what) {
    return std::ranges::count_if(first.log, [&](const std::string& line) { return line.find(what) != line.npos; });
  };
  for (const std::string_view what : {"answered", "ran out of time", "was cancelled while it slept", "offloaded",
                                      "a timer fires", "cancelled what was left"})
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

TEST(SimWorld, AStalledNodeDoesLateWhatWasDue) {
  SimWorld world(1);
  SimNode& node = world.add_node("stalled");
  SimNode& other = world.add_node("another");
  const SteadyTime begun = world.now();
  std::map<std::string, SteadyTime> at;
  const auto note = [&](const char* what) { return [&, what] { at[what] = world.now(); }; };
  node.runtime().lane.call_at(begun + 1s, note("before"));
  node.stall(10s);
  node.runtime().lane.call_at(begun + 2s, note("since"));
  node.runtime().lane.call_at(begun + 12s, note("later"));
  const TimerId cancelled = node.runtime().lane.call_at(begun + 3s, note("cancelled"));
  node.runtime().lane.post(note("posted"));
  other.runtime().lane.call_at(begun + 1s, note("another"));
  other.runtime().lane.call_at(begun + 5s, [&] { node.runtime().lane.cancel_timer(cancelled); });
  world.run_for(20s);
  const std::map<std::string, SteadyTime> expected{{"before", begun + 10s},
                                                   {"since", begun + 10s},
                                                   {"later", begun + 12s},
                                                   {"posted", begun + 10s},
                                                   {"another", begun + 1s}};
  EXPECT_EQ(at, expected);
}

TEST(SimWorld, ManyNodesHaveAddressesOfTheirOwnAndReachEachOther) {
  SimWorld world(1);
  std::set<std::string> addresses;
  std::vector<SimNode*> nodes;
  for (int i = 0; i < 70'000; ++i) {
    nodes.push_back(&world.add_node("n"));
    addresses.insert(nodes.back()->address().to_string());
  }
  EXPECT_EQ(addresses.size(), nodes.size());
  EXPECT_EQ(nodes.back()->address().to_string(), "10.1.17.112");
  auto listener = nodes.back()->runtime().net.listen_tcp({IpAddress(), 9});
  EXPECT_TRUE(world.run(*nodes[0], nodes[0]->runtime().net.connect_tcp({nodes.back()->address(), 9})));
  EXPECT_FALSE(world.run(*nodes[0], nodes[0]->runtime().net.connect_tcp({*IpAddress::parse("10.1.17.113"), 9})))
      << "an address without a node";
}

TEST(SimWorld, EphemeralPortsDoNotRunOut) {
  SimWorld world(1, {.latency = 1ms, .jitter = 0ns});
  SimNode& a = world.add_node("a");
  SimNode& b = world.add_node("b");
  auto listener = b.runtime().net.listen_tcp({IpAddress(), 9});
  auto taken = a.runtime().net.listen_tcp({IpAddress(), 0});
  const auto lowest = (*taken)->local().port;
  for (int i = 0; i < 30'000; ++i) {
    Result<Accepted> connection = world.run(a, a.runtime().net.connect_tcp({b.address(), 9}));
    ASSERT_TRUE(connection);
    ASSERT_NE(connection->local.port, lowest) << "a listener's port";
    ASSERT_GE(connection->local.port, 40000);
  }
}

}  // namespace
}  // namespace dms
