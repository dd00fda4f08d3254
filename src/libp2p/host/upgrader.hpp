// The usual way from a raw stream to a connection: multistream-select, Noise, then yamux.
//
// The dialer proposes /noise and goes on without waiting for the answer; the muxer is agreed within the Noise
// handshake when both sides can, with multistream-select otherwise. Time: the caller's deadline.
//
// Specification: libp2p connections, "Upgrading Connections" and "Inlining Muxer Negotiation".
#pragma once

#include "libp2p/muxer/yamux/session.hpp"
#include "libp2p/security/security.hpp"
#include "libp2p/transport/transport.hpp"

namespace dms::libp2p {

class StandardUpgrader final : public Upgrader {
 public:
  StandardUpgrader(Lane& lane, Security& security, yamux::Options muxer)
      : lane_(lane), security_(security), muxer_(muxer) {}
  Task<Result<Connection>> upgrade(std::unique_ptr<ByteStream> raw, Side side,
                                   std::optional<crypto::PeerId> expected) override;

 private:
  Lane& lane_;
  Security& security_;
  yamux::Options muxer_;
};

}  // namespace dms::libp2p
