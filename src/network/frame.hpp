// The frame around one message on one stream: eight bytes of length, little endian, then that many bytes.
//
// Model
//  1. A stream carries exactly one frame. What follows it is not read. There is no acknowledgement.
//  2. A sender stays within kMaxMessage with the header counted, a receiver accepts kMaxMessage without it; this is
//     what NuNet's nodes do, and both directions fit.
//
// Attacks: a length costs its sender eight bytes, so no memory is allocated for it in advance; memory grows with what
// has arrived, in steps of kFrameStep. How long a slow sender may take is the reader's deadline, not this file's.
//
// Specification: NuNet DMS 0.5, message type `actor/<inbox>/messages/0.0.1`.
#pragma once

#include "network/network.hpp"
#include "runtime/stream.hpp"

namespace dms::network {

inline constexpr std::size_t kFrameHeader = 8;
inline constexpr std::size_t kFrameStep = std::size_t{16} << 10;

/// Header and message, to be written in one go: old receivers expect the header in their first read.
Result<Bytes> encode_frame(BytesView message);

/// Reads a frame from pieces of any size.
class FrameDecoder {
 public:
  /// Takes from `input` what still belongs to the frame and returns its size; 0 once complete().
  /// Errc::limit_exceeded for a length above kMaxMessage; the decoder is then unusable.
  Result<std::size_t> feed(BytesView input);
  [[nodiscard]] bool complete() const { return header_filled_ == kFrameHeader && message_.size() == length_; }
  /// The message; once, and only when complete().
  [[nodiscard]] Bytes take() { return std::move(message_); }

 private:
  std::array<std::uint8_t, kFrameHeader> header_{};
  std::size_t header_filled_ = 0;
  std::size_t length_ = 0;
  Bytes message_;
};

/// Reads a frame in pieces of at most `scratch`, which belongs to the caller and is used until this has ended.
/// Errc::closed if the stream ends before the frame does. The caller sets the deadline.
Task<Result<Bytes>> read_frame(ByteStream& stream, MutableBytes scratch);

}  // namespace dms::network
