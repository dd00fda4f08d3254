// Varints, and messages with a varint length in front, read from a byte stream. No byte beyond them is taken from the
// stream.
#pragma once

#include "base/varint.hpp"
#include "runtime/stream.hpp"

namespace dms {

/// Errc::closed if the stream ends first.
Task<Result<std::uint64_t>> read_varint(ByteStream& stream);
/// A varint length and as many bytes. Errc::limit_exceeded, before anything is reserved, above `limit`.
Task<Result<Bytes>> read_delimited(ByteStream& stream, std::size_t limit);

}  // namespace dms
