#include "protocols.hpp"

#include <algorithm>
#include <cstdlib>

namespace dms::libp2p::interop {
namespace {

constexpr std::size_t kBlock = std::size_t{64} * 1024;

std::uint64_t from_big_endian(const std::array<std::uint8_t, 8>& bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

Task<void> answer_echo(std::unique_ptr<Stream> stream) {
  Bytes buffer(kBlock);
  for (;;) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got) {
      say("event reset {}", stream->remote_peer().to_string());
      co_return;
    }
    if (*got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) co_return;
  }
  (void)co_await stream->close_write();
}

Task<Result<void>> sum(Stream& stream) {
  std::array<std::uint8_t, 8> want{};
  CO_TRY_VOID(co_await read_exactly(stream, want));
  Sum received, sent;
  CO_TRY_VOID(co_await receive(stream, kAll, &received));
  const Sum::Digest up = received.digest();
  CO_TRY_VOID(co_await stream.write(up));
  CO_TRY_VOID(co_await send_numbered(stream, from_big_endian(want), &sent));
  const Sum::Digest down = sent.digest();
  CO_TRY_VOID(co_await stream.write(down));
  co_return co_await stream.close_write();
}

Task<Result<void>> late(Stream& stream) {
  CO_TRY_VOID(co_await stream.write(as_bytes("early")));
  CO_TRY_VOID(co_await stream.close_write());
  CO_TRY(const std::uint64_t size, co_await receive(stream, kAll, nullptr));
  say("event late {} {}", stream.remote_peer().to_string(), size);
  co_return Result<void>();
}

Task<void> answer_reset(std::unique_ptr<Stream> stream) {
  std::array<std::uint8_t, 1> byte{};
  (void)co_await read_exactly(*stream, byte);
  stream->abort();
}

/// A stream that fails is destroyed before its end, which the peer sees as a reset.
template <Task<Result<void>> (*Work)(Stream&)>
Task<void> answer(std::unique_ptr<Stream> stream) {
  (void)co_await Work(*stream);
}

}  // namespace

Sum::Sum() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) std::abort();
}

void Sum::add(BytesView bytes) {
  if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) std::abort();
}

Sum::Digest Sum::digest() {
  Digest out{};
  if (EVP_DigestFinal_ex(context_.get(), out.data(), nullptr) != 1) std::abort();
  return out;
}

std::array<std::uint8_t, 8> big_endian(std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  return bytes;
}

Task<Result<void>> send_numbered(ByteStream& stream, std::uint64_t size, Sum* sum) {
  Bytes block(kBlock);
  for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  for (std::uint64_t number = 0; size > 0; ++number) {
    const std::array<std::uint8_t, 8> head = big_endian(number);
    std::ranges::copy(head, block.begin());
    const BytesView piece = BytesView(block).first(std::min<std::uint64_t>(size, kBlock));
    if (sum != nullptr) sum->add(piece);
    CO_TRY_VOID(co_await stream.write(piece));
    size -= piece.size();
  }
  co_return Result<void>();
}

Task<Result<std::uint64_t>> receive(ByteStream& stream, std::uint64_t limit, Sum* sum) {
  Bytes block(kBlock);
  std::uint64_t got = 0;
  while (got < limit) {
    const MutableBytes space = MutableBytes(block).first(std::min<std::uint64_t>(limit - got, kBlock));
    CO_TRY(const std::size_t size, co_await stream.read_some(space));
    if (size == 0) break;
    if (sum != nullptr) sum->add(space.first(size));
    got += size;
  }
  co_return got;
}

Task<Result<void>> expect_sum(ByteStream& stream, Sum& sum) {
  Sum::Digest got{};
  CO_TRY_VOID(co_await read_exactly(stream, got));
  if (got != sum.digest()) co_return fail(Errc::io, "the checksums differ");
  co_return Result<void>();
}

void serve(Host& host) {
  host.set_stream_handler(std::string(kEcho), answer_echo);
  host.set_stream_handler(std::string(kBareEcho), answer_echo);
  host.set_stream_handler(std::string(kSum), answer<sum>);
  host.set_stream_handler(std::string(kLate), answer<late>);
  host.set_stream_handler(std::string(kReset), answer_reset);
}

}  // namespace dms::libp2p::interop
