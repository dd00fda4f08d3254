#include "cli/client/daemon_lock.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

namespace dms::cli {
namespace {

std::filesystem::path lock_path(const std::filesystem::path& work_dir) { return work_dir / "nunet.pid"; }

/// A write lock on the whole file that belongs to the open file, not to the process.
struct flock whole_file() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

int read_pid(int file) {
  char text[32] = {};
  const auto size = ::pread(file, text, sizeof text - 1, 0);
  return size > 0 ? std::atoi(text) : 0;
}

}  // namespace

Result<DaemonLock> DaemonLock::take(const std::filesystem::path& work_dir) {
  const auto path = lock_path(work_dir);
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return fail(dms::Errc::io, "{}: {}", path.string(), std::strerror(errno));
  DaemonLock lock(file);
  struct flock wanted = whole_file();
  if (::fcntl(file, F_OFD_SETLK, &wanted) != 0)
    return fail(dms::Errc::already_exists,
                "a daemon (process {}) already uses {}; stop it, or choose another --work-dir", read_pid(file),
                work_dir.string());
  const std::string text = std::to_string(::getpid()) + "\n";
  // Over what is there, which also a full disk has room for.
  if (::pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      ::ftruncate(file, static_cast<off_t>(text.size())) != 0)
    return fail(dms::Errc::io, "{}: {}", path.string(), std::strerror(errno));
  return Result<DaemonLock>(std::move(lock));
}

DaemonLock::~DaemonLock() {
  if (file_ >= 0) ::close(file_);
}

std::optional<int> running_daemon(const std::filesystem::path& work_dir) {
  const int file = ::open(lock_path(work_dir).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return std::nullopt;
  struct flock found = whole_file();
  const bool held = ::fcntl(file, F_OFD_GETLK, &found) == 0 && found.l_type != F_UNLCK;
  const int pid = held ? read_pid(file) : 0;
  ::close(file);
  return pid > 0 ? std::optional(pid) : std::nullopt;
}

std::optional<int> reload_daemon(const std::filesystem::path& work_dir) {
  const auto pid = running_daemon(work_dir);
  if (!pid || ::kill(*pid, SIGUSR1) != 0) return std::nullopt;
  return pid;
}

}  // namespace dms::cli
