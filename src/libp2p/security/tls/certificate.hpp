// The certificate of libp2p's TLS: made by its holder, believed because the holder's identity key has signed its key.
//
// Model
//  1. The key of the certificate is a P-256 key made for it alone: the kind that every implementation sends and so
//     every implementation verifies. The certificate signs itself and is valid from an hour ago for a hundred years.
//  2. The extension 1.3.6.1.4.1.53594.1.1 holds a SignedKey: the marshalled identity key, and its signature over
//     kSignaturePrefix and the certificate's SubjectPublicKeyInfo. It is the only extension, and not critical.
//  3. All certificates made for one kind of identity have the same size: ECDSA signatures of another than the commonest
//     length are drawn again. What a handshake weighs on the wire is then the same in every run of a simulation.
//
// Randomness comes from OpenSSL (tls.hpp says why). Cost: a millisecond at most to make, once for each host; a
// verification is two signatures, a fifth of a millisecond.
//
// Attacks: verify_certificate() reads from somebody who has proved nothing yet. Keys are limited to the NIST curves,
// Ed25519 and RSA of 2048 to 4096 bits; signatures weaker than 112 bits (SHA-1) count for nothing; the extension
// appears once and is read strictly as DER; a critical extension other than libp2p's is refused, whatever OpenSSL might
// know about it.
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
  Bytes signature;   ///< by it, over kSignaturePrefix and the key of the certificate

  [[nodiscard]] Bytes encode() const;
  /// Accepts exactly what encode() makes.
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

/// Whose certificate it is. Errc::invalid_argument if it is not one, Errc::permission_denied if it proves nothing now.
Result<crypto::PublicKey> verify_certificate(X509& certificate, UnixTime now);
Result<crypto::PublicKey> verify_certificate(BytesView der, UnixTime now);

/// SubjectPublicKeyInfo of the certificate's key, DER.
Result<Bytes> certificate_key(const X509& certificate);

}  // namespace dms::libp2p::tls
