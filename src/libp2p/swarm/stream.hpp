// A stream to a peer on which a protocol has been agreed.
#pragma once

#include <memory>
#include <string>

#include "crypto/peer_id.hpp"
#include "libp2p/swarm/resource_limits.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p {

/// Ends as a muxed stream does (transports/connection.hpp): after close_write() it may be destroyed and everything
/// written still arrives; destroyed before that, the peer sees a reset.
class Stream final : public ByteStream {
 public:
  Stream(std::unique_ptr<ByteStream> inner, crypto::PeerId peer, std::string protocol,
         StreamReservation reservation = {})
      : reservation_(std::move(reservation)), inner_(std::move(inner)), peer_(peer), protocol_(std::move(protocol)) {}

  /// The remote peer, as proved by the security handshake.
  [[nodiscard]] const crypto::PeerId& remote_peer() const { return peer_; }
  [[nodiscard]] const std::string& protocol() const { return protocol_; }
  /// The resources that the stream holds; a protocol that buffers a lot reserves memory here.
  [[nodiscard]] StreamReservation& reservation() { return reservation_; }

  Task<Result<std::size_t>> read_some(MutableBytes into) override { return inner_->read_some(into); }
  Task<Result<void>> write(BytesView from) override { return inner_->write(from); }
  Task<Result<void>> close_write() override { return inner_->close_write(); }
  void abort() override { inner_->abort(); }

 private:
  StreamReservation reservation_;
  std::unique_ptr<ByteStream> inner_;
  crypto::PeerId peer_;
  std::string protocol_;
};

}  // namespace dms::libp2p
