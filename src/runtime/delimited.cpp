#include "runtime/delimited.hpp"

namespace dms {

Task<Result<std::uint64_t>> read_varint(ByteStream& stream) {
  VarintDecoder decoder;
  std::uint8_t byte = 0;
  for (;;) {
    CO_TRY_VOID(co_await read_exactly(stream, MutableBytes(&byte, 1)));
    CO_TRY(bool done, decoder.feed(byte));
    if (done) co_return decoder.value();
  }
}

Task<Result<Bytes>> read_delimited(ByteStream& stream, std::size_t limit) {
  CO_TRY(std::uint64_t size, co_await read_varint(stream));
  if (size > limit) co_return fail(Errc::limit_exceeded, "a message of {} bytes; at most {} are accepted", size, limit);
  // The buffer grows with what arrives: announcing much costs the sender as much as the receiver.
  Bytes message;
  while (message.size() < size) {
    const std::size_t had = message.size();
    message.resize(std::min<std::size_t>(size, had + std::max<std::size_t>(had, 16 * 1024)));
    CO_TRY_VOID(co_await read_exactly(stream, MutableBytes(message).subspan(had)));
  }
  co_return std::move(message);
}

}  // namespace dms
