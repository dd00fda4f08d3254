#include "link/switch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "link/test_packets.hpp"

namespace dms::testnet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Endpoint kWest = at("198.18.1.1", 5000);
const Endpoint kEast = at("198.18.2.1", 5000);
const Endpoint kC = at("10.1.0.2", 5000);  // behind `box`
const Endpoint kD = at("10.1.0.3", 5000);  // behind `box`
const Address kBox = address("198.18.2.9");

class SwitchTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(network.add_nat("box", NatKind::port_restricted, kBox, "us"));
    a = network.add_host("a", kWest.address, "eu").value();
    b = network.add_host("b", kEast.address, "us").value();
    c = network.add_host("c", kC.address, "us", "box").value();
    d = network.add_host("d", kD.address, "us", "box").value();
  }

  void send(Switch::HostId from, Endpoint source, Endpoint to) { network.send(from, udp_packet(source, to), now); }

  /// Who has got what: "to: source -> destination" of each packet that has arrived by now.
  std::vector<std::string> arrived() {
    std::vector<std::string> out;
    while (auto delivery = network.take(now)) {
      const Packet packet = Packet::parse(delivery->packet).value();
      EXPECT_TRUE(checksums_right(packet));
      out.push_back(fmt::format("{}: {} -> {}", network.hosts()[delivery->to].name, to_string(packet.source_address()),
                                to_string(packet.destination_address())));
    }
    return out;
  }

  SeededRandom random{1};
  Switch network{random};
  SteadyTime now{1h};
  Switch::HostId a = 0, b = 0, c = 0, d = 0;
};

TEST_F(SwitchTest, RoutesByDestination) {
  send(a, kWest, kEast);
  EXPECT_THAT(arrived(), ElementsAre("b: 198.18.1.1 -> 198.18.2.1"));
}

TEST_F(SwitchTest, APathHasTheQualityOfItsRegionsInItsDirection) {
  network.set_quality("eu", "us", {.delay = 40ms});
  network.set_quality("us", "eu", {.delay = 60ms});
  send(a, kWest, kEast);
  EXPECT_EQ(network.next(), now + 40ms);
  EXPECT_THAT(arrived(), IsEmpty());
  now += 40ms;
  EXPECT_THAT(arrived(), testing::SizeIs(1));
  send(b, kEast, kWest);
  EXPECT_EQ(network.next(), now + 60ms);
}

TEST_F(SwitchTest, ArrivalsAreInOrderOfTime) {
  network.set_quality("eu", "us", {.delay = 40ms});
  send(a, kWest, kEast);
  send(b, kEast, kWest);
  now += 1s;
  EXPECT_THAT(arrived(), ElementsAre("a: 198.18.2.1 -> 198.18.1.1", "b: 198.18.1.1 -> 198.18.2.1"));
}

TEST_F(SwitchTest, TranslatesWhatLeavesAndItsAnswer) {
  send(c, kC, kWest);
  EXPECT_THAT(arrived(), ElementsAre("a: 198.18.2.9 -> 198.18.1.1"));
  send(a, kWest, {kBox, kC.port});
  EXPECT_THAT(arrived(), ElementsAre("c: 198.18.1.1 -> 10.1.0.2"));
}

TEST_F(SwitchTest, ThePrivateAddressIsForNeighboursOnly) {
  send(a, kWest, kC);
  EXPECT_THAT(arrived(), IsEmpty());
  EXPECT_EQ(network.counters().unroutable, 1U);
  send(d, kD, kC);
  EXPECT_THAT(arrived(), ElementsAre("c: 10.1.0.3 -> 10.1.0.2"));
}

TEST_F(SwitchTest, TheFilterDecidesWhenAPacketArrives) {
  network.set_quality("eu", "us", {.delay = 40ms});
  send(a, kWest, {kBox, kC.port});  // before c has sent anything
  send(c, kC, kWest);
  now += 40ms;
  EXPECT_THAT(arrived(), ElementsAre("a: 198.18.2.9 -> 198.18.1.1", "c: 198.18.1.1 -> 10.1.0.2"));
}

TEST_F(SwitchTest, HostsBehindOneBoxReachEachOtherByItsPublicAddress) {
  send(c, kC, kWest);
  send(c, kC, {kBox, 6000});  // each lets in what the other sends
  send(d, at("10.1.0.3", 6000), {kBox, kC.port});
  EXPECT_THAT(arrived(),
              ElementsAre("a: 198.18.2.9 -> 198.18.1.1", "d: 198.18.2.9 -> 10.1.0.3", "c: 198.18.2.9 -> 10.1.0.2"));
}

TEST_F(SwitchTest, ACutIsOfOneDirection) {
  ASSERT_TRUE(network.cut({"a"}, {"b"}));
  send(a, kWest, kEast);
  EXPECT_THAT(arrived(), IsEmpty());
  EXPECT_EQ(network.counters().cut, 1U);
  send(b, kEast, kWest);
  EXPECT_THAT(arrived(), testing::SizeIs(1));
  ASSERT_TRUE(network.heal({"a"}, {"b"}));
  send(a, kWest, kEast);
  EXPECT_THAT(arrived(), testing::SizeIs(1));
}

TEST_F(SwitchTest, ACutTakesWhatIsUnderWay) {
  network.set_quality("eu", "us", {.delay = 40ms});
  send(a, kWest, kEast);
  ASSERT_TRUE(network.cut({"a"}, {"b"}));
  now += 1s;
  EXPECT_THAT(arrived(), IsEmpty());
}

TEST_F(SwitchTest, ACutIsOfHostsAlsoBehindABox) {
  send(c, kC, kWest);
  send(d, kD, kWest);
  EXPECT_THAT(arrived(), testing::SizeIs(2));
  ASSERT_TRUE(network.cut({"a"}, {"c"}));
  send(a, kWest, {kBox, kC.port});
  EXPECT_THAT(arrived(), IsEmpty());
}

TEST_F(SwitchTest, GroupsAreCutAndHealed) {
  ASSERT_TRUE(network.cut({"a", "b"}, {"b", "c", "d"}));
  EXPECT_EQ(network.cuts().size(), 5U);  // b is not cut from itself
  ASSERT_TRUE(network.heal({"a"}, {"b", "c", "d"}));
  EXPECT_EQ(network.cuts().size(), 2U);
  network.heal_all();
  EXPECT_THAT(network.cuts(), IsEmpty());
}

TEST_F(SwitchTest, AHostThatIsOffIsSilent) {
  network.set_quality("eu", "us", {.delay = 40ms});
  send(a, kWest, kEast);
  ASSERT_TRUE(network.set_power("b", false));
  send(b, kEast, kWest);
  now += 1s;
  EXPECT_THAT(arrived(), IsEmpty());
  ASSERT_TRUE(network.set_power("b", true));
  send(a, kWest, kEast);
  now += 1s;
  EXPECT_THAT(arrived(), testing::SizeIs(1));
}

TEST_F(SwitchTest, ASourceThatIsNotItsOwnIsRefused) {
  send(a, kEast, kEast);
  EXPECT_THAT(arrived(), IsEmpty());
  EXPECT_EQ(network.counters().unroutable, 1U);
}

TEST_F(SwitchTest, BroadcastsAndMalformedPacketsGoNowhere) {
  send(a, kWest, at("255.255.255.255", 1));
  network.send(a, Bytes(7), now);
  EXPECT_THAT(arrived(), IsEmpty());
  EXPECT_EQ(network.counters().unroutable, 1U);
  EXPECT_EQ(network.counters().malformed, 1U);
}

TEST_F(SwitchTest, HasABoundOfPacketsUnderWay) {
  network.set_quality("eu", "us", {.delay = 1h});
  for (std::size_t i = 0; i <= Switch::kMaxUnderWay; ++i) send(a, kWest, kEast);
  EXPECT_EQ(network.counters().overflowed, 1U);
}

TEST_F(SwitchTest, RefusesWhatIsThereOrIsNot) {
  EXPECT_FALSE(network.add_host("a", address("198.18.1.7"), "eu"));
  EXPECT_FALSE(network.add_host("e", kWest.address, "eu"));
  EXPECT_FALSE(network.add_host("e", kBox, "eu"));
  EXPECT_FALSE(network.add_host("e", address("10.1.0.9"), "eu", "nowhere"));
  EXPECT_FALSE(network.add_host("e", address("10.1.0.9"), "eu", "box"));  // the box is in another region
  EXPECT_FALSE(network.add_nat("box", NatKind::full_cone, address("198.18.1.8"), "eu"));
  EXPECT_FALSE(network.add_nat("other", NatKind::full_cone, kWest.address, "eu"));
  EXPECT_FALSE(network.cut({"a"}, {"nobody"}));
  EXPECT_FALSE(network.set_power("nobody", true));
}

}  // namespace
}  // namespace dms::testnet
