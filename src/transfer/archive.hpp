// Files and folders as one file that can be sent: a file as it is, a folder as a tar archive (POSIX pax), by
// libarchive.
//
// Model
//  1. pack() reads a path below a folder, unpack() makes one. What pack() has written unpack() makes again: regular
//     files, folders, symbolic links that stay inside; permission bits, times of modification. Owners, hard links (they
//     become files), set-id bits and extended attributes are not kept. Folders are writable for their owner afterwards.
//  2. An archive depends on the content of the folder alone: entries are sorted by name.
//  3. pack() leaves out what cannot be sent (sockets, pipes, devices, links that leave the folder, names and
//     targets of links with control characters, paths of more than kMaxPath bytes or kMaxDepth parts) and reports it.
//     Of a folder that is left out nothing is sent. unpack() refuses an archive with such an entry.
//
// Threads: any; all block on the disk, so a lane offloads them. Cost: one open folder for each level.
//
// Failure: Errc::limit_exceeded above a limit; io for the disk, a full one included; not_found; permission_denied;
// invalid_argument for paths and archives that are refused, with the name of the entry. After a failure of pack() no
// file is left; unpack() leaves what it has made.
//
// Attacks. An archive from a stranger: absolute names, `..`, a name below a link, a link whose target leaves the folder
// (`..` is allowed at its beginning only, where no link can come before it), hard links, devices, set-id bits, two
// entries of one name, an archive that is larger unpacked than packed (only plain tar is read; sizes count before they
// are written, holes too), too many entries, names that are too long or too deep. A folder that an untrusted program
// has written: every step is relative to an open folder and follows no link, so nothing outside is read.
#pragma once

#include <filesystem>
#include <limits>
#include <stop_token>
#include <string>
#include <vector>

#include "transfer/files.hpp"

namespace dms::transfer {

struct ArchiveLimits {
  std::uint64_t max_bytes = std::numeric_limits<std::int64_t>::max();  ///< of the content, and of the archive
  std::uint64_t max_entries = 1'000'000;
};
inline constexpr std::size_t kMaxDepth = 128;  ///< parts of a path in an archive
inline constexpr std::size_t kMaxPath = 4096;  ///< its bytes, without a `/` at the end

/// The permissions of what unpack() makes.
enum class Access {
  owner,     ///< as they were packed, without what the umask takes
  everyone,  ///< all may read and write, for a folder to which one user alone has access
};

struct Packed {
  bool folder = false;
  Content content;                    ///< of the file that was written
  std::vector<std::string> left_out;  ///< the first kMaxLeftOut of them, with the reason
  std::uint64_t left_out_count = 0;
  static constexpr std::size_t kMaxLeftOut = 16;
  static constexpr std::size_t kMaxLeftOutName = 256;  ///< bytes that are told of a name
};

/// The parts of a relative path that names something below a folder. Errc::invalid_argument for absolute ones, `..`,
/// control characters, and too many parts.
Result<std::vector<std::string>> path_below(std::string_view path);

/// Packs `path` below `root` into the new file `to`.
Result<Packed> pack(const std::filesystem::path& root, std::string_view path, const std::filesystem::path& to,
                    const ArchiveLimits& limits, const std::stop_token& stop = {});

/// Makes `path` below `root` from a packed file. Folders on the way are made; `path` itself must not exist unless both
/// are folders. What is made, folders on the way too, is taken from `left`, which several calls may share.
Result<void> unpack(const std::filesystem::path& packed, bool folder, const std::filesystem::path& root,
                    std::string_view path, ArchiveLimits& left, Access access = Access::owner,
                    const std::stop_token& stop = {});
inline Result<void> unpack(const std::filesystem::path& packed, bool folder, const std::filesystem::path& root,
                           std::string_view path, const ArchiveLimits& limits, Access access = Access::owner,
                           const std::stop_token& stop = {}) {
  ArchiveLimits left = limits;
  return unpack(packed, folder, root, path, left, access, stop);
}

}  // namespace dms::transfer
