// Whole hosts in the simulated world: from the raw wire to streams, identify and ping.
#include "libp2p/host.hpp"

#include <gtest/gtest.h>

#include "base/sim_runtime.hpp"
#include "base/varint.hpp"
#include "libp2p/multistream/multistream.hpp"

namespace dms::libp2p {
namespace {

constexpr std::uint16_t kPort = 9000;

struct Peer {
  SimNode& node;
  crypto::PrivateKey key;
  std::unique_ptr<Host> host;

  Peer(SimWorld& world, const std::string& name, std::uint64_t seed, Host::Options options = {})
      : node(world.add_node(name)), key(make_key(seed)) {
    host = std::make_unique<Host>(node.runtime(), key, options);
    EXPECT_TRUE(host->listen(*Multiaddr::parse("/ip4/0.0.0.0/tcp/9000")));
  }
  static crypto::PrivateKey make_key(std::uint64_t seed) {
    SeededRandom random(seed);
    return crypto::PrivateKey::generate(random);
  }
  [[nodiscard]] crypto::PeerId id() const { return host->self(); }
  [[nodiscard]] std::vector<Multiaddr> address() const { return {Multiaddr::tcp({node.address(), kPort})}; }
};

struct World {
  explicit World(std::uint64_t seed, SimLink link = {}, Host::Options options = {})
      : world(seed, link), a(world, "a", 1, options), b(world, "b", 2, options) {}
  ~World() { close(); }
  void close() {
    if (std::exchange(closed, true)) return;
    world.run(a.node, a.host->close());
    world.run(b.node, b.host->close());
    world.run_for(5s);
    EXPECT_EQ(a.node.open_streams(), 0u);
    EXPECT_EQ(b.node.open_streams(), 0u);
  }
  Result<void> connect() { return world.run(a.node, a.host->connect(b.id(), b.address())); }

  SimWorld world;
  Peer a;
  Peer b;
  bool closed = false;
};

Task<void> echo(std::unique_ptr<Stream> stream) {
  Bytes buffer(16 * 1024);
  for (;;) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) break;
  }
  (void)co_await stream->close_write();
}

Task<void> send_all(ByteStream& stream, Bytes bytes) {
  (void)co_await stream.write(bytes);
  (void)co_await stream.close_write();
}

Task<Result<Bytes>> ask(Host& host, crypto::PeerId peer, std::string protocol, Bytes message) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await host.new_stream(peer, std::move(protocol)));
  Nursery nursery(host.runtime().lane, "ask");
  nursery.spawn(send_all(*stream, std::move(message)));
  Result<Bytes> reply = co_await read_to_end(*stream, 64 << 20);
  co_await nursery.close();
  co_return std::move(reply);
}

TEST(Host, ConnectsIdentifiesPingsAndEchoes) {
  World w(1);
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
