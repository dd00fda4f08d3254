#include "base/remove_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/log.hpp"

namespace dms {
namespace fs = std::filesystem;
namespace {

constexpr int kOpenFolders = 16;
constexpr int kPasses = 8;
constexpr int kNames = 10'000;  // tried for a rename
constexpr std::string_view kQuarantine = ".quarantine-";

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

class Remover {
 public:
  explicit Remover(const std::stop_token& stop) : stop_(stop) {}

  void remove_top(const fs::path& path) {
    if (::unlink(path.c_str()) == 0 || ::rmdir(path.c_str()) == 0 || errno == ENOENT) return;
    if (!may_descend(errno)) return (void)note(path.string(), errno);
    const Folder top = open_folder(AT_FDCWD, path.c_str());
    if (!top) return (void)note(path.string(), errno);
    top_ = ::dirfd(top.get());
    for (int pass = 0; pass < kPasses;) {
      moved_ = false;
      const bool emptied = empty(top.get(), 1);
      if (::rmdir(path.c_str()) == 0 || errno == ENOENT || stopped_) return;
      if (moved_) continue;  // there is more to remove in the top now
      if (!emptied) return;
      ++pass;
    }
    note(path.string(), ENOTEMPTY);
  }

  Result<void> outcome() const {
    if (stopped_) return fail(Errc::cancelled, "the removal was stopped");
    if (obstacle_.empty()) return {};
    return fail(Errc::io, "{}", obstacle_);
  }

 private:
  /// Opens a folder and makes sure that its entries can be listed and removed. Null with errno.
  static Folder open_folder(int parent, const char* name) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = ::openat(parent, name, kFlags);
    if (fd < 0 && errno == EACCES && ::fchmodat(parent, name, S_IRWXU, AT_SYMLINK_NOFOLLOW) == 0)
      fd = ::openat(parent, name, kFlags);
    if (fd < 0) return nullptr;
    struct stat info {};
    if (::fstat(fd, &info) == 0 && (info.st_mode & S_IRWXU) != S_IRWXU) (void)::fchmod(fd, S_IRWXU);
    DIR* folder = ::fdopendir(fd);
    if (folder == nullptr) {
      const int code = errno;
      ::close(fd);
      errno = code;
    }
    return Folder(folder);
  }

  /// True if all entries that the listing showed are removed.
  bool empty(DIR* folder, int depth) {
    ::rewinddir(folder);
    bool all = true;
    for (;;) {
      if (stop_.stop_requested()) stopped_ = true;
      if (stopped_) return false;
      errno = 0;
      const dirent* entry = ::readdir(folder);
      if (entry == nullptr) return errno == 0 ? all : note("list a folder", errno);
      const std::string_view name = entry->d_name;
      if (name != "." && name != ".." && !remove_entry(::dirfd(folder), entry->d_name, depth)) all = false;
    }
  }

  /// Errors of rmdir() for a folder with entries, or one whose entries may be removable. Not EBUSY: a mount point.
  static bool may_descend(int code) { return code == ENOTEMPTY || code == EEXIST || code == EACCES || code == EPERM; }

  /// True if the folder does not hold the entry any more.
  bool remove_entry(int parent, const char* name, int depth) {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
    const int file_error = errno;
    if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (!may_descend(errno)) return note(name, errno == ENOTDIR ? file_error : errno);
    if (depth >= kOpenFolders) return move_to_top(parent, name) || note(name, errno);
    const Folder folder = open_folder(parent, name);
    if (!folder) return note(name, errno == ENOTDIR ? file_error : errno);
    for (int pass = 0; pass < kPasses && empty(folder.get(), depth + 1); ++pass)
      if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    return stopped_ ? false : note(name, ENOTEMPTY);
  }

  /// The new name may belong to another entry of the top, which is removed too: an empty folder is replaced; otherwise
  /// the next name is tried.
  bool move_to_top(int parent, const char* name) {
    // Moving a folder rewrites its "..", so its own mode counts too.
    (void)::fchmodat(parent, name, S_IRWXU, AT_SYMLINK_NOFOLLOW);
    for (int i = 0; i < kNames; ++i) {
      const std::string wanted = fmt::format("{}", next_++);
      if (::renameat(parent, name, top_, wanted.c_str()) == 0) return moved_ = true;
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) return false;
    }
    return false;
  }

  bool note(std::string_view what, int code) {
    if (obstacle_.empty()) obstacle_ = fmt::format("{}: {}", what, std::strerror(code));
    return false;
  }

  const std::stop_token& stop_;
  int top_ = -1;
  std::uint64_t next_ = 0;
  bool moved_ = false;
  bool stopped_ = false;
  std::string obstacle_;
};

bool is_quarantined(const fs::path& path) { return path.filename().string().starts_with(kQuarantine); }

Result<fs::path> quarantine(const fs::path& path) {
  const std::string name = path.filename().string().substr(0, 200);
  for (int i = 1; i <= kNames; ++i) {
    const fs::path aside = path.parent_path() / fmt::format("{}{}-{}", kQuarantine, i, name);
    struct stat info {};
    if (::lstat(aside.c_str(), &info) == 0) continue;
    if (::rename(path.c_str(), aside.c_str()) == 0) return aside;
    return fail(Errc::io, "rename {} to {}: {}", path.string(), aside.string(), std::strerror(errno));
  }
  return fail(Errc::limit_exceeded, "{} folders named {} are quarantined", kNames, name);
}

Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::error_code ec;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) entries.push_back(it->path());
  if (ec && ec != std::errc::no_such_file_or_directory)
    return fail(Errc::io, "list {}: {}", folder.string(), ec.message());
  return entries;
}

}  // namespace

Result<void> remove_tree(const fs::path& path, const std::stop_token& stop) {
  Remover remover(stop);
  remover.remove_top(path);
  const Result<void> outcome = remover.outcome();
  struct stat info {};
  // An obstacle that has disappeared meanwhile does not count.
  if (outcome || (::lstat(path.c_str(), &info) != 0 && errno == ENOENT)) return {};
  return fail(outcome.error(), "remove {}", path.string());
}

Result<void> discard_tree(const fs::path& path) {
  const Result<void> removed = remove_tree(path);
  if (removed) return {};
  TRY(const fs::path aside, quarantine(path));
  log::warn("base", "{}; the rest is quarantined as {}", removed.error().to_string(), aside.string());
  return {};
}

Result<void> quarantine_entries(const fs::path& folder, const std::set<std::string>& except) {
  TRY(const std::vector<fs::path> entries, entries_of(folder));
  Result<void> outcome;
  for (const fs::path& entry : entries) {
    if (is_quarantined(entry) || except.contains(entry.filename().string())) continue;
    if (const Result<fs::path> aside = quarantine(entry); !aside && outcome) outcome = std::unexpected(aside.error());
  }
  return outcome;
}

std::vector<fs::path> quarantined_entries(const fs::path& folder) {
  Result<std::vector<fs::path>> entries = entries_of(folder);
  if (!entries) {
    log::warn("base", "{}", entries.error().to_string());
    return {};
  }
  std::erase_if(*entries, [](const fs::path& entry) { return !is_quarantined(entry); });
  return *std::move(entries);
}

std::size_t sweep_quarantine(const fs::path& folder, const std::stop_token& stop) {
  std::size_t left = 0;
  for (const fs::path& entry : quarantined_entries(folder)) {
    const Result<void> removed = remove_tree(entry, stop);
    if (removed) continue;
    ++left;
    if (!removed.error().is(Errc::cancelled))
      log::warn("base", "{}; it stays quarantined, remove it by hand", removed.error().to_string());
  }
  return left;
}

}  // namespace dms
