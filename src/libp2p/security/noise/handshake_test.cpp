#include "libp2p/security/noise/handshake.hpp"
#include "encoding/testing.hpp"

#include <gtest/gtest.h>

#include "encoding/multibase.hpp"

namespace dms::libp2p::noise {
namespace {
using dms::test::hex;
crypto::X25519Key scalar_key(std::string_view scalar) { return *crypto::X25519Key::from_scalar(hex(scalar)); }

struct Expected {
  std::string_view payload;
  std::string_view bytes;
};

// The vector for this protocol name from the cacophony collection.
constexpr std::string_view kPrologue = "4a6f686e2047616c74";
constexpr std::string_view kHash = "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e";
constexpr std::array<Expected, 6> kMessages = {{
    {"4c756477696720766f6e204d69736573",
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573"},
    {"4d757272617920526f746862617264",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5"
     "a86"
     "39392490e5b9bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad"},
    {"462e20412e20486179656b",
     "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a28"
     "642"
     "7402f113e4b6ae769a1d95941d49b25030"},
    {"4361726c204d656e676572", "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"},
    {"4a65616e2d426170746973746520536179", "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5"},
    {"457567656e2042f6686d20766f6e2042617765726b",
     "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f"},
}};

Handshake dialer() {
  return {Side::dialer, scalar_key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"),
          scalar_key("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"), hex(kPrologue)};
}
Handshake listener() {
  return {Side::listener, scalar_key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"),
          scalar_key("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"), hex(kPrologue)};
}

Bytes seal(CipherState& cipher, const Bytes& text) {
  Bytes out(text.size() + CipherState::kTag);
  EXPECT_TRUE(cipher.seal({}, text, out));
  return out;
}

TEST(NoiseHandshake, PublishedVector) {
  Handshake a = dialer();
  Handshake b = listener();
  for (int i = 0; i < 3; ++i) {
    Handshake& from = i % 2 == 0 ? a : b;
    Handshake& to = i % 2 == 0 ? b : a;
    auto message = from.write_message(hex(kMessages[i].payload));
    ASSERT_TRUE(message) << message.error().to_string();
    EXPECT_EQ(encode(Base::hex, *message), kMessages[i].bytes);
    auto payload = to.read_message(*message);
    ASSERT_TRUE(payload) << payload.error().to_string();
    EXPECT_EQ(encode(Base::hex, *payload), kMessages[i].payload);
  }
  EXPECT_EQ(encode(Base::hex, a.hash()), kHash);
  EXPECT_EQ(encode(Base::hex, b.hash()), kHash);
  auto a_ciphers = a.split();
  auto b_ciphers = b.split();
  ASSERT_TRUE(a_ciphers && b_ciphers);
  // The vector continues in turn: the listener, the dialer, the listener.
  EXPECT_EQ(encode(Base::hex, seal(b_ciphers->send, hex(kMessages[3].payload))), kMessages[3].bytes);
  EXPECT_EQ(encode(Base::hex, seal(a_ciphers->send, hex(kMessages[4].payload))), kMessages[4].bytes);
  EXPECT_EQ(encode(Base::hex, seal(b_ciphers->send, hex(kMessages[5].payload))), kMessages[5].bytes);
}

TEST(NoiseHandshake, AnyChangedByteEndsIt) {
  const Bytes first = hex(kMessages[0].bytes);
  const Bytes second = hex(kMessages[1].bytes);
  for (std::size_t at = 0; at < second.size(); ++at) {
    Handshake a = dialer();
    ASSERT_TRUE(a.write_message(hex(kMessages[0].payload)));
    Bytes broken = second;
    broken[at] ^= 1;
    EXPECT_FALSE(a.read_message(broken)) << "byte " << at;
  }
  const Bytes third = hex(kMessages[2].bytes);
  for (std::size_t at = 0; at < third.size(); ++at) {
    Handshake b = listener();
    ASSERT_TRUE(b.read_message(first));
    ASSERT_TRUE(b.write_message(hex(kMessages[1].payload)));
    Bytes broken = third;
    broken[at] ^= 0x80;
    EXPECT_FALSE(b.read_message(broken)) << "byte " << at;
  }
}

TEST(NoiseHandshake, CutShortOrOutOfTurn) {
  const Bytes second = hex(kMessages[1].bytes);
  for (std::size_t size = 0; size < second.size(); ++size) {
    Handshake a = dialer();
    ASSERT_TRUE(a.write_message(hex(kMessages[0].payload)));
    EXPECT_FALSE(a.read_message(BytesView(second).first(size)));
  }
  Handshake a = dialer();
  EXPECT_FALSE(a.read_message(second));
  EXPECT_FALSE(a.split());
  ASSERT_TRUE(a.write_message({}));
  EXPECT_FALSE(a.write_message({}));
}

}  // namespace
}  // namespace dms::libp2p::noise
