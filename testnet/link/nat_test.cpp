#include "link/nat.hpp"

#include <gtest/gtest.h>

#include "link/test_packets.hpp"

namespace dms::testnet {
namespace {

constexpr std::uint8_t kFin = 1, kSyn = 2, kAck = 16;

const Endpoint kInside = at("10.0.0.2", 4000);
const Endpoint kOther = at("10.0.0.3", 4000);
const Endpoint kServer = at("198.18.1.1", 80);
const Endpoint kServerElsewhere = at("198.18.1.1", 81);
const Endpoint kStranger = at("198.18.2.2", 80);
const Address kPublic = address("198.18.9.9");

struct Box {
  explicit Box(NatKind kind, NatTimeouts timeouts = {}) : nat(kind, kPublic, random, timeouts) {}

  /// The public endpoint that a packet gets.
  std::optional<Endpoint> out(const Bytes& bytes) {
    auto packet = Packet::parse(bytes);
    if (!packet || !nat.outbound(*packet, now)) return std::nullopt;
    EXPECT_TRUE(checksums_right(*packet));
    return packet->source();
  }
  std::optional<Endpoint> out(Endpoint from, Endpoint to) { return out(udp_packet(from, to)); }
  /// The private endpoint that a packet reaches.
  std::optional<Endpoint> in(const Bytes& bytes) {
    auto packet = Packet::parse(bytes);
    if (!packet || !nat.inbound(*packet, now)) return std::nullopt;
    EXPECT_TRUE(checksums_right(*packet));
    return packet->destination();
  }
  std::optional<Endpoint> in(Endpoint from, Endpoint to) { return in(udp_packet(from, to)); }

  SeededRandom random{1};
  Nat nat;
  SteadyTime now{1h};
};

constexpr NatKind kKinds[] = {NatKind::full_cone, NatKind::restricted_cone, NatKind::port_restricted,
                              NatKind::symmetric};

class NatKindTest : public testing::TestWithParam<NatKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, NatKindTest, testing::ValuesIn(kKinds));

TEST_P(NatKindTest, AnswersReachTheSender) {
  Box box(GetParam());
  const auto outside = box.out(kInside, kServer);
  ASSERT_TRUE(outside);
  EXPECT_EQ(outside->address, kPublic);
  EXPECT_EQ(box.in(kServer, *outside), kInside);
}

TEST_P(NatKindTest, NothingEntersBeforeSomethingLeft) {
  Box box(GetParam());
  EXPECT_FALSE(box.in(kServer, {kPublic, kInside.port}));
  EXPECT_EQ(box.nat.mappings(box.now), 0U);
}

TEST_P(NatKindTest, TwoHostsWithOnePortGetTwo) {
  Box box(GetParam());
  const auto first = box.out(kInside, kServer);
  const auto second = box.out(kOther, kServer);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->port, second->port);
  EXPECT_EQ(box.in(kServer, *first), kInside);
  EXPECT_EQ(box.in(kServer, *second), kOther);
}

TEST_P(NatKindTest, UdpAndTcpHaveMappingsOfTheirOwn) {
  Box box(GetParam());
  const auto outside = box.out(kInside, kServer);
  ASSERT_TRUE(outside);
  EXPECT_FALSE(box.in(tcp_packet(kServer, *outside, kSyn)));
}

TEST_P(NatKindTest, AMappingEndsWithoutOutboundPackets) {
  Box box(GetParam(), {.udp = 30s});
  const auto outside = box.out(kInside, kServer);
  ASSERT_TRUE(outside);
  box.now += 29s;
  EXPECT_TRUE(box.in(kServer, *outside));  // does not refresh it
  box.now += 1s;
  EXPECT_FALSE(box.in(kServer, *outside));
  EXPECT_EQ(box.nat.mappings(box.now), 0U);
}

TEST_P(NatKindTest, OutboundPacketsRefreshAMapping) {
  Box box(GetParam(), {.udp = 30s});
  const auto outside = box.out(kInside, kServer);
  box.now += 29s;
  EXPECT_EQ(box.out(kInside, kServer), outside);
  box.now += 29s;
  EXPECT_TRUE(box.in(kServer, *outside));
}

TEST_P(NatKindTest, TranslatesEchoes) {
  Box box(GetParam());
  const auto outside = box.out(echo_packet(kInside.address, kServer.address, 77));
  ASSERT_TRUE(outside);
  EXPECT_EQ(box.in(echo_packet(kServer.address, kPublic, outside->port, true)), (Endpoint{kInside.address, 77}));
  EXPECT_FALSE(box.in(echo_packet(kServer.address, kPublic, 77)));                 // a request is for the box
  EXPECT_FALSE(box.out(echo_packet(kInside.address, kServer.address, 77, true)));  // nobody has asked
}

TEST_P(NatKindTest, DropsWhatIsNoFlow) {
  Box box(GetParam());
  Bytes fragment = udp_packet(kInside, kServer);
  fragment[7] = 1;
  EXPECT_FALSE(box.out(fragment));
  EXPECT_FALSE(box.in(fragment));
}

TEST_P(NatKindTest, HasABoundOfMappings) {
  Box box(GetParam(), {.udp = 30s});
  const Address first = address("10.1.0.0");
  for (std::uint32_t i = 0; i < Nat::kMaxMappings; ++i) ASSERT_TRUE(box.out({first + i, 5000}, kServer)) << i;
  EXPECT_FALSE(box.out(kInside, kServer));
  box.now += 30s;
  EXPECT_TRUE(box.out(kInside, kServer));
  EXPECT_EQ(box.nat.mappings(box.now), 1U);
}

TEST(NatTest, ConesMapIndependentlyOfTheDestinationAndKeepThePort) {
  for (const NatKind kind : {NatKind::full_cone, NatKind::restricted_cone, NatKind::port_restricted}) {
    Box box(kind);
    EXPECT_EQ(box.out(kInside, kServer), (Endpoint{kPublic, kInside.port}));
    EXPECT_EQ(box.out(kInside, kStranger), (Endpoint{kPublic, kInside.port}));
    EXPECT_EQ(box.nat.mappings(box.now), 1U);
  }
}

TEST(NatTest, TheSymmetricKindMapsForEachDestination) {
  Box box(NatKind::symmetric);
  const auto first = box.out(kInside, kServer);
  const auto second = box.out(kInside, kServerElsewhere);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->port, second->port);
  EXPECT_EQ(box.in(kServer, *first), kInside);
  EXPECT_FALSE(box.in(kServer, *second));
  EXPECT_FALSE(box.in(kServerElsewhere, *first));
}

TEST(NatTest, WhatEachKindLetsIn) {
  struct Row {
    NatKind kind;
    bool same_address, stranger;
  };
  for (const Row& row : {Row{NatKind::full_cone, true, true}, Row{NatKind::restricted_cone, true, false},
                         Row{NatKind::port_restricted, false, false}, Row{NatKind::symmetric, false, false}}) {
    Box box(row.kind);
    const auto outside = box.out(kInside, kServer);
    ASSERT_TRUE(outside);
    EXPECT_EQ(box.in(kServerElsewhere, *outside).has_value(), row.same_address) << static_cast<int>(row.kind);
    EXPECT_EQ(box.in(kStranger, *outside).has_value(), row.stranger) << static_cast<int>(row.kind);
  }
}

TEST(NatTest, APermissionEndsWithoutPacketsToThatPeer) {
  for (const NatKind kind : {NatKind::restricted_cone, NatKind::port_restricted}) {
    Box box(kind, {.udp = 30s});
    const auto outside = box.out(kInside, kServer);
    box.now += 20s;
    EXPECT_EQ(box.out(kInside, kStranger), outside);
    box.now += 20s;
    EXPECT_TRUE(box.in(kStranger, *outside));
    EXPECT_FALSE(box.in(kServer, *outside));
  }
}

TEST(NatTest, HasABoundOfPeers) {
  Box box(NatKind::port_restricted, {.udp = 30s});
  const Address first = address("198.19.0.0");
  for (std::uint32_t i = 0; i < Nat::kMaxPeers; ++i) ASSERT_TRUE(box.out(kInside, {first + i, 80}));
  EXPECT_FALSE(box.out(kInside, kServer));
  EXPECT_TRUE(box.out(kInside, {first, 80}));
  box.now += 30s;
  EXPECT_TRUE(box.out(kInside, kServer));
}

TEST(NatTest, AnEstablishedConnectionLastsLongerThanOneInTransition) {
  const NatTimeouts timeouts{.tcp_established = 1h, .tcp_transitory = 1min};
  Box box(NatKind::port_restricted, timeouts);
  auto outside = box.out(tcp_packet(kInside, kServer, kSyn));
  ASSERT_TRUE(outside);
  box.now += 1min;
  EXPECT_FALSE(box.in(tcp_packet(kServer, *outside, kSyn | kAck)));  // too late

  outside = box.out(tcp_packet(kInside, kServer, kSyn));
  EXPECT_TRUE(box.in(tcp_packet(kServer, *outside, kSyn | kAck)));
  box.now += 59min;
  EXPECT_TRUE(box.in(tcp_packet(kServer, *outside, kAck)));

  EXPECT_TRUE(box.out(tcp_packet(kInside, kServer, kFin | kAck)));
  box.now += 1min;
  EXPECT_FALSE(box.in(tcp_packet(kServer, *outside, kAck)));
}

TEST(NatTest, AConnectionFromThePortOfOneThatHasEndedIsANewOne) {
  Box box(NatKind::full_cone, {.tcp_established = 1h, .tcp_transitory = 1min});
  const auto outside = box.out(tcp_packet(kInside, kServer, kSyn));
  EXPECT_TRUE(box.in(tcp_packet(kServer, *outside, kFin | kAck)));
  EXPECT_TRUE(box.out(tcp_packet(kInside, kServer, kSyn)));
  EXPECT_TRUE(box.in(tcp_packet(kServer, *outside, kSyn | kAck)));
  box.now += 30min;
  EXPECT_TRUE(box.in(tcp_packet(kServer, *outside, kAck)));
}

}  // namespace
}  // namespace dms::testnet
