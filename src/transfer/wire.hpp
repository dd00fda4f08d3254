// The form of a transfer on its stream. Receiver to sender: one request. Sender to receiver: one answer, then chunks.
//
//     request  ticket 32 bytes | offset u64
//     answer   status u8 | size u64 | SHA-256 of the whole file 32 bytes      (zeros unless the status is ok)
//     chunk    length u32 (1 to kMaxChunk) | bytes                            ... ended by the length 0
//
// Model: numbers are big-endian. The chunks hold the bytes from `offset` to the end. An offset beyond the end is
// answered with ok and no chunk, so that the receiver learns the size. Each side ends its half after its last byte.
// Failure: Errc::invalid_argument for a status or a length that is none of these. Pure functions.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/hash.hpp"
#include "transfer/ticket.hpp"

namespace dms::transfer {

inline constexpr std::string_view kProtocol = "/nunet/transfer/1.0.0";
inline constexpr std::size_t kMaxChunk = std::size_t{1} << 20;
inline constexpr std::size_t kRequestSize = 40;
inline constexpr std::size_t kAnswerSize = 41;
inline constexpr std::size_t kChunkHeader = 4;

struct FileRequest {
  Ticket ticket;
  std::uint64_t offset = 0;
};

enum class AnswerStatus : std::uint8_t {
  ok = 0,
  refused = 1,  ///< no such ticket for this peer, whatever the reason
  busy = 2,     ///< too many transfers at once
  failed = 3,   ///< the file cannot be read
};

struct FileAnswer {
  AnswerStatus status = AnswerStatus::refused;
  std::uint64_t size = 0;
  crypto::Digest256 digest{};
};

std::array<std::uint8_t, kRequestSize> encode(const FileRequest& request);
FileRequest decode_request(std::span<const std::uint8_t, kRequestSize> bytes);

std::array<std::uint8_t, kAnswerSize> encode(const FileAnswer& answer);
Result<FileAnswer> decode_answer(std::span<const std::uint8_t, kAnswerSize> bytes);

void encode_chunk_header(std::uint32_t length, std::span<std::uint8_t, kChunkHeader> into);
/// 0: the end.
Result<std::uint32_t> decode_chunk_header(std::span<const std::uint8_t, kChunkHeader> bytes);

}  // namespace dms::transfer
