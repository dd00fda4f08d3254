#include "libp2p/security/tls/tls_stream.hpp"

#include "libp2p/security/tls/testing.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

Task<Result<void>> write_all(ByteStream& stream, Bytes bytes) { co_return co_await stream.write(bytes); }

TEST(TlsStream, CarriesAnyAmountThroughAnyPipe) {
  for (std::size_t capacity : {1u, 7u, 1000u, 1u << 16, 1u << 20}) {
    LaneWorld w;
    auto [a, b] = handshake(w, {}, {}, yamux(), yamux(), capacity);
    ASSERT_TRUE(a && b);
    SeededRandom random(capacity);
    const Bytes from_a = random.bytes(capacity < 100 ? 3000 : 1'000'000);
    const Bytes from_b = random.bytes(capacity < 100 ? 100 : 16'384);
    auto [to_a, to_b] =
        run_both(w, send_and_read(std::move(a->stream), from_a), send_and_read(std::move(b->stream), from_b));
    ASSERT_TRUE(to_a && to_b);
    EXPECT_EQ(*to_a, from_b);
    EXPECT_EQ(*to_b, from_a);
  }
}

TEST(TlsStream, HalvesCloseSeparately) {
  LaneWorld w;
  auto [a, b] = handshake(w);
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(w.run(write_all(*a->stream, to_bytes("the last text"))));
  ASSERT_TRUE(w.run(a->stream->close_write()));
  EXPECT_TRUE(w.run(a->stream->close_write())) << "closing twice is no error";
  EXPECT_FALSE(w.run(write_all(*a->stream, to_bytes("more"))));
  const auto read = w.run(read_all(*b->stream));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(as_text(*read), "the last text");
  ASSERT_TRUE(w.run(write_all(*b->stream, to_bytes("an answer"))));
  ASSERT_TRUE(w.run(b->stream->close_write()));
  const auto answer = w.run(read_all(*a->stream));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(as_text(*answer), "an answer");
}

/// A secured stream and the other end of its raw stream.
struct Tapped {
  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<ByteStream> wire;
};

/// Everything that can be read from `from` now.
Bytes drain(LaneWorld& w, ByteStream& from) {
  Bytes all;
  for (;;) {
    const auto some = w.run(with_timeout(1ms, read_some_of(from, 1 << 17)));
    if (!some || some->empty()) return all;
    append(all, *some);
  }
}

Task<void> carry(ByteStream& from, ByteStream& to) {
  Bytes buffer(4096);
  for (;;) {
    Result<std::size_t> got = co_await from.read_some(buffer);
    if (!got || *got == 0) co_return;
    Result<void> sent = co_await to.write(BytesView(buffer).first(*got));
    if (!sent) co_return;
  }
}

/// Two secured ends whose bytes pass through the test, which may carry, alter or drop them.
std::optional<std::pair<Tapped, Tapped>> tap(LaneWorld& w) {
  auto [dialer, wire_a] = make_pipe(1 << 20);
  auto [wire_b, listener] = make_pipe(1 << 20);
  Nursery carriers(w.lane(), "carriers");
  carriers.spawn(carry(*wire_a, *wire_b));
  carriers.spawn(carry(*wire_b, *wire_a));
  auto [a, b] = run_both(w, tls_of(1).secure(std::move(dialer), Side::dialer, {}, yamux()),
                         tls_of(2).secure(std::move(listener), Side::listener, {}, yamux()));
  w.run(carriers.close());
  if (!a || !b) return std::nullopt;
  return std::pair{Tapped{std::move(a->stream), std::move(wire_a)}, Tapped{std::move(b->stream), std::move(wire_b)}};
}

TEST(TlsStream, AnEndWithoutCloseNotifyIsAnError) {
  LaneWorld w;
  auto pair = tap(w);
  ASSERT_TRUE(pair);
  auto& [a, b] = *pair;
  ASSERT_TRUE(w.run(b.wire->close_write()));
  const auto read = w.run(read_all(*b.stream));
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().to_string().find("close_notify"), std::string::npos) << read.error().to_string();
}

TEST(TlsStream, ManyRecordsLeaveInOneWrite) {
  LaneWorld w;
  auto pair = tap(w);
  ASSERT_TRUE(pair);
  auto& [a, b] = *pair;
  ASSERT_TRUE(w.run(write_all(*a.stream, Bytes(100'000))));
  // Seven records, each of a header, a type and a tag more than its text; no handshake padding.
  EXPECT_EQ(drain(w, *a.wire).size(), 100'000u + 7 * (5 + 1 + 16));
}

/// What the listener reads when the dialer's records arrive as `alter` leaves them.
Result<Bytes> read_altered(void (*alter)(Bytes&)) {
  LaneWorld w;
  auto pair = tap(w);
  if (!pair) return fail(Errc::internal, "no handshake");
  auto& [a, b] = *pair;
  (void)w.run(write_all(*a.stream, to_bytes("hello")));
  (void)w.run(write_all(*a.stream, to_bytes(" world")));
  (void)w.run(a.stream->close_write());
  Bytes wire = drain(w, *a.wire);
  alter(wire);
  (void)w.run(write_all(*b.wire, wire));
  (void)w.run(b.wire->close_write());
  return w.run(read_all(*b.stream));
}

TEST(TlsStream, AlteredReplayedCutOrInjectedRecordsEndTheStream) {
  const auto text = read_altered([](Bytes&) {});
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(as_text(*text), "hello world");
  constexpr std::size_t kFirst = 5 + 5 + 1 + 16;  // the first record's size
  void (*const alterations[])(Bytes&) = {
      [](Bytes& wire) { wire[7] ^= 1; },                                                    // altered
      [](Bytes& wire) { wire[kFirst - 1] ^= 1; },                                           // its tag
      [](Bytes& wire) { wire.insert(wire.begin(), wire.begin(), wire.begin() + kFirst); },  // replayed
      [](Bytes& wire) { wire.erase(wire.begin(), wire.begin() + kFirst); },                 // left out
      [](Bytes& wire) { wire.resize(kFirst + 10); },                                        // cut within
      [](Bytes& wire) { wire.resize(kFirst); },                                             // cut between
      [](Bytes& wire) {
        wire = {23, 3, 3, 0x41, 0x01};
        wire.resize(5 + 0x4101);
      },  // too long
      [](Bytes& wire) {
        wire.insert(wire.begin(), {23, 3, 3, 0, 2, 'h', 'i'});
      },                                                               // plain text
      [](Bytes& wire) { wire = to_bytes("GET / HTTP/1.1\r\n\r\n"); },  //
      [](Bytes& wire) {
        wire.insert(wire.begin(), {22, 3, 3, 0, 4, 0, 0, 0, 0});
      },  // a handshake
      [](Bytes& wire) {
        wire.insert(wire.begin(), {21, 3, 3, 0, 2, 1, 0});
      },  // close_notify that is not encrypted
  };
  int number = 0;
  for (auto* alter : alterations) {
    EXPECT_FALSE(read_altered(alter)) << "alteration " << number;
    ++number;
  }
}

}  // namespace
}  // namespace dms::libp2p::tls
