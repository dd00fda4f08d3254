// Fetches a result of an allocation from the daemon into a file or folder.
//
// Model
//  1. A file, or the archive of a folder, arrives as `.nunet-<hash of its name>.part` in the folder of the download;
//     complete and verified it gets its name, or is unpacked beside its place and gets its name then. What an
//     interrupted download has left is continued.
//     Nothing else than the result itself is replaced, and that on request only; without it, what is there under its
//     name is Errc::already_exists. A file that has the result's SHA-256 already is taken as it is, and so is a folder
//     with the same files, links and contents, for which the archive is fetched once more. Times of modification are not
//     compared, and of permissions only whether the owner may execute a file.
//  2. If the daemon names a digest and the bytes have another one, a continued download starts once more from the first
//     byte; else the download fails and nothing is left.
//  3. The name of a result comes from the ensemble; it stays below the folder, and the archive's entries stay below it
//     (transfer/archive.hpp).
#pragma once

#include <filesystem>
#include <functional>

#include "cli/client/output.hpp"

namespace dms::cli {

struct Downloaded {
  std::filesystem::path path;
  std::uint64_t size = 0;  ///< of what was sent
  bool folder = false;
  bool was_there = false;  ///< whole, from an earlier download
};

struct DownloadOptions {
  std::filesystem::path folder;
  bool replace = false;  ///< what is there already
  /// Called after each page.
  std::function<void(std::uint64_t received, std::uint64_t size)> on_progress;
};

Result<Downloaded> download(Session& session, OutputStream& stream, const std::string& name,
                            const DownloadOptions& options);

}  // namespace dms::cli
