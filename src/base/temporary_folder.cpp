#include "base/temporary_folder.hpp"

#include <sys/stat.h>

#include <ctime>
#include <vector>

namespace dms {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kRandom = 6;  ///< characters of mkdtemp()
constexpr std::time_t kYoung = 60;  ///< seconds

/// Of this user, old enough, and locked by no process. `fd` holds the lock then.
bool is_left(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_uid == ::geteuid() && std::time(nullptr) - info.st_mtim.tv_sec >= kYoung &&
         ::flock(fd, LOCK_EX | LOCK_NB) == 0;
}

}  // namespace

void TemporaryFolder::remove_left(std::string_view name, fs::path above) {
  std::error_code error;
  if (above.empty()) above = fs::temp_directory_path(error);
  const std::string prefix = fmt::format("nunet-{}-", name);
  std::vector<fs::path> found;
  for (fs::directory_iterator it(above, error), end; !error && it != end; it.increment(error)) {
    const std::string entry = it->path().filename().string();
    if (entry.starts_with(prefix) && entry.size() == prefix.size() + kRandom) found.push_back(it->path());
  }
  for (const fs::path& path : found) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    if (is_left(fd)) fs::remove_all(path, error);
    ::close(fd);
  }
}

}  // namespace dms
