// Whole hosts in the simulated world: from raw streams to identify and ping.
#include "libp2p/host.hpp"

#include <set>

#include "base/varint.hpp"
#include "libp2p/multistream/multistream.hpp"
#include "libp2p/swarm/upgrader.hpp"
#include "libp2p/testing.hpp"
#include "libp2p/transports/tcp/tcp.hpp"

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

  ASSERT_TRUE(
      w.world.run_until([&] { return w.a.host->identify().info(w.b.id()) && w.b.host->identify().info(w.a.id()); }));
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

TEST(Host, CountsConnectionsStreamsBytesDialsAndRefusals) {
  metrics::Registry registry;
  Host::Options options;
  options.swarm.limits.peer.streams_outbound = 3;
  TwoHosts w(1, {}, options);
  w.a.host->register_metrics(registry);
  w.b.host->set_stream_handler("/echo/1", echo);
  EXPECT_FALSE(w.world.run(w.a.node, w.a.host->connect(w.b.id(), {Multiaddr::tcp({w.b.node.address(), 1})})));
  ASSERT_TRUE(w.connect());
  ASSERT_TRUE(w.world.run_until([&] { return w.a.host->identify().info(w.b.id()) != nullptr; }));
  const Bytes message(100'000, 7);
  ASSERT_TRUE(w.world.run(w.a.node, ask(*w.a.host, w.b.id(), "/echo/1", message)));
  const auto value = [&](const char* name, metrics::Labels labels = {}) {
    return registry.snapshot().value(name, labels).value_or(-1);
  };
  EXPECT_EQ(value("nunet_libp2p_connections"), 1);
  EXPECT_EQ(value("nunet_libp2p_connections_opened_total", {{"direction", "outbound"}}), 1);
  EXPECT_EQ(value("nunet_libp2p_connections_opened_total", {{"direction", "inbound"}}), 0);
  EXPECT_GE(value("nunet_libp2p_streams_opened_total", {{"direction", "outbound"}}), 2) << "identify and echo";
  EXPECT_GE(value("nunet_libp2p_streams_opened_total", {{"direction", "inbound"}}), 1) << "identify";
  EXPECT_GT(value("nunet_libp2p_sent_bytes_total"), 100'000);
  EXPECT_GT(value("nunet_libp2p_received_bytes_total"), 100'000);
  EXPECT_EQ(value("nunet_libp2p_dials_total", {{"outcome", "failed"}}), 1);
  EXPECT_EQ(value("nunet_libp2p_dials_total", {{"outcome", "connected"}}), 1);
  EXPECT_EQ(value("nunet_libp2p_refusals_total", {{"scope", "peer"}}), 0);
  std::vector<std::unique_ptr<Stream>> held;
  for (int i = 0; i < 10; ++i)
    if (auto stream = w.world.run(w.a.node, w.a.host->new_stream(w.b.id(), std::string("/echo/1"))))
      held.push_back(std::move(*stream));
  EXPECT_EQ(value("nunet_libp2p_refusals_total", {{"scope", "peer"}}), 7);
  held.clear();
  w.a.host->disconnect(w.b.id());
  ASSERT_TRUE(w.world.run_until([&] { return value("nunet_libp2p_connections") == 0; }));
  EXPECT_EQ(registry.conflicts(), 0u);
}

TEST(Host, TheSameSeedGivesTheSameRun) {
  const auto fingerprint = [](std::uint64_t seed) {
    TwoHosts w(seed, {.loss = 0.05});
    EXPECT_TRUE(w.connect());
    EXPECT_TRUE(w.world.run(w.a.node, w.a.host->ping(w.b.id())));
    w.close();
    return w.world.trace();
  };
  EXPECT_EQ(fingerprint(3), fingerprint(3));
  EXPECT_NE(fingerprint(3), fingerprint(4));
}

TEST(Host, AWrongPeerIdIsRefusedAndTheErrorNamesThePeer) {
  TwoHosts w(1);
  const crypto::PeerId other = crypto::PeerId::from(make_key(99).public_key());
  auto connected = w.world.run(w.a.node, w.a.host->connect(other, w.b.address()));
  ASSERT_FALSE(connected);
  EXPECT_TRUE(connected.error().is(Errc::permission_denied));
  EXPECT_NE(connected.error().to_string().find(w.b.id().to_string()), std::string::npos)
      << connected.error().to_string();
  EXPECT_TRUE(w.a.host->peers().empty());
  w.world.run_for(1min);
  EXPECT_TRUE(w.b.host->peers().empty());
}

TEST(Host, RefusalsOfConnectAndListen) {
  TwoHosts w(1);
  EXPECT_FALSE(w.world.run(w.a.node, w.a.host->connect(w.a.id(), w.a.address())));
  auto nowhere = w.world.run(w.a.node, w.a.host->connect(w.b.id()));
  ASSERT_FALSE(nowhere);
  EXPECT_TRUE(nowhere.error().is(Errc::not_found));
  auto quic = w.world.run(w.a.node, w.a.host->connect(w.b.id(), {*Multiaddr::parse("/ip4/10.0.0.2/udp/9000/quic-v1")}));
  EXPECT_TRUE(!quic && quic.error().is(Errc::unsupported));
  EXPECT_FALSE(w.a.host->listen(*Multiaddr::parse("/ip4/0.0.0.0/udp/9000/quic-v1")));
  EXPECT_FALSE(w.a.host->listen(*Multiaddr::parse("/ip4/0.0.0.0/tcp/9000")));  // taken
  auto unreachable = w.world.run(w.a.node, w.a.host->connect(w.b.id(), {*Multiaddr::parse("/ip4/10.0.0.77/tcp/1")}));
  EXPECT_FALSE(unreachable);
}

TEST(Host, AnUnknownProtocolIsUnsupported) {
  TwoHosts w(1);
  ASSERT_TRUE(w.connect());
  auto stream = w.world.run(w.a.node, w.a.host->new_stream(w.b.id(), std::string("/unknown/1")));
  ASSERT_FALSE(stream);
  EXPECT_TRUE(stream.error().is(Errc::unsupported)) << stream.error().to_string();
}

TEST(Host, TheFirstSupportedProtocolIsUsed) {
  TwoHosts w(1);
  w.b.host->set_stream_handler("/echo/2", echo);
  ASSERT_TRUE(w.connect());
  auto stream = w.world.run(w.a.node, w.a.host->new_stream(w.b.id(), {"/echo/3", "/echo/2", "/echo/1"}));
  ASSERT_TRUE(stream);
  EXPECT_EQ((*stream)->protocol(), "/echo/2");
  EXPECT_EQ((*stream)->remote_peer(), w.b.id());
}

TEST(Host, OneConnectionIsShared) {
  TwoHosts w(1);
  std::vector<std::optional<Result<void>>> results(5);
  Nursery nursery(w.a.node.runtime().lane, "dials");
  for (auto& result : results) nursery.spawn(keep(w.a.host->connect(w.b.id(), w.b.address()), result));
  w.world.run(w.a.node, nursery.join());
  for (auto& result : results) EXPECT_TRUE(result && *result);
  EXPECT_EQ(w.a.host->connections(), 1u);
  ASSERT_TRUE(w.connect());
  EXPECT_EQ(w.a.host->connections(), 1u);
}

TEST(Host, SimultaneousDialsLeaveOneConnection) {
  int connected = 0, disconnected = 0;
  TwoHosts w(1);
  (void)w.a.host->on_peer_connected([&](const crypto::PeerId&) { ++connected; });
  (void)w.a.host->on_peer_disconnected([&](const crypto::PeerId&) { ++disconnected; });
  std::optional<Result<void>> from_a, from_b;
  Nursery at_a(w.a.node.runtime().lane, "a"), at_b(w.b.node.runtime().lane, "b");
  at_a.spawn(keep(w.a.host->connect(w.b.id(), w.b.address()), from_a));
  at_b.spawn(keep(w.b.host->connect(w.a.id(), w.a.address()), from_b));
  w.world.run(w.a.node, at_a.join());
  w.world.run(w.b.node, at_b.join());
  EXPECT_TRUE(from_a && *from_a && from_b && *from_b);
  w.world.run_for(5min);  // the duplicate connection ends
  EXPECT_TRUE(w.a.host->connected(w.b.id()));
  EXPECT_TRUE(w.world.run(w.a.node, w.a.host->ping(w.b.id())));
  EXPECT_TRUE(w.world.run(w.b.node, w.b.host->ping(w.a.id())));
  EXPECT_EQ(connected, 1);
  EXPECT_EQ(disconnected, 0);
}

TEST(Host, AMessageArrivesIfItsStreamIsDestroyedAfterClosing) {
  Bytes arrived;
  TwoHosts w(1);
  w.b.host->set_stream_handler("actor/x/messages/0.0.1", [&arrived](std::unique_ptr<Stream> stream) {
    return [](std::unique_ptr<Stream> in, Bytes& out) -> Task<void> {
      Result<Bytes> all = co_await read_to_end(*in, 1 << 20);
      if (all) out = std::move(*all);
    }(std::move(stream), arrived);
  });
  ASSERT_TRUE(w.connect());
  w.world.run_for(1s);  // identified: protocols are now proposed lazily
  const auto send = [](Host& host, crypto::PeerId to, Bytes message) -> Task<Result<void>> {
    CO_TRY(std::unique_ptr<Stream> stream, co_await host.new_stream(to, std::string("actor/x/messages/0.0.1")));
    CO_TRY_VOID(co_await stream->write(message));
    co_return co_await stream->close_write();
  };
  ASSERT_TRUE(w.world.run(w.a.node, send(*w.a.host, w.b.id(), Bytes(200'000, 5))));
  w.world.run_for(1s);
  EXPECT_EQ(arrived, Bytes(200'000, 5));
}

struct Deliveries {
  std::size_t whole = 0, running = 0, most = 0;
};

/// Reads a message and stays busy, before or after its stream has ended.
Task<void> take_slowly(std::unique_ptr<Stream> stream, Deliveries& deliveries) {
  deliveries.most = std::max(deliveries.most, ++deliveries.running);
  Result<Bytes> all = co_await read_to_end(*stream, 1000);
  EXPECT_TRUE(all) << all.error().to_string();
  if (all && all->size() == 100) ++deliveries.whole;
  (void)co_await stream->close_write();
  if (deliveries.whole % 2 == 0) stream.reset();
  (void)co_await sleep_for(500ms);
  --deliveries.running;
}

Task<void> send_and_let_go(Host& host, crypto::PeerId to) {
  const Bytes message(100, 5);
  Result<std::unique_ptr<Stream>> stream = co_await host.new_stream(to, std::string("/slow"));
  EXPECT_TRUE(stream) << stream.error().to_string();
  if (!stream) co_return;
  EXPECT_TRUE(co_await (*stream)->write(message));
  EXPECT_TRUE(co_await (*stream)->close_write());
}

/// Three times as many messages at once as a connection has streams, to handlers that outlive their streams.
TEST(Host, MessagesOfASenderThatKeepsItsLimitAreNotRefused) {
  TwoHosts w(1);
  Deliveries deliveries;
  w.b.host->set_stream_handler(
      "/slow", [&](std::unique_ptr<Stream> stream) { return take_slowly(std::move(stream), deliveries); });
  ASSERT_TRUE(w.connect());
  w.world.run_for(1s);  // identified: protocols are now proposed lazily
  Nursery nursery(w.a.node.runtime().lane, "send");
  for (std::size_t i = 0; i < 3 * kMaxStreams; ++i) nursery.spawn(send_and_let_go(*w.a.host, w.b.id()));
  w.world.run(w.a.node, nursery.join());
  w.world.run_for(10s);
  EXPECT_EQ(deliveries.whole, 3 * kMaxStreams);
  EXPECT_EQ(deliveries.running, 0u);
  EXPECT_GT(deliveries.most, kMaxStreams / 2);
  EXPECT_LE(deliveries.most, kMaxStreams);
  for (const Scope scope : {Scope::system, Scope::transient, Scope::protocol, Scope::peer, Scope::connection})
    EXPECT_EQ(w.a.host->resources().refused(scope) + w.b.host->resources().refused(scope), 0u) << to_string(scope);
}

/// The stream ends at once, the handler much later.
Task<void> take_and_be_busy(std::unique_ptr<Stream> stream, Deliveries& deliveries) {
  deliveries.most = std::max(deliveries.most, ++deliveries.running);
  Result<Bytes> all = co_await read_to_end(*stream, 1000);
  if (all && all->size() == 100) ++deliveries.whole;
  (void)co_await stream->close_write();
  stream.reset();
  (void)co_await sleep_for(20s);
  --deliveries.running;
}

/// A host that runs two handlers per connection.
struct BusyHost {
  BusyHost() : peer(world, "busy", 2, options()) {
    peer.host->set_stream_handler(
        "/slow", [this](std::unique_ptr<Stream> stream) { return take_and_be_busy(std::move(stream), deliveries); });
  }
  static Host::Options options() {
    Host::Options options;
    options.swarm.max_streams = 2;
    return options;
  }
  SimWorld world{1};
  Deliveries deliveries;
  Peer peer;
};

TEST(Host, AConnectionThatEndsWhileItsHandlersAreFullIsNoticedAtOnce) {
  BusyHost busy;
  Peer other(busy.world, "other", 1);
  ASSERT_TRUE(other.connect(busy.peer));
  busy.world.run_for(1s);  // identified: protocols are now proposed lazily
  Nursery nursery(other.node.runtime().lane, "send");
  for (int i = 0; i < 4; ++i) {
    nursery.spawn(send_and_let_go(*other.host, busy.peer.id()));
    busy.world.run_for(100ms);
  }
  busy.world.run(other.node, nursery.join());
  EXPECT_EQ(busy.deliveries.running, 2u) << "the third waits for a handler, the fourth to be accepted";
  other.node.kill();
  busy.world.run_for(100ms);
  EXPECT_FALSE(busy.peer.host->connected(other.id()));
  EXPECT_EQ(busy.deliveries.most, 2u);
  other.close();
  busy.peer.close();
}

Task<void> send_raw(Muxer& muxer) {
  const Bytes message(100, 5);
  Result<std::unique_ptr<ByteStream>> stream = co_await muxer.open_stream();
  EXPECT_TRUE(stream);
  if (!stream) co_return;
  const std::unique_ptr<ByteStream> lazy = multistream::propose_lazily(std::move(*stream), "/slow");
  EXPECT_TRUE(co_await lazy->write(message));
  EXPECT_TRUE(co_await lazy->close_write());
}

TEST(Host, AfterGoAwayNoMoreHandlersRunThanBefore) {
  BusyHost busy;
  SimNode& node = busy.world.add_node("other");
  Lane& lane = node.runtime().lane;
  StandardUpgrader upgrader(lane, standard_securities(make_key(1), lane), {"/noise"}, {});
  TcpTransport transport(node.runtime().net, upgrader);
  Result<Connection> connection = busy.world.run(node, transport.dial(busy.peer.address()[0], busy.peer.id()));
  ASSERT_TRUE(connection) << connection.error().to_string();
  busy.world.run_for(1s);
  for (int i = 0; i < 4; ++i) {
    busy.world.run(node, send_raw(*connection->muxer));
    busy.world.run_for(100ms);
  }
  dynamic_cast<yamux::Session&>(*connection->muxer).go_away(yamux::GoAway::normal);
  busy.world.run_for(17s);
  EXPECT_EQ(busy.deliveries.most, 2u);
  busy.world.run_for(1min);
  EXPECT_EQ(busy.deliveries.most, 2u);
  EXPECT_EQ(busy.deliveries.whole, 4u) << "open streams continue to their end";
  busy.world.run(node, connection->muxer->close());
  busy.peer.close();
}

TEST(Host, ALostPeerIsNoticedAndCanReconnect) {
  int disconnected = 0;
  TwoHosts w(1);
  (void)w.a.host->on_peer_disconnected([&](const crypto::PeerId&) { ++disconnected; });
  ASSERT_TRUE(w.connect());
  w.world.cut(w.a.node, w.b.node);
  w.world.run_for(5min);
  EXPECT_EQ(disconnected, 1);
  EXPECT_FALSE(w.a.host->connected(w.b.id()));
  w.world.cut(w.a.node, w.b.node, false);
  EXPECT_TRUE(w.connect());
  EXPECT_TRUE(w.world.run(w.a.node, w.a.host->ping(w.b.id())));
}

TEST(Host, APeerThatConnectsAgainIsNotSoughtOnItsDeadConnection) {
  SimWorld world(1);
  Peer a(world, "a", 1);
  Peer before(world, "before", 2);
  ASSERT_TRUE(before.connect(a));
  world.run_for(5s);
  before.node.power_off();
  Peer after(world, "after", 2);  // the same identity
  ASSERT_TRUE(after.connect(a));
  world.run_for(1s);
  EXPECT_EQ(a.host->connections(), 2u);
  world.run_for(kSignOfLife);
  EXPECT_EQ(a.host->connections(), 1u);
  EXPECT_TRUE(a.host->connected(after.id()));
  EXPECT_TRUE(world.run(a.node, a.host->ping(after.id())));
  for (Peer* peer : {&a, &after, &before}) peer->close();
}

/// A swarm alone, without identify: it knows the addresses that were named and those that it has reached.
TEST(Swarm, KeepsNamedAddressesOfConnectedPeersForATime) {
  SimWorld world(1);
  SimNode& node = world.add_node("a");
  Peer b(world, "b", 2);
  Swarm swarm(node.runtime(), make_key(1));
  const Multiaddr reachable = b.address()[0], unreachable = *Multiaddr::parse("/ip4/10.0.0.77/tcp/1");
  const auto connect = [&](std::vector<Multiaddr> named) {
    return world.run(node, swarm.connect(b.id(), std::move(named)));
  };
  const auto known = [&] {
    const auto valid = swarm.peer_store().addresses(b.id(), world.now());
    return std::set<Multiaddr>(valid.begin(), valid.end());
  };
  EXPECT_FALSE(connect({unreachable}));
  EXPECT_TRUE(known().empty());  // not proved by a connection
  ASSERT_TRUE(connect({reachable, unreachable}));
  EXPECT_EQ(known(), (std::set{reachable, unreachable}));
  const Multiaddr another = reachable.with_peer(b.id()), later = *Multiaddr::parse("/dns4/b.nunet.io/tcp/9000");
  ASSERT_TRUE(connect({another, later}));  // connected already
  EXPECT_EQ(known(), (std::set{reachable, unreachable, later}));
  world.run_for(1h);
  EXPECT_EQ(known().size(), 3u);
  swarm.disconnect(b.id());
  world.run_for(PeerStore::kRecentlyConnected - 1s);
  EXPECT_EQ(known().size(), 3u);
  ASSERT_TRUE(connect({}));
  swarm.disconnect(b.id());
  world.run_for(PeerStore::kRecentlyConnected + 1s);
  EXPECT_TRUE(known().empty());
  EXPECT_TRUE(connect({}).error().is(Errc::not_found));

  // A learned address is dialed while it is valid; one that was reached is kept during the connection and longer.
  swarm.peer_store().add_addresses(b.id(), {reachable, unreachable}, PeerStore::kUnconfirmed, world.now());
  ASSERT_TRUE(connect({}));
  world.run_for(1h);
  EXPECT_EQ(known(), (std::set{reachable}));
  swarm.disconnect(b.id());
  world.run_for(1min);
  EXPECT_TRUE(connect({}));
  world.run(node, swarm.close());
  b.close();
}

TEST(Host, ClosingIsNoticedByThePeer) {
  TwoHosts w(1);
  ASSERT_TRUE(w.connect());
  w.world.run_for(1s);
  w.a.close();
  w.world.run_for(1s);
  EXPECT_FALSE(w.b.host->connected(w.a.id()));
  EXPECT_FALSE(w.connect());
}

TEST(Host, LossyLinksOnlySlowItDown) {
  TwoHosts w(8, {.latency = 20ms, .loss = 0.05});
  w.b.host->set_stream_handler("/echo", echo);
  ASSERT_TRUE(w.connect());
  const Bytes message(300'000, 1);
  auto reply = w.world.run(w.a.node, ask(*w.a.host, w.b.id(), "/echo", message));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(*reply, message);
}

// ---- unauthenticated connections ------------------------------------------------------------------------------------

Task<void> write_some(ByteStream& stream, Bytes bytes) { (void)co_await stream.write(bytes); }

TEST(Host, ASilentInboundConnectionIsClosedInTime) {
  TwoHosts w(1);
  auto stream = w.world.run(w.a.node, connect_raw(w.a.node.runtime().net, w.b.node.address()));
  ASSERT_TRUE(stream);
  w.world.run_for(5s);
  const std::size_t during = w.b.node.open_streams();
  w.world.run_for(10s);
  EXPECT_EQ(w.b.node.open_streams() + 1, during);
}

TEST(Host, UnauthenticatedConnectionsAreBounded) {
  Host::Options options;
  options.swarm.limits.transient.connections_inbound = 8;
  TwoHosts w(1, {}, options);
  std::vector<std::unique_ptr<ByteStream>> crowd;
  for (int i = 0; i < 50; ++i) {
    auto stream = w.world.run(w.a.node, connect_raw(w.a.node.runtime().net, w.b.node.address()));
    if (stream) crowd.push_back(std::move(*stream));
  }
  w.world.run_for(1s);
  EXPECT_LE(w.b.node.open_streams(), 9u);  // the listener and the pending ones
  crowd.clear();
  w.world.run_for(1s);
  EXPECT_TRUE(w.connect());
}

TEST(Host, RandomBytesInsteadOfAHandshakeEndTheConnection) {
  TwoHosts w(1);
  SeededRandom random(2);
  for (int i = 0; i < 50; ++i) {
    auto stream = w.world.run(w.a.node, connect_raw(w.a.node.runtime().net, w.b.node.address()));
    ASSERT_TRUE(stream);
    Bytes bytes = random.below(2) == 0 ? Bytes() : multistream::encode(multistream::kHeader);
    if (random.below(2) == 0) append(bytes, multistream::encode("/noise"));
    append(bytes, random.bytes(random.below(3000)));
    w.world.run(w.a.node, write_some(**stream, std::move(bytes)));
  }
  w.world.run_for(30s);
  EXPECT_TRUE(w.b.host->peers().empty());
  EXPECT_TRUE(w.connect());
}

TEST(Host, PingServesTwoStreamsOfAPeerAtOnce) {
  TwoHosts w(1);
  ASSERT_TRUE(w.connect());
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 4; ++i)
    streams.push_back(*w.world.run(w.a.node, w.a.host->new_stream(w.b.id(), std::string(kPingProtocol))));
  w.world.run_for(1s);
  int served = 0;
  for (auto& stream : streams) {
    const auto once = [](Stream& s) -> Task<Result<void>> {
      Bytes data(Ping::kSize, 1);
      CO_TRY_VOID(co_await s.write(data));
      co_return co_await read_exactly(s, data);
    };
    served += w.world.run(w.a.node, once(*stream)) ? 1 : 0;
  }
  EXPECT_EQ(served, 2);
}

}  // namespace
}  // namespace dms::libp2p
