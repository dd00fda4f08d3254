#include "base/varint.hpp"

#include <fmt/format.h>

namespace dms {

void append_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

Result<bool> VarintDecoder::feed(std::uint8_t byte) {
  const auto refused = [this](std::string why) {
    return std::unexpected(Error(Errc::invalid_argument, "varint: " + std::move(why)).at_byte(size_));
  };
  if (size_ == kMaxVarintSize) return refused(fmt::format("more than {} bytes", kMaxVarintSize));
  if (byte == 0 && size_ > 0) return refused("not in its shortest form");
  if ((byte & 0x80) != 0 && size_ + 1 == kMaxVarintSize)
    return refused(fmt::format("more than {} bytes", kMaxVarintSize));
  value_ |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * size_);
  ++size_;
  return (byte & 0x80) == 0;
}

Result<Varint> parse_varint(BytesView in) {
  VarintDecoder decoder;
  for (std::uint8_t byte : in) {
    TRY(bool done, decoder.feed(byte));
    if (done) return Varint{decoder.value(), decoder.size()};
  }
  return std::unexpected(
      Error(Errc::invalid_argument, fmt::format("varint: cut short after {} bytes", in.size())).at_byte(in.size()));
}

Bytes delimited(BytesView message) {
  Bytes out;
  out.reserve(message.size() + kMaxVarintSize);
  append_varint(out, message.size());
  append(out, message);
  return out;
}

}  // namespace dms
