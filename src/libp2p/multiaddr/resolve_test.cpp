#include "libp2p/multiaddr/resolve.hpp"

#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using Texts = std::vector<std::string>;

constexpr std::string_view kA = "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN";
constexpr std::string_view kB = "QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb";

struct ResolveWorld : testing::LaneWorld {
  SimNames& names = world.names();

  Result<std::vector<Multiaddr>> find(std::string_view text, ResolveOptions options = {}) {
    return run(resolve(node.runtime().net, *Multiaddr::parse(text), std::move(options)));
  }
  /// The results as texts, or the error as the only one.
  Texts texts(std::string_view text, ResolveOptions options = {}) {
    auto found = find(text, std::move(options));
    if (!found) return {found.error().to_string()};
    Texts out;
    for (const Multiaddr& address : *found) out.push_back(address.to_string());
    return out;
  }
};

TEST(Resolve, HostsByFamily) {
  ResolveWorld w;
  w.names.hosts["nunet.io"] = {*IpAddress::parse("192.0.2.7"), *IpAddress::parse("2001:db8::7")};
  EXPECT_EQ(w.texts("/dns4/nunet.io/tcp/443/wss"), (Texts{"/ip4/192.0.2.7/tcp/443/wss"}));
  EXPECT_EQ(w.texts("/dns6/nunet.io/udp/1/quic-v1"), (Texts{"/ip6/2001:db8::7/udp/1/quic-v1"}));
  EXPECT_EQ(w.texts("/dns/NuNet.IO/tcp/1"), (Texts{"/ip4/192.0.2.7/tcp/1", "/ip6/2001:db8::7/tcp/1"}));
  EXPECT_EQ(w.texts("/ip4/192.0.2.9/tcp/1"), (Texts{"/ip4/192.0.2.9/tcp/1"}));
  EXPECT_TRUE(w.find("/dns4/unknown.example/tcp/1").error().is(Errc::not_found));
}

// The example of the DNSADDR page of multiformats/multiaddr.
TEST(Resolve, ResolvesTheBootstrapListOfIpfs) {
  ResolveWorld w;
  const auto link = [](std::string_view host, std::string_view peer) {
    return fmt::format("dnsaddr=/dnsaddr/{}.bootstrap.libp2p.io/tcp/4001/p2p/{}", host, peer);
  };
  w.names.texts["_dnsaddr.bootstrap.libp2p.io"] = {link("sjc-1", kA), link("ams-2", kB)};
  w.names.texts["_dnsaddr.sjc-1.bootstrap.libp2p.io"] = {
      fmt::format("dnsaddr=/ip6/2604:1380:1000:6000::1/tcp/4001/p2p/{}", kA),
      fmt::format("dnsaddr=/ip4/147.75.69.143/tcp/4001/p2p/{}", kA)};
  w.names.texts["_dnsaddr.ams-2.bootstrap.libp2p.io"] = {fmt::format("dnsaddr=/ip4/147.75.83.83/tcp/4001/p2p/{}", kB)};
  const std::string six = fmt::format("/ip6/2604:1380:1000:6000::1/tcp/4001/p2p/{}", kA);
  const std::string four = fmt::format("/ip4/147.75.69.143/tcp/4001/p2p/{}", kA);
  EXPECT_EQ(w.texts(fmt::format("/dnsaddr/bootstrap.libp2p.io/p2p/{}", kA)), (Texts{six, four}));
  EXPECT_EQ(w.names.queries, 2u);  // the other peer's name was not looked up
  EXPECT_EQ(w.texts("/dnsaddr/bootstrap.libp2p.io"),
            (Texts{six, four, fmt::format("/ip4/147.75.83.83/tcp/4001/p2p/{}", kB)}));
}

TEST(Resolve, HostNamesInTextsAreResolvedToo) {
  ResolveWorld w;
  w.names.hosts["am6.libp2p.io"] = {*IpAddress::parse("192.0.2.1")};
  w.names.texts["_dnsaddr.x"] = {"dnsaddr=/dns4/am6.libp2p.io/tcp/1", "dnsaddr=/dns4/am6.libp2p.io/tcp/443/wss",
                                 "dnsaddr=/ip4/192.0.2.1/tcp/1"};
  ResolveOptions options;
  options.wanted = [](const Multiaddr& address) { return address.tcp_endpoint().has_value(); };
  EXPECT_EQ(w.texts("/dnsaddr/x", options), (Texts{"/ip4/192.0.2.1/tcp/1"}));  // once, though two names lead there
  EXPECT_EQ(w.names.queries, 2u);  // wss is not supported, so that host was not looked up again
  auto useless = w.find("/dns4/am6.libp2p.io/tcp/443/wss", options);
  EXPECT_TRUE(!useless && useless.error().is(Errc::unsupported));
}

TEST(Resolve, UnrelatedRecordsAreSkipped) {
  ResolveWorld w;
  w.names.texts["_dnsaddr.x"] = {"v=spf1 -all",
                                 "dnsaddr=",
                                 "dnsaddr=nonsense",
                                 "dnsaddr=/ip4/1.2.3/tcp/1",
                                 "DNSADDR=/ip4/1.2.3.4/tcp/1",
                                 " dnsaddr=/ip4/1.2.3.4/tcp/1",
                                 std::string("dnsaddr=/ip4/1.2.3.4\0/tcp/1", 27),
                                 "dnsaddr=/" + std::string(10'000, 'a'),
                                 fmt::format("dnsaddr=/ip4/1.2.3.4/tcp/1/p2p/{}", kB),
                                 fmt::format("dnsaddr=/ip4/5.6.7.8/tcp/1/p2p/{}", kA)};
  EXPECT_EQ(w.texts(fmt::format("/dnsaddr/x/p2p/{}", kA)), (Texts{fmt::format("/ip4/5.6.7.8/tcp/1/p2p/{}", kA)}));
  w.names.texts["_dnsaddr.y"] = {"dnsaddr=/ip4/5.6.7.8/tcp/1"};
  auto none = w.find(fmt::format("/dnsaddr/y/p2p/{}", kA));
  EXPECT_TRUE(!none && none.error().is(Errc::not_found));
}

TEST(Resolve, LoopsEnd) {
  ResolveWorld w;
  w.names.texts["_dnsaddr.me"] = {"dnsaddr=/dnsaddr/me", "dnsaddr=/dnsaddr/me/"};
  EXPECT_FALSE(w.find("/dnsaddr/me"));
  EXPECT_EQ(w.names.queries, 1u);
  w.names.texts["_dnsaddr.a"] = {"dnsaddr=/dnsaddr/b"};
  w.names.texts["_dnsaddr.b"] = {"dnsaddr=/dnsaddr/a", "dnsaddr=/ip4/1.2.3.4/tcp/1"};
  EXPECT_EQ(w.texts("/dnsaddr/a"), (Texts{"/ip4/1.2.3.4/tcp/1"}));
  EXPECT_EQ(w.names.queries, 3u);
}

TEST(Resolve, DepthIsBounded) {
  ResolveWorld w;
  for (int i = 0; i < 9; ++i)
    w.names.texts[fmt::format("_dnsaddr.n{}", i)] = {fmt::format("dnsaddr=/dnsaddr/n{}", i + 1)};
  auto deep = w.find("/dnsaddr/n0");
  ASSERT_FALSE(deep);
  EXPECT_TRUE(deep.error().is(Errc::limit_exceeded)) << deep.error().to_string();
  EXPECT_EQ(w.names.queries, 3u);
  w.names.texts["_dnsaddr.n2"] = {"dnsaddr=/ip4/1.2.3.4/tcp/1"};
  EXPECT_TRUE(w.find("/dnsaddr/n0"));
}

TEST(Resolve, WidthIsBounded) {
  ResolveWorld w;
  // Each name leads to 60 others: 3 levels would be 3,600 queries and more.
  const auto fan = [&w](std::string name) {
    for (int i = 0; i < 60; ++i)
      w.names.texts["_dnsaddr." + name].push_back(fmt::format("dnsaddr=/dnsaddr/{}{}", name, i));
  };
  fan("a");
  for (int i = 0; i < 60; ++i) fan(fmt::format("a{}", i));
  auto wide = w.find("/dnsaddr/a");
  ASSERT_FALSE(wide);
  EXPECT_TRUE(wide.error().is(Errc::limit_exceeded));
  EXPECT_EQ(w.names.queries, 16u);
  for (int i = 0; i < 64; ++i) w.names.texts["_dnsaddr.full"].push_back(fmt::format("dnsaddr=/dns4/h/tcp/{}", i + 1));
  for (int i = 0; i < 64; ++i) w.names.hosts["h"].push_back(IpAddress::v4({1, 2, 3, static_cast<std::uint8_t>(i)}));
  EXPECT_EQ(w.find("/dnsaddr/full")->size(), 64u);
  EXPECT_EQ(w.names.queries, 18u);
}

TEST(Resolve, SilentServersAreTimedOut) {
  ResolveWorld w;
  w.names.silent = {"_dnsaddr.x"};
  SteadyTime begin = w.world.now();
  auto silent = w.find("/dnsaddr/x");
  EXPECT_TRUE(!silent && silent.error().is(Errc::deadline_exceeded));
  EXPECT_EQ(w.world.now() - begin, 5s);
  // One silent server among many: the other answers count. Many silent ones: the total is bounded too.
  for (int i = 0; i < 10; ++i) {
    w.names.silent.insert(fmt::format("h{}", i));
    w.names.texts["_dnsaddr.y"].push_back(fmt::format("dnsaddr=/dns4/h{}/tcp/1", i));
  }
  begin = w.world.now();
  EXPECT_FALSE(w.find("/dnsaddr/y"));
  EXPECT_EQ(w.world.now() - begin, 20s);
  w.names.texts["_dnsaddr.y"].push_back("dnsaddr=/ip4/1.2.3.4/tcp/1");
  EXPECT_EQ(w.texts("/dnsaddr/y"), (Texts{"/ip4/1.2.3.4/tcp/1"}));
}

TEST(Resolve, CanBeCancelled) {
  ResolveWorld w;
  w.names.silent = {"x"};
  Nursery nursery(w.lane(), "test");
  std::optional<Result<std::vector<Multiaddr>>> result;
  nursery.spawn(testing::keep(resolve(w.node.runtime().net, *Multiaddr::parse("/dns4/x/tcp/1")), result));
  w.world.run_for(1s);
  w.run(nursery.close());
  ASSERT_TRUE(result && !*result);
  EXPECT_TRUE(result->error().is(Errc::cancelled));
}

TEST(Resolve, ANameTooLongForItsTextRecord) {
  ResolveWorld w;
  auto long_name = w.find("/dnsaddr/" + std::string(250, 'a'));
  EXPECT_TRUE(!long_name && long_name.error().is(Errc::invalid_argument));
  EXPECT_EQ(w.names.queries, 0u);
}

}  // namespace
}  // namespace dms::libp2p
