// The yamux frame header: twelve bytes in network order.
//
// Specification: libp2p yamux, "Framing".
#pragma once

#include <array>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::libp2p::yamux {

enum class FrameType : std::uint8_t { data = 0, window_update = 1, ping = 2, go_away = 3 };

enum Flag : std::uint16_t { kNone = 0, kSyn = 1, kAck = 2, kFin = 4, kRst = 8 };

enum class GoAway : std::uint32_t { normal = 0, protocol_error = 1, internal_error = 2 };

struct FrameHeader {
  static constexpr std::size_t kSize = 12;
  FrameType type = FrameType::data;
  std::uint16_t flags = 0;
  std::uint32_t stream = 0;
  std::uint32_t length = 0;  ///< of the payload; a delta, an opaque value or a reason for the other types

  [[nodiscard]] bool has(Flag flag) const { return (flags & flag) != 0; }
  [[nodiscard]] std::array<std::uint8_t, kSize> encode() const;
  /// Errc::invalid_argument for another version, an unknown type or a stream id that does not fit the type.
  static Result<FrameHeader> decode(std::span<const std::uint8_t, kSize> bytes);
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

}  // namespace dms::libp2p::yamux
