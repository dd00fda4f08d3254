#include "transfer/wire.hpp"

#include <algorithm>

namespace dms::transfer {
namespace {

template <class Number>
void put(Number number, std::uint8_t* into) {
  for (std::size_t i = 0; i < sizeof(Number); ++i)
    into[i] = static_cast<std::uint8_t>(number >> (8 * (sizeof(Number) - 1 - i)));
}

template <class Number>
Number get(const std::uint8_t* from) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) number = static_cast<Number>(number << 8 | from[i]);
  return number;
}

constexpr std::size_t kTicketSize = sizeof(Ticket::secret);

}  // namespace

std::array<std::uint8_t, kRequestSize> encode(const FileRequest& request) {
  std::array<std::uint8_t, kRequestSize> bytes{};
  std::ranges::copy(request.ticket.secret, bytes.begin());
  put(request.offset, bytes.data() + kTicketSize);
  return bytes;
}

FileRequest decode_request(std::span<const std::uint8_t, kRequestSize> bytes) {
  FileRequest request;
  std::copy_n(bytes.begin(), kTicketSize, request.ticket.secret.begin());
  request.offset = get<std::uint64_t>(bytes.data() + kTicketSize);
  return request;
}

std::array<std::uint8_t, kAnswerSize> encode(const FileAnswer& answer) {
  std::array<std::uint8_t, kAnswerSize> bytes{};
  bytes[0] = static_cast<std::uint8_t>(answer.status);
  put(answer.size, bytes.data() + 1);
  std::ranges::copy(answer.digest, bytes.begin() + 9);
  return bytes;
}

Result<FileAnswer> decode_answer(std::span<const std::uint8_t, kAnswerSize> bytes) {
  if (bytes[0] > static_cast<std::uint8_t>(AnswerStatus::failed))
    return fail(Errc::invalid_argument, "the sender answers with the unknown status {}", bytes[0]);
  FileAnswer answer;
  answer.status = static_cast<AnswerStatus>(bytes[0]);
  answer.size = get<std::uint64_t>(bytes.data() + 1);
  std::copy_n(bytes.begin() + 9, answer.digest.size(), answer.digest.begin());
  return answer;
}

void encode_chunk_header(std::uint32_t length, std::span<std::uint8_t, kChunkHeader> into) { put(length, into.data()); }

Result<std::uint32_t> decode_chunk_header(std::span<const std::uint8_t, kChunkHeader> bytes) {
  const auto length = get<std::uint32_t>(bytes.data());
  if (length > kMaxChunk)
    return fail(Errc::invalid_argument, "the sender announces a chunk of {} bytes; at most {} are allowed", length,
                kMaxChunk);
  return length;
}

}  // namespace dms::transfer
