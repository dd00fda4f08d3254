// One daemon per working directory, and a way to find it: `<work_dir>/nunet.pid`, locked while the daemon runs.
//
// The kernel holds the lock, so it ends with the process; the process id in the file is valid only while the file is
// locked.
#pragma once

#include <filesystem>
#include <optional>

#include "base/result.hpp"

namespace dms::cli {

class DaemonLock {
 public:
  /// Errc::already_exists with the id of the process that holds it.
  static Result<DaemonLock> take(const std::filesystem::path& work_dir);
  DaemonLock(DaemonLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  DaemonLock& operator=(DaemonLock&&) = delete;
  ~DaemonLock();

 private:
  explicit DaemonLock(int file) : file_(file) {}
  int file_;
};

/// The process that holds the lock, if one does.
[[nodiscard]] std::optional<int> running_daemon(const std::filesystem::path& work_dir);
/// Signals the daemon to reload its capability context. Returns its process id, or nothing if none runs.
std::optional<int> reload_daemon(const std::filesystem::path& work_dir);

}  // namespace dms::cli
