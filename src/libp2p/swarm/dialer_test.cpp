// The dialer over a scripted transport, in virtual time.
#include "libp2p/swarm/dialer.hpp"

#include <map>
#include <set>

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

/// A connection that counts how it ends.
class CountedMuxer final : public Muxer {
 public:
  explicit CountedMuxer(int& closed) : closed_(closed) {}
  Task<Result<std::unique_ptr<ByteStream>>> open_stream() override {
    co_return fail(Errc::unsupported, "not used by this test");
  }
  Task<Result<std::unique_ptr<ByteStream>>> accept_stream() override {
    co_return fail(Errc::unsupported, "not used by this test");
  }
  [[nodiscard]] std::size_t streams() const override { return 0; }
  [[nodiscard]] bool closing() const override { return false; }
  void on_end(Callback) override {}
  void count_memory_in(std::shared_ptr<MemoryScope>) override {}
  void abort() override {}
  void prove_alive(Duration) override {}
  Task<void> close() override {
    ++closed_;
    co_return;
  }

 private:
  int& closed_;
};

/// The result of one address and its duration. `unstoppable` finishes even if it is cancelled, as a handshake does
/// whose last message has just arrived.
struct Script {
  Duration takes{};
  std::optional<Errc> fails;
  bool unstoppable = false;
  bool refused_here = false;  ///< if it fails: by a local rule
};

class ScriptedTransport final : public Transport {
 public:
  std::map<Multiaddr, Script> scripts;
  std::vector<std::pair<Multiaddr, SteadyTime>> tried;
  std::set<Multiaddr> cancelled;
  std::size_t running = 0, most = 0;
  int made = 0, closed = 0;

  [[nodiscard]] bool handles(const Multiaddr& address) const override { return address.tcp_endpoint().has_value(); }
  Result<std::unique_ptr<TransportListener>> listen(const Multiaddr&) override {
    return fail(Errc::unsupported, "not used by this test");
  }
  Task<Result<Connection>> dial(Multiaddr address, crypto::PeerId peer) override {
    const TaskContext context = co_await this_task();
    tried.emplace_back(address, context.lane->now());
    most = std::max(most, ++running);
    const auto it = scripts.find(address);
    const Script script = it == scripts.end() ? Script{.takes = 1h} : it->second;
    Result<void> slept = co_await sleep_for(script.takes);
    --running;
    if (!slept && !script.unstoppable) {
      cancelled.insert(address);
      co_return std::unexpected(slept.error());
    }
    if (script.fails) {
      Error error(*script.fails, "scripted");
      co_return std::unexpected(script.refused_here ? refused_here(error) : error);
    }
    ++made;
    Connection connection;
    connection.peer = peer;
    connection.remote = address;
    connection.muxer = std::make_unique<CountedMuxer>(closed);
    co_return std::move(connection);
  }
};

struct DialWorld : LaneWorld, Dialer::Owner {
  explicit DialWorld(DialOptions options = {}) : dialer(node.runtime(), *this, std::move(options)) {}
  ~DialWorld() override { run(dialer.close()); }

  [[nodiscard]] Transport* transport_for(const Multiaddr& address) const override {
    return transport.handles(address) ? const_cast<ScriptedTransport*>(&transport) : nullptr;
  }
  Result<void> add_connection(Connection connection) override {
    if (full) return fail(Errc::limit_exceeded, "full");
    added.push_back(std::move(connection));
    return {};
  }
  [[nodiscard]] bool usable_connection(const crypto::PeerId& peer) const override {
    return std::ranges::any_of(added, [&](const Connection& c) { return c.peer == peer; });
  }

  static Multiaddr at(const std::string& text) { return *Multiaddr::parse(text); }
  static crypto::PeerId peer(std::uint64_t seed = 1) { return crypto::PeerId::from(make_key(seed).public_key()); }
  static std::vector<Multiaddr> all(std::vector<std::string> texts) {
    std::vector<Multiaddr> out;
    for (const std::string& text : texts) out.push_back(at(text));
    return out;
  }
  Result<void> dial(std::vector<std::string> named, std::vector<std::string> known = {}) {
    return run(dialer.dial(peer(), all(std::move(named)), all(std::move(known))));
  }
  Duration started(std::size_t attempt) { return transport.tried.at(attempt).second - SteadyTime(); }

  ScriptedTransport transport;
  bool full = false;
  std::vector<Connection> added;
  Dialer dialer;
};

const std::string kFirst = "/ip6/2001:db8::1/tcp/1", kSecond = "/ip4/1.2.3.4/tcp/1", kThird = "/ip4/1.2.3.4/tcp/2";

TEST(Dialer, ABlackHoledFirstAddressCostsOneStep) {
  DialWorld w;
  w.transport.scripts[w.at(kSecond)] = {.takes = 100ms};
  ASSERT_TRUE(w.dial({kFirst, kSecond, kThird}));
  EXPECT_EQ(w.world.now() - SteadyTime(), 350ms);
  ASSERT_EQ(w.transport.tried.size(), 2u);  // the third would have started at 500 ms
  EXPECT_EQ(w.transport.tried[0].first, w.at(kFirst));
  EXPECT_EQ(w.started(1), 250ms);
  w.world.run_for(1s);
  EXPECT_TRUE(w.transport.cancelled.contains(w.at(kFirst)));
  EXPECT_EQ(w.transport.running, 0u);
  EXPECT_EQ(w.added.size(), 1u);
}

TEST(Dialer, NamedAndKnownAddressesAreRankedTogether) {
  DialWorld w;
  w.transport.scripts[w.at(kFirst)] = {.takes = 100ms};
  w.transport.scripts[w.at(kSecond)] = {.takes = 1ms};
  ASSERT_TRUE(w.dial({kFirst}, {kSecond, kFirst}));
  EXPECT_EQ(w.added[0].remote, w.at(kFirst));
  EXPECT_EQ(w.transport.tried.size(), 1u);
}

TEST(Dialer, AFailureStartsTheNextAttemptAtOnce) {
  DialWorld w;
  w.transport.scripts[w.at(kFirst)] = {.takes = 10ms, .fails = Errc::io};
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::io};
  w.transport.scripts[w.at(kThird)] = {.takes = 10ms};
  ASSERT_TRUE(w.dial({kFirst, kSecond, kThird}));
  EXPECT_EQ(w.world.now() - SteadyTime(), 30ms);
}

TEST(Dialer, ASecondConnectionIsClosed) {
  DialWorld w;
  w.transport.scripts[w.at(kFirst)] = {.takes = 300ms, .unstoppable = true};
  w.transport.scripts[w.at(kSecond)] = {.takes = 50ms, .unstoppable = true};
  ASSERT_TRUE(w.dial({kFirst, kSecond}));
  w.world.run_for(1s);
  EXPECT_EQ(w.transport.made, 2);
  EXPECT_EQ(w.added.size(), 1u);
  EXPECT_EQ(w.transport.closed, 1);
}

TEST(Dialer, TheErrorNamesEveryAddressWithItsReason) {
  DialWorld w;
  w.transport.scripts[w.at(kFirst)] = {.takes = 10ms, .fails = Errc::permission_denied};
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::io};
  w.transport.scripts[w.at(kThird)] = {.fails = Errc::permission_denied};
  auto dialed = w.dial({"/ip4/1.2.3.4/udp/1/quic-v1", kFirst, kSecond, kThird, "/ip4/1.2.3.4/tcp/9"});
  ASSERT_FALSE(dialed);
  const std::string text = dialed.error().to_string();
  EXPECT_TRUE(dialed.error().is(Errc::permission_denied)) << text;
  EXPECT_TRUE(dialed.error().is(DialErrc::unreachable)) << text;
  for (const std::string& part :
       {std::string("/ip4/1.2.3.4/udp/1/quic-v1: no transport handles it"), kFirst + ": scripted",
        kSecond + ": scripted", kThird + ": scripted", std::string("/ip4/1.2.3.4/tcp/9: the operation ran out of time"),
        std::string("all 5 addresses failed")})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in: " << text;
  EXPECT_EQ(w.world.now() - SteadyTime(), 15s + 20ms);  // the last one ran into its timeout
  auto unsupported = w.dial({"/ip4/1.2.3.4/udp/1/quic-v1"});
  EXPECT_TRUE(!unsupported && unsupported.error().is(Errc::unsupported));
  auto nothing = w.dial({});
  EXPECT_TRUE(!nothing && nothing.error().is(Errc::not_found));
}

TEST(Dialer, TheWholeDialHasATimeout) {
  DialWorld w({.attempt_timeout = 10s, .peer_timeout = 12s, .max_attempts_per_peer = 1});
  auto dialed = w.dial({"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.4/tcp/3"});
  ASSERT_FALSE(dialed);
  EXPECT_EQ(w.world.now() - SteadyTime(), 12s);
  EXPECT_TRUE(dialed.error().is(Errc::deadline_exceeded));
  EXPECT_NE(dialed.error().to_string().find("/ip4/1.2.3.4/tcp/3: it was not tried in time"), std::string::npos);
  EXPECT_EQ(w.transport.running, 0u);
}

TEST(Dialer, AFailedAddressIsNotTriedUnlessItIsNamedAgain) {
  DialWorld w;
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::io};
  ASSERT_FALSE(w.dial({}, {kSecond}));
  auto again = w.dial({}, {kSecond});
  ASSERT_FALSE(again);
  const std::string text = again.error().to_string();
  EXPECT_NE(text.find("not tried again yet"), std::string::npos) << text;
  w.world.run_for(2s);
  again = w.dial({}, {kSecond});
  EXPECT_EQ(again ? "" : again.error().to_string(), text) << "it stays true where it is kept";
  EXPECT_EQ(w.transport.tried.size(), 1u);
  ASSERT_FALSE(w.dial({kSecond}));  // named: tried, and failed again
  EXPECT_EQ(w.transport.tried.size(), 2u);
  w.world.run_for(6s);
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms};
  EXPECT_TRUE(w.dial({}, {kSecond}));
}

TEST(Dialer, TheAddressesOfAPeerThatConnectsAreTriedAgain) {
  DialWorld w;
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::io};
  for (int failures = 0; failures < 20; ++failures) ASSERT_FALSE(w.dial({kSecond}));
  w.world.run_for(1min);
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms};
  ASSERT_FALSE(w.dial({}, {kSecond})) << "for minutes";
  Connection inbound;
  inbound.peer = w.peer();
  inbound.muxer = std::make_unique<CountedMuxer>(w.transport.closed);
  ASSERT_TRUE(w.add_connection(std::move(inbound)));
  w.dialer.connection_changed(w.peer());
  w.added.clear();  // the connection ends
  EXPECT_TRUE(w.dial({}, {kSecond}));
}

TEST(Dialer, AnAddressThatIsLearnedIsTriedWhileOthersAreNot) {
  DialWorld w;
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::io};
  w.transport.scripts[w.at(kThird)] = {.takes = 10ms};
  ASSERT_FALSE(w.dial({}, {kSecond}));
  EXPECT_TRUE(w.dial({}, {kSecond, kThird}));
  ASSERT_EQ(w.transport.tried.size(), 2u);
  EXPECT_EQ(w.transport.tried[1].first, w.at(kThird));
}

TEST(Dialer, ALocalRefusalIsNotAFailureOfTheAddress) {
  DialWorld w;
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::permission_denied, .refused_here = true};
  for (std::size_t dials = 1; dials <= 3; ++dials) {
    const auto dialed = w.dial({}, {kSecond});
    ASSERT_FALSE(dialed);
    EXPECT_TRUE(dialed.error().is(Errc::permission_denied));  // the caller gets the reason
    EXPECT_TRUE(dialed.error().to_string().ends_with(kSecond + ": scripted")) << dialed.error().to_string();
    EXPECT_EQ(w.transport.tried.size(), dials);
  }
  // Nor does it clear earlier failures of the address.
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::io};
  ASSERT_FALSE(w.dial({}, {kSecond}));
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms, .fails = Errc::permission_denied, .refused_here = true};
  ASSERT_FALSE(w.dial({kSecond}));
  ASSERT_FALSE(w.dial({}, {kSecond}));
  EXPECT_EQ(w.transport.tried.size(), 5u);  // the last one was not tried
}

TEST(Dialer, TheDialEndsWithItsLastCaller) {
  DialWorld w;
  Nursery one(w.lane(), "one"), two(w.lane(), "two");
  std::optional<Result<void>> first, second;
  one.spawn(keep(w.dialer.dial(w.peer(), w.all({kFirst}), {}), first));
  two.spawn(keep(w.dialer.dial(w.peer(), w.all({kFirst}), {}), second));
  w.world.run_for(1s);
  EXPECT_EQ(w.transport.tried.size(), 1u);
  w.run(one.close());
  ASSERT_TRUE(first && !*first && first->error().is(Errc::cancelled));
  EXPECT_EQ(w.transport.running, 1u);
  w.run(two.close());
  ASSERT_TRUE(second && !*second && second->error().is(Errc::cancelled));
  w.world.run_for(1ms);
  EXPECT_EQ(w.transport.running, 0u);
  EXPECT_TRUE(w.transport.cancelled.contains(w.at(kFirst)));
  // A new dial starts over; the cancellation was not a failure.
  w.transport.scripts[w.at(kFirst)] = {.takes = 10ms};
  EXPECT_TRUE(w.dial({}, {kFirst}));
}

TEST(Dialer, CanBeCancelledBeforeItBegins) {
  DialWorld w;
  Nursery nursery(w.lane(), "test");
  std::optional<Result<void>> result;
  nursery.spawn(keep(w.dialer.dial(w.peer(), w.all({kSecond}), {}), result));
  nursery.cancel();
  w.run(nursery.join());
  ASSERT_TRUE(result && !*result);
  w.world.run_for(1min);
  EXPECT_EQ(w.transport.running, 0u);
}

TEST(Dialer, AddressesNamedLaterJoinTheDial) {
  DialWorld w;
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms};
  Nursery nursery(w.lane(), "test");
  std::optional<Result<void>> first;
  nursery.spawn(keep(w.dialer.dial(w.peer(), w.all({kFirst}), {}), first));
  w.world.run_for(1s);
  ASSERT_TRUE(w.dial({kSecond}));
  w.run(nursery.join());
  EXPECT_TRUE(first && *first);
  EXPECT_EQ(w.added.size(), 1u);
}

TEST(Dialer, AnInboundConnectionEndsTheWaitingButNotTheAttempt) {
  DialWorld w;
  w.transport.scripts[w.at(kFirst)] = {.takes = 2s};
  Nursery nursery(w.lane(), "test");
  std::optional<Result<void>> result;
  nursery.spawn(keep(w.dialer.dial(w.peer(), w.all({kFirst, kSecond, kThird}), {}), result));
  w.world.run_for(100ms);
  Connection inbound;
  inbound.peer = w.peer();
  inbound.muxer = std::make_unique<CountedMuxer>(w.transport.closed);
  ASSERT_TRUE(w.add_connection(std::move(inbound)));
  w.dialer.connection_changed(w.peer());
  w.world.run_for(1ms);
  ASSERT_TRUE(result && *result);
  w.world.run_for(1min);
  EXPECT_EQ(w.transport.tried.size(), 1u);     // no further address
  EXPECT_TRUE(w.transport.cancelled.empty());  // the attempt under way continued
  EXPECT_EQ(w.added.size(), 2u);
}

TEST(Dialer, HundredsAtOnceAreBoundedAndAllDialed) {
  DialWorld w({.max_attempts = 20, .max_attempts_per_peer = 4});
  std::vector<std::optional<Result<void>>> results(300);
  Nursery nursery(w.lane(), "test");
  for (std::size_t i = 0; i < results.size(); ++i) {
    std::vector<Multiaddr> addresses;
    for (int k = 0; k < 3; ++k)
      addresses.push_back(Multiaddr::tcp({IpAddress::v4({1, 2, static_cast<std::uint8_t>(i), 1}),
                                          static_cast<std::uint16_t>(1000 + i * 3 + static_cast<unsigned>(k))}));
    w.transport.scripts[addresses[0]] = {.takes = 20ms, .fails = Errc::io};
    w.transport.scripts[addresses[1]] = {.takes = 100ms};
    nursery.spawn(keep(w.dialer.dial(w.peer(1000 + i), addresses, {}), results[i]));
  }
  w.run(nursery.join());
  for (const auto& result : results) EXPECT_TRUE(result && *result);
  EXPECT_EQ(w.transport.most, 20u);
  w.world.run_for(1s);
  EXPECT_EQ(w.dialer.attempts(), 0u);
  EXPECT_EQ(w.transport.running, 0u);
  EXPECT_EQ(w.added.size(), 300u);
}

TEST(Dialer, PeersAboveTheLimitAreRefusedAndExtraAddressesIgnored) {
  DialWorld w({.max_peers = 2, .max_addresses = 4});
  Nursery nursery(w.lane(), "test");
  std::vector<std::optional<Result<void>>> results(3);
  for (std::size_t i = 0; i < 3; ++i) {
    std::vector<Multiaddr> addresses;
    for (int port = 1; port < 100; ++port) addresses.push_back(w.at(fmt::format("/ip4/1.2.3.4/tcp/{}", port)));
    nursery.spawn(keep(w.dialer.dial(w.peer(i + 1), addresses, {}), results[i]));
  }
  w.world.run_for(5s);
  EXPECT_EQ(w.transport.tried.size(), 8u);
  ASSERT_TRUE(results[2] && !*results[2]);
  EXPECT_TRUE(results[2]->error().is(Errc::limit_exceeded));
  w.run(nursery.close());
}

TEST(Dialer, ARejectedConnectionIsAFailureButNotOfTheAddress) {
  DialWorld w;
  w.full = true;
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms};
  auto dialed = w.dial({kSecond});
  ASSERT_FALSE(dialed);
  EXPECT_NE(dialed.error().to_string().find(kSecond + ": full"), std::string::npos);
  w.full = false;
  EXPECT_TRUE(w.dial({}, {kSecond}));
}

TEST(Dialer, ClosingEndsEveryDial) {
  DialWorld w;
  Nursery nursery(w.lane(), "test");
  std::optional<Result<void>> result;
  nursery.spawn(keep(w.dialer.dial(w.peer(), w.all({kFirst, kSecond}), {}), result));
  w.world.run_for(1s);
  w.run(w.dialer.close());
  w.run(nursery.join());
  ASSERT_TRUE(result && !*result);
  EXPECT_TRUE(result->error().is(Errc::closed)) << result->error().to_string();
  EXPECT_EQ(w.transport.running, 0u);
  auto later = w.dial({kSecond});
  EXPECT_TRUE(!later && later.error().is(Errc::closed));
}

// ---- names ----------------------------------------------------------------------------------------------------------

TEST(Dialer, NamesAreResolvedWhileAddressesAreTried) {
  DialWorld w;
  w.world.names().hosts["nunet.io"] = {*IpAddress::parse("1.2.3.4")};
  w.world.names().silent = {"silent.io"};
  w.transport.scripts[w.at(kSecond)] = {.takes = 100ms};
  ASSERT_TRUE(w.dial({kFirst, "/dns4/silent.io/tcp/1", "/dns4/nunet.io/tcp/1"}));
  EXPECT_EQ(w.world.now() - SteadyTime(), 120ms);  // an answer of the name server, then the connection
  EXPECT_EQ(w.added[0].remote, w.at(kSecond));
  w.world.run_for(1min);
  EXPECT_EQ(w.transport.running, 0u);
}

TEST(Dialer, ANameWhoseAddressesAreTooManyIsAnError) {
  DialWorld w({.max_addresses = 1});
  w.world.names().hosts["nunet.io"] = {*IpAddress::parse("1.2.3.4")};
  auto dialed = w.dial({"/dns4/nunet.io/tcp/1"});
  EXPECT_TRUE(!dialed && dialed.error().is(Errc::limit_exceeded));
}

TEST(Dialer, OnlyTheRecordsOfThePeerCount) {
  DialWorld w;
  w.world.names().texts["_dnsaddr.boot.nunet.io"] = {"dnsaddr=/ip4/9.9.9.9/tcp/1/p2p/" + w.peer(2).to_string(),
                                                     "dnsaddr=" + kSecond + "/p2p/" + w.peer().to_string()};
  w.transport.scripts[w.at(kSecond)] = {.takes = 10ms};
  w.transport.scripts[w.at("/ip4/9.9.9.9/tcp/1")] = {.takes = 1ms};
  ASSERT_TRUE(w.dial({"/dnsaddr/boot.nunet.io"}));
  ASSERT_EQ(w.transport.tried.size(), 1u);
  EXPECT_EQ(w.transport.tried[0].first, w.at(kSecond));
}

TEST(Dialer, NamesThatDoNotResolveAreReportedAndBackedOff) {
  DialWorld w;
  auto dialed = w.dial({}, {"/dns4/unknown.example/tcp/1", "/dns4/unknown.example/tcp/2/wss"});
  ASSERT_FALSE(dialed);
  const std::string text = dialed.error().to_string();
  EXPECT_TRUE(dialed.error().is(Errc::not_found)) << text;
  EXPECT_NE(text.find("/dns4/unknown.example/tcp/1: "), std::string::npos) << text;
  EXPECT_NE(text.find("/dns4/unknown.example/tcp/2/wss: "), std::string::npos) << text;
  EXPECT_EQ(w.world.names().queries, 1u);  // no transport for the second
  ASSERT_FALSE(w.dial({}, {"/dns4/unknown.example/tcp/1"}));
  EXPECT_EQ(w.world.names().queries, 1u);
  ASSERT_FALSE(w.dial({"/dns4/unknown.example/tcp/1"}));
  EXPECT_EQ(w.world.names().queries, 2u);
}

// ---- between whole hosts --------------------------------------------------------------------------------------------

TEST(DialerOfAHost, ABlackHoleBesideAReachableAddress) {
  TwoHosts w(1);
  std::vector<Multiaddr> addresses{*Multiaddr::parse("/ip4/10.0.0.77/tcp/1")};  // tried first: a lower port
  addresses.push_back(w.b.address()[0]);
  const SteadyTime begin = w.world.now();
  ASSERT_TRUE(w.world.run(w.a.node, w.a.host->connect(w.b.id(), addresses)));
  EXPECT_LT(w.world.now() - begin, 100ms);
  EXPECT_EQ(w.a.host->remote_address(w.b.id()), w.b.address()[0]);
  w.world.run_for(1s);
  EXPECT_EQ(w.a.host->connections(), 1u);
  EXPECT_EQ(w.b.host->connections(), 1u);
}

TEST(DialerOfAHost, DialsAboveTheLimitWait) {
  Host::Options options;
  options.swarm.limits.transient.connections_outbound = 3;
  SimWorld world(1);
  Peer hub(world, "hub", 100, options);
  std::vector<std::unique_ptr<Peer>> others;
  std::vector<std::optional<Result<void>>> results(12);
  Nursery nursery(hub.node.runtime().lane, "test");
  for (std::uint64_t i = 0; i < results.size(); ++i) {
    others.push_back(std::make_unique<Peer>(world, "peer" + std::to_string(i), i + 1));
    nursery.spawn(keep(hub.host->connect(others.back()->id(), others.back()->address()), results[i]));
  }
  world.run(hub.node, nursery.join());
  for (const auto& result : results) EXPECT_TRUE(result && *result);
  EXPECT_EQ(hub.host->resources().refused(Scope::transient), 0u);
  for (const auto& other : others) other->close();
  hub.close();
}

/// A local limit is not a failure of the address.
TEST(DialerOfAHost, LocalLimitsAreNotFailuresOfAnAddress) {
  Host::Options options;
  options.swarm.limits.system.connections = 1;
  SimWorld world(1);
  Peer hub(world, "hub", 100, options), one(world, "one", 1), other(world, "other", 2);
  const auto connect = [&](const Peer& peer, std::vector<Multiaddr> at) {
    return world.run(hub.node, hub.host->connect(peer.id(), std::move(at)));
  };
  const auto part = [&](const Peer& peer) {
    hub.host->disconnect(peer.id());
    world.run_for(1s);
  };
  ASSERT_TRUE(connect(other, other.address()));
  part(other);
  ASSERT_TRUE(connect(one, one.address()));
  const auto refused = connect(other, {});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::limit_exceeded)) << refused.error().to_string();
  part(one);
  const auto connected = connect(other, {});
  EXPECT_TRUE(connected) << connected.error().to_string();
  for (Peer* peer : {&hub, &one, &other}) peer->close();
}

TEST(DialerOfAHost, TheDefaultBootstrapPeersCanBeResolved) {
  TwoHosts w(1);
  const std::string suffix = "/p2p/" + w.b.id().to_string();
  w.world.names().hosts["boot-1.nunet.io"] = {w.b.node.address()};
  w.world.names().texts["_dnsaddr.bootstrap.p2p.nunet.io"] = {
      "dnsaddr=/ip4/10.0.0.77/udp/9000/quic-v1" + suffix, "dnsaddr=/dnsaddr/boot-1.nunet.io" + suffix,
      "dnsaddr=/ip4/10.0.0.78/tcp/9000/p2p/" + w.a.id().to_string()};
  w.world.names().texts["_dnsaddr.boot-1.nunet.io"] = {"dnsaddr=/dns4/boot-1.nunet.io/tcp/9000" + suffix};
  auto to = PeerAddress::parse("/dnsaddr/bootstrap.p2p.nunet.io" + suffix);
  ASSERT_TRUE(to);
  auto connected = w.world.run(w.a.node, w.a.host->connect(*to));
  ASSERT_TRUE(connected) << connected.error().to_string();
  EXPECT_EQ(w.a.host->remote_address(w.b.id()), w.b.address()[0]);
}

TEST(DialerOfAHost, BothDialAtOnceOverManySeedsAndStayConnected) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    TwoHosts w(seed, {.latency = 40ms, .jitter = 30ms});
    std::optional<Result<void>> from_a, from_b;
    Nursery at_a(w.a.node.runtime().lane, "a"), at_b(w.b.node.runtime().lane, "b");
    at_a.spawn(keep(w.a.host->connect(w.b.id(), w.b.address()), from_a));
    at_b.spawn(keep(w.b.host->connect(w.a.id(), w.a.address()), from_b));
    w.world.run(w.a.node, at_a.join());
    w.world.run(w.b.node, at_b.join());
    EXPECT_TRUE(from_a && *from_a && from_b && *from_b);
    w.world.run_for(5min);
    EXPECT_EQ(w.a.host->connections(), 1u) << seed;
    EXPECT_EQ(w.b.host->connections(), 1u) << seed;
    EXPECT_TRUE(w.world.run(w.a.node, w.a.host->ping(w.b.id())));
  }
}

}  // namespace
}  // namespace dms::libp2p
