// The certificate of libp2p's TLS: self-signed, with a signature of the owner's identity key over the certificate key.
//
// Model
//  1. The key of the certificate is a P-256 key made for it alone: the kind that every implementation sends and so
//     every implementation verifies. The certificate signs itself and is valid from an hour ago for a hundred years.
//  2. The extension 1.3.6.1.4.1.53594.1.1 holds a SignedKey: the marshalled identity key, and its signature over
//     kSignaturePrefix and the certificate's SubjectPublicKeyInfo. It is the only extension, and not critical.
//  3. All certificates made for one kind of identity have the same size: ECDSA signatures of any but the most common
//     length are drawn again. The size of a handshake is then the same in every run of a simulation.
//
// Randomness comes from OpenSSL (tls.hpp). Cost: a millisecond at most to make, once per host; a verification is two
// signatures, a fifth of a millisecond.
//
// Attacks: verify_certificate() reads from an unauthenticated peer. Keys are limited to the NIST curves, Ed25519 and
// RSA of 2048 to 4096 bits; signatures weaker than 112 bits (SHA-1) are refused; the extension appears once and is read
// strictly as DER; of other critical extensions only KeyUsage and BasicConstraints are accepted
// (docs/decisions/0602-critical-extensions-of-peer-certificates.md).
//
// Specification: libp2p tls, "Peer Authentication".
#pragma once

#include "base/time.hpp"
#include "crypto/keys.hpp"
#include "libp2p/security/tls/openssl.hpp"

namespace dms::libp2p::tls {

inline constexpr std::string_view kSignaturePrefix = "libp2p-tls-handshake:";
inline constexpr const char* kExtensionOid = "1.3.6.1.4.1.53594.1.1";

/// The content of libp2p's extension.
struct SignedKey {
  /// An RSA-4096 identity takes 1,080 bytes.
  static constexpr std::size_t kMaxSize = 2048;

  Bytes public_key;  ///< marshalled
  Bytes signature;   ///< over kSignaturePrefix and the key of the certificate

  [[nodiscard]] Bytes encode() const;
  /// Accepts exactly the encodings that encode() makes.
  static Result<SignedKey> decode(BytesView der);
  static Result<SignedKey> create(const crypto::PrivateKey& identity, BytesView certificate_key);
  /// The identity key, if its signature covers `certificate_key`. Errc::permission_denied otherwise.
  [[nodiscard]] Result<crypto::PublicKey> verify(BytesView certificate_key) const;
};

struct Certificate {
  X509Ptr x509;
  EvpKeyPtr key;
};

Result<Certificate> make_certificate(const crypto::PrivateKey& identity, UnixTime now);

/// The identity key of the certificate. Errc::invalid_argument if it is malformed, Errc::permission_denied if it is not
/// valid.
Result<crypto::PublicKey> verify_certificate(X509& certificate, UnixTime now);
Result<crypto::PublicKey> verify_certificate(BytesView der, UnixTime now);

/// SubjectPublicKeyInfo of the certificate's key, DER.
Result<Bytes> certificate_key(const X509& certificate);

}  // namespace dms::libp2p::tls
