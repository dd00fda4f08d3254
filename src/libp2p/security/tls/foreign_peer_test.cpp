// Peers made of plain OpenSSL, correct except for one thing, and peers that do not speak TLS at all.
#include "libp2p/security/tls/testing.hpp"
#include "libp2p/security/tls/tls_stream.hpp"

namespace dms::libp2p::tls {
namespace {

using namespace testing;

/// OpenSSL, handshake and records, over `raw`.
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
      CO_TRY_VOID(co_await flush_and_receive(done));
      if (done == 1) co_return Result<void>();
    }
  }
  Task<Result<void>> write(BytesView text) {
    std::size_t count = 0;
    co_return co_await flush_and_receive(SSL_write_ex(ssl(), text.data(), text.size(), &count));
  }
  Task<Result<std::size_t>> read_some(MutableBytes into) {
    for (;;) {
      std::size_t count = 0;
      const int done = SSL_read_ex(ssl(), into.data(), into.size(), &count);
      CO_TRY_VOID(co_await flush_and_receive(done));
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

  /// Sends what a call has produced, and receives more if the call needs it.
  Task<Result<void>> flush_and_receive(int done) {
    const int why = SSL_get_error(ssl(), done);
    CO_TRY_VOID(co_await flush());
    if (done == 1) co_return Result<void>();
    if (why != SSL_ERROR_WANT_READ) co_return fail(Errc::closed, "OpenSSL: {}", take_ssl_error());
    Bytes some(1000);
    CO_TRY(const std::size_t got, co_await raw_->read_some(some));
    if (got == 0) co_return fail(Errc::closed, "the peer closed the connection");
    BIO_write(SSL_get_rbio(ssl()), some.data(), static_cast<int>(got));
    co_return Result<void>();
  }

 private:
  std::unique_ptr<ByteStream> raw_;
  SslPtr ssl_;
};

Task<Result<Bytes>> run_peer(std::unique_ptr<ByteStream> raw, SSL_CTX& context, Side side, bool update_keys) {
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

/// Performs the handshake with a Tls, then sends back what it reads.
Task<Result<std::size_t>> echo(std::unique_ptr<ByteStream> raw, Side side) {
  CO_TRY(Secured secured, co_await tls_of(1).secure(std::move(raw), side, std::nullopt, yamux()));
  std::size_t total = 0;
  for (;;) {
    CO_TRY(Bytes some, co_await read_some_of(*secured.stream, 1000));
    if (some.empty()) break;
    total += some.size();
    CO_TRY_VOID(co_await secured.stream->write(some));
  }
  co_return total;
}

struct Outcome {
  Result<std::size_t> local;
  Result<Bytes> remote;
  [[nodiscard]] std::string why() const { return local ? "accepted" : local.error().to_string(); }
};

Outcome connect_with(const Foreign& foreign, Side local_side, bool update_keys = false) {
  LaneWorld w;
  auto [left, right] = make_pipe();
  const SslContextPtr context = foreign_context(foreign);
  const Side remote_side = local_side == Side::dialer ? Side::listener : Side::dialer;
  auto [local, remote] = run_both(w, with_timeout(1min, echo(std::move(left), local_side)),
                                  with_timeout(1min, run_peer(std::move(right), *context, remote_side, update_keys)));
  return {std::move(local), std::move(remote)};
}

TEST(TlsHandshake, WithPlainOpenSsl) {
  for (Side side : {Side::dialer, Side::listener}) {
    for (const Foreign& foreign : {Foreign{}, Foreign{.certificate_options = {.make_key = ed25519_key}},
                                   Foreign{.certificate_options = {.make_key = rsa_key<2048>}},
                                   Foreign{.protocols = "\x06libp2p"}, Foreign{.tickets = true}}) {
      const Outcome outcome = connect_with(foreign, side);
      EXPECT_TRUE(outcome.local) << outcome.why();
      ASSERT_TRUE(outcome.remote) << outcome.remote.error().to_string();
      EXPECT_EQ(outcome.remote->size(), 50u);
    }
  }
}

TEST(TlsStream, SupportsEachSuiteAndKeyUpdates) {
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    for (Side side : {Side::dialer, Side::listener}) {
      const Outcome outcome = connect_with({.suites = suite}, side, true);
      EXPECT_TRUE(outcome.local) << suite << ": " << outcome.why();
      ASSERT_TRUE(outcome.remote) << suite << ": " << outcome.remote.error().to_string();
      EXPECT_EQ(outcome.remote->size(), 50u);
    }
  }
}

/// Sends `text` and reads the echo.
Task<Result<Bytes>> send_and_read_echo(std::unique_ptr<ByteStream> raw, SSL_CTX& context, Bytes text) {
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

TEST(TlsStream, SendsRecordsOfTheNegotiatedSize) {
  const SslContextPtr context = foreign_context({});
  ASSERT_EQ(SSL_CTX_set_tlsext_max_fragment_length(context.get(), TLSEXT_max_fragment_length_512), 1);
  LaneWorld w;
  auto [left, right] = make_pipe();
  const Bytes text = SeededRandom(1).bytes(5000);
  auto [local, remote] = run_both(w, with_timeout(1min, echo(std::move(left), Side::listener)),
                                  with_timeout(1min, send_and_read_echo(std::move(right), *context, text)));
  ASSERT_TRUE(remote) << remote.error().to_string();
  EXPECT_EQ(*remote, text);
  EXPECT_TRUE(local) << local.error().to_string();
}

/// A dialer whose first text leaves together with the end of its handshake.
Task<Result<Bytes>> send_at_once(std::unique_ptr<ByteStream> raw, SSL_CTX& context) {
  OpenSsl peer(std::move(raw), context, Side::dialer);
  for (;;) {
    const int done = SSL_do_handshake(peer.ssl());
    if (done == 1) break;
    CO_TRY_VOID(co_await peer.flush_and_receive(done));
  }
  CO_TRY_VOID(co_await peer.write(as_bytes("at once")));
  Bytes echo(7);
  CO_TRY(const std::size_t got, co_await peer.read_some(echo));
  echo.resize(got);
  CO_TRY_VOID(co_await peer.close_write());
  co_return std::move(echo);
}

TEST(TlsStream, ReadsWhatArrivedTogetherWithTheHandshake) {
  LaneWorld w;
  auto [left, right] = make_pipe();
  const SslContextPtr context = foreign_context({});
  auto [local, remote] = run_both(w, with_timeout(1min, echo(std::move(left), Side::listener)),
                                  with_timeout(1min, send_at_once(std::move(right), *context)));
  EXPECT_TRUE(local) << local.error().to_string();
  ASSERT_TRUE(remote) << remote.error().to_string();
  EXPECT_EQ(as_text(*remote), "at once");
}

/// Requests new keys again and again, then sends a text; returns how many bytes come back.
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
    return run_both(w, with_timeout(1min, echo(std::move(left), Side::listener)),
                    with_timeout(1min, flood_with_key_updates(std::move(right), *context, times)));
  };
  constexpr std::size_t kRecord = 5 + 5 + 1 + 16;
  const auto [tolerated, some] = flood(Session::kMaxEmpty);
  ASSERT_TRUE(some);
  EXPECT_EQ(*some, (Session::kMaxEmpty + 1) * kRecord) << "an answer to each, and the echo";
  const auto [local, none] = flood(Session::kMaxEmpty + 1);
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, 0u);
  ASSERT_FALSE(local);
  EXPECT_TRUE(local.error().is(Errc::limit_exceeded)) << local.error().to_string();
}

/// Requests new keys before each of `count` texts.
Task<Result<void>> request_keys_with_each_text(std::unique_ptr<ByteStream> raw, SSL_CTX& context, int count) {
  OpenSsl peer(std::move(raw), context, Side::dialer);
  CO_TRY_VOID(co_await peer.handshake());
  for (int i = 0; i < count; ++i) {
    SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED);
    CO_TRY_VOID(co_await peer.write(as_bytes("text")));
  }
  co_return co_await peer.close_write();
}

Task<Result<Bytes>> only_read(std::unique_ptr<ByteStream> raw) {
  CO_TRY(Secured secured, co_await tls_of(1).secure(std::move(raw), Side::listener, std::nullopt, yamux()));
  co_return co_await read_all(*secured.stream);
}

TEST(TlsStream, AnswersToKeyUpdatesThatAReaderDoesNotSendAreBounded) {
  const SslContextPtr context = foreign_context({});
  const auto read_after = [&](int key_updates) {
    LaneWorld w;
    auto [left, right] = make_pipe();
    return run_both(w, with_timeout(1min, only_read(std::move(left))),
                    with_timeout(1min, request_keys_with_each_text(std::move(right), *context, key_updates)))
        .first;
  };
  const auto some = read_after(100);
  ASSERT_TRUE(some) << some.error().to_string();
  EXPECT_EQ(some->size(), 400u);
  const auto flood = read_after(1000);
  ASSERT_FALSE(flood);
  EXPECT_TRUE(flood.error().is(Errc::limit_exceeded)) << flood.error().to_string();
}

/// Sends `count` session tickets, then a text.
Task<Result<void>> send_tickets(std::unique_ptr<ByteStream> raw, SSL_CTX& context, int count) {
  OpenSsl peer(std::move(raw), context, Side::listener);
  CO_TRY_VOID(co_await peer.handshake());
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(SSL_new_session_ticket(peer.ssl()), 1);
    SSL_do_handshake(peer.ssl());
  }
  CO_TRY_VOID(co_await peer.write(as_bytes("after the tickets")));
  co_return co_await peer.close_write();
}

TEST(TlsStream, TicketsAreSkipped) {
  const SslContextPtr context = foreign_context({.tickets = true});
  LaneWorld w;
  auto [left, right] = make_pipe();
  const auto local = [](std::unique_ptr<ByteStream> raw) -> Task<Result<Bytes>> {
    CO_TRY(Secured secured, co_await tls_of(1).secure(std::move(raw), Side::dialer, std::nullopt, yamux()));
    co_return co_await read_all(*secured.stream);
  };
  auto [text, sent] = run_both(w, with_timeout(1min, local(std::move(left))),
                               with_timeout(1min, send_tickets(std::move(right), *context, 10)));
  ASSERT_TRUE(sent) << sent.error().to_string();
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(as_text(*text), "after the tickets");
}

TEST(TlsHandshake, PeersThatAreRefusedAndWhy) {
  const std::pair<Foreign, const char*> cases[] = {
      {{.certificate_options = {.not_after = -1}}, "has expired"},
      {{.certificate_options = {.not_before = 1}}, "not yet valid"},
      {{.certificate_options = {.copies = 0}}, "lacks libp2p's extension"},
      {{.certificate_options = {.another = "1.2.3.4", .another_critical = true}}, "not understood: 1.2.3.4"},
      {{.certificate_options = {.signed_by_another = true}}, "not signed by its own key"},
      {{.certificate_options = {.content = to_bytes("nothing")}}, "another ASN.1 type"},
      {{.certificate_options = {.content = Bytes(Tls::kMaxCertificate, 4)}}, "excessive message size"},
      {{.certificates = 2}, "2 certificates instead of one"},
      {{.version = TLS1_2_VERSION}, "protocol"},
      {{.version = TLS1_1_VERSION}, "protocol"},
  };
  for (const auto& [foreign, why] : cases) {
    for (Side side : {Side::dialer, Side::listener}) {
      const Outcome outcome = connect_with(foreign, side);
      EXPECT_NE(outcome.why().find(why), std::string::npos)
          << "expected '" << why << "', got '" << outcome.why() << "'";
      EXPECT_FALSE(outcome.remote);
    }
  }
}

TEST(TlsHandshake, FaultyDialersAreRefused) {
  const std::pair<Foreign, const char*> cases[] = {
      {{.certificates = 0}, "peer did not return a certificate"},
      {{.protocols = ""}, "offers no protocol by ALPN"},
      {{.protocols = "\x02h2\x08http/1.1"}, "no supported protocol by ALPN"},
  };
  for (const auto& [foreign, why] : cases) {
    const Outcome outcome = connect_with(foreign, Side::listener);
    EXPECT_NE(outcome.why().find(why), std::string::npos) << "expected '" << why << "', got '" << outcome.why() << "'";
    EXPECT_FALSE(outcome.remote);
  }
}

TEST(TlsHandshake, FaultyListenersAreRefused) {
  const Outcome silent = connect_with({.picks_by_alpn = false}, Side::dialer);
  EXPECT_NE(silent.why().find("chose no protocol by ALPN"), std::string::npos) << silent.why();

  LaneWorld w;
  auto [left, right] = make_pipe();
  const SslContextPtr context = foreign_context({});
  SSL_CTX_set_alpn_select_cb(context.get(), pick_nonsense, nullptr);
  auto [local, remote] =
      run_both(w, echo(std::move(left), Side::dialer), run_peer(std::move(right), *context, Side::listener, false));
  ASSERT_FALSE(local);
  EXPECT_FALSE(remote);
}

// ---- peers that do not speak TLS ------------------------------------------------------------------------------------

Task<Result<void>> send_repeatedly(std::unique_ptr<ByteStream> raw, Bytes bytes, int times) {
  for (int i = 0; i < times; ++i) CO_TRY_VOID(co_await raw->write(bytes));
  CO_TRY_VOID(co_await raw->close_write());
  Result<Bytes> rest = co_await read_to_end(*raw, 1 << 20);
  co_return Result<void>();
}

TEST(TlsHandshake, OtherProtocolsEndIt) {
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
      auto [local, remote] =
          run_both(w, with_timeout(1min, tls_of(1).secure(std::move(left), side, std::nullopt, yamux())),
                   with_timeout(1min, send_repeatedly(std::move(right), bytes, times)));
      ASSERT_FALSE(local);
      EXPECT_FALSE(local.error().is(Errc::deadline_exceeded)) << local.error().to_string();
    }
  }
}

TEST(TlsHandshake, IsLimitedInSize) {
  // A ClientHello of the largest announced size that OpenSSL accepts, in small records.
  LaneWorld w;
  auto [left, right] = make_pipe();
  Bytes record{22, 3, 1, 0x10, 0x00};
  record.resize(5 + 0x1000, 0);
  record[5] = 1;
  record[6] = 1;  // 64 KiB and more
  auto [local, remote] = run_both(w, tls_of(1).secure(std::move(left), Side::listener, std::nullopt, yamux()),
                                  send_repeatedly(std::move(right), record, 20));
  ASSERT_FALSE(local);
}

}  // namespace
}  // namespace dms::libp2p::tls
