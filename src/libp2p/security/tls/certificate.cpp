#include "libp2p/security/tls/certificate.hpp"

#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "crypto/hash.hpp"

namespace dms::libp2p::tls {
namespace {

using Asn1ObjectPtr = std::unique_ptr<ASN1_OBJECT, Release<ASN1_OBJECT_free>>;
using Asn1OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, Release<ASN1_OCTET_STRING_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION_free>>;

constexpr std::uint8_t kSequence = 0x30;
constexpr std::uint8_t kOctetString = 0x04;
constexpr int kMinSecurityBits = 112;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 4096;
constexpr int kDaysValid = 100 * 365;

// The most common lengths of DER signatures; about half have it. Ed25519's are always of 64 bytes.
constexpr std::size_t kP256Signature = 71;
constexpr std::size_t kSecp256k1Signature = 70;

// ---- the extension's content ----------------------------------------------------------------------------------------

/// SignedKey::kMaxSize needs no more than two bytes of length.
void append_tlv(Bytes& out, std::uint8_t tag, BytesView value) {
  out.push_back(tag);
  const std::size_t size = value.size();
  if (size >= 0x100) {
    out.insert(out.end(), {0x82, static_cast<std::uint8_t>(size >> 8)});
  } else if (size >= 0x80) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(size));
  append(out, value);
}

Result<BytesView> take_tlv(BytesView& in, std::uint8_t tag, const char* what) {
  const auto refused = [what](std::string_view why) {
    return fail(Errc::invalid_argument, "libp2p's extension: {}: {}", what, why);
  };
  if (in.size() < 2 || in[0] != tag) return refused("another ASN.1 type than expected");
  const std::size_t more = in[1] < 0x80 ? 0 : in[1] & 0x7fU;
  if (in[1] >= 0x80 && (more == 0 || more > 2)) return refused("an invalid form of length");
  if (in.size() < 2 + more) return refused("cut off within its length");
  std::size_t size = more == 0 ? in[1] : 0;
  for (std::size_t i = 0; i < more; ++i) size = size << 8 | in[2 + i];
  if ((more == 1 && size < 0x80) || (more == 2 && size < 0x100)) return refused("a length that is not minimal");
  in = in.subspan(2 + more);
  if (size > in.size()) return refused("cut off");
  const BytesView value = in.first(size);
  in = in.subspan(size);
  return value;
}

Bytes signed_bytes(BytesView certificate_key) {
  Bytes out = to_bytes(kSignaturePrefix);
  append(out, certificate_key);
  return out;
}

// ---- making ---------------------------------------------------------------------------------------------------------

std::unexpected<Error> not_made(const char* step) {
  return fail(Errc::internal, "TLS certificate: {}: {}", step, take_ssl_error());
}

Result<Bytes> encode_key(const EVP_PKEY& key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(&key, &der);
  if (size <= 0) return not_made("encoding a key");
  Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

struct SignedCertificateKey {
  EvpKeyPtr key;
  SignedKey extension;
  Bytes spki;
};

Result<SignedCertificateKey> make_key(const crypto::PrivateKey& identity) {
  for (;;) {
    EvpKeyPtr key(EVP_EC_gen("P-256"));
    if (!key) return not_made("a new key");
    TRY(Bytes spki, encode_key(*key));
    TRY(SignedKey extension, SignedKey::create(identity, spki));
    if (identity.type() != crypto::KeyType::secp256k1 || extension.signature.size() == kSecp256k1Signature)
      return SignedCertificateKey{std::move(key), std::move(extension), std::move(spki)};
  }
}

bool add_extension(X509& certificate, BytesView content) {
  const Asn1ObjectPtr oid(OBJ_txt2obj(kExtensionOid, 1));
  const Asn1OctetsPtr octets(ASN1_OCTET_STRING_new());
  if (!oid || !octets || ASN1_OCTET_STRING_set(octets.get(), content.data(), static_cast<int>(content.size())) != 1)
    return false;
  const ExtensionPtr extension(X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 0, octets.get()));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

/// Everything but the signature. The serial number is derived from the key: as unique, and always eight bytes.
bool fill_in(X509& certificate, const SignedCertificateKey& key, UnixTime now) {
  const crypto::Digest256 digest = crypto::sha256(key.spki);
  std::uint64_t serial = 1;
  for (int i = 0; i < 7; ++i) serial = serial << 8 | digest[static_cast<std::size_t>(i)];
  const auto seconds = static_cast<std::time_t>(now.seconds());
  X509_NAME* name = X509_get_subject_name(&certificate);
  constexpr std::string_view kName = "libp2p";
  return X509_set_version(&certificate, X509_VERSION_3) == 1 &&
         ASN1_INTEGER_set_uint64(X509_get_serialNumber(&certificate), serial) == 1 &&
         ASN1_TIME_adj(X509_getm_notBefore(&certificate), seconds, 0, -3600) != nullptr &&
         ASN1_TIME_adj(X509_getm_notAfter(&certificate), seconds, kDaysValid, 0) != nullptr &&
         X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, as_bytes(kName).data(),
                                    static_cast<int>(kName.size()), -1, 0) == 1 &&
         X509_set_issuer_name(&certificate, name) == 1 && X509_set_pubkey(&certificate, key.key.get()) == 1 &&
         add_extension(certificate, key.extension.encode());
}

std::size_t signature_size(const X509& certificate) {
  const ASN1_BIT_STRING* signature = nullptr;
  X509_get0_signature(&signature, nullptr, &certificate);
  return signature == nullptr ? 0 : static_cast<std::size_t>(ASN1_STRING_length(signature));
}

// ---- verifying ------------------------------------------------------------------------------------------------------

std::unexpected<Error> refused(std::string_view why) {
  return fail(Errc::permission_denied, "the peer's certificate {}", why);
}

Result<void> check_validity(const X509& certificate, UnixTime now) {
  auto seconds = static_cast<std::time_t>(now.seconds());
  const int since = X509_cmp_time(X509_get0_notBefore(&certificate), &seconds);
  const int until = X509_cmp_time(X509_get0_notAfter(&certificate), &seconds);
  if (since == 0 || until == 0) return refused("has a validity that is not a time");
  if (since > 0) return refused("is not yet valid");
  if (until < 0) return refused("has expired");
  return {};
}

Result<void> check_key_kind(const EVP_PKEY& key) {
  const int kind = EVP_PKEY_get_base_id(&key);
  if (kind == EVP_PKEY_ED25519) return {};
  if (kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS) {
    const int bits = EVP_PKEY_get_bits(&key);
    if (bits >= kMinRsaBits && bits <= kMaxRsaBits) return {};
    return refused(fmt::format("has an RSA key of {} bits; {} to {} are accepted", bits, kMinRsaBits, kMaxRsaBits));
  }
  char group[32] = {};
  if (kind == EVP_PKEY_EC && EVP_PKEY_get_group_name(&key, group, sizeof group, nullptr) == 1)
    for (std::string_view good : {"prime256v1", "secp384r1", "secp521r1"})
      if (good == group) return {};
  return refused("has a key that is neither on a NIST curve, nor Ed25519, nor RSA");
}

Result<void> check_self_signature(X509& certificate) {
  EVP_PKEY* key = X509_get0_pubkey(&certificate);
  if (key == nullptr) return refused("has a key that cannot be read");
  TRY_VOID(check_key_kind(*key));
  int bits = 0;
  if (X509_get_signature_info(&certificate, nullptr, nullptr, &bits, nullptr) != 1 || bits < kMinSecurityBits)
    return refused("is signed with an algorithm too weak or unknown");
  if (X509_verify(&certificate, key) != 1) {
    ERR_clear_error();
    return refused("is not signed by its own key");
  }
  return {};
}

/// "X509v3 Key Usage (2.5.29.15)"; the number alone for an extension that OpenSSL does not know.
std::string name_of(const ASN1_OBJECT& object) {
  char number[64] = {};
  OBJ_obj2txt(number, sizeof number, &object, 1);
  const int nid = OBJ_obj2nid(&object);
  return nid == NID_undef ? std::string(number) : fmt::format("{} ({})", OBJ_nid2ln(nid), number);
}

/// Critical extensions beside libp2p's: KeyUsage must allow signatures, as TLS 1.3 needs them; BasicConstraints says
/// nothing about a certificate that signs itself. Any other is refused, as RFC 5280 demands of extensions that are not
/// understood.
Result<void> check_critical(X509& certificate, const ASN1_OBJECT& object) {
  const int nid = OBJ_obj2nid(&object);
  if (nid != NID_key_usage && nid != NID_basic_constraints)
    return refused(fmt::format("has a critical extension that is not understood: {}; Noise needs no certificate",
                               name_of(object)));
  if ((X509_get_extension_flags(&certificate) & EXFLAG_INVALID) != 0)
    return refused(fmt::format("has a malformed extension: {}", name_of(object)));
  if (nid == NID_key_usage && (X509_get_key_usage(&certificate) & X509v3_KU_DIGITAL_SIGNATURE) == 0)
    return refused(fmt::format("has a {} that does not allow signatures", name_of(object)));
  return {};
}

/// The content of libp2p's extension. Other extensions are ignored unless they are critical.
Result<BytesView> find_extension(X509& certificate) {
  static const Asn1ObjectPtr oid(OBJ_txt2obj(kExtensionOid, 1));
  std::optional<BytesView> found;
  for (int i = 0; i < X509_get_ext_count(&certificate); ++i) {
    X509_EXTENSION* extension = X509_get_ext(&certificate, i);
    if (OBJ_cmp(X509_EXTENSION_get_object(extension), oid.get()) == 0) {
      if (found) return refused("has libp2p's extension twice");
      const ASN1_OCTET_STRING* content = X509_EXTENSION_get_data(extension);
      found = BytesView(ASN1_STRING_get0_data(content), static_cast<std::size_t>(ASN1_STRING_length(content)));
    } else if (X509_EXTENSION_get_critical(extension) != 0) {
      TRY_VOID(check_critical(certificate, *X509_EXTENSION_get_object(extension)));
    }
  }
  if (!found) return refused(fmt::format("lacks libp2p's extension {}", kExtensionOid));
  return *found;
}

}  // namespace

Bytes SignedKey::encode() const {
  Bytes fields;
  append_tlv(fields, kOctetString, public_key);
  append_tlv(fields, kOctetString, signature);
  Bytes out;
  append_tlv(out, kSequence, fields);
  return out;
}

Result<SignedKey> SignedKey::decode(BytesView der) {
  if (der.size() > kMaxSize)
    return fail(Errc::limit_exceeded, "libp2p's extension has {} bytes, the limit is {}", der.size(), kMaxSize);
  TRY(BytesView fields, take_tlv(der, kSequence, "SignedKey"));
  if (!der.empty()) return fail(Errc::invalid_argument, "libp2p's extension: {} bytes after SignedKey", der.size());
  TRY(BytesView public_key, take_tlv(fields, kOctetString, "publicKey"));
  TRY(BytesView signature, take_tlv(fields, kOctetString, "signature"));
  if (!fields.empty())
    return fail(Errc::invalid_argument, "libp2p's extension: {} bytes after the signature", fields.size());
  return SignedKey{to_bytes(public_key), to_bytes(signature)};
}

Result<SignedKey> SignedKey::create(const crypto::PrivateKey& identity, BytesView certificate_key) {
  SignedKey out;
  out.public_key = identity.public_key().marshal();
  TRY(out.signature, identity.sign(signed_bytes(certificate_key)));
  return out;
}

Result<crypto::PublicKey> SignedKey::verify(BytesView certificate_key) const {
  auto key = crypto::PublicKey::unmarshal(public_key);
  if (!key) return fail(key.error(), "libp2p's extension: identity key");
  if (!key->verify(signed_bytes(certificate_key), signature))
    return refused("has a key that is not signed by the identity it claims");
  return key;
}

Result<Bytes> certificate_key(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  if (size <= 0) return fail(Errc::invalid_argument, "the certificate's key has no encoding: {}", take_ssl_error());
  Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

Result<Certificate> make_certificate(const crypto::PrivateKey& identity, UnixTime now) {
  ERR_clear_error();
  TRY(SignedCertificateKey key, make_key(identity));
  X509Ptr certificate(X509_new());
  if (!certificate || !fill_in(*certificate, key, now)) return not_made("filling it in");
  do {
    if (X509_sign(certificate.get(), key.key.get(), EVP_sha256()) <= 0) return not_made("signing it");
  } while (signature_size(*certificate) != kP256Signature);
  return Certificate{std::move(certificate), std::move(key.key)};
}

Result<crypto::PublicKey> verify_certificate(X509& certificate, UnixTime now) {
  if (X509_get_version(&certificate) != X509_VERSION_3) return refused("is not of version 3");
  const ASN1_BIT_STRING* issuer_id = nullptr;
  const ASN1_BIT_STRING* subject_id = nullptr;
  X509_get0_uids(&certificate, &issuer_id, &subject_id);
  if (issuer_id != nullptr || subject_id != nullptr) return refused("has one of the unique ids, which are not allowed");
  TRY_VOID(check_validity(certificate, now));
  TRY(BytesView content, find_extension(certificate));
  TRY_VOID(check_self_signature(certificate));
  TRY(SignedKey signed_key, SignedKey::decode(content));
  TRY(Bytes key, certificate_key(certificate));
  return signed_key.verify(key);
}

Result<crypto::PublicKey> verify_certificate(BytesView der, UnixTime now) {
  ERR_clear_error();
  const unsigned char* at = der.data();
  const X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!certificate) return fail(Errc::invalid_argument, "not an X.509 certificate: {}", take_ssl_error());
  if (at != der.data() + der.size()) return fail(Errc::invalid_argument, "bytes after an X.509 certificate");
  return verify_certificate(*certificate, now);
}

}  // namespace dms::libp2p::tls
