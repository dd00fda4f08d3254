// libp2p's TLS: TLS 1.3 with a certificate on both sides, each signed by the identity of its owner. OpenSSL performs
// the handshake and protects the records (docs/decisions/0601-tls-records.md).
//
// Model
//  1. One certificate is made for each Tls (certificate.hpp) and presented on both sides of all its connections. The
//     peer presents exactly one; it is verified within the handshake, so that a refusal is sent as an alert.
//  2. Muxers are agreed by ALPN: the dialer offers its muxers and then "libp2p", the listener selects the first that it
//     has; "libp2p" leaves the choice to multistream-select. Without ALPN or a common protocol the handshake fails.
//  3. TLS 1.3 only: no renegotiation, tickets, resumption, early data or SNI. AES-128-GCM is preferred where the
//     processor has instructions for it, ChaCha20-Poly1305 otherwise.
//  4. Then a stream (tls_stream.hpp).
//
// Randomness: OpenSSL takes its own (key shares, nonces of signatures) from its generator, seeded by the operating
// system; this is the one place where randomness is not injected. A simulation is not affected, because no size depends
// on it: signatures of P-256 differ in length, so handshake records are padded to multiples of kHandshakePadding bytes,
// and the certificate has a fixed size. Time is injected.
//
// Time: the handshake takes its deadline from its caller.
//
// Attacks: at most kMaxHandshake bytes are read before the peer is authenticated; its certificate has at most
// kMaxCertificate bytes. Altered, replayed or oversized records, unencrypted data, a truncated session and key updates
// in bulk (session.hpp, model 4) each end the stream for good. A dialer whose certificate is refused learns that with
// its first read, because in TLS 1.3 it finishes before the listener has verified; a dialer that finds another peer
// than expected closes the connection before it has presented its own certificate. Observers see the names of muxers
// and that this is libp2p.
//
// Memory: 26 KiB for an idle connection, of which OpenSSL holds 17; under load up to 128 KiB more for reading, 130 KiB
// for writing and a record each. An unauthenticated peer can make OpenSSL allocate 128 KiB for a ClientHello that never
// completes, an authenticated one as much for a session ticket.
//
// Specification: libp2p tls; connections, inlined muxer negotiation; RFC 8446, RFC 7301.
#pragma once

#include "base/time.hpp"
#include "libp2p/security/security.hpp"
#include "libp2p/security/tls/openssl.hpp"

namespace dms::libp2p::tls {

class Tls final : public Security {
 public:
  static constexpr std::string_view kProtocol = "/tls/1.0.0";
  static constexpr std::string_view kAlpn = "libp2p";
  static constexpr std::size_t kMaxHandshake = 32 * 1024;
  static constexpr std::size_t kMaxCertificate = 8 * 1024;
  static constexpr std::size_t kHandshakePadding = 128;

  /// The certificate's validity begins at `now`. If OpenSSL cannot make one, secure() returns the error.
  Tls(const crypto::PrivateKey& identity, UnixTime now);

  [[nodiscard]] std::string_view protocol() const override { return kProtocol; }
  Task<Result<Secured>> secure(std::unique_ptr<ByteStream> raw, Side side, std::optional<crypto::PeerId> expected,
                               std::vector<std::string> muxers) override;

 private:
  Result<SslContextPtr> context_;
};

}  // namespace dms::libp2p::tls
