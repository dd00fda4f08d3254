#include "libp2p/security/tls/session.hpp"

#include "libp2p/security/tls/testing.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

struct TlsSession : ::testing::Test {
  /// Everything that `from` has to send, given to `to` in pieces; what `to` reads.
  static Bytes deliver(Session& from, Session& to) {
    const Bytes wire = std::exchange(from.output(), {});
    Bytes text(wire.size());
    std::size_t had = 0;
    for (BytesView rest = wire; !rest.empty();) {
      const MutableBytes into = to.input();
      const std::size_t count = std::min(into.size(), rest.size());
      std::ranges::copy(rest.first(count), into.begin());
      to.received(count);
      rest = rest.subspan(count);
      while (SSL_is_init_finished(&to.ssl()) == 1 && had < text.size()) {
        const auto got = to.read(MutableBytes(text).subspan(had));
        if (!got || !*got || **got == 0) break;
        had += **got;
      }
      if (SSL_is_init_finished(&to.ssl()) == 0) (void)to.handshake();
    }
    text.resize(had);
    return text;
  }
  void SetUp() override {
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(dialer->handshake());
      deliver(*dialer, *listener);
      ASSERT_TRUE(listener->handshake());
      deliver(*listener, *dialer);
    }
    ASSERT_TRUE(*dialer->handshake() && *listener->handshake());
  }

  SslContextPtr context = foreign_context({});
  std::unique_ptr<Session> dialer = Session::create(*context, Side::dialer).value();
  std::unique_ptr<Session> listener = Session::create(*context, Side::listener).value();
};

int key_updates(Session& receiver, const std::function<void()>& act) {
  int count = 0;
  const auto on_message = [](int sent, int, int type, const void* data, std::size_t size, SSL*, void* counter) {
    if (sent == 0 && type == SSL3_RT_HANDSHAKE && size > 0 && *static_cast<const std::uint8_t*>(data) == 24)
      ++*static_cast<int*>(counter);
  };
  SSL_set_msg_callback(&receiver.ssl(), on_message);
  SSL_set_msg_callback_arg(&receiver.ssl(), &count);
  act();
  return count;
}

TEST_F(TlsSession, KeysAreReplacedAfterTheRecordLimit) {
  dialer->set_records_per_key(3);
  const int updates = key_updates(*listener, [&] {
    for (int i = 0; i < 10; ++i) {
      const Bytes text(100, static_cast<std::uint8_t>('a' + i));
      ASSERT_TRUE(dialer->write(text));
      EXPECT_EQ(deliver(*dialer, *listener), text);
    }
  });
  EXPECT_EQ(updates, 3) << "before the records 4, 7 and 10";
  const int of_one_write = key_updates(*listener, [&] {
    ASSERT_TRUE(dialer->write(Bytes(4 * SSL3_RT_MAX_PLAIN_LENGTH)));
    ASSERT_TRUE(dialer->write(Bytes(1)));
    EXPECT_EQ(deliver(*dialer, *listener).size(), 4u * SSL3_RT_MAX_PLAIN_LENGTH + 1);
  });
  EXPECT_EQ(of_one_write, 1) << "all records of a write count";
}

TEST_F(TlsSession, AFailureIsPermanent) {
  ASSERT_TRUE(dialer->write(to_bytes("text")));
  dialer->output()[10] ^= 1;
  EXPECT_TRUE(deliver(*dialer, *listener).empty());
  Bytes into(10);
  const auto first = listener->read(into);
  ASSERT_FALSE(first);
  EXPECT_FALSE(listener->output().empty()) << "an alert";
  EXPECT_EQ(listener->read(into).error().to_string(), first.error().to_string());
  EXPECT_FALSE(listener->write(into));
  EXPECT_FALSE(listener->finish());
  EXPECT_FALSE(listener->handshake());
}

TEST_F(TlsSession, AfterItsOwnCloseNotifyItStillReads) {
  ASSERT_TRUE(dialer->finish());
  EXPECT_TRUE(deliver(*dialer, *listener).empty());
  Bytes into(10);
  EXPECT_EQ(listener->read(into).value(), std::optional<std::size_t>(0)) << "close_notify is an end";
  ASSERT_TRUE(listener->write(to_bytes("an answer")));
  EXPECT_EQ(deliver(*listener, *dialer), to_bytes("an answer"));
  EXPECT_EQ(dialer->read(into).value(), std::nullopt) << "more bytes are needed";
}

}  // namespace
}  // namespace dms::libp2p::tls
