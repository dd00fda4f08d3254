#include "libp2p/security/tls/tls.hpp"

#include <algorithm>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "libp2p/security/tls/certificate.hpp"
#include "libp2p/security/tls/tls_stream.hpp"

namespace dms::libp2p::tls {
namespace {

/// The checks and results of one handshake. OpenSSL's callbacks find it in the session's application data.
struct Check {
  UnixTime now;
  std::optional<crypto::PeerId> expected;
  std::vector<std::string> muxers;
  std::optional<crypto::PublicKey> key;
  std::optional<Error> refusal;  ///< more precise than the alert
};

Check* check_of(const SSL* ssl) { return static_cast<Check*>(SSL_get_app_data(ssl)); }

bool fast_aes() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("aes") != 0;
#elif defined(__aarch64__)
  return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
  return false;
#endif
}

// ---- callbacks ------------------------------------------------------------------------------------------------------

Result<crypto::PublicKey> verify_peer(X509_STORE_CTX& store, const Check& check) {
  const int count = sk_X509_num(X509_STORE_CTX_get0_untrusted(&store));
  if (count != 1) return fail(Errc::permission_denied, "the peer sent {} certificates instead of one", count);
  TRY(crypto::PublicKey key, verify_certificate(*X509_STORE_CTX_get0_cert(&store), check.now));
  if (check.expected && !check.expected->matches(key))
    return fail(Errc::permission_denied, "expected peer {}, found {}", check.expected->to_string(),
                crypto::PeerId::from(key).to_string());
  return key;
}

int on_certificate(X509_STORE_CTX* store, void*) {
  const void* ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  Check* check = check_of(static_cast<const SSL*>(ssl));
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  if (check == nullptr) return 0;
  Result<crypto::PublicKey> key = verify_peer(*store, *check);
  if (!key) {
    check->refusal = key.error();
    return 0;
  }
  check->key = std::move(*key);
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

int on_client_hello(SSL* ssl, int* alert, void*) {
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension, &size) == 1)
    return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  if (Check* check = check_of(ssl)) check->refusal = Error(Errc::unsupported, "the dialer offers no protocol by ALPN");
  return SSL_CLIENT_HELLO_ERROR;
}

bool supports(const Check& check, std::string_view name) {
  return name == Tls::kAlpn || std::ranges::find(check.muxers, name) != check.muxers.end();
}

/// Selects the first of the dialer's protocols that the listener has.
int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
            void*) {
  Check* check = check_of(ssl);
  if (check == nullptr) return SSL_TLSEXT_ERR_ALERT_FATAL;
  // OpenSSL has checked that the names fill the list.
  for (BytesView list(in, in_size); !list.empty() && list[0] < list.size(); list = list.subspan(1U + list[0])) {
    const BytesView name = list.subspan(1, list[0]);
    if (!supports(*check, as_text(name))) continue;
    *out = name.data();
    *out_size = list[0];
    return SSL_TLSEXT_ERR_OK;
  }
  check->refusal = Error(Errc::unsupported, "the dialer offers no supported protocol by ALPN");
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// ---- the context of all handshakes -----------------------------------------------------------------------------------

Result<SslContextPtr> make_context(const crypto::PrivateKey& identity, UnixTime now) {
  TRY(Certificate certificate, make_certificate(identity, now));
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(TLS_method()));
  SSL_CTX* c = context.get();
  const char* suites = fast_aes() ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
                                  : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
  if (c == nullptr || SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) != 1 || SSL_CTX_set_ciphersuites(c, suites) != 1 ||
      SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") != 1 || SSL_CTX_set_num_tickets(c, 0) != 1 ||
      SSL_CTX_set_block_padding(c, Tls::kHandshakePadding) != 1 ||
      SSL_CTX_use_certificate(c, certificate.x509.get()) != 1 || SSL_CTX_use_PrivateKey(c, certificate.key.get()) != 1)
    return fail(Errc::internal, "tls: cannot create a context: {}", take_ssl_error());
  // A dialer without instructions for AES offers ChaCha20 first, and is followed.
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(c, static_cast<long>(Tls::kMaxCertificate));
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(c, on_certificate, nullptr);
  SSL_CTX_set_client_hello_cb(c, on_client_hello, nullptr);
  SSL_CTX_set_alpn_select_cb(c, on_alpn, nullptr);
  return context;
}

// ---- one handshake --------------------------------------------------------------------------------------------------

Result<void> offer_protocols(SSL& ssl, const std::vector<std::string>& muxers) {
  Bytes list;
  for (const std::string& name : muxers) {
    if (name.empty() || name.size() > 255) return fail(Errc::invalid_argument, "'{}' is too long for ALPN", name);
    list.push_back(static_cast<std::uint8_t>(name.size()));
    append(list, as_bytes(name));
  }
  list.push_back(static_cast<std::uint8_t>(Tls::kAlpn.size()));
  append(list, as_bytes(Tls::kAlpn));
  if (SSL_set_alpn_protos(&ssl, list.data(), static_cast<unsigned>(list.size())) != 0)
    return fail(Errc::internal, "tls: {}", take_ssl_error());
  return {};
}

/// The muxer agreed by ALPN; empty if multistream-select decides.
Result<std::string> agreed_muxer(const SSL& ssl, const Check& check) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(&ssl, &name, &size);
  const std::string_view chosen = as_text({name, size});
  if (chosen.empty()) return fail(Errc::unsupported, "the listener chose no protocol by ALPN");
  if (!supports(check, chosen))
    return fail(Errc::unsupported, "the listener chose a protocol that was not offered by ALPN");
  return std::string(chosen == Tls::kAlpn ? std::string_view() : chosen);
}

struct Agreed {
  crypto::PublicKey key;
  std::string muxer;
};

/// Carries the messages of both sides until the handshake is finished. Errc::limit_exceeded after kMaxHandshake bytes.
Task<Result<void>> exchange(ByteStream& raw, Session& session) {
  std::size_t left = Tls::kMaxHandshake;
  for (;;) {
    const Result<bool> done = session.handshake();
    const Bytes out = std::exchange(session.output(), {});
    if (!out.empty()) {
      Result<void> sent = co_await raw.write(out);
      if (done && !sent) co_return std::unexpected(sent.error());
    }
    if (!done) co_return std::unexpected(done.error());
    if (*done) co_return Result<void>();
    if (left == 0) co_return fail(Errc::limit_exceeded, "a TLS handshake of more than {} bytes", Tls::kMaxHandshake);
    const MutableBytes into = session.input();
    CO_TRY(std::size_t got, co_await raw.read_some(into.first(std::min(into.size(), left))));
    if (got == 0) co_return fail(Errc::closed, "the peer closed the connection");
    left -= got;
    session.received(got);
  }
}

Task<Result<Agreed>> agree(ByteStream& raw, Session& session, Check& check) {
  Result<void> done = co_await exchange(raw, session);
  if (!done) co_return std::unexpected(check.refusal ? *check.refusal : done.error());
  if (!check.key) co_return fail(Errc::permission_denied, "the peer has presented no certificate");
  CO_TRY(std::string muxer, agreed_muxer(session.ssl(), check));
  Agreed agreed{std::move(*check.key), std::move(muxer)};
  co_return std::move(agreed);
}

}  // namespace

Tls::Tls(const crypto::PrivateKey& identity, UnixTime now) : context_(make_context(identity, now)) {}

Task<Result<Secured>> Tls::secure(std::unique_ptr<ByteStream> raw, Side side, std::optional<crypto::PeerId> expected,
                                  std::vector<std::string> muxers) {
  if (!context_) co_return std::unexpected(context_.error());
  const TaskContext task = co_await this_task();
  CO_TRY(std::unique_ptr<Session> session, Session::create(**context_, side));
  if (side == Side::dialer) CO_TRY_VOID(offer_protocols(session->ssl(), muxers));
  Check check{task.lane->unix_now(), expected, std::move(muxers), std::nullopt, std::nullopt};
  SSL_set_app_data(&session->ssl(), &check);
  Result<Agreed> agreed = co_await agree(*raw, *session, check);
  SSL_set_app_data(&session->ssl(), nullptr);
  if (!agreed) co_return fail(agreed.error(), "tls handshake");
  std::unique_ptr<ByteStream> stream = std::make_unique<TlsStream>(std::move(raw), std::move(session));
  const crypto::PeerId peer = crypto::PeerId::from(agreed->key);
  Secured secured{std::move(stream), std::move(agreed->key), peer, std::move(agreed->muxer)};
  co_return std::move(secured);
}

}  // namespace dms::libp2p::tls
