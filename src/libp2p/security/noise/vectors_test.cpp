// Published vectors of other Noise implementations for this protocol name: the handshake byte by byte, and what follows
// it, as raw Noise messages and as libp2p frames them.
#include "base/file.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"
#include "encoding/testing.hpp"
#include "libp2p/security/noise/noise_stream.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p::noise {
namespace {

using namespace libp2p::testing;

struct Keys {
  std::string static_key, ephemeral_key;
  static constexpr auto json_fields() {
    return std::tuple(json::field("static", &Keys::static_key), json::field("ephemeral", &Keys::ephemeral_key));
  }
};
struct Message {
  std::string from, payload, ciphertext;
  static constexpr auto json_fields() {
    return std::tuple(json::field("from", &Message::from), json::field("payload", &Message::payload),
                      json::field("ciphertext", &Message::ciphertext));
  }
};
struct Case {
  std::string source, prologue, hash;
  Keys dialer, listener;
  std::vector<Message> messages;
  static constexpr auto json_fields() {
    return std::tuple(json::field("source", &Case::source), json::field("prologue", &Case::prologue),
                      json::field("hash", &Case::hash), json::field("dialer", &Case::dialer),
                      json::field("listener", &Case::listener), json::field("messages", &Case::messages));
  }
};
struct Published {
  std::vector<Case> cases;
  static constexpr auto json_fields() { return std::tuple(json::field("cases", &Published::cases)); }
};
using dms::test::hex;
std::string hex(BytesView bytes) { return encode(Base::hex, bytes); }
crypto::X25519Key key(std::string_view scalar) { return crypto::X25519Key::from_scalar(hex(scalar)).value(); }

Handshake side_of(const Case& c, Side side, BytesView prologue) {
  const Keys& keys = side == Side::dialer ? c.dialer : c.listener;
  return {side, key(keys.static_key), key(keys.ephemeral_key), prologue};
}

Side writer(const Message& message) { return message.from == "dialer" ? Side::dialer : Side::listener; }
constexpr std::size_t kHandshake = 3;  // messages

class NoiseVectors : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto file = std::filesystem::path(DMS_SOURCE_DIR) / "tests/vectors/published/noise_xx.json";
    auto published = json::decode<Published>(read_file(file, 1 << 20).value());
    ASSERT_TRUE(published) << published.error().to_string();
    cases_ = std::move(published->cases);
    ASSERT_EQ(cases_.size(), 6u);
  }

  /// Performs the handshake and compares each message with the published one.
  static void exchange(const Case& c, Handshake& dialer, Handshake& listener) {
    for (std::size_t i = 0; i < kHandshake; ++i) {
      const Message& published = c.messages[i];
      Handshake& from = writer(published) == Side::dialer ? dialer : listener;
      Handshake& to = writer(published) == Side::dialer ? listener : dialer;
      const auto message = from.write_message(hex(published.payload));
      ASSERT_TRUE(message) << message.error().to_string();
      EXPECT_EQ(hex(*message), published.ciphertext) << "message " << i;
      const auto payload = to.read_message(*message);
      ASSERT_TRUE(payload) << payload.error().to_string();
      EXPECT_EQ(hex(*payload), published.payload) << "message " << i;
    }
    EXPECT_EQ(dialer.hash(), listener.hash());
    EXPECT_EQ(dialer.remote_static(), key(c.listener.static_key).public_key());
    EXPECT_EQ(listener.remote_static(), key(c.dialer.static_key).public_key());
    if (!c.hash.empty()) {
      EXPECT_EQ(hex(dialer.hash()), c.hash);
    }
  }

  std::vector<Case> cases_;
};

TEST_F(NoiseVectors, TheHandshakeAndWhatFollows) {
  for (const Case& c : cases_) {
    SCOPED_TRACE(c.source + ", prologue " + c.prologue);
    Handshake dialer = side_of(c, Side::dialer, hex(c.prologue)),
              listener = side_of(c, Side::listener, hex(c.prologue));
    ASSERT_NO_FATAL_FAILURE(exchange(c, dialer, listener));
    auto at_dialer = dialer.split(), at_listener = listener.split();
    ASSERT_TRUE(at_dialer && at_listener);
    ASSERT_GT(c.messages.size(), kHandshake + 1);
    for (std::size_t i = kHandshake; i < c.messages.size(); ++i) {
      const Message& published = c.messages[i];
      const bool from_dialer = writer(published) == Side::dialer;
      auto& from = from_dialer ? at_dialer->send : at_listener->send;
      auto& to = from_dialer ? at_listener->receive : at_dialer->receive;
      const Bytes text = hex(published.payload);
      Bytes sealed(text.size() + CipherState::kTag);
      ASSERT_TRUE(from.seal({}, text, sealed));
      EXPECT_EQ(hex(sealed), published.ciphertext) << "message " << i;
      const auto plain = to.open({}, sealed, sealed);
      ASSERT_TRUE(plain) << plain.error().to_string();
      EXPECT_EQ(hex(*plain), published.payload) << "message " << i;
    }
  }
}

/// A NoiseStream on one end; on the other the published messages, length-prefixed.
TEST_F(NoiseVectors, TheStreamFramesWhatFollows) {
  for (const Case& c : cases_) {
    SCOPED_TRACE(c.source + ", prologue " + c.prologue);
    for (const Side local : {Side::dialer, Side::listener}) {
      Handshake dialer = side_of(c, Side::dialer, hex(c.prologue)),
                listener = side_of(c, Side::listener, hex(c.prologue));
      ASSERT_NO_FATAL_FAILURE(exchange(c, dialer, listener));
      auto [near, far] = make_pipe();
      NoiseStream stream(std::move(near), (local == Side::dialer ? dialer : listener).split().value());
      LaneWorld w;
      for (std::size_t i = kHandshake; i < c.messages.size(); ++i) {
        const Message& published = c.messages[i];
        const Bytes payload = hex(published.payload), ciphertext = hex(published.ciphertext);
        Bytes frame{static_cast<std::uint8_t>(ciphertext.size() >> 8), static_cast<std::uint8_t>(ciphertext.size())};
        append(frame, ciphertext);
        const bool sending = writer(published) == local;
        ASSERT_TRUE(w.run(sending ? stream.write(payload) : far->write(frame)));
        Bytes got((sending ? frame : payload).size());
        ASSERT_TRUE(w.run(read_exactly(sending ? *far : stream, got)));
        EXPECT_EQ(hex(got), hex(sending ? frame : payload)) << "message " << i;
      }
    }
  }
}

/// A peer with another prologue, as of another protocol, fails at the first encrypted message.
TEST_F(NoiseVectors, ADifferentPrologueFailsTheHandshake) {
  for (const Case& c : cases_) {
    Handshake dialer = side_of(c, Side::dialer, hex(c.prologue + "00"));
    ASSERT_TRUE(dialer.write_message(hex(c.messages[0].payload)));
    EXPECT_FALSE(dialer.read_message(hex(c.messages[1].ciphertext))) << c.source;
  }
}

}  // namespace
}  // namespace dms::libp2p::noise
