#include "libp2p/security/noise/noise.hpp"

#include "libp2p/security/noise/noise_stream.hpp"
#include "libp2p/security/noise/payload.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p::noise {
namespace {

using namespace libp2p::testing;
using Pair = std::pair<Result<Secured>, Result<Secured>>;

std::vector<std::string> yamux() { return {"/yamux/1.0.0"}; }
crypto::PeerId id_of(std::uint64_t seed) { return crypto::PeerId::from(make_key(seed).public_key()); }

struct Noises {
  SeededRandom random{7};
  Noise a{make_key(1), random};
  Noise b{make_key(2), random};

  Pair handshake(LaneWorld& w, std::optional<crypto::PeerId> expected, std::vector<std::string> muxers_a = yamux(),
                 std::vector<std::string> muxers_b = yamux(), std::size_t capacity = 1 << 16) {
    auto [left, right] = make_pipe(capacity);
    return run_both(w, a.secure(std::move(left), Side::dialer, expected, std::move(muxers_a)),
                    b.secure(std::move(right), Side::listener, std::nullopt, std::move(muxers_b)));
  }
};

TEST(Noise, BothSidesAuthenticateEachOther) {
  LaneWorld w;
  Noises n;
  auto [a, b] = n.handshake(w, id_of(2));
  ASSERT_TRUE(a) << a.error().to_string();
  ASSERT_TRUE(b) << b.error().to_string();
  EXPECT_EQ(a->peer, id_of(2));
  EXPECT_EQ(b->peer, id_of(1));
  EXPECT_EQ(a->key, make_key(2).public_key());
  EXPECT_EQ(a->muxer, "/yamux/1.0.0");
  EXPECT_EQ(b->muxer, "/yamux/1.0.0");
}

TEST(Noise, ADialerRefusesAnUnexpectedPeer) {
  LaneWorld w;
  Noises n;
  auto [a, b] = n.handshake(w, id_of(3));
  ASSERT_FALSE(a);
  EXPECT_TRUE(a.error().is(Errc::permission_denied));
  EXPECT_NE(a.error().to_string().find(id_of(3).to_string()), std::string::npos);
  EXPECT_FALSE(b);
}

TEST(Noise, MuxersAreAgreedByTheDialersOrder) {
  LaneWorld w;
  Noises n;
  auto [a, b] = n.handshake(w, {}, {"/q/1", "/yamux/1.0.0", "/mplex/1"}, {"/mplex/1", "/yamux/1.0.0"});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->muxer, "/yamux/1.0.0");
  EXPECT_EQ(b->muxer, "/yamux/1.0.0");
  auto [c, d] = n.handshake(w, {}, {}, yamux());
  ASSERT_TRUE(c && d);
  EXPECT_EQ(c->muxer + d->muxer, "");
  auto [g, h] = n.handshake(w, {}, yamux(), {});
  ASSERT_TRUE(g && h);
  EXPECT_EQ(g->muxer + h->muxer, "") << "one side offers none: multistream-select decides";
  auto [e, f] = n.handshake(w, {}, {"/q/1"}, yamux());
  ASSERT_FALSE(e || f) << "both offer muxers and share none: both sides fail";
  EXPECT_TRUE(e.error().is(Errc::unsupported));
  EXPECT_TRUE(f.error().is(Errc::unsupported));
}

TEST(Noise, CarriesAnyAmountThroughAnyPipe) {
  for (std::size_t capacity : {1u, 7u, 1000u, 1u << 16, 1u << 20}) {
    LaneWorld w;
    Noises n;
    auto [a, b] = n.handshake(w, {}, yamux(), yamux(), capacity);
    ASSERT_TRUE(a && b);
    SeededRandom random(capacity);
    const Bytes from_a = random.bytes(capacity < 100 ? 3000 : 1'000'000);
    const Bytes from_b = random.bytes(capacity < 100 ? 100 : NoiseStream::kMaxPlain);
    auto [to_a, to_b] =
        run_both(w, send_and_read(std::move(a->stream), from_a), send_and_read(std::move(b->stream), from_b));
    ASSERT_TRUE(to_a && to_b);
    EXPECT_EQ(*to_a, from_b);
    EXPECT_EQ(*to_b, from_a);
  }
}

/// Forwards at most `limit` bytes of `from`, with byte `flip` changed.
Task<Result<void>> relay(ByteStream& from, ByteStream& to, std::size_t limit, std::size_t flip, std::size_t& passed) {
  std::size_t at = 0;
  Bytes buffer(1024);
  for (;;) {
    Result<std::size_t> got = co_await from.read_some(buffer);
    if (!got || *got == 0) break;
    std::size_t take = std::min(*got, limit - std::min(limit, at));
    if (flip >= at && flip < at + take) buffer[flip - at] ^= 1;
    at += take;
    passed = at;
    Result<void> sent = co_await to.write(BytesView(buffer).first(take));
    if (!sent || take < *got) break;
  }
  co_return co_await to.close_write();
}

struct Tampered {
  bool dialer_ok = false;
  bool listener_ok = false;
  std::size_t passed = 0;
};

constexpr std::size_t kNever = static_cast<std::size_t>(-1);

/// A handshake whose dialer's bytes go through a relay.
Tampered handshake_through_relay(std::size_t limit, std::size_t flip) {
  LaneWorld w;
  Noises n;
  auto [dialer, wire_a] = make_pipe();
  auto [wire_b, listener] = make_pipe();
  Tampered out;
  std::optional<Result<Secured>> a, b;
  std::optional<Result<void>> there, back;
  std::size_t ignored = 0;
  Nursery nursery(w.lane(), "test");
  nursery.spawn(keep(n.a.secure(std::move(dialer), Side::dialer, std::nullopt, yamux()), a));
  nursery.spawn(keep(n.b.secure(std::move(listener), Side::listener, std::nullopt, yamux()), b));
  nursery.spawn(keep(relay(*wire_a, *wire_b, limit, flip, out.passed), there));
  nursery.spawn(keep(relay(*wire_b, *wire_a, kNever, kNever, ignored), back));
  w.world.run_for(1min);  // the listener may wait for ever: its owner's deadline ends it
  w.run(nursery.close());
  out.dialer_ok = a && *a;
  out.listener_ok = b && *b;
  return out;
}

TEST(Noise, AHandshakeCutOffAtAnyByteEndsCleanly) {
  const Tampered whole = handshake_through_relay(kNever, kNever);
  ASSERT_TRUE(whole.dialer_ok && whole.listener_ok);
  ASSERT_GT(whole.passed, 200u);
  for (std::size_t limit = 0; limit < whole.passed; ++limit)
    EXPECT_FALSE(handshake_through_relay(limit, kNever).listener_ok) << limit;
}

TEST(Noise, AHandshakeWithAnyByteChangedFails) {
  const std::size_t size = handshake_through_relay(kNever, kNever).passed;
  for (std::size_t flip = 0; flip < size; ++flip)
    EXPECT_FALSE(handshake_through_relay(kNever, flip).listener_ok) << flip;
}

Task<Result<std::size_t>> read_once(ByteStream& stream, MutableBytes into) {
  co_return co_await stream.read_some(into);
}
Task<Result<Bytes>> read_all(ByteStream& stream) { co_return co_await read_to_end(stream, 1 << 20); }

Handshake::Ciphers zero_ciphers() { return {*CipherState::create(Bytes(32)), *CipherState::create(Bytes(32))}; }

Bytes sealed(std::uint64_t nonce, Bytes text) {
  auto cipher = *crypto::Aead::create(Bytes(32));
  text.resize(text.size() + 16);
  EXPECT_TRUE(cipher.seal(nonce_of(nonce), {}, BytesView(text).first(text.size() - 16), text));
  Bytes out{static_cast<std::uint8_t>(text.size() >> 8), static_cast<std::uint8_t>(text.size())};
  append(out, text);
  return out;
}

TEST(NoiseStream, ReplayedShortOrCutMessagesEndTheStream) {
  const auto read_after = [](Bytes wire) {
    LaneWorld w;
    auto [left, right] = make_pipe();
    NoiseStream stream(std::move(left), zero_ciphers());
    w.run(send_all(*right, std::move(wire)));
    return w.run(read_all(stream));
  };
  Bytes good = sealed(0, to_bytes("hello"));
  append(good, sealed(1, {}));  // an empty message is fine
  append(good, sealed(2, to_bytes(" world")));
  auto text = read_after(good);
  ASSERT_TRUE(text);
  EXPECT_EQ(as_text(*text), "hello world");

  Bytes replayed = sealed(0, to_bytes("hello"));
  append(replayed, sealed(0, to_bytes("hello")));
  EXPECT_FALSE(read_after(replayed));
  Bytes early = sealed(0, to_bytes("hello"));
  append(early, sealed(2, to_bytes("with the next nonce")));  // nonce 1 was dropped
  append(early, sealed(1, to_bytes("the dropped one")));
  EXPECT_FALSE(read_after(early));
  Bytes empty;
  for (std::uint64_t nonce = 0; nonce < NoiseStream::kMaxEmpty + 1; ++nonce) append(empty, sealed(nonce, {}));
  EXPECT_FALSE(read_after(empty)) << "messages without text";
  EXPECT_FALSE(read_after({0, 15, 1, 2, 3}));
  EXPECT_FALSE(read_after({0, 0}));
  Bytes cut = sealed(0, to_bytes("hello"));
  cut.pop_back();
  EXPECT_FALSE(read_after(cut));
  EXPECT_FALSE(read_after({0}));
}

/// Reads in pieces of `piece` bytes.
Task<Result<Bytes>> read_in_pieces(ByteStream& stream, std::size_t piece) {
  Bytes all;
  Bytes buffer(piece);
  for (;;) {
    CO_TRY(std::size_t got, co_await stream.read_some(buffer));
    if (got == 0) co_return std::move(all);
    append(all, BytesView(buffer).first(got));
  }
}

TEST(NoiseStream, ReadersOfAnySizeGetTheSameBytesAndAllThatPrecedeAFault) {
  SeededRandom random(4);
  Bytes wire, text;
  for (std::uint64_t nonce = 0; nonce < 40; ++nonce) {
    const Bytes part = random.bytes(random.below(nonce % 4 == 0 ? 60'000 : 300));
    append(text, part);
    append(wire, sealed(nonce, part));
  }
  for (std::size_t piece : {1u, 7u, 299u, 5000u, 65'519u, 1u << 20}) {
    LaneWorld w;
    auto [left, right] = make_pipe(1 << 22);
    NoiseStream stream(std::move(left), zero_ciphers());
    w.run(send_all(*right, wire));
    auto read = w.run(read_in_pieces(stream, piece));
    ASSERT_TRUE(read) << piece;
    EXPECT_EQ(*read, text) << piece;
  }
  Bytes faulty = wire;
  append(faulty, sealed(7, to_bytes("again")));
  LaneWorld w;
  auto [left, right] = make_pipe(1 << 22);
  NoiseStream stream(std::move(left), zero_ciphers());
  w.run(send_all(*right, faulty));
  Bytes into(2 << 20);
  std::size_t had = 0;
  for (;;) {
    auto got = w.run(read_once(stream, MutableBytes(into).subspan(had)));
    if (!got) break;
    ASSERT_GT(*got, 0u);
    had += *got;
  }
  into.resize(had);
  EXPECT_EQ(into, text);
  EXPECT_FALSE(w.run(read_once(stream, into))) << "permanently";
}

TEST(NoisePayload, RoundTripsAndIgnoresUnknownFields) {
  const Bytes static_key(32, 5);
  Payload payload = *Payload::create(make_key(1), static_key);
  payload.muxers = {"/yamux/1.0.0"};
  Bytes bytes = payload.encode();
  append(bytes, Bytes{0x2a, 0x01, 0x00, 0x30, 0x07});  // fields 5 and 6
  auto back = Payload::decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->muxers, payload.muxers);
  EXPECT_TRUE(back->verify(static_key));
  EXPECT_FALSE(back->verify(Bytes(32, 6)));
  back->identity_key = make_key(2).public_key().marshal();
  EXPECT_FALSE(back->verify(static_key));
  EXPECT_FALSE(Payload{}.verify(static_key));
}

}  // namespace
}  // namespace dms::libp2p::noise
