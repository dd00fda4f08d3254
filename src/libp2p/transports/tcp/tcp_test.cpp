#include "libp2p/transports/tcp/tcp.hpp"

#include <deque>

#include "libp2p/testing.hpp"
#include "runtime/real_runtime.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;

/// A Net that records the ends of each connect.
class RecordingNet final : public Net {
 public:
  struct Call {
    std::optional<IpEndpoint> from;
    IpEndpoint to;
  };
  std::vector<Call> calls;
  std::vector<IpAddress> own{*IpAddress::parse("127.0.0.1"), *IpAddress::parse("192.0.2.1")};

  Result<std::unique_ptr<Listener>> listen_tcp(const IpEndpoint& at) override { return std::make_unique<Deaf>(at); }
  Task<Result<Accepted>> connect_tcp(IpEndpoint to) override {
    calls.push_back({std::nullopt, to});
    co_return connected({IpAddress::v4({192, 0, 2, 1}), 54321}, to);
  }
  Task<Result<Accepted>> connect_tcp_from(IpEndpoint local, IpEndpoint to) override {
    calls.push_back({local, to});
    co_return connected(local, to);
  }
  Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string) override {
    co_return fail(Errc::unsupported, "not used by this test");
  }
  Result<std::vector<IpAddress>> interface_addresses() override { return own; }

 private:
  class Deaf final : public Listener {
   public:
    explicit Deaf(IpEndpoint at) : at_(at) {}
    Task<Result<Accepted>> accept() override { co_return fail(Errc::closed, "not used by this test"); }
    [[nodiscard]] IpEndpoint local() const override { return at_; }
    void close() override {}

   private:
    IpEndpoint at_;
  };
  static Accepted connected(IpEndpoint local, IpEndpoint remote) {
    Accepted out;
    out.stream = make_pipe().first;
    out.local = local;
    out.remote = remote;
    return out;
  }
};

/// Upgrades with scripted results, one after another.
class ScriptedUpgrader final : public Upgrader {
 public:
  std::deque<std::optional<Errc>> outcomes;
  Task<Result<Connection>> upgrade(std::unique_ptr<ByteStream>, Side, std::optional<crypto::PeerId> expected) override {
    const std::optional<Errc> outcome = outcomes.empty() ? std::nullopt : outcomes.front();
    if (!outcomes.empty()) outcomes.pop_front();
    if (outcome) co_return fail(*outcome, "scripted");
    Connection connection;
    connection.peer = *expected;
    co_return std::move(connection);
  }
};

struct TcpWorld : LaneWorld {
  RecordingNet net;
  ScriptedUpgrader upgrader;
  TcpTransport tcp{net, upgrader};
  std::vector<std::unique_ptr<TransportListener>> listeners;

  void listen(std::string_view at) { listeners.push_back(*tcp.listen(*Multiaddr::parse(at))); }
  Result<Connection> dial(std::string_view to) {
    return run(tcp.dial(*Multiaddr::parse(to), crypto::PeerId::from(make_key(1).public_key())));
  }
  /// The local end of the last dial.
  std::string source(std::string_view to) {
    net.calls.clear();
    EXPECT_TRUE(dial(to));
    const auto& from = net.calls.at(0).from;
    return from ? from->to_string() : "anywhere";
  }
};

TEST(Tcp, DialsLeaveFromAListenerOfTheirFamily) {
  TcpWorld w;
  EXPECT_EQ(w.source("/ip4/198.51.100.7/tcp/1"), "anywhere");
  w.listen("/ip4/127.0.0.1/tcp/9001");
  EXPECT_EQ(w.source("/ip4/198.51.100.7/tcp/1"), "anywhere");
  EXPECT_EQ(w.source("/ip4/127.0.0.1/tcp/1"), "127.0.0.1:9001");
  w.listen("/ip4/192.0.2.1/tcp/9002");
  EXPECT_EQ(w.source("/ip4/198.51.100.7/tcp/1"), "192.0.2.1:9002");
  w.listen("/ip4/0.0.0.0/tcp/9003");
  EXPECT_EQ(w.source("/ip4/198.51.100.7/tcp/1"), "0.0.0.0:9003");
  EXPECT_EQ(w.source("/ip6/2001:db8::1/tcp/1"), "anywhere");
  w.listen("/ip6/::/tcp/9003");
  EXPECT_EQ(w.source("/ip6/2001:db8::1/tcp/1"), "[::]:9003");
  EXPECT_EQ(w.source("/ip6zone/eth0/ip6/fe80::1/tcp/1"), "[::]:9003");
  w.listeners.clear();
  EXPECT_EQ(w.source("/ip4/198.51.100.7/tcp/1"), "anywhere");
}

TEST(Tcp, ASocketDoesNotDialItself) {
  TcpWorld w;
  w.listen("/ip4/0.0.0.0/tcp/9000");
  EXPECT_EQ(w.source("/ip4/198.51.100.7/tcp/9000"), "0.0.0.0:9000");
  EXPECT_EQ(w.source("/ip4/127.0.0.1/tcp/9000"), "anywhere");
  EXPECT_EQ(w.source("/ip4/0.0.0.0/tcp/9000"), "anywhere");
  EXPECT_EQ(w.source("/ip4/192.0.2.1/tcp/9000"), "anywhere");
}

TEST(Tcp, ASimultaneousOpenIsTriedOnceMoreFromAnyPort) {
  TcpWorld w;
  w.listen("/ip4/0.0.0.0/tcp/9000");
  w.upgrader.outcomes = {Errc::invalid_argument};
  EXPECT_TRUE(w.dial("/ip4/198.51.100.7/tcp/9000"));
  ASSERT_EQ(w.net.calls.size(), 2u);
  EXPECT_TRUE(w.net.calls[0].from);
  EXPECT_FALSE(w.net.calls[1].from);
  // Once only, and not where it cannot help.
  w.upgrader.outcomes = {Errc::invalid_argument, Errc::invalid_argument};
  EXPECT_FALSE(w.dial("/ip4/198.51.100.7/tcp/9000"));
  EXPECT_EQ(w.net.calls.size(), 4u);
  w.upgrader.outcomes = {Errc::permission_denied};
  EXPECT_FALSE(w.dial("/ip4/198.51.100.7/tcp/9000"));
  EXPECT_EQ(w.net.calls.size(), 5u);
  w.listeners.clear();
  w.upgrader.outcomes = {Errc::invalid_argument};
  EXPECT_FALSE(w.dial("/ip4/198.51.100.7/tcp/9000"));
  EXPECT_EQ(w.net.calls.size(), 6u);
}

// ---- on real sockets, on the loopback -------------------------------------------------------------------------------

/// Two hosts on one real runtime. Their close() is awaited in run().
struct RealHosts {
  RealRuntime runtime;
  Host a{runtime.runtime(), make_key(1)};
  Host b{runtime.runtime(), make_key(2)};
  ~RealHosts() {
    runtime.run(a.close());
    runtime.run(b.close());
  }
  /// The address of the other host as `seen_by` sees it.
  static std::optional<IpEndpoint> remote(const Host& seen_by, const Host& of) {
    const auto address = seen_by.remote_address(of.self());
    return address ? address->tcp_endpoint() : std::nullopt;
  }
};

/// The port that the system chose for `host`.
std::uint16_t listen_anywhere(Host& host, const std::string& ip) {
  auto listening = host.listen(*Multiaddr::parse("/" + ip + "/tcp/0"));
  if (!listening) return 0;
  return host.addresses().at(0).tcp_endpoint()->port;
}

TEST(TcpOnRealSockets, ThePeerSeesTheListeningPort) {
  RealHosts w;
  const std::uint16_t port_a = listen_anywhere(w.a, "ip4/127.0.0.1"), port_b = listen_anywhere(w.b, "ip4/127.0.0.1");
  ASSERT_NE(port_a, 0);
  auto connected =
      w.runtime.run(w.a.connect(w.b.self(), {*Multiaddr::parse(fmt::format("/ip4/127.0.0.1/tcp/{}", port_b))}));
  ASSERT_TRUE(connected) << connected.error().to_string();
  ASSERT_TRUE(w.runtime.run(w.a.ping(w.b.self())));
  const auto seen = RealHosts::remote(w.b, w.a);
  ASSERT_TRUE(seen);
  if (seen->port != port_a) GTEST_SKIP() << "skipped: this system does not let a dial share a listener's port";
  // The port is shared with the listener's own dials only: a second program is refused.
  auto second = w.b.listen(*Multiaddr::parse(fmt::format("/ip4/127.0.0.1/tcp/{}", port_a)));
  EXPECT_TRUE(!second && second.error().is(Errc::already_exists));
  // Once more to the same address: the pair of ends is in use, so another port is used.
  w.a.disconnect(w.b.self());
  auto again =
      w.runtime.run(w.a.connect(w.b.self(), {*Multiaddr::parse(fmt::format("/ip4/127.0.0.1/tcp/{}", port_b))}));
  EXPECT_TRUE(again) << again.error().to_string();
}

TEST(TcpOnRealSockets, BothFamiliesOnOnePort) {
  for (const char* loopback : {"/ip4/127.0.0.1", "/ip6/::1"}) {
    RealHosts w;
    const std::uint16_t port = listen_anywhere(w.b, "ip6/::");
    if (port == 0) GTEST_SKIP() << "skipped: this system has no IPv6";
    auto four = w.b.listen(*Multiaddr::parse(fmt::format("/ip4/0.0.0.0/tcp/{}", port)));
    ASSERT_TRUE(four) << four.error().to_string();
    const Multiaddr at = *Multiaddr::parse(fmt::format("{}/tcp/{}", loopback, port));
    auto connected = w.runtime.run(w.a.connect(w.b.self(), {at}));
    ASSERT_TRUE(connected) << connected.error().to_string();
    EXPECT_EQ(w.a.remote_address(w.b.self())->to_string(), at.to_string());
  }
}

TEST(TcpOnRealSockets, ErrorsNameTheCause) {
  RealHosts w;
  const auto text = [&](std::string_view at) {
    auto connected = w.runtime.run(w.a.connect(w.b.self(), {*Multiaddr::parse(at)}));
    return connected ? "connected" : connected.error().to_string();
  };
  EXPECT_NE(text("/ip4/127.0.0.1/tcp/1").find("127.0.0.1:1: Connection refused"), std::string::npos);
  EXPECT_NE(text("/ip6zone/nowhere0/ip6/fe80::1/tcp/1").find("there is no interface 'nowhere0'"), std::string::npos);
  auto foreign = w.a.listen(*Multiaddr::parse("/ip4/192.0.2.1/tcp/0"));
  ASSERT_FALSE(foreign);
  EXPECT_TRUE(foreign.error().is(Errc::not_found)) << foreign.error().to_string();
}

}  // namespace
}  // namespace dms::libp2p
