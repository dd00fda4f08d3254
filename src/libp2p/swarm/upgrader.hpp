// The standard upgrade from a raw stream to a connection: multistream-select, a security protocol, then yamux.
//
// Model
//  1. A listener accepts each of its security protocols. A dialer proposes the configured ones, in order.
//  2. A single proposal is not waited for: the handshake's first message leaves with it, and the handshake's first read
//     reports a refusal (Errc::unsupported). Of several, each is answered before the next, on the same stream: a round
//     trip more for each.
//  3. The muxer is agreed within the handshake if both sides support that, with multistream-select otherwise.
//
// Time: the caller's deadline.
//
// Specification: libp2p connections, "Upgrading Connections" and "Inlining Muxer Negotiation".
#pragma once

#include "libp2p/muxers/yamux/session.hpp"
#include "libp2p/security/security.hpp"
#include "libp2p/transports/transport.hpp"

namespace dms::libp2p {

class StandardUpgrader final : public Upgrader {
 public:
  using Securities = std::vector<std::unique_ptr<Security>>;

  /// `proposed` names protocols of `securities`.
  StandardUpgrader(Lane& lane, Securities securities, std::vector<std::string> proposed, yamux::Options muxer)
      : lane_(lane), securities_(std::move(securities)), proposed_(std::move(proposed)), muxer_(muxer) {}
  Task<Result<Connection>> upgrade(std::unique_ptr<ByteStream> raw, Side side,
                                   std::optional<crypto::PeerId> expected) override;

 private:
  [[nodiscard]] Security* find(std::string_view protocol) const;
  Task<Result<Security*>> choose(std::unique_ptr<ByteStream>& raw, Side side);

  Lane& lane_;
  Securities securities_;
  std::vector<std::string> proposed_;
  yamux::Options muxer_;
};

/// Noise and TLS for `identity`. `lane` outlives them.
StandardUpgrader::Securities standard_securities(const crypto::PrivateKey& identity, Lane& lane);

}  // namespace dms::libp2p
