// The engine's multiplexed output: frames of an 8-byte header {stream, 0, 0, 0, length (big-endian)} and their payload.
//
// Payload is passed on as it arrives, so a frame's claimed length costs nothing. The bytes come from a local engine but
// carry the output of an untrusted program; an invalid header is refused, and so is every later byte.
#pragma once

#include <array>
#include <functional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::executor {

class DockerDemux {
 public:
  enum class Channel { out, err };
  /// `begins`: the bytes are the first of a frame.
  using Sink = std::function<void(Channel, BytesView, bool begins)>;
  explicit DockerDemux(Sink sink) : sink_(std::move(sink)) {}

  /// Errc::invalid_argument on an invalid header.
  Result<void> feed(BytesView bytes);
  /// True between frames: where a stream may end.
  [[nodiscard]] bool at_boundary() const { return left_ == 0 && header_size_ == 0; }

 private:
  Result<void> take_header();
  Sink sink_;
  std::array<std::uint8_t, 8> header_{};
  std::size_t header_size_ = 0;
  std::uint32_t left_ = 0;
  Channel channel_ = Channel::out;
  bool begins_ = false;
  bool broken_ = false;
};

}  // namespace dms::executor
