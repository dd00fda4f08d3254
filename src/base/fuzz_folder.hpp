// The folder that a fuzz target writes to: in memory where the machine has /dev/shm, removed at exit.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace dms {

struct FuzzFolder {
  explicit FuzzFolder(const std::string& name) {
    std::error_code ignored;
    const bool in_memory = std::filesystem::is_directory("/dev/shm", ignored);
    std::string made =
        (in_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) / (name + "-XXXXXX");
    if (::mkdtemp(made.data()) == nullptr) std::abort();
    path = made;
  }
  FuzzFolder(const FuzzFolder&) = delete;
  FuzzFolder& operator=(const FuzzFolder&) = delete;
  ~FuzzFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  std::filesystem::path path;
};

}  // namespace dms
