#include "executor/docker/give_back.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "runtime/process.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::size_t kOpenFolders = 16;
constexpr std::uint64_t kReported = 1024;  // entries
constexpr std::size_t kShownName = 64;     // of a name that is reported

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

class Giver {
 public:
  Giver(const struct stat& owner, const Progress& progress) : owner_(owner), progress_(progress) {}

  Result<void> give_all(int above, const char* first) {
    if (give(above, first)) enter(above, first);
    while (!levels_.empty()) {
      DIR* folder = levels_.back().list.get();
      errno = 0;
      const dirent* entry = ::readdir(folder);
      if (entry == nullptr) {
        if (errno != 0) note("list a folder");
        TRY_VOID(leave());
        continue;
      }
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (give(::dirfd(folder), entry->d_name)) enter(::dirfd(folder), entry->d_name);
    }
    if (!obstacle_.empty()) return fail(Errc::io, "{}", obstacle_);
    return {};
  }

 private:
  /// A folder whose entries are being given. The last one is open, and at most kOpenFolders are.
  struct Level {
    Folder list;
    ino_t inode = 0;
    long place = 0;  // where the list of a closed one goes on
  };

  /// True for a folder of the same file system.
  bool give(int parent, const char* name) {
    if (++seen_ % kReported == 0 && progress_) progress_(seen_);
    struct stat info {};
    if (::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return note(name);
    const bool folder = S_ISDIR(info.st_mode);
    if (folder && info.st_dev != owner_.st_dev) return false;
    const bool given = info.st_uid == owner_.st_uid && info.st_gid == owner_.st_gid;
    if (!given && ::fchownat(parent, name, owner_.st_uid, owner_.st_gid, AT_SYMLINK_NOFOLLOW) != 0) note(name);
    return folder;
  }
  void enter(int parent, const char* name) {
    Level level;
    if (!open(level, parent, name)) return (void)note(name);
    if (levels_.size() >= kOpenFolders) {
      Level& above = levels_[levels_.size() - kOpenFolders];
      if (above.list) above.place = ::telldir(above.list.get());
      above.list.reset();
    }
    levels_.push_back(std::move(level));
  }
  /// To the folder above, whose list goes on.
  Result<void> leave() {
    const Level left = std::move(levels_.back());
    levels_.pop_back();
    if (levels_.empty() || levels_.back().list) return {};
    Level& above = levels_.back();
    const ino_t inode = above.inode;
    if (!open(above, ::dirfd(left.list.get()), "..")) return fail(Errc::io, "go up again: {}", std::strerror(errno));
    if (above.inode != inode) return fail(Errc::io, "a folder was moved meanwhile");
    ::seekdir(above.list.get(), above.place);
    return {};
  }
  static bool open(Level& level, int parent, const char* name) {
    const int folder = ::openat(parent, name, kFolder);
    if (folder < 0) return false;
    level.list.reset(::fdopendir(folder));
    if (!level.list) {
      const int code = errno;
      ::close(folder);
      errno = code;
      return false;
    }
    struct stat info {};
    if (::fstat(folder, &info) != 0) return false;
    level.inode = info.st_ino;
    return true;
  }
  /// The name of an entry was chosen by the program that has made it.
  bool note(const char* what) {
    const int code = errno;
    if (obstacle_.empty())
      obstacle_ = fmt::format("{}: {}", printable(shortened(what, kShownName)), std::strerror(code));
    return false;
  }

  struct stat owner_;
  const Progress& progress_;
  std::vector<Level> levels_;
  std::uint64_t seen_ = 0;
  std::string obstacle_;
};

}  // namespace

Result<void> give_back(const fs::path& folder, const Progress& progress) {
  struct stat owner {};
  const Fd above(::open(folder.parent_path().c_str(), kFolder));
  if (!above || ::fstat(above.get(), &owner) != 0)
    return fail(Errc::io, "open {}: {}", folder.parent_path().string(), std::strerror(errno));
  return Giver(owner, progress).give_all(above.get(), folder.filename().c_str());
}

int run_give_back(const fs::path& folder) {
  const Progress print = [](std::uint64_t entries) {
    (void)::dprintf(STDOUT_FILENO, "%llu\n", static_cast<unsigned long long>(entries));
  };
  const Result<void> given = give_back(folder, print);
  if (given) return 0;
  (void)std::fprintf(stderr, "%s\n", given.error().to_string().c_str());
  return 1;
}

}  // namespace dms::executor
