#include "libp2p/muxers/yamux/frame.hpp"

namespace dms::libp2p::yamux {
namespace {

void put32(std::uint8_t* at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

std::uint32_t get32(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

}  // namespace

std::array<std::uint8_t, FrameHeader::kSize> FrameHeader::encode() const {
  std::array<std::uint8_t, kSize> out{};
  out[1] = static_cast<std::uint8_t>(type);
  out[2] = static_cast<std::uint8_t>(flags >> 8);
  out[3] = static_cast<std::uint8_t>(flags);
  put32(&out[4], stream);
  put32(&out[8], length);
  return out;
}

Result<FrameHeader> FrameHeader::decode(std::span<const std::uint8_t, kSize> bytes) {
  if (bytes[0] != 0) return fail(Errc::invalid_argument, "yamux: version {}, expected 0", bytes[0]);
  if (bytes[1] > 3) return fail(Errc::invalid_argument, "yamux: frame type {} is not known", bytes[1]);
  FrameHeader header;
  header.type = static_cast<FrameType>(bytes[1]);
  header.flags = static_cast<std::uint16_t>(bytes[2] << 8 | bytes[3]);
  header.stream = get32(&bytes[4]);
  header.length = get32(&bytes[8]);
  const bool of_session = header.type == FrameType::ping || header.type == FrameType::go_away;
  if (of_session != (header.stream == 0))
    return fail(Errc::invalid_argument, "yamux: a frame of type {} for stream {}", bytes[1], header.stream);
  return header;
}

}  // namespace dms::libp2p::yamux
