// libp2p's TLS: TLS 1.3 with a certificate on both sides, each vouched for by the identity of its holder.
//
// Model
//  1. One certificate is made for each Tls (certificate.hpp) and shown on both sides of all its connections. The other
//     side shows exactly one; it is verified within the handshake, so that who fails is told by an alert.
//  2. Muxers are agreed on by ALPN: the dialer offers its muxers and then "libp2p", the listener takes the first that
//     it has; "libp2p" leaves the choice to multistream. No ALPN, or nothing in common, ends the handshake.
//  3. TLS 1.3 and nothing older: no renegotiation. No tickets, no resumption, no early data, no SNI. AES-128-GCM comes
//     first where the processor has instructions for it, ChaCha20-Poly1305 elsewhere.
//  4. libssl shakes hands (handshake.hpp) and is let go; then comes a stream (tls_stream.hpp), whose records are ours.
//
// Randomness: libssl takes its own (key shares, nonces of signatures) from OpenSSL's generator, seeded by the operating
// system; it is the one place where randomness is not handed in. A simulation cannot see it, because no size depends on
// it: signatures of P-256 differ in length, so handshake records are padded to multiples of kHandshakePadding bytes,
// and the certificate has a fixed size. Time is handed in.
//
// Time: the handshake takes its deadline from its caller.
//
// Attacks: until the peer is authenticated, kMaxHandshake bytes are read from it and not more; its certificate has at
// most kMaxCertificate bytes. Records that are altered, replayed or too long, anything unencrypted, a truncated
// session, new keys asked for in bulk (sealed_stream.hpp, model 3): each ends the stream for good. A dialer whose certificate is refused learns it
// with its first read, for in TLS 1.3 it has finished before the listener has looked; a dialer that finds another peer
// than expected hangs up before it has shown its own certificate. The names of muxers are visible to whoever listens
// in, as is the fact that this is libp2p.
//
// Memory: of a stream, as SealedStream has it. During the handshake a stranger can make libssl reserve 128 KiB for a
// ClientHello that never comes whole.
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

  /// `now` is what the certificate's validity begins with. Should OpenSSL refuse to make one, secure() tells.
  Tls(const crypto::PrivateKey& identity, UnixTime now);

  [[nodiscard]] std::string_view protocol() const override { return kProtocol; }
  Task<Result<Secured>> secure(std::unique_ptr<ByteStream> raw, Side side, std::optional<crypto::PeerId> expected,
                               std::vector<std::string> muxers) override;

 private:
  Result<SslContextPtr> context_;
};

}  // namespace dms::libp2p::tls
