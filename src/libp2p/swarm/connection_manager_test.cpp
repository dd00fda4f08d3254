#include "libp2p/swarm/connection_manager.hpp"

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

/// One host in the middle that many others dial.
struct Star {
  explicit Star(ConnectionManagerOptions options) : world(1), hub(world, "hub", 1000, with(options)) {
    manager = &hub.host->connection_manager();
  }
  static Host::Options with(ConnectionManagerOptions connections) {
    Host::Options options;
    options.connections = connections;
    return options;
  }
  ~Star() {
    hub.close();
    for (auto& peer : others) peer->close();
  }
  Peer& dial_in() {
    const std::uint64_t number = others.size() + 1;
    others.push_back(std::make_unique<Peer>(world, "peer" + std::to_string(number), number));
    EXPECT_TRUE(others.back()->connect(hub));
    world.run_for(1s);
    return *others.back();
  }
  void dial_in(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) dial_in();
  }
  [[nodiscard]] bool has(std::size_t number) const { return hub.host->connected(others[number - 1]->id()); }

  SimWorld world;
  Peer hub;
  ConnectionManager* manager = nullptr;
  std::vector<std::unique_ptr<Peer>> others;
};

ConnectionManagerOptions marks(std::size_t low, std::size_t high, Duration grace = 20s) {
  ConnectionManagerOptions options;
  options.low = low;
  options.high = high;
  options.grace = grace;
  return options;
}

TEST(ConnectionManager, AboveHighTheLatestOfEqualPeersAreDisconnectedDownToLow) {
  Star star(marks(3, 6, 1s));
  star.dial_in(6);
  star.world.run_for(1min);
  EXPECT_EQ(star.hub.host->peers().size(), 6u);  // not above high
  star.dial_in();
  star.world.run_for(1min);
  EXPECT_EQ(star.hub.host->peers().size(), 4u);
  for (std::size_t i : {1, 2, 3, 7}) EXPECT_TRUE(star.has(i)) << i;
}

TEST(ConnectionManager, WeightAndProtectionCount) {
  Star star(marks(2, 4, 1s));
  star.dial_in(4);
  ASSERT_TRUE(star.manager->tag(star.others[3]->id(), "useful", 10));
  ASSERT_TRUE(star.manager->tag(star.others[0]->id(), "slow", -5));
  ASSERT_TRUE(star.manager->protect(star.others[2]->id(), "bootstrap"));
  star.dial_in();
  star.world.run_for(1min);
  EXPECT_EQ(star.hub.host->peers().size(), 3u);
  for (std::size_t i : {3, 4, 5}) EXPECT_TRUE(star.has(i)) << i;
}

TEST(ConnectionManager, NoPeerIsDisconnectedWithinTheGracePeriod) {
  Star star(marks(1, 2, 1h));
  star.dial_in(5);
  star.world.run_for(30min);
  EXPECT_EQ(star.hub.host->peers().size(), 5u);
  star.world.run_for(31min);
  EXPECT_EQ(star.hub.host->peers().size(), 1u);
}

TEST(ConnectionManager, ProtectionIsByTag) {
  Star star(marks(1, 2));
  const crypto::PeerId peer = star.dial_in().id();
  ASSERT_TRUE(star.manager->protect(peer, "a"));
  ASSERT_TRUE(star.manager->protect(peer, "b"));
  star.manager->unprotect(peer, "a");
  EXPECT_TRUE(star.manager->is_protected(peer));
  star.manager->unprotect(peer, "b");
  EXPECT_FALSE(star.manager->is_protected(peer));
  ASSERT_TRUE(star.manager->tag(peer, "x", 3));
  ASSERT_TRUE(star.manager->tag(peer, "x", 5));
  ASSERT_TRUE(star.manager->tag(peer, "y", -1));
  EXPECT_EQ(star.manager->weight(peer), 4);
  star.manager->untag(peer, "x");
  EXPECT_EQ(star.manager->weight(peer), -1);
  for (std::size_t i = 1; i < ConnectionManager::kMaxTags; ++i)
    ASSERT_TRUE(star.manager->tag(peer, std::to_string(i), 1));
  EXPECT_FALSE(star.manager->tag(peer, "one too many", 1));
}

TEST(ConnectionManager, ZeroDisconnectsNoPeer) {
  Star star(marks(0, 0, 0s));
  star.dial_in(5);
  star.world.run_for(5min);
  EXPECT_EQ(star.hub.host->peers().size(), 5u);
}

}  // namespace
}  // namespace dms::libp2p
