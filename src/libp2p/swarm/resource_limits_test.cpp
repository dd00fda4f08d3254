#include "libp2p/swarm/resource_limits.hpp"

#include <deque>

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using testing::id;
using testing::make_key;

TEST(ResourceLimits, ReservationsAreReleasedInAnyOrder) {
  ResourceManager manager;
  auto connection = *manager.open_connection(Direction::inbound);
  EXPECT_EQ(manager.transient().connections_inbound, 1u);
  ASSERT_TRUE(connection->set_peer(id(1)));
  EXPECT_EQ(manager.transient(), Amounts{});
  EXPECT_EQ(manager.peer(id(1)).connections, 1u);
  auto stream = *manager.open_stream(connection, Direction::outbound);
  EXPECT_EQ(manager.transient().streams_outbound, 1u);
  ASSERT_TRUE(stream.set_protocol("/a"));
  ASSERT_TRUE(stream.reserve_memory(1000));
  EXPECT_EQ(manager.protocol("/a").memory, kStreamMemory + 1000);
  EXPECT_EQ(manager.system().memory, kConnectionMemory + kStreamMemory + 1000);
  EXPECT_EQ(manager.scopes(), 2u);
  connection.reset();  // its stream still holds it
  EXPECT_EQ(manager.system().connections, 1u);
  stream = StreamReservation();
  EXPECT_EQ(manager.system(), Amounts{});
  EXPECT_EQ(manager.scopes(), 0u);
}

TEST(ResourceLimits, MuxerBuffersCountInTheConnectionItsPeerAndTheSystem) {
  ResourceLimits limits;
  limits.connection.memory = 200'000;
  ResourceManager manager(limits);
  auto connection = *manager.open_connection(Direction::inbound);
  ASSERT_TRUE(connection->reserve_memory(60'000, MemoryScope::Use::required));
  EXPECT_EQ(manager.transient().memory, kConnectionMemory + 60'000);
  ASSERT_TRUE(connection->set_peer(id(1)));
  EXPECT_EQ(manager.transient().memory, 0u);
  EXPECT_EQ(manager.peer(id(1)).memory, kConnectionMemory + 60'000);
  auto stream = *manager.open_stream(connection, Direction::inbound);
  const std::uint64_t left = 150'000 - kConnectionMemory - kStreamMemory - 60'000;
  EXPECT_FALSE(connection->reserve_memory(left + 1, MemoryScope::Use::required));
  EXPECT_EQ(manager.refused(Scope::connection), 1u);
  ASSERT_TRUE(connection->reserve_memory(left, MemoryScope::Use::required));
  connection->release_memory(60'000 + left - 1000);
  EXPECT_EQ(manager.system().memory, kConnectionMemory + kStreamMemory + 1000);
  stream = StreamReservation();
  connection.reset();
  EXPECT_EQ(manager.system(), Amounts{});
}

TEST(ResourceLimits, BuffersTakeOnlyAShareOfALimit) {
  using Use = MemoryScope::Use;
  ResourceLimits limits;
  limits.system.memory = 20 * kConnectionMemory;
  ResourceManager manager(limits);
  auto one = *manager.open_connection(Direction::inbound);
  auto two = *manager.open_connection(Direction::inbound);
  ASSERT_TRUE(one->reserve_memory(8 * kConnectionMemory, Use::optional));
  EXPECT_FALSE(two->reserve_memory(1, Use::optional));
  EXPECT_TRUE(two->reserve_memory(5 * kConnectionMemory, Use::required));
  EXPECT_FALSE(two->reserve_memory(1, Use::required));
  std::vector<std::shared_ptr<ConnectionReservation>> more;
  for (int i = 0; i < 5; ++i) more.push_back(*manager.open_connection(Direction::outbound));
  EXPECT_FALSE(manager.open_connection(Direction::outbound));
  EXPECT_TRUE(two->reserve_memory(1000, Use::guaranteed)) << "counted, never refused";
  EXPECT_EQ(manager.system().memory, 20 * kConnectionMemory + 1000);
  one.reset();
  two.reset();
  EXPECT_TRUE(manager.open_connection(Direction::outbound));
}

TEST(ResourceLimits, AReservationMayOutliveTheManager) {
  auto manager = std::make_unique<ResourceManager>();
  auto connection = *manager->open_connection(Direction::inbound);
  auto stream = *manager->open_stream(connection, Direction::inbound);
  manager.reset();
  EXPECT_TRUE(connection->set_peer(id(1)));
  EXPECT_TRUE(stream.set_protocol("/a"));
}

TEST(ResourceLimits, ARefusalNamesScopeHeldLimitAndSetting) {
  ResourceLimits limits;
  limits.peer.connections_inbound = 1;
  limits.protocols["/one"] = limits.protocol;
  limits.protocols["/one"].streams = 0;
  limits.stream.memory = 6000;
  limits.settings["stream.memory"] = "p2p.stream_memory";
  ResourceManager manager(limits);
  auto first = *manager.open_connection(Direction::inbound);
  auto second = *manager.open_connection(Direction::inbound);
  ASSERT_TRUE(first->set_peer(id(1)));
  const auto refused = second->set_peer(id(1));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::limit_exceeded));
  EXPECT_EQ(refused.error().to_string(),
            "peer " + id(1).to_string() +
                ": 1 inbound connections are held, the limit is 1; raise limits.peer.connections_inbound");
  EXPECT_EQ(manager.refused(Scope::peer), 1u);
  auto stream = *manager.open_stream(first, Direction::inbound);
  EXPECT_EQ(stream.set_protocol("/one").error().to_string(),
            "protocol /one: 0 streams are held, the limit is 0; raise limits.protocols[/one].streams");
  EXPECT_EQ(stream.reserve_memory(5000).error().to_string(),
            "stream: 4096 bytes of memory are held, the limit is 6000; raise p2p.stream_memory");
  EXPECT_EQ(manager.transient().streams, 1u);  // a refused stream stays in its scope
}

TEST(ResourceLimits, ATenthOfTheConnectionsIsReservedForOutboundOnes) {
  ResourceLimits limits;
  limits.system.fds = 20;
  ResourceManager manager(limits);
  std::vector<std::shared_ptr<ConnectionReservation>> held;
  for (int i = 0; i < 18; ++i) held.push_back(*manager.open_connection(Direction::inbound));
  EXPECT_FALSE(manager.open_connection(Direction::inbound));
  for (int i = 0; i < 2; ++i) held.push_back(*manager.open_connection(Direction::outbound));
  const auto refused = manager.open_connection(Direction::outbound);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("20 file descriptors are held, the limit is 20"), std::string::npos);
}

TEST(ResourceLimits, SmallerMemoryLowersEachLimit) {
  const auto limits = ResourceLimits::scaled(64 << 20, 100);
  EXPECT_EQ(limits.system.memory, 64u << 20);
  EXPECT_EQ(limits.connection.memory, 8u << 20);
  EXPECT_EQ(limits.system.fds, 100u);
  EXPECT_EQ(ResourceLimits::scaled(0, 0).system, ResourceLimits{}.system);
  EXPECT_EQ(ResourceLimits::scaled(1ULL << 40, 0).peer, ResourceLimits{}.peer);
}

/// The model: a list of what is held, summed again for each question.
struct Model {
  struct Held {
    bool stream = false;
    Direction direction = Direction::inbound;
    int owner = -1;  // of a stream: its connection
    int peer = 0;    // 0: not proved
    std::string protocol;
    std::uint64_t memory = 0;
  };
  std::map<int, Held> held;

  [[nodiscard]] int peer_of(const Held& h) const { return h.stream ? held.at(h.owner).peer : h.peer; }
  template <class Belongs>
  [[nodiscard]] Amounts sum(Belongs belongs) const {
    Amounts all;
    for (const auto& [number, h] : held) {
      if (!belongs(h)) continue;
      const bool in = h.direction == Direction::inbound;
      if (h.stream) {
        ++all.streams;
        ++(in ? all.streams_inbound : all.streams_outbound);
      } else {
        ++all.connections;
        ++all.fds;
        ++(in ? all.connections_inbound : all.connections_outbound);
      }
      all.memory += h.memory;
    }
    return all;
  }
};

TEST(ResourceLimits, AgreesWithAPlainModelOnRandomOperations) {
  SeededRandom random(5);
  ResourceLimits limits;
  limits.system = {6, 6, 10, 14, 14, 24, 40 * kConnectionMemory, 9};
  limits.transient = {3, 3, 5, 6, 6, 9, kNoLimit, 5};
  limits.peer = {2, 2, 3, 5, 5, 8, kNoLimit, 3};
  limits.connection.streams = 4;
  limits.protocol.streams = 7;
  ResourceManager manager(limits);
  Model model;
  std::map<int, std::shared_ptr<ConnectionReservation>> connections;
  std::map<int, StreamReservation> streams;
  int next = 0;
  const auto pick = [&random](auto& of) {
    auto it = of.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random.below(of.size())));
    return it;
  };
  const auto agree = [&](int step) {
    const auto all = [](const Model::Held&) { return true; };
    const auto transient = [](const Model::Held& h) { return h.stream ? h.protocol.empty() : h.peer == 0; };
    ASSERT_EQ(manager.system(), model.sum(all)) << step;
    ASSERT_EQ(manager.transient(), model.sum(transient)) << step;
    for (int peer = 1; peer < 4; ++peer)
      ASSERT_EQ(manager.peer(id(static_cast<std::uint64_t>(peer))), model.sum([&](const Model::Held& h) {
        return model.peer_of(h) == peer;
      })) << step;
    for (const char* name : {"/a", "/b"})
      ASSERT_EQ(manager.protocol(name), model.sum([&](const Model::Held& h) { return h.protocol == name; })) << step;
    const Amounts system = manager.system(), at_transient = manager.transient();
    ASSERT_TRUE(system.connections <= 10 && system.fds <= 9 && system.streams <= 24 && at_transient.streams <= 9);
  };
  for (int step = 0; step < 5000; ++step) {
    const Direction direction = random.below(2) == 0 ? Direction::inbound : Direction::outbound;
    const auto what = random.below(7);
    if (what <= 1) {
      if (auto opened = manager.open_connection(direction)) {
        connections[++next] = *opened;
        model.held[next] = {false, direction, -1, 0, "", kConnectionMemory};
      }
    } else if (what == 2 && !connections.empty()) {
      const auto it = pick(connections);
      const int peer = 1 + static_cast<int>(random.below(3));
      const bool has_streams = std::ranges::any_of(
          model.held, [&](const auto& h) { return h.second.stream && h.second.owner == it->first; });
      // A connection has a peer before it has streams.
      if (model.held[it->first].peer == 0 && !has_streams && it->second->set_peer(id(static_cast<std::uint64_t>(peer))))
        model.held[it->first].peer = peer;
    } else if (what == 3 && !connections.empty()) {
      const auto it = pick(connections);
      if (model.held[it->first].peer == 0) continue;
      if (auto opened = manager.open_stream(it->second, direction)) {
        streams[++next] = std::move(*opened);
        model.held[next] = {true, direction, it->first, 0, "", kStreamMemory};
      }
    } else if (what == 4 && !streams.empty()) {
      const auto it = pick(streams);
      const std::string name = random.below(2) == 0 ? "/a" : "/b";
      if (model.held[it->first].protocol.empty() && it->second.set_protocol(name))
        model.held[it->first].protocol = name;
      const std::uint64_t more = random.below(kConnectionMemory);
      if (it->second.reserve_memory(more)) model.held[it->first].memory += more;
      Model::Held& owner = model.held[model.held[it->first].owner];
      const auto& connection = connections.find(model.held[it->first].owner)->second;
      if (connection->reserve_memory(more, MemoryScope::Use::required)) owner.memory += more;
      const std::uint64_t less = random.below(owner.memory - kConnectionMemory + 1);
      connection->release_memory(less);
      owner.memory -= less;
    } else if (what == 5 && !streams.empty()) {
      const auto it = pick(streams);
      model.held.erase(it->first);
      streams.erase(it);
    } else if (what == 6 && !connections.empty()) {
      const auto it = pick(connections);
      for (auto s = streams.begin(); s != streams.end();) {
        const bool mine = model.held[s->first].owner == it->first;
        if (mine) model.held.erase(s->first);
        s = mine ? streams.erase(s) : std::next(s);
      }
      model.held.erase(it->first);
      connections.erase(it);
    }
    agree(step);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(manager.refused(Scope::system) + manager.refused(Scope::transient), 0u);
  EXPECT_GT(manager.refused(Scope::peer), 0u);
  streams.clear();
  connections.clear();
  EXPECT_EQ(manager.system(), Amounts{});
  EXPECT_EQ(manager.scopes(), 0u);
}

}  // namespace
}  // namespace dms::libp2p
