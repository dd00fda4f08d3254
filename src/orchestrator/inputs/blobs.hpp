// The files that a user has uploaded for deployments, named by their content.
//
// Model
//  1. A blob is `<work_dir>/blobs/<SHA-256 in hex>`; what has arrived so far of one is `<digest>.part`. It is complete
//     once its bytes have this digest: a blob is whole or absent.
//  2. put() appends a page where the part ends. A page for another offset changes nothing; the reply names the offset
//     to go on at, so that an interrupted upload is resumed.
//  3. keep_only() removes blobs and parts that no deployment refers to and that nobody has written or asked for within
//     kUploadGrace: an upload comes before the deployment that refers to it. What find() has found stays for that long.
//
// Threads: the node's lane; workers read and write, one page at a time. Bounds: kMaxBlob for one, kMaxBlobs bytes for
// all, kMaxParts parts. They hold at every page, whatever the first one announced; a page that begins a file needs room
// for all of it. A request without data begins no file. Cost: a page that is written lists the folder.
// Failure: Errc::io names the file; a full disk is one. Attacks: only the node's user may upload; a digest is checked
// to be one before it becomes a file name.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "protocol/transfer.hpp"
#include "runtime/mutex.hpp"

namespace dms::orchestrator {

inline constexpr std::uint64_t kMaxBlob = std::uint64_t{64} << 30;
inline constexpr std::uint64_t kMaxBlobs = std::uint64_t{256} << 30;
inline constexpr std::size_t kMaxParts = 64;
inline constexpr Duration kUploadGrace = 1h;

class Blobs {
 public:
  explicit Blobs(const std::filesystem::path& work_dir, std::uint64_t max_bytes = kMaxBlobs)
      : root_(work_dir / "blobs"), max_bytes_(max_bytes) {}

  Task<Result<protocol::DeploymentInputReply>> put(protocol::DeploymentInputRequest request,
                                                   std::size_t max_page = protocol::kInputPage);
  /// Errc::not_found unless it is complete and of this size.
  Task<Result<std::filesystem::path>> find(std::string digest, std::uint64_t size);
  Task<void> keep_only(std::set<std::string> referred);

 private:
  std::filesystem::path root_;
  std::uint64_t max_bytes_;
  Mutex writing_;
  Mutex removing_;                                ///< never held while a blob is written or hashed
  std::map<std::string, SteadyTime> unreferred_;  ///< since when, as keep_only() has seen it
};

}  // namespace dms::orchestrator
