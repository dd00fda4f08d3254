#include "libp2p/swarm/connection_gater.hpp"

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

TEST(Subnet, ContainsTheAddressesOfItsMask) {
  const auto contains = [](std::string_view subnet, std::string_view ip) {
    return Subnet::parse(subnet)->contains(*IpAddress::parse(ip));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(contains("192.0.2.128/25", "192.0.2.200"));
  EXPECT_FALSE(contains("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.7"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(contains("192.0.2.1", "192.0.2.1"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(contains("10.0.0.0/8", "::ffff:10.1.2.3"));  // the same host in IPv6 notation
}

TEST(Subnet, MalformedSubnetsAreRefused) {
  for (const char* text : {"", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.1/8", "::/129", "x/8"})
    EXPECT_FALSE(Subnet::parse(text)) << text;
  EXPECT_EQ(Subnet::parse("10.0.0.0/8")->to_string(), "10.0.0.0/8");
}

/// A gater that records its calls.
class Witness final : public ConnectionGater {
 public:
  Result<void> dial(const crypto::PeerId&, const Multiaddr& address) override {
    dialed.push_back(address);
    return note("dial");
  }
  Result<void> accept(const Multiaddr&) override { return note("accept"); }
  Result<void> secured(Side, const crypto::PeerId&, const Multiaddr&) override { return note("secured"); }
  Result<void> upgraded(const Connection& connection) override {
    EXPECT_NE(connection.muxer, nullptr);
    return note("upgraded");
  }
  Result<void> note(const std::string& step) {
    called.push_back(step);
    if (step == refuse) return fail(Errc::permission_denied, "refused when {}", step);
    return {};
  }
  std::vector<std::string> called;
  std::vector<Multiaddr> dialed;
  std::string refuse;
};

struct Gated {
  explicit Gated(const std::string& refuse_a = "", const std::string& refuse_b = "") : world(1) {
    at_a->refuse = refuse_a;
    at_b->refuse = refuse_b;
    Host::Options options;
    options.swarm.gater = at_a;
    a = std::make_unique<Peer>(world, "a", 1, options);
    options.swarm.gater = at_b;
    b = std::make_unique<Peer>(world, "b", 2, options);
  }
  ~Gated() {
    a->close();
    b->close();
    world.run_for(5s);
    EXPECT_EQ(a->node.open_streams() + b->node.open_streams(), 0u);
    EXPECT_EQ(a->host->resources().system(), Amounts{});
    EXPECT_EQ(b->host->resources().system(), Amounts{});
  }
  SimWorld world;
  std::shared_ptr<Witness> at_a = std::make_shared<Witness>();
  std::shared_ptr<Witness> at_b = std::make_shared<Witness>();
  std::unique_ptr<Peer> a;
  std::unique_ptr<Peer> b;
};

TEST(ConnectionGater, IsCalledAtEachStep) {
  Gated w;
  ASSERT_TRUE(w.a->connect(*w.b));
  w.world.run_for(1s);
  EXPECT_EQ(w.at_a->called, (std::vector<std::string>{"dial", "secured", "upgraded"}));
  EXPECT_EQ(w.at_b->called, (std::vector<std::string>{"accept", "secured", "upgraded"}));
}

/// However often an address is named, also by a DNS name; a name itself is not checked.
TEST(ConnectionGater, IsCalledOncePerDialOfAnAddress) {
  Gated w;
  w.world.names().hosts["b.nunet.io"] = {w.b->node.address()};
  const Multiaddr reachable = w.b->address()[0], unreachable = *Multiaddr::parse("/ip4/10.0.0.77/tcp/1");
  const Multiaddr name = *Multiaddr::parse("/dns4/b.nunet.io/tcp/9000"),
                  unsupported = *Multiaddr::parse("/ip4/1.2.3.4/udp/1");
  const std::vector<Multiaddr> all{
      unreachable, reachable, name, reachable, unsupported, unreachable, reachable.with_peer(w.b->id())};
  ASSERT_TRUE(w.world.run(w.a->node, w.a->host->connect(w.b->id(), all)));
  w.world.run_for(1min);
  EXPECT_EQ(std::ranges::count(w.at_a->dialed, reachable), 1);
  EXPECT_LE(std::ranges::count(w.at_a->dialed, unreachable), 1);
  EXPECT_EQ(w.at_a->dialed.size(), static_cast<std::size_t>(std::ranges::count(w.at_a->called, "dial")));
  for (const Multiaddr& address : w.at_a->dialed)
    EXPECT_TRUE(address == reachable || address == unreachable) << address.to_string();

  // A dial that fails calls it once per address, and the next dial again.
  w.a->host->disconnect(w.b->id());
  w.world.run_for(1min);
  w.at_a->dialed.clear();
  w.at_a->refuse = "dial";
  for (int dials = 1; dials <= 2; ++dials) {
    EXPECT_FALSE(w.world.run(w.a->node, w.a->host->connect(w.b->id(), {reachable, unreachable})));
    EXPECT_EQ(std::ranges::count(w.at_a->dialed, reachable), dials);
    EXPECT_EQ(std::ranges::count(w.at_a->dialed, unreachable), dials);
  }
  EXPECT_EQ(w.at_b->dialed, std::vector<Multiaddr>());  // a listener does not dial
}

TEST(ConnectionGater, TheDialersRefusalNamesTheReasonAndHoldsNoResources) {
  for (const std::string step : {"dial", "secured", "upgraded"}) {
    Gated w(step);
    const auto connected = w.a->connect(*w.b);
    ASSERT_FALSE(connected) << step;
    EXPECT_TRUE(connected.error().is(Errc::permission_denied));
    EXPECT_NE(connected.error().to_string().find("refused when " + step), std::string::npos);
    w.world.run_for(2min);
    EXPECT_TRUE(w.b->host->peers().empty());
  }
}

/// The address has not failed: once the gater allows it, it is dialed at once.
TEST(ConnectionGater, TheDialersRefusalIsNotAFailureOfTheAddress) {
  for (const std::string step : {"dial", "secured", "upgraded"}) {
    Gated w;
    const auto connect_by_id = [&w] { return w.world.run(w.a->node, w.a->host->connect(w.b->id(), {})); };
    ASSERT_TRUE(w.a->connect(*w.b));
    w.a->host->disconnect(w.b->id());
    w.world.run_for(1s);
    w.at_a->refuse = step;
    const auto refused = connect_by_id();
    ASSERT_FALSE(refused) << step;
    EXPECT_TRUE(refused.error().is(Errc::permission_denied)) << refused.error().to_string();
    w.at_a->refuse.clear();
    const auto connected = connect_by_id();
    EXPECT_TRUE(connected) << step << ": " << connected.error().to_string();
  }
}

TEST(ConnectionGater, TheListenersRefusalClosesTheConnection) {
  for (const std::string step : {"accept", "secured", "upgraded"}) {
    Gated w("", step);
    (void)w.a->connect(*w.b);  // may seem to succeed until the listener has closed it
    w.world.run_for(2min);
    EXPECT_TRUE(w.a->host->peers().empty()) << step;
    EXPECT_TRUE(w.b->host->peers().empty()) << step;
  }
}

TEST(DenyList, RefusesPeersAndSubnetsUntilTheyAreAllowed) {
  auto list = std::make_shared<DenyList>();
  Host::Options options;
  options.swarm.gater = list;
  TwoHosts w(1, {}, options);
  list->deny(w.b.id());
  auto connected = w.connect();
  ASSERT_FALSE(connected);
  EXPECT_NE(connected.error().to_string().find("deny list"), std::string::npos) << connected.error().to_string();
  list->allow(w.b.id());
  const Subnet subnet = *Subnet::parse("10.0.0.0/8");
  list->deny(subnet);
  connected = w.connect();
  ASSERT_FALSE(connected);
  EXPECT_NE(connected.error().to_string().find("10.0.0.0/8"), std::string::npos);
  list->allow(subnet);
  EXPECT_TRUE(w.connect());
}

}  // namespace
}  // namespace dms::libp2p
