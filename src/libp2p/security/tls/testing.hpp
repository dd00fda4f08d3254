// For tests of this folder: certificates that are wrong in one way each, and two of ours who shake hands.
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

/// How a certificate is made; the default is one that is believed.
struct Recipe {
  std::uint64_t identity = 1;
  EVP_PKEY* (*make_key)() = [] { return EVP_EC_gen("P-256"); };
  std::int64_t not_before = -3600;  ///< seconds from kNow
  std::int64_t not_after = 3600;
  int copies = 1;  ///< of libp2p's extension
  bool critical = false;
  std::optional<Bytes> content = {};  ///< instead of a proper SignedKey
  const char* another = nullptr;      ///< OID of another extension
  bool another_critical = false;
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

inline Certificate cook(const Recipe& recipe) {
  Certificate out{X509Ptr(X509_new()), EvpKeyPtr(recipe.make_key())};
  X509& x = *out.x509;
  const auto now = static_cast<std::time_t>(kNow.seconds());
  X509_set_version(&x, recipe.version);
  ASN1_INTEGER_set(X509_get_serialNumber(&x), 7);
  ASN1_TIME_set(X509_getm_notBefore(&x), now + recipe.not_before);
  ASN1_TIME_set(X509_getm_notAfter(&x), now + recipe.not_after);
  X509_set_pubkey(&x, out.key.get());
  const SignedKey signed_key = *SignedKey::create(make_key(recipe.identity), *certificate_key(x));
  for (int i = 0; i < recipe.copies; ++i)
    add_extension(x, kExtensionOid, recipe.critical, recipe.content.value_or(signed_key.encode()));
  if (recipe.another != nullptr) add_extension(x, recipe.another, recipe.another_critical, Bytes{5, 0});
  const EvpKeyPtr other(recipe.signed_by_another ? recipe.make_key() : nullptr);
  const bool plain = EVP_PKEY_get_base_id(out.key.get()) == EVP_PKEY_ED25519;
  EXPECT_GT(X509_sign(&x, other ? other.get() : out.key.get(), plain ? nullptr : recipe.digest()), 0);
  return out;
}

inline Bytes der_of(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(&certificate, &der);
  Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

// ---- two of ours ---------------------------------------------------------------------------------------------------

using Pair = std::pair<Result<Secured>, Result<Secured>>;
using Expected = std::optional<crypto::PeerId>;

inline std::vector<std::string> yamux() { return {"/yamux/1.0.0"}; }
inline crypto::PeerId id_of(std::uint64_t seed) { return crypto::PeerId::from(make_key(seed).public_key()); }

/// Made once: their certificates do not change.
inline Tls& tls_of(std::uint64_t seed) {
  static std::map<std::uint64_t, Tls> all;
  return all.try_emplace(seed, make_key(seed), kNow).first->second;
}

inline Pair shake(LaneWorld& w, Expected by_dialer = {}, Expected by_listener = {},
                  std::vector<std::string> muxers_a = yamux(), std::vector<std::string> muxers_b = yamux(),
                  std::size_t capacity = 1 << 16) {
  auto [left, right] = make_pipe(capacity);
  return run_both(w, tls_of(1).secure(std::move(left), Side::dialer, by_dialer, std::move(muxers_a)),
                  tls_of(2).secure(std::move(right), Side::listener, by_listener, std::move(muxers_b)));
}

/// Reads until an end or an error, so that a refusal told by an alert is heard.
inline Task<Result<Bytes>> read_all(ByteStream& stream) { co_return co_await read_to_end(stream, 1 << 24); }

inline Task<Result<Bytes>> read_some_of(ByteStream& stream, std::size_t most) {
  Bytes buffer(most);
  CO_TRY(std::size_t got, co_await stream.read_some(buffer));
  buffer.resize(got);
  co_return std::move(buffer);
}

}  // namespace dms::libp2p::tls::testing
