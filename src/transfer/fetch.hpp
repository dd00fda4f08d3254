// Fetches a file from a peer that has given a ticket for it (server.hpp), to its end or not at all.
//
// Model
//  1. What arrives is appended to `<destination>.part`; complete and verified, it is made durable and renamed. The
//     destination is whole or absent.
//  2. After an interruption, of the connection, the sender or this program, the next attempt asks for the rest only.
//     Attempts that bring nothing new are limited (Options::retries), with doubling pauses between them.
//  3. The SHA-256 of all bytes must be the one that the sender announces, and Options::expected if given. A part of an
//     earlier call that turns out wrong (of another file, or damaged by a loss of power) is dropped, and the transfer
//     starts once more from the first byte.
//  4. A destination that has the expected content already is a success without a transfer.
//
// Threads and cancellation: one lane, which is free while workers write and hash; the part stays when it is cancelled.
// Cost: three chunks of memory.
//
// Failure: Errc::permission_denied if the ticket is not valid (any more): ask for another one and fetch again;
// limit_exceeded above Options::max_bytes; io is only this machine's disk, a full one included; invalid_argument if the
// sender breaks the protocol or its bytes have another digest; already_exists if another transfer to this destination
// is under way; else the last attempt's error. Attacks by the sender: too many bytes, too few, wrong ones, an endless
// file (refused by its announced size, or at the announced size), bytes that trickle (each kReadSlice of the file, in
// chunks of whatever size, must arrive within Options::stall, which is a lowest rate: 64 KiB a minute), many chunks of
// a few bytes, each of which costs a write (kMaxSliceChunks for each kReadSlice), an end after each chunk (bounded by
// the retries and the size). Links in the destination are not followed.
#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <optional>

#include "network/network.hpp"
#include "transfer/files.hpp"
#include "transfer/ticket.hpp"

namespace dms::transfer {

inline constexpr std::size_t kReadSlice = 64 * 1024;
inline constexpr int kMaxSliceChunks = 128;

struct FetchOptions {
  std::uint64_t max_bytes = std::numeric_limits<std::int64_t>::max();
  std::optional<Content> expected;
  int retries = 6;
  Duration first_pause = 1s;
  Duration max_pause = 30s;
  Duration stall = 60s;
  /// Called on the lane after each chunk: bytes here, and of the whole file.
  std::function<void(std::uint64_t received, std::uint64_t size)> on_progress;
  FetchOptions() = default;
};

Task<Result<Content>> fetch(network::Network& network, crypto::PeerId from, Ticket ticket,
                            std::filesystem::path destination, FetchOptions options = FetchOptions());

/// What can help after an attempt has failed.
enum class Remedy {
  retry,    ///< another attempt
  restart,  ///< one from the first byte: what is here is no part of the file
  none,
};

/// One attempt over `stream`, from the end of `part` on.
Task<Result<Content>> receive(ByteStream& stream, Ticket ticket, PartFile& part, const FetchOptions& options,
                              Remedy& remedy);

}  // namespace dms::transfer
