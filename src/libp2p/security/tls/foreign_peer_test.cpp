// Peers that are not like us: made of plain OpenSSL, right but for one thing, or not speaking TLS at all.
#include "libp2p/security/tls/testing.hpp"
#include "libp2p/security/tls/tls_stream.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

/// A peer made of plain OpenSSL: right, but for what a test changes.
struct Foreign {
  Recipe recipe = {};
  int certificates = 1;
  const char* protocols = "\x0c/yamux/1.0.0\x06libp2p";
  int version = TLS1_3_VERSION;
  bool picks_by_alpn = true;
  bool tickets = false;
  const char* suites = "TLS_AES_128_GCM_SHA256";
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
  SSL_CTX_set_ciphersuites(c, foreign.suites);
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

/// libssl on both floors, handshake and records, over `raw`.
class OpenSsl {
 public:
  OpenSsl(std::unique_ptr<ByteStream> raw, SSL_CTX& context, Side side)
      : raw_(std::move(raw)), ssl_(SSL_new(&context)) {
    SSL_set_bio(ssl(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (side == Side::dialer)
      SSL_set_connect_state(ssl());
    else
      SSL_set_accept_state(ssl());
  }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  [[nodiscard]] ByteStream& raw() const { return *raw_; }

  Task<Result<void>> handshake() {
    for (;;) {
      const int done = SSL_do_handshake(ssl());
      CO_TRY_VOID(co_await go_on(done));
      if (done == 1) co_return Result<void>();
    }
  }
  Task<Result<void>> write(BytesView text) {
    std::size_t count = 0;
    co_return co_await go_on(SSL_write_ex(ssl(), text.data(), text.size(), &count));
  }
  Task<Result<std::size_t>> read_some(MutableBytes into) {
    for (;;) {
      std::size_t count = 0;
      const int done = SSL_read_ex(ssl(), into.data(), into.size(), &count);
      CO_TRY_VOID(co_await go_on(done));
      if (done == 1) co_return count;
    }
  }
  Task<Result<void>> close_write() {
    SSL_shutdown(ssl());
    CO_TRY_VOID(co_await flush());
    co_return co_await raw_->close_write();
  }
  Task<Result<void>> flush() {
    Bytes out(BIO_pending(SSL_get_wbio(ssl())));
    if (out.empty()) co_return Result<void>();
    BIO_read(SSL_get_wbio(ssl()), out.data(), static_cast<int>(out.size()));
    co_return co_await raw_->write(out);
  }

  /// Sends what a call has left, and hears more if that is what it lacked.
  Task<Result<void>> go_on(int done) {
    const int why = SSL_get_error(ssl(), done);
    CO_TRY_VOID(co_await flush());
    if (done == 1) co_return Result<void>();
    if (why != SSL_ERROR_WANT_READ) co_return fail(Errc::closed, "libssl: {}", take_ssl_error());
    Bytes some(1000);
    CO_TRY(const std::size_t got, co_await raw_->read_some(some));
    if (got == 0) co_return fail(Errc::closed, "the other side hung up");
    BIO_write(SSL_get_rbio(ssl()), some.data(), static_cast<int>(got));
    co_return Result<void>();
  }

 private:
  std::unique_ptr<ByteStream> raw_;
  SslPtr ssl_;
};

Task<Result<Bytes>> speak_foreign(std::unique_ptr<ByteStream> raw, SSL_CTX& context, Side side, bool update_keys) {
  OpenSsl peer(std::move(raw), context, side);
  CO_TRY_VOID(co_await peer.handshake());
  Bytes all;
  for (int i = 0; i < 10; ++i) {
    if (update_keys) SSL_key_update(peer.ssl(), i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    const Bytes text = to_bytes("hello");
    CO_TRY_VOID(co_await peer.write(text));
    Bytes echo(text.size());
    for (std::size_t had = 0; had < echo.size();) {
      CO_TRY(const std::size_t got, co_await peer.read_some(MutableBytes(echo).subspan(had)));
      had += got;
    }
    append(all, echo);
  }
  CO_TRY_VOID(co_await peer.close_write());
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

TEST(TlsStream, EachSuiteIsSpokenAndKeyUpdatesAreObeyed) {
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    for (Side side : {Side::dialer, Side::listener}) {
      const Met met = meet({.suites = suite}, side, true);
      EXPECT_TRUE(met.ours) << suite << ": " << met.why();
      ASSERT_TRUE(met.theirs) << suite << ": " << met.theirs.error().to_string();
      EXPECT_EQ(met.theirs->size(), 50u);
    }
  }
}

/// Says `text` and hears it again.
Task<Result<Bytes>> hear_again(std::unique_ptr<ByteStream> raw, SSL_CTX& context, Bytes text) {
  OpenSsl peer(std::move(raw), context, Side::dialer);
  CO_TRY_VOID(co_await peer.handshake());
  CO_TRY_VOID(co_await peer.write(text));
  Bytes back(text.size());
  for (std::size_t had = 0; had < back.size();) {
    CO_TRY(const std::size_t got, co_await peer.read_some(MutableBytes(back).subspan(had)));
    had += got;
  }
  CO_TRY_VOID(co_await peer.close_write());
  co_return std::move(back);
}

TEST(TlsStream, SendsRecordsAsShortAsThePeerHasAskedFor) {
  const SslContextPtr context = foreign_context({});
  ASSERT_EQ(SSL_CTX_set_tlsext_max_fragment_length(context.get(), TLSEXT_max_fragment_length_512), 1);
  LaneWorld w;
  auto [left, right] = make_pipe();
  const Bytes text = SeededRandom(1).bytes(5000);
  auto [ours, theirs] = run_both(w, with_timeout(1min, echo_ours(std::move(left), Side::listener)),
                                 with_timeout(1min, hear_again(std::move(right), *context, text)));
  ASSERT_TRUE(theirs) << theirs.error().to_string();
  EXPECT_EQ(*theirs, text);
  EXPECT_TRUE(ours) << ours.error().to_string();
}

/// A dialer whose first text leaves in one piece with the end of its handshake.
Task<Result<Bytes>> speak_at_once(std::unique_ptr<ByteStream> raw, SSL_CTX& context) {
  OpenSsl peer(std::move(raw), context, Side::dialer);
  for (;;) {
    const int done = SSL_do_handshake(peer.ssl());
    if (done == 1) break;
    CO_TRY_VOID(co_await peer.go_on(done));
  }
  CO_TRY_VOID(co_await peer.write(as_bytes("at once")));
  Bytes echo(7);
  CO_TRY(const std::size_t got, co_await peer.read_some(echo));
  echo.resize(got);
  CO_TRY_VOID(co_await peer.close_write());
  co_return std::move(echo);
}

TEST(TlsStream, BeginsWithWhatCameBehindTheHandshake) {
  LaneWorld w;
  auto [left, right] = make_pipe();
  const SslContextPtr context = foreign_context({});
  auto [ours, theirs] = run_both(w, with_timeout(1min, echo_ours(std::move(left), Side::listener)),
                                 with_timeout(1min, speak_at_once(std::move(right), *context)));
  EXPECT_TRUE(ours) << ours.error().to_string();
  ASSERT_TRUE(theirs) << theirs.error().to_string();
  EXPECT_EQ(as_text(*theirs), "at once");
}

/// Asks for new keys again and again, then says hello; how many bytes come back.
Task<Result<std::size_t>> flood_with_key_updates(std::unique_ptr<ByteStream> raw, SSL_CTX& context, int times) {
  OpenSsl peer(std::move(raw), context, Side::dialer);
  CO_TRY_VOID(co_await peer.handshake());
  for (int i = 0; i < times; ++i) {
    SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(peer.ssl());
  }
  CO_TRY_VOID(co_await peer.write(as_bytes("hello")));
  CO_TRY_VOID(co_await peer.raw().close_write());
  std::size_t count = 0;
  for (;;) {
    Result<Bytes> back = co_await read_some_of(peer.raw(), 1000);
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
  const auto [patient, some] = flood(TlsStream::kMaxEmpty);
  ASSERT_TRUE(some);
  EXPECT_EQ(*some, 2 * kRecord) << "one answer to all of them, and the echo";
  const auto [ours, none] = flood(TlsStream::kMaxEmpty + 1);
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
