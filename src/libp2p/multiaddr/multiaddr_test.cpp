#include "libp2p/multiaddr/multiaddr.hpp"

#include <gtest/gtest.h>

#include "base/file.hpp"
#include "base/random.hpp"
#include "base/varint.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"

namespace dms::libp2p {
namespace {

constexpr std::string_view kPeer = "12D3KooWHzew9HTYzywFuvTHGK5Yzoz7qAhMfxagtCvhvjheoBQ3";

std::string binary(std::string_view text) {
  auto address = Multiaddr::parse(text);
  return address ? encode(Base::hex, address->bytes()) : address.error().to_string();
}

json::Object vectors() {
  const auto path = std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/multiaddr/addresses.json";
  return json::parse(read_file(path, 1 << 20).value()).value().as_object();
}

TEST(Multiaddr, PublishedVectors) {
  const json::Object file = vectors();
  for (const json::Value& entry : file.at("valid").as_array()) {
    const std::string text(entry.at("text").as_string()), canonical(entry.at("canonical").as_string());
    auto address = Multiaddr::parse(text);
    ASSERT_TRUE(address) << text << ": " << address.error().to_string();
    EXPECT_EQ(hex_encode(address->bytes()), std::string(entry.at("bytes").as_string())) << text;
    EXPECT_EQ(address->to_string(), canonical);
    auto back = Multiaddr::from_bytes(address->bytes());
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(*back, *address);
    EXPECT_EQ(*Multiaddr::parse(canonical), *address);
  }
  EXPECT_GT(file.at("valid").as_array().size(), 80u);
  for (const json::Value& text : file.at("invalid").as_array())
    EXPECT_FALSE(Multiaddr::parse(std::string(text.as_string()))) << text.as_string();
  EXPECT_GT(file.at("invalid").as_array().size(), 50u);
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

TEST(Multiaddr, TextAndBinaryRoundTrip) {
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

TEST(Multiaddr, OldNamesAndSpellingsAreCanonicalised) {
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

TEST(Multiaddr, RefusalsNameTheCause) {
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
  EXPECT_NE(error("/no-such-protocol/7").find("unknown protocol 'no-such-protocol'"), std::string::npos);
  EXPECT_NE(error("ip4/1.2.3.4").find("leading"), std::string::npos);
  EXPECT_NE(error("").find("leading"), std::string::npos);
  EXPECT_NE(error("//").find("unknown protocol"), std::string::npos);
  EXPECT_NE(error("/dns4/a b").find("host"), std::string::npos);
  EXPECT_NE(error("/p2p/nonsense").find("p2p"), std::string::npos);
  EXPECT_NE(error("/" + std::string(3000, 'a')).find("at most"), std::string::npos);
  std::string many;
  for (int i = 0; i < 33; ++i) many += "/ws";
  EXPECT_NE(error(many).find("components"), std::string::npos);

  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x04, 1, 2, 3}));           // cut short
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x84, 0x00, 1, 2, 3, 4}));  // code not minimal
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x35, 0xff, 0x7f, 'a'}));   // length beyond the end
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes{0x35, 0x01, '/'}));         // a host name that has no text form
  EXPECT_FALSE(Multiaddr::from_bytes(Bytes(1025, 0x04)));
}

TEST(Multiaddr, APathExtendsToTheEndOrIsOneSegment) {
  auto plain = *Multiaddr::parse("/unix/run/dms.sock/p2p/x");  // all of it is the path
  ASSERT_EQ(plain.components().size(), 1u);
  EXPECT_EQ(as_text(plain.components()[0].value), "/run/dms.sock/p2p/x");
  auto escaped = *Multiaddr::parse("/unix/%2Frun%2Fdms.sock/p2p/" + std::string(kPeer));
  ASSERT_EQ(escaped.components().size(), 2u);
  EXPECT_EQ(as_text(escaped.components()[0].value), "/run/dms.sock");
  EXPECT_EQ(escaped.to_string(), "/unix/%2Frun%2Fdms.sock/p2p/" + std::string(kPeer));
  EXPECT_EQ(escaped.without_peer().to_string(), "/unix/run/dms.sock");
  EXPECT_EQ(escaped.without_peer().with_peer(*escaped.peer()), escaped);
  for (std::string_view path : {"/%2Fa", "/a%2Fb", "/a//b", "/%41", "/-"}) {
    Bytes bytes{0x90, 0x03, static_cast<std::uint8_t>(path.size())};
    append(bytes, as_bytes(path));
    auto address = Multiaddr::from_bytes(bytes);
    ASSERT_TRUE(address) << path;
    EXPECT_EQ(Multiaddr::parse(address->to_string()), *address) << address->to_string();
  }
  for (std::string_view bad : {"/unix/%2F", "/unix/%2Fa%2", "/unix/%2Fa%zz", "/unix/%2Fa%00", "/unix/a/", "/unix/a b"})
    EXPECT_FALSE(Multiaddr::parse(bad)) << bad;
}

TEST(Multiaddr, UnknownProtocolsAreKept) {
  const Bytes bytes = hex_decode("047f000001910204d2e7070102" /* code 999 and two arbitrary bytes */).value();
  auto address = Multiaddr::from_bytes(bytes);
  ASSERT_TRUE(address) << address.error().to_string();
  EXPECT_EQ(address->bytes(), bytes);
  EXPECT_EQ(address->to_string(), "/ip4/127.0.0.1/udp/1234/unknown-999/uAQI");
  EXPECT_EQ(Multiaddr::parse(address->to_string()), *address);
  ASSERT_EQ(address->components().size(), 3u);
  EXPECT_EQ(static_cast<std::uint64_t>(address->components()[2].protocol), 999u);
  EXPECT_EQ(to_bytes(address->components()[2].value), (Bytes{1, 2}));
  EXPECT_FALSE(address->tcp_endpoint());
  EXPECT_FALSE(address->peer());
  EXPECT_EQ(Multiaddr::from_bytes(Bytes{0x7f})->to_string(), "/unknown-127/u");
  // One text form each: no number for a named code, nothing after the value, no other spelling of the code.
  for (std::string_view bad : {"/unknown-6/uAA", "/unknown-/uAA", "/unknown-999", "/unknown-999/uAQI/tcp/1",
                               "/unknown-x/u", "/unknown-9223372036854775808/u", "/unknown-999/QAQI"})
    EXPECT_FALSE(Multiaddr::parse(bad)) << bad;
}

TEST(Multiaddr, TailsAndSuffixes) {
  const auto at = [](std::string_view text) { return *Multiaddr::parse(text); };
  const Multiaddr address = at("/dnsaddr/nunet.io/tcp/443/p2p/" + std::string(kPeer));
  EXPECT_EQ(address.tail(0), address);
  EXPECT_EQ(address.tail(1).to_string(), "/tcp/443/p2p/" + std::string(kPeer));
  EXPECT_TRUE(address.tail(3).empty());
  EXPECT_TRUE(address.tail(9).empty());
  EXPECT_TRUE(address.ends_with(Multiaddr()));
  EXPECT_TRUE(address.ends_with(address));
  EXPECT_TRUE(address.ends_with(at("/p2p/" + std::string(kPeer))));
  EXPECT_TRUE(address.ends_with(at("/tcp/443/p2p/" + std::string(kPeer))));
  EXPECT_FALSE(address.ends_with(at("/tcp/443")));
  EXPECT_FALSE(at("/tcp/443").ends_with(address));
  // The same bytes at the end, but in the middle of a component: 06 01bb is /tcp/443.
  EXPECT_FALSE(at("/ip4/1.6.1.187").ends_with(at("/tcp/443")));
}

TEST(Multiaddr, ZonesOfLinkLocalAddresses) {
  auto address = *Multiaddr::parse("/ip6zone/eth0/ip6/fe80::1/tcp/9000");
  ASSERT_TRUE(address.tcp_endpoint());
  EXPECT_EQ(address.tcp_endpoint()->zone.text(), "eth0");
  EXPECT_EQ(address.tcp_endpoint()->to_string(), "[fe80::1%eth0]:9000");
  EXPECT_EQ(Multiaddr::tcp(*address.tcp_endpoint()), address);
  EXPECT_FALSE(Multiaddr::parse("/ip6zone/eth0/ip4/1.2.3.4/tcp/1")->tcp_endpoint());
  EXPECT_FALSE(Multiaddr::parse("/ip6zone/eth0")->tcp_endpoint());
  EXPECT_FALSE(Multiaddr::parse("/ip6zone/a-name-beyond-bounds/ip6/fe80::1/tcp/1")->tcp_endpoint());
}

/// A random value of the protocol, as text.
std::string some_value(Random& random, const ProtocolInfo& info) {
  const auto word = [&random](std::size_t most, std::string_view letters) {
    std::string out;
    for (std::uint64_t left = 1 + random.below(most); left > 0; --left) out += letters[random.below(letters.size())];
    return out;
  };
  switch (info.kind) {
    case ValueKind::ip4:
      return "/" + IpAddress::v4({1, static_cast<std::uint8_t>(random.below(256)), 3, 4}).to_string();
    case ValueKind::ip6: {
      std::array<std::uint8_t, 16> bytes{};
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.below(2) == 0 ? 0 : random.below(256));
      return "/" + IpAddress::v6(bytes).to_string();
    }
    case ValueKind::prefix: return "/" + std::to_string(random.below(256));
    case ValueKind::port: return "/" + std::to_string(random.below(65536));
    case ValueKind::number: return "/" + std::to_string(random.u64());
    case ValueKind::peer: return "/" + std::string(kPeer);
    case ValueKind::multihash: return "/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
    case ValueKind::host: return "/" + word(30, "abc.-_%:");
    case ValueKind::zone: return "/" + word(15, "eth0%.");
    case ValueKind::path: return "/%2F" + word(30, "abc.-_");
    case ValueKind::none: break;
  }
  return {};
}

TEST(Multiaddr, EveryProtocolInEveryOrderRoundTrips) {
  std::vector<const ProtocolInfo*> known;
  for (std::uint64_t code = 0; code < 1000; ++code)
    if (const ProtocolInfo* info = find_protocol(code)) known.push_back(info);
  EXPECT_EQ(known.size(), 32u);
  SeededRandom random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t parts = 1 + random.below(5); parts > 0; --parts) {
      const ProtocolInfo& info = *known[random.below(known.size())];
      text += "/" + std::string(info.name) + some_value(random, info);
    }
    auto address = Multiaddr::parse(text);
    ASSERT_TRUE(address) << text << ": " << address.error().to_string();
    ASSERT_EQ(Multiaddr::from_bytes(address->bytes()), *address) << text;
    ASSERT_EQ(Multiaddr::parse(address->to_string()), *address) << text;
    ASSERT_TRUE(address->ends_with(address->tail(random.below(6)))) << text;
  }
}

// Accepted binary has a text form that is read back as the same bytes.
TEST(Multiaddr, AcceptedBinaryRoundTripsThroughText) {
  SeededRandom random(1);
  const std::vector<std::uint64_t> codes{4,   6,   41,  42,  43,  53,  54,  55,  56,  273, 290, 400,
                                         421, 448, 449, 460, 461, 465, 466, 477, 478, 777, 999};
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
