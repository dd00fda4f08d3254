#include "libp2p/multiaddr/multiaddr.hpp"

#include <gtest/gtest.h>

#include "base/multibase.hpp"
#include "base/random.hpp"
#include "base/varint.hpp"

namespace dms::libp2p {
namespace {

constexpr std::string_view kPeer = "12D3KooWHzew9HTYzywFuvTHGK5Yzoz7qAhMfxagtCvhvjheoBQ3";

std::string binary(std::string_view text) {
  auto address = Multiaddr::parse(text);
  return address ? encode(Base::hex, address->bytes()) : address.error().to_string();
}

TEST(Multiaddr, KnownBinaryForms) {
  EXPECT_EQ(binary("/ip4/127.0.0.1/tcp/4001"), "047f000001060fa1");
  EXPECT_EQ(binary("/ip4/127.0.0.1/udp/1234"), "047f000001910204d2");
  EXPECT_EQ(binary("/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21/tcp/80"), "29260100094f819700803eca6566e80c21060050");
  EXPECT_EQ(binary("/dns4/example.com/tcp/443/wss"), "360b6578616d706c652e636f6d0601bbde03");
  EXPECT_EQ(binary("/ip4/1.2.3.4/udp/9000/quic-v1"), "040102030491022328cd03");
  EXPECT_EQ(binary("/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"),
            "a503221220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b");
}

TEST(Multiaddr, TextAndBinaryReadBack) {
  for (std::string text :
       {"/ip4/0.0.0.0/tcp/9000", "/ip6/::1/udp/9000/quic-v1", "/ip6zone/eth0/ip6/fe80::1/tcp/1",
        "/dns/nunet.io/tcp/443/tls/sni/nunet.io/ws", "/dnsaddr/bootstrap.p2p.nunet.io", "/p2p-circuit", "/"}) {
    for (const std::string& whole : {text, text == "/" ? text : text + "/p2p/" + std::string(kPeer)}) {
      auto address = Multiaddr::parse(whole);
      ASSERT_TRUE(address) << address.error().to_string();
      EXPECT_EQ(address->to_string(), whole);
      auto back = Multiaddr::from_bytes(address->bytes());
      ASSERT_TRUE(back);
      EXPECT_EQ(*back, *address);
    }
  }
}

TEST(Multiaddr, OldNamesAndSpellingsBecomeOne) {
  EXPECT_EQ(*Multiaddr::parse("/ipfs/" + std::string(kPeer)), *Multiaddr::parse("/p2p/" + std::string(kPeer)));
  EXPECT_EQ(Multiaddr::parse("/ip6/0:0:0:0:0:0:0:1/tcp/80/")->to_string(), "/ip6/::1/tcp/80");
}

TEST(Multiaddr, PartsOfAnAddress) {
  auto address = *Multiaddr::parse("/ip4/192.0.2.1/tcp/9000/p2p/" + std::string(kPeer));
  EXPECT_EQ(address.peer()->to_string(), kPeer);
  EXPECT_EQ(address.without_peer().to_string(), "/ip4/192.0.2.1/tcp/9000");
  EXPECT_EQ(address.without_peer().without_peer(), address.without_peer());
  EXPECT_EQ(address.tcp_endpoint()->to_string(), "192.0.2.1:9000");
  EXPECT_EQ(Multiaddr::tcp(*address.tcp_endpoint()).with_peer(*address.peer()), address);
  EXPECT_FALSE(Multiaddr::parse("/ip4/192.0.2.1/udp/9000/quic-v1")->tcp_endpoint());
  EXPECT_FALSE(Multiaddr::parse("/ip4/192.0.2.1/tcp/9000/ws")->tcp_endpoint());
  auto relayed = *Multiaddr::parse("/ip4/192.0.2.1/tcp/1/p2p/" + std::string(kPeer) + "/p2p-circuit");
  EXPECT_FALSE(relayed.peer());
  EXPECT_EQ(relayed.components().size(), 4u);
  EXPECT_TRUE(PeerAddress::parse(address.to_string()));
  EXPECT_FALSE(PeerAddress::parse("/ip4/192.0.2.1/tcp/9000"));
}

TEST(Multiaddr, RefusalsSayWhat) {
  const auto error = [](std::string_view text) {
    auto parsed = Multiaddr::parse(text);
    return parsed ? std::string("accepted") : parsed.error().to_string();
  };
  EXPECT_NE(error("/ip4/1.2.3/tcp/1").find("IPv4"), std::string::npos);
  EXPECT_NE(error("/ip4/::1").find("IPv4"), std::string::npos);
  EXPECT_NE(error("/tcp/65536").find("65535"), std::string::npos);
  EXPECT_NE(error("/tcp/0x10").find("port"), std::string::npos);
  EXPECT_NE(error("/tcp/01").find("port"), std::string::npos);
  EXPECT_NE(error("/tcp").find("needs a value"), std::string::npos);
  EXPECT_NE(error("/carrier-pigeon/7").find("'carrier-pigeon' is not known"), std::string::npos);
  EXPECT_NE(error("ip4/1.2.3.4").find("leading"), std::string::npos);
  EXPECT_NE(error("").find("leading"), std::string::npos);
  EXPECT_NE(error("//").find("not known"), std::string::npos);
  EXPECT_NE(error("/dns4/a b").find("host"), std::string::npos);
  EXPECT_NE(error("/p2p/nonsense").find("p2p"), std::string::npos);
  EXPECT_NE(error("/" + std::string(3000, 'a')).find("at most"), std::string::npos);
  std::string many;
  for (int i = 0; i < 33; ++i) many += "/ws";
  EXPECT_NE(error(many).find("components"), std::string::npos);

  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x04, 1, 2, 3}));           // cut short
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x84, 0x00, 1, 2, 3, 4}));  // code not in its shortest form
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x35, 0xff, 0x7f, 'a'}));   // length beyond the end
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x35, 0x01, '/'}));         // a host name that text could not carry
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x7f}));                    // unknown code
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes(1025, 0x04)));
}

// Whatever binary is accepted has a text that reads back to the same bytes.
TEST(Multiaddr, AcceptedBinaryReadsBackThroughText) {
  SeededRandom random(1);
  const std::vector<std::uint64_t> codes{4,   6,   41,  42,  53,  54,  55,  56,  273, 290,
                                         421, 448, 449, 460, 461, 465, 466, 477, 478};
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes;
    for (std::uint64_t parts = 1 + random.below(4); parts > 0; --parts) {
      append_varint(bytes, codes[random.below(codes.size())]);
      Bytes value = random.bytes(random.below(6));
      for (auto& byte : value) byte = static_cast<std::uint8_t>(random.below(4) == 0 ? byte : 'a' + byte % 26);
      if (random.below(2) == 0) append_varint(bytes, value.size());
      append(bytes, value);
    }
    auto address = Multiaddr::from_bytes(bytes);
    if (!address) continue;
    ++accepted;
    auto back = Multiaddr::parse(address->to_string());
    ASSERT_TRUE(back) << address->to_string() << ": " << back.error().to_string();
    ASSERT_EQ(back->bytes(), bytes) << address->to_string();
  }
  EXPECT_GT(accepted, 500);
}

}  // namespace
}  // namespace dms::libp2p
