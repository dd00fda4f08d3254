#include "libp2p/swarm/dial_ranker.hpp"

#include <gtest/gtest.h>

#include "libp2p/swarm/dial_backoff.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using Plan = std::vector<std::pair<std::string, int>>;  // address, delay in ms

Plan rank(std::vector<std::string> texts) {
  std::vector<Multiaddr> addresses;
  for (const std::string& text : texts) addresses.push_back(*Multiaddr::parse(text));
  Plan plan;
  for (const RankedAddress& one : rank_addresses(std::move(addresses)))
    plan.emplace_back(one.address.to_string(), static_cast<int>(one.delay / 1ms));
  return plan;
}

TEST(DialRanker, NothingToRank) { EXPECT_TRUE(rank({}).empty()); }

TEST(DialRanker, Ip6FirstThenOneIp4ThenTheRest) {
  EXPECT_EQ(
      rank({"/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.5/tcp/1", "/ip6/1::2/tcp/9", "/ip6/1::3/tcp/8"}),
      (Plan{
          {"/ip6/1::3/tcp/8", 0}, {"/ip4/1.2.3.5/tcp/1", 250}, {"/ip6/1::2/tcp/9", 500}, {"/ip4/1.2.3.4/tcp/2", 500}}));
}

TEST(DialRanker, OneFamilyHasTwoRounds) {
  EXPECT_EQ(rank({"/ip4/1.2.3.4/tcp/3", "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2"}),
            (Plan{{"/ip4/1.2.3.4/tcp/1", 0}, {"/ip4/1.2.3.4/tcp/2", 250}, {"/ip4/1.2.3.4/tcp/3", 250}}));
}

TEST(DialRanker, QuicBeforeTcp) {
  EXPECT_EQ(rank({"/ip4/1.2.3.4/tcp/2", "/ip6/1::2/tcp/1", "/ip4/1.2.3.5/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1",
                  "/ip6/1::2/udp/1/quic-v1", "/ip4/1.2.3.4/udp/2/quic-v1"}),
            (Plan{{"/ip6/1::2/udp/1/quic-v1", 0},
                  {"/ip4/1.2.3.4/udp/1/quic-v1", 250},
                  {"/ip4/1.2.3.4/udp/2/quic-v1", 500},
                  {"/ip6/1::2/tcp/1", 750},
                  {"/ip4/1.2.3.5/tcp/1", 1000},
                  {"/ip4/1.2.3.4/tcp/2", 1250}}));
}

TEST(DialRanker, WebTransportIsTheLastOfQuic) {
  EXPECT_EQ(rank({"/ip6/1::2/udp/2/quic-v1", "/ip4/1.2.3.4/udp/1/quic-v1/webtransport", "/ip6/1::2/udp/1/quic-v1"}),
            (Plan{{"/ip6/1::2/udp/1/quic-v1", 0},
                  {"/ip4/1.2.3.4/udp/1/quic-v1/webtransport", 250},
                  {"/ip6/1::2/udp/2/quic-v1", 500}}));
}

TEST(DialRanker, PrivateAndPublicStartTogetherAndPrivateStepsAreShort) {
  EXPECT_EQ(rank({"/ip4/1.2.3.4/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip4/10.1.2.3/tcp/2", "/ip4/1.2.3.4/tcp/2"}),
            (Plan{{"/ip4/192.168.1.2/tcp/1", 0},
                  {"/ip4/1.2.3.4/tcp/1", 0},
                  {"/ip4/10.1.2.3/tcp/2", 30},
                  {"/ip4/1.2.3.4/tcp/2", 250}}));
}

TEST(DialRanker, RelaysWaitForPublicAddressesOnly) {
  const std::string relayed = "/ip4/1.2.3.9/tcp/1/p2p/12D3KooWHzew9HTYzywFuvTHGK5Yzoz7qAhMfxagtCvhvjheoBQ3/p2p-circuit";
  EXPECT_EQ(rank({relayed, "/ip4/1.2.3.4/tcp/1"}), (Plan{{"/ip4/1.2.3.4/tcp/1", 0}, {relayed, 500}}));
  EXPECT_EQ(rank({relayed, "/ip4/10.0.0.1/tcp/1"}), (Plan{{"/ip4/10.0.0.1/tcp/1", 0}, {relayed, 0}}));
}

TEST(DialRanker, AddressesWithoutAnIpAddressComeLast) {
  EXPECT_EQ(rank({"/memory/7", "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.4/udp/1/webrtc-direct"}),
            (Plan{{"/ip4/1.2.3.4/tcp/1", 0},
                  {"/ip4/1.2.3.4/tcp/2", 250},
                  {"/ip4/1.2.3.4/udp/1/webrtc-direct", 1250},
                  {"/memory/7", 2250}}));
  EXPECT_EQ(rank({"/memory/7"}), (Plan{{"/memory/7", 0}}));
}

// ---- backoff --------------------------------------------------------------------------------------------------------

TEST(DialBackoff, GrowsWithEachFailureAndIsForgottenOnSuccess) {
  DialBackoff backoff({});
  const auto peer = crypto::PeerId::from(testing::make_key(1).public_key());
  const auto other = crypto::PeerId::from(testing::make_key(2).public_key());
  const Multiaddr address = *Multiaddr::parse("/ip4/1.2.3.4/tcp/1");
  SteadyTime now{};
  EXPECT_FALSE(backoff.until(peer, address, now));
  for (Duration expected : {5s, 6s, 9s, 14s, 21s}) {
    backoff.failed(peer, address, now);
    ASSERT_TRUE(backoff.until(peer, address, now));
    EXPECT_EQ(*backoff.until(peer, address, now) - now, expected);
    now = *backoff.until(peer, address, now);
    EXPECT_FALSE(backoff.until(peer, address, now));
  }
  for (int i = 0; i < 2000; ++i) backoff.failed(peer, address, now);
  EXPECT_EQ(*backoff.until(peer, address, now) - now, 5min);
  EXPECT_FALSE(backoff.until(other, address, now));
  backoff.failed(other, address, now);
  backoff.succeeded(peer);
  EXPECT_FALSE(backoff.until(peer, address, now));
  EXPECT_TRUE(backoff.until(other, address, now));
  now += 20min;  // long enough to start over
  backoff.failed(other, address, now);
  EXPECT_EQ(*backoff.until(other, address, now) - now, 5s);
}

TEST(DialBackoff, IsBounded) {
  DialBackoff backoff({.capacity = 10});
  const auto peer = crypto::PeerId::from(testing::make_key(1).public_key());
  const auto address = [](int port) { return Multiaddr::tcp({IpAddress(), static_cast<std::uint16_t>(port)}); };
  SteadyTime now{};
  for (int port = 1; port <= 10; ++port) backoff.failed(peer, address(port), now);
  backoff.failed(peer, address(1), now);  // expires last
  now += 1s;
  backoff.failed(peer, address(11), now);  // evicts one of those that expire first
  EXPECT_EQ(backoff.size(), 10u);
  EXPECT_TRUE(backoff.until(peer, address(1), now));
  EXPECT_TRUE(backoff.until(peer, address(11), now));
  now += 4500ms;  // all but two have expired
  backoff.failed(peer, address(12), now);
  EXPECT_EQ(backoff.size(), 3u);
}

}  // namespace
}  // namespace dms::libp2p
