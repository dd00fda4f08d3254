#include "network/frame.hpp"

#include <algorithm>

namespace dms::network {

Result<Bytes> encode_frame(BytesView message) {
  if (kFrameHeader + message.size() > kMaxMessage)
    return fail(Errc::limit_exceeded, "a message of {} bytes is too large: at most {} fit into a frame", message.size(),
                kMaxMessage - kFrameHeader);
  Bytes frame;
  frame.reserve(kFrameHeader + message.size());
  for (std::size_t i = 0; i < kFrameHeader; ++i)
    frame.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(message.size()) >> (8 * i)));
  append(frame, message);
  return frame;
}

Result<std::size_t> FrameDecoder::feed(BytesView input) {
  std::size_t taken = 0;
  while (header_filled_ < kFrameHeader && taken < input.size()) {
    header_[header_filled_++] = input[taken++];
    if (header_filled_ < kFrameHeader) continue;
    std::uint64_t length = 0;
    for (std::size_t i = kFrameHeader; i-- > 0;) length = length << 8 | header_[i];
    if (length > kMaxMessage)
      return fail(Errc::limit_exceeded, "the frame announces {} bytes; at most {} are accepted", length, kMaxMessage);
    length_ = static_cast<std::size_t>(length);
  }
  if (header_filled_ < kFrameHeader) return taken;
  const std::size_t more = std::min(input.size() - taken, length_ - message_.size());
  append(message_, input.subspan(taken, more));
  return taken + more;
}

Task<Result<Bytes>> read_frame(ByteStream& stream, MutableBytes scratch) {
  FrameDecoder decoder;
  while (!decoder.complete()) {
    CO_TRY(std::size_t count, co_await stream.read_some(scratch));
    if (count == 0) co_return fail(Errc::closed, "the stream ended before its frame did");
    CO_TRY_VOID(decoder.feed(BytesView(scratch).first(count)));
  }
  Bytes message = decoder.take();
  co_return std::move(message);
}

}  // namespace dms::network
