#include "libp2p/security/tls/tls.hpp"

#include <set>

#include "libp2p/security/tls/testing.hpp"
#include "libp2p/security/tls/tls_stream.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;
using Pair = std::pair<Result<Secured>, Result<Secured>>;
using Expected = std::optional<crypto::PeerId>;

std::vector<std::string> yamux() { return {"/yamux/1.0.0"}; }
crypto::PeerId id_of(std::uint64_t seed) { return crypto::PeerId::from(make_key(seed).public_key()); }

/// Made once: their certificates do not change.
Tls& tls_of(std::uint64_t seed) {
  static std::map<std::uint64_t, Tls> all;
  return all.try_emplace(seed, make_key(seed), kNow).first->second;
}

Pair shake(LaneWorld& w, Expected by_dialer = {}, Expected by_listener = {},
           std::vector<std::string> muxers_a = yamux(), std::vector<std::string> muxers_b = yamux(),
           std::size_t capacity = 1 << 16) {
  auto [left, right] = make_pipe(capacity);
  return run_both(w, tls_of(1).secure(std::move(left), Side::dialer, by_dialer, std::move(muxers_a)),
                  tls_of(2).secure(std::move(right), Side::listener, by_listener, std::move(muxers_b)));
}

/// Reads until an end or an error, so that a refusal told by an alert is heard.
Task<Result<Bytes>> read_all(ByteStream& stream) { co_return co_await read_to_end(stream, 1 << 24); }

TEST(Tls, BothSidesLearnWhoTheOtherIs) {
  LaneWorld w;
  auto [a, b] = shake(w, id_of(2), id_of(1));
  ASSERT_TRUE(a) << a.error().to_string();
  ASSERT_TRUE(b) << b.error().to_string();
  EXPECT_EQ(a->peer, id_of(2));
  EXPECT_EQ(b->peer, id_of(1));
  EXPECT_EQ(a->key, make_key(2).public_key());
  EXPECT_EQ(a->muxer, "/yamux/1.0.0");
  EXPECT_EQ(b->muxer, "/yamux/1.0.0");
}

TEST(Tls, ADialerWhoFindsSomebodyElseHangsUp) {
  LaneWorld w;
  auto [a, b] = shake(w, id_of(3));
  ASSERT_FALSE(a);
  EXPECT_TRUE(a.error().is(Errc::permission_denied));
  EXPECT_NE(a.error().to_string().find(id_of(3).to_string()), std::string::npos);
  ASSERT_FALSE(b);
  EXPECT_NE(b.error().to_string().find("alert"), std::string::npos) << b.error().to_string();
}

TEST(Tls, AListenerWhoFindsSomebodyElseHangsUpAndTheDialerHearsIt) {
  LaneWorld w;
  auto [a, b] = shake(w, {}, id_of(3));
  ASSERT_FALSE(b);
  EXPECT_TRUE(b.error().is(Errc::permission_denied));
  ASSERT_TRUE(a) << "a dialer has finished before the listener has looked";
  const auto heard = w.run(read_all(*a->stream));
  ASSERT_FALSE(heard);
}

TEST(Tls, MuxersAreAgreedByTheDialersOrder) {
  LaneWorld w;
  auto [a, b] = shake(w, {}, {}, {"/q/1", "/yamux/1.0.0", "/mplex/1"}, {"/mplex/1", "/yamux/1.0.0"});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->muxer, "/yamux/1.0.0");
  EXPECT_EQ(b->muxer, "/yamux/1.0.0");
  for (const auto& [ours, theirs] :
       {std::pair{std::vector<std::string>{}, yamux()}, {yamux(), {}}, {{"/q/1"}, yamux()}}) {
    auto [c, d] = shake(w, {}, {}, ours, theirs);
    ASSERT_TRUE(c && d);
    EXPECT_EQ(c->muxer + d->muxer, "") << "left to multistream";
  }
  auto [e, f] = shake(w, {}, {}, {std::string(300, 'x')}, yamux());
  ASSERT_FALSE(e);
  EXPECT_TRUE(e.error().is(Errc::invalid_argument));
}

// ---- the stream -----------------------------------------------------------------------------------------------------

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

Task<Result<Bytes>> read_some_of(ByteStream& stream, std::size_t most) {
  Bytes buffer(most);
  CO_TRY(std::size_t got, co_await stream.read_some(buffer));
  buffer.resize(got);
  co_return std::move(buffer);
}

Task<Result<void>> write_all(ByteStream& stream, Bytes bytes) { co_return co_await stream.write(bytes); }

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

/// Two secured ends whose wires meet in the test, so that it may carry, alter or drop what they say.
std::optional<std::pair<Tapped, Tapped>> tap(LaneWorld& w);

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

// ---- handshakes that are cut or altered -----------------------------------------------------------------------------

constexpr std::size_t kNever = static_cast<std::size_t>(-1);

/// Passes on what `from` sends, but only `limit` bytes, with byte `flip` changed.
Task<void> relay(ByteStream& from, ByteStream& to, std::size_t limit, std::size_t flip, Bytes& passed) {
  Bytes buffer(1024);
  for (;;) {
    Result<std::size_t> got = co_await from.read_some(buffer);
    if (!got || *got == 0) break;
    const std::size_t at = passed.size();
    const std::size_t take = std::min(*got, limit - at);
    if (flip >= at && flip < at + take) buffer[flip - at] ^= 1;
    append(passed, BytesView(buffer).first(take));
    Result<void> sent = co_await to.write(BytesView(buffer).first(take));
    if (!sent || take < *got) break;
  }
  (void)co_await to.close_write();
}

struct Tampering {
  std::size_t limit = kNever;
  std::size_t flip = kNever;
  Bytes passed = {};
};

struct Outcome {
  bool dialer = false;
  bool listener = false;
};

/// A handshake through two relays; whoever still waits after a minute is ended by its owner's deadline.
Outcome shake_through(Tampering& there, Tampering& back) {
  LaneWorld w;
  auto [dialer, wire_a] = make_pipe();
  auto [wire_b, listener] = make_pipe();
  std::optional<Result<Secured>> a, b;
  Nursery nursery(w.lane(), "test");
  nursery.spawn(keep(tls_of(1).secure(std::move(dialer), Side::dialer, {}, yamux()), a));
  nursery.spawn(keep(tls_of(2).secure(std::move(listener), Side::listener, {}, yamux()), b));
  nursery.spawn(relay(*wire_a, *wire_b, there.limit, there.flip, there.passed));
  nursery.spawn(relay(*wire_b, *wire_a, back.limit, back.flip, back.passed));
  w.world.run_for(1min);
  w.run(nursery.close());
  return {a && *a, b && *b};
}

/// The bytes that nobody vouches for: RFC 8446 has a receiver ignore the version of an unencrypted record.
std::set<std::size_t> free_bytes(BytesView wire) {
  std::set<std::size_t> out;
  for (std::size_t at = 0; at + 5 <= wire.size();) {
    if (wire[at] != 23) out.insert({at + 1, at + 2});
    at += 5 + static_cast<std::size_t>(wire[at + 3] << 8 | wire[at + 4]);
  }
  return out;
}

TEST(TlsHandshake, WeighsTheSameEveryTime) {
  std::set<std::size_t> there, back;
  for (int i = 0; i < 20; ++i) {
    Tampering t, b;
    const Outcome outcome = shake_through(t, b);
    ASSERT_TRUE(outcome.dialer && outcome.listener);
    there.insert(t.passed.size());
    back.insert(b.passed.size());
  }
  EXPECT_EQ(there.size(), 1u);
  EXPECT_EQ(back.size(), 1u);
}

TEST(TlsHandshake, StoppedAtAnyByteItEndsCleanly) {
  Tampering whole_there, whole_back;
  shake_through(whole_there, whole_back);
  ASSERT_GT(whole_there.passed.size(), 700u);
  ASSERT_GT(whole_back.passed.size(), 700u);
  for (std::size_t limit = 0; limit < whole_there.passed.size(); ++limit) {
    Tampering there{.limit = limit}, back;
    EXPECT_FALSE(shake_through(there, back).listener) << limit;
  }
  for (std::size_t limit = 0; limit < whole_back.passed.size(); ++limit) {
    Tampering there, back{.limit = limit};
    const Outcome outcome = shake_through(there, back);
    EXPECT_FALSE(outcome.dialer) << limit;
    EXPECT_FALSE(outcome.listener) << limit;
  }
}

TEST(TlsHandshake, WithAnyByteChangedItFails) {
  Tampering whole_there, whole_back;
  shake_through(whole_there, whole_back);
  const std::set<std::size_t> free_there = free_bytes(whole_there.passed);
  const std::set<std::size_t> free_back = free_bytes(whole_back.passed);
  EXPECT_LE(free_there.size() + free_back.size(), 8u);
  for (std::size_t flip = 0; flip < whole_there.passed.size(); ++flip) {
    if (free_there.contains(flip)) continue;
    Tampering there{.flip = flip}, back;
    EXPECT_FALSE(shake_through(there, back).listener) << flip;
  }
  for (std::size_t flip = 0; flip < whole_back.passed.size(); ++flip) {
    if (free_back.contains(flip)) continue;
    Tampering there, back{.flip = flip};
    EXPECT_FALSE(shake_through(there, back).dialer) << flip;
  }
}

// ---- peers that are not like us -------------------------------------------------------------------------------------

/// A peer made of plain OpenSSL: right, but for what a test changes.
struct Foreign {
  Recipe recipe = {};
  int certificates = 1;
  const char* protocols = "\x0c/yamux/1.0.0\x06libp2p";
  int version = TLS1_3_VERSION;
  bool picks_by_alpn = true;
  bool tickets = false;
};

int pick_first(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned, void*) {
  *size = in[0];
  *out = in + 1;
  return SSL_TLSEXT_ERR_OK;
}

int pick_nonsense(SSL*, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned, void*) {
  *size = 4;
  *out = reinterpret_cast<const unsigned char*>("h2c1");
  return SSL_TLSEXT_ERR_OK;
}

SslContextPtr foreign_context(const Foreign& foreign) {
  SslContextPtr context(SSL_CTX_new(TLS_method()));
  SSL_CTX* c = context.get();
  SSL_CTX_set_security_level(c, 0);
  SSL_CTX_set_min_proto_version(c, foreign.version);
  SSL_CTX_set_max_proto_version(c, foreign.version);
  if (!foreign.tickets) SSL_CTX_set_num_tickets(c, 0);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(
      c, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  if (foreign.picks_by_alpn) SSL_CTX_set_alpn_select_cb(c, pick_first, nullptr);
  if (*foreign.protocols != 0)
    SSL_CTX_set_alpn_protos(c, as_bytes(foreign.protocols).data(),
                            static_cast<unsigned>(std::string_view(foreign.protocols).size()));
  if (foreign.certificates == 0) return context;
  const Certificate certificate = cook(foreign.recipe);
  EXPECT_EQ(SSL_CTX_use_certificate(c, certificate.x509.get()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(c, certificate.key.get()), 1);
  for (int i = 1; i < foreign.certificates; ++i) SSL_CTX_add1_chain_cert(c, certificate.x509.get());
  return context;
}

Task<Result<Bytes>> speak_foreign(std::unique_ptr<ByteStream> raw, SSL_CTX& context, Side side, bool update_keys) {
  CO_TRY(std::unique_ptr<Engine> engine, Engine::create(context, side));
  CO_TRY_VOID(co_await shake_hands(*raw, *engine));
  SSL* ssl = &engine->ssl();
  TlsStream stream(std::move(raw), std::move(engine));
  Bytes all;
  for (int i = 0; i < 10; ++i) {
    if (update_keys) SSL_key_update(ssl, i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    const Bytes text = to_bytes("hello");
    CO_TRY_VOID(co_await stream.write(text));
    CO_TRY(Bytes echo, co_await read_some_of(stream, 5));
    append(all, echo);
  }
  CO_TRY_VOID(co_await stream.close_write());
  co_return std::move(all);
}

/// Ours: shakes hands, then sends back what it hears.
Task<Result<std::size_t>> echo_ours(std::unique_ptr<ByteStream> raw, Side side) {
  CO_TRY(Secured secured, co_await tls_of(1).secure(std::move(raw), side, {}, yamux()));
  std::size_t total = 0;
  for (;;) {
    CO_TRY(Bytes some, co_await read_some_of(*secured.stream, 1000));
    if (some.empty()) break;
    total += some.size();
    CO_TRY_VOID(co_await secured.stream->write(some));
  }
  co_return total;
}

struct Met {
  Result<std::size_t> ours;
  Result<Bytes> theirs;
  [[nodiscard]] std::string why() const { return ours ? "accepted" : ours.error().to_string(); }
};

Met meet(const Foreign& foreign, Side our_side, bool update_keys = false) {
  LaneWorld w;
  auto [left, right] = make_pipe();
  const SslContextPtr context = foreign_context(foreign);
  const Side their_side = our_side == Side::dialer ? Side::listener : Side::dialer;
  auto [ours, theirs] =
      run_both(w, with_timeout(1min, echo_ours(std::move(left), our_side)),
               with_timeout(1min, speak_foreign(std::move(right), *context, their_side, update_keys)));
  return {std::move(ours), std::move(theirs)};
}

TEST(TlsHandshake, WithPlainOpenSsl) {
  for (Side side : {Side::dialer, Side::listener}) {
    for (const Foreign& foreign :
         {Foreign{}, Foreign{.recipe = {.make_key = ed25519_key}}, Foreign{.recipe = {.make_key = rsa_key<2048>}},
          Foreign{.protocols = "\x06libp2p"}, Foreign{.tickets = true}}) {
      const Met met = meet(foreign, side);
      EXPECT_TRUE(met.ours) << met.why();
      ASSERT_TRUE(met.theirs) << met.theirs.error().to_string();
      EXPECT_EQ(met.theirs->size(), 50u);
    }
  }
}

TEST(TlsStream, KeyUpdatesAreObeyed) {
  for (Side side : {Side::dialer, Side::listener}) {
    const Met met = meet({}, side, true);
    EXPECT_TRUE(met.ours) << met.why();
    ASSERT_TRUE(met.theirs) << met.theirs.error().to_string();
    EXPECT_EQ(met.theirs->size(), 50u);
  }
}

/// Asks for new keys again and again, then says hello; how many bytes come back.
Task<Result<std::size_t>> flood_with_key_updates(std::unique_ptr<ByteStream> raw, SSL_CTX& context, int times) {
  CO_TRY(std::unique_ptr<Engine> engine, Engine::create(context, Side::dialer));
  CO_TRY_VOID(co_await shake_hands(*raw, *engine));
  for (int i = 0; i < times; ++i) {
    SSL_key_update(&engine->ssl(), SSL_KEY_UPDATE_REQUESTED);
    CO_TRY_VOID(engine->handshake());
  }
  CO_TRY_VOID(engine->write(as_bytes("hello")));
  const Bytes out = std::move(engine->out());
  CO_TRY_VOID(co_await raw->write(out));
  CO_TRY_VOID(co_await raw->close_write());
  std::size_t count = 0;
  for (;;) {
    Result<Bytes> back = co_await read_some_of(*raw, 1000);
    if (!back || back->empty()) co_return count;
    count += back->size();
  }
}

TEST(TlsStream, AFloodOfKeyUpdatesEndsIt) {
  const SslContextPtr context = foreign_context({});
  const auto flood = [&](int times) {
    LaneWorld w;
    auto [left, right] = make_pipe();
    return run_both(w, with_timeout(1min, echo_ours(std::move(left), Side::listener)),
                    with_timeout(1min, flood_with_key_updates(std::move(right), *context, times)));
  };
  constexpr std::size_t kRecord = 5 + 5 + 1 + 16;
  const auto [patient, some] = flood(100);
  ASSERT_TRUE(some);
  EXPECT_EQ(*some, 101 * kRecord) << "an answer to each, and the echo";
  const auto [ours, none] = flood(1000);
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, 0u);
  ASSERT_FALSE(ours);
  EXPECT_TRUE(ours.error().is(Errc::limit_exceeded)) << ours.error().to_string();
}

TEST(TlsHandshake, PeersThatAreRefusedAndWhy) {
  const std::pair<Foreign, const char*> cases[] = {
      {{.recipe = {.not_after = -1}}, "has expired"},
      {{.recipe = {.not_before = 1}}, "not yet valid"},
      {{.recipe = {.copies = 0}}, "lacks libp2p's extension"},
      {{.recipe = {.another = "1.2.3.4", .another_critical = true}}, "not understood: 1.2.3.4"},
      {{.recipe = {.signed_by_another = true}}, "not signed by its own key"},
      {{.recipe = {.content = to_bytes("nothing")}}, "another ASN.1 type"},
      {{.recipe = {.content = Bytes(Tls::kMaxCertificate, 4)}}, "excessive message size"},
      {{.certificates = 2}, "2 certificates instead of one"},
      {{.version = TLS1_2_VERSION}, "protocol"},
      {{.version = TLS1_1_VERSION}, "protocol"},
  };
  for (const auto& [foreign, why] : cases) {
    for (Side side : {Side::dialer, Side::listener}) {
      const Met met = meet(foreign, side);
      EXPECT_NE(met.why().find(why), std::string::npos) << "expected '" << why << "', got '" << met.why() << "'";
      EXPECT_FALSE(met.theirs);
    }
  }
}

TEST(TlsHandshake, WhatOnlyADialerCanDoWrong) {
  const std::pair<Foreign, const char*> cases[] = {
      {{.certificates = 0}, "peer did not return a certificate"},
      {{.protocols = ""}, "offers no protocol by ALPN"},
      {{.protocols = "\x02h2\x08http/1.1"}, "no protocol by ALPN that is spoken here"},
  };
  for (const auto& [foreign, why] : cases) {
    const Met met = meet(foreign, Side::listener);
    EXPECT_NE(met.why().find(why), std::string::npos) << "expected '" << why << "', got '" << met.why() << "'";
    EXPECT_FALSE(met.theirs);
  }
}

TEST(TlsHandshake, WhatOnlyAListenerCanDoWrong) {
  const Met silent = meet({.picks_by_alpn = false}, Side::dialer);
  EXPECT_NE(silent.why().find("chose no protocol by ALPN"), std::string::npos) << silent.why();

  LaneWorld w;
  auto [left, right] = make_pipe();
  const SslContextPtr context = foreign_context({});
  SSL_CTX_set_alpn_select_cb(context.get(), pick_nonsense, nullptr);
  auto [ours, theirs] = run_both(w, echo_ours(std::move(left), Side::dialer),
                                 speak_foreign(std::move(right), *context, Side::listener, false));
  ASSERT_FALSE(ours);
  EXPECT_FALSE(theirs);
}

// ---- peers that do not speak TLS ------------------------------------------------------------------------------------

Task<Result<void>> babble(std::unique_ptr<ByteStream> raw, Bytes bytes, int times) {
  for (int i = 0; i < times; ++i) CO_TRY_VOID(co_await raw->write(bytes));
  CO_TRY_VOID(co_await raw->close_write());
  Result<Bytes> rest = co_await read_to_end(*raw, 1 << 20);
  co_return Result<void>();
}

TEST(TlsHandshake, OtherBytesEndIt) {
  const std::pair<Bytes, int> cases[] = {
      {to_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 1},
      {to_bytes("\x13/multistream/1.0.0\n"), 1},
      {{22, 3, 3, 0xff, 0xff}, 1},                 // a record too long
      {{22, 3, 1, 0, 0}, 1000},                    // empty records
      {{22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff}, 1},  // a ClientHello of 16 MB
      {{23, 3, 3, 0, 1, 0}, 1},                    // application data
      {{20, 3, 3, 0, 1, 1}, 10000},                // change_cipher_spec
      {{21, 3, 3, 0, 2, 1, 90}, 10000},            // warnings
      {{21, 3, 3, 0, 2, 2, 40}, 1},                // handshake_failure
      {{}, 0},
  };
  for (const auto& [bytes, times] : cases) {
    for (Side side : {Side::dialer, Side::listener}) {
      LaneWorld w;
      auto [left, right] = make_pipe();
      auto [ours, theirs] = run_both(w, with_timeout(1min, tls_of(1).secure(std::move(left), side, {}, yamux())),
                                     with_timeout(1min, babble(std::move(right), bytes, times)));
      ASSERT_FALSE(ours);
      EXPECT_FALSE(ours.error().is(Errc::deadline_exceeded)) << ours.error().to_string();
    }
  }
}

TEST(TlsHandshake, IsReadOnlySoFar) {
  // A ClientHello that announces as much as libssl takes and arrives in small records.
  LaneWorld w;
  auto [left, right] = make_pipe();
  Bytes record{22, 3, 1, 0x10, 0x00};
  record.resize(5 + 0x1000, 0);
  record[5] = 1;
  record[6] = 1;  // 64 KiB and more
  auto [ours, theirs] =
      run_both(w, tls_of(1).secure(std::move(left), Side::listener, {}, yamux()), babble(std::move(right), record, 20));
  ASSERT_FALSE(ours);
}

}  // namespace
}  // namespace dms::libp2p::tls
