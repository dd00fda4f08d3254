#include "libp2p/security/tls/tls_stream.hpp"

#include "libp2p/security/tls/testing.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

Task<Result<void>> write_all(ByteStream& stream, Bytes bytes) { co_return co_await stream.write(bytes); }

TEST(TlsStream, CarriesAnyAmountThroughAnyPipe) {
  for (std::size_t capacity : {1u, 7u, 1000u, 1u << 16, 1u << 20}) {
    LaneWorld w;
    auto [a, b] = shake(w, {}, {}, yamux(), yamux(), capacity);
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

TEST(TlsStream, EachHalfClosesAlone) {
  LaneWorld w;
  auto [a, b] = shake(w);
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(w.run(write_all(*a->stream, to_bytes("last words"))));
  ASSERT_TRUE(w.run(a->stream->close_write()));
  EXPECT_TRUE(w.run(a->stream->close_write())) << "closing twice is closing";
  EXPECT_FALSE(w.run(write_all(*a->stream, to_bytes("more"))));
  const auto heard = w.run(read_all(*b->stream));
  ASSERT_TRUE(heard) << heard.error().to_string();
  EXPECT_EQ(as_text(*heard), "last words");
  ASSERT_TRUE(w.run(write_all(*b->stream, to_bytes("an answer"))));
  ASSERT_TRUE(w.run(b->stream->close_write()));
  const auto answer = w.run(read_all(*a->stream));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(as_text(*answer), "an answer");
}

/// A stream whose raw end the test keeps in hand.
struct Tapped {
  std::unique_ptr<ByteStream> stream;  ///< ours
  std::unique_ptr<ByteStream> wire;    ///< the other end of it
};

/// Everything `from` has to say now.
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

/// Two secured ends whose wires meet in the test, so that it may carry, alter or drop what they say.
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

TEST(TlsStream, AnEndWithoutGoodbyeIsAnError) {
  LaneWorld w;
  auto pair = tap(w);
  ASSERT_TRUE(pair);
  auto& [a, b] = *pair;
  ASSERT_TRUE(w.run(b.wire->close_write()));
  const auto heard = w.run(read_all(*b.stream));
  ASSERT_FALSE(heard);
  EXPECT_NE(heard.error().to_string().find("close_notify"), std::string::npos) << heard.error().to_string();
}

TEST(TlsStream, ManyRecordsLeaveInOneWrite) {
  LaneWorld w;
  auto pair = tap(w);
  ASSERT_TRUE(pair);
  auto& [a, b] = *pair;
  ASSERT_TRUE(w.run(write_all(*a.stream, Bytes(100'000))));
  // Seven records, each of a header, a type and a tag more than its text; nothing of the handshake's padding.
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

TEST(TlsStream, AlteredReplayedCutOrForeignRecordsEndTheStream) {
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
      },  // close_notify by a stranger
  };
  int number = 0;
  for (auto* alter : alterations) {
    EXPECT_FALSE(read_altered(alter)) << "alteration " << number;
    ++number;
  }
}

// ---- what a peer may say beside text -------------------------------------------------------------------------------

constexpr Suite kSuite = Suite::aes_128_gcm_sha256;
RecordCipher known_cipher(std::uint8_t fill) {
  return *RecordCipher::create(kSuite, crypto::Secret(BytesView(Bytes(32, fill))));
}

/// Records made with the keys of the other side, as it would send them.
struct Script {
  RecordCipher cipher = known_cipher(1);
  Bytes wire = {};
  Script& say(ContentType type, const Bytes& content) {
    Bytes record(content.size() + RecordCipher::kOverhead);
    EXPECT_TRUE(cipher.seal(type, content, record));
    append(wire, record);
    return *this;
  }
  Script& text(std::string_view content) { return say(ContentType::application_data, to_bytes(content)); }
  Script& message(const Bytes& content) { return say(ContentType::handshake, content); }
  Script& key_update(std::uint8_t request) {
    message({24, 0, 0, 1, request});
    EXPECT_TRUE(cipher.update());
    return *this;
  }
  Script& alert(std::uint8_t description) { return say(ContentType::alert, {2, description}); }
  Script& goodbye() { return say(ContentType::alert, {1, 0}); }
};

Task<Result<Bytes>> read_slowly(ByteStream& stream, std::size_t piece) {
  Bytes all;
  for (;;) {
    CO_TRY(const Bytes some, co_await read_some_of(stream, piece));
    if (some.empty()) co_return std::move(all);
    append(all, some);
  }
}

/// What a reader of ours makes of it, reading `piece` bytes at a time; half of it came with the handshake.
Result<Bytes> heard(BytesView wire, Side side = Side::dialer, std::size_t piece = 1000) {
  LaneWorld w;
  auto [left, right] = make_pipe(1 << 20);
  const std::size_t early = std::min<std::size_t>(wire.size() / 2, 4096);
  TlsStream stream(std::move(left), side, {known_cipher(2), known_cipher(1)}, wire.first(early));
  w.run(send_all(*right, to_bytes(wire.subspan(early))));
  return w.run(with_timeout(1min, read_slowly(stream, piece)));
}

TEST(TlsStream, TicketsOfAnySizeAreSkipped) {
  Bytes ticket(4 + 100'000, 7);
  ticket[0] = 4;
  ticket[1] = 1;
  ticket[2] = 0x86;
  ticket[3] = 0xa0;
  Script script;
  script.text("before ");
  for (std::size_t at = 0; at < ticket.size(); at += 9'999)  // cut at odd places
    script.message(Bytes(ticket.begin() + static_cast<std::ptrdiff_t>(at),
                         ticket.begin() + static_cast<std::ptrdiff_t>(std::min(at + 9'999, ticket.size()))));
  script.message({4}).message({0, 0, 2, 9, 9, 4, 0, 0}).message({0});  // two more, in pieces
  script.text("after").goodbye();
  for (std::size_t piece : {1u, 5u, 1000u, 1u << 18}) {
    const auto text = heard(script.wire, Side::dialer, piece);
    ASSERT_TRUE(text) << text.error().to_string();
    EXPECT_EQ(as_text(*text), "before after");
  }
  EXPECT_FALSE(heard(script.wire, Side::listener)) << "a dialer has no tickets to give";
}

TEST(TlsStream, KeysChangeBetweenRecords) {
  Script script;
  script.text("one ").key_update(0).text("two ").key_update(1).key_update(1).text("three").goodbye();
  const auto text = heard(script.wire);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(as_text(*text), "one two three");
}

TEST(TlsStream, WhatMustNotBeSaidEndsIt) {
  const auto why = [](BytesView wire) {
    const auto text = heard(wire);
    return text ? "read: " + std::string(as_text(*text)) : text.error().to_string();
  };
  const std::pair<Bytes, const char*> cases[] = {
      {Script().message({1, 0, 0, 0}).wire, "handshake message of type 1"},
      {Script().message({24, 0, 0, 2, 0, 0}).wire, "handshake message of type 24"},
      {Script().message({24, 0, 0, 1, 2}).wire, "a key update with request 2"},
      {Script().message({24, 0, 0, 1, 0, 4}).wire, "1 bytes behind a key update"},
      {Script().message({}).wire, "a handshake record of no bytes"},
      {Script().message({4, 0}).text("x").wire, "within a handshake message"},
      {Script().message({4, 0, 0, 9, 1}).goodbye().wire, "within a handshake message"},
      {Script().say(ContentType::change_cipher_spec, {1}).wire, "a record of type 20"},
      {Script().say(static_cast<ContentType>(99), {1}).wire, "a record of type 99"},
      {Script().say(ContentType::alert, {1}).wire, "an alert of 1 bytes"},
      {Script().alert(42).wire, "bad certificate"},
      {Script().alert(90).wire, "without close_notify"},  // user_canceled alone is not an end
      {Script().text("x").wire, "without close_notify"},
  };
  for (const auto& [wire, expected] : cases)
    EXPECT_NE(why(wire).find(expected), std::string::npos)
        << "expected '" << expected << "', got '" << why(wire) << "'";

  const auto empty_records = [](int count) {
    Script script;
    for (int i = 0; i < count; ++i) script.text("");
    return script.text("x").goodbye().wire;
  };
  EXPECT_EQ(why(empty_records(TlsStream::kMaxEmpty)), "read: x");
  EXPECT_NE(why(empty_records(TlsStream::kMaxEmpty + 1)).find("carry nothing"), std::string::npos);
}

TEST(TlsStream, BehindTheGoodbyeNothingIsRead) {
  Script script;
  script.text("bye").goodbye().text("again");
  const auto text = heard(script.wire);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(as_text(*text), "bye");
}

TEST(TlsStream, KeysAreChangedBeforeTheyHaveSeenTooMuch) {
  LaneWorld w;
  auto [left, wire] = make_pipe(1 << 16);
  TlsStream ours(std::move(left), Side::dialer, {known_cipher(1), known_cipher(2)}, {}, 3);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(w.run(write_all(ours, Bytes(100, static_cast<std::uint8_t>('a' + i)))));
  ASSERT_TRUE(w.run(ours.close_write()));
  constexpr std::size_t kBeyond = RecordCipher::kOverhead;
  const Bytes said = drain(w, *wire);
  EXPECT_EQ(said.size(), 10 * (100 + kBeyond) + 3 * (5 + kBeyond) + 2 + kBeyond) << "three updates, a goodbye";
  const auto text = heard(said, Side::listener);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(text->size(), 1000u);
  EXPECT_EQ(text->back(), 'j');
}

}  // namespace
}  // namespace dms::libp2p::tls
