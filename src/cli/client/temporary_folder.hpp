// A folder that this user alone can enter, removed at the end of its scope with what is in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/result.hpp"

namespace dms::cli {

class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make(std::string_view name) {
    std::error_code error;
    std::string pattern = (std::filesystem::temp_directory_path(error) / fmt::format("nunet-{}-XXXXXX", name)).string();
    if (error || ::mkdtemp(pattern.data()) == nullptr)
      return fail(dms::Errc::io, "making a temporary folder for {}; set TMPDIR", name);
    return TemporaryFolder(pattern);
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

}  // namespace dms::cli
