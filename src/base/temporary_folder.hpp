// A folder that this user alone can enter, removed at the end of its scope with what is in it.
//
// A process that is killed leaves its folders. They are locked while their process lives, so remove_left() tells those
// that were left from those that are in use.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/result.hpp"

namespace dms {

class TemporaryFolder {
 public:
  /// In `above`, by default where temporary files go.
  static Result<TemporaryFolder> make(std::string_view name, std::filesystem::path above = {}) {
    std::error_code error;
    if (above.empty()) above = std::filesystem::temp_directory_path(error);
    std::string pattern = (above / fmt::format("nunet-{}-XXXXXX", name)).string();
    if (error || ::mkdtemp(pattern.data()) == nullptr)
      return fail(Errc::io, "making a temporary folder for {}; set TMPDIR", name);
    return TemporaryFolder(pattern);
  }
  /// In memory where the machine has /dev/shm: for fuzz targets, which write much.
  static TemporaryFolder in_memory(std::string_view name) {
    std::error_code ignored;
    const std::filesystem::path memory("/dev/shm");
    return make(name, std::filesystem::is_directory(memory, ignored) ? memory : std::filesystem::path()).value();
  }
  /// Removes what make() has made for this user and `name`, and a process that was killed has left, as far as possible.
  /// One that was made or changed within the last minute stays: its process may be about to lock it.
  static void remove_left(std::string_view name, std::filesystem::path above = {});

  TemporaryFolder(TemporaryFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), lock_(std::exchange(other.lock_, -1)) {}
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    if (lock_ >= 0) ::close(lock_);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path)
      : path_(std::move(path)), lock_(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) {
    if (lock_ >= 0) (void)::flock(lock_, LOCK_EX | LOCK_NB);
  }
  std::filesystem::path path_;
  int lock_;  ///< -1: none
};

}  // namespace dms
