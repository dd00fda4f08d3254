// A folder that this user alone can enter, removed at the end of its scope with what is in it.
#pragma once

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
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace dms
