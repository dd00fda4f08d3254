// For tests of this folder: certificates that are wrong in one way each, contexts of plain OpenSSL, and two Tls objects
// that perform a handshake with each other.
#pragma once

#include <openssl/x509v3.h>

#include <map>

#include "libp2p/security/tls/certificate.hpp"
#include "libp2p/security/tls/tls.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p::tls::testing {

using namespace libp2p::testing;

constexpr std::uint64_t kDay = 24 * 3600;
inline const UnixTime kNow{1'760'000'000ULL * 1'000'000'000ULL};  // where SimWorld's time begins

/// How a certificate is made; the default is one that is accepted.
struct CertificateOptions {
  std::uint64_t identity = 1;
  EVP_PKEY* (*make_key)() = [] { return EVP_EC_gen("P-256"); };
  std::int64_t not_before = -3600;  ///< seconds from kNow
  std::int64_t not_after = 3600;
  int copies = 1;  ///< of libp2p's extension
  bool critical = false;
  std::optional<Bytes> content = {};  ///< instead of a proper SignedKey
  const char* another = nullptr;      ///< OID of another extension
  bool another_critical = false;
  Bytes another_content = {5, 0};
  bool signed_by_another = false;
  const EVP_MD* (*digest)() = EVP_sha256;
  long version = X509_VERSION_3;
};

inline EVP_PKEY* ed25519_key() { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); }
template <std::size_t bits>
EVP_PKEY* rsa_key() {
  return EVP_RSA_gen(bits);
}
inline EVP_PKEY* secp256k1_key() { return EVP_EC_gen("secp256k1"); }

inline void add_extension(X509& to, const char* oid, bool critical, BytesView content) {
  ASN1_OBJECT* object = OBJ_txt2obj(oid, 1);
  ASN1_OCTET_STRING* octets = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(octets, content.data(), static_cast<int>(content.size()));
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, critical ? 1 : 0, octets);
  EXPECT_EQ(X509_add_ext(&to, extension, -1), 1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(octets);
  ASN1_OBJECT_free(object);
}

inline Certificate make_certificate_with(const CertificateOptions& certificate_options) {
  Certificate out{X509Ptr(X509_new()), EvpKeyPtr(certificate_options.make_key())};
  X509& x = *out.x509;
  const auto now = static_cast<std::time_t>(kNow.seconds());
  X509_set_version(&x, certificate_options.version);
  ASN1_INTEGER_set(X509_get_serialNumber(&x), 7);
  ASN1_TIME_set(X509_getm_notBefore(&x), now + certificate_options.not_before);
  ASN1_TIME_set(X509_getm_notAfter(&x), now + certificate_options.not_after);
  X509_set_pubkey(&x, out.key.get());
  const SignedKey signed_key = *SignedKey::create(make_key(certificate_options.identity), *certificate_key(x));
  for (int i = 0; i < certificate_options.copies; ++i)
    add_extension(x, kExtensionOid, certificate_options.critical,
                  certificate_options.content.value_or(signed_key.encode()));
  if (certificate_options.another != nullptr)
    add_extension(x, certificate_options.another, certificate_options.another_critical,
                  certificate_options.another_content);
  const EvpKeyPtr other(certificate_options.signed_by_another ? certificate_options.make_key() : nullptr);
  const bool plain = EVP_PKEY_get_base_id(out.key.get()) == EVP_PKEY_ED25519;
  EXPECT_GT(X509_sign(&x, other ? other.get() : out.key.get(), plain ? nullptr : certificate_options.digest()), 0);
  return out;
}

inline Bytes der_of(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(&certificate, &der);
  Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

// ---- peers made of plain OpenSSL ------------------------------------------------------------------------------------

/// A peer made of plain OpenSSL: correct except for what a test changes.
struct Foreign {
  CertificateOptions certificate_options = {};
  int certificates = 1;
  const char* protocols = "\x0c/yamux/1.0.0\x06libp2p";
  int version = TLS1_3_VERSION;
  bool picks_by_alpn = true;
  bool tickets = false;
  const char* suites = "TLS_AES_128_GCM_SHA256";
};

inline int pick_first(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned, void*) {
  *size = in[0];
  *out = in + 1;
  return SSL_TLSEXT_ERR_OK;
}

inline int pick_nonsense(SSL*, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned, void*) {
  *size = 4;
  *out = reinterpret_cast<const unsigned char*>("h2c1");
  return SSL_TLSEXT_ERR_OK;
}

inline SslContextPtr foreign_context(const Foreign& foreign) {
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
  const Certificate certificate = make_certificate_with(foreign.certificate_options);
  EXPECT_EQ(SSL_CTX_use_certificate(c, certificate.x509.get()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(c, certificate.key.get()), 1);
  for (int i = 1; i < foreign.certificates; ++i) SSL_CTX_add1_chain_cert(c, certificate.x509.get());
  return context;
}

// ---- two Tls objects -----------------------------------------------------------------------------------------------

using Pair = std::pair<Result<Secured>, Result<Secured>>;
using Expected = std::optional<crypto::PeerId>;

inline std::vector<std::string> yamux() { return {"/yamux/1.0.0"}; }
inline crypto::PeerId id_of(std::uint64_t seed) { return crypto::PeerId::from(make_key(seed).public_key()); }

/// Made once: their certificates do not change.
inline Tls& tls_of(std::uint64_t seed) {
  static std::map<std::uint64_t, Tls> all;
  return all.try_emplace(seed, make_key(seed), kNow).first->second;
}

inline Pair handshake(LaneWorld& w, Expected by_dialer = {}, Expected by_listener = {},
                      std::vector<std::string> muxers_a = yamux(), std::vector<std::string> muxers_b = yamux(),
                      std::size_t capacity = 1 << 16) {
  auto [left, right] = make_pipe(capacity);
  return run_both(w, tls_of(1).secure(std::move(left), Side::dialer, by_dialer, std::move(muxers_a)),
                  tls_of(2).secure(std::move(right), Side::listener, by_listener, std::move(muxers_b)));
}

/// Reads until an end or an error, so that an alert is read too.
inline Task<Result<Bytes>> read_all(ByteStream& stream) { co_return co_await read_to_end(stream, 1 << 24); }

inline Task<Result<Bytes>> read_some_of(ByteStream& stream, std::size_t most) {
  Bytes buffer(most);
  CO_TRY(std::size_t got, co_await stream.read_some(buffer));
  buffer.resize(got);
  co_return std::move(buffer);
}

}  // namespace dms::libp2p::tls::testing
