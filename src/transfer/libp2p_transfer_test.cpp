// Transfers over libp2p between simulated machines, whose links lose, delay and break.
#include <gtest/gtest.h>

#include "network/libp2p_network.hpp"
#include "simulation/sim_world.hpp"
#include "transfer/fetch.hpp"
#include "transfer/server.hpp"
#include "transfer/testing.hpp"

namespace dms::transfer {
namespace {

using testing::TestFolder;

struct Libp2pParty {
  Libp2pParty(SimWorld& world, std::string name)
      : node(world.add_node(std::move(name))),
        network(node.runtime(), crypto::PrivateKey::generate(node.runtime().lane.random())) {
    EXPECT_TRUE(network.listen("/ip4/0.0.0.0/tcp/9000"));
  }
  SimNode& node;
  network::Libp2pNetwork network;
};

struct Libp2pTransferTest : ::testing::Test {
  Libp2pTransferTest() {
    EXPECT_TRUE(server.open());
    EXPECT_TRUE(write_file(dir / "source", content));
    EXPECT_TRUE(world.run(receiver.node, receiver.network.connect(sender.network.listen_addresses().front())));
    world.run_for(1s);
  }
  ~Libp2pTransferTest() override {
    world.run(sender.node, server.close());
    for (Libp2pParty* party : {&sender, &receiver}) world.run(party->node, party->network.close());
  }
  Task<Result<Content>> fetching(Libp2pParty& by) {
    const Content offered = content_of(dir / "source").value();
    const Ticket ticket = server.offer(by.network.self(), dir / "source", offered, 1h).value();
    return fetch(by.network, sender.network.self(), ticket, dir / "got");
  }

  SimWorld world{23};
  Libp2pParty sender{world, "sender"};
  Libp2pParty receiver{world, "receiver"};
  TestFolder dir;
  std::string content = testing::random_text(9 * kMaxChunk + 7);
  Server server{sender.node.runtime().lane, sender.network};
};

TEST_F(Libp2pTransferTest, AFileArrivesWhole) {
  const Result<Content> got = world.run(receiver.node, fetching(receiver));
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(testing::read(dir / "got"), content);
}

TEST_F(Libp2pTransferTest, ANodeFetchesFromItself) {
  const Result<Content> got = world.run(sender.node, fetching(sender));
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(testing::read(dir / "got"), content);
}

TEST_F(Libp2pTransferTest, ALostConnectionIsMadeAgain) {
  world.set_link(SimLink{.bandwidth = 1'300'000});  // 7 s for the file
  int lost = 0;
  std::function<void()> lose = [&] {
    if (++lost > 3) return;
    receiver.network.host().disconnect(sender.network.self());
    receiver.node.runtime().lane.call_at(world.now() + 3s, lose);
  };
  receiver.node.runtime().lane.call_at(world.now() + 2s, lose);
  const Result<Content> got = world.run(receiver.node, fetching(receiver));
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_GE(lost, 2);
  EXPECT_EQ(testing::read(dir / "got"), content);
  EXPECT_LT(server.metrics().bytes.value(), 3 * content.size());
}

TEST_F(Libp2pTransferTest, APartitionIsOutlasted) {
  world.set_link(SimLink{.bandwidth = 1'300'000});
  Lane& lane = receiver.node.runtime().lane;
  lane.call_at(world.now() + 2s, [&] { world.cut(sender.node, receiver.node); });
  lane.call_at(world.now() + 50s, [&] { world.cut(sender.node, receiver.node, false); });
  const Result<Content> got = world.run(receiver.node, fetching(receiver));
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(testing::read(dir / "got"), content);
}

}  // namespace
}  // namespace dms::transfer
