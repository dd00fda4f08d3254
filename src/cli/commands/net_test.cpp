// nunet net in a simulated network, against a host of the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/framework/fake_environment.hpp"
#include "libp2p/host.hpp"
#include "libp2p/protocols/perf/perf.hpp"

namespace dms::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

struct NetTest : testing::Test {
  NetTest() : node(world.network.add_node("other")), host(node.runtime(), key()) {
    EXPECT_TRUE(host.listen(*libp2p::Multiaddr::parse("/ip4/0.0.0.0/tcp/9000")));
    address = host.addresses().front().to_string();
  }
  ~NetTest() override { world.network.run(node, host.close()); }
  static crypto::PrivateKey key() {
    SeededRandom random(7);
    return crypto::PrivateKey::generate(random);
  }
  CommandResult nunet(std::vector<std::string> words) {
    words.insert(words.begin(), "net");
    return run_in(world, words);
  }
  json::Value answer(std::vector<std::string> words) {
    words.emplace_back("--json");
    const auto result = nunet(std::move(words));
    EXPECT_EQ(result.code, 0) << result.err;
    auto value = json::parse(result.out);
    EXPECT_TRUE(value) << result.out;
    return value.value_or(json::Value());
  }

  FakeEnvironment world;
  SimNode& node;
  libp2p::Host host;
  std::string address;
};

TEST_F(NetTest, DialPrintsTheHandshakeTimeAndTheNegotiatedProtocols) {
  const auto result = nunet({"dial", address});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr(host.self().to_string()));
  const auto value = answer({"dial", address});
  EXPECT_EQ(value.at("peer").as_string(), host.self().to_string());
  EXPECT_GE(value.at("handshake_ms").to_number<double>(), 20);  // two round trips at least
  EXPECT_LE(value.at("handshake_ms").to_number<double>(), 100);
  EXPECT_TRUE(value.at("security").is_string());
  EXPECT_TRUE(value.at("muxer").is_string());
}

TEST_F(NetTest, TheDialerChoosesTheSecurityProtocol) {
  EXPECT_EQ(answer({"dial", "--security", "tls", address}).at("security").as_string(), "/tls/1.0.0");
  EXPECT_EQ(answer({"dial", "--security", "noise", address}).at("security").as_string(), "/noise");
  EXPECT_EQ(answer({"dial", "--security", "tls", "--security", "noise", address}).at("security").as_string(),
            "/tls/1.0.0");
  const auto unknown = nunet({"dial", "--security", "plaintext", address});
  EXPECT_NE(unknown.code, 0);
  EXPECT_THAT(unknown.err, HasSubstr("expected noise or tls"));
}

TEST_F(NetTest, PingCountsAndMeasures) {
  const auto value = answer({"ping", "-n", "3", address});
  EXPECT_EQ(value.at("sent").to_number<int>(), 3);
  EXPECT_EQ(value.at("received").to_number<int>(), 3);
  ASSERT_EQ(value.at("rtt_ms").as_array().size(), 3u);
  for (const auto& rtt : value.at("rtt_ms").as_array()) {
    EXPECT_GE(rtt.to_number<double>(), value.at("min_ms").to_number<double>());
    EXPECT_LE(rtt.to_number<double>(), value.at("max_ms").to_number<double>());
  }
  EXPECT_GE(value.at("min_ms").to_number<double>(), 10);
  const auto result = nunet({"ping", address});
  EXPECT_EQ(std::ranges::count(result.out, '\n'), 5) << result.out;  // four lines and the summary
}

TEST_F(NetTest, AnInterruptedPingPrintsItsSummary) {
  world.time_limit = 10s;
  const auto result = nunet({"ping", "-n", "0", "-i", "1s", address});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("10 sent, 10 received"));
}

TEST_F(NetTest, IdentifyPrintsThePeersMessageEscaped) {
  host.set_stream_handler("/evil/\x1b[31m", nullptr);
  host.set_stream_handler("/evil/\u009b2J\u202e", nullptr);
  const auto value = answer({"identify", address});
  EXPECT_EQ(value.at("peer").as_string(), host.self().to_string());
  EXPECT_THAT(std::string(value.at("agent").as_string()), HasSubstr("nunet/"));
  EXPECT_THAT(json::write_pretty(value.at("protocols")), HasSubstr("/ipfs/ping/1.0.0"));
  EXPECT_GT(value.at("signed_record_seq").to_number<std::uint64_t>(), 0u);
  const auto result = nunet({"identify", address});
  EXPECT_THAT(result.out, HasSubstr("signed by the peer"));
  EXPECT_THAT(result.out, HasSubstr("/evil/\\x1b[31m"));
  EXPECT_THAT(result.out, HasSubstr("/evil/\\u009b2J\\u202e"));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
}

TEST_F(NetTest, IdentifyReportsAtOnceThatAPeerDoesNotAnswer) {
  host.remove_stream_handler(std::string(libp2p::kIdentifyProtocol));
  const SteadyTime start = node.runtime().lane.now();
  const auto result = nunet({"identify", address});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("/ipfs/id/1.0.0"));
  EXPECT_LT(node.runtime().lane.now() - start, 1s);
}

TEST_F(NetTest, PerfMeasuresBothDirectionsAndReportsPeersWithoutIt) {
  auto refused = nunet({"perf", address});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--perf"));
  libp2p::PerfServer server(host);
  const auto value = answer({"perf", "--upload", "100k", "--download", "1Mi", address});
  EXPECT_EQ(value.at("upload").at("bytes").to_number<int>(), 100'000);
  EXPECT_EQ(value.at("download").at("bytes").to_number<int>(), 1 << 20);
  EXPECT_GT(value.at("download").at("mbit_per_s").to_number<double>(), 0);
  for (const char* size : {"x", "1T", "-1", "1.5M", "", "99999999999999999999", "99999999999G"})
    EXPECT_EQ(nunet({"perf", "--upload", size, address}).code, 2) << size;
}

TEST_F(NetTest, ListenPrintsItsAddressesAndEndsWithZero) {
  world.time_limit = 5s;
  const auto result = nunet({"listen", "--address", "/ip4/0.0.0.0/tcp/4001", "--perf"});
  EXPECT_EQ(result.code, 0) << result.err;
  const std::string first = result.out.substr(0, result.out.find('\n'));
  EXPECT_THAT(first, HasSubstr("/tcp/4001/p2p/12D3KooW"));
  EXPECT_TRUE(libp2p::PeerAddress::parse(first));
  EXPECT_THAT(result.err, HasSubstr("Ctrl-C"));
  EXPECT_EQ(nunet({"listen", "-a", "/ip4/0.0.0.0/udp/4001/quic-v1"}).code, 1);
}

/// Pings the listener at the address that the next node of the simulation gets.
Task<void> connect_and_ping(libp2p::Host& from, crypto::PeerId peer, std::optional<Result<Duration>>& rtt) {
  (void)co_await sleep_for(1s);
  libp2p::PeerAddress to{peer, *libp2p::Multiaddr::parse("/ip4/10.0.0.2/tcp/4001")};
  const Result<void> connected = co_await from.connect(std::move(to));
  Result<Duration> measured = co_await from.ping(peer);
  rtt.emplace(connected ? measured : std::unexpected(connected.error()));
}

TEST_F(NetTest, AListenerReportsInboundConnections) {
  const std::string did = run_in(world, {"key", "new", "me"}).out;
  ASSERT_FALSE(did.empty());
  world.time_limit = 5s;
  std::optional<Result<Duration>> rtt;
  Nursery nursery(node.runtime().lane, "dialer");
  auto opened = crypto::Keystore(world.home / ".nunet" / "key", {}).load("me", crypto::Secret(std::string("secret")));
  ASSERT_TRUE(opened) << opened.error().to_string();
  nursery.spawn(connect_and_ping(host, crypto::PeerId::from(opened->public_key()), rtt));
  const auto result = nunet({"listen", "--key", "me", "-a", "/ip4/0.0.0.0/tcp/4001"});
  EXPECT_EQ(result.code, 0) << result.err;
  ASSERT_TRUE(rtt);
  EXPECT_TRUE(*rtt) << rtt->error().to_string();
  EXPECT_THAT(result.err, HasSubstr("connected     " + host.self().to_string()));
  world.network.run(node, nursery.join());
}

TEST_F(NetTest, TheKeyFlagSetsTheIdentity) {
  ASSERT_EQ(run_in(world, {"key", "new", "me"}).code, 0);
  world.time_limit = 1s;
  const auto one = nunet({"listen", "--key", "me"});
  const auto two = nunet({"listen", "--key", "me"});
  const auto generated = nunet({"listen"});
  const auto peer = [](const CommandResult& result) { return result.out.substr(result.out.find("/p2p/"), 30); };
  EXPECT_EQ(peer(one), peer(two));
  EXPECT_NE(peer(one), peer(generated));
  EXPECT_NE(nunet({"listen", "--key", "without_peer_id"}).code, 0);
}

TEST_F(NetTest, UnreachablePeersAreErrorsWithTheReason) {
  EXPECT_EQ(nunet({"dial", "/ip4/10.0.0.1/tcp/1/p2p/" + host.self().to_string()}).code, 1);
  const auto without_peer_id = nunet({"dial", "/ip4/10.0.0.1/tcp/9000"});
  EXPECT_NE(without_peer_id.code, 0);
  EXPECT_THAT(without_peer_id.err, HasSubstr("/p2p/"));
  SeededRandom random(99);
  const auto other = crypto::PeerId::from(crypto::PrivateKey::generate(random).public_key());
  const auto wrong = nunet({"dial", "/ip4/10.0.0.1/tcp/9000/p2p/" + other.to_string()});
  EXPECT_NE(wrong.code, 0);
  EXPECT_THAT(wrong.err, HasSubstr(host.self().to_string()));
}

}  // namespace
}  // namespace dms::cli
