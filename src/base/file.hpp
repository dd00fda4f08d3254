// Small files: read whole with a limit, replaced atomically.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace dms {

/// The file's bytes. Errc::not_found, Errc::io, or Errc::limit_exceeded if it holds more than `max_size`.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_size);

/// After success the file holds `text` with exactly this mode and survives a crash; after failure, or a crash midway,
/// it holds what it held before. Makes missing parent folders with mode 0700. Blocks on the disk.
Result<void> write_file(const std::filesystem::path& path, std::string_view text, unsigned mode = 0600);

/// Removes what write_file() leaves when its process is killed, from a folder and all below it. Only while nothing
/// writes there. Skips what cannot be read or removed. The number of files removed.
std::size_t remove_unfinished_writes(const std::filesystem::path& folder);

}  // namespace dms
