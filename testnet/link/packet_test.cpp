#include "link/packet.hpp"

#include <gtest/gtest.h>

#include "link/test_packets.hpp"

namespace dms::testnet {
namespace {

const Endpoint kSource = at("10.0.0.2", 4000);
const Endpoint kTarget = at("198.18.1.9", 53);
const Endpoint kMapped = at("203.0.113.77", 61000);

TEST(PacketTest, ReadsEndpointsOfUdpAndTcp) {
  for (const Bytes& bytes : {udp_packet(kSource, kTarget), tcp_packet(kSource, kTarget, 2)}) {
    auto packet = Packet::parse(bytes);
    ASSERT_TRUE(packet);
    EXPECT_TRUE(packet->is_flow());
    EXPECT_EQ(packet->source(), kSource);
    EXPECT_EQ(packet->destination(), kTarget);
  }
}

TEST(PacketTest, AnEchoHasItsIdentifierOnTheSideThatAsks) {
  auto request = Packet::parse(echo_packet(kSource.address, kTarget.address, 7));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->source(), (Endpoint{kSource.address, 7}));
  EXPECT_EQ(request->destination(), (Endpoint{kTarget.address, 0}));
  auto reply = Packet::parse(echo_packet(kTarget.address, kSource.address, 7, true));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->source(), (Endpoint{kTarget.address, 0}));
  EXPECT_EQ(reply->destination(), (Endpoint{kSource.address, 7}));
}

TEST(PacketTest, TranslationKeepsChecksumsRight) {
  for (const Bytes& bytes : {udp_packet(kSource, kTarget), udp_packet(kSource, kTarget, "odd"),
                             tcp_packet(kSource, kTarget, 2), echo_packet(kSource.address, kTarget.address, 7)}) {
    auto packet = Packet::parse(bytes);
    ASSERT_TRUE(packet && checksums_right(*packet));
    packet->set_source(kMapped);
    EXPECT_EQ(packet->source(), kMapped);
    EXPECT_TRUE(checksums_right(*packet));
    packet->set_destination({kMapped.address, packet->destination().port});
    EXPECT_EQ(packet->destination_address(), kMapped.address);
    EXPECT_TRUE(checksums_right(*packet));
  }
}

TEST(PacketTest, UdpWithoutAChecksumStaysWithoutOne) {
  Bytes bytes = udp_packet(kSource, kTarget);
  bytes[26] = bytes[27] = 0;
  auto packet = Packet::parse(bytes);
  ASSERT_TRUE(packet);
  packet->set_source(kMapped);
  EXPECT_EQ(packet->source(), kMapped);
  EXPECT_EQ(packet->bytes()[26] | packet->bytes()[27], 0);
}

TEST(PacketTest, AChecksumThatBecomesZeroIsWrittenAsAllOnes) {
  // The port that makes the sum all ones is found by trying: one of 65,536 does.
  auto packet = Packet::parse(udp_packet(kSource, kTarget));
  ASSERT_TRUE(packet);
  int all_ones = 0;
  for (std::uint32_t port = 0; port < 65'536; ++port) {
    packet->set_source({kSource.address, static_cast<std::uint16_t>(port)});
    ASSERT_NE(packet->bytes()[26] | packet->bytes()[27], 0) << port;
    all_ones += packet->bytes()[26] == 0xff && packet->bytes()[27] == 0xff ? 1 : 0;
  }
  EXPECT_GE(all_ones, 1);
}

TEST(PacketTest, AFragmentIsNoFlow) {
  for (const std::uint8_t flags : {0x20, 0x00}) {
    Bytes bytes = udp_packet(kSource, kTarget);
    bytes[6] = flags;
    bytes[7] = flags == 0 ? 1 : 0;
    auto packet = Packet::parse(bytes);
    ASSERT_TRUE(packet);
    EXPECT_FALSE(packet->is_flow());
    EXPECT_EQ(packet->destination_address(), kTarget.address);
  }
}

TEST(PacketTest, OtherProtocolsAndIcmpErrorsAreNoFlow) {
  Bytes unreachable = echo_packet(kSource.address, kTarget.address, 7);
  unreachable[20] = 3;
  Bytes sctp = ip_packet(static_cast<Protocol>(132), kSource.address, kTarget.address, 4);
  for (const Bytes& bytes : {unreachable, sctp}) {
    auto packet = Packet::parse(bytes);
    ASSERT_TRUE(packet);
    EXPECT_FALSE(packet->is_flow());
  }
}

TEST(PacketTest, BytesBehindThePacketAreCutOff) {
  Bytes bytes = udp_packet(kSource, kTarget);
  const std::size_t size = bytes.size();
  bytes.resize(size + 10);
  EXPECT_EQ(Packet::parse(bytes)->bytes().size(), size);
}

TEST(PacketTest, RefusesWhatIsCutOrNotIPv4) {
  const Bytes whole = tcp_packet(kSource, kTarget, 2);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(Packet::parse(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)))) << size;
  Bytes six = whole;
  six[0] = 0x65;
  EXPECT_FALSE(Packet::parse(six));
  Bytes short_header = whole;
  short_header[0] = 0x44;
  EXPECT_FALSE(Packet::parse(short_header));
  Bytes no_ports = whole;
  no_ports[3] = 30;  // says that it ends inside of the TCP header
  EXPECT_FALSE(Packet::parse(no_ports));
}

TEST(PacketTest, Addresses) {
  EXPECT_EQ(to_string(address("198.18.0.255")), "198.18.0.255");
  for (const char* text : {"", "1.2.3", "1.2.3.256", "1.2.3.4 ", "::1", "1.2.3.4.5.6.7.8.9"})
    EXPECT_FALSE(parse_address(text)) << text;
}

}  // namespace
}  // namespace dms::testnet
