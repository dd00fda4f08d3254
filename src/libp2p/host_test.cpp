// Whole hosts in the simulated world: from the raw wire to streams, identify and ping.
#include "libp2p/host.hpp"

#include "base/varint.hpp"
#include "libp2p/multistream/multistream.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

TEST(Host, ConnectsIdentifiesPingsAndEchoes) {
  TwoHosts w(1);
  w.b.host->set_stream_handler("actor/root/messages/0.0.1", echo);
  auto connected = w.connect();
  ASSERT_TRUE(connected) << connected.error().to_string();
  EXPECT_EQ(w.a.host->peers(), std::vector{w.b.id()});

  auto rtt = w.world.run(w.a.node, w.a.host->ping(w.b.id()));
  ASSERT_TRUE(rtt) << rtt.error().to_string();
  EXPECT_GE(*rtt, 10ms);
  EXPECT_LE(*rtt, 20ms);

  ASSERT_TRUE(w.world.run_until([&] { return w.a.host->identify().info(w.b.id()) && w.b.host->identify().info(w.a.id()); }));
  const IdentifyInfo& info = *w.a.host->identify().info(w.b.id());
  EXPECT_EQ(info.public_key, w.b.key.public_key().marshal());
  EXPECT_NE(std::ranges::find(info.protocols, "actor/root/messages/0.0.1"), info.protocols.end());
  EXPECT_NE(std::ranges::find(info.listen_addresses, w.b.address()[0]), info.listen_addresses.end());
  ASSERT_TRUE(info.observed_address);
  EXPECT_EQ(info.observed_address->tcp_endpoint()->address, w.a.node.address());

  Bytes message(1'000'000, 7);
  auto reply = w.world.run(w.a.node, ask(*w.a.host, w.b.id(), "actor/root/messages/0.0.1", message));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(*reply, message);
}

}  // namespace
}  // namespace dms::libp2p
